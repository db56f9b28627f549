package check

import (
	"strings"
	"testing"
)

func FuzzZone(f *testing.F) {
	f.Add("b.rpz. 60 IN SOA l. h. 5 1 1 1 1\nbad.example.b.rpz. 60 IN CNAME .\n*.bad.example.b.rpz. 60 IN A 192.0.2.1\n")
	f.Add("x 1 IN A 1.2.3.4\n$INCLUDE /etc/passwd\n$GENERATE 1-5 a$ A 1.2.3.4\n")
	f.Fuzz(func(t *testing.T, s string) {
		z, err := ReadZone(strings.NewReader(s), "zone")
		if err == nil && z.Name == "" {
			t.Errorf("%q: a zone without a name", s)
		}
	})
}

// The name by which a desk times the way of its blocks is nobody's block.
func TestReadZone_without_the_pulse(t *testing.T) {
	z, err := ReadZone(strings.NewReader(`$ORIGIN p.rpz.
$TTL 60
@ IN SOA localhost. hostmaster.localhost. 42 60 60 259200 60
p-serial.zz-canary IN TXT "epoch=1 serial=42"
e1-s42.p-serial.zz-canary IN TXT "epoch=1 serial=42"
pulse-serial.zz-canary IN CNAME rpz-passthru.
*.pulse-serial.zz-canary IN CNAME rpz-passthru.
pulse-other.example IN CNAME rpz-passthru.
`), "p.zone")
	if err != nil || len(z.Owners) != 1 || z.Owners[Owner{Name: "pulse-other.example"}] != "pass" {
		t.Errorf("got %+v %v", z, err)
	}
}

func TestReadZone(t *testing.T) {
	z, err := ReadZone(strings.NewReader(`$ORIGIN b.rpz.
$TTL 60
@ IN SOA localhost. hostmaster.localhost. 42 60 60 259200 60
@ IN NS localhost.
serial.zz-canary IN TXT "epoch=1 serial=42"
Bad.Example IN A 192.0.2.1
*.bad.example IN A 192.0.2.1
gone.example IN CNAME .
empty.example IN CNAME *.
`), "b.zone")
	if err != nil {
		t.Fatal(err)
	}
	want := map[Owner]string{{Name: "bad.example"}: "redirect", {"bad.example", true}: "redirect", {Name: "gone.example"}: "nxdomain", {Name: "empty.example"}: "nodata"}
	if z.Name != "b.rpz." || z.Serial != 42 || len(z.Owners) != len(want) {
		t.Errorf("got %+v", z)
	}
	for o, what := range want {
		if z.Owners[o] != what {
			t.Errorf("%s: %q, want %q", o, z.Owners[o], what)
		}
	}
	for _, bad := range []string{"", "a.example. 60 IN A 192.0.2.1", "b.rpz. 60 IN SOA l. h. 5 1 1 1 1\nother.example. 60 IN A 192.0.2.1"} {
		if _, err := ReadZone(strings.NewReader(bad), "zone"); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
