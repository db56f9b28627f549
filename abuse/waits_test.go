package abuse

import (
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// waiting is what the first page tells, as "path n", without what is nothing.
func waiting(t *testing.T, h *house) string {
	t.Helper()
	all, err := h.Waits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range all {
		if w.N > 0 {
			out = append(out, strings.TrimPrefix(w.Path, "/abuse"))
		}
	}
	return strings.Join(out, " ")
}

// turnOf is what the page of a case says is next.
func turnOf(t *testing.T, h *house, ref string) string {
	t.Helper()
	v, err := h.Case(t.Context(), agent.Actor(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return caseData{C: v}.Turn().Key
}

// What waits for a person is on the first page, and the case says the same: nothing as
// long as rules go on, what a second person decides, and a guest who asks for help until
// somebody has answered.
func TestWhatWaitsForAPerson(t *testing.T) {
	h := open(t, func(c *Config, _ *Parts) { c.Quarantine.Mode = "on" })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "honeypot.json", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	is := func(when, turn, want string) {
		t.Helper()
		if got := waiting(t, h); got != want {
			t.Errorf("%s: %q waits, want %q", when, got, want)
		}
		if got := turnOf(t, h, ref); got != turn {
			t.Errorf("%s: the case says %q, want %q", when, got, turn)
		}
	}
	is("the rules go on", "rules", "")
	if err := h.Steer(t.Context(), agent, ref, "stop", "I call them"); err != nil {
		t.Fatal(err)
	}
	is("taken over", "tell", "?state=person")
	why := quarantine.Why{Threat: "attacks", Necessity: "mail does nothing", Proportion: "only what harms", Legal: "order 12"}
	q, _, err := h.AskQuarantine(t.Context(), agent, ref, quarantine.Wish{Profile: enforce.Strict, Days: 14, Why: why})
	if err != nil {
		t.Fatal(err)
	}
	is("strict is asked for", "second", "?state=person /quarantines?state=second")
	if rows, err := h.Quarantines().List(t.Context(), quarantine.Filter{State: "second", Limit: 5}); err != nil || len(rows) != 1 {
		t.Errorf("the list of those for a second person: %d, %v", len(rows), err)
	}
	if _, err := h.Quarantines().Decline(t.Context(), agent, q.ID, "leaky will do"); err != nil {
		t.Fatal(err)
	}
	if q, _, err = h.AskQuarantine(t.Context(), agent, ref, quarantine.Wish{Profile: enforce.Leaky, Days: 14, Why: why}); err != nil {
		t.Fatal(err)
	}
	is("leaky", "held", "?state=person")
	if err := h.Quarantines().Take(t.Context(), []garden.Event{{ID: "e1", Quarantine: q.ID, What: "help", Text: "the scan does not start", At: h.clock.Now()}}); err != nil {
		t.Fatal(err)
	}
	is("the guest asks for help", "help", "?state=person /quarantines?state=help")
	if err := h.Note(t.Context(), agent, ref, true, "called: the scanner was an old one"); err != nil {
		t.Fatal(err)
	}
	is("answered", "held", "?state=person")
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_quarantine set state='stuck' where id=$1`, q.ID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	is("locked in", "stuck", "?state=person /quarantines?state=stuck")
}

// A code of a case's history is said in words: each has one.
func TestEveryCodeOfTheHistoryHasAWord(t *testing.T) {
	words, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []NoteRow{{Kind: "step", Code: "left:inform"}, {Kind: "step", Code: "held:second,rate"}, {Kind: "step", Code: "nobody_told:warned"}, {Kind: "step", Code: "shadow"}, {Kind: "step", Code: "go_on"},
		{Kind: "quarantined", Code: "leaky"}, {Kind: "released", Code: "false_positive"}, {Kind: "informed", Code: "quarantined:letter"}, {Kind: "seen", Code: "page"}, {Kind: "closed", Code: "cleaned"}} {
		for _, w := range (noteData{NoteRow: n}).Words() {
			if !words.Has(w.Key) {
				t.Errorf("%s %s: no word %s", n.Kind, n.Code, w.Key)
			}
		}
	}
}
