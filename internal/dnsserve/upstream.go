package dnsserve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// upstream asks the resolvers. Each try has a fresh socket, so the port is the
// kernel's random choice, and a random id (RFC 5452); the socket is connected, so
// the kernel drops what others send to it. Equal questions under way share one
// try, which is also what keeps birthday attacks out.
type upstream struct {
	dial     Dial
	try, all time.Duration
	places   chan struct{}
	servers  []*resolver

	mu      sync.Mutex
	flights map[string]*flight
}

type resolver struct {
	addr  string
	fails atomic.Int32
	until atomic.Int64 // unix nanoseconds before which it is asked last
}

type flight struct {
	done chan struct{}
	kept []byte
	err  error
}

const (
	failsUntilRest = 3
	rest           = 5 * time.Second
	maxReply       = 65535
)

var errNoAnswer = errors.New("no resolver answered")

func newUpstream(cfg Config, dial Dial) *upstream {
	u := &upstream{dial: dial, try: time.Duration(cfg.TryTimeout), all: time.Duration(cfg.Timeout),
		places: make(chan struct{}, cfg.InFlight), flights: map[string]*flight{}}
	for _, a := range cfg.Upstream {
		u.servers = append(u.servers, &resolver{addr: a})
	}
	return u
}

// enter takes a place among the questions under way; false is none free.
func (u *upstream) enter() bool {
	select {
	case u.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (u *upstream) leave() { <-u.places }

// resolve gives the kept reply to q, and puts it in the cache. The caller has a
// place. key is q's cache key.
func (s *Server) resolve(ctx context.Context, q *Question, key []byte) ([]byte, error) {
	u := s.up
	u.mu.Lock()
	// A question without RD may be answered from the resolver's cache only: it
	// does not share.
	f, shared := u.flights[string(key)]
	if shared && q.rd {
		u.mu.Unlock()
		select {
		case <-f.done:
			return f.kept, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f = &flight{done: make(chan struct{}), err: errNoAnswer}
	if q.rd {
		u.flights[string(key)] = f
	}
	u.mu.Unlock()

	defer func() {
		u.mu.Lock()
		if u.flights[string(key)] == f {
			delete(u.flights, string(key))
		}
		u.mu.Unlock()
		close(f.done)
	}()
	var ttl uint32
	var negative bool
	f.kept, ttl, negative, f.err = s.ask(ctx, q)
	if f.err != nil || !q.rd {
		return f.kept, f.err
	}
	limit := s.cfg.MaxTTL
	if negative {
		limit = s.cfg.MaxNegativeTTL
	}
	s.cache.put(key, f.kept, s.now(), min(ttl, uint32(time.Duration(limit)/time.Second)))
	return f.kept, nil
}

// ask goes through the resolvers, twice, until one gives a good answer. An answer
// SERVFAIL or REFUSED stands only when no other is better.
func (s *Server) ask(ctx context.Context, q *Question) (kept []byte, ttl uint32, negative bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.up.all)
	defer cancel()
	var poor []byte
	err = errNoAnswer
	for range 2 {
		for _, r := range s.up.order() {
			if ctx.Err() != nil {
				break
			}
			s.stats.tries.Add(1)
			k, t, neg, e := s.exchange(ctx, q, r)
			if e != nil {
				s.stats.errors.Add(1)
				if ctx.Err() == nil {
					r.failed()
				}
				continue
			}
			r.fails.Store(0)
			r.until.Store(0)
			if c := k[0] & 0xf; c == ServFail || c == Refused {
				poor = k
				continue
			}
			return k, t, neg, nil
		}
		if poor != nil {
			return poor, 0, false, nil
		}
	}
	return nil, 0, false, err
}

// order is the resolvers as configured, those that rest at the end.
func (u *upstream) order() []*resolver {
	if len(u.servers) == 1 {
		return u.servers
	}
	now := time.Now().UnixNano()
	out := make([]*resolver, 0, len(u.servers))
	for _, r := range u.servers {
		if r.until.Load() <= now {
			out = append(out, r)
		}
	}
	for _, r := range u.servers {
		if r.until.Load() > now {
			out = append(out, r)
		}
	}
	return out
}

func (r *resolver) failed() {
	if r.fails.Add(1) >= failsUntilRest {
		r.until.Store(time.Now().Add(rest).UnixNano())
	}
}

func (s *Server) exchange(ctx context.Context, q *Question, r *resolver) ([]byte, uint32, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.up.try)
	defer cancel()
	var b [2]byte
	rand.Read(b[:])
	id := binary.BigEndian.Uint16(b[:])
	query := q.query(id)
	question := query[headerLen : headerLen+len(q.Name)+4]

	kept, ttl, neg, err := s.udp(ctx, r, query, id, question)
	if err != nil || !truncated(kept) {
		return kept, ttl, neg, err
	}
	return s.tcp(ctx, r, query, id, question)
}

var replyBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

func (s *Server) udp(ctx context.Context, r *resolver, query []byte, id uint16, question []byte) ([]byte, uint32, bool, error) {
	c, err := s.dialTo(ctx, "udp", r)
	if err != nil {
		return nil, 0, false, err
	}
	defer c.Close()
	if _, err := c.Write(query); err != nil {
		return nil, 0, false, err
	}
	buf := replyBuffers.Get().(*[4096]byte)
	defer replyBuffers.Put(buf)
	for range 16 { // wrong ones are somebody guessing; the deadline ends it too
		n, err := c.Read(buf[:])
		if err != nil {
			return nil, 0, false, err
		}
		kept, ttl, neg, err := keep(nil, buf[:n], id, question)
		if err == nil {
			return kept, ttl, neg, nil
		}
	}
	return nil, 0, false, errReply
}

func (s *Server) tcp(ctx context.Context, r *resolver, query []byte, id uint16, question []byte) ([]byte, uint32, bool, error) {
	c, err := s.dialTo(ctx, "tcp", r)
	if err != nil {
		return nil, 0, false, err
	}
	defer c.Close()
	m := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	if _, err := c.Write(m); err != nil {
		return nil, 0, false, err
	}
	var l [2]byte
	if _, err := io.ReadFull(c, l[:]); err != nil {
		return nil, 0, false, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(l[:]))
	if _, err := io.ReadFull(c, buf); err != nil {
		return nil, 0, false, err
	}
	return keep(nil, buf, id, question)
}

func (s *Server) dialTo(ctx context.Context, network string, r *resolver) (net.Conn, error) {
	c, err := s.up.dial(ctx, network, r.addr)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		c.SetDeadline(t)
	}
	return c, nil
}
