package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
)

var about = About{Operator: "Polder\nTelecom", Epoch: 1, Serial: 42, At: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Landing: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}

var rows = []Row{
	{Ref: "E-2026-000001", Name: "good.below.example", Scope: bolwerk.ScopeHost, Pass: true},
	{Ref: "B-2026-000001", Name: "host.example", Scope: bolwerk.ScopeHost, Action: "redirect", Class: "phishing", Ground: "policy"},
	{Ref: "B-2026-000002", Name: "with-www.example", Scope: bolwerk.ScopeHost, WWW: true, Action: "nxdomain"},
	{Ref: "B-2026-000003", Name: "below.example", Scope: bolwerk.ScopeSubtree, Action: "nodata"},
	{Ref: "B-2026-000004", Name: "xn--bcher-kva.example", Scope: bolwerk.ScopeRegistrable, Action: "redirect", Until: about.At},
}

func written(t *testing.T, name string) string {
	t.Helper()
	i := slices.IndexFunc(Formats(), func(f Format) bool { return f.Name == name })
	var b bytes.Buffer
	err := Write(&b, Formats()[i], about, func(each func(Row) error) error {
		for _, r := range rows {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// want is what every format must say: the names, and of those that can, which
// mean all below.
var want = []string{"below.example", "host.example", "with-www.example", "www.with-www.example", "xn--bcher-kva.example"}

func TestEachFormatReadsBackToTheSameNames(t *testing.T) {
	got := map[string]func(string) []string{
		"txt": func(s string) (out []string) {
			for l := range strings.Lines(s) {
				if !strings.HasPrefix(l, "#") {
					out = append(out, strings.TrimSpace(l))
				}
			}
			return out
		},
		"hosts": func(s string) (out []string) {
			for l := range strings.Lines(s) {
				if f := strings.Fields(l); f[0] == "0.0.0.0" {
					out = append(out, f[1])
				}
			}
			return out
		},
		"adblock": func(s string) (out []string) {
			for l := range strings.Lines(s) {
				if strings.HasPrefix(l, "|") {
					out = append(out, strings.Trim(l, "|^\n"))
				}
			}
			return out
		},
		"rpz": func(s string) []string {
			owners := map[string]bool{}
			p := dns.NewZoneParser(strings.NewReader(s), "b.rpz.", "")
			for rr, ok := p.Next(); ok; rr, ok = p.Next() {
				c, pass := rr.(*dns.CNAME)
				owner := strings.TrimSuffix(rr.Header().Name, ".b.rpz.")
				if owner != "b.rpz." && !strings.HasPrefix(owner, "*.") && !(pass && c.Target == "rpz-passthru.") {
					owners[owner] = true
				}
			}
			if err := p.Err(); err != nil {
				panic(err)
			}
			return slices.Collect(maps.Keys(owners))
		},
		"csv": func(s string) (out []string) {
			all, err := csv.NewReader(strings.NewReader(s)).ReadAll()
			if err != nil {
				panic(err)
			}
			for _, r := range all[1:] {
				if r[3] == "false" {
					out = append(out, r[0])
				}
				if r[2] == "true" {
					out = append(out, "www."+r[0])
				}
			}
			return out
		},
		"json": func(s string) (out []string) {
			var all struct{ Items []Row }
			if err := json.Unmarshal([]byte(s), &all); err != nil {
				panic(err)
			}
			for _, r := range all.Items {
				if !r.Pass {
					out = append(out, r.names()...)
				}
			}
			return out
		},
	}
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			text := written(t, f.Name)
			names := got[f.Name](text)
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Errorf("got %v, want %v from\n%s", names, want, text)
			}
		})
	}
}

func TestFormatsKeepTheScope(t *testing.T) {
	for _, line := range []string{"||below.example^\n", "\n|host.example^\n", "@@|good.below.example^\n"} {
		if s := written(t, "adblock"); !strings.Contains(s, line) {
			t.Errorf("no %q in\n%s", line, s)
		}
	}
	for _, line := range []string{"*.below.example CNAME *.\n", "\nhost.example AAAA 2001:db8::1\n", "www.with-www.example CNAME .\n", "good.below.example CNAME rpz-passthru.\n"} {
		if s := written(t, "rpz"); !strings.Contains(s, line) {
			t.Errorf("no %q in\n%s", line, s)
		}
	}
}

func TestAnEmptyFileIsOne(t *testing.T) {
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, f, about, func(func(Row) error) error { return nil }); err != nil || b.Len() == 0 {
			t.Errorf("%s: %v, %q", f.Name, err, &b)
		}
	}
	if err := Write(new(bytes.Buffer), Formats()[0], about, func(func(Row) error) error { return fmt.Errorf("away") }); err == nil {
		t.Error("a file that could not be read was written")
	}
}
