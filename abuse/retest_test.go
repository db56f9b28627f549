package abuse

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/retest"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// A guest with an open service has the line tested: at the address that the subscriber
// has at that time, once in ten minutes, and never where it is another's or shared.
func TestRetest(t *testing.T) {
	h := open(t, func(c *Config, _ *Parts) { c.Quarantine.Mode, c.Retest = "on", true })
	var asked []string
	answer := true
	h.answers = func(_ context.Context, at netip.Addr, s retest.Service) (bool, error) {
		asked = append(asked, at.String()+" "+s.String())
		return answer, nil
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	q, _, err := h.AskQuarantine(t.Context(), agent, ref, quarantine.Wish{Profile: enforce.Leaky, Days: 14, Why: quarantine.Why{Threat: "amplifies", Necessity: "mail does nothing", Proportion: "only what harms"}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	test := func(when string, want int, found string) {
		t.Helper()
		n++
		if err := h.Quarantines().Take(t.Context(), []garden.Event{{ID: string(rune('a' + n)), Quarantine: q.ID, What: "test", At: h.clock.Now()}}); err != nil {
			t.Fatal(err)
		}
		asked = nil
		if err := h.retestSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		now, err := h.Quarantines().Row(t.Context(), q.ID)
		if err != nil || len(asked) != want || now.Test != found {
			t.Errorf("%s: asked %v, found %q (%v); want %d questions and %q", when, asked, now.Test, err, want, found)
		}
	}
	test("open", 1, quarantine.TestOpen)
	if len(asked) == 1 && asked[0] != "192.0.2.17 UDP 53" {
		t.Errorf("asked %v", asked)
	}
	answer = false
	test("too soon", 0, quarantine.TestOpen)
	h.clock.Add(garden.TestEvery)
	test("closed", 1, quarantine.TestQuiet)
	if _, err := h.Quarantines().Test(t.Context(), agent, q.ID); err == nil {
		t.Error("the desk may test again at once")
	}
	h.session(session.Stop, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.session(session.Start, "boris", "s2", "192.0.2.17/32", h.clock.Now())
	h.clock.Add(garden.TestEvery)
	test("the address is another's", 0, quarantine.TestOffline)
	h.session(session.Start, "anna", "s3", "198.51.100.9/32", h.clock.Now())
	h.clock.Add(garden.TestEvery)
	test("not in a network of ours", 0, quarantine.TestOffline)
	h.session(session.Stop, "anna", "s3", "198.51.100.9/32", h.clock.Now())
	h.session(session.Start, "anna", "s4", "192.0.2.44/32", h.clock.Now())
	h.clock.Add(garden.TestEvery)
	test("a new address", 1, quarantine.TestQuiet)
	if len(asked) == 1 && asked[0] != "192.0.2.44 UDP 53" {
		t.Errorf("asked %v", asked)
	}
	var notes int
	if err := h.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select count(*) from abuse_note where kind='tested'`).Scan(&notes)
	}); err != nil || notes != 5 {
		t.Errorf("%d tests stand in the case, want 5 (%v)", notes, err)
	}
}

// What harms from inside cannot be tested from outside.
func TestRetest_ofMalware(t *testing.T) {
	h := open(t, func(c *Config, _ *Parts) { c.Quarantine.Mode, c.Retest = "on", true })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	q, _, err := h.AskQuarantine(t.Context(), agent, h.text(`select ref from desk_case where capability='abuse'`), quarantine.Wish{Profile: enforce.Leaky, Days: 14, Why: quarantine.Why{Threat: "a", Necessity: "b", Proportion: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Quarantines().Test(t.Context(), agent, q.ID); err == nil {
		t.Error("it is tested all the same")
	}
}
