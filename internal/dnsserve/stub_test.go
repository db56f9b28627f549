package dnsserve

import (
	"testing"

	"github.com/miekg/dns"
)

// where answers with an address of its own.
func where(t *testing.T, addr string) *world {
	return newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		a := new(dns.Msg).SetReply(m)
		a.Answer = []dns.RR{rr(m.Question[0].Name + " 0 IN A " + addr)}
		w.WriteMsg(a)
	})
}

func TestStub(t *testing.T) {
	rest, inner, deep := where(t, "192.0.2.1"), where(t, "192.0.2.2"), where(t, "192.0.2.3")
	sv := serve(t, block, func(c *Config) {
		c.Stub = []Stub{{Zones: []string{"corp.example", "2.0.192.in-addr.arpa"}, Upstream: []string{inner.addr}}, {Zones: []string{"deep.corp.example"}, Upstream: []string{deep.addr}}, {Zones: []string{"z.example"}, Upstream: []string{rest.addr}}}
	}, rest.addr)
	want := func(name, addr string) {
		t.Helper()
		if m := ask(t, sv, "udp", name, dns.TypeA, nil); len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != addr {
			t.Errorf("%s: got %v, want %s", name, m, addr)
		}
	}
	want("a.example.", "192.0.2.1")
	want("corp.example.", "192.0.2.2")
	want("x.Corp.example.", "192.0.2.2")
	want("7.2.0.192.in-addr.arpa.", "192.0.2.2")
	want("xcorp.example.", "192.0.2.1")
	want("x\\004corp.example.", "192.0.2.1") // one label that holds the octets of the zone
	want("a.deep.corp.example.", "192.0.2.3")
	if n := len(sv.s.up.all()); n != 3 {
		t.Errorf("got %d resolvers, want 3: one is in two groups", n)
	}
	// Blocks come first here too, and a reload takes stubs away and brings them.
	change := sv.s.cfg
	change.Stub = []Stub{{Zones: []string{"other.example"}, Upstream: []string{inner.addr}}}
	kept := sv.s.up.of([]byte("\x04corp\x07example\x00")).list()[0]
	if restart, err := sv.s.Reload(change); err != nil || len(restart) > 0 {
		t.Fatal(restart, err)
	}
	want("corp.example.", "192.0.2.1")
	want("a.other.example.", "192.0.2.2")
	if sv.s.up.of([]byte("\x05other\x07example\x00")).list()[0] != kept {
		t.Error("a resolver that stays is not the same")
	}
	for what, bad := range map[string][]Stub{
		"no zone":           {{Upstream: []string{inner.addr}}},
		"no resolver":       {{Zones: []string{"x.example"}}},
		"no name":           {{Zones: []string{"x..example"}, Upstream: []string{inner.addr}}},
		"a resolver's name": {{Zones: []string{"x.example"}, Upstream: []string{"ns.example:53"}}},
		"a zone twice":      {{Zones: []string{"x.example"}, Upstream: []string{inner.addr}}, {Zones: []string{"X.example"}, Upstream: []string{deep.addr}}},
	} {
		change.Stub = bad
		if change.Validate() == nil {
			t.Errorf("%s is good", what)
		}
	}
}
