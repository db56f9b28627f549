package session

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// End is how we know that something held is over.
type End string

// The ends.
const (
	Open      End = ""        // nobody has told an end
	Stopped   End = "stop"    // the source told its end
	Restarted End = "restart" // the access server began anew and forgot to say so
	Replaced  End = "next"    // somebody else has it since, or its name was used again
	Expired   End = "lease"   // a lease that was not renewed
	Fixed     End = "fixed"   // of a table or a rule: it holds until that is changed
)

// Held is one prefix, or a block of ports of an address, that one session had.
//
//	Start ........ Seen .......... Until
//	  it was theirs | it may have been
//
// Seen is the last moment that the source vouches for, Until the first that is
// surely over; zero while nobody knows an end.
type Held struct {
	Identity
	NAS     string       `json:"nas,omitempty"`
	Session string       `json:"session,omitempty"`
	Source  Source       `json:"source"`
	Prefix  netip.Prefix `json:"prefix"`
	Ports   Ports        `json:"ports,omitzero"`
	Inside  netip.Addr   `json:"inside,omitzero"`
	Start   time.Time    `json:"start"`
	// Guessed says that the start was never told: it may have been earlier.
	Guessed bool      `json:"start_unknown,omitempty"`
	Seen    time.Time `json:"seen"`
	Until   time.Time `json:"until,omitzero"`
	Ended   End       `json:"ended,omitempty"`
}

// sameStart is how far two records of one session may disagree on when it began:
// sources count in whole seconds, and their clocks are set while a session lasts.
// What differs by more is another session under a name that was used again.
const sameStart = 2 * time.Minute

// of says whether r is about the session that h is part of.
func (h Held) of(r Record) bool {
	began, exact := r.Began()
	switch {
	case exact && !h.Guessed:
		d := began.Sub(h.Start)
		return -sameStart <= d && d <= sameStart
	case exact:
		return !began.After(h.Start.Add(sameStart))
	case r.At.Before(h.Start.Add(-sameStart)):
		return h.Guessed
	}
	return h.Ended != Stopped || !r.At.After(h.Until.Add(sameStart))
}

// Apply tells what is held of a session once r is known. held are the rows of that
// session (NAS and name) that are known, for as many times as its name was used. It
// returns those to write: was is the row that each stands for, nil where it is new.
// Records may come late, twice and in any order.
func Apply(held []Held, r Record) (out []Written) {
	mine := slices.DeleteFunc(newest(held), func(h Held) bool { return !h.of(r) })
	if len(mine) > 0 { // the name may have been used again: of the last time
		first := mine[0].Start
		mine = slices.DeleteFunc(mine, func(h Held) bool { return first.Sub(h.Start) > sameStart && !h.Guessed })
	}
	for _, p := range r.Prefixes {
		at := slices.IndexFunc(mine, func(h Held) bool { return h.Prefix == p && h.Ports == r.Ports })
		if at >= 0 {
			out = write(out, mine[at], mine[at].add(r))
			continue
		}
		h := fresh(r, p)
		if len(mine) > 0 && r.Kind != Start && r.Source == Radius && !h.Guessed && h.Start.Before(r.At) {
			h.Start, h.Guessed = r.At, true // the session is known without it: it came later
		}
		out = append(out, Written{Now: h})
	}
	for _, h := range mine {
		if slices.Contains(r.Prefixes, h.Prefix) {
			continue
		}
		switch {
		case len(r.Prefixes) == 0 && r.Kind != Start: // about all of the session
			out = write(out, h, h.add(r))
		case r.Kind == Stop && h.Ended != Stopped && h.Ended != Fixed: // gone by then, since when nobody told
			n := h
			n.Ended, n.Until = Stopped, later(r.At, h.Seen)
			out = write(out, h, n)
		}
	}
	return out
}

// Written is a row to write.
type Written struct {
	Was *Held // nil: it is new
	Now Held
}

func write(out []Written, was, now Held) []Written {
	if was == now {
		return out
	}
	return append(out, Written{&was, now})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fresh is what r tells of a prefix that nothing is known of yet.
func fresh(r Record, p netip.Prefix) Held {
	began, exact := r.Began()
	h := Held{Identity: r.Identity, NAS: r.NAS, Session: r.Session, Source: r.Source, Prefix: p, Ports: r.Ports, Inside: r.Inside,
		Start: began, Guessed: !exact, Seen: r.At}
	return h.add(r)
}

// add is h with what r tells.
func (h Held) add(r Record) Held {
	began, exact := r.Began()
	switch {
	case exact && h.Guessed:
		h.Start, h.Guessed = began, false
	case exact == !h.Guessed && began.Before(h.Start):
		h.Start = began
	}
	if h.Ended != Stopped && r.At.After(h.Seen) {
		h.Seen = r.At
		if h.Ended == Restarted || h.Ended == Replaced { // it was not: it is seen again
			if !h.Until.After(r.At) {
				h.Ended, h.Until = Open, time.Time{}
			}
		}
		if r.Identity != (Identity{}) {
			h.Identity = r.Identity
		}
	}
	switch {
	case r.Source == Table || r.Source == Rule:
		h.Ended, h.Until = Fixed, r.Until
	case r.Kind == Stop && (h.Ended != Stopped || r.At.Before(h.Until)):
		h.Ended, h.Until, h.Seen = Stopped, r.At, r.At
		if h.Seen.Before(h.Start) {
			h.Start = h.Seen
		}
	case r.Source == Lease && !r.Until.IsZero() && h.Ended != Stopped && r.Until.After(h.Seen):
		h.Ended, h.Until, h.Seen = Expired, r.Until, r.Until
	}
	return h
}

// over is h as it is known once everything that had the same is: an open row ends
// at the latest where another session begins, and one whose start nobody told
// began at the earliest where the last one was seen.
func over(h Held, all []Held) (early time.Time, late time.Time) {
	late = h.Until
	for _, o := range all {
		if o.same(h) || o.Prefix != h.Prefix || !o.Ports.overlaps(h.Ports) || o.Ended == Fixed {
			continue
		}
		if o.Start.After(h.Start) && h.Ended != Stopped && h.Ended != Fixed && (late.IsZero() || o.Start.Before(late)) {
			late = o.Start
		}
		if o.Start.Before(h.Start) && o.Seen.After(early) {
			early = o.Seen
		}
	}
	if late.Before(h.Seen) && !late.IsZero() {
		late = h.Seen // both were seen: they disagree, and the answer says so
	}
	if !h.Guessed || early.After(h.Start) {
		early = h.Start
	}
	return early, late
}

// same says that both are parts of one session.
func (h Held) same(o Held) bool {
	return h.NAS == o.NAS && h.Session == o.Session && h.Source == o.Source && h.Start.Equal(o.Start)
}

// newest puts the last to begin first.
func newest(held []Held) []Held {
	return slices.SortedStableFunc(slices.Values(held), func(a, b Held) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.Session, b.Session))
	})
}
