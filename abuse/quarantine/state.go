package quarantine

import (
	"cmp"
	"slices"
	"time"

	"bolwerk/abuse/enforce"
)

// State is where a quarantine stands.
type State string

// The states. Nothing but Requested holds a line without a decision behind it, and
// Requested holds none.
const (
	Requested    State = "requested"    // asked for; waits for the brake, or for a second person
	Approved     State = "approved"     // decided; nothing was sent yet
	Applying     State = "applying"     // sent to the access network
	Active       State = "active"       // in force
	Pending      State = "pending"      // no session is open: it is taken at the next login
	Failed       State = "failed"       // the access network does not take it: a person has to look
	Acknowledged State = "acknowledged" // its page was seen
	Offered      State = "offered"      // the steps are ticked: the guest may end it
	Releasing    State = "releasing"    // on its way back
	Released     State = "released"     // over
	Stuck        State = "stuck"        // the way back fails: somebody is locked in
	Dropped      State = "dropped"      // never decided: declined, or its time passed
)

// Holds says that the line is to be in quarantine.
func (s State) Holds() bool {
	switch s {
	case Approved, Applying, Active, Pending, Failed, Acknowledged, Offered:
		return true
	}
	return false
}

// Over says that nothing is left to do.
func (s State) Over() bool { return s == Released || s == Dropped }

// Mechanism is how a quarantine ended.
type Mechanism string

// The mechanisms.
const (
	BySelf     Mechanism = "self"           // the guest, on the page
	ByStaff    Mechanism = "staff"          // a person of the desk
	ByTimer    Mechanism = "timer"          // its time was over
	ByMistake  Mechanism = "false_positive" // it should not have been
	ByCase     Mechanism = "case"           // its case was closed
	ByPlaybook Mechanism = "playbook"       // the line is clean
	ByRestore  Mechanism = "restore"        // the desk was brought back to an older day
)

// Mechanisms are all of them.
func Mechanisms() []Mechanism {
	return []Mechanism{BySelf, ByPlaybook, ByStaff, ByCase, ByTimer, ByMistake, ByRestore}
}

// Line is one session of the subscriber, and what it is to have.
type Line struct {
	Key     string // of the session
	NAS     string
	Want    enforce.Profile
	Version int64     // of the wish: one higher with each
	Done    bool      // the access network said that it does what is wanted
	Seen    bool      // and somebody looked, and saw it so
	Tries   int       // without an answer, since the wish
	Due     time.Time // when it is sent (again); zero: never
	Code    string    // what the access network said last
	Against int       // how often accounting told of another profile since, in a row
	Heard   time.Time // accounting of before says nothing of what is wanted
}

// Lied says that accounting told of another profile too often to believe what the
// access server acknowledges.
func (l Line) Lied() bool {
	return l.Against >= lieBack && (l.Want == enforce.Normal || l.Against >= lieIn)
}

// out says that nothing is left to do on a line's way back.
func (l Line) out() bool { return l.Done && (l.Seen || !l.Lied()) }

// Q is a quarantine as far as its steps go.
type Q struct {
	State     State
	Profile   enforce.Profile
	Until     time.Time
	EndedAt   time.Time // when the way back began; zero before
	Mechanism Mechanism // how it ended; before that, how its time is cut short
	SelfLeft  int       // how often the guest may still end one alone
	Version   int64
	Lines     []Line
}

// Event is what happens to a quarantine.
type Event interface{ event() }

// The events.
type (
	// Approve decides it.
	Approve struct{}
	// Drop ends one that was never decided.
	Drop struct{}
	// Sessions are the open sessions of the subscriber: Open by name, with their
	// access servers; Ended are those of which is known that they are over.
	Sessions struct {
		Open  map[string]string
		Ended []string
	}
	// Answered is what came of a line's order.
	Answered struct {
		Key     string
		Version int64
		Result  enforce.Result
	}
	// Accounted is the profile that accounting of At tells a line has.
	Accounted struct {
		Key     string
		Profile enforce.Profile
		At      time.Time
	}
	// Stray is an open session with a profile, of which nothing is known: it took it at
	// its login, and was heard of once all was over.
	Stray struct{ Key, NAS string }
	// Opened says that the guest has seen the page.
	Opened struct{}
	// Ticked says that the guest has done the steps; or, with All false, not any more.
	Ticked struct{ All bool }
	// Release takes the line out.
	Release struct{ By Mechanism }
	// Inside says that the guest is still in the garden.
	Inside struct{}
	// Retry asks again what the access network did not take.
	Retry struct{}
	// Tick says that time has passed.
	Tick struct{}
)

func (Approve) event()   {}
func (Drop) event()      {}
func (Sessions) event()  {}
func (Answered) event()  {}
func (Accounted) event() {}
func (Stray) event()     {}
func (Opened) event()    {}
func (Ticked) event()    {}
func (Release) event()   {}
func (Inside) event()    {}
func (Retry) event()     {}
func (Tick) event()      {}

// Effect is what the desk has to do because of a step.
type Effect string

// The effects.
const (
	Hold          Effect = "hold"           // the edges give the lines a garden
	Free          Effect = "free"           // and no longer
	Began         Effect = "began"          // the subscriber is told
	InForce       Effect = "in_force"       // for the first time
	Ended         Effect = "ended"          // the subscriber is told
	AlarmFailed   Effect = "alarm_failed"   // the access network does not take it
	AlarmStuck    Effect = "alarm_stuck"    // somebody is locked in
	AlarmLied     Effect = "alarm_lied"     // an access server acknowledges and does not act
	RefusedAsk    Effect = "refused"        // nothing was done: it does not fit the state
	WantsPerson   Effect = "wants_person"   // the guest may not end it alone
	ReleasedFully Effect = "released_fully" // the access network said so of every line
)

const (
	silentMost = 3               // the third time without an answer is a failure
	firstAgain = 5 * time.Second // before the second try; doubled each time
	lastAgain  = 5 * time.Minute // at most
	lateLogins = 10 * time.Minute
	actTime    = 30 * time.Second // an access server may take to do what it acknowledged
	lieBack    = 2                // the second time that accounting tells otherwise, somebody is locked in
	lieIn      = 6                // on the way in: it was sent again twice by then
)

// again is how long to wait after so many tries.
func again(tries int, least time.Duration) time.Duration {
	d := firstAgain << min(max(tries-1, 0), 10)
	return max(min(d, lastAgain), least)
}

// Step is what a quarantine becomes by an event, and what has to be done. It changes
// nothing of q, and the same event again changes nothing but counts.
func Step(q Q, e Event, now time.Time) (Q, []Effect) {
	q.Lines = slices.Clone(q.Lines)
	var out []Effect
	switch e := e.(type) {
	case Approve:
		if q.State != Requested {
			return q, []Effect{RefusedAsk}
		}
		if !q.Until.After(now) {
			q.State = Dropped
			return q, []Effect{RefusedAsk}
		}
		q.State = Approved
		out = append(out, Hold, Began)
	case Drop:
		if q.State != Requested {
			return q, []Effect{RefusedAsk}
		}
		q.State = Dropped
	case Sessions:
		q.sessions(e, now)
		out = append(out, q.settle(now)...)
	case Answered:
		out = append(out, q.answered(e, now)...)
		out = append(out, q.settle(now)...)
	case Accounted:
		out = append(out, q.told(e, now)...)
		out = append(out, q.settle(now)...)
	case Stray:
		if q.State == Released && q.line(e.Key) < 0 {
			l := Line{Key: e.Key, NAS: e.NAS}
			q.wish(&l, enforce.Normal, now)
			q.Lines = append(q.Lines, l)
			slices.SortFunc(q.Lines, func(a, b Line) int { return cmp.Compare(a.Key, b.Key) })
		}
	case Opened: // who sees the page is in the garden, whatever the network said
		if q.State == Active || q.State == Applying || q.State == Pending {
			q.State = Acknowledged
		}
	case Ticked:
		switch {
		case e.All && (q.State == Active || q.State == Acknowledged || q.State == Applying || q.State == Pending):
			q.State = Offered
		case !e.All && q.State == Offered:
			q.State = Acknowledged
		}
	case Release:
		return q.release(e.By, now)
	case Inside:
		if q.State == Released {
			q.State = Stuck
			for i := range q.Lines { // it says that it did, and it did not
				q.wish(&q.Lines[i], enforce.Normal, now)
			}
			out = append(out, AlarmStuck)
		}
	case Retry:
		for i := range q.Lines {
			if l := &q.Lines[i]; !l.Done {
				l.Tries, l.Due, l.Against = 0, now, 0
			}
		}
		out = append(out, q.settle(now)...)
	case Tick:
		switch {
		case q.State == Requested && !q.Until.After(now):
			q.State = Dropped
		case q.State.Holds() && !q.Until.After(now):
			return q.release(cmp.Or(q.Mechanism, ByTimer), now)
		}
		out = append(out, q.settle(now)...)
	}
	return q, out
}

// release turns every line back. A line to which nothing was sent is turned back too:
// it may have taken the profile at its login.
func (q Q) release(by Mechanism, now time.Time) (Q, []Effect) {
	switch {
	case q.State == Requested:
		q.State = Dropped
		return q, nil
	case !q.State.Holds():
		return q, nil // it is, or was: nothing is done twice
	case by == BySelf && q.SelfLeft <= 0:
		return q, []Effect{WantsPerson}
	}
	q.State, q.Mechanism, q.EndedAt = Releasing, by, now
	for i := range q.Lines {
		q.wish(&q.Lines[i], enforce.Normal, now)
	}
	return q, append([]Effect{Free, Ended}, q.settle(now)...)
}

func (q *Q) wish(l *Line, p enforce.Profile, now time.Time) {
	q.Version++
	l.Want, l.Version, l.Done, l.Seen, l.Tries, l.Due, l.Code = p, q.Version, false, false, 0, now, ""
	l.Against, l.Heard = 0, time.Time{}
}

func (q *Q) line(key string) int {
	return slices.IndexFunc(q.Lines, func(l Line) bool { return l.Key == key })
}

// sessions adds those that began and drops those that are over: an ended session has
// no profile. One of which nobody says anything is left as it is.
func (q *Q) sessions(e Sessions, now time.Time) {
	for _, k := range e.Ended {
		if at := q.line(k); at >= 0 {
			q.Lines = slices.Delete(q.Lines, at, at+1)
		}
	}
	want := enforce.Normal
	switch {
	case q.State.Holds() && q.Until.After(now):
		want = q.Profile
	case q.State == Releasing || q.State == Stuck || q.State == Released && now.Sub(q.EndedAt) < lateLogins:
		// It may have taken the profile at its login before the way back began.
	default:
		return
	}
	for k, nas := range e.Open {
		if q.line(k) >= 0 { // also one that was turned back: lines are kept a while for this
			continue
		}
		l := Line{Key: k, NAS: nas}
		q.wish(&l, want, now)
		q.Lines = append(q.Lines, l)
	}
	slices.SortFunc(q.Lines, func(a, b Line) int { return cmp.Compare(a.Key, b.Key) })
}

// answered takes in what the access network said.
func (q *Q) answered(e Answered, now time.Time) (out []Effect) {
	at := q.line(e.Key)
	if at < 0 || q.Lines[at].Version != e.Version || q.Lines[at].Done {
		return nil // another wish stands since
	}
	l := &q.Lines[at]
	back := l.Want == enforce.Normal
	l.Code = e.Result.Code
	switch e.Result.State {
	case enforce.Applied:
		l.Done, l.Seen, l.Due, l.Heard = true, e.Result.Seen, time.Time{}, now
	case enforce.Offline:
		if back {
			l.Done, l.Due = true, time.Time{} // what is over has no profile
		} else {
			q.Lines = slices.Delete(q.Lines, at, at+1)
		}
	case enforce.Busy:
		l.Due = now.Add(max(e.Result.Again, 10*time.Millisecond))
	case enforce.Refused:
		l.Tries++
		if l.Due = (time.Time{}); back { // the way back is never given up
			l.Due = now.Add(max(again(l.Tries+silentMost, 0), e.Result.Again))
			out = append(out, q.stuck()...)
		} else {
			out = append(out, AlarmFailed)
		}
	default: // Silent, and whatever is unknown
		l.Tries++
		l.Due = now.Add(again(l.Tries, e.Result.Again))
		if l.Tries >= silentMost {
			if back {
				out = append(out, q.stuck()...)
			} else {
				l.Due = time.Time{}
				out = append(out, AlarmFailed)
			}
		}
	}
	return out
}

// told compares what accounting tells with what the access server acknowledged. One that
// tells otherwise is told again: on the way back at once, and the second time somebody is
// locked in; on the way in each second time, until it is given up.
func (q *Q) told(e Accounted, now time.Time) (out []Effect) {
	at := q.line(e.Key)
	if at < 0 || !q.Lines[at].Done {
		return nil
	}
	l := &q.Lines[at]
	switch {
	case e.Profile == l.Want:
		if !e.At.Before(l.Heard.Truncate(time.Second)) { // access servers count in whole seconds
			l.Seen, l.Against = true, 0
		}
		return nil
	case !e.At.After(l.Heard.Add(actTime)):
		return nil // of before, or too soon
	}
	l.Seen, l.Heard = false, e.At
	l.Against++
	l.Code = "acknowledged, but accounting tells of " + string(e.Profile)
	send := func(due time.Time) {
		q.Version++
		l.Version, l.Done, l.Tries, l.Due = q.Version, false, 0, due
	}
	if l.Want == enforce.Normal {
		send(now.Add(min(firstAgain<<min(l.Against-1, 10), lastAgain) - firstAgain))
		if l.Against == lieBack {
			out = append(out, AlarmLied)
		}
		if l.Against >= lieBack {
			out = append(out, q.stuck()...)
		}
		return out
	}
	switch {
	case l.Against == lieIn:
		l.Done, l.Due = false, time.Time{}
		return []Effect{AlarmLied, AlarmFailed}
	case l.Against < lieIn && l.Against%2 == 0:
		send(now)
	}
	return nil
}

func (q *Q) stuck() []Effect {
	if q.State == Stuck {
		return nil // the alarm stands
	}
	q.State = Stuck
	return []Effect{AlarmStuck}
}

// settle is the state that follows from the lines.
func (q *Q) settle(now time.Time) (out []Effect) {
	done, waits, inside := 0, 0, 0
	for _, l := range q.Lines {
		if !l.out() {
			inside++
		}
		switch {
		case l.Done:
			done++
		case !l.Due.IsZero():
			waits++
		}
	}
	switch q.State {
	case Releasing, Stuck:
		if inside == 0 {
			q.State = Released
			return []Effect{ReleasedFully}
		}
	case Approved, Applying, Active, Pending, Failed:
		next := Failed
		switch {
		case len(q.Lines) == 0:
			next = Pending
		case waits > 0 && done == 0:
			next = Applying
		case done > 0:
			next = Active
		}
		if next == Active && q.State != Active {
			out = append(out, InForce)
		}
		q.State = next
	}
	return out
}
