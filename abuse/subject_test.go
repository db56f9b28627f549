package abuse

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
)

// A subscriber gets all that is kept of them, without who reported and who looked; a
// closed case is erased, an open one is kept and the reason said.
func TestWhatIsKeptOfASubscriber(t *testing.T) {
	h := open(t)
	h.session(session.Start, "jansen-7", "s1", "192.0.2.7/32", noon.Add(-time.Hour))
	h.session(session.Start, "peeters-8", "s2", "192.0.2.8/32", noon.Add(-time.Hour))
	const secret = "planted-reporter@elsewhere.example"
	for _, ip := range []string{"192.0.2.7", "192.0.2.8"} {
		h.hand(secret, table, head+resolver(noon.Add(-time.Minute), ip))
	}
	cases, err := h.Cases(t.Context(), CaseFilter{State: "open"})
	if err != nil || len(cases) != 2 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	kept, err := h.Subjects().About(t.Context(), "jansen-7")
	if err != nil || len(kept) != 1 || kept[0].What != "case" {
		t.Fatalf("%+v, %v", kept, err)
	}
	if _, err := h.Case(t.Context(), bolwerk.Person(agent.ID), kept[0].ID); err != nil {
		t.Fatal(err)
	}
	looks, err := h.who.About(t.Context(), "jansen-7")
	if err != nil || len(looks) != 2 || looks[0].What != "session" || looks[1].What != "look" {
		t.Fatalf("%+v, %v", looks, err)
	}
	all, err := json.Marshal([]any{kept, looks})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"192.0.2.7": true, "jansen-7": true, "192.0.2.8": false, "peeters-8": false, secret: false, agent.ID: false, agent.Login: false} {
		if strings.Contains(string(all), text) != want {
			t.Errorf("%q in what the subscriber gets: %v, want %v\n%s", text, !want, want, all)
		}
	}

	erased, err := h.Subjects().Erase(t.Context(), bolwerk.Socket(), "jansen-7")
	if err != nil || erased[0].Erased != 0 || erased[1].Kept != 1 || erased[1].Why == "" {
		t.Errorf("an open case: %+v, %v", erased, err)
	}
	if err := h.Close(t.Context(), agent, kept[0].ID, Cleaned, "clean"); err != nil {
		t.Fatal(err)
	}
	if erased, err = h.Subjects().Erase(t.Context(), bolwerk.Socket(), "jansen-7"); err != nil || erased[0].Erased != 1 || erased[1].Kept != 0 {
		t.Errorf("a closed case: %+v, %v", erased, err)
	}
	if kept, err := h.Subjects().About(t.Context(), "jansen-7"); err != nil || len(kept) != 0 {
		t.Errorf("after it: %+v, %v", kept, err)
	}
	if kept, err := h.Subjects().About(t.Context(), "peeters-8"); err != nil || len(kept) != 1 {
		t.Errorf("of another: %+v, %v", kept, err)
	}
	said, err := h.who.Erase(t.Context(), bolwerk.Socket(), "jansen-7")
	if err != nil || said[0].Kept != 1 || said[1].Kept != 1 || said[0].Why == "" {
		t.Errorf("sessions and looks: %+v, %v", said, err)
	}
}
