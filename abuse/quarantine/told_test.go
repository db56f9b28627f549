package quarantine

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// telling is a house whose access server tells in accounting what is in force.
func telling(t *testing.T) (h *house, lied *[]string) {
	h, lied = open(t), &[]string{}
	h.p.Told = func(_ string, filters []string) (enforce.Profile, bool) {
		return enforce.Profile(filters[0]), filters[0] != "unknown"
	}
	h.p.Lied = func(_ *store.Tx, nas, code string) error {
		*lied = append(*lied, nas+": "+code)
		h.proved = false
		return nil
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	return h, lied
}

// lazy acknowledges, and does nothing.
func lazy(enforce.Order) (enforce.Result, bool) {
	return enforce.Result{State: enforce.Applied}, true
}

// interim is accounting of a quarter of an hour later that tells a filter.
func (h *house) interim(filter string) {
	h.t.Helper()
	h.clock.Add(15 * time.Minute)
	h.told1(filter, h.clock.Now())
	h.settled()
}

func (h *house) told1(filter string, at time.Time) {
	h.t.Helper()
	r := session.Record{Kind: session.Interim, Source: session.Radius, NAS: "bng1", Session: "s1", Identity: session.Identity{Subscriber: "anna"}, At: at, Lasted: at.Sub(noon.Add(-time.Hour)),
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.17/32")}, Filters: []string{filter}}
	if err := h.who.Take(h.t.Context(), []session.Record{r}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) line(id string) Part {
	h.t.Helper()
	v, err := h.Show(h.t.Context(), id)
	if err != nil || len(v.Lines) != 1 {
		h.t.Fatalf("%+v %v", v.Lines, err)
	}
	return v.Lines[0]
}

func TestAccountingProvesAFilter(t *testing.T) {
	h, lied := telling(t)
	h.net.say = func(o enforce.Order) (enforce.Result, bool) { return enforce.Result{State: enforce.Applied}, true }
	q := h.in("anna")
	h.settled()
	if l := h.line(q.ID); !l.Done || l.Seen {
		t.Errorf("acknowledged, and nothing more: %+v", l)
	}
	h.interim("unknown") // one that tells none of ours
	if l := h.line(q.ID); l.Seen {
		t.Errorf("it told of no profile: %+v", l)
	}
	h.interim("leaky")
	if l := h.line(q.ID); !l.Seen || l.Lied {
		t.Errorf("accounting tells of it: %+v", l)
	}
	n := len(h.net.orders)
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.told1("leaky", h.clock.Now().Add(-time.Minute)) // of before the release
	h.settled()
	h.interim("normal")
	h.want(q.ID, Released)
	if l := h.line(q.ID); !l.Seen || len(h.net.orders) != n+1 || len(*lied) != 0 {
		t.Errorf("%+v, %d orders, %v", l, len(h.net.orders)-n, *lied)
	}
}

// A server that acknowledges a release and does not act: it is told again at once, and
// the second time it is known that somebody is locked in.
func TestAReleaseThatIsAcknowledgedAndNotDone(t *testing.T) {
	h, lied := telling(t)
	q := h.in("anna")
	h.settled()
	h.net.say = lazy
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
	n := len(h.net.orders)
	h.interim("leaky")
	if len(h.net.orders) != n+1 {
		t.Errorf("it was told %d times again", len(h.net.orders)-n)
	}
	h.interim("leaky")
	h.clock.Add(10 * time.Minute)
	h.settled()
	h.want(q.ID, Stuck)
	if l := h.line(q.ID); !l.Lied || h.proved || !slices.Equal(*lied, []string{"bng1: a line is locked in"}) {
		t.Errorf("%+v, %v", l, *lied)
	}
	if all, err := h.List(t.Context(), Filter{State: "person"}); err != nil || len(all) != 1 {
		t.Errorf("%d wait for a person, %v", len(all), err)
	}
	// Its word alone lets nobody out; accounting does.
	n = len(h.net.orders)
	h.interim("leaky")
	h.clock.Add(10 * time.Minute)
	h.settled()
	h.want(q.ID, Stuck)
	if len(h.net.orders) == n || len(*lied) != 1 {
		t.Errorf("%d orders more, %v", len(h.net.orders)-n, *lied)
	}
	h.interim("normal")
	h.want(q.ID, Released)
}

func TestAQuarantineThatIsAcknowledgedAndNotDone(t *testing.T) {
	h, lied := telling(t)
	h.net.say = lazy
	q := h.in("anna")
	h.settled()
	h.want(q.ID, Active)
	for range lieIn - 1 {
		h.interim("normal")
	}
	h.want(q.ID, Active)
	if n := len(h.net.orders); n != 3 || len(*lied) != 0 {
		t.Errorf("it was told %d times, want 3; %v", n, *lied)
	}
	h.interim("normal")
	h.want(q.ID, Failed)
	if l := h.line(q.ID); !l.Lied || !slices.Equal(*lied, []string{"bng1: a line stays in the normal profile"}) {
		t.Errorf("%+v, %v", l, *lied)
	}
	h.interim("normal")
	if n := len(h.net.orders); n != 3 {
		t.Errorf("it is told for ever: %d times", n)
	}
	// The way back stays open, whatever it did before.
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
}

// The desk sends to another's session nothing, and an older quarantine's wish is over
// where a newer one has the line.
func TestTheNewestWishCounts(t *testing.T) {
	h, lied := telling(t)
	q := h.in("anna")
	h.settled()
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.clock.Add(time.Minute)
	again := h.in("anna")
	h.settled()
	n := len(h.net.orders)
	h.interim("leaky")
	h.interim("leaky")
	h.want(q.ID, Released)
	h.want(again.ID, Active)
	if len(h.net.orders) != n || len(*lied) != 0 {
		t.Errorf("%d orders, %v", len(h.net.orders)-n, *lied)
	}
}

// A session that took the profile at its login, and of which the desk hears long after the
// release, is taken back as soon as accounting tells of its filter; nobody else's is.
func TestASessionThatWasHeardOfTooLate(t *testing.T) {
	h, _ := telling(t)
	q := h.in("anna")
	h.settled()
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
	began := h.clock.Now()
	h.clock.Add(2 * time.Hour)
	h.net.has["s2"] = enforce.Leaky
	for who, id := range map[string]string{"anna": "s2", "bert": "s3"} {
		r := session.Record{Kind: session.Interim, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: who}, At: h.clock.Now(), Lasted: h.clock.Now().Sub(began),
			Prefixes: []netip.Prefix{netip.MustParsePrefix(map[string]string{"s2": "192.0.2.18/32", "s3": "192.0.2.19/32"}[id])}, Filters: []string{"leaky"}}
		for range 2 { // it may come twice
			if err := h.who.Take(t.Context(), []session.Record{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := len(h.net.orders)
	h.settled()
	h.want(q.ID, Released)
	if h.net.has["s2"] != enforce.Normal || len(h.net.orders) != n+1 {
		t.Errorf("the network has %v after %d orders", h.net.has, len(h.net.orders)-n)
	}
	h.clock.Add(time.Minute)
	h.settled()
	if len(h.net.orders) != n+1 {
		t.Error("it is told again and again")
	}
}

// A line keeps its key over the end of a month: it is no second line, and accounting is
// compared with what it is to have, in quarantine and after it.
func TestALineOverTheEndOfAMonth(t *testing.T) {
	h, lied := telling(t)
	h.net.say = lazy
	h.clock.Add(time.Date(2026, 11, 30, 23, 50, 0, 0, time.UTC).Sub(h.clock.Now()))
	h.told1("full", h.clock.Now())
	q := h.in("anna")
	h.settled()
	orders := len(h.net.orders)
	h.interim("leaky") // December
	if l := h.line(q.ID); !l.Seen || len(*lied) != 0 {
		t.Errorf("the line is %+v; lied %v", l, *lied)
	}
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { // its session is looked at again
		r, err := load(tx, q.ID)
		if err != nil {
			return err
		}
		return h.meet(tx, &r, rules)
	}); err != nil {
		t.Fatal(err)
	}
	if n := len(h.net.orders); n != orders {
		t.Errorf("%d orders, %d before the month ended", n, orders)
	}
	h.interim("normal")
	if l := h.line(q.ID); l.Seen || l.Code == "" {
		t.Errorf("accounting tells of another profile, and nobody compares: %+v", l)
	}
}
