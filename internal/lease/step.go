package lease

import "time"

// TTL is how long a holder may be silent before another desk takes over; Every
// is how often each desk looks and gives a sign of life. No wall clock has a part
// in it: each desk measures with its own monotonic one how long it has seen the
// same sign.
const (
	TTL   = 5 * time.Second
	Every = time.Second
	// hold is how long a holder counts on a sign of its own: the clocks of two
	// machines may run a tenth apart.
	hold = TTL - TTL/10
)

// Row is the lease as it stands in the store.
type Row struct {
	Holder string
	Token  int64
	Beat   int64
}

// Move is what a desk does about a row that it has read.
type Move int

// The moves.
const (
	Wait  Move = iota // another desk holds it and lives
	Renew             // it is ours: raise the beat
	Take              // nobody holds it, or its holder has been silent for TTL
)

// Watch is what one desk knows of the lease. It is pure: it is told the time.
type Watch struct {
	self  string
	seen  Row
	since time.Time // when seen was first seen
	mine  int64     // our token; 0: not ours
	until time.Time // we hold it no longer than this without a new sign
}

// NewWatch watches for a desk, whose name no other has and that is not empty.
func NewWatch(self string) *Watch { return &Watch{self: self} }

// Look says what to do about the row, which was read at now. A row without a
// holder is there to be taken at once.
func (w *Watch) Look(r Row, now time.Time) Move {
	if w.since.IsZero() || r != w.seen {
		w.seen, w.since = r, now
	}
	switch {
	case w.mine != 0 && r.Holder == w.self && r.Token == w.mine:
		return Renew
	case r.Holder == "" || now.Sub(w.since) >= TTL:
		w.mine = 0
		return Take
	}
	w.mine = 0
	return Wait
}

// Renewed notes that our sign is in the store. began is when we set out to give
// it: another desk sees it later than that, and counts from there.
func (w *Watch) Renewed(began time.Time) { w.until = began.Add(hold) }

// Taken notes that the lease is ours with a token.
func (w *Watch) Taken(token int64, began time.Time) {
	w.mine = token
	w.Renewed(began)
}

// Lost notes that the store says it is another's.
func (w *Watch) Lost() { w.mine = 0 }

// Held gives our token at now; 0 is none. What cannot be checked in a transaction
// goes by it: it ends before anybody else can take the lease.
func (w *Watch) Held(now time.Time) int64 {
	if w.mine == 0 || !now.Before(w.until) {
		return 0
	}
	return w.mine
}

// Left is how long the lease is ours without a new sign.
func (w *Watch) Left(now time.Time) time.Duration { return w.until.Sub(now) }
