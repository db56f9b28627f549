package abuse

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// holds are those that a test says.
type holds []desk.Hold

func (h *holds) Held(tx *store.Tx) (out []desk.Hold, err error) {
	for _, x := range *h {
		if x.Until.After(tx.Now()) {
			out = append(out, x)
		}
	}
	return out, nil
}

// A held case, and each case of a held subscriber, is neither erased nor swept until the
// hold ends; the case says so. One beside them goes.
func TestAHeldCaseStays(t *testing.T) {
	held := &holds{}
	h := open(t, func(_ *Config, p *Parts) { p.Holds = held })
	for i, who := range []string{"jansen-7", "peeters-8", "devos-9"} {
		ip := "192.0.2." + string(rune('7'+i))
		h.session(session.Start, who, "s"+who, ip+"/32", noon.Add(-time.Hour))
		h.hand("", table, head+resolver(noon.Add(-time.Minute), ip))
	}
	ids := map[string]string{}
	for _, who := range []string{"jansen-7", "peeters-8", "devos-9"} {
		rows, err := h.Cases(t.Context(), CaseFilter{Subscriber: who})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%s: %d cases, %v", who, len(rows), err)
		}
		ids[who] = rows[0].ID
		if err := h.Close(t.Context(), agent, rows[0].ID, Cleaned, "clean"); err != nil {
			t.Fatal(err)
		}
	}
	until := noon.AddDate(2, 0, 0)
	*held = holds{{ID: "1", Case: ids["jansen-7"], Legal: "order 88", Until: until}, {ID: "2", Subscriber: "peeters-8", Legal: "order 89", Until: until}}
	v, err := h.Case(t.Context(), agent.Actor(), ids["peeters-8"])
	if err != nil || v.Hold == nil || v.Hold.Legal != "order 89" || !v.Hold.Until.Equal(until) {
		t.Errorf("the case's hold: %+v, %v", v.Hold, err)
	}
	for who, want := range map[string]int{"jansen-7": 0, "peeters-8": 0} {
		said, err := h.Subjects().Erase(t.Context(), bolwerk.Socket(), who)
		if err != nil || said[0].Erased != want || said[len(said)-1].Kept != 1 || !strings.Contains(said[len(said)-1].Why, "order 8") {
			t.Errorf("erasing %s: %+v, %v", who, said, err)
		}
	}
	left := func() (out string) {
		t.Helper()
		for _, who := range []string{"jansen-7", "peeters-8", "devos-9"} {
			if n := h.text(`select cast(count(*) as text) from abuse_case where id='` + ids[who] + `'`); n == "1" {
				out += who + " "
			}
		}
		return strings.TrimSpace(out)
	}
	h.clock.Add(370 * 24 * time.Hour)
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "jansen-7 peeters-8" {
		t.Errorf("after a year there is %q", got)
	}
	h.clock.Add(370 * 24 * time.Hour)
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "" {
		t.Errorf("after the hold there is %q", got)
	}
}

// All exemptions stand in one list, without a name, and one is ended there.
func TestExemptionsAreListed(t *testing.T) {
	h := open(t)
	var cases []string
	for i, who := range []string{"jansen-7", "peeters-8"} {
		ip := "192.0.2." + string(rune('7'+i))
		h.session(session.Start, who, "s"+who, ip+"/32", noon.Add(-time.Hour))
		h.hand("", table, head+resolver(noon.Add(-time.Minute), ip))
		rows, err := h.Cases(t.Context(), CaseFilter{Subscriber: who})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d cases, %v", len(rows), err)
		}
		cases = append(cases, rows[0].Ref)
		if err := h.Except(t.Context(), agent, rows[0].ID, i == 1, 60-30*i, "they test"); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.Exemptions(t.Context(), false, "", 10)
	if err != nil || len(all) != 2 || all[0].Case != cases[1] || all[0].Class != "" || all[1].Class == "" || all[0].Over || all[0].By != agent.Actor() {
		t.Fatalf("%+v, %v", all, err)
	}
	if next, err := h.Exemptions(t.Context(), false, all[0].ID, 1); err != nil || len(next) != 1 || next[0].ID != all[1].ID {
		t.Errorf("the page after: %+v, %v", next, err)
	}
	viewer := agent
	viewer.Role = account.Viewer
	if _, err := h.EndExemptionNow(t.Context(), viewer, all[0].ID); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a viewer ends one: %v", err)
	}
	if x, err := h.EndExemptionNow(t.Context(), agent, all[0].ID); err != nil || x.Case != cases[1] || !x.Over {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := h.EndExemptionNow(t.Context(), agent, all[0].ID); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	if _, err := h.EndExemptionNow(t.Context(), agent, "none"); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("one that is not: %v", err)
	}
	if now, err := h.Exemptions(t.Context(), false, "", 10); err != nil || len(now) != 1 {
		t.Errorf("what holds: %+v, %v", now, err)
	}
	if every, err := h.Exemptions(t.Context(), true, "", 10); err != nil || len(every) != 2 {
		t.Errorf("with those that are over: %+v, %v", every, err)
	}
}

// The ledger tells who looked at a subscriber and for which case; it names nobody else.
func TestTheLedgerOfLooks(t *testing.T) {
	h := open(t)
	h.session(session.Start, "jansen-7", "s1", "192.0.2.7/32", noon.Add(-time.Hour))
	h.hand("", table, head+resolver(noon.Add(-time.Minute), "192.0.2.7"))
	rows, err := h.Cases(t.Context(), CaseFilter{})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d cases, %v", len(rows), err)
	}
	if _, err := h.Case(t.Context(), agent.Actor(), rows[0].ID); err != nil {
		t.Fatal(err)
	}
	for subscriber, want := range map[string]int{"": 1, "jansen-7": 1, "peeters-8": 0} {
		looks, err := h.Ledger(t.Context(), subscriber)
		if err != nil || len(looks) != want {
			t.Fatalf("looks at %q: %+v, %v", subscriber, looks, err)
		}
		if want == 1 && (looks[0].By != agent.Actor() || looks[0].Case != rows[0].Ref || looks[0].Reason == "" || looks[0].Found != 1) {
			t.Errorf("%+v", looks[0])
		}
	}
}
