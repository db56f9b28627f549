package copy

import (
	"context"
	"sync"
	"time"
)

// Hosts that follow a copy mostly stand at the same place: what one publication
// brings them is the same answer. So it is read and signed once for all of them,
// and while nothing changes the store is looked at once a second, not once for each
// host that waits.

// looks are the last look at each copy.
type looks struct {
	mu sync.Mutex
	of map[string]*look
}

// look is where a copy stood, and what hosts at a place of it are answered.
type look struct {
	changed <-chan struct{} // closed at the next publication; got before looking: nothing slips between
	at      time.Time
	once    sync.Once

	head Head
	want func(Poll) bool // nil: nothing is wanted
	err  error

	mu      sync.Mutex
	answers map[asked]*answer
}

// asked is a question, as far as its answer depends on it.
type asked struct {
	mark Mark
	key  string // that the host knows
	ours string // that signs
}

type answer struct {
	once sync.Once
	body []byte
	err  error
}

// What is kept of answers: those of hosts that are together, and short ones. They go
// with their look.
const (
	keptAnswers = 64
	keptAnswer  = 64 << 10
)

// look looks at a copy, or gives the last look at it, a second old at most; anew
// forbids that.
func (h *Handler) look(ctx context.Context, name string, anew bool) *look {
	h.looks.mu.Lock()
	if h.looks.of == nil {
		h.looks.of = map[string]*look{}
	}
	changed, l := h.origin.Changed(name), h.looks.of[name]
	if anew || l == nil || l.changed != changed || !l.recent(h.clock.Now()) {
		l = &look{changed: changed, at: h.clock.Now(), answers: map[asked]*answer{}}
		h.looks.of[name] = l
	}
	h.looks.mu.Unlock()
	l.once.Do(func() {
		// For all who wait: not ended by the one who came first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if l.head, l.err = h.origin.Head(ctx, name); l.err == nil && h.Want != nil {
			l.want = h.Want()
		}
	})
	if l.err != nil {
		h.looks.mu.Lock()
		if h.looks.of[name] == l {
			delete(h.looks.of, name)
		}
		h.looks.mu.Unlock()
	}
	return l
}

// recent says that the look is of this second; not where the clock went back.
func (l *look) recent(now time.Time) bool { age := now.Sub(l.at); return age >= 0 && age < lookAgain }

// answer gives what make makes, once for all who ask the same.
func (l *look) answer(q asked, make func() ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	a := l.answers[q]
	if a == nil {
		a = &answer{}
		if len(l.answers) < keptAnswers {
			l.answers[q] = a
		}
	}
	l.mu.Unlock()
	a.once.Do(func() { a.body, a.err = make() })
	if a.err != nil || len(a.body) > keptAnswer {
		l.mu.Lock()
		if l.answers[q] == a {
			delete(l.answers, q)
		}
		l.mu.Unlock()
	}
	return a.body, a.err
}
