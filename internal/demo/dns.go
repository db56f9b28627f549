package demo

import (
	"context"
	"errors"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Upstream is the DNS of the invented world, as the operator's edge asks it: an
// authority for "example". Each name below it has addresses that follow from the
// name (A in 198.51.100.0/24 and 203.0.113.0/24 of RFC 5737, AAAA in
// 2001:db8::/32 of RFC 3849), mail, text and name servers; MissingName and all
// below do not exist, and nothing outside does (NXDOMAIN).
type Upstream struct{}

// MissingName does not exist, for those who want to see that.
const MissingName = "missing.example"

// ttl of all records, in seconds.
const ttl = 300

// Run answers on both until ctx ends, and closes them.
func (u Upstream) Run(ctx context.Context, udp net.PacketConn, tcp net.Listener) error {
	servers := []*dns.Server{{PacketConn: udp}, {Listener: tcp}}
	ended := make(chan error, len(servers))
	ready := make(chan struct{}, len(servers))
	for _, s := range servers {
		s.Handler = u
		s.ReadTimeout, s.WriteTimeout = 5*time.Second, 5*time.Second
		s.NotifyStartedFunc = func() { ready <- struct{}{} }
		go func() { ended <- s.ActivateAndServe() }()
	}
	var failed error
	running := len(servers)
	for started := 0; started < running && failed == nil; {
		select {
		case <-ready:
			started++
		case failed = <-ended:
			running--
		}
	}
	if failed == nil {
		select {
		case <-ctx.Done():
		case failed = <-ended:
			running--
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for _, s := range servers {
		s.ShutdownContext(last) // one that never started has nothing to end
	}
	udp.Close()
	tcp.Close()
	for range running {
		failed = errors.Join(failed, <-ended)
	}
	if ctx.Err() != nil {
		return nil
	}
	return failed
}

// ServeDNS answers one query.
func (u Upstream) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := Answer(q)
	size := dns.MinMsgSize
	if o := q.IsEdns0(); o != nil {
		size = max(size, int(o.UDPSize()))
	}
	if _, ok := w.RemoteAddr().(*net.TCPAddr); ok {
		size = dns.MaxMsgSize
	}
	m.Truncate(min(size, dns.MaxMsgSize))
	w.WriteMsg(m) // a client that is gone asks again
}

// Answer makes the answer to a query.
func Answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, o.Do())
	}
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
		return m
	case len(q.Question) != 1 || q.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
		return m
	}
	m.Authoritative = true
	asked := q.Question[0]
	n := strings.ToLower(asked.Name)
	zone := "example."
	if !dns.IsSubDomain(zone, n) {
		zone = "."
	}
	if zone == "." && n != "." || dns.IsSubDomain(MissingName+".", n) {
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{soa(zone)}
		return m
	}
	if m.Answer = records(asked.Name, n, asked.Qtype); len(m.Answer) == 0 {
		m.Ns = []dns.RR{soa(zone)}
	}
	return m
}

// records are those of a name that exists; owner is the name as it was asked.
func records(owner, n string, kind uint16) []dns.RR {
	head := dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	apex := n == "." || n == "example."
	switch kind {
	case dns.TypeSOA:
		if apex {
			return []dns.RR{soa(n)}
		}
	case dns.TypeNS:
		if apex {
			return []dns.RR{&dns.NS{Hdr: head, Ns: "ns1.example."}, &dns.NS{Hdr: head, Ns: "ns2.example."}}
		}
	case dns.TypeANY:
		head.Rrtype = dns.TypeHINFO // RFC 8482 section 4.2
		return []dns.RR{&dns.HINFO{Hdr: head, Cpu: "RFC8482"}}
	}
	if apex {
		return nil
	}
	four, six := addresses(n)
	switch kind {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: head, A: four.AsSlice()}}
	case dns.TypeAAAA:
		return []dns.RR{&dns.AAAA{Hdr: head, AAAA: six.AsSlice()}}
	case dns.TypeMX:
		return []dns.RR{&dns.MX{Hdr: head, Preference: 10, Mx: "mail.example."}}
	case dns.TypeTXT:
		return []dns.RR{&dns.TXT{Hdr: head, Txt: []string{"v=spf1 mx -all"}}}
	}
	return nil
}

// addresses of a name in lower case, always the same.
func addresses(n string) (four, six netip.Addr) {
	h := fnv.New64a()
	h.Write([]byte(n))
	sum := h.Sum64()
	net4 := [3]byte{198, 51, 100}
	if sum>>32&1 == 1 {
		net4 = [3]byte{203, 0, 113}
	}
	four = netip.AddrFrom4([4]byte{net4[0], net4[1], net4[2], byte(1 + sum%254)})
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for i := range 8 {
		a[8+i] = byte(sum >> (8 * i))
	}
	return four, netip.AddrFrom16(a)
}

func soa(zone string) dns.RR {
	return &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns: "ns1.example.", Mbox: "hostmaster.example.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 604800, Minttl: 60}
}
