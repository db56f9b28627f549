package abuse

import (
	"testing"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

// An event that waits when its addresses are deleted is over, and holds up no other.
func TestWhatStillWaitsWhenItsAddressesAreDeletedIsOver(t *testing.T) {
	h := open(t, func(_ *Config, p *Parts) {
		cfg := who.DefaultConfig()
		cfg.Days = 60 // as long as the law of some countries asks
		p.Who = who.New(cfg, p.DB, p.Sessions, p.Clock.(*clock.Fake), p.Log, nil)
	})
	later := h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.31"))
	letter := h.hand("joke@buren.example", "", letterAbout("192.0.2.17"))
	for range 32 {
		h.clock.Add(24 * time.Hour)
		if err := h.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.settleAll()
	}
	for _, id := range []string{later, letter} {
		if s := h.report(id); s.unknown == 0 || s.later+s.person != 0 || s.state != "done" {
			t.Errorf("after a month the report stands at %+v", s)
		}
	}
	now := h.clock.Now()
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", now.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", now)
	if s := h.report(h.hand("feed@example.net", table, head+resolver(now.Add(-time.Hour), "192.0.2.17"))); s.joined != 1 {
		t.Errorf("a report of today stands at %+v", s)
	}
}

func TestAnEventThatFailsHoldsUpNoOther(t *testing.T) {
	h := open(t)
	bad := h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.31"))
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_event set detail_sealed=$1, due_at=1 where report=$2`, []byte("2026-11 and no sealed value, but as long as one is"), bad)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	if s := h.report(h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))); s.joined != 1 {
		t.Errorf("behind an event that fails the report stands at %+v", s)
	}
	if n := h.number(`select count(*) from abuse_event where report=$1 and due_at>$2`, bad, store.Micros(noon)); n != 1 {
		t.Error("the event that fails is not looked at again")
	}
}
