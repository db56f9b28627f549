package abuse

import (
	"testing"
	"time"

	"bolwerk/abuse/session"
)

// The keys by which an event and its reporter are known again change with the month:
// what was told on its last day is known on the first of the next.
func TestTheEndOfAMonthCountsNothingTwice(t *testing.T) {
	h := open(t)
	h.clock.Add(time.Date(2026, 11, 30, 23, 30, 0, 0, time.UTC).Sub(noon))
	last := h.clock.Now()
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", last.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", last.Add(-time.Minute))
	h.hand("feed@example.net", table, head+resolver(last.Add(-time.Hour), "192.0.2.17"))
	h.clock.Add(time.Hour) // December
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	again := h.hand("feed@example.net", table, head+resolver(last.Add(-time.Hour), "192.0.2.17")+resolver(last.Add(20*time.Minute), "192.0.2.17"))
	if s := h.report(again); s.repeated != 1 || s.joined != 1 {
		t.Errorf("told again an hour later: %+v", s)
	}
	if n := h.number(`select count(*) from desk_case where capability='abuse'`); n != 1 {
		t.Errorf("%d cases, want 1", n)
	}
	if events, reporters := h.number(`select events from abuse_case`), h.number(`select reporters from abuse_case`); events != 2 || reporters != 1 {
		t.Errorf("%d events of %d reporters, want 2 of 1", events, reporters)
	}
	// Another reporter is one more; and so is nobody by a third month's report of the first.
	h.hand("other@example.org", table, head+resolver(last.Add(25*time.Minute), "192.0.2.17"))
	h.clock.Add(31 * 24 * time.Hour) // January
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.hand("feed@example.net", table, head+resolver(h.clock.Now().Add(-time.Hour), "192.0.2.17"))
	if events, reporters := h.number(`select sum(events) from abuse_case`), h.number(`select max(reporters) from abuse_case`); events != 4 || reporters != 2 {
		t.Errorf("%d events of %d reporters, want 4 of 2", events, reporters)
	}
}
