package quarantine

import (
	"slices"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// A desk that was brought back to an older day puts nobody back: who was let out since it
// does not know.
func TestARestorePutsNobodyBack(t *testing.T) {
	h, anna, bert := two(t) // bert's order is on its way
	h.net.say = func(o enforce.Order) (enforce.Result, bool) {
		if o.Session.Session == "s2" && o.Profile != enforce.Normal {
			h.net.has["s2"] = o.Profile // it acts, and its answer is lost
			return enforce.Result{State: enforce.Silent}, true
		}
		return enforce.Result{}, false
	}
	h.settled()
	strict := leaky
	strict.Profile, strict.Why.Legal = enforce.Strict, "decision 2026/14"
	h.session(session.Start, "carl", "s3", "192.0.2.19/32", noon.Add(-time.Hour))
	h.clock.Add(time.Millisecond) // the newest
	carl, _, err := h.ask(&agent, h.about("carl"), strict)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Add(time.Hour)
	h.restore, h.net.orders, h.cases.happened = true, nil, nil
	clear(h.gardens.held) // as the views do
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		n, err := BeginRestore(tx)
		if n != 3 {
			t.Errorf("%d quarantines are ended, want 3", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	at := h.clock.Now()
	h.clock.Add(time.Minute)
	// The desk starts: whatever it does first puts nobody back.
	if err := h.holdAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, _, _ := h.Wanted(t.Context(), "anna"); p != enforce.Normal || len(h.gardens.held) != 0 {
		t.Errorf("anna gets %s at login, the edges have %v", p, h.gardens.held)
	}
	h.session(session.Start, "anna", "s4", "192.0.2.20/32", h.clock.Now())
	for range 2 {
		if _, err := h.sendSome(t.Context(), "bng1"); err != nil {
			t.Fatal(err)
		}
	}
	h.settled()
	if slices.ContainsFunc(h.net.orders, func(o enforce.Order) bool { return o.Profile != enforce.Normal }) {
		t.Errorf("orders %+v: somebody is put back", h.net.orders)
	}
	for _, q := range []Row{anna, bert} {
		if q := h.want(q.ID, Released); q.Mechanism != ByRestore {
			t.Errorf("%s ended by %q", q.Ref, q.Mechanism)
		}
	}
	h.want(carl.ID, Dropped)
	if h.net.has["s1"] != enforce.Normal || h.net.has["s2"] != enforce.Normal || len(h.gardens.held) != 0 {
		t.Errorf("the network has %v, the edges %v", h.net.has, h.gardens.held)
	}
	if want := []string{"released restore", "released restore"}; !slices.Equal(h.cases.happened, want) {
		t.Errorf("the cases say %v, want %v", h.cases.happened, want)
	}
	if err := h.db.Read(t.Context(), func(tx *store.Tx) error {
		all, err := EndedBy(tx, at)
		if len(all) != 3 || all[0].ID != carl.ID {
			t.Errorf("a person is shown %+v", all)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// What is asked for now waits until a person has looked.
	again, ok, err := h.ask(&agent, h.about("anna"), leaky)
	if err != nil || ok || !slices.Equal(again.Waits, []string{"restore"}) {
		t.Fatalf("%v, %v: held back by %v", ok, err, again.Waits)
	}
	h.clock.Add(waitEvery)
	h.settled()
	h.want(again.ID, Requested)
	h.restore = false
	h.clock.Add(waitEvery)
	h.settled()
	h.want(again.ID, Active)
}
