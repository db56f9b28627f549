package dnsserve

import (
	"context"
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"bolwerk"
)

// DNS64 (RFC 6147): who has IPv6 alone reaches what has IPv4 alone through the operator's
// NAT64. An answer that was made up is kept in the cache apart from the real one; it is
// made on the way to the resolvers, so that the fast path knows nothing of it.

// DNS64 is for whom addresses are made up, and how.
type DNS64 struct {
	// DNS64 is the NAT64's prefix, such as 64:ff9b::/96: names without an IPv6 address get
	// one below it, with their IPv4 address in it (RFC 6147). Empty is none.
	DNS64 netip.Prefix `toml:"dns64"`
	// DNS64For are the prefixes of those who have IPv6 alone.
	DNS64For []string `toml:"dns64_for"`
}

func (d DNS64) validate() error {
	if _, err := newACL(d.DNS64For); err != nil {
		return err
	}
	switch p := d.DNS64; {
	case !p.IsValid():
		if len(d.DNS64For) > 0 {
			return bolwerk.Invalid("dns: dns64_for without dns64")
		}
		return nil
	case len(d.DNS64For) == 0:
		return bolwerk.Invalid("dns: dns64 without dns64_for: name the networks that have IPv6 alone")
	case !p.Addr().Is6() || p.Addr().Is4In6() || p != p.Masked() || p.Bits() < 32 || p.Bits() > 96 || p.Bits()%8 != 0 || p.Bits() > 64 && p.Bits() < 96 || p.Addr().As16()[8] != 0:
		return bolwerk.Invalid("dns: dns64 %s: want an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052 section 2.2)", p)
	}
	return nil
}

var wellKnown64 = netip.MustParsePrefix("64:ff9b::/96")

// embed is the address below the prefix that stands for a (RFC 6052 section 2.2); false is
// none: the well-known prefix stands for no address that is not global (section 3.1).
func (d DNS64) embed(a netip.Addr) (netip.Addr, bool) {
	if d.DNS64 == wellKnown64 && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || shared64.Contains(a)) {
		return a, false
	}
	b, p := d.DNS64.Addr().As16(), d.DNS64.Bits()/8
	for _, octet := range a.As4() {
		if p == 8 {
			p++ // stays zero
		}
		b[p] = octet
		p++
	}
	return netip.AddrFrom16(b), true
}

var shared64 = netip.MustParsePrefix("100.64.0.0/10")

// synthesizes says whether the answer to q may be made up: for a validating asker it is
// not (RFC 6147 section 5.5).
func (w *worker) synthesizes() bool {
	q := &w.q
	return q.Type == TypeAAAA && w.s.cfg.DNS64.DNS64.IsValid() && !(q.DO && q.cd) && w.s.live.Load().dns64.has(q.From.As16())
}

// synthTTL is how long a made up answer lives at most where no SOA says it (RFC 6147
// section 5.1.7).
const synthTTL = 600

// synthesize asks for AAAA, and where there is none for A.
func (s *Server) synthesize(ctx context.Context, l lookup) (kept []byte, ttl uint32, negative bool, err error) {
	kept, ttl, negative, err = s.ask(ctx, l)
	if err == nil && (kept[0]&0xf == NXDomain || hasAAAA(kept, l)) {
		return kept, ttl, negative, nil
	}
	four := l
	four.typ, four.do, four.ad = TypeA, false, false
	a, attl, _, aerr := s.ask(ctx, four)
	if aerr != nil {
		return kept, ttl, negative, err
	}
	most := ttl
	if err != nil || ttl == 0 {
		most = synthTTL
	}
	made, madeTTL, ok := s.cfg.DNS64.remake(a, l, most)
	if !ok {
		return kept, ttl, negative, err
	}
	return made, min(madeTTL, attl), false, nil
}

// hasAAAA says that there is an IPv6 address among the answers; one that is an IPv4
// address mapped into IPv6 is none (RFC 6147 section 5.1.4).
func hasAAAA(kept []byte, l lookup) bool {
	answers, ttls := int(binary.BigEndian.Uint16(kept[2:])), int(binary.BigEndian.Uint16(kept[8:]))
	sections := kept[keptHeader+2*ttls+int(binary.BigEndian.Uint16(kept[10:])):]
	for i := range min(answers, ttls) {
		r := sections[int(binary.BigEndian.Uint16(kept[keptHeader+2*i:]))-4-headerLen-len(l.name)-4:]
		if binary.BigEndian.Uint16(r) == TypeAAAA && binary.BigEndian.Uint16(r[8:]) == 16 && !netip.AddrFrom16([16]byte(r[10:])).Is4In6() {
			return true
		}
	}
	return false
}

// remake makes the AAAA answer, whose addresses live for most seconds at most, from the A
// answer; false is none.
func (d DNS64) remake(kept []byte, l lookup, most uint32) (made []byte, ttl uint32, ok bool) {
	ttls := int(binary.BigEndian.Uint16(kept[8:]))
	options := int(binary.BigEndian.Uint16(kept[10:]))
	msg := append([]byte{0, 0, 0x80, 0x80 | kept[0]&0xf, 0, 1}, kept[2:8]...)
	msg = append(append(msg, l.name...), 0, TypeA, 0, ClassIN)
	msg = append(msg, kept[keptHeader+2*ttls+options:]...)
	var m dns.Msg
	if kept[0]&0xf != Success || m.Unpack(msg) != nil {
		return nil, 0, false
	}
	answers := m.Answer
	m.Question[0].Qtype, m.Answer, m.Ns, m.Extra, m.Compress = dns.TypeAAAA, nil, nil, nil, true
	for _, r := range answers {
		switch r := r.(type) {
		case *dns.CNAME, *dns.DNAME:
			m.Answer = append(m.Answer, r)
		case *dns.A:
			a, valid := netip.AddrFromSlice(r.A.To4())
			if !valid {
				continue
			}
			six, may := d.embed(a)
			if !may {
				continue
			}
			ok = true
			h := r.Hdr
			h.Rrtype, h.Ttl = dns.TypeAAAA, min(h.Ttl, most)
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: six.AsSlice()})
		}
	}
	if !ok {
		return nil, 0, false
	}
	b, err := m.Pack()
	if err != nil {
		return nil, 0, false
	}
	question := append(append([]byte(nil), l.name...), 0, TypeAAAA, 0, ClassIN)
	made, ttl, _, err = keep(nil, b, 0, question)
	return made, ttl, err == nil
}
