package dnsserve

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
)

// resolver is one that is asked. Over UDP each try has a fresh socket, so the port
// is the kernel's random choice, a random id, and random capitals in the name
// (RFC 5452; draft-vixie-dnsext-dns0x20); the socket is connected, so
// the kernel drops what others send to it; and both sides send cookies (RFC 7873).
type resolver struct {
	named string // as configured
	addr  string
	tls   *tls.Config // nil: UDP, and TCP for what is cut
	dial  Dial
	pipe  pipe

	down   atomic.Bool
	fails  atomic.Int32
	lowers atomic.Bool // it does not give the capitals back

	mu     sync.Mutex
	mean   time.Duration // of its answers' time, and how far they lie from it (RFC 6298)
	spread time.Duration
	cookie []byte // the server's, 8 to 32 octets; empty is none yet
	own    [8]byte
}

const (
	failsUntilDown = 3
	probeEvery     = time.Second
	// firstGuess is what a resolver is taken for that nobody has asked yet.
	firstGuess = 30 * time.Millisecond
	minHedge   = 10 * time.Millisecond
)

// parseUpstream reads "address:port" or "tls://address:port#name".
func parseUpstream(s string) (addr, name string, overTLS bool, err error) {
	addr = s
	if rest, ok := strings.CutPrefix(s, "tls://"); ok {
		overTLS = true
		addr, name, _ = strings.Cut(rest, "#")
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", "", false, bolwerk.Invalid("dns: upstream %q: want address:port, or tls://address:port#name", s)
	}
	if name == "" {
		name = ap.Addr().WithZone("").String()
	}
	return addr, name, overTLS, nil
}

func newResolver(s string, dial Dial, base *tls.Config) *resolver {
	addr, name, overTLS, _ := parseUpstream(s)
	r := &resolver{named: s, addr: addr, dial: dial}
	rand.Read(r.own[:])
	if overTLS {
		c := base.Clone()
		c.ServerName, c.MinVersion = name, tls.VersionTLS12
		c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		r.tls = c
	}
	return r
}

// expected is how long its answer is likely to take.
func (r *resolver) expected() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mean == 0 {
		return firstGuess
	}
	return r.mean
}

// hedgeAfter is when the next one is asked too.
func (r *resolver) hedgeAfter(try time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mean == 0 {
		return min(10*firstGuess, try)
	}
	return min(max(r.mean+4*r.spread, minHedge), try)
}

func (r *resolver) answered(in time.Duration) {
	r.fails.Store(0)
	r.down.Store(false)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mean == 0 {
		r.mean, r.spread = max(in, 1), in/2
		return
	}
	r.spread += ((in - r.mean).Abs() - r.spread) / 4
	r.mean = max(r.mean+(in-r.mean)/8, 1)
}

// slower says that there was no answer for so long: it is not the fastest any more.
func (r *resolver) slower(than time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mean == 0 || r.mean < than {
		r.mean = than
	}
}

// check asks the resolvers that are down once a second whether they are back.
func (s *Server) check(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.up.closeRetired(2 * s.up.whole)
		for _, r := range s.up.all() {
			if r.down.Load() {
				s.waits.Go(func() { s.exchange(ctx, lookup{name: []byte{0}, typ: TypeNS, rd: true}, r) })
			}
		}
	}
}

func (s *Server) exchange(ctx context.Context, l lookup, r *resolver) (kept []byte, ttl uint32, negative bool, err error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, s.up.try)
	defer cancel()
	start := time.Now()
	if r.tls != nil {
		kept, ttl, negative, err = r.overTLS(ctx, l)
	} else {
		kept, ttl, negative, err = r.overUDP(ctx, l)
	}
	switch {
	case err == nil:
		r.answered(time.Since(start))
	case whole.Err() == nil:
		r.slower(time.Since(start))
		if r.fails.Add(1) >= failsUntilDown {
			r.down.Store(true)
		}
	default: // somebody else was faster, or we end
		r.slower(time.Since(start))
	}
	return kept, ttl, negative, err
}

var replyBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

const (
	badCookie    = 23
	optCookie    = 10
	optPadding   = 12
	queryPadding = 128 // RFC 8467 section 4.1
)

func (r *resolver) overUDP(ctx context.Context, l lookup) ([]byte, uint32, bool, error) {
	query, id := r.query(l)
	c, err := r.dialTo(ctx, "udp")
	if err != nil {
		return nil, 0, false, err
	}
	defer c.Close()
	if _, err := c.Write(query); err != nil {
		return nil, 0, false, err
	}
	question := query[headerLen : headerLen+len(l.name)+4]
	buf := replyBuffers.Get().(*[4096]byte)
	defer replyBuffers.Put(buf)
	for range 16 { // wrong ones are somebody guessing; the deadline ends it too
		n, err := c.Read(buf[:])
		if err != nil {
			return nil, 0, false, err
		}
		kept, ttl, neg, err := keep(nil, buf[:n], id, question)
		if err != nil {
			continue
		}
		theirs, mine := cookieOf(buf[:n], r.own)
		if !mine && r.hasCookie() {
			continue // RFC 7873 section 5.3: it has sent cookies before, so this is somebody else
		}
		if len(theirs) > 0 {
			r.mu.Lock()
			r.cookie = append(r.cookie[:0], theirs...)
			r.mu.Unlock()
		}
		// Capitals that differ are a server that lowers them or somebody who
		// guesses; TCP tells.
		if same := string(buf[headerLen:headerLen+len(question)]) == string(question); !same && !r.lowers.Load() {
			kept, ttl, neg, err := r.overTCP(ctx, l)
			if err == nil {
				r.lowers.Store(true)
			}
			return kept, ttl, neg, err
		}
		if truncated(kept) || isBadCookie(buf[:n]) {
			return r.overTCP(ctx, l)
		}
		return kept, ttl, neg, nil
	}
	return nil, 0, false, errReply
}

func (r *resolver) hasCookie() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cookie) > 0
}

func (r *resolver) overTCP(ctx context.Context, l lookup) ([]byte, uint32, bool, error) {
	c, err := r.dialTo(ctx, "tcp")
	if err != nil {
		return nil, 0, false, err
	}
	defer c.Close()
	query, id := r.query(l)
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, 0, false, err
	}
	msg, err := readMessage(c)
	if err != nil {
		return nil, 0, false, err
	}
	return keep(nil, msg, id, query[headerLen:headerLen+len(l.name)+4])
}

func readMessage(c io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(c, msg)
	return msg, err
}

func (r *resolver) dialTo(ctx context.Context, network string) (net.Conn, error) {
	c, err := r.dial(ctx, network, r.addr)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		c.SetDeadline(t)
	}
	// Who was overtaken by another resolver does not read on.
	context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

// query makes the message for this resolver.
func (r *resolver) query(l lookup) ([]byte, uint16) {
	var rnd [2 + 32]byte
	rand.Read(rnd[:])
	id := binary.BigEndian.Uint16(rnd[:])
	m := make([]byte, headerLen, headerLen+len(l.name)+4+11+4+40+4+queryPadding)
	binary.BigEndian.PutUint16(m, id)
	if l.rd {
		m[2] = 1
	}
	if l.ad {
		m[3] |= 0x20
	}
	if l.cd {
		m[3] |= 0x10
	}
	m[5], m[11] = 1, 1
	m = append(m, l.name...)
	if r.tls == nil && !r.lowers.Load() {
		capitals(m[headerLen:], rnd[2:])
	}
	m = append(m, byte(l.typ>>8), byte(l.typ), 0, ClassIN)
	do := byte(0)
	if l.do {
		do = 0x80
	}
	m = append(m, 0, 0, typeOPT, maxUDP>>8, maxUDP&0xff, 0, 0, do, 0, 0, 0)
	at := len(m)
	if r.tls == nil {
		r.mu.Lock()
		m = append(m, 0, optCookie, 0, byte(8+len(r.cookie)))
		m = append(append(m, r.own[:]...), r.cookie...)
		r.mu.Unlock()
	} else {
		pad := -(len(m) + 4) & (queryPadding - 1)
		m = append(m, 0, optPadding, 0, byte(pad))
		m = append(m, make([]byte, pad)...)
	}
	binary.BigEndian.PutUint16(m[at-2:], uint16(len(m)-at))
	return m, id
}

// capitals flips letters of a name in wire format by the bits of rnd.
func capitals(name, rnd []byte) {
	for p := 0; name[p] != 0; {
		n := int(name[p])
		for i := p + 1; i <= p+n; i++ {
			if name[i]-'a' < 26 && rnd[i/8%len(rnd)]&(1<<(i%8)) != 0 {
				name[i] -= 0x20
			}
		}
		p += 1 + n
	}
}

// options are those of the OPT record at the end of a message that keep has
// accepted, and the upper bits of its rcode.
func options(msg []byte) (opts []byte, high byte, ok bool) {
	p := headerLen
	for range binary.BigEndian.Uint16(msg[4:]) {
		p += skipName(msg[p:]) + 4
	}
	for range int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:])) + int(binary.BigEndian.Uint16(msg[10:])) {
		p += skipName(msg[p:])
		n := 10 + int(binary.BigEndian.Uint16(msg[p+8:]))
		if binary.BigEndian.Uint16(msg[p:]) == typeOPT {
			return msg[p+10 : p+n], msg[p+4], true
		}
		p += n
	}
	return nil, 0, false
}

// cookieOf is the server's cookie in an answer, and whether it comes with ours.
func cookieOf(msg []byte, own [8]byte) (theirs []byte, mine bool) {
	o, _, _ := options(msg)
	for len(o) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(o[2:]))
		if n > len(o) {
			return nil, false
		}
		if binary.BigEndian.Uint16(o) == optCookie {
			if n < 12 || n > 4+40 || string(o[4:12]) != string(own[:]) {
				return nil, false
			}
			if n >= 4+16 {
				theirs = o[12:n]
			}
			return theirs, true
		}
		o = o[n:]
	}
	return nil, false
}

func isBadCookie(msg []byte) bool {
	_, high, _ := options(msg)
	return uint16(high)<<4|uint16(msg[3]&0xf) == badCookie
}

// pipe is one connection on which questions follow one another without waiting
// (RFC 7858 section 3.3).
type pipe struct {
	mu     sync.Mutex
	live   *piped
	closed bool
	reads  sync.WaitGroup
}

type piped struct {
	conn    net.Conn
	mu      sync.Mutex
	waiting map[uint16]chan []byte
	err     error
}

const (
	maxPiped  = 4096
	pipeIdle  = 20 * time.Second
	pipeWrite = 2 * time.Second
)

func (r *resolver) overTLS(ctx context.Context, l lookup) ([]byte, uint32, bool, error) {
	for fresh := 0; ; fresh++ {
		p, old, err := r.connect(ctx)
		if err != nil {
			return nil, 0, false, err
		}
		query, id := r.query(l)
		msg, err := p.exchange(ctx, query, id)
		if err == nil {
			return keep(nil, msg, id, query[headerLen:headerLen+len(l.name)+4])
		}
		// A connection that the other side has closed meanwhile is no failure.
		if !old || fresh > 0 || ctx.Err() != nil {
			return nil, 0, false, err
		}
	}
}

func (r *resolver) connect(ctx context.Context) (p *piped, old bool, err error) {
	r.pipe.mu.Lock()
	defer r.pipe.mu.Unlock()
	if r.pipe.closed {
		return nil, false, net.ErrClosed
	}
	if p := r.pipe.live; p != nil && p.alive() {
		return p, true, nil
	}
	raw, err := r.dial(ctx, "tcp", r.addr)
	if err != nil {
		return nil, false, err
	}
	c := tls.Client(raw, r.tls)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, false, err
	}
	p = &piped{conn: c, waiting: map[uint16]chan []byte{}}
	r.pipe.live = p
	r.pipe.reads.Go(p.read)
	return p, false, nil
}

// close ends the connection and waits for its reader.
func (r *resolver) close() {
	r.pipe.mu.Lock()
	r.pipe.closed = true
	if r.pipe.live != nil {
		r.pipe.live.end(net.ErrClosed)
	}
	r.pipe.mu.Unlock()
	r.pipe.reads.Wait()
}

func (p *piped) alive() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.err == nil }

func (p *piped) exchange(ctx context.Context, query []byte, id uint16) ([]byte, error) {
	got := make(chan []byte, 1)
	p.mu.Lock()
	if _, taken := p.waiting[id]; taken || p.err != nil || len(p.waiting) >= maxPiped {
		err := p.err
		p.mu.Unlock()
		return nil, errors.Join(errNoAnswer, err)
	}
	p.waiting[id] = got
	now := time.Now()
	p.conn.SetReadDeadline(now.Add(pipeIdle))
	p.conn.SetWriteDeadline(now.Add(pipeWrite))
	_, err := p.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...))
	p.mu.Unlock()
	if err != nil {
		p.end(err)
		return nil, err
	}
	select {
	case msg, ok := <-got:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return msg, nil
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.waiting, id)
		p.mu.Unlock()
		return nil, ctx.Err()
	}
}

func (p *piped) read() {
	for {
		msg, err := readMessage(p.conn)
		if err != nil {
			p.end(err)
			return
		}
		if len(msg) < headerLen {
			p.end(errReply)
			return
		}
		id := binary.BigEndian.Uint16(msg)
		p.mu.Lock()
		if got := p.waiting[id]; got != nil {
			delete(p.waiting, id)
			got <- msg
		}
		p.mu.Unlock()
	}
}

func (p *piped) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.conn.Close()
		for id, got := range p.waiting {
			close(got)
			delete(p.waiting, id)
		}
	}
}
