package account

import (
	"net/netip"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/web"
)

// throttle slows guessing down and cannot lock anybody else out: what is
// counted is one account from one network (/24 or /48), and one network
// altogether. A browser that has logged in to the account before is counted by
// itself only, so neither a guesser next door nor one behind the same office
// address holds its owner up.
type throttle struct {
	clock clock.Clock
	mu    sync.Mutex
	seen  map[string]*tries
}

// tries are failed log-ins that count together.
type tries struct {
	failed int
	last   time.Time
	until  time.Time // no try before
}

const (
	freeTries        = 5                // of one account from one network, before it gets slower
	freeNetworkTries = 50               // of one network over all accounts: an office that mistypes
	maxDelay         = 15 * time.Minute // 1 s doubling
	forget           = 24 * time.Hour   // without a failure
	maxSeen          = 100_000          // about 20 MB
)

func newThrottle(c clock.Clock) *throttle {
	return &throttle{clock: c, seen: map[string]*tries{}}
}

// bucket is a key and how many failures it has free.
type bucket struct {
	key  string
	free int
}

func buckets(login, device string, source netip.Addr) []bucket {
	if device != "" {
		return []bucket{{"device " + device, freeTries}}
	}
	network := web.Network(source).String()
	return []bucket{{"login " + login + " " + network, freeTries}, {"network " + network, freeNetworkTries}}
}

// begin counts a try as failed before it is made, so that many at once count
// too; succeed takes it back. It answers with a web.Wait when it is too early.
func (t *throttle) begin(bs []bucket) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	for _, b := range bs {
		if s := t.seen[b.key]; s != nil && now.Before(s.until) {
			return &web.Wait{Err: bolwerk.Forbidden("there were too many wrong tries from here"), After: s.until.Sub(now)}
		}
	}
	t.sweep(now)
	for _, b := range bs {
		s := t.seen[b.key]
		if s == nil || now.Sub(s.last) > forget {
			s = &tries{}
			t.seen[b.key] = s
		}
		s.failed++
		s.last = now
		if over := s.failed - b.free; over >= 0 {
			s.until = now.Add(min(maxDelay, time.Second<<min(over, 20)))
		}
	}
	return nil
}

// succeed forgets the failures of the account from here; of the network it
// takes back the one try, or a guesser with one good account could go on.
func (t *throttle) succeed(bs []bucket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, b := range bs {
		s := t.seen[b.key]
		switch {
		case s == nil:
		case i == 0:
			delete(t.seen, b.key)
		default:
			if s.failed--; s.failed < b.free {
				s.until = time.Time{}
			}
		}
	}
}

// sweep makes room: first what is old, then anything but what is held back.
func (t *throttle) sweep(now time.Time) {
	if len(t.seen) < maxSeen {
		return
	}
	for k, s := range t.seen {
		if now.Sub(s.last) > time.Hour && now.After(s.until) {
			delete(t.seen, k)
		}
	}
	for k, s := range t.seen {
		if len(t.seen) < maxSeen*9/10 {
			return
		}
		if now.After(s.until) {
			delete(t.seen, k)
		}
	}
}
