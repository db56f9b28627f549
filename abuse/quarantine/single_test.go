package quarantine

import (
	"slices"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
)

// profiles are what a session was told, in turn.
func (h *house) profiles(id string) (out []enforce.Profile) {
	for _, o := range h.net.orders {
		if o.Session.Session == id {
			out = append(out, o.Profile)
		}
	}
	return out
}

// waited looks at what waits, and sends what is due.
func (h *house) waited() {
	h.t.Helper()
	h.clock.Add(waitEvery)
	h.settled()
}

// A subscriber with two cases is in one quarantine at a time: the other begins once every
// line is out of the first, and the first's end takes nothing away from it.
func TestOneQuarantineAtATime(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	spam := h.in("anna")
	h.settled()
	infected, ok, err := h.ask(nil, h.about("anna"), leaky)
	if err != nil || ok || !slices.Equal(infected.Waits, []string{"other"}) {
		t.Fatalf("the second: %v %v, waits for %v", ok, err, infected.Waits)
	}
	h.waited()
	h.want(infected.ID, Requested)
	h.net.say = func(enforce.Order) (enforce.Result, bool) {
		return enforce.Result{State: enforce.Busy, Again: time.Hour}, true
	}
	h.tickAll(spam)
	h.take(garden.Event{Quarantine: spam.ID, What: "release"})
	h.waited()
	h.want(spam.ID, Releasing)
	h.want(infected.ID, Requested) // the line is not out yet
	h.net.say = nil
	h.clock.Add(time.Hour)
	h.settled()
	h.want(spam.ID, Released)
	h.waited()
	h.want(infected.ID, Active)
	orders := len(h.net.orders)
	// What the first wanted counts no more: not of a session that begins now, not of a page that still stands.
	h.clock.Add(3 * time.Minute)
	h.session(session.Start, "anna", "s2", "192.0.2.18/32", h.clock.Now())
	h.take(garden.Event{Quarantine: spam.ID, What: "seen"})
	if _, err := h.Retry(t.Context(), agent, spam.ID); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(spam.ID, Released)
	h.want(infected.ID, Active)
	if got := h.profiles("s2"); len(h.net.orders) != orders+1 || !slices.Equal(got, []enforce.Profile{enforce.Leaky}) {
		t.Errorf("the session that began was told %v, with %d orders in all", got, len(h.net.orders)-orders)
	}
	if h.net.has["s1"] != enforce.Leaky || h.net.has["s2"] != enforce.Leaky {
		t.Errorf("the network has %v", h.net.has)
	}
}

// Whom a person lets out is not back a moment later by a rule; what a person asked for
// begins.
func TestAPersonsReleaseIsOne(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	rule, _, err := h.ask(nil, h.about("anna"), leaky)
	if err != nil {
		t.Fatal(err)
	}
	strict, ok, err := h.ask(&agent, h.about("anna"), Wish{Profile: enforce.Strict, Days: 7, Why: Why{Threat: "t", Necessity: "n", Proportion: "p", Legal: "decision 2026/14"}})
	if err != nil || ok || !slices.Equal(strict.Waits, []string{"other", "second"}) {
		t.Fatalf("strict: %v %v, waits for %v", ok, err, strict.Waits)
	}
	if _, err := h.Approve(t.Context(), duty, strict.ID, strict.Digest); err != nil {
		t.Fatal(err)
	}
	h.waited()
	h.want(strict.ID, Requested)
	if h.net.has["s1"] != enforce.Leaky {
		t.Errorf("the network has %v", h.net.has)
	}
	if _, err := h.Release(t.Context(), agent, q.ID, false, "strict comes"); err != nil {
		t.Fatal(err)
	}
	h.want(rule.ID, Dropped)
	h.waited()
	h.waited()
	h.want(strict.ID, Active)
	if got, want := h.profiles("s1"), []enforce.Profile{enforce.Leaky, enforce.Normal, enforce.Strict}; !slices.Equal(got, want) {
		t.Errorf("the session was told %v, want %v", got, want)
	}
	if !slices.Contains(h.cases.happened, "step left:quarantine") {
		t.Errorf("the case of the rule says nothing: %v", h.cases.happened)
	}
}

// Of two quarantines that had a session accounting is compared with the one that began
// last, whichever was asked for first.
func TestTheOneThatBeganLastIsCompared(t *testing.T) {
	h, lied := telling(t)
	h.net.say = lazy
	late, _, err := h.ask(&agent, h.about("anna"), Wish{Profile: enforce.Strict, Days: 7, Why: Why{Threat: "t", Necessity: "n", Proportion: "p", Legal: "decision 2026/14"}})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Add(time.Minute)
	q := h.in("anna")
	h.settled()
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.clock.Add(time.Minute)
	if _, err := h.Approve(t.Context(), duty, late.ID, late.Digest); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(late.ID, Active)
	n := len(h.net.orders)
	for range 3 {
		h.interim("strict")
	}
	h.want(q.ID, Released)
	h.want(late.ID, Active)
	if l := h.line(late.ID); !l.Seen || len(h.net.orders) != n || len(*lied) != 0 {
		t.Errorf("the line is %+v, %d orders, %v", l, len(h.net.orders)-n, *lied)
	}
}
