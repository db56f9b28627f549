package probe

import (
	"context"
	"sync"
	"time"
)

// pace holds requests back: one a second to the same host, and so many a second
// in all. It waits in real time: how long depends on no clock that can jump.
type pace struct {
	host, all time.Duration // between two requests

	mu   sync.Mutex
	next time.Time
	at   map[string]time.Time // when a host may be asked again
}

func newPace(host, all time.Duration) *pace {
	return &pace{host: host, all: all, at: map[string]time.Time{}}
}

// wait waits until host may be asked.
func (p *pace) wait(ctx context.Context, host string) error {
	p.mu.Lock()
	now := time.Now()
	when := now
	if t := p.at[host]; t.After(when) {
		when = t
	}
	if p.next.After(when) {
		when = p.next
	}
	p.at[host] = when.Add(p.host)
	if p.all > 0 {
		// The line of all is not held up by a host that must wait.
		if p.next.Before(now) {
			p.next = now
		}
		p.next = p.next.Add(p.all)
	}
	if len(p.at) > 10_000 {
		for h, t := range p.at {
			if t.Before(now) {
				delete(p.at, h)
			}
		}
	}
	p.mu.Unlock()
	d := when.Sub(now)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
