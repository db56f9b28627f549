package abuse

import (
	"errors"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
)

// Who is left alone for every class is: other open cases end too, with what they hold.
func TestAnExemptionOfEveryClassEndsAllThatRuns(t *testing.T) {
	h, held := annaHeld(t)
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.hand("", "", xarf(h.clock.Now().Add(-time.Minute), "192.0.2.17", 50000, 1))
	other := h.text(`select id from desk_case where id<>$1`, held)
	if err := h.Except(t.Context(), agent, other, true, 90, "penetration tester, contract seen"); err != nil {
		t.Fatal(err)
	}
	if n := h.number(`select count(*) from desk_case where state='closed' and outcome='no_action'`); n != 2 {
		t.Errorf("%d cases are closed, want both", n)
	}
	if got := h.text(`select mechanism from abuse_quarantine where case_id=$1`, held); got != string(quarantine.ByMistake) {
		t.Errorf("the quarantine of the other case ends by %q", got)
	}
	if n := h.number(`select count(*) from abuse_play where due_at>0`); n != 0 {
		t.Errorf("%d playbooks go on", n)
	}
	if n := h.number(`select count(*) from audit where action='abuse.case.close'`); n != 2 {
		t.Errorf("the trail tells of %d closings, want 2", n)
	}
}

// A person may open a case of who is exempted; rules then wait, and nobody puts the line
// into quarantine before the exemption ends.
func TestRulesWaitForTheEndOfAnExemption(t *testing.T) {
	h := open(t, func(c *Config, _ *Parts) {
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "attack", Classes: []string{"intrusion-attempts/*"}, Steps: []playbook.Step{{Do: playbook.Inform}}}}
	})
	h.session(session.Start, "emil", "s5", "192.0.2.40/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "emil", "s5", "192.0.2.40/32", noon)
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.40", 50000, 1))
	id := h.text(`select id from desk_case`)
	if err := h.Except(t.Context(), agent, id, false, 30, "they test"); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(24 * time.Hour)
	change := h.clock.Now().Add(-3 * time.Hour)
	h.session(session.Stop, "emil", "s5", "192.0.2.40/32", change)
	h.session(session.Start, "dora", "s4", "192.0.2.40/32", change.Add(5*time.Second))
	h.session(session.Interim, "dora", "s4", "192.0.2.40/32", h.clock.Now())
	h.hand("", "", xarf(change, "192.0.2.40", 50001, 2))
	if err := h.Take(t.Context(), agent, h.text(`select id from abuse_event where state='person'`), keyOf(session.Identity{Subscriber: "emil"}), "not what they test"); err != nil {
		t.Fatal(err)
	}
	steps := func() int64 {
		t.Helper()
		if _, err := h.playSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		return h.number(`select step from abuse_play where case_id=$1`, id)
	}
	if n := steps(); n != 0 || h.text(`select state from desk_case where id=$1`, id) != "waiting" {
		t.Errorf("under the exemption the rules did %d things", n)
	}
	if _, _, err := h.AskQuarantine(t.Context(), agent, id, quarantine.Wish{Profile: "leaky", Why: quarantine.Why{Threat: "a", Necessity: "b", Proportion: "c"}}); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a quarantine under the exemption: %v", err)
	}
	if err := h.EndExemption(t.Context(), agent, id, h.text(`select id from abuse_exemption`)); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(time.Hour + time.Minute)
	if n := steps(); n == 0 {
		t.Error("after the exemption the rules do nothing")
	}
}

// The key of a subscriber's mark changes with the month: a case of the summer is not
// reopened beside one of the autumn, and an exemption in one covers the other.
func TestOneOpenCaseOfALineAndClassOverMonths(t *testing.T) {
	h := open(t)
	see := func(nth int) {
		t.Helper()
		h.session(session.Start, "anna", "s1", "192.0.2.17/32", h.clock.Now().Add(-20*time.Hour))
		h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
		h.hand("", "", xarf(h.clock.Now().Add(-time.Hour), "192.0.2.17", 50000, nth))
	}
	see(1)
	first := h.text(`select id from desk_case`)
	if err := h.Close(t.Context(), agent, first, Cleaned, "router reset"); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(40 * 24 * time.Hour)
	see(2)
	if n := h.number(`select count(*) from desk_case where state='waiting'`); n != 1 {
		t.Fatalf("%d cases are open, want a new one", n)
	}
	if err := h.Reopen(t.Context(), agent, first, "again"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a second open case of the same line and class: %v", err)
	}
	if err := h.Except(t.Context(), agent, first, false, 30, "they test"); err != nil {
		t.Fatal(err)
	}
	if n := h.number(`select count(*) from desk_case where state='waiting'`); n != 0 {
		t.Errorf("%d cases of the exempted class are open", n)
	}
}
