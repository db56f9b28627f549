package edge

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/dnsserve"
)

// viewsEdge has one block of each ground, and the given file of views.
func viewsEdge(t testing.TB, lines string) (*Edge, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "views")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _, _ := testEdge(t, func(c *Config) { c.ViewsFile = file })
	reset(t, e,
		rule("B-1", "own.example", func(r *Rule) { r.Scope = bolwerk.ScopeSubtree }),
		rule("B-2", "order.example", func(r *Rule) { r.Ground, r.Scope = ByOrder, bolwerk.ScopeSubtree }),
		rule("B-3", "below.order.example", nil),
		rule("B-4", "asked.example", func(r *Rule) { r.Ground = Requested }),
		rule("B-5", "passed.example", func(r *Rule) { r.Pass = true }),
	)
	return e, file
}

func sees(e *Edge, from string) string {
	var out []string
	for _, name := range []string{"own", "order", "asked"} {
		if stopped(e, from, name+".example") {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

const defaults, optedOut, optedIn = "own order", "order", "own order asked"

func TestViews_fixed(t *testing.T) {
	e, file := viewsEdge(t, `
# lines that have chosen
198.51.100.0/24     opt_in   pool-7           # a school
198.51.100.7/32     opt_out  L-4711
198.51.100.8/32     opt_out  -       2026-03-13
198.51.100.9/32     opt_out  -       2026-03-14
2001:db8:0:100::/56 opt_out  L-4711
192.0.2.1/32        default  L-1
`)
	for from, want := range map[string]string{
		"198.51.100.7":         optedOut,
		"198.51.100.6":         optedIn,
		"198.51.100.8":         defaults, // it is over, and the wider one is somebody else's
		"198.51.100.9":         optedOut,
		"203.0.113.1":          defaults,
		"192.0.2.1":            defaults,
		"2001:db8:0:1ff::1":    optedOut,
		"2001:db8:0:200::1":    defaults,
		"::ffff:198.51.100.70": optedIn,
	} {
		if got := sees(e, from); got != want {
			t.Errorf("%s sees %q, want %q", from, got, want)
		}
	}
	if x := e.find([]byte("\x05below\x05order\x07example\x00"), netip.MustParseAddr("198.51.100.7")); !x.ok || x.term.ground != ByOrder {
		t.Error("who opts out of a name's own block does not see the order above it")
	}
	// A change is taken; a file that is gone changes nothing.
	if err := os.WriteFile(file, []byte("203.0.113.1/32 opt_out L-9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.readViews()
	if got := sees(e, "203.0.113.1") + ", " + sees(e, "198.51.100.7"); got != optedOut+", "+defaults {
		t.Errorf("after the change: got %q", got)
	}
	os.Remove(file)
	e.readViews()
	if got := sees(e, "203.0.113.1"); got != optedOut {
		t.Errorf("without the file: got %q", got)
	}
}

func TestViews_lines(t *testing.T) {
	for line, good := range map[string]bool{
		"198.51.100.7/32 opt_out L-1": true, "198.51.100.7/32 opt_out - 2027-01-01": true, "198.51.100.7/32 opt_out L-1 2027-01-01T12:00:00+01:00": true,
		"198.51.100.7/32 opt_out":                  false, // no owner
		"198.51.100.7/32 opt_out -":                false, // and no end
		"198.51.100.7 opt_out L-1":                 false,
		"198.51.100.7/24 opt_out L-1":              false,
		"198.51.100.7/32 out L-1":                  false,
		"198.51.100.7/32 opt_out L-1 tomorrow":     false,
		"198.51.100.7/32 opt_out L-1 2027-01-01 x": false,
		"100.64.1.1/32 opt_out L-1":                false, // many share it
		"0.0.0.0/0 opt_out L-1":                    false,
		"::ffff:198.51.100.0/120 opt_out L-1":      false,
	} {
		f, bad, err := readFixed(strings.NewReader(line + "\n"))
		if err != nil || len(f.rows) == 1 != good || len(bad) == 0 != good {
			t.Errorf("%s: got %d lines, bad %v, %v", line, len(f.rows), bad, err)
		}
	}
	// Of a prefix that stands there twice nobody knows whose it is.
	f, bad, err := readFixed(strings.NewReader(strings.Repeat("198.51.100.7/32 opt_out L-1\n", 3) + "198.51.100.8/32 opt_out L-2"))
	if err != nil || len(f.rows) != 1 || len(bad) != 2 {
		t.Errorf("twice: got %v %v %v", f.rows, bad, err)
	}
	if _, _, err := readFixed(strings.NewReader(strings.Repeat("x", maxViewLineLength+1))); err == nil {
		t.Error("a line without end is taken")
	}
}

func TestSessions(t *testing.T) {
	e, _ := viewsEdge(t, "198.51.100.0/24 opt_in pool-7\n")
	at := func(id, view string, prefixes ...string) error {
		s := Session{ID: id, View: view, Until: noon.Add(time.Minute)}
		for _, p := range prefixes {
			s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
		}
		return e.Session(s)
	}
	want := func(when, from, want string) {
		t.Helper()
		if got := sees(e, from); got != want {
			t.Errorf("%s: %s sees %q, want %q", when, from, got, want)
		}
	}
	const a, b, v6 = "198.51.100.7", "198.51.100.8", "2001:db8:0:1ff::1"
	if err := at("A", "opt_out", a+"/32", "2001:db8:0:100::/56"); err != nil {
		t.Fatal(err)
	}
	want("a session", a, optedOut)
	want("its prefix", v6, optedOut)
	want("beside it", b, optedIn)
	// The next holder, while nobody has told the end of the one before.
	if err := at("B", "default", a+"/32"); err != nil {
		t.Fatal(err)
	}
	want("the next holder", a, defaults)
	want("what the one before still has", v6, optedOut)
	e.EndSession("A") // late
	want("after a late end", a, defaults)
	want("after the end", v6, defaults)
	e.EndSession("B")
	want("no session", a, optedIn)
	// A session that is told again with another address leaves the first.
	for _, addr := range []string{a, b} {
		if err := at("C", "opt_out", addr+"/32"); err != nil {
			t.Fatal(err)
		}
	}
	want("moved away", a, optedIn)
	want("moved here", b, optedOut)
	// It ends by itself.
	e.now.Add(60)
	want("after its time", b, optedIn)
	e.views.sweep(e.now.Load())
	if len(e.views.sessions)+len(e.views.nets) != 0 || e.views.lengths != [129]int{} || e.views.some.Load() != 0 {
		t.Errorf("left: %v %v", e.views.sessions, e.views.nets)
	}
	e.now.Add(-60)
	for what, s := range map[string]Session{
		"no id":          {View: "opt_out", Prefixes: []netip.Prefix{netip.MustParsePrefix(a + "/32")}, Until: noon.Add(time.Hour)},
		"no end":         {ID: "x", View: "opt_out", Prefixes: []netip.Prefix{netip.MustParsePrefix(a + "/32")}},
		"far end":        {ID: "x", View: "opt_out", Prefixes: []netip.Prefix{netip.MustParsePrefix(a + "/32")}, Until: noon.Add(25 * time.Hour)},
		"no prefix":      {ID: "x", View: "opt_out", Until: noon.Add(time.Hour)},
		"no view":        {ID: "x", View: "off", Prefixes: []netip.Prefix{netip.MustParsePrefix(a + "/32")}, Until: noon.Add(time.Hour)},
		"shared address": {ID: "x", View: "opt_out", Prefixes: []netip.Prefix{netip.MustParsePrefix("100.64.0.1/32")}, Until: noon.Add(time.Hour)},
	} {
		if e.Session(s) == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestViews_allocateNothing(t *testing.T) {
	e, _ := viewsEdge(t, "198.51.100.0/24 opt_in pool-7\n2001:db8:0:100::/56 opt_out L-1\n")
	if err := e.Session(Session{ID: "A", View: "opt_out", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, Until: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for from, blocked := range map[string]bool{"198.51.100.7": false, "198.51.100.8": true, "2001:db8:0:101::1": false} {
		a := netip.AddrFrom16(netip.MustParseAddr(from).As16())
		q := &dnsserve.Question{Name: []byte("\x03own\x07example\x00"), Type: dnsserve.TypeA, From: a, Scratch: make([]byte, 0, 512)}
		e.Answer(q)
		if n := testing.AllocsPerRun(100, func() {
			if _, ok := e.Answer(q); ok != blocked {
				t.Fatalf("%s: got %v", from, ok)
			}
		}); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", from, n)
		}
	}
}

// FuzzViews: each line by itself says the same as the file, and the longest prefix wins.
func FuzzViews(f *testing.F) {
	f.Add([]byte("198.51.100.0/24 opt_in a\n198.51.100.7/32 opt_out b # c\n0.0.0.0/1 opt_out c 2027-01-01\n"), []byte{198, 51, 100, 7})
	f.Add([]byte("2001:db8::/32 opt_out -\t2026-03-01\n2001:db8::/32 default x\n::/1 opt_in z"), netip.MustParseAddr("2001:db8::1").AsSlice())
	f.Fuzz(func(t *testing.T, file, ip []byte) {
		all, bad, err := readFixed(bytes.NewReader(file))
		a, ok := netip.AddrFromSlice(ip)
		if err != nil || !ok {
			return
		}
		a = netip.AddrFrom16(a.As16())
		seen := map[netip.Prefix]int{}
		byPrefix := map[netip.Prefix]View{}
		lines := 0
		for line := range bytes.Lines(file) {
			one, _, err := readFixed(bytes.NewReader(line))
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			for k, r := range one.rows {
				lines++
				p := netip.PrefixFrom(netip.AddrFrom16(k.addr), int(k.bits))
				seen[p]++
				byPrefix[p] = r.view
				if r.until != 0 && r.until <= noon.Unix() {
					byPrefix[p] = DefaultView
				}
			}
		}
		want, longest := DefaultView, -1
		for p, n := range seen {
			if n == 1 && p.Bits() > longest && in(p, a) {
				want, longest = byPrefix[p], p.Bits()
			}
		}
		var v views
		v.fixed.Store(all)
		if got := v.of(a, noon.Unix()); got != want {
			t.Errorf("%s sees %v, want %v (%d lines, bad %v)", a, got, want, lines, bad)
		}
	})
}

// in says that the address lies in the prefix, both of 16 octets.
func in(p netip.Prefix, a netip.Addr) bool {
	x, y := p.Addr().As16(), a.As16()
	for i := range p.Bits() {
		if (x[i/8]^y[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// What a view costs a blocked question: none, a file of lines, a file and sessions.
func BenchmarkViews(b *testing.B) {
	var lines strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&lines, "10.%d.%d.%d/32 opt_in L-%d\n", i>>16, i>>8&255, i&255, i)
	}
	for what, text := range map[string]string{"none": "", "file": lines.String(), "sessions": lines.String()} {
		b.Run(what, func(b *testing.B) {
			e, _ := viewsEdge(b, text)
			if what == "sessions" {
				for i := range 10_000 {
					p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32)
					if err := e.Session(Session{ID: p.String(), View: "opt_out", Prefixes: []netip.Prefix{p}, Until: noon.Add(time.Hour)}); err != nil {
						b.Fatal(err)
					}
				}
			}
			q := &dnsserve.Question{Name: []byte("\x03own\x07example\x00"), Type: dnsserve.TypeA, From: netip.AddrFrom16(netip.MustParseAddr("10.0.3.7").As16()), Scratch: make([]byte, 0, 512)}
			b.ReportAllocs()
			for b.Loop() {
				e.Answer(q)
			}
		})
	}
}
