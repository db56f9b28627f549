package abuse

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/playbook"
	"bolwerk/internal/store"
)

// annaHeld is a house with one case, whose line is in quarantine and whose customer was
// told so by mail an hour after the report.
func annaHeld(t *testing.T) (h *house, id string) {
	t.Helper()
	h = open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Threat: "a", Necessity: "b", Proportion: "c", Steps: []playbook.Step{
			{Do: playbook.Quarantine, Profile: enforce.Leaky, Days: 30}}}}
		p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
	})
	h.told(annas)
	h.caseOfAnna()
	id = h.text(`select id from desk_case`)
	h.clock.Add(time.Hour)
	if _, err := h.playSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.doJobs()
	return h, id
}

// What the desk does is told, each thing once, and nothing of whose line it is.
func TestFacts(t *testing.T) {
	h, id := annaHeld(t)
	if err := h.Close(t.Context(), agent, id, NoActionTaken, "a test"); err != nil {
		t.Fatal(err)
	}
	h.doJobs()
	if err := h.Reopen(t.Context(), agent, id, "a test"); err != nil {
		t.Fatal(err)
	}
	type told struct{ subject, ref, body string }
	var got []told
	if err := h.db.Read(t.Context(), func(tx *store.Tx) (err error) {
		got, err = store.List(tx, func(scan func(...any) error) (f told, err error) { return f, scan(&f.subject, &f.ref, &f.body) }, `select subject,ref,body from fact order by seq`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, f := range got {
		subjects = append(subjects, f.subject)
		if f.ref == "" || regexp.MustCompile(`(?i)anna|192\.0\.2|line of|@`).MatchString(f.ref+f.body) {
			t.Errorf("%s %s: %s", f.subject, f.ref, f.body)
		}
	}
	want := []string{fact.ReportReceived, fact.ReportRead, fact.CaseOpened, fact.QuarantineBegun, fact.NoticeSettled, fact.QuarantineEnded, fact.CaseClosed, fact.NoticeSettled, fact.CaseReopened}
	if !slices.Equal(subjects, want) {
		t.Fatalf("told %q", subjects)
	}
	ref := h.text(`select ref from desk_case`)
	for at, body := range map[int]string{
		1: `{"state":"read","format":"shadowserver","events":1}`,
		2: `{"ref":"` + ref + `","class":"vulnerable/ddos-amplifier"}`,
		4: `{"case":"` + id + `","kind":"quarantined","channel":"mail","result":"sent"}`,
		5: `{"ref":"` + h.text(`select ref from abuse_quarantine`) + `","case":"` + id + `","class":"vulnerable/ddos-amplifier","profile":"leaky","why":"case"}`,
		6: `{"ref":"` + ref + `","class":"vulnerable/ddos-amplifier","outcome":"no_action"}`,
	} {
		if got[at].body != body {
			t.Errorf("%s: %s, want %s", got[at].subject, got[at].body, body)
		}
	}
}
