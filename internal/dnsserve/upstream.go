package dnsserve

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/publicsuffix"
)

// upstream asks the resolvers. Equal questions under way share one try, which is
// also what keeps birthday attacks out (RFC 5452 section 5).
type upstream struct {
	group                             // for all names that no stub has
	stubs      atomic.Pointer[[]stub] // the longest zones first; nil: none
	dial       Dial
	try, whole time.Duration
	places     chan struct{}

	mu      sync.Mutex
	flights map[string]*flight
	retired []retired
	ca      []byte         // what servers were made with
	each    int            // places for one zone
	zones   map[string]int // places taken
}

// flight is a question under way at the resolvers.
type flight struct {
	done chan struct{}
	kept []byte
	err  error
}

const maxReply = 65535

var errNoAnswer = errors.New("no resolver answered")

func newUpstream(cfg Config, dial Dial) *upstream {
	return &upstream{dial: dial, try: time.Duration(cfg.TryTimeout), whole: time.Duration(cfg.Timeout),
		places: make(chan struct{}, cfg.InFlight), flights: map[string]*flight{}, zones: map[string]int{}}
}

// enter takes a place among the questions under way; false is none free: for the
// name's zone, or for any.
func (u *upstream) enter(name []byte) (ok, zone bool) {
	if len(u.places) == cap(u.places) { // spares the rest while there is a flood
		return false, false
	}
	z := zoneOf(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.zones[string(z)] >= u.each {
		return false, true
	}
	select {
	case u.places <- struct{}{}:
		u.zones[string(z)]++
		return true, false
	default:
		return false, false
	}
}

func (u *upstream) leave(name []byte) {
	z := zoneOf(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.zones[string(z)]--; u.zones[string(z)] == 0 {
		delete(u.zones, string(z))
	}
	<-u.places
}

// zoneOf is the end of a name that somebody registered at a registry: one label
// more than what the ICANN section of the public suffix list names. Names that share
// it share its servers, mostly.
func zoneOf(name []byte) []byte {
	var text [256]byte
	t := text[:0]
	for p := 0; name[p] != 0; p += 1 + int(name[p]) {
		if p > 0 {
			t = append(t, '.')
		}
		for _, c := range name[p+1 : p+1+int(name[p])] {
			if c == '.' {
				c = '_' // one label stays one
			}
			t = append(t, c)
		}
	}
	if len(t) == 0 {
		return name
	}
	suffix, registry := publicsuffix.PublicSuffix(string(t))
	for !registry && strings.Contains(suffix, ".") {
		_, above, _ := strings.Cut(suffix, ".")
		suffix, registry = publicsuffix.PublicSuffix(above)
	}
	labels := 2 + strings.Count(suffix, ".")
	at := 0
	for have := 1 + bytes.Count(t, []byte{'.'}); have > labels; have-- {
		at += 1 + int(name[at])
	}
	return name[at:]
}

// lookup is a question as the resolvers get it.
type lookup struct {
	name       []byte
	typ        uint16
	rd, ad, cd bool
	do         bool
	synth      bool // without IPv6 addresses they are made up
}

func (q *Question) lookup() lookup {
	return lookup{append([]byte(nil), q.Name...), q.Type, q.rd, q.ad, q.cd, q.DO, q.synth}
}

// patience is how long an asker waits while an answer whose time is over is at
// hand: the client response timer of RFC 8767 section 5.
const patience = 1800 * time.Millisecond

// resolve gives the kept reply to q. The caller has a place. key is q's cache key.
// stale is an answer whose time is over, nil is none: it is better than
// none and than a late one.
func (s *Server) resolve(ctx context.Context, q *Question, key, stale []byte) (kept []byte, old bool, err error) {
	f := s.fly(ctx, q, key)
	var late <-chan time.Time
	if stale != nil {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-f.done:
		if stale == nil || f.err == nil && f.kept[0]&0xf != ServFail && f.kept[0]&0xf != Refused {
			return f.kept, false, f.err
		}
	case <-late:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	s.stats.stale.Add(1)
	s.cache.putStale(key, stale, s.now())
	return stale, true, nil
}

// fly joins the question under way, or sends it off. It goes on when the asker
// does not wait: its answer is for the cache too.
func (s *Server) fly(ctx context.Context, q *Question, key []byte) *flight {
	u := s.up
	u.mu.Lock()
	// A question without RD may be answered from the resolver's cache only: it
	// does not share.
	if f, shared := u.flights[string(key)]; shared && q.rd {
		u.mu.Unlock()
		return f
	}
	f := &flight{done: make(chan struct{}), err: errNoAnswer}
	k := string(key)
	if q.rd {
		u.flights[k] = f
	}
	u.mu.Unlock()

	l := q.lookup()
	s.waits.Go(func() {
		defer func() {
			u.mu.Lock()
			if u.flights[k] == f {
				delete(u.flights, k)
			}
			u.mu.Unlock()
			close(f.done)
		}()
		var ttl uint32
		var negative bool
		ask := s.ask
		if l.synth {
			ask = s.synthesize
		}
		f.kept, ttl, negative, f.err = ask(ctx, l)
		if f.err != nil || !l.rd {
			return
		}
		limit := s.cfg.MaxTTL
		if negative {
			limit = s.cfg.MaxNegativeTTL
		}
		s.cache.put([]byte(k), f.kept, s.now(), min(ttl, seconds(limit)), seconds(s.cfg.MaxStale))
	})
	return f
}

func seconds(d Duration) uint32 { return uint32(time.Duration(d) / time.Second) }

// refresh asks again for what is about to leave the cache, beside the askers.
func (s *Server) refresh(ctx context.Context, q *Question, key []byte) {
	if ok, _ := s.up.enter(q.Name); !ok {
		return
	}
	s.stats.prefetches.Add(1)
	name := bytes.Clone(q.Name)
	f := s.fly(ctx, q, key)
	s.waits.Go(func() {
		defer s.up.leave(name)
		<-f.done
	})
}

// tried is what one try brought.
type tried struct {
	kept     []byte
	ttl      uint32
	negative bool
	err      error
}

// ask goes through the resolvers, fastest first, until one gives a good answer. One
// that lets us wait longer than it uses to is raced by the next. An answer
// SERVFAIL or REFUSED stands only when no other is better.
func (s *Server) ask(ctx context.Context, l lookup) (kept []byte, ttl uint32, negative bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.up.whole)
	defer cancel()
	group := s.up.of(l.name)
	order := group.order()
	group.asks.Add(1)
	answers := make(chan tried, 2*len(order))
	next, under := 0, 0
	send := func() {
		r := order[next%len(order)]
		next++
		under++
		s.stats.tries.Add(1)
		s.waits.Go(func() {
			kept, ttl, negative, err := s.exchange(ctx, l, r)
			if err != nil {
				s.stats.errors.Add(1)
			}
			answers <- tried{kept, ttl, negative, err}
		})
	}
	send()
	hedge := time.NewTimer(order[0].hedgeAfter(s.up.try))
	defer hedge.Stop()
	var poor []byte
	for under > 0 {
		select {
		case a := <-answers:
			under--
			if a.err == nil {
				if c := a.kept[0] & 0xf; c != ServFail && c != Refused {
					return a.kept, a.ttl, a.negative, nil
				}
				poor = a.kept
			}
			// Each gets its turn; after errors everybody gets a second one.
			if limit := len(order); ctx.Err() == nil && under == 0 && (next < limit || poor == nil && next < 2*limit) {
				send()
			}
		case <-hedge.C:
			if next < len(order) && group.mayHedge() {
				s.stats.hedges.Add(1)
				send()
			}
		}
	}
	if poor != nil {
		return poor, 0, false, nil
	}
	return nil, 0, false, errNoAnswer
}

// mayHedge keeps the second questions below a tenth of all, so that slow resolvers
// do not get twice the load.
func (g *group) mayHedge() bool {
	if g.hedges.Load()*10 > g.asks.Load()+20 {
		return false
	}
	g.hedges.Add(1)
	return true
}

// order is the resolvers, the fastest first, those that rest at the end. Of two
// that are about as fast the one named first comes first.
func (g *group) order() []*resolver {
	servers := g.list()
	if len(servers) == 1 {
		return servers
	}
	out := make([]*resolver, 0, len(servers))
	rank := func(r *resolver) time.Duration {
		if r.down.Load() {
			return 1 << 62
		}
		return r.expected().Round(2 * time.Millisecond)
	}
	for _, r := range servers { // a few: insertion keeps the order of equals
		i := len(out)
		for i > 0 && rank(r) < rank(out[i-1]) {
			i--
		}
		out = append(out, nil)
		copy(out[i+1:], out[i:])
		out[i] = r
	}
	if g.asks.Load()%64 == 63 && !out[1].down.Load() { // so that we know when the second has become faster
		out[0], out[1] = out[1], out[0]
	}
	return out
}
