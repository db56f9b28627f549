package dnsserve

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"

	"bolwerk"
)

// What this server answers about itself: who it is (NSID, RFC 5001; id.server, RFC 4892),
// and at which addresses it speaks TLS (DDR, RFC 9462).

// About is what the server says about itself.
type About struct {
	// NSID is what this server is called to those who want to know which of several
	// answers them (RFC 5001), at most 64 letters; empty is nothing.
	NSID string `toml:"nsid"`
	// Chaos has NSID answered to questions of class CH for id.server and hostname.bind
	// too (RFC 4892).
	Chaos bool `toml:"chaos"`
	// DDRName is the name in the certificate under which clients of the plain server
	// find it over TLS and HTTPS by themselves (DDR, RFC 9462); empty is none.
	// The certificate must be good for the server's addresses too.
	DDRName string `toml:"ddr_name"`
	// DDRAddresses are the addresses of the servers over TLS and HTTPS, as customers
	// reach them; empty: those that DDRName has.
	DDRAddresses []netip.Addr `toml:"ddr_addresses"`
}

func (a About) validate(e Encrypted) error {
	for _, c := range a.NSID {
		if c < 0x20 || c > 0x7e || len(a.NSID) > 64 {
			return bolwerk.Invalid("dns: nsid %q: want at most 64 letters of ASCII", a.NSID)
		}
	}
	if a.Chaos && a.NSID == "" {
		return bolwerk.Invalid("dns: chaos answers with nsid, which is empty")
	}
	if a.DDRName == "" {
		if len(a.DDRAddresses) > 0 {
			return bolwerk.Invalid("dns: ddr_addresses without ddr_name")
		}
		return nil
	}
	if _, err := bolwerk.ParseDomain(a.DDRName); err != nil {
		return bolwerk.Invalid("dns: ddr_name %q: want the name in the certificate", a.DDRName)
	}
	if !e.any() {
		return bolwerk.Invalid("dns: ddr_name points to listen_tls and listen_https, which are empty")
	}
	if len(a.DDRAddresses) > 8 {
		return bolwerk.Invalid("dns: ddr_addresses: at most 8")
	}
	return nil
}

// nsid is the option as answers carry it.
func (a About) nsid() []byte {
	if a.NSID == "" {
		return nil
	}
	b := binary.BigEndian.AppendUint16([]byte{0, optNSID}, uint16(len(a.NSID)))
	return append(b, a.NSID...)
}

const (
	optNSID  = 3
	classCH  = 3
	typeSVCB = 64
	ddrTTL   = 300
)

// chaos answers who we are; 0 is another question.
func (w *worker) chaos(out []byte, limit int) int {
	q, id := &w.q, w.s.cfg.NSID
	if !w.s.cfg.Chaos || q.Class != classCH || q.Type != TypeTXT || string(q.Name) != "\x02id\x06server\x00" && string(q.Name) != "\x08hostname\x04bind\x00" {
		return 0
	}
	n := q.begin(out, Success)
	o := out[n:]
	copy(o, []byte{0xc0, headerLen, 0, TypeTXT, 0, classCH, 0, 0, 0, 0, 0, byte(1 + len(id)), byte(len(id))})
	out[7] = 1
	return q.opt(out, n+13+copy(o[13:], id), limit, 0, nil)
}

const (
	resolverArpa = "\x08resolver\x04arpa\x00"
	designated   = "\x04_dns" + resolverArpa
)

// local answers for resolver.arpa, which no forwarder passes on: the one that is behind
// us has other addresses and another certificate (RFC 9462 section 6.1). All
// but the designation is no data; 0 is another name.
func (w *worker) local(out []byte, limit int) int {
	q := &w.q
	at := len(q.Name) - len(resolverArpa)
	if at < 0 || string(q.Name[at:]) != resolverArpa || !atLabel(q.Name, at) {
		return 0
	}
	ddr := w.s.ddr
	if q.Type != typeSVCB || string(q.Name) != designated || len(ddr) == 0 {
		return q.answer(out, limit, &Answer{TTL: ddrTTL, Zone: at})
	}
	n := q.begin(out, Success)
	reserve := 0
	if q.EDNS {
		reserve = 11
	}
	for _, rdata := range ddr {
		if n+12+len(rdata)+reserve > limit {
			out[2] |= 2 // TC
			break
		}
		o := out[n:]
		copy(o, []byte{0xc0, headerLen, 0, typeSVCB, 0, ClassIN})
		binary.BigEndian.PutUint32(o[6:], ddrTTL)
		binary.BigEndian.PutUint16(o[10:], uint16(len(rdata)))
		n += 12 + copy(o[12:], rdata)
		out[7]++
	}
	return q.opt(out, n, limit, 0, nil)
}

// atLabel says that a label of the name begins at that octet.
func atLabel(name []byte, at int) bool {
	p := 0
	for p < at && name[p] != 0 {
		p += 1 + int(name[p])
	}
	return p == at
}

// keys of SVCB parameters (RFC 9460 section 14.3, RFC 9461 section 5)
const (
	svcALPN  = 1
	svcPort  = 3
	svcIPv4  = 4
	svcIPv6  = 6
	svcDoH   = 7
	dohQuery = dohPath + "{?dns}"
)

// designations are the SVCB records of what is served over TLS (RFC 9461), in the order
// in which clients should try.
func (c Config) designations(d *Doors) (out [][]byte) {
	if c.DDRName == "" || d == nil {
		return nil
	}
	add := func(alpn []string, at net.Addr, path string) {
		if ap, err := netip.ParseAddrPort(at.String()); err == nil {
			r := append([]byte{0, byte(len(out) + 1)}, wireName(c.DDRName)...)
			out = append(out, append(r, svcParams(alpn, ap.Port(), c.DDRAddresses, path)...))
		}
	}
	if d.tls != nil {
		add([]string{"dot"}, d.tls.Addr(), "")
	}
	if d.quic != nil {
		add([]string{"doq"}, d.quic.LocalAddr(), "")
	}
	if d.https != nil {
		add(c.httpVersions(), d.https.Addr(), dohQuery)
	}
	return out
}

// checkDDR warns where clients would find the designation and then refuse it: they want
// the certificate to have the address at which they asked (RFC 9462 section 4.2).
func (s *Server) checkDDR(ctx context.Context, socks []*Sockets) {
	if s.cfg.DDRName == "" || s.pair == nil {
		return
	}
	cert, err := s.pair.Serve(nil)
	if err != nil || cert.Leaf == nil {
		return
	}
	want := []string{s.cfg.DDRName}
	for _, k := range socks {
		if a := k.Addr().Addr(); !a.IsUnspecified() {
			want = append(want, a.String())
		}
	}
	var missing []string
	for _, name := range want {
		if cert.Leaf.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		s.log.WarnContext(ctx, "clients will not follow the designation: the certificate is not good for all names and addresses", "missing", missing)
	}
}

// httpVersions are how HTTPS is spoken, the better first.
func (e Encrypted) httpVersions() []string {
	if e.HTTP3 {
		return []string{"h3", "h2"}
	}
	return []string{"h2"}
}
