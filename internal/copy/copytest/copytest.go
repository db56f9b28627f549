// Package copytest is for tests: a desk's copies in memory and a sink that
// holds everything.
package copytest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
)

// Origin holds one copy in memory and fills copy.Origin.
type Origin struct {
	Name string

	mu      sync.Mutex
	head    copy.Head
	entries map[string]copy.Entry
	steps   []copy.Step
	changed chan struct{}
}

// NewOrigin is an empty copy at 1/0.
func NewOrigin(name string) *Origin {
	return &Origin{Name: name, entries: map[string]copy.Entry{}, changed: make(chan struct{}),
		head: copy.Head{Copy: name, Epoch: 1, Digest: begin(name, 1, "")}}
}

func begin(name string, epoch int64, salt string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", name, epoch, salt))
	return hex.EncodeToString(h[:])
}

// Publish makes one publication and returns where the copy stands then.
func (o *Origin) Publish(entries ...copy.Entry) copy.Head {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.head.Serial++
	for _, e := range entries {
		if e.Removed {
			delete(o.entries, e.ID)
		} else {
			o.entries[e.ID] = e
		}
	}
	b := copy.Batch{Epoch: o.head.Epoch, Serial: o.head.Serial, Entries: entries}.Encode()
	o.head.Previous, o.head.Digest = o.head.Digest, copy.NextDigest(o.head.Digest, b)
	o.head.Count = int64(len(o.entries))
	o.head.Audit = begin(o.Name, o.head.Serial, "audit")
	o.steps = append(o.steps, copy.Step{Serial: o.head.Serial, Body: b, Digest: o.head.Digest, Count: o.head.Count})
	o.ring()
	return o.head
}

func (o *Origin) ring() { close(o.changed); o.changed = make(chan struct{}) }

// Clone is the same copy in other hands.
func (o *Origin) Clone() *Origin {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &Origin{Name: o.Name, head: o.head, entries: maps.Clone(o.entries), steps: slices.Clone(o.steps), changed: make(chan struct{})}
}

// Forget drops old publications; hosts behind need a snapshot.
func (o *Origin) Forget() { o.mu.Lock(); o.steps = nil; o.mu.Unlock() }

// Backup is what Restore takes.
type Backup struct {
	head    copy.Head
	entries map[string]copy.Entry
}

// Backup keeps the copy as it is.
func (o *Origin) Backup() Backup {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Backup{o.head, maps.Clone(o.entries)}
}

// Restore goes back to a backup under a new epoch; the serial goes on.
func (o *Origin) Restore(b Backup) copy.Head {
	o.mu.Lock()
	defer o.mu.Unlock()
	epoch, serial := o.head.Epoch+1, o.head.Serial+1
	o.head, o.entries, o.steps = b.head, maps.Clone(b.entries), nil
	o.head.Epoch, o.head.Serial, o.head.Previous = epoch, serial, ""
	o.head.Digest = begin(o.Name, epoch, "")
	o.ring()
	return o.head
}

// Entries are what is in force, by id.
func (o *Origin) Entries() map[string]copy.Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.entries)
}

// Head is where the copy stands.
func (o *Origin) Head(_ context.Context, name string) (copy.Head, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name != o.Name {
		return copy.Head{}, bolwerk.NotFound("no copy %s", name)
	}
	return o.head, nil
}

// Since are the publications that are kept.
func (o *Origin) Since(_ context.Context, _ string, epoch, serial int64, limit int) ([]copy.Step, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch != o.head.Epoch || serial > o.head.Serial {
		return nil, false, nil
	}
	var out []copy.Step
	for _, s := range o.steps {
		if s.Serial > serial && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, serial == o.head.Serial || len(out) > 0 && out[0].Serial == serial+1, nil
}

// Snapshot gives all entries.
func (o *Origin) Snapshot(_ context.Context, _ string, begin func(copy.Head) error, each func(copy.Entry) error) error {
	o.mu.Lock()
	head, entries := o.head, maps.Clone(o.entries)
	o.mu.Unlock()
	if err := begin(head); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		if err := each(entries[id]); err != nil {
			return err
		}
	}
	return nil
}

// Changed is closed at the next publication.
func (o *Origin) Changed(string) <-chan struct{} { o.mu.Lock(); defer o.mu.Unlock(); return o.changed }

// Sink holds everything.
type Sink struct {
	mu      sync.Mutex
	head    copy.Head
	entries map[string]copy.Entry
	moved   chan struct{}
	Fail    error // what Reset and Apply answer when not nil
	OnMove  func(copy.Head)
}

// NewSink is empty.
func NewSink() *Sink {
	return &Sink{entries: map[string]copy.Entry{}, moved: make(chan struct{})}
}

// Reset replaces everything.
func (s *Sink) Reset(head copy.Head, seq func(func(copy.Entry) bool)) error {
	all := map[string]copy.Entry{}
	for e := range seq {
		if _, twice := all[e.ID]; twice {
			return fmt.Errorf("entry %s twice", e.ID)
		}
		all[e.ID] = e
	}
	return s.move(head, func() { s.entries = all })
}

// Apply adds changes.
func (s *Sink) Apply(head copy.Head, changes []copy.Entry) error {
	return s.move(head, func() {
		for _, e := range changes {
			if e.Removed {
				delete(s.entries, e.ID)
			} else {
				s.entries[e.ID] = e
			}
		}
	})
}

func (s *Sink) move(head copy.Head, change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		return s.Fail
	}
	change()
	s.head = head
	close(s.moved)
	s.moved = make(chan struct{})
	if s.OnMove != nil {
		s.OnMove(head)
	}
	return nil
}

// Head is where the sink stands.
func (s *Sink) Head() copy.Head { s.mu.Lock(); defer s.mu.Unlock(); return s.head }

// Entries are what the sink holds, by id.
func (s *Sink) Entries() map[string]copy.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entries)
}

// Await waits until the sink is at m or later.
func (s *Sink) Await(ctx context.Context, m copy.Mark) error {
	for {
		s.mu.Lock()
		at, moved := s.head, s.moved
		s.mu.Unlock()
		if at.Copy != "" && !at.Mark().Before(m) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("at %v after waiting for %v: %w", at.Mark(), m, ctx.Err())
		case <-moved:
		}
	}
}

// Serves are the ids that count at t.
func (s *Sink) Serves(t time.Time) map[string]copy.Entry {
	all := s.Entries()
	maps.DeleteFunc(all, func(_ string, e copy.Entry) bool { return !e.Valid(t) })
	return all
}
