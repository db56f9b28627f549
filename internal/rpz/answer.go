package rpz

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"

	"bolwerk"

	"github.com/miekg/dns"
)

// errEnd ends a connection whose questions we do not answer any more.
var errEnd = errors.New("not answered")

// answer answers one message of a stranger. It returns an error where the
// connection, if there is one, should end.
func (p *Primary) answer(req []byte, from netip.Addr, tcp bool, send func([]byte) error) error {
	if len(req) < headerLen || req[2]&0x80 != 0 { // no message, or itself an answer
		return errEnd
	}
	s := &stream{send: send, id: binary.BigEndian.Uint16(req), limit: maxMessage, single: true}
	s.bits = uint16(req[2]&0x79) << 8 // opcode and RD as asked
	if !tcp {
		s.limit = dns.MinMsgSize
	}
	refuse := func(rcode int) error {
		p.count.refused.WithLabelValues(rcodeText(rcode)).Inc()
		if !p.noise.AllowN(p.clock.Now(), 1) {
			return errEnd
		}
		s.bits = s.bits&^0xf | uint16(rcode)
		if err := s.flush(); err != nil {
			return err
		}
		return errEnd
	}
	var m dns.Msg
	if err := m.Unpack(req); err != nil {
		return refuse(dns.RcodeFormatError)
	}
	if m.Opcode != dns.OpcodeQuery {
		return refuse(dns.RcodeNotImplemented)
	}
	if s.question = question(req); s.question == nil || len(m.Question) != 1 {
		s.question = nil
		return refuse(dns.RcodeFormatError)
	}
	if opt := m.IsEdns0(); opt != nil {
		s.edns = true
		if !tcp {
			s.limit = min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDP)
		}
		if opt.Version() != 0 { // RFC 6891 section 6.1.3; the upper bits of BADVERS are in the OPT record
			return refuse(dns.RcodeFormatError)
		}
	}
	signer, code, ok := p.keys.check(req, &m, p.clock.Now)
	if !ok {
		return refuse(dns.RcodeFormatError)
	}
	s.signer = signer
	key := ""
	if signer != nil {
		if code != 0 {
			p.log.Warn("rpz: signature refused", "from", from, "reason", dns.RcodeToString[int(code)])
			return refuse(dns.RcodeNotAuth)
		}
		key = signer.key.name
	}
	q := p.peer(from, key)
	if q == nil {
		return refuse(dns.RcodeRefused)
	}
	return p.serve(s, &m, q, tcp, refuse)
}

// question is the question of the message as it was asked, if it has one
// without compression.
func question(req []byte) []byte {
	i := headerLen
	for i < len(req) && req[i] != 0 {
		if req[i] > 63 {
			return nil
		}
		i += 1 + int(req[i])
	}
	if i+5 > len(req) || i+1-headerLen > 255 {
		return nil
	}
	return req[headerLen : i+5]
}

// peer is the secondary that asks, or nil. A signature counts before an
// address: several resolvers may share one.
func (p *Primary) peer(from netip.Addr, key string) *peer {
	for _, q := range p.peers {
		if q.key == key && (len(q.From) == 0 || contains(q.From, from)) {
			return q
		}
	}
	if key == "" {
		return nil
	}
	return p.peer(from, "") // signed though it need not be
}

// serve answers a secondary.
func (p *Primary) serve(s *stream, m *dns.Msg, q *peer, tcp bool, refuse func(int) error) error {
	ask := m.Question[0]
	name := strings.ToLower(ask.Name)
	z, rel := p.find(name)
	if z == nil || ask.Qclass != dns.ClassINET {
		return refuse(dns.RcodeRefused)
	}
	at, _, loaded := p.At(z.cfg.Name)
	if !loaded || !p.speaks() {
		return refuse(dns.RcodeServerFailure)
	}
	s.bits |= flagAA
	s.apex = headerLen + len(s.question) - 4 - len(z.cfg.Name.String()) - 2 // before type, class and root
	apex := rel == ""
	switch {
	case ask.Qtype == dns.TypeAXFR && !apex, ask.Qtype == dns.TypeIXFR && !apex:
		return refuse(dns.RcodeRefused)
	case ask.Qtype == dns.TypeAXFR && !tcp:
		return refuse(dns.RcodeFormatError)
	case ask.Qtype == dns.TypeAXFR:
		return p.axfr(s, z, q, "axfr")
	case ask.Qtype == dns.TypeIXFR:
		if len(m.Ns) != 1 {
			return refuse(dns.RcodeFormatError)
		}
		soa, ok := m.Ns[0].(*dns.SOA)
		if !ok {
			return refuse(dns.RcodeFormatError)
		}
		return p.ixfr(s, z, q, soa.Serial, tcp)
	}
	p.count.queries.WithLabelValues(z.cfg.Name.String()).Inc()
	return z.lookup(s, rel, ask.Qtype, at)
}

// find is the zone that name, lower case with final dot, lies in, and the name
// relative to it without final dot.
func (p *Primary) find(name string) (z *zone, rel string) {
	best := 0
	for n, is := range p.zones {
		suffix := n.String() + "."
		if len(suffix) < best {
			continue // a zone above the one that was found
		}
		if name == suffix {
			return is, ""
		}
		if strings.HasSuffix(name, "."+suffix) {
			z, rel, best = is, name[:len(name)-len(suffix)-1], len(suffix)
		}
	}
	return z, rel
}

// axfr sends the whole zone (RFC 5936).
func (p *Primary) axfr(s *stream, z *zone, q *peer, kind string) error {
	snap := z.snapshot()
	defer snap.close()
	s.single = false
	soa := z.soa(snap.serial)
	var none bolwerk.Domain
	if err := errors.Join(s.rr(none, false, soa), s.rr(none, false, z.ns())); err != nil {
		return err
	}
	if err := z.canary(s, State{snap.serial, snap.epoch}); err != nil {
		return err
	}
	for _, r := range z.fixed {
		if err := s.rr(r.name, false, r.tail); err != nil {
			return err
		}
	}
	for name, sets := range snap.all {
		for below, set := range sets {
			for _, t := range set.tails {
				if err := s.rr(name, below == 1, t); err != nil {
					return err
				}
			}
		}
	}
	return p.finish(s, z, q, snap.serial, kind, soa)
}

// all is each for a range statement: the sets of a name, then of all below.
func (s *snapshot) all(yield func(bolwerk.Domain, [2]set) bool) {
	s.each(func(name bolwerk.Domain, at, below set) bool { return yield(name, [2]set{at, below}) })
}

// finish ends a transfer with the SOA record and notes what the secondary has.
func (p *Primary) finish(s *stream, z *zone, q *peer, serial uint32, kind string, soa []byte) error {
	if err := s.rr(bolwerk.Domain{}, false, soa); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	now := p.clock.Now()
	q.courier(z).delivered(serial, kind, now)
	p.count.transfers.WithLabelValues(z.cfg.Name.String(), kind).Inc()
	p.log.Info("rpz: zone transferred", "zone", z.cfg.Name, "serial", serial, "kind", kind,
		"secondary", q.Name, "messages", s.messages, "bytes", s.octets)
	return nil
}

// ixfr sends what changed since the client's serial (RFC 1995).
func (p *Primary) ixfr(s *stream, z *zone, q *peer, has uint32, tcp bool) error {
	q.courier(z).shown(has, p.clock.Now())
	z.mu.Lock()
	z.raise(has)
	current := z.serial
	z.mu.Unlock()
	var none bolwerk.Domain
	if !tcp || !Newer(current, has) {
		// Over UDP the current SOA alone: the client comes again over TCP (RFC
		// 1995 section 2). A client that is ahead gets the same and stays.
		if Newer(has, current) {
			p.log.Error("rpz: secondary is ahead of us", "zone", z.cfg.Name, "secondary", q.Name, "has", has, "serial", current)
		}
		if err := s.rr(none, false, z.soa(current)); err != nil {
			return err
		}
		return s.flush()
	}
	d, ok := z.diff(has)
	if !ok {
		return p.axfr(s, z, q, "axfr_for_ixfr")
	}
	s.single = false
	to, from := z.soa(d.to), z.soa(d.from)
	if err := errors.Join(s.rr(none, false, to), s.rr(none, false, from), z.canary(s, State{d.from, d.fromEpoch})); err != nil {
		return err
	}
	if err := z.send(s, d.del); err != nil {
		return err
	}
	if err := errors.Join(s.rr(none, false, to), z.canary(s, State{d.to, d.toEpoch})); err != nil {
		return err
	}
	if err := z.send(s, d.add); err != nil {
		return err
	}
	return p.finish(s, z, q, d.to, "ixfr", to)
}

// send writes records of the journal.
func (z *zone) send(s *stream, records []Record) error {
	for _, r := range records {
		typ, rdata, err := r.Data.wire()
		if err != nil {
			return err // checked when it was committed
		}
		if err := s.rr(r.Name, r.Below, tail(typ, seconds(z.cfg.TTL), rdata)); err != nil {
			return err
		}
	}
	return nil
}

// lookup answers an ordinary question about the zone.
func (z *zone) lookup(s *stream, rel string, qtype uint16, at State) error {
	var none bolwerk.Domain
	exists := rel == ""
	var errs error
	switch c := z.cfg.Canary; {
	case rel == "":
		if qtype == dns.TypeSOA {
			errs = s.rr(none, false, z.soa(at.Serial))
		}
		if qtype == dns.TypeNS {
			errs = s.rr(none, false, z.ns())
		}
	case !c.IsZero() && (rel == c.String() || rel == Marker(c, at).String()):
		exists = true
		if qtype == dns.TypeTXT {
			t := canaryText(at)
			errs = s.rr(bolwerk.MustDomain(rel), false, tail(dns.TypeTXT, 0, append([]byte{byte(len(t))}, t...)))
		}
	case z.fixed != nil:
		for _, r := range z.fixed {
			exists = exists || r.name.String() == rel || strings.HasSuffix(r.name.String(), "."+rel)
			if r.name.String() == rel && r.typ == qtype {
				errs = errors.Join(errs, s.rr(r.name, false, r.tail))
			}
		}
	default:
		rest, below := strings.CutPrefix(rel, "*.")
		name, err := bolwerk.ParseDomain(rest)
		if err != nil {
			break
		}
		set := z.get(name, below)
		for i, d := range set.data {
			exists = true
			if t := dns.StringToType[d.Type()]; t == qtype || t == dns.TypeCNAME {
				errs = errors.Join(errs, s.rr(name, below, set.tails[i]))
			}
		}
	}
	if !exists {
		s.bits |= dns.RcodeNameError
	}
	if s.answers == 0 {
		errs = errors.Join(errs, s.rr(none, false, z.soa(at.Serial)))
		s.answers, s.authority = 0, 1
	}
	if errs != nil {
		return errs
	}
	return s.flush()
}

// get is what the zone says about name, or all names below it.
func (z *zone) get(name bolwerk.Domain, below bool) set {
	z.mu.RLock()
	defer z.mu.RUnlock()
	i, ok := z.index[name]
	switch {
	case !ok:
		return set{}
	case below:
		return z.sets[z.entry(i).below]
	}
	return z.sets[z.entry(i).at]
}
