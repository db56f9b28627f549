package view

import (
	"net/netip"
	"time"

	"bolwerk/abuse/session"
)

// shared is the address space behind carrier-grade NAT (RFC 6598): no address of it
// is one line's.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// rules are what is known of the sources, and of the time.
type rules struct {
	now     time.Time
	interim time.Duration // between two signs of life; 0: there are none
}

// life is how long a session is taken to last after its last sign of life.
func (r rules) life() time.Duration {
	if r.interim > 0 {
		return 3 * r.interim
	}
	return longest
}

// longest is how long a session keeps a view where access servers send no signs of
// life; edges take no longer.
const longest = 24*time.Hour - time.Minute

// holder is who surely has a prefix now, and until when that may be believed. The
// rows are the last ones to begin, newest first, and the open ones that hold a part
// of it. Every doubt is nobody: then the line has the default view.
func (r rules) holder(p netip.Prefix, same, within []session.Held) (h session.Held, until time.Time, ok bool) {
	if len(same) == 0 || p.Overlaps(shared) {
		return h, until, false
	}
	h = same[0]
	for _, o := range same { // clocks count in seconds: of those that began in one, who has not ended
		if o.Start.Equal(h.Start) && h.Ended == session.Stopped {
			h = o
		}
	}
	if h.Ended != session.Open || h.Source != session.Radius || !h.Ports.All() || h.Inside.IsValid() || h.Subscriber == "" {
		return h, until, false
	}
	for _, o := range same {
		switch {
		case o.Who() == h.Who():
		case o.Ended == session.Stopped && !o.Until.After(h.Start): // it was over
		case !o.Start.Before(h.Start), o.Seen.After(h.Start): // two had it at once
			return h, until, false
		}
	}
	for _, o := range within {
		if o.Who() != h.Who() {
			return h, until, false // a part of it is somebody else's
		}
	}
	seen := h.Seen
	if seen.After(r.now) {
		seen = r.now // a clock that runs ahead gives nobody more
	}
	until = seen.Add(r.life())
	return h, until, until.After(r.now)
}
