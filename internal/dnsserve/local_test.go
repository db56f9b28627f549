package dnsserve

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func wantsNSID(m *dns.Msg) {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
}

// Who asks for it is told who we are, with every kind of answer; nobody else is.
func TestNSID(t *testing.T) {
	sv := serve(t, block, func(c *Config) { c.NSID, c.Chaos = "edge-3.ams", true }, newWorld(t, echo).addr)
	nsid := func(m *dns.Msg) string {
		for _, o := range m.IsEdns0().Option {
			if n, ok := o.(*dns.EDNS0_NSID); ok {
				var b []byte
				fmt.Sscanf(n.Nsid, "%x", &b)
				return string(b)
			}
		}
		return ""
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"blocked.example.", "a.example.", "a.example.", "nx.example.", "ede.example.", "_dns.resolver.arpa.", "big.example."} {
			if m := ask(t, sv, network, name, dns.TypeA, wantsNSID); nsid(m) != "edge-3.ams" {
				t.Errorf("%s over %s: got %v", name, network, m)
			}
			if m := ask(t, sv, network, name, dns.TypeA, edns); nsid(m) != "" {
				t.Errorf("%s over %s: told without being asked: %v", name, network, m)
			}
		}
	}
	if m := ask(t, sv, "udp", "a.example.", dns.TypeAXFR, wantsNSID); m.Rcode != dns.RcodeRefused || nsid(m) != "edge-3.ams" {
		t.Errorf("a refusal: got %v", m)
	}
	chaos := func(name string, typ uint16) *dns.Msg {
		return ask(t, sv, "udp", name, typ, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
	}
	for _, name := range []string{"id.server.", "Hostname.bind."} {
		m := chaos(name, dns.TypeTXT)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != "edge-3.ams" || m.Answer[0].Header().Class != dns.ClassCHAOS || m.Answer[0].Header().Name != name {
			t.Errorf("%s: got %v", name, m)
		}
	}
	for _, m := range []*dns.Msg{chaos("version.bind.", dns.TypeTXT), chaos("id.server.", dns.TypeA)} {
		if m.Rcode != dns.RcodeRefused {
			t.Errorf("got %v", m)
		}
	}
	off := serve(t, block, nil, newWorld(t, echo).addr)
	if m := ask(t, off, "udp", "id.server.", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }); m.Rcode != dns.RcodeRefused {
		t.Errorf("off: got %v", m)
	}
	if m := ask(t, off, "udp", "a.example.", dns.TypeA, wantsNSID); nsid(m) != "" {
		t.Errorf("off: got %v", m)
	}
}

func TestDesignation(t *testing.T) {
	doors, _ := encrypted(t)
	wd := newWorld(t, echo)
	sv := serve(t, block, func(c *Config) {
		doors(c)
		c.DDRName, c.DDRAddresses = "dns.operator.example", []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	}, wd.addr)
	m := ask(t, sv, "udp", "_DNS.resolver.arpa.", dns.TypeSVCB, edns)
	if len(m.Answer) != 2 || m.Truncated {
		t.Fatalf("got %v", m)
	}
	for i, want := range []string{
		`1 dns.operator.example. alpn="dot" port="` + portOf(sv.dot) + `" ipv4hint="192.0.2.53" ipv6hint="2001:db8::53"`,
		`2 dns.operator.example. alpn="h2" port="` + portOf(sv.doh) + `" ipv4hint="192.0.2.53" ipv6hint="2001:db8::53" dohpath="/dns-query{?dns}"`,
	} {
		if got := m.Answer[i].String(); !strings.HasSuffix(got, "IN\tSVCB\t"+want) || !strings.HasPrefix(got, "_DNS.resolver.arpa.\t300\t") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for _, q := range []struct {
		name string
		typ  uint16
	}{{"_dns.resolver.arpa.", dns.TypeA}, {"resolver.arpa.", dns.TypeSVCB}, {"x.resolver.arpa.", dns.TypeA}, {"x._dns.resolver.arpa.", dns.TypeSVCB}} {
		if m := ask(t, sv, "udp", q.name, q.typ, nil); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 || len(m.Ns) != 1 || m.Ns[0].Header().Name != "resolver.arpa." {
			t.Errorf("%v: got %v", q, m)
		}
	}
	if n := wd.asked.Load(); n != 0 {
		t.Errorf("%d questions went on to the resolvers", n)
	}
	for _, name := range []string{"arpa.", "xresolver.arpa.", "a\\008resolver.arpa."} {
		before := wd.asked.Load()
		if ask(t, sv, "udp", name, dns.TypeA, nil); wd.asked.Load() == before {
			t.Errorf("%s is answered here", name)
		}
	}
	// Where nothing is designated there is no data.
	plainly := serve(t, block, nil, wd.addr)
	if m := ask(t, plainly, "udp", "_dns.resolver.arpa.", dns.TypeSVCB, nil); len(m.Answer) != 0 || len(m.Ns) != 1 || m.Rcode != dns.RcodeSuccess {
		t.Errorf("got %v", m)
	}
}

func portOf(addr string) string { _, p, _ := strings.Cut(addr, ":"); return p }

func TestAbout_validate(t *testing.T) {
	tls := Encrypted{ListenTLS: "x:853"}
	for what, c := range map[string]struct {
		a    About
		e    Encrypted
		good bool
	}{
		"nothing":              {good: true},
		"all":                  {About{NSID: "x", Chaos: true, DDRName: "dns.example", DDRAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, tls, true},
		"chaos without a name": {About{Chaos: true}, tls, false},
		"a long name":          {About{NSID: strings.Repeat("x", 65)}, tls, false},
		"letters beyond ASCII": {About{NSID: "é"}, tls, false},
		"DDR without TLS":      {About{DDRName: "dns.example"}, Encrypted{}, false},
		"no name":              {About{DDRName: "a..b"}, tls, false},
		"addresses of no name": {About{DDRAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, tls, false},
	} {
		if err := c.a.validate(c.e); (err == nil) != c.good {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
