package mail

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// quotaNetworks bounds the networks that are remembered; the one that was seen
// longest ago is forgotten first. 65,536 of them take about 20 MB.
const quotaNetworks = 1 << 16

// quota counts mails and bytes per source network with two token buckets each.
// A network that was never seen, or is forgotten, has all its tokens: a report
// too many is better than one lost.
type quota struct {
	mails, bytes int // an hour's worth of each; the size of the buckets too
	max          int

	mu       sync.Mutex
	networks map[netip.Prefix]*list.Element
	recent   list.List // of *meter, last used first
}

type meter struct {
	network      netip.Prefix
	mails, bytes *rate.Limiter
}

func newQuota(mailsPerHour int, bytesPerHour int64, max int) *quota {
	return &quota{mails: mailsPerHour, bytes: int(bytesPerHour), max: max, networks: map[netip.Prefix]*list.Element{}}
}

// room says whether a mail of size bytes would be taken now. It charges nothing
// and remembers nothing.
func (q *quota) room(now time.Time, network netip.Prefix, size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, ok := q.networks[network]
	return !ok || e.Value.(*meter).room(now, size)
}

// charge takes a mail of size bytes from the network's quota. It returns false,
// and takes nothing, when there is not enough left.
func (q *quota) charge(now time.Time, network netip.Prefix, size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e, ok := q.networks[network]
	if !ok {
		if len(q.networks) >= q.max {
			oldest := q.recent.Back()
			delete(q.networks, q.recent.Remove(oldest).(*meter).network)
		}
		e = q.recent.PushFront(&meter{
			network: network,
			mails:   rate.NewLimiter(rate.Limit(float64(q.mails)/3600), q.mails),
			bytes:   rate.NewLimiter(rate.Limit(float64(q.bytes)/3600), q.bytes),
		})
		q.networks[network] = e
	}
	q.recent.MoveToFront(e)
	m := e.Value.(*meter)
	return m.room(now, size) && m.mails.AllowN(now, 1) && m.bytes.AllowN(now, int(size))
}

func (m *meter) room(now time.Time, size int64) bool {
	return m.mails.TokensAt(now) >= 1 && m.bytes.TokensAt(now) >= float64(size)
}

// memory bounds the bytes of all mails that are on their way in.
type memory struct{ free atomic.Int64 }

func (m *memory) take(n int64) bool {
	if m.free.Add(-n) < 0 {
		m.free.Add(n)
		return false
	}
	return true
}

func (m *memory) give(n int64) { m.free.Add(n) }
