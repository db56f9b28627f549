package dnsserve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// worker is what one goroutine needs to answer questions one after another.
type worker struct {
	s    *Server
	q    Question
	key  [260]byte
	kept []byte
	// Of the last question: an answer whose time is over, and whether its answer
	// is about to leave the cache.
	stale  []byte
	leaves bool
	// encrypted says that the question came over TLS.
	encrypted bool
	// over says that the asker asks too often over UDP.
	over  bool
	slips uint64
	done  [results]uint64
}

func (s *Server) worker(number int) *worker {
	w := &worker{s: s, kept: make([]byte, 0, 4096)}
	w.q.Worker, w.q.nsid = number, s.nsid
	return w
}

// handle answers msg into out (n > 0), keeps silent (n == 0), or asks for a
// resolver (forward): then w.q is the question. limit bounds the answer; 0 is
// UDP's, by what the asker takes.
func (w *worker) handle(out, msg []byte, allowed bool, limit int, now uint32) (n int, forward bool) {
	q := &w.q
	w.stale, w.leaves = nil, false
	v := q.parse(msg, w.s.cfg.SDEOption)
	if limit == 0 {
		limit = q.size
	}
	switch {
	case v == silence:
		w.done[ignored]++
		return 0, false
	case w.over:
		if w.slips++; v != good || !allowed || w.slips%slip != 0 {
			w.done[limited]++
			return 0, false
		}
		w.done[slipped]++
		n = q.begin(out, Success)
		out[2] |= 2 // TC
		return q.opt(out, n, limit, 0, nil), false
	case v == malformed:
		w.done[bad]++
		q.end, q.EDNS = 0, false
		return q.fault(out, formErr), false
	case v == notImplemented:
		w.done[bad]++
		return q.fault(out, notImp), false
	case v == wrongVersion:
		w.done[bad]++
		return q.fault(out, badVers), false
	case v == refuse && allowed && q.Class == classCH:
		if n = w.chaos(out, limit); n > 0 {
			w.done[byPolicy]++
			return n, false
		}
		fallthrough
	case v == refuse || !allowed:
		w.done[refused]++
		return q.fault(out, Refused), false
	}
	if a, ok := w.s.policy(q); ok {
		w.done[byPolicy]++
		return q.answer(out, limit, &a), false
	}
	if n = w.local(out, limit); n > 0 {
		w.done[byPolicy]++
		return n, false
	}
	q.synth = w.synthesizes()
	if q.rd {
		f := w.s.cache.get(w.kept[:0], q.cacheKey(w.key[:0]), now)
		if f.kept != nil {
			w.kept = f.kept
		}
		if f.fresh {
			w.leaves = f.leaves
			w.done[byCache]++
			return q.reply(out, limit, f.kept, f.age, f.stale), false
		}
		w.stale = f.kept
	}
	return 0, true
}

// count adds what was done since the last time.
func (w *worker) count(to *[results]atomic.Uint64) {
	for i, n := range w.done {
		if n > 0 {
			to[i].Add(n)
			w.done[i] = 0
		}
	}
}

// slow gets the answer to w.q from a resolver, where enter has given it a place,
// and leaves that. The answer lies behind room for head
// octets, in a slice of its own that is no longer than it must be.
func (w *worker) slow(ctx context.Context, head, limit int) []byte {
	s, q := w.s, &w.q
	if limit == 0 {
		limit = q.size
	}
	defer s.up.leave(q.Name)
	s.stats.inFlight.Add(1)
	defer s.stats.inFlight.Add(-1)
	kept, stale, err := s.resolve(ctx, q, q.cacheKey(w.key[:0]), w.stale)
	out := make([]byte, head+q.room(kept, limit))
	if err != nil {
		w.done[failed]++
		return out[:head+q.fault(out[head:], ServFail)]
	}
	w.done[byResolver]++
	return out[:head+q.reply(out[head:], limit, kept, 0, stale)]
}

// room is how long an answer from a kept reply can be, with its padding.
func (q *Question) room(kept []byte, limit int) int {
	return min(limit, q.end+len(kept)+11+len(staleAnswer)+len(q.nsid)+4+answerPadding)
}

// enter takes a place for w.q among the questions under way; false is none free:
// then full answers.
func (w *worker) enter() bool {
	ok, zone := w.s.up.enter(w.q.Name)
	if !ok {
		w.s.stats.full.Add(1)
		if zone {
			w.s.stats.zoneFull.Add(1)
		}
	}
	return ok
}

// full answers when too many questions wait for the resolvers already.
func (w *worker) full(out []byte, limit int) int {
	if w.stale != nil {
		w.done[byCache]++
		return w.q.reply(out, limit, w.stale, 0, true)
	}
	w.done[failed]++
	return w.q.fault(out, ServFail)
}

// times bound what a client may take.
type times struct {
	hello time.Duration // a TLS handshake, and the head of a request
	idle  time.Duration // a silent connection; RFC 7766 section 6.2.3 asks for a few seconds at least
	busy  time.Duration // the same while three of four connections are taken
	write time.Duration // the reading of an answer
}

// serveTCP answers over TCP (RFC 7766).
func (s *Server) serveTCP(ctx context.Context, l net.Listener) error {
	return s.serveStream(ctx, door{l, s}, false)
}

func (s *Server) serveStream(ctx context.Context, l net.Listener, encrypted bool) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		s.doors.close()
	})
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(50 * time.Millisecond) // no file descriptors left: others will close theirs
			continue
		}
		wg.Go(func() {
			defer c.Close()
			s.conversation(ctx, c, encrypted)
		})
	}
}

// maxPipelined bounds the questions of one connection that wait for a resolver;
// those behind wait in the connection.
const maxPipelined = 64

// conversation answers the questions of a connection: what is known at once, what
// a resolver has to say when it has said it (RFC 7766 section 6.2.1.1), so that a
// slow name holds up no other.
func (s *Server) conversation(ctx context.Context, c net.Conn, encrypted bool) {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		t.SetDeadline(time.Now().Add(s.cfg.times.hello))
		if err := t.HandshakeContext(ctx); err != nil {
			return
		}
	}
	ip := from.Addr().WithZone("").As16()
	to := &s.stats.tcp
	if encrypted {
		to = &s.stats.tls
	}
	var writing sync.Mutex
	write := func(w *worker, out []byte) bool { // the answer begins at 2
		if encrypted {
			out = w.q.pad(out, 2)
		}
		w.count(to)
		binary.BigEndian.PutUint16(out, uint16(len(out)-2))
		writing.Lock()
		defer writing.Unlock()
		c.SetWriteDeadline(time.Now().Add(s.cfg.times.write))
		_, err := c.Write(out)
		return err == nil
	}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	places := make(chan struct{}, maxPipelined)
	w := s.worker(-1)
	w.encrypted = encrypted
	w.q.From = netip.AddrFrom16(ip)
	in, out := make([]byte, 2+maxQuery), make([]byte, 2+maxReply)
	for {
		c.SetReadDeadline(time.Now().Add(s.idle()))
		if _, err := io.ReadFull(c, in[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(in))
		if n > len(in)-2 {
			return // no question is that long
		}
		if _, err := io.ReadFull(c, in[2:2+n]); err != nil {
			return
		}
		if !s.pace(ctx, ip) {
			return
		}
		allowed := s.live.Load().acl.has(ip)
		m, forward := w.handle(out[2:], in[2:2+n], allowed, maxReply, s.now())
		if forward {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if !w.enter() {
				<-places
				if !write(w, out[:2+w.full(out[2:], maxReply)]) {
					return
				}
				continue
			}
			late := w.apart(in[2 : 2+n])
			waiting.Go(func() {
				defer func() { <-places }()
				if !write(late, late.slow(ctx, 2, maxReply)) {
					c.Close()
				}
			})
			continue
		}
		if w.leaves {
			s.refresh(ctx, &w.q, w.q.cacheKey(w.key[:0]))
		}
		if m == 0 {
			w.count(to)
			return
		}
		if !write(w, out[:2+m]) || !allowed {
			return
		}
	}
}

// pace holds up a client that asks too often, until its next question is due.
func (s *Server) pace(ctx context.Context, ip [16]byte) bool {
	for first := true; ; first = false {
		early := s.live.Load().limit.after(ip, true, micros())
		if early == 0 {
			return true
		}
		if first {
			s.stats.delayed.Add(1)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Duration(early) * time.Microsecond):
		}
	}
}

// apart is a worker of its own for the question that w has, in msg.
func (w *worker) apart(msg []byte) *worker {
	a := &worker{s: w.s, stale: bytes.Clone(w.stale), encrypted: w.encrypted}
	a.q.Worker, a.q.From, a.q.nsid = -1, w.q.From, w.q.nsid
	a.q.parse(bytes.Clone(msg), w.s.cfg.SDEOption)
	a.q.synth = w.q.synth
	return a
}
