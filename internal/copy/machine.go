package copy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"bolwerk"
)

// Machine is a follower without network and clock: it holds the state, and does
// on its files and its sink what step says. One goroutine at a time.
type Machine struct {
	files *Files
	sink  Sink
	trust Trust
	state State
}

// NewMachine follows a copy into files and sink. trust names the key of the
// join line.
func NewMachine(files *Files, sink Sink, trust Trust) *Machine {
	return &Machine{files: files, sink: sink, trust: trust}
}

// Start loads what is on disk, gives it to the sink, and returns what is to be
// done outside.
func (m *Machine) Start(now time.Time) ([]Effect, error) {
	l, err := m.files.Load(m.trust)
	if err != nil {
		return nil, err
	}
	out := m.Handle(Started{l}, now)
	if l.Damaged {
		out = append(out, Raise{AlarmDisk, true, l.Why})
	}
	return out, nil
}

// State is where the follower stands.
func (m *Machine) State() State { return m.state }

// Handle does what an event asks for on disk and at the sink, and returns what
// is to be done outside: Question, Tell and Raise, in order.
func (m *Machine) Handle(e Event, now time.Time) (outside []Effect) {
	events := []Event{e}
	for len(events) > 0 {
		next, effects := step(m.state, events[0], now)
		m.state, events = next, events[1:]
		var stored error
		writes := false
		for _, f := range effects {
			switch f := f.(type) {
			case SaveKeys:
				writes = true
				stored = m.files.SaveKeys(f.Lines)
			case Append:
				if writes = true; stored == nil {
					stored = m.files.Append(f.Batches, f.Line)
				}
			case Install:
				if writes = true; stored == nil {
					stored = m.files.Install(f.Staged)
				}
				if stored != nil {
					m.files.Drop(f.Staged)
				}
			case Drop:
				m.files.Drop(f.Staged)
			case Remember:
				// A history with a hole is no reason to stop.
				if err := m.files.Remember(f.Head, f.Line); err != nil {
					outside = append(outside, Raise{AlarmDisk, true, err})
				}
			case Apply:
				events = append(events, Used{m.apply(f)})
			case Reset:
				events = append(events, Used{m.reset(f.Head)})
			default:
				outside = append(outside, f)
			}
		}
		if writes {
			events = append(events, Stored{stored})
		}
	}
	return outside
}

func (m *Machine) apply(a Apply) error {
	changes := 0
	for _, b := range a.Batches {
		changes += len(b.Entries)
	}
	all := make([]Entry, 0, changes)
	for _, b := range a.Batches {
		for _, e := range b.Entries {
			if m.files.withdrawn(e) {
				m.files.withheld++
			} else {
				all = append(all, e)
			}
		}
	}
	return m.sink.Apply(a.Head, all)
}

// unreadable carries a read error out of a sink's Reset, which must not take
// half of a copy for all of it.
type unreadable struct{ err error }

func (m *Machine) reset(h Head) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case unreadable:
			err = fmt.Errorf("copy %s: read it: %w", h.Copy, p.err)
		default:
			panic(p)
		}
	}()
	return m.sink.Reset(h, func(yield func(Entry) bool) {
		if err := m.files.Entries(yield); err != nil {
			panic(unreadable{err})
		}
	})
}

// ReadAnswer reads what question q brought; a snapshot goes into a temporary
// file. The error of a connection that broke is a Failed.
func (m *Machine) ReadAnswer(q Question, r io.Reader) Event {
	a, err := readAnswer(q, r, m.files)
	if err != nil {
		return Failed{q.N, err}
	}
	return a
}

func readAnswer(q Question, r io.Reader, files *Files) (a Answered, err error) {
	a.N, a.From = q.N, q.Mark
	in := newLines(r)
	size := 0
	for {
		line, err := in.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return a, fmt.Errorf("answer: %w", err)
		}
		switch line[0] {
		case lineKey:
			if len(a.Keys) >= maxKeys {
				return a, bolwerk.Invalid("answer: more than %d changes of the key", maxKeys)
			}
			a.Keys = append(a.Keys, bytes.Clone(line))
		case lineWant:
			a.Want = true
			return a, nil
		case lineBatch:
			if size += len(line); size > MaxSince+MaxBatch {
				return a, bolwerk.Invalid("answer: more than %d octets of changes", MaxSince+MaxBatch)
			}
			a.Batches = append(a.Batches, line[2:])
		case lineHead:
			a.Line = bytes.Clone(line)
			return a, nil
		default: // E or M
			if len(a.Batches) > 0 {
				return a, bolwerk.Invalid("answer: changes before a snapshot")
			}
			st, err := files.stage(line, in)
			if err != nil {
				return a, err
			}
			a.Staged = &st
			return a, nil
		}
	}
}

// Held writes what the host holds, for the desk; see Files.Held.
func (m *Machine) Held(w io.Writer) error { return m.files.Held(w) }

// Withheld is how many entries of the desk an older withdrawal keeps
// out.
func (m *Machine) Withheld() int64 { return m.files.withheld }
