// Package clock tells the time: wall and monotonic. A jump of the wall clock
// makes it suspect; what cannot be undone waits then.
package clock

import (
	"sync"
	"time"
)

// Clock is what everything that needs the time is given.
type Clock interface {
	// Now is the wall clock in UTC, cut to microseconds (what the store keeps),
	// with its monotonic reading.
	Now() time.Time
	// Suspect says that the wall clock jumped against the monotonic one by more
	// than Tolerance since the start, and nobody has said that it is right.
	Suspect() bool
}

// Tolerance is how far wall and monotonic clock may drift apart between two
// looks before the clock is suspect. NTP slews at most 0.5 ms a second; a step
// is a jump.
const Tolerance = 2 * time.Second

// System is the machine's clock.
type System struct {
	mu      sync.Mutex
	last    time.Time
	suspect bool
}

// New starts watching the machine's clock.
func New() *System { return &System{last: time.Now()} }

// Now is the machine's time. It notices jumps as a side effect.
func (s *System) Now() time.Time {
	now := time.Now()
	s.mu.Lock()
	mono := now.Sub(s.last)                   // monotonic
	wall := now.Round(0).Sub(s.last.Round(0)) // wall
	if d := wall - mono; d > Tolerance || d < -Tolerance {
		s.suspect = true
	}
	s.last = now
	s.mu.Unlock()
	return now.UTC()
}

// Suspect says that the clock jumped and nobody has cleared it.
func (s *System) Suspect() bool { s.Now(); s.mu.Lock(); defer s.mu.Unlock(); return s.suspect }

// Clear says that a person looked and the clock is right.
func (s *System) Clear() { s.mu.Lock(); s.suspect = false; s.mu.Unlock() }

// Fake is a clock for tests; it stands still until it is moved.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	suspect bool
}

// NewFake starts a fake clock.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC()} }

func (f *Fake) Now() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return f.now }

// Suspect is what Jump made it.
func (f *Fake) Suspect() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.suspect }

// Add moves the clock on.
func (f *Fake) Add(d time.Duration) { f.mu.Lock(); f.now = f.now.Add(d); f.mu.Unlock() }

// Clear says that a person looked and the clock is right.
func (f *Fake) Clear() { f.mu.Lock(); f.suspect = false; f.mu.Unlock() }

// Jump sets the wall clock and makes it suspect.
func (f *Fake) Jump(t time.Time) { f.mu.Lock(); f.now, f.suspect = t.UTC(), true; f.mu.Unlock() }
