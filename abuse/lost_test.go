package abuse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// wrote tells the desk what the holder of a code did.
func (h *house) wrote(code door.CaseCode, nth int, what, text string) {
	h.t.Helper()
	id := fmt.Sprintf("01900000-0000-7000-9000-%012d", nth)
	s := door.Said{Code: code.Hash(), Event: garden.Event{ID: id, What: what, Text: text, At: h.clock.Now()}}
	if err := h.Receive(h.t.Context(), "intake-1", door.KindNotice, id, s.Encode()); err != nil {
		h.t.Fatal(err)
	}
}

// warned is a case whose subscriber has a code.
func (h *house) warned() (id, ref string, code door.CaseCode) {
	h.t.Helper()
	h.told(annas)
	id, ref, _ = h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.doJobs()
	code, err := door.ParseCaseCode(codeIn.FindString(h.mails.sent[0].Body))
	if err != nil {
		h.t.Fatal(err)
	}
	return id, ref, code
}

// An erased case is off the public site at once. What was written to it before the site
// heard of that waits for a person: somebody was told that we have it.
func TestAnErasedCaseLeavesTheSite(t *testing.T) {
	h := open(t)
	id, ref, code := h.warned()
	if err := h.Close(t.Context(), agent, ref, Cleaned, "router replaced"); err != nil {
		t.Fatal(err)
	}
	if n := h.published(code.Hash()); n.Case != ref {
		t.Fatalf("before it: published %+v", n)
	}
	if said, err := h.Subjects().Erase(t.Context(), bolwerk.Socket(), "anna"); err != nil || said[0].Erased != 1 {
		t.Fatalf("%+v, %v", said, err)
	}
	for table, n := range h.holding(id, ref, door.NoticeEntry+code.Hash()) {
		switch table {
		case "audit", "fact", "job", "abuse_asked": // references, and nobody's name
		case "copy_batch": // what hosts that were away are told, that it is gone among it; for two days
		default:
			t.Errorf("%s still holds %d rows of the case", table, n)
		}
	}
	var last string
	if err := h.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select body from copy_batch where copy='public' order by serial desc limit 1`).Scan(&last)
	}); err != nil || !strings.Contains(last, door.NoticeEntry+code.Hash()) || !strings.Contains(last, `"removed":true`) {
		t.Errorf("the site is told %q, %v", last, err)
	}
	for range 2 { // the intake sends again what it has no answer for
		h.wrote(code, 1, "statement", "planted-statement")
		h.wrote(code, 2, "seen", "")
	}
	h.settleAll()
	waits, _, err := h.Reports(t.Context(), ReportFilter{State: "person"})
	if err != nil {
		t.Fatal(err)
	}
	if len(waits) != 1 {
		t.Fatalf("%d reports wait for a person, want 1: %+v", len(waits), waits)
	}
	v, err := h.Report(t.Context(), agent.Actor(), waits[0].ID)
	if err != nil || !strings.Contains(v.Text, "planted-statement") {
		t.Errorf("%+v, %v", v, err)
	}
}

// A case takes so many words and no more: the site says so. What it took before it heard
// of that is kept, and looks never fill a case.
func TestAFullCaseIsSaid(t *testing.T) {
	h := open(t)
	id, ref, code := h.warned()
	err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		for i := range 449 {
			what := "seen"
			if i < 199 {
				what = "statement"
			}
			if _, err := tx.Exec(`insert into abuse_said(id,case_id,what,step,at) values($1,$2,$3,'',0)`, fmt.Sprint(i), id, what); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.wrote(code, 1, "seen", "")
	if n := h.published(code.Hash()); n.Full {
		t.Error("the site says full before it is")
	}
	h.wrote(code, 2000, "statement", "the last")
	if n := h.published(code.Hash()); !n.Full {
		t.Error("the site does not know that the case is full")
	}
	h.clock.Add(time.Second)
	h.wrote(code, 2001, "statement", "planted-over")
	v, err := h.Case(t.Context(), agent.Actor(), ref)
	if err != nil || v.History[0].Text != "planted-over" {
		t.Errorf("what the site had taken: %+v, %v", v.History[0], err)
	}
}

// Why somebody decided is sealed with the case and goes with it: the audit trail says who,
// what and when, and has no words about a subscriber.
func TestReasonsGoWithTheCase(t *testing.T) {
	net := &network{has: map[string]enforce.Profile{}}
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		p.Port, p.Proved = net, func(string) bool { return true }
	})
	change := noon.Add(-3 * time.Hour)
	h.session(session.Start, "dora", "s4", "192.0.2.40/32", noon.Add(-20*time.Hour))
	h.session(session.Stop, "dora", "s4", "192.0.2.40/32", change)
	h.session(session.Start, "emil", "s5", "192.0.2.40/32", change.Add(5*time.Second))
	h.session(session.Interim, "emil", "s5", "192.0.2.40/32", noon)
	h.hand("", "report.json", xarf(change, "192.0.2.40", 50000, 1))
	if err := h.Take(t.Context(), agent, h.text(`select id from abuse_event`), keyOf(session.Identity{Subscriber: "emil"}), "planted-take"); err != nil {
		t.Fatal(err)
	}
	id := h.text(`select id from abuse_case`)
	if err := h.Steer(t.Context(), agent, id, "stop", "planted-stop"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []enforce.Profile{enforce.Strict, enforce.Leaky} {
		q, _, err := h.AskQuarantine(t.Context(), agent, id, quarantine.Wish{Profile: p, Days: 7, Why: quarantine.Why{Threat: "planted-threat", Necessity: "planted-necessity", Proportion: "planted-proportion", Legal: "art. 3"}})
		if err == nil && q.State == quarantine.Requested {
			_, err = h.Quarantines().Decline(t.Context(), agent, q.ID, "planted-decline")
		} else if err == nil {
			_, err = h.Quarantines().Release(t.Context(), agent, q.ID, false, "planted-release")
		}
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
	}
	if err := h.Except(t.Context(), agent, id, false, 1, "planted-exempt"); err != nil {
		t.Fatal(err)
	}
	v, err := h.Case(t.Context(), agent.Actor(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"take", "stop", "decline", "release", "exempt"} {
		if !slices.ContainsFunc(v.History, func(n NoteRow) bool { return n.Text == "planted-"+word && n.Actor == agent.Actor() }) {
			t.Errorf("the case does not say why: %s", word)
		}
	}
	if in := h.holding("planted-"); in["audit"]+in["fact"]+in["abuse_note"] != 0 {
		t.Errorf("in the clear in %v", in)
	}
}

// What a guest writes while the line is on its way out, or once it is out, stands in the
// case; in a quarantine that was erased meanwhile it waits for a person.
func TestWordsOfAGuestAreNotDropped(t *testing.T) {
	net := &network{has: map[string]enforce.Profile{}}
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		p.Port, p.Proved = net, func(string) bool { return true }
	})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	id := h.text(`select id from abuse_case`)
	q, _, err := h.AskQuarantine(t.Context(), agent, id, quarantine.Wish{Profile: enforce.Leaky, Days: 7, Why: quarantine.Why{Threat: "a", Necessity: "b", Proportion: "c"}})
	if err == nil {
		_, err = h.Quarantines().Release(t.Context(), agent, q.ID, false, "clean")
	}
	if err != nil {
		t.Fatal(err)
	}
	help := func(nth int, quarantine, text string) {
		t.Helper()
		id := bolwerk.NewID(noon.Add(time.Duration(nth) * time.Second))
		body, err := json.Marshal(garden.Event{ID: "e" + id, Quarantine: quarantine, What: "help", Text: text, At: h.clock.Now()})
		if err == nil {
			err = h.Receive(t.Context(), "edge-1", garden.Kind, id, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	help(1, q.ID, "planted-late")
	v, err := h.Case(t.Context(), agent.Actor(), id)
	if err != nil || !slices.ContainsFunc(v.History, func(n NoteRow) bool { return n.Kind == "help" && n.Text == "planted-late" }) {
		t.Errorf("%+v, %v", v.History, err)
	}
	help(2, bolwerk.NewID(noon), "planted-lost")
	h.settleAll()
	waits, _, err := h.Reports(t.Context(), ReportFilter{State: "person"})
	if err != nil || len(waits) != 1 {
		t.Fatalf("%+v, %v", waits, err)
	}
	if r, err := h.Report(t.Context(), agent.Actor(), waits[0].ID); err != nil || !strings.Contains(r.Text, "planted-lost") {
		t.Errorf("%+v, %v", r, err)
	}
}
