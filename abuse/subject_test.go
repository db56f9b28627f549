package abuse

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/lines"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/store"
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

// What is kept of a quarantine is given to its subscriber: why, its steps, sessions and
// what was written. Once the case is closed and the line is out, erasing leaves nothing
// of it in any table, and what is kept meanwhile is said.
func TestWhatIsKeptOfAQuarantine(t *testing.T) {
	net := &network{has: map[string]enforce.Profile{}}
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		p.Port, p.Proved = net, func(string) bool { return true }
	})
	h.reconcile()
	has := func(want enforce.Profile) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); net.profile("s1") != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the line has %q, want %q: %s", net.profile("s1"), want, h.text(`select state||' '||why from abuse_quarantine`))
			}
		}
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	id := h.text(`select id from abuse_case`)
	w := quarantine.Wish{Profile: enforce.Leaky, Days: 7, Why: quarantine.Why{Threat: "planted-threat", Necessity: "planted-necessity", Proportion: "planted-proportion"}}
	q, decided, err := h.AskQuarantine(t.Context(), agent, id, w)
	if err != nil || !decided {
		t.Fatalf("%+v, %v, %v", q, decided, err)
	}
	has(enforce.Leaky)
	for i, e := range []garden.Event{{What: "seen"}, {What: "done", Step: "planted-step"}, {What: "help", Text: "planted-help"}} {
		e.ID, e.Quarantine, e.At = bolwerk.NewID(noon.Add(time.Duration(i))), q.ID, noon
		if err := h.Quarantines().Take(t.Context(), []garden.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := h.Subjects().About(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"planted-threat": true, "planted-necessity": true, "planted-proportion": true, quarantine.DefaultLegal: true, "planted-step": true, "planted-help": true, `"session":"s1"`: true, q.Ref: true, agent.ID: false, agent.Login: false} {
		if strings.Contains(string(all), text) != want {
			t.Errorf("%q in what the subscriber gets: %v, want %v\n%s", text, !want, want, all)
		}
	}

	erase := func() (out []string) {
		t.Helper()
		said, err := h.Subjects().Erase(t.Context(), bolwerk.Socket(), "anna")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range said {
			if e.Kept > 0 && e.Why == "" {
				t.Errorf("%+v: kept, and not why", e)
			}
			if e.Erased+e.Kept > 0 {
				out = append(out, e.What)
			}
		}
		return out
	}
	if got := erase(); len(got) != 1 || got[0] != "open cases" {
		t.Errorf("while it is worked on: %q", got)
	}
	if err := h.Close(t.Context(), agent, id, Cleaned, "clean"); err != nil {
		t.Fatal(err)
	}
	has(enforce.Normal)
	for end := time.Now().Add(20 * time.Second); h.text(`select state from abuse_quarantine`) != string(quarantine.Released); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not released")
		}
	}
	if got := erase(); len(got) != 1 || !strings.HasPrefix(got[0], "closed cases") {
		t.Errorf("after it: %q", got)
	}
	for table, n := range h.holding(id, q.ID) {
		switch table {
		case "audit", "fact": // decisions of the desk: references, and nobody's name
		case "job", "copy_entry": // goes with its own time: a reference
		default:
			t.Errorf("%s still holds %d rows of the case", table, n)
		}
	}
}

// Somebody of whom a lease names the line or the device alone is a subject like others: the
// name of the line, or of the device where no line is known, gives, erases and holds.
func TestALineWithoutASubscriberIsASubject(t *testing.T) {
	for name, who := range map[string]session.Identity{"olt1/3/17": {Line: "olt1/3/17", Calling: "02:00:5e:00:53:01"}, "02:00:5e:00:53:02": {Calling: "02:00:5e:00:53:02"}} {
		t.Run(name, func(t *testing.T) {
			held := &holds{}
			h := open(t, func(_ *Config, p *Parts) { p.Holds = held })
			r, err := lines.Lease("dhcp1", netip.MustParsePrefix("192.0.2.17/32"), who, noon.Add(-time.Hour), noon.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.who.Take(t.Context(), []session.Record{r}); err != nil {
				t.Fatal(err)
			}
			h.told(contact.Entry{Line: "olt1/3/17", Name: "Anna Voorbeeld", Mail: "anna@home.example"})
			h.hand("", table, head+resolver(noon.Add(-time.Minute), "192.0.2.17"))
			rows, err := h.Cases(t.Context(), CaseFilter{Subscriber: name})
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d cases, %v", len(rows), err)
			}
			ref := rows[0].Ref
			if _, err := h.Case(t.Context(), agent.Actor(), ref); err != nil {
				t.Fatal(err)
			}
			if _, subject, _, err := h.Kept(t.Context(), ref); err != nil || subject != name {
				t.Errorf("a hold on the case is about %q, %v", subject, err)
			}
			for what, k := range map[string]struct {
				about func(context.Context, string) ([]desk.Kept, error)
				want  int
			}{"cases": {h.Subjects().About, 1}, "session and look": {h.who.About, 2}, "contact": {h.book.About, map[bool]int{true: 1}[who.Line != ""]}} {
				if kept, err := k.about(t.Context(), name); err != nil || len(kept) != k.want {
					t.Errorf("%s: %+v, %v", what, kept, err)
				}
				if kept, err := k.about(t.Context(), "another"); err != nil || len(kept) != 0 {
					t.Errorf("%s of another: %+v, %v", what, kept, err)
				}
			}
			if err := h.Close(t.Context(), agent, ref, Cleaned, "clean"); err != nil {
				t.Fatal(err)
			}
			*held = holds{{ID: "1", Subscriber: name, Legal: "order 88", Until: noon.AddDate(1, 0, 0)}}
			said, err := h.Subjects().Erase(t.Context(), bolwerk.Socket(), name)
			if err != nil || said[0].Erased != 0 || said[len(said)-1].Kept != 1 {
				t.Errorf("while it is held: %+v, %v", said, err)
			}
			*held = nil
			if said, err = h.Subjects().Erase(t.Context(), bolwerk.Socket(), name); err != nil || said[0].Erased != 1 {
				t.Errorf("%+v, %v", said, err)
			}
		})
	}
}

// The store holds no name of who has a lease or a fixed line in the clear: not in what
// tells one from the other either.
func TestALeaseNamesNobodyInTheStore(t *testing.T) {
	h := open(t)
	r, err := lines.Lease("dhcp1", netip.MustParsePrefix("192.0.2.17/32"), session.Identity{Subscriber: "planted-subscriber", Line: "planted-port", Calling: "planted-device"}, noon.Add(-time.Hour), noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.who.Take(t.Context(), []session.Record{r}); err != nil {
		t.Fatal(err)
	}
	if held, err := h.who.About(t.Context(), "planted-subscriber"); err != nil || len(held) != 1 {
		t.Fatalf("%+v, %v", held, err)
	}
	if in := h.holding("planted-", "192.0.2.17"); len(in) != 0 {
		t.Errorf("in the clear in %v", in)
	}
}

// holding says which tables hold one of the texts, in how many rows.
func (h *house) holding(texts ...string) map[string]int {
	h.t.Helper()
	out := map[string]int{}
	err := h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		for _, c := range store.Columns(schemas()) {
			for _, text := range texts {
				var n int
				if err := tx.Row(`select count(*) from `+c.Table+` where cast(`+c.Name+` as text) like $1`, "%"+text+"%").Scan(&n); err != nil {
					return err
				}
				if n > 0 {
					out[c.Table] += n
				}
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}
