package rpz

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"bolwerk"

	"github.com/miekg/dns"
)

const zoneFile = `$TTL 2h ; of everything
$ORIGIN feed.example.
@  IN SOA localhost. hostmaster.feed.example. (
       2026112301 ; serial
       1h 15m 30d 2h )
   IN NS localhost.
evil.example        IN CNAME .
*.evil.example  60     CNAME .
quiet.example   IN 60  CNAME *.
own.example            CNAME rpz-passthru.
gone.example           CNAME rpz-drop.
slow.example           CNAME rpz-tcp-only.
Walled.Example         A     192.0.2.1
                       AAAA  2001:DB8::1
alias.example          CNAME garden.operator.example.
whole.example.feed.example. CNAME .
; what no list of names holds
32.1.2.0.192.rpz-ip    CNAME .
ns.bad.example.rpz-nsdname CNAME .
*                      CNAME .
text.example           TXT   "a;b"
wrong.example          A     192.0.2
$INCLUDE other
outside.example.       CNAME .
last.example           CNAME .
`

func TestParseZone(t *testing.T) {
	var got, bad []string
	var serial uint32
	for e, err := range ParseZone(strings.NewReader(zoneFile), bolwerk.Domain{}, Limits{}) {
		if err != nil {
			if !errors.Is(err, bolwerk.ErrInvalid) {
				t.Errorf("kind of %v", err)
			}
			bad = append(bad, err.Error())
			continue
		}
		got, serial = append(got, fmt.Sprintf("%d %s", e.Line, e.Record)), e.Serial
	}
	want := []string{
		"7 evil.example CNAME .", "8 *.evil.example CNAME .", "9 quiet.example CNAME *.", "10 own.example CNAME rpz-passthru.",
		"11 gone.example CNAME rpz-drop.", "12 slow.example CNAME rpz-tcp-only.", "13 walled.example A 192.0.2.1", "14 walled.example AAAA 2001:db8::1",
		"15 alias.example CNAME garden.operator.example.", "16 whole.example CNAME .", "25 last.example CNAME .",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if serial != 2026112301 {
		t.Errorf("serial: got %d", serial)
	}
	wantBad := []string{"line 18: trigger rpz-ip", "line 19: trigger rpz-nsdname", "line 20: ", "line 21: ", "line 22: ", "line 23: directive", "line 24: "}
	for i, w := range wantBad {
		if i >= len(bad) || !strings.HasPrefix(bad[i], w) {
			t.Errorf("errors: got %q, want %q", bad, wantBad)
			break
		}
	}
}

// What package dns reads from a sound zone, we read too.
func TestParseZoneAgrees(t *testing.T) {
	sound, _, _ := strings.Cut(zoneFile, "; what no list")
	var got, want []string
	for e, err := range ParseZone(strings.NewReader(sound), bolwerk.Domain{}, Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.String())
	}
	zp := dns.NewZoneParser(strings.NewReader(sound), "", "")
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if h := rr.Header(); h.Rrtype != dns.TypeSOA && h.Rrtype != dns.TypeNS {
			want = append(want, strings.ToLower(strings.TrimSuffix(h.Name, ".feed.example."))+" "+dns.TypeToString[h.Rrtype]+" "+strings.TrimPrefix(rr.String(), h.String()))
		}
	}
	if zp.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("got\n%s\npackage dns reads (%v)\n%s", strings.Join(got, "\n"), zp.Err(), strings.Join(want, "\n"))
	}
}

func TestParseZoneIsBounded(t *testing.T) {
	last := func(in io.Reader, l Limits) (n int, err error) {
		for _, e := range ParseZone(in, bolwerk.MustDomain("feed.example"), l) {
			if err = e; e == nil {
				n++
			}
		}
		return n, err
	}
	line := "a.example CNAME .\n"
	for name, c := range map[string]struct {
		in   io.Reader
		l    Limits
		n    int
		kind error
	}{
		"bytes":       {strings.NewReader(strings.Repeat(line, 100)), Limits{Bytes: 200}, 0, bolwerk.ErrFull},
		"exact bytes": {strings.NewReader(line), Limits{Bytes: int64(len(line))}, 1, nil},
		"records":     {strings.NewReader(strings.Repeat(line, 100)), Limits{Records: 7}, 7, bolwerk.ErrFull},
		"errors":      {strings.NewReader(strings.Repeat("a b c\n", 100)), Limits{Errors: 5}, 0, bolwerk.ErrFull},
		"line":        {strings.NewReader(line + strings.Repeat("a", 10_000)), Limits{}, 1, bolwerk.ErrFull},
		"broken read": {io.MultiReader(strings.NewReader(line), iotest.ErrReader(io.ErrUnexpectedEOF)), Limits{}, 1, io.ErrUnexpectedEOF},
		"cut record":  {strings.NewReader(line + "@ SOA a. b. ( 1 2"), Limits{}, 1, bolwerk.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := last(c.in, c.l)
			if !errors.Is(err, c.kind) || n != c.n && name != "bytes" || n > 100 {
				t.Errorf("got %d records and %v, want %d and %v", n, err, c.n, c.kind)
			}
		})
	}
}
