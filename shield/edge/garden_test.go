package edge

import (
	"net/netip"
	"testing"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/lineview"
	"bolwerk/internal/nameset"
)

const typeHTTPS = 65

// gardenEdge has leaky guests at 198.51.100.7 and strict ones at .8.
func gardenEdge(t testing.TB) *Edge {
	t.Helper()
	e, _ := viewsEdge(t, "")
	e.SetGarden(Garden{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")},
		Checks:  []bolwerk.Domain{bolwerk.MustDomain("captive.apple.com"), bolwerk.MustDomain("safe.isp.example")},
		Allowed: []bolwerk.Domain{bolwerk.MustDomain("isp.example"), bolwerk.MustDomain("pub.3gppnetwork.org")}})
	head := copies.Head{MadeAt: noon}
	if err := e.Lines().Reset(head, func(yield func(copies.Entry) bool) {
		for _, en := range []copies.Entry{lineEntry("198.51.100.7/32", lineview.GardenLeaky, noon.Add(time.Hour)), lineEntry("198.51.100.8/32", lineview.GardenStrict, noon.Add(time.Hour)),
			{ID: lineview.Alive, Version: 1, Until: noon.Add(2 * time.Minute).UnixMicro(), Body: []byte(`{}`)}} {
			yield(en)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// gives is what the edge answers by itself: an address, "none", "no name", or "" where
// the question goes on.
func gives(e *Edge, from, name string, typ uint16, change ...func(*dnsserve.Question)) (string, dnsserve.Answer) {
	q := &dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain(name)), Type: typ, Class: 1, Worker: -1, EDNS: true, From: netip.MustParseAddr(from), Scratch: make([]byte, 0, 512)}
	for _, f := range change {
		f(q)
	}
	a, ok := e.Answer(q)
	switch {
	case !ok:
		return "", a
	case a.Rcode == dnsserve.NXDomain:
		return "no name", a
	case len(a.Addrs) == 0:
		return "none", a
	}
	ip, _ := netip.AddrFromSlice(a.Addrs)
	return ip.String(), a
}

func TestGarden(t *testing.T) {
	e := gardenEdge(t)
	const leaky, strict, other = "198.51.100.7", "198.51.100.8", "198.51.100.9"
	for _, c := range []struct {
		from, name string
		typ        uint16
		want       string
	}{
		{leaky, "www.example", dnsserve.TypeA, ""},
		{leaky, "captive.apple.com", dnsserve.TypeA, "192.0.2.9"},
		{leaky, "captive.apple.com", dnsserve.TypeAAAA, "2001:db8::9"},
		{leaky, "captive.apple.com", typeHTTPS, "none"},
		{leaky, "www.captive.apple.com", dnsserve.TypeA, ""},
		{leaky, "safe.isp.example", dnsserve.TypeA, "192.0.2.9"},
		{leaky, "use-application-dns.net", dnsserve.TypeA, "no name"},
		{leaky, "mask.icloud.com", dnsserve.TypeAAAA, "no name"},
		{strict, "www.example", dnsserve.TypeA, "192.0.2.9"},
		{strict, "www.example", dnsserve.TypeMX, "none"},
		{strict, "isp.example", dnsserve.TypeA, ""},
		{strict, "mail.isp.example", dnsserve.TypeMX, ""},
		{strict, "epdg.epc.mnc001.mcc206.pub.3gppnetwork.org", dnsserve.TypeA, ""},
		{strict, "evilisp.example", dnsserve.TypeA, "192.0.2.9"},
		{strict, "_dns.resolver.arpa", 64, ""},
		{strict, "7.2.0.192.in-addr.arpa", 12, ""},
		{other, "captive.apple.com", dnsserve.TypeA, ""},
		{other, "use-application-dns.net", dnsserve.TypeA, ""},
	} {
		got, a := gives(e, c.from, c.name, c.typ)
		if got != c.want {
			t.Errorf("%s asks %s %d: %q, want %q", c.from, c.name, c.typ, got, c.want)
		}
		if got != "" && (a.TTL > 30 || a.EDE == 0 || string(a.Text) != "safe environment") {
			t.Errorf("%s asks %s: %+v: want a short TTL and an error that says why", c.from, c.name, a)
		}
	}
	for _, from := range []string{leaky, strict} {
		if got, a := gives(e, from, "own.example", dnsserve.TypeA); got == "" || got == "192.0.2.9" || a.TTL != e.cfg.TTL {
			t.Errorf("%s asks for a blocked name: %q, want the warning page's", from, got)
		}
	}
	if got, _ := gives(e, strict, "www.example", dnsserve.TypeA, func(q *dnsserve.Question) { q.Structured = true }); got != "no name" {
		t.Errorf("who reads structured errors is answered %q, want no forged address", got)
	}
	e.clock.(interface{ Add(time.Duration) }).Add(2 * time.Minute)
	e.tick()
	for _, from := range []string{leaky, strict} {
		if got, _ := gives(e, from, "captive.apple.com", dnsserve.TypeA); got != "" || !e.Doubtful() {
			t.Errorf("%s has a garden though no accounting comes in: %q", from, got)
		}
	}
}

func TestGarden_ends(t *testing.T) {
	e := gardenEdge(t)
	if err := e.Lines().Apply(copies.Head{MadeAt: noon}, []copies.Entry{{ID: "198.51.100.7/32", Version: 2, Removed: true}, lineEntry("198.51.100.8/32", lineview.OptIn, noon.Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if n := e.views.gardens.Load(); n != 0 {
		t.Errorf("%d lines in quarantine, want none", n)
	}
	if got := sees(e, "198.51.100.8"); got != optedIn {
		t.Errorf("it sees %q", got)
	}
	if err := e.Session(Session{ID: "nas1/1", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, View: lineview.GardenLeaky, Until: noon.Add(time.Hour)}); err == nil {
		t.Error("somebody on this machine put a line in quarantine")
	}
}

// A name that nobody blocks, asked by who is not in quarantine: what every question pays
// for the garden, with nobody and with 20,000 lines in it; and by a guest.
func BenchmarkGarden(b *testing.B) {
	ask := func(b *testing.B, e *Edge, from string) {
		q := &dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain("www.news.example")), Type: dnsserve.TypeA, Class: 1, Worker: -1, From: netip.AddrFrom16(netip.MustParseAddr(from).As16()), Scratch: make([]byte, 0, 512)}
		b.ReportAllocs()
		for b.Loop() {
			e.Answer(q)
		}
	}
	b.Run("nobody", func(b *testing.B) {
		e, _ := viewsEdge(b, "")
		ask(b, e, "192.0.2.7")
	})
	e := gardenEdge(b)
	var all []copies.Entry
	for i := range 20_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 32)
		if i%2 == 1 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 1, byte(i >> 8), byte(i)}), 56)
		}
		all = append(all, lineEntry(p.String(), lineview.GardenLeaky, noon.Add(time.Hour)))
	}
	if err := e.Lines().Apply(copies.Head{MadeAt: noon}, all); err != nil {
		b.Fatal(err)
	}
	b.Run("20000_others", func(b *testing.B) { ask(b, e, "192.0.2.7") })
	b.Run("guest", func(b *testing.B) { ask(b, e, "198.51.100.7") })
	b.Run("strict", func(b *testing.B) { ask(b, e, "198.51.100.8") })
}
