package session_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	. "bolwerk/abuse/session"
)

// example is the one of RFC 7422, section 2.
var example = NATRule{Name: "cgn1", InsideFirst: netip.MustParseAddr("198.51.100.1"), InsideLast: netip.MustParseAddr("198.51.100.14"),
	OutsideFirst: netip.MustParseAddr("192.0.2.1"), OutsideLast: netip.MustParseAddr("192.0.2.1"), Reserved: 1024, Dynamic: 2}

func TestNATRule_of_the_RFC(t *testing.T) {
	if err := example.Validate(); err != nil {
		t.Fatal(err)
	}
	for inside, want := range map[string]Ports{"198.51.100.1": {1024, 5055}, "198.51.100.2": {5056, 9087}, "198.51.100.14": {53440, 57471}} {
		a := netip.MustParseAddr(inside)
		out, ports, ok := example.Outside(a)
		if !ok || out.String() != "192.0.2.1" || ports != want {
			t.Errorf("%s: %s %v (%v), want 192.0.2.1 %v", inside, out, ports, ok, want)
		}
		for _, port := range []uint16{want.First, want.Last} {
			if got := example.Held(out, port, 100); len(got) != 1 || got[0].Inside != a || got[0].Ports != want {
				t.Errorf("port %d: %+v, want %s", port, got, inside)
			}
		}
	}
	for _, port := range []uint16{1, 1023, 57472, 65535} { // reserved, and dynamic
		if got := example.Held(netip.MustParseAddr("192.0.2.1"), port, 100); len(got) != 0 {
			t.Errorf("port %d is of %+v, want nobody", port, got)
		}
	}
	if got := example.Held(netip.MustParseAddr("192.0.2.1"), 0, 100); len(got) != 14 {
		t.Errorf("%d share the address, want 14", len(got))
	}
	if got := example.Held(netip.MustParseAddr("192.0.2.2"), 2000, 100); len(got) != 0 {
		t.Errorf("an address of nobody: %+v", got)
	}
}

// Whatever the numbers: who has a port is who is given it.
func TestNATRule_both_ways(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 4))
	for range 3000 {
		n := NATRule{Name: "cgn", InsideFirst: netip.AddrFrom4([4]byte{100, 64, byte(r.IntN(9)), byte(r.IntN(256))}), OutsideFirst: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(9))}),
			Reserved: r.IntN(2000), Dynamic: r.IntN(5)}
		n.InsideLast = netip.AddrFrom4([4]byte{100, 64, 9 + byte(r.IntN(9)), byte(r.IntN(256))})
		n.OutsideLast = netip.AddrFrom4([4]byte{192, 0, 2, 9 + byte(r.IntN(30))})
		if n.Validate() != nil {
			continue
		}
		inside := netip.AddrFrom4([4]byte{100, 64, byte(r.IntN(18)), byte(r.IntN(256))})
		out, ports, ok := n.Outside(inside)
		if !ok {
			continue
		}
		for _, port := range []uint16{ports.First, ports.Last, ports.First + (ports.Last-ports.First)/2} {
			if got := n.Held(out, port, 100); port != 0 && (len(got) != 1 || got[0].Inside != inside) {
				t.Fatalf("%+v: %s has %s %d-%d, and port %d is of %+v", n, inside, out, ports.First, ports.Last, port, got)
			}
		}
	}
}

func TestNATRule_is_refused(t *testing.T) {
	for name, change := range map[string]func(*NATRule){
		"no name":                func(r *NATRule) { r.Name = "" },
		"no address":             func(r *NATRule) { r.InsideLast = netip.Addr{} },
		"IPv6":                   func(r *NATRule) { r.OutsideLast = netip.MustParseAddr("2001:db8::1") },
		"backwards":              func(r *NATRule) { r.InsideLast = netip.MustParseAddr("198.51.100.0") },
		"more outside":           func(r *NATRule) { r.OutsideLast = netip.MustParseAddr("192.0.2.100") },
		"all ports reserved":     func(r *NATRule) { r.Reserved = 65535 },
		"a negative number":      func(r *NATRule) { r.Dynamic = -1 },
		"less than a port each":  func(r *NATRule) { r.Reserved = 65530 },
		"nobody shares anything": func(r *NATRule) { r.InsideLast, r.Dynamic = r.InsideFirst, 0 },
		"over before it begins":  func(r *NATRule) { r.From, r.Until = noon, noon.Add(-time.Hour) },
	} {
		r := example
		change(&r)
		if err := r.Validate(); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
