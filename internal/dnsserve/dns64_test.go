package dnsserve

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The table of RFC 6052 section 2.4.
func TestDNS64_embed(t *testing.T) {
	for prefix, want := range map[string]string{
		"2001:db8::/32":         "2001:db8:c000:221::",
		"2001:db8:100::/40":     "2001:db8:1c0:2:21::",
		"2001:db8:122::/48":     "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
		"2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
		"64:ff9b::/96":          "64:ff9b::192.0.2.33",
	} {
		d := DNS64{DNS64: netip.MustParsePrefix(prefix), DNS64For: []string{"2001:db8::/32"}}
		if err := d.validate(); err != nil {
			t.Error(err)
		}
		if got, ok := d.embed(netip.MustParseAddr("192.0.2.33")); !ok || got != netip.MustParseAddr(want) {
			t.Errorf("%s: got %s, want %s", prefix, got, want)
		}
	}
	d := DNS64{DNS64: wellKnown64}
	for _, a := range []string{"10.1.2.3", "127.0.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0"} {
		if _, ok := d.embed(netip.MustParseAddr(a)); ok {
			t.Errorf("the well-known prefix stands for %s", a)
		}
	}
	for _, bad := range []DNS64{
		{DNS64: netip.MustParsePrefix("64:ff9b::/96")}, {DNS64For: []string{"::/0"}}, {DNS64: netip.MustParsePrefix("192.0.2.0/24"), DNS64For: []string{"::/0"}},
		{DNS64: netip.MustParsePrefix("2001:db8::/72"), DNS64For: []string{"::/0"}}, {DNS64: netip.MustParsePrefix("2001:db8::1/96"), DNS64For: []string{"::/0"}},
		{DNS64: netip.MustParsePrefix("2001:db8:0:0:100::/96"), DNS64For: []string{"::/0"}}, {DNS64: wellKnown64, DNS64For: []string{"x"}},
	} {
		if bad.validate() == nil {
			t.Errorf("%+v is good", bad)
		}
	}
}

// sixes answers by the first label what a name has.
func sixes(w dns.ResponseWriter, m *dns.Msg) {
	a, q := new(dns.Msg).SetReply(m), m.Question[0]
	a.RecursionAvailable, a.AuthenticatedData = true, true
	label, _, _ := strings.Cut(strings.ToLower(q.Name), ".")
	four, six := label != "six" && label != "none" && label != "nx", label == "six" || label == "both"
	switch {
	case label == "nx":
		a.Rcode = dns.RcodeNameError
	case label == "broken" && q.Qtype == dns.TypeAAAA:
		a.Rcode = dns.RcodeServerFailure
	case label == "mapped" && q.Qtype == dns.TypeAAAA:
		a.Answer = []dns.RR{rr(q.Name + " 300 IN AAAA ::ffff:192.0.2.1")}
	case label == "alias":
		a.Answer = []dns.RR{rr(q.Name + " 250 IN CNAME real.example.")}
		if q.Qtype == dns.TypeA {
			a.Answer = append(a.Answer, rr("real.example. 300 IN A 192.0.2.33"), rr("real.example. 300 IN A 192.0.2.34"))
		}
	case q.Qtype == dns.TypeA && four:
		a.Answer = []dns.RR{rr(q.Name + " 300 IN A 192.0.2.33")}
	case q.Qtype == dns.TypeAAAA && six:
		a.Answer = []dns.RR{rr(q.Name + " 300 IN AAAA 2001:db8::6")}
	}
	if len(a.Answer) == 0 && a.Rcode != dns.RcodeServerFailure {
		a.Ns = []dns.RR{rr("example. 900 IN SOA ns.example. root.example. 1 2 3 4 120")}
	}
	if o := m.IsEdns0(); o != nil {
		a.SetEdns0(1232, o.Do())
	}
	w.WriteMsg(a)
}

func TestDNS64(t *testing.T) {
	wd := newWorld(t, sixes)
	sv := serve(t, block, func(c *Config) {
		c.DNS64 = DNS64{DNS64: netip.MustParsePrefix("64:ff9b::/96"), DNS64For: []string{"127.0.0.0/8"}}
	}, wd.addr)
	for _, c := range []struct {
		name, want string
		ttl        uint32
	}{
		{"four.example.", "64:ff9b::c000:221", 120},
		{"both.example.", "2001:db8::6", 300},
		{"six.example.", "2001:db8::6", 300},
		{"none.example.", "", 0},
		{"nx.example.", "", 0},
		{"broken.example.", "64:ff9b::c000:221", 300},
		{"mapped.example.", "64:ff9b::c000:221", 300},
		{"alias.example.", "real.example. 64:ff9b::c000:221 64:ff9b::c000:222", 250},
		{"blocked.example.", "", 0},
	} {
		for try := range 2 { // asked, and from the cache
			before := wd.asked.Load()
			m := ask(t, sv, "udp", c.name, dns.TypeAAAA, nil)
			var got []string
			for _, r := range m.Answer {
				if r.Header().Ttl > c.ttl && c.name != "alias.example." {
					t.Errorf("%s: TTL %d, want at most %d", c.name, r.Header().Ttl, c.ttl)
				}
				switch r := r.(type) {
				case *dns.CNAME:
					got = append(got, r.Target)
				case *dns.AAAA:
					got = append(got, r.AAAA.String())
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: got %v, want %s", c.name, m, c.want)
			}
			if try == 1 && c.want != "" && wd.asked.Load() != before {
				t.Errorf("%s is asked for again", c.name)
			}
			if strings.HasPrefix(c.want, "64:") && m.AuthenticatedData {
				t.Errorf("%s: what is made up is called authentic", c.name)
			}
		}
	}
	if m := ask(t, sv, "udp", "nx.example.", dns.TypeAAAA, nil); m.Rcode != dns.RcodeNameError {
		t.Errorf("nx: got %v", m)
	}
	// Who validates gets what is there; so does everybody else beside.
	if m := ask(t, sv, "udp", "four.example.", dns.TypeAAAA, func(m *dns.Msg) { m.SetEdns0(1232, true); m.CheckingDisabled = true }); len(m.Answer) != 0 {
		t.Errorf("DO and CD: got %v", m)
	}
	if m := ask(t, sv, "udp", "four.example.", dns.TypeAAAA, func(m *dns.Msg) { m.SetEdns0(1232, true) }); len(m.Answer) != 1 {
		t.Errorf("DO: got %v", m)
	}
	if m := ask(t, sv, "udp", "four.example.", dns.TypeA, nil); len(m.Answer) != 1 {
		t.Errorf("A: got %v", m)
	}
	change := sv.s.cfg
	change.DNS64For = []string{"2001:db8::/32"}
	if restart, err := sv.s.Reload(change); err != nil || len(restart) > 0 {
		t.Fatal(restart, err)
	}
	if m := ask(t, sv, "udp", "four.example.", dns.TypeAAAA, nil); len(m.Answer) != 0 {
		t.Errorf("who has IPv4: got %v", m)
	}
}

// FuzzRemake: whatever a resolver answered, what is made of it can be read, and has an
// IPv6 address for each IPv4 address that may have one.
func FuzzRemake(f *testing.F) {
	seed := func(answers ...string) {
		m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		m.Response, m.Id = true, 0
		for _, r := range answers {
			m.Answer = append(m.Answer, rr(r))
		}
		m.Compress = true
		b, _ := m.Pack()
		f.Add(b)
	}
	seed("a.example. 300 IN A 192.0.2.1")
	seed("a.example. 300 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.1", "b.example. 60 IN A 10.0.0.1", "b.example. 60 IN TXT x")
	question := []byte("\x01a\x07example\x00\x00\x01\x00\x01")
	d := DNS64{DNS64: wellKnown64}
	f.Fuzz(func(t *testing.T, msg []byte) {
		kept, _, _, err := keep(nil, msg, 0, question)
		if err != nil {
			return
		}
		l := lookup{name: question[:len(question)-4], typ: TypeAAAA}
		hasAAAA(kept, l)
		made, _, ok := d.remake(kept, l, synthTTL)
		if !ok {
			return
		}
		var q Question
		ask, _ := new(dns.Msg).SetQuestion("a.example.", dns.TypeAAAA).Pack()
		if q.parse(ask, 0) != good {
			t.Fatal("the question is bad")
		}
		out := make([]byte, maxReply)
		n := q.reply(out, maxReply, made, 0, false)
		m := new(dns.Msg)
		if err := m.Unpack(out[:n]); err != nil {
			t.Fatal(err)
		}
		if !hasAAAA(made, l) || len(m.Ns)+len(m.Extra) != 0 || m.AuthenticatedData {
			t.Errorf("got %v", m)
		}
	})
}
