// Package quota holds source networks to a rate, and to a number of uploads at once.
// It keeps networks only, and in memory only.
package quota

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// quotaNetworks bounds the networks that a quota remembers; the one seen
// longest ago is forgotten first and then has all its tokens again: a report
// too many is better than one lost. 65,536 of them take about 20 MB.
const quotaNetworks = 1 << 16

// Quota is a token bucket for each source network. It holds networks only, in
// memory only.
type Quota struct {
	perHour int // the size of a bucket too

	mu     sync.Mutex
	max    int
	known  map[netip.Prefix]*list.Element
	recent list.List // of *meter, last used first
}

type meter struct {
	network netip.Prefix
	bucket  *rate.Limiter
}

// New gives each network so many tokens an hour; an hour's worth may go at once.
func New(perHour int64) *Quota {
	return &Quota{perHour: int(perHour), max: quotaNetworks, known: map[netip.Prefix]*list.Element{}}
}

// Take takes n tokens (of more than a bucket holds, a bucketful), or says how
// long to wait until they are there.
func (q *Quota) Take(now time.Time, network netip.Prefix, n int) time.Duration {
	n = min(n, q.perHour)
	q.mu.Lock()
	defer q.mu.Unlock()
	e, ok := q.known[network]
	if !ok {
		if len(q.known) >= q.max {
			delete(q.known, q.recent.Remove(q.recent.Back()).(*meter).network)
		}
		e = q.recent.PushFront(&meter{network, rate.NewLimiter(rate.Limit(float64(q.perHour)/3600), q.perHour)})
		q.known[network] = e
	}
	q.recent.MoveToFront(e)
	bucket := e.Value.(*meter).bucket
	if bucket.AllowN(now, n) {
		return 0
	}
	missing := float64(n) - bucket.TokensAt(now)
	return max(time.Second, time.Duration(missing/float64(bucket.Limit())*float64(time.Second)))
}

// Places bounds what is uploaded at once, in all and by one network: a body
// that trickles in holds memory.
type Places struct {
	mu   sync.Mutex
	free int
	each int
	held map[netip.Prefix]int
}

// NewPlaces are n of them; a quarter at most for one network.
func NewPlaces(n int) *Places {
	return &Places{free: n, each: max(1, n/4), held: map[netip.Prefix]int{}}
}

// Take gives a place and how to leave it, or nil where there is none. Our own
// networks are bounded in all only.
func (p *Places) Take(network netip.Prefix, own bool) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 || !own && p.held[network] >= p.each {
		return nil
	}
	p.free--
	p.held[network]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free++
		if p.held[network]--; p.held[network] == 0 {
			delete(p.held, network)
		}
	})
}
