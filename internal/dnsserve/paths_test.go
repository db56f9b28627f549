package dnsserve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// slowAnswer is what the fast path has to mean, made the slow way: with another
// parser, from the policy and the one answer that is cached. "forward" is a
// question for the resolvers, "silence" none at all.
func slowAnswer(m *dns.Msg, cached *dns.Msg) (string, *dns.Msg) {
	if m.Response {
		return "silence", nil
	}
	a := new(dns.Msg).SetReply(m)
	a.Authoritative, a.Truncated, a.AuthenticatedData, a.Zero, a.RecursionAvailable = false, false, false, false, true
	fault := func(rcode int) (string, *dns.Msg) { a.Rcode = rcode; return "answer", a }
	a.RecursionDesired, a.CheckingDisabled = m.RecursionDesired, m.CheckingDisabled
	if m.Opcode != dns.OpcodeQuery {
		a.Question = nil
		return fault(dns.RcodeNotImplemented)
	}
	var opt *dns.OPT
	bad := len(m.Question) != 1 || len(m.Answer) > 0 || len(m.Ns) > 0 || len(m.Extra) > 4 || m.Truncated || m.Authoritative
	for _, r := range m.Extra {
		if o, ok := r.(*dns.OPT); ok {
			bad = bad || opt != nil || o.Hdr.Name != "."
			opt = o
		}
	}
	if bad || m.Question[0].Qtype == 0 || m.Question[0].Qtype == dns.TypeOPT {
		a.Question = nil
		return fault(dns.RcodeFormatError)
	}
	q := m.Question[0]
	if opt != nil {
		a.SetEdns0(1232, opt.Do())
		if opt.Version() != 0 {
			return fault(dns.RcodeBadVers)
		}
	}
	if q.Qclass != dns.ClassINET || q.Qtype >= 128 && q.Qtype < 255 {
		return fault(dns.RcodeRefused)
	}
	name := strings.ToLower(q.Name)
	if dns.IsSubDomain("blocked.example.", name) {
		switch q.Qtype {
		case dns.TypeA:
			a.Answer = []dns.RR{rr("x. 60 IN A 192.0.2.1"), rr("x. 60 IN A 192.0.2.2")}
		case dns.TypeTXT:
			a.Rcode = dns.RcodeNameError
		}
		if len(a.Answer) == 0 {
			a.Ns = []dns.RR{rr("blocked.example. 60 IN SOA blocked.example. . 1 3600 600 86400 60")}
		}
		for _, r := range a.Answer {
			r.Header().Name = q.Name
		}
		return "answer", a
	}
	if dns.IsSubDomain("resolver.arpa.", name) {
		a.Ns = []dns.RR{rr("resolver.arpa. 300 IN SOA resolver.arpa. . 1 3600 600 86400 300")}
		return "answer", a
	}
	if name == cached.Question[0].Name && q.Qtype == dns.TypeA && m.RecursionDesired && !m.CheckingDisabled && !m.AuthenticatedData && (opt == nil || !opt.Do()) {
		for _, r := range cached.Answer {
			r = dns.Copy(r)
			r.Header().Ttl--
			a.Answer = append(a.Answer, r)
		}
		return "answer", a
	}
	return "forward", nil
}

// means is a message without what may differ: how records are spelled on the wire.
func means(m *dns.Msg) string {
	var b strings.Builder
	fmt.Fprintln(&b, m.Id, m.Response, m.Opcode, m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled, m.Zero, m.Rcode, m.Question)
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		var lines []string
		for _, r := range section {
			lines = append(lines, strings.ToLower(r.String()))
		}
		slices.Sort(lines)
		fmt.Fprintln(&b, lines)
	}
	if o := m.IsEdns0(); o != nil {
		fmt.Fprintln(&b, o.UDPSize(), o.Do(), o.Version())
	}
	return b.String()
}

// recordLengths is what the records of the additional section say of their length.
func recordLengths(b []byte) string {
	m, out := new(dns.Msg), ""
	m.Unpack(b)
	for _, r := range m.Extra {
		out += fmt.Sprintln(r.Header().Rdlength)
	}
	return out
}

// FuzzPaths: the same octets in, the same meaning out, whether they went the fast
// way or the slow one.
func FuzzPaths(f *testing.F) {
	cached := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	seed := func(change func(m *dns.Msg)) {
		m := cached.Copy()
		change(m)
		if b, err := m.Pack(); err == nil {
			f.Add(b)
		}
	}
	long := strings.Repeat("abcdefg.", 31) // 249 octets on the wire with its end
	for _, c := range []func(m *dns.Msg){
		func(m *dns.Msg) {}, edns, func(m *dns.Msg) { m.Question[0].Name = "WwW.bLocked.Example." },
		func(m *dns.Msg) {
			m.Question[0].Name = "x.blocked.example."
			m.Question[0].Qtype = dns.TypeTXT
			edns(m)
		},
		func(m *dns.Msg) { m.Question[0].Name = "blocked.example."; m.Question[0].Qtype = dns.TypeANY },
		func(m *dns.Msg) {
			m.Question[0] = dns.Question{Name: "version.bind.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS}
		},
		func(m *dns.Msg) { m.SetEdns0(4096, true); m.IsEdns0().SetVersion(3) },
		func(m *dns.Msg) { m.Question[0].Name = long }, func(m *dns.Msg) { m.Question[0].Name = long + "abc." },
		func(m *dns.Msg) { m.Question[0].Name = "_dns.Resolver.arpa." }, func(m *dns.Msg) { m.Question[0].Name = "a\\008resolver.arpa." },
		func(m *dns.Msg) { m.Question[0].Name = "." }, func(m *dns.Msg) { m.CheckingDisabled, m.AuthenticatedData = true, true },
		func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, func(m *dns.Msg) { m.Truncated = true }, func(m *dns.Msg) { m.Response = true },
		func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, func(m *dns.Msg) { m.Extra = []dns.RR{rr("k. 0 IN A 192.0.2.1")} },
	} {
		seed(c)
	}
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\xc0\x0c\x00\x01\x00\x01")) // a name that ends in itself
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07blocked\x07exam\x00le\x00\x00\x01\x00\x01"))

	f.Add([]byte("\x82\x7f\x00\xf6\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x00pQe\x00\x00\x01\x00\x01\x00\x00)\x04\xd0\x00\x00\x80\x00\x00\x00")) // a URI record of no octets with four behind it

	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	s, _ := New(cfg, block, nil, nil, nil)
	w, out := s.worker(0), make([]byte, maxUDP)
	b, _ := cached.Pack()
	cached.Answer = []dns.RR{rr("a.example. 300 IN CNAME alias.example."), rr("alias.example. 200 IN A 192.0.2.9")}
	reply := cached.Copy()
	reply.Response, reply.RecursionAvailable = true, true
	rb, _ := reply.Pack()
	w.q.parse(b, 0)
	kept, ttl, _, err := keep(nil, rb, cached.Id, question(&w.q))
	if err != nil {
		f.Fatal(err)
	}
	s.cache.put(w.q.cacheKey(nil), kept, 0, ttl, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if len(b) < headerLen || m.Unpack(b) != nil {
			return // FuzzQuestion has these
		}
		n, forward := w.handle(out, b, true, 0, 1)
		how, want := slowAnswer(m, cached)
		got := new(dns.Msg)
		if n > 0 {
			if err := got.Unpack(out[:n]); err != nil {
				t.Fatalf("our answer %x to %x: %v", out[:n], b, err)
			}
		}
		// The other parser takes what is cut short, counts wrong, has octets behind it, points
		// backwards in the first name, or has a record longer than its length says; we refuse that,
		// and nothing else.
		if n > 0 && got.Rcode == dns.RcodeFormatError {
			again, err := m.Pack()
			if err != nil || len(again) != len(b) || string(again[4:headerLen]) != string(b[4:headerLen]) || recordLengths(again) != recordLengths(b) {
				return
			}
		}
		switch {
		case how == "silence" && (n > 0 || forward), how == "forward" && !forward, how == "answer" && (n == 0 || forward):
			t.Fatalf("%x: want %s, got %d octets, forward %v", b, how, n, forward)
		case how == "answer" && means(got) != means(want):
			t.Fatalf("%x:\ngot  %s\nwant %s", b, means(got), means(want))
		}
	})
}
