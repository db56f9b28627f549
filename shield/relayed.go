package shield

import (
	"time"

	"bolwerk/internal/join"
	"bolwerk/internal/relay"
)

// Edges that take their copy from a relay are told of by it. Ten thousand of them at
// one row a change and edge would be ten million rows a day; so the edges that keep up
// with their relay share its row, and only an edge that does not has its own.

const (
	// keepsUp is how much later than its relay an edge may have a publication and
	// still share its row.
	keepsUp = 10 * time.Second
	// withEvery is how often it is written that an edge keeps up with its relay.
	withEvery = 10 * time.Minute
)

// relayed is what is known of an edge behind a relay, and of a relay.
type relayed struct {
	via   string    // relay that told of it last
	with  bool      // it keeps up with it
	short time.Time // since when it has less than its relay; zero: it has as much
	came  time.Time // when its serial was heard first

	group group // of a relay
}

// group is what a relay and all edges that keep up with it have.
type group struct {
	epoch, serial int64
	came          time.Time // when the last of them had it
	fresh         bool      // not written down
}

// Told is told by a relay how far its edges are. It returns at once.
func (s *Shield) Told(name string, edges []relay.Edge) {
	now := s.clock.Now()
	for _, e := range edges {
		at := now.Add(-time.Duration(e.Ago) * time.Millisecond)
		s.hear(e.Name, string(join.Edge), e.Epoch, e.Serial, at, time.Time{})
		s.heard.Lock()
		if h := s.heard.of[e.Name]; h != nil && h.kind == string(join.Edge) && !h.at.After(at) {
			h.via = name
		}
		s.heard.Unlock()
	}
}

// relays says of each edge whether it keeps up with its relay, and of each relay what
// it and these edges have. The lock is held.
func (s *Shield) relays(now time.Time) {
	groups := map[*heard]group{}
	for _, h := range s.heard.of {
		if h.kind == string(join.Relay) {
			groups[h] = group{h.epoch, h.serial, h.came, false}
		}
	}
	for _, h := range s.heard.of {
		was := h.with
		h.with = false
		r := s.heard.of[h.via]
		if h.via == "" || r == nil || r.kind != string(join.Relay) {
			continue
		}
		switch {
		case h.epoch == r.epoch && h.serial >= r.serial:
			h.short = time.Time{}
		case h.short.IsZero():
			h.short = now
		}
		h.with = (h.short.IsZero() || now.Sub(h.short) < keepsUp) && now.Sub(h.at) <= silentAfter
		if h.with != was {
			h.wrote = time.Time{} // its row says another thing
		}
		if !h.with {
			continue
		}
		g := groups[r]
		if h.epoch < g.epoch || h.epoch == g.epoch && h.serial < g.serial {
			g.epoch, g.serial = h.epoch, h.serial
		}
		if h.came.After(g.came) {
			g.came = h.came
		}
		groups[r] = g
	}
	for h, g := range groups {
		old := h.group
		if g.epoch < old.epoch || g.epoch == old.epoch && g.serial <= old.serial {
			continue
		}
		g.fresh = true
		h.group = g
	}
}

// together is the row of a relay: what all have that keep up with it.
func (h *heard) together() heard {
	return heard{kind: h.kind, epoch: h.group.epoch, serial: h.group.serial, at: h.at, behind: h.behind, fresh: h.group.fresh, relayed: relayed{came: h.group.came}}
}

// row is the relay that is written into the row of an edge.
func (h heard) row() string {
	if h.with {
		return h.via
	}
	return ""
}

// since is when the serial was heard first.
func (h heard) since() time.Time {
	if h.came.IsZero() {
		return h.at
	}
	return h.came
}

// withRelays gives each edge that keeps up with a relay what the relay's row says,
// and each relay the number of these edges.
func withRelays(all []Stand, now time.Time) {
	relays := map[string]*Stand{}
	for i := range all {
		if all[i].Kind == string(join.Relay) {
			relays[all[i].Name] = &all[i]
		}
	}
	for i := range all {
		x := &all[i]
		r := relays[x.Via]
		if x.Via == "" || r == nil || now.Sub(x.At) > withEvery+silentAfter {
			continue // a desk that began anew has not heard of it
		}
		r.Edges++
		if x.Epoch < r.Epoch || x.Epoch == r.Epoch && x.Serial < r.Serial {
			x.Epoch, x.Serial = r.Epoch, r.Serial
		}
		if x.At.Before(r.At) {
			x.At = r.At
		}
	}
}
