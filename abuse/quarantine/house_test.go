package quarantine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// network is an access network that does what it is told, unless it is told otherwise.
type network struct {
	mu     sync.Mutex
	has    map[string]enforce.Profile // by session
	orders []enforce.Order
	say    func(o enforce.Order) (enforce.Result, bool)
}

func (n *network) Put(_ context.Context, o enforce.Order) (enforce.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.orders = append(n.orders, o)
	if n.say != nil {
		if r, ok := n.say(o); ok {
			return r, nil
		}
	}
	n.has[o.Session.Session] = o.Profile
	return enforce.Result{State: enforce.Applied, Seen: true}, nil
}

// gardens is what the edges were told.
type gardens struct{ held map[string]garden.Guest }

func (g *gardens) Hold(_ *store.Tx, h view.Hold) error {
	g.held[h.ID] = h.Guest
	return nil
}

func (g *gardens) Free(_ *store.Tx, id string) error { delete(g.held, id); return nil }

// cases remember what happened.
type cases struct {
	happened []string
	fails    error
}

func (c *cases) Evidence(*store.Tx, string) ([]garden.Seen, string, string, error) {
	return []garden.Seen{{At: noon, What: "port 53"}}, "", "", nil
}

func (c *cases) Happened(_ *store.Tx, _ Row, what, code string, _ bolwerk.Actor, _ string) error {
	if c.fails != nil {
		return c.fails
	}
	c.happened = append(c.happened, what+" "+code)
	return nil
}

func (c *cases) Shown(*store.Tx, string) error { return c.fails }

func (c *cases) Tested(*store.Tx, string) (garden.Tested, error) { return garden.Tested{}, nil }

func (c *cases) AskTest(*store.Tx, string, bolwerk.Actor) error { return nil }

type house struct {
	*Desk
	t       *testing.T
	clock   *clock.Fake
	who     *who.Who
	net     *network
	gardens *gardens
	cases   *cases
	flags   Flags
	proved  bool
	restore bool // it waits for a person
	n       int
}

var (
	agent = account.Person{ID: "01900000-0000-7000-8000-000000000001", Login: "mila", Role: account.Analyst, State: account.Active, By: account.BySession, Exempt: true, Proved: noon}
	duty  = account.Person{ID: "01900000-0000-7000-8000-000000000002", Login: "omar", Role: account.DutyOfficer, State: account.Active, By: account.BySession, Exempt: true, Proved: noon}
)

func open(t *testing.T, change ...func(*Config)) *house {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, audit.Schema(), job.Schema(), account.Schema(), desk.Schema(), who.Schema(), Schema())
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, clock: c, who: who.New(who.DefaultConfig(), db, keys, c, log, nil), net: &network{has: map[string]enforce.Profile{}}, gardens: &gardens{map[string]garden.Guest{}}, cases: &cases{}, proved: true}
	cfg := DefaultConfig()
	cfg.Mode = "on"
	for _, f := range change {
		f(&cfg)
	}
	h.Desk = New(cfg, Parts{DB: db, Clock: c, Log: log, Keys: keys, Who: h.who, Cases: h.cases, Gardens: h.gardens, Port: h.net, Proved: func(string) bool { return h.proved },
		Restoring: func(*store.Tx) (bool, error) { return h.restore, nil },
		Flags:     func(*store.Tx, session.Identity) (Flags, error) { return h.flags, nil }})
	return h
}

func (h *house) session(kind session.Kind, who, id, net string, at time.Time) {
	h.t.Helper()
	r := session.Record{Kind: kind, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: who}, At: at, Lasted: -1}
	if net != "" {
		r.Prefixes = []netip.Prefix{netip.MustParsePrefix(net)}
	}
	if kind == session.Start {
		r.Lasted = 0
	}
	if err := h.who.Take(h.t.Context(), []session.Record{r}); err != nil {
		h.t.Fatal(err)
	}
}

// about is a case about somebody.
func (h *house) about(subscriber string) (a About) {
	h.t.Helper()
	h.n++
	if err := h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error {
		c, _, err := desk.OpenCase(tx, "abuse", fmt.Sprint(subscriber, h.n))
		a = About{CaseID: c.ID, Class: "malicious-code/infected-system", Who: session.Identity{Subscriber: subscriber}, One: true, Solid: 2, Feed: "shadowserver"}
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return a
}

var (
	why   = Why{Threat: "attacks others", Necessity: "mail was not answered", Proportion: "only what harms is stopped", Legal: DefaultLegal}
	leaky = Wish{Profile: enforce.Leaky, Days: 14, Why: why}
)

func (h *house) ask(by *account.Person, a About, w Wish) (q Row, ok bool, err error) {
	h.t.Helper()
	err = h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error { q, ok, err = h.Ask(tx, by, a, w); return err })
	return q, ok, err
}

// in puts somebody into quarantine who is on line.
func (h *house) in(subscriber string) Row {
	h.t.Helper()
	q, ok, err := h.ask(nil, h.about(subscriber), leaky)
	if err != nil || !ok {
		h.t.Fatalf("%s: %v, %v, held back by %v", subscriber, ok, err, q.Waits)
	}
	return h.row(q.ID)
}

func (h *house) row(id string) Row {
	h.t.Helper()
	q, err := h.Row(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return q
}

// settled sends all that is due, and sweeps.
func (h *house) settled() {
	h.t.Helper()
	if err := h.Sweep(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	for range 50 {
		all, err := h.due(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		n := 0
		for _, nas := range all {
			m, err := h.sendSome(h.t.Context(), nas)
			if err != nil {
				h.t.Fatal(err)
			}
			n += m
		}
		if n == 0 {
			return
		}
	}
	h.t.Fatal("it never settles")
}

func (h *house) want(id string, s State) Row {
	h.t.Helper()
	q := h.row(id)
	if q.State != s {
		v, _ := h.Show(h.t.Context(), id)
		h.t.Errorf("%s is %s, want %s: %+v", q.Ref, q.State, s, v.Lines)
	}
	return q
}

func (h *house) take(e garden.Event) {
	h.t.Helper()
	h.n++
	if e.ID == "" {
		e.ID = fmt.Sprint("event ", h.n)
	}
	if e.At.IsZero() {
		e.At = h.clock.Now()
	}
	if err := h.Take(h.t.Context(), []garden.Event{e}); err != nil {
		h.t.Fatal(err)
	}
}

// tickAll does what the page asks.
func (h *house) tickAll(q Row) {
	h.t.Helper()
	g := h.gardens.held[q.ID]
	for _, s := range g.Left(g.Plan("")) {
		h.take(garden.Event{Quarantine: q.ID, What: "done", Step: s})
	}
}

// spoil writes what cannot be read into a column of quarantines.
func (h *house) spoil(column string, value any, ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if err := h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error {
			_, err := tx.Exec(`update abuse_quarantine set `+column+`=$1 where id=$2`, value, id)
			return err
		}); err != nil {
			h.t.Fatal(err)
		}
	}
}
