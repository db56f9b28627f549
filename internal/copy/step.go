package copy

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"bolwerk"
)

// This file is the whole behaviour of a follower as a pure function: no clock,
// no disk, no network. The Machine does on this host's disk what it says; the
// Follower and the simulation do the rest.

const (
	waitFor    = 30 * time.Second // of a long poll
	askAgain   = 2 * time.Minute  // a question without an answer is lost
	silentFor  = 3 * time.Minute  // without any valid head from the desk
	tickEvery  = 5 * time.Second  // how often step hears of the time
	firstRetry = time.Second      // after a question that brought nothing; doubles
	lastRetry  = 30 * time.Second
	pace       = 250 * time.Millisecond // between answers that brought nothing

	// A changes file of more than compactAt plus an eighth of its snapshot is
	// replaced by a fresh snapshot: it bounds the start of a host.
	compactAt = 4 << 20
)

// State is where a follower stands.
type State struct {
	Trust Trust
	Head  Head      // what is durable here; Copy is empty where nothing is
	Floor Mark      // nothing older is ever taken
	Heard time.Time // when the last good head came from the desk
	Asked time.Time // when the question under way was asked; zero: none
	Ask   uint64    // its number
	Fails int       // questions in a row that brought nothing

	Snapshot, Changes int64 // octets on disk

	line    []byte // the last H line of the present key where Head stands; nil: none yet
	pending *pending
	fresh   bool // the next question asks for a snapshot
	broken  bool // the sink must be Reset
	alarms  [alarmKinds]bool
}

// pending is verified and being made durable.
type pending struct {
	trust   Trust
	head    Head
	line    []byte // H; of a snapshot nil
	batches []Batch
	staged  bool
	grown   int64 // octets of the changes, or of the snapshot
}

// Alarm is something that a person must know of.
type Alarm int

// The alarms.
const (
	AlarmStale  Alarm = iota // fresh_until has passed
	AlarmSilent              // no heartbeat
	AlarmForged              // a head or batch that the desk did not sign, or another history
	AlarmBehind              // the desk offers what is older than what we have
	AlarmDisk                // the copy cannot be written
	AlarmSink                // the copy cannot be put to use
	alarmKinds
)

func (a Alarm) String() string {
	return [...]string{"stale", "silent", "forged", "behind", "disk", "sink"}[a]
}

// Event is what happens to a follower.
type Event interface{ event() }

// The events.
type (
	// Started begins, with what was found on disk.
	Started struct{ Loaded Loaded }
	// Answered is what question N brought.
	Answered struct {
		N       uint64
		Keys    [][]byte // K lines
		Batches [][]byte
		Line    []byte  // the head line
		Staged  *Staged // or a snapshot
		Want    bool    // or the desk's wish to know what we hold
		From    Mark    // where the question stood
	}
	// Failed says that question N brought nothing.
	Failed struct {
		N   uint64
		Err error
	}
	// Stored says whether the pending change is durable.
	Stored struct{ Err error }
	// Used says whether the sink took what it was given.
	Used struct{ Err error }
	// Told says whether the desk was told what we hold.
	Told struct{ Err error }
	// Tick says that time has passed.
	Tick struct{}
)

func (Started) event()  {}
func (Answered) event() {}
func (Failed) event()   {}
func (Stored) event()   {}
func (Used) event()     {}
func (Told) event()     {}
func (Tick) event()     {}

// Effect is what a follower wants done, in order.
type Effect interface{ effect() }

// The effects. The Machine does the first six; after Append, Install and
// SaveKeys comes one Stored, after Apply and Reset a Used.
type (
	SaveKeys struct{ Lines [][]byte } // add to the keys on disk
	Append   struct {
		Batches [][]byte
		Line    []byte
	} // add to the changes on disk
	Install struct{ Staged Staged } // begin a new generation on disk
	Drop    struct{ Staged Staged } // forget a staged snapshot
	Apply   struct {
		Head    Head
		Batches []Batch
	} // give changes to the sink
	Reset    struct{ Head Head } // give everything on disk to the sink
	Remember struct {
		Head Head
		Line []byte
	} // for the history of audit heads
	Question struct { // ask the desk
		N        uint64
		Mark     Mark
		Nothing  bool // we have nothing yet
		Snapshot bool
		Key      string
		After    time.Duration // not before
	}
	Tell  struct{ Mark Mark } // give the desk what we hold
	Raise struct {
		Alarm Alarm
		On    bool
		Why   error
	} // an alarm begins or ends
)

func (SaveKeys) effect() {}
func (Append) effect()   {}
func (Install) effect()  {}
func (Drop) effect()     {}
func (Apply) effect()    {}
func (Reset) effect()    {}
func (Remember) effect() {}
func (Question) effect() {}
func (Tell) effect()     {}
func (Raise) effect()    {}

// step is what a follower does about an event.
func step(s State, e Event, now time.Time) (State, []Effect) {
	switch e := e.(type) {
	case Started:
		return s.started(e.Loaded, now)
	case Answered:
		return s.answered(e, now)
	case Failed:
		if e.N != s.Ask || s.Asked.IsZero() {
			return s, nil
		}
		return s.ask(now, s.retry())
	case Stored:
		return s.stored(e.Err, now)
	case Used:
		s.broken = e.Err != nil
		return s.alarm(AlarmSink, e.Err)
	case Told:
		if e.Err != nil {
			return s.ask(now, s.retry())
		}
		return s.ask(now, pace)
	case Tick:
		return s.tick(now)
	}
	return s, nil
}

// retry is how long to wait after another failure in a row.
func (s *State) retry() time.Duration {
	d := lastRetry
	if s.Fails < 6 {
		d = min(lastRetry, firstRetry<<s.Fails)
	}
	s.Fails++
	return d
}

func (s State) started(l Loaded, now time.Time) (State, []Effect) {
	s = State{Trust: l.Trust, Head: l.Head, Floor: l.Floor, Snapshot: l.Snapshot, Changes: l.Changes, Heard: now, Ask: s.Ask, fresh: l.Damaged}
	if l.Head.KeyID == KeyID(s.Trust.now()) {
		s.line = l.Line
	}
	var out []Effect
	if l.Head.Copy != "" {
		out = append(out, Reset{l.Head})
	}
	s, more := s.ask(now, 0)
	return s, append(out, more...)
}

// ask asks the desk, with a new number.
func (s State) ask(now time.Time, after time.Duration) (State, []Effect) {
	s.Ask++
	s.Asked = now.Add(after)
	return s, []Effect{Question{N: s.Ask, Mark: s.Head.Mark(), Nothing: s.Head.Copy == "",
		Snapshot: s.fresh || s.Changes > compactAt+s.Snapshot/8, Key: KeyID(s.Trust.now()), After: after}}
}

// alarm notes an alarm (err) or its end (nil), and tells only what is new.
func (s State) alarm(a Alarm, err error) (State, []Effect) {
	if on := err != nil; s.alarms[a] != on {
		s.alarms[a] = on
		return s, []Effect{Raise{a, on, err}}
	}
	return s, nil
}

// watch looks whether the desk is heard.
func (s State) watch(now time.Time) (State, []Effect) {
	var out []Effect
	do := func(next State, more []Effect) {
		s = next
		out = append(out, more...)
	}
	var stale, silent error
	if s.Head.Copy != "" && now.After(s.Head.Fresh) {
		stale = fmt.Errorf("copy %s: its head was fresh until %s", s.Trust.Copy, s.Head.Fresh.Format(time.RFC3339))
	}
	if now.Sub(s.Heard) > silentFor {
		silent = fmt.Errorf("copy %s: the desk was last heard at %s", s.Trust.Copy, s.Heard.Format(time.RFC3339))
	}
	do(s.alarm(AlarmStale, stale))
	do(s.alarm(AlarmSilent, silent))
	if now.Before(s.Heard) {
		s.Heard = now // the clock went back
	}
	return s, out
}

func (s State) tick(now time.Time) (State, []Effect) {
	s, out := s.watch(now)
	if s.broken && s.pending == nil && s.Head.Copy != "" {
		out = append(out, Reset{s.Head})
	}
	// A clock that went back must not keep the question waiting either.
	if age := now.Sub(s.Asked); s.pending == nil && (age > askAgain || age < -askAgain) {
		next, more := s.ask(now, 0)
		return next, append(out, more...)
	}
	return s, out
}

// errGap says that the answer does not continue what we have: a snapshot is
// needed. errFork says that it tells another history, too.
var (
	errGap  = errors.New("does not continue what is here")
	errFork = fmt.Errorf("another history than ours: %w", errGap)
)

func (s State) answered(a Answered, now time.Time) (State, []Effect) {
	var out []Effect
	if a.N != s.Ask || s.Asked.IsZero() || s.pending != nil {
		if a.Staged != nil {
			out = append(out, Drop{*a.Staged})
		}
		return s, out
	}
	s.Asked = time.Time{}
	if a.Want && s.Head.Copy == "" {
		return s.ask(now, s.retry()) // there is nothing to tell
	}
	if a.Want {
		s.Asked = now // the telling takes its place
		return s, append(out, Tell{s.Head.Mark()})
	}
	p, why := s.judge(a)
	if why != nil {
		return s.refuse(a, why, now)
	}
	s.Heard, s.Fails = now, 0
	for _, kind := range []Alarm{AlarmForged, AlarmBehind} {
		next, more := s.alarm(kind, nil)
		s, out = next, append(out, more...)
	}
	if len(a.Keys) > 0 && len(p.trust.Keys) > len(s.Trust.Keys) {
		out = append(out, SaveKeys{a.Keys})
	} else if !s.Head.Before(p.head) && !p.staged {
		// A heartbeat. An old one that comes again renews nothing.
		if p.head.MadeAt.After(s.Head.MadeAt) {
			s.Head, s.line = p.head, a.Line
			out = append(out, Remember{p.head, a.Line})
		} else if s.line == nil {
			s.line = a.Line
		}
		next, more := s.watch(now)
		s, out = next, append(out, more...)
		next, more = s.ask(now, pace)
		return next, append(out, more...)
	}
	switch {
	case p.staged:
		out = append(out, Install{*a.Staged})
	case s.Head.Before(p.head):
		out = append(out, Append{a.Batches, a.Line})
	}
	s.pending = &p
	return s, out
}

// refuse takes nothing from an answer.
func (s State) refuse(a Answered, why error, now time.Time) (State, []Effect) {
	var out, more []Effect
	if a.Staged != nil {
		out = append(out, Drop{*a.Staged})
	}
	switch {
	case errors.Is(why, errGap):
		s.fresh = true
		if errors.Is(why, errFork) {
			s, more = s.alarm(AlarmForged, fmt.Errorf("copy %s: %w", s.Trust.Copy, why))
			out = append(out, more...)
		}
		s, more = s.ask(now, s.retry())
		return s, append(out, more...)
	case errors.Is(why, bolwerk.ErrConflict):
		s, more = s.alarm(AlarmBehind, why)
	default:
		s, more = s.alarm(AlarmForged, why)
	}
	out = append(out, more...)
	s, more = s.ask(now, s.retry())
	return s, append(out, more...)
}

// judge verifies an answer. Nothing of it is used before all of it is verified.
func (s State) judge(a Answered) (p pending, err error) {
	if len(a.Keys) > maxKeys {
		return p, bolwerk.Invalid("%d changes of the key at once", len(a.Keys))
	}
	if p.trust, err = s.Trust.follow(a.Keys); err != nil {
		return p, err
	}
	if a.Staged != nil {
		return s.judgeSnapshot(p, *a.Staged)
	}
	if p.head, err = p.trust.head(a.Line, p.trust.now()); err != nil {
		return p, err
	}
	have, new := s.Head, p.head
	switch {
	case new.Mark().Before(s.Floor):
		return p, older(new, s.Floor)
	case have.Copy == "" || new.Epoch > have.Epoch:
		return p, errGap
	case new.Mark() == have.Mark() && new.Digest != have.Digest:
		return p, bolwerk.Forbidden("copy %s: two histories at %d/%d", new.Copy, new.Epoch, new.Serial)
	case new.Mark() == have.Mark():
		return p, nil
	}
	if _, p.batches, err = s.continues(a.Batches, a.Line, p.trust.now()); err != nil {
		return p, err
	}
	p.line, p.grown = a.Line, int64(len(a.Line)+1)
	for _, raw := range a.Batches {
		p.grown += int64(len(batchLine(raw)) + len(raw))
	}
	return p, nil
}

// continues verifies batches and the head behind them as the continuation of
// what is here.
func (s State) continues(raws [][]byte, line []byte, keys ...ed25519.PublicKey) (Head, []Batch, error) {
	head, err := s.Trust.head(line, keys...)
	if err != nil {
		return head, nil, err
	}
	var batches []Batch
	digest, previous, serial := s.Head.Digest, s.Head.Previous, s.Head.Serial
	for _, raw := range raws {
		b, err := DecodeBatch(raw)
		if err != nil {
			return head, nil, err
		}
		if b.Epoch != s.Head.Epoch || b.Serial != serial+1 {
			return head, nil, errGap
		}
		previous, digest, serial = digest, NextDigest(digest, raw), b.Serial
		batches = append(batches, b)
	}
	if head.Epoch != s.Head.Epoch || head.Serial != serial {
		return head, nil, errGap
	}
	if digest != head.Digest || len(raws) > 0 && previous != head.Previous {
		return head, nil, errFork // or forged batches: a snapshot tells
	}
	return head, batches, nil
}

func (s State) judgeSnapshot(p pending, st Staged) (pending, error) {
	m, err := p.trust.manifest(st.Manifest, p.trust.now())
	if err != nil {
		return p, err
	}
	if err := st.matches(m); err != nil {
		return p, err
	}
	have, new := s.Head, m.Head
	switch {
	case new.Mark().Before(s.Floor):
		return p, older(new, s.Floor)
	case new.Mark() == have.Mark() && have.Copy != "" && new.Digest != have.Digest:
		return p, bolwerk.Forbidden("copy %s: two histories at %d/%d", new.Copy, new.Epoch, new.Serial)
	}
	p.head, p.staged, p.grown = new, true, st.Bytes
	return p, nil
}

func older(h Head, floor Mark) error {
	return bolwerk.Conflict("copy %s: the desk offers %d/%d, we have seen %d/%d", h.Copy, h.Epoch, h.Serial, floor.Epoch, floor.Serial)
}

// stored takes up what is durable now.
func (s State) stored(err error, now time.Time) (State, []Effect) {
	p := s.pending
	if p == nil {
		return s, nil
	}
	s.pending = nil
	s, out := s.alarm(AlarmDisk, err)
	if err != nil {
		s, more := s.ask(now, s.retry())
		return s, append(out, more...)
	}
	was := s.Head
	if len(p.trust.Keys) > len(s.Trust.Keys) {
		s.line = nil // of a key that is over
	}
	s.Trust = p.trust
	switch {
	case p.staged:
		s.Head, s.fresh, s.Snapshot, s.Changes, s.line = p.head, false, p.grown, 0, nil
		out = append(out, Reset{p.head})
	case was.Before(p.head):
		s.Head, s.line = p.head, p.line
		s.Changes += p.grown
		out = append(out, Remember{p.head, p.line})
		if s.broken {
			out = append(out, Reset{p.head})
		} else {
			out = append(out, Apply{p.head, p.batches})
		}
	}
	if s.Floor.Before(s.Head.Mark()) {
		s.Floor = s.Head.Mark()
	}
	s, more := s.watch(now)
	out = append(out, more...)
	s, more = s.ask(now, 0)
	return s, append(out, more...)
}

// Alarms are the alarms that stand.
func (s State) Alarms() []Alarm {
	var out []Alarm
	for a := range alarmKinds {
		if s.alarms[a] {
			out = append(out, a)
		}
	}
	return slices.Clip(out)
}
