package session

import (
	"net/netip"
	"slices"
	"time"
)

// Question asks who had an address at a time.
type Question struct {
	Addr netip.Addr `json:"address"`
	Port uint16     `json:"port,omitempty"` // 0: not known
	At   time.Time  `json:"time"`
	// Skew is how far the asker's clock and ours may be apart: everybody who had the
	// address within it may have been meant.
	Skew time.Duration `json:"skew"`
}

// Policy is what the operator knows of the sources.
type Policy struct {
	// Interim is the longest time between two signs of life of a session; 0: they
	// send none, and a session is taken to last until its end is told.
	Interim time.Duration
}

// Level is how sure a candidate is.
type Level string

// The levels, the surest first. Possible is never acted on.
const (
	Certain  Level = "certain"  // theirs during the whole window
	Likely   Level = "likely"   // theirs during a part of it, or not ended as far as is known
	Possible Level = "possible" // their end, or their begin, is not known
)

// Reason says what an answer or a candidate rests on, or lacks.
type Reason string

// The reasons.
const (
	Whole        Reason = "whole_window"         // held it during the whole window
	Edge         Reason = "edge_of_session"      // the session begins or ends within the window
	NoEnd        Reason = "no_stop"              // no end was told; it may have ended
	Silent       Reason = "silent"               // no sign of life for longer than it should
	AfterRestart Reason = "access_server_began"  // its access server began anew in between
	NoStart      Reason = "start_unknown"        // nobody told when it began
	Behind       Reason = "behind_translation"   // found behind a translator
	NobodyBehind Reason = "nobody_behind"        // a translator names an inside address that nobody is known to have had
	Churn        Reason = "changed_hands"        // more than one had it within the window
	Conflict     Reason = "sources_disagree"     // two had it at once, if all that was told is true
	NeedsPort    Reason = "shared_needs_a_port"  // many share the address, and no port is given
	Nobody       Reason = "nobody"               // nobody is known to have had it
	Ahead        Reason = "in_the_future"        // the time has not come yet
	Forgotten    Reason = "older_than_retention" // what was known then is deleted
	More         Reason = "more_than_shown"      // there are further candidates
)

// Candidate is somebody who may have had the address.
type Candidate struct {
	Identity
	// Lines are all lines of the sessions, where there is more than one.
	Lines []string `json:"lines,omitempty"`
	Level Level    `json:"confidence"`
	Why   []Reason `json:"why"`
	Held  []Held   `json:"sessions"` // the newest first
}

// Answer is who had it. Nothing may be done to anybody unless Act allows it.
type Answer struct {
	Question   Question    `json:"question"`
	Candidates []Candidate `json:"candidates"` // the surest first
	Why        []Reason    `json:"why,omitempty"`
}

// MaxCandidates bounds an answer; a shared address without a port has thousands.
const MaxCandidates = 100

// Act is the one candidate who may be acted on. Where it is refused, ok is false
// and the answer's and the candidates' reasons say why: there is none or more than
// one, it is only possible, or the address is shared and the port unknown.
func (a Answer) Act() (c Candidate, ok bool) {
	if len(a.Candidates) != 1 || a.Candidates[0].Level == Possible {
		return c, false
	}
	for _, no := range []Reason{NeedsPort, Conflict, Churn, Ahead, Forgotten, More} {
		if slices.Contains(a.Why, no) {
			return c, false
		}
	}
	return a.Candidates[0], true
}

// touch is how a row meets the window.
type touch struct {
	Held
	level Level
	full  bool // the window lies within what the source vouches for
	why   []Reason
}

// Resolve answers q from what was held. find gives the rows that cover an address,
// all of those that may have held it in the window; it is asked again for the
// inside of a translator.
func Resolve(q Question, p Policy, find func(netip.Addr) []Held) Answer {
	return resolve(q, p, find, 0)
}

func resolve(q Question, p Policy, find func(netip.Addr) []Held, depth int) Answer {
	a := Answer{Question: q, Candidates: []Candidate{}}
	q.Addr = q.Addr.Unmap()
	var all []Held
	for _, h := range find(q.Addr) {
		if h.Prefix.Contains(q.Addr) && h.Ports.Has(q.Port) {
			all = append(all, h)
		}
	}
	touches := specific(meet(q, p, all))
	for _, t := range touches {
		if q.Port == 0 && !t.Ports.All() {
			a.say(NeedsPort)
		}
		if t.Inside.IsValid() && depth == 0 {
			a.behind(q, p, find, t)
			continue
		}
		a.add(t.Identity, t)
	}
	if len(a.Candidates) > 1 {
		a.say(Churn)
		whole := 0
		for _, c := range a.Candidates {
			if c.Level == Certain {
				whole++
			}
		}
		if whole > 1 && !slices.Contains(a.Why, NeedsPort) {
			a.say(Conflict)
		}
	}
	if len(a.Candidates) == 0 {
		a.say(Nobody)
	}
	slices.SortStableFunc(a.Candidates, func(x, y Candidate) int { return rank(x.Level) - rank(y.Level) })
	if len(a.Candidates) > MaxCandidates {
		a.Candidates = a.Candidates[:MaxCandidates]
		a.say(More)
	}
	return a
}

// meet gives the rows that meet the window.
func meet(q Question, p Policy, all []Held) (out []touch) {
	lo, hi := q.At.Add(-q.Skew), q.At.Add(q.Skew)
	for _, h := range newest(all) {
		early, late := over(h, all)
		if hi.Before(early) || !late.IsZero() && lo.After(late) {
			continue
		}
		t := touch{Held: h, level: Possible}
		vouched := h.Ended == Fixed || !lo.After(h.Seen) // and not before it began, below
		switch {
		case hi.Before(h.Start):
			t.why = append(t.why, NoStart)
		case vouched:
			t.level = Likely
			if t.full = !lo.Before(h.Start) && (h.Ended == Fixed && (late.IsZero() || !hi.After(late)) || !hi.After(h.Seen)); t.full {
				t.level, t.why = Certain, append(t.why, Whole)
			} else {
				t.why = append(t.why, Edge)
			}
		case h.Ended == Restarted:
			t.why = append(t.why, NoEnd, AfterRestart)
		case p.Interim > 0 && lo.After(h.Seen.Add(3*p.Interim)):
			t.why = append(t.why, NoEnd, Silent)
		default:
			t.level, t.why = Likely, append(t.why, NoEnd)
			if lo.Before(h.Start) {
				t.why = append(t.why, Edge)
			}
		}
		out = append(out, t)
	}
	return out
}

// specific leaves out what another row makes impossible. Where somebody surely had
// it during the whole window, nobody else had it of whom that is only thought; and
// of prefixes within each other the longest is whose it is: the wider one belongs
// to who gave it away.
func specific(all []touch) (out []touch) {
	for _, t := range all {
		if !slices.ContainsFunc(all, func(o touch) bool {
			if !o.full || o.Prefix.Bits() < t.Prefix.Bits() {
				return false
			}
			return o.Prefix.Bits() > t.Prefix.Bits() || !t.full && !surely(t) && o.Who() != t.Who()
		}) {
			out = append(out, t)
		}
	}
	return out
}

// surely says that a source vouches for a part of the window.
func surely(t touch) bool { return slices.Contains(t.why, Edge) && !slices.Contains(t.why, NoEnd) }

// behind asks who had the inside address.
func (a *Answer) behind(q Question, p Policy, find func(netip.Addr) []Held, t touch) {
	in := resolve(Question{Addr: t.Inside, At: q.At, Skew: q.Skew}, p, find, 1)
	if len(in.Candidates) == 0 {
		t.level, t.why = Possible, append(t.why, NobodyBehind)
		a.add(Identity{Subscriber: t.Subscriber, Line: "inside " + t.Inside.String()}, t)
		return
	}
	for _, c := range in.Candidates {
		n := touch{Held: t.Held, level: c.Level, why: append(slices.Clone(t.why), append(c.Why, Behind)...)}
		if rank(t.level) > rank(n.level) {
			n.level = t.level
		}
		a.add(c.Identity, n)
		at := slices.IndexFunc(a.Candidates, func(o Candidate) bool { return o.Who() == c.Who() })
		a.Candidates[at].Held = append(a.Candidates[at].Held, c.Held...)
	}
}

// add counts a row to the candidate whose it is.
func (a *Answer) add(id Identity, t touch) {
	i := slices.IndexFunc(a.Candidates, func(c Candidate) bool { return c.Who() == id.Who() })
	if i < 0 {
		a.Candidates = append(a.Candidates, Candidate{Identity: id, Level: t.level, Why: slices.Compact(t.why), Held: []Held{t.Held}})
		return
	}
	c := &a.Candidates[i]
	if rank(t.level) < rank(c.Level) {
		c.Level = t.level
	}
	for _, w := range t.why {
		if !slices.Contains(c.Why, w) {
			c.Why = append(c.Why, w)
		}
	}
	if id.Line != c.Line && id.Line != "" {
		if c.Lines == nil {
			c.Lines = []string{c.Line}
		}
		if !slices.Contains(c.Lines, id.Line) {
			c.Lines = append(c.Lines, id.Line)
		}
	}
	c.Held = append(c.Held, t.Held)
}

func (a *Answer) say(r Reason) {
	if !slices.Contains(a.Why, r) {
		a.Why = append(a.Why, r)
	}
}

func rank(l Level) int { return slices.Index([]Level{Certain, Likely, Possible}, l) }
