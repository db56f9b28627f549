package quarantine

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	gardenedge "bolwerk/abuse/edge"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/job"
	"bolwerk/internal/nameset"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
	viewedge "bolwerk/shield/edge"
)

// town is a network whose addresses change hands, a desk that hears of it late, twice, in
// any order or never, is killed and comes back, access servers that do what they like,
// and an edge that follows.
type town struct {
	t       *testing.T
	r       *rand.Rand
	clock   *clock.Fake
	db      *store.DB
	keys    [2]*vault.Vault // of sessions, of views
	who     *who.Who
	views   *view.Views
	publish *publish.Desk
	desk    *Desk // nil: it is dead
	edge    *viewedge.Edge
	page    *gardenedge.Edge
	copies  []*followed
	plant   *plant

	held  map[string]*seat // by address: the truth
	ways  []session.Record // accounting that is on its way to the desk
	heard map[string]bool  // addresses of which the desk was told who has them now, or that nobody has
	since map[string]bool  // and the edge knows what it made of that
	last  map[string]*seat // who had an address last
	ends  map[string]time.Time
	of    map[string]string // quarantine -> subscriber
	over  map[string]bool   // quarantines that have ended
	fresh bool              // the edge has all that the desk decided
	n     int

	wanted, filters, gardens int // lines that were to be inside when all was quiet, and what they had
}

// seat is a session of the access network. has is put there by a login or a change; a
// server with a timer ends it by itself.
type seat struct {
	who, id, nas, addr string
	start              time.Time
	has                enforce.Profile
	until              time.Time // of the timer; zero: there is none
}

func (s *seat) profile(now time.Time) enforce.Profile {
	if s.has == "" || !s.until.IsZero() && !now.Before(s.until) {
		return enforce.Normal
	}
	return s.has
}

func (s *seat) give(p enforce.Profile, until time.Time) {
	s.has, s.until = p, time.Time{}
	if s.nas == "timer" {
		s.until = until
	}
}

// plant is the access servers.
type plant struct {
	mu    sync.Mutex
	seats map[string]*seat
	how   string // honest, rough, or killed: the desk dies while it sends
	turn  uint64
	die   func()
}

// Put does what it is told, or not. Which of it hangs on nothing but the turn and the
// session: orders are sent at the same time.
func (p *plant) Put(_ context.Context, o enforce.Order) (enforce.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprint(h, p.turn, o.Session.Session, o.Profile)
	fate := []string{"", "silent", "lost", "busy", "refused", "lies", ""}[h.Sum64()%7]
	if p.how == "honest" {
		fate = ""
	}
	if p.how == "killed" {
		p.die()
	}
	s := p.seats[o.Session.Session]
	if s != nil && s.who == o.Session.Subscriber && (fate == "" || fate == "lost") {
		s.give(o.Profile, o.Until)
	}
	switch {
	case fate == "silent" || fate == "lost":
		return enforce.Result{State: enforce.Silent}, nil
	case fate == "busy":
		return enforce.Result{State: enforce.Busy, Again: time.Second}, nil
	case s == nil || s.who != o.Session.Subscriber:
		return enforce.Result{State: enforce.Offline}, nil
	case fate == "refused":
		return enforce.Result{State: enforce.Refused}, nil
	}
	return enforce.Result{State: enforce.Applied}, nil
}

// followed is a copy at the edge.
type followed struct {
	name string
	sink copy.Sink
	at   copy.Head
}

const interim = 15 * time.Minute

var (
	places = map[string]string{"198.51.100.1": "timer", "198.51.100.2": "timer", "198.51.100.3": "none", "198.51.100.4": "none", "2001:db8:0:100::1": "none"} // address -> access server
	people = []string{"anna", "bert", "cleo", "dirk", "elsa"}                                                                                                 // elsa has no case
	chose  = map[string]string{"anna": "opt_out", "cleo": "opt_in"}
)

func newTown(t *testing.T, seed uint64) *town {
	c := clock.NewFake(noon)
	h := &town{t: t, r: rand.New(rand.NewPCG(seed, 27)), clock: c, db: storetest.Open(t, c, audit.Schema(), job.Schema(), account.Schema(), desk.Schema(), publish.Schema(), who.Schema(), view.Schema(), Schema()),
		plant: &plant{seats: map[string]*seat{}, how: "honest"}, held: map[string]*seat{}, heard: map[string]bool{}, since: map[string]bool{}, last: map[string]*seat{}, ends: map[string]time.Time{}, of: map[string]string{}, over: map[string]bool{}}
	for i := range h.keys {
		var err error
		if h.keys[i], err = vault.Open(t.TempDir(), c); err != nil {
			t.Fatal(err)
		}
	}
	h.publish = publish.New(h.db, "isp")
	h.start()
	for name, v := range chose {
		if _, err := h.views.Set(t.Context(), bolwerk.Socket(), name, v, time.Time{}, "asked for it"); err != nil {
			t.Fatal(err)
		}
	}
	h.boot()
	return h
}

// start starts a desk at the store, as the program does.
func (h *town) start() {
	log := slog.New(slog.DiscardHandler)
	cfg := who.DefaultConfig()
	cfg.Interim = bolwerk.Duration(interim)
	h.who = who.New(cfg, h.db, h.keys[0], h.clock, log, nil)
	h.views = view.New(view.Config{Silence: bolwerk.Duration(10 * time.Minute)}, interim, h.db, h.who, h.publish, h.keys[1], h.clock, log)
	q := DefaultConfig()
	q.Mode, q.Brake = "on", BrakeConfig{Floor: 1000, Factor: 1, PerHour: 1000, OutsideHours: 1000}
	h.desk = New(q, Parts{DB: h.db, Clock: h.clock, Log: log, Keys: h.keys[0], Who: h.who, Cases: &cases{}, Gardens: h.views, Port: h.plant, Proved: func(string) bool { return true },
		Told: func(_ string, filters []string) (enforce.Profile, bool) { return enforce.Profile(filters[0]), true }})
	h.must(h.desk.holdAgain(h.t.Context()))
	h.must(h.desk.unclaim(h.t.Context()))
}

func (h *town) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// boot starts an edge that has nothing but the copies.
func (h *town) boot() {
	log := slog.New(slog.DiscardHandler)
	cfg := viewedge.DefaultConfig()
	cfg.Zone, cfg.WarningAddresses = "UTC", []string{"192.0.2.1"}
	e, err := viewedge.New(cfg, "", 1, h.clock, nil, log)
	h.must(err)
	g := viewedge.Garden{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Checks: []bolwerk.Domain{bolwerk.MustDomain("check.example")}}
	for _, n := range allow.Names(allow.Entries()) {
		g.Allowed = append(g.Allowed, bolwerk.MustDomain(n))
	}
	e.SetGarden(g)
	h.must(e.Reset(copy.Head{}, func(yield func(copy.Entry) bool) {
		_ = yield(viewedge.Rule{Block: "B-1", Name: bolwerk.MustDomain("own.example"), Scope: bolwerk.ScopeHost, Class: "phishing"}.Entry("1", 1)) &&
			yield(viewedge.Rule{Block: "B-2", Name: bolwerk.MustDomain("asked.example"), Scope: bolwerk.ScopeHost, Class: "phishing", Ground: viewedge.Requested}.Entry("2", 1))
	}))
	pc := gardenedge.DefaultConfig()
	pc.Listen, pc.URL, pc.Addresses = "127.0.0.1:0", "http://safe.isp.example", g.Addresses
	h.page, err = gardenedge.New(pc, garden.Look{Operator: "Polder"}, gardenedge.Parts{Clock: h.clock, Log: log, Doubtful: e.Doubtful, HandIn: func(context.Context, string, []byte) error { return nil }})
	h.must(err)
	h.edge, h.copies = e, []*followed{{name: view.Copy, sink: e.Lines()}, {name: garden.Copy, sink: h.page.Guests()}}
	for _, f := range h.copies {
		var all []copy.Entry
		h.must(h.publish.Snapshot(h.t.Context(), f.name, func(x copy.Head) error { f.at = x; return nil }, func(e copy.Entry) error { all = append(all, e); return nil }))
		h.must(f.sink.Reset(f.at, func(yield func(copy.Entry) bool) {
			for _, e := range all {
				yield(e)
			}
		}))
	}
	h.caughtUp()
}

// follow brings the edge to where the copies are.
func (h *town) follow() {
	for _, f := range h.copies {
		steps, complete, err := h.publish.Since(h.t.Context(), f.name, f.at.Epoch, f.at.Serial, 1000)
		if err != nil || !complete {
			h.t.Fatal(err, complete)
		}
		for _, s := range steps {
			b, err := copy.DecodeBatch(s.Body)
			h.must(err)
			f.at.Serial, f.at.MadeAt = s.Serial, h.clock.Now()
			h.must(f.sink.Apply(f.at, b.Entries))
		}
	}
	h.caughtUp()
}

func (h *town) caughtUp() {
	h.fresh = true
	for a := range places {
		h.since[a] = h.heard[a]
	}
}

func (h *town) record(k session.Kind, s *seat) session.Record {
	now, a := h.clock.Now(), netip.MustParseAddr(s.addr)
	return session.Record{Kind: k, Source: session.Radius, NAS: s.nas, Session: s.id, Identity: session.Identity{Subscriber: s.who, Line: "line of " + s.who},
		Prefixes: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, At: now, Lasted: now.Sub(s.start), Filters: []string{string(s.profile(now))}}
}

// login gives an address to somebody, with the profile that the AAA server is told: the
// normal one where the desk is dead.
func (h *town) login(addr string) {
	h.n++
	s := &seat{who: people[h.r.IntN(len(people))], id: fmt.Sprint("s", h.n), nas: places[addr], addr: addr, start: h.clock.Now()}
	if h.desk != nil {
		p, until, err := h.desk.Wanted(h.t.Context(), s.who)
		h.must(err)
		s.give(p, until)
	}
	h.held[addr], h.last[addr], h.plant.seats[s.id] = s, s, s
	h.changed(addr)
	h.ways = append(h.ways, h.record(session.Start, s))
}

func (h *town) changed(addr string) { h.heard[addr], h.since[addr] = false, false }

func (h *town) logout(addr string, told bool) {
	s := h.held[addr]
	if told {
		h.ways = append(h.ways, h.record(session.Stop, s))
	}
	delete(h.held, addr)
	delete(h.plant.seats, s.id)
	h.changed(addr)
}

// again is an access server that begins anew, and says so.
func (h *town) again(nas string) {
	for addr, s := range h.held {
		if s.nas == nas {
			h.logout(addr, false)
		}
	}
	h.ways = append(h.ways, session.Record{Kind: session.On, Source: session.Radius, NAS: nas, At: h.clock.Now(), Lasted: -1})
}

// deliver gives the desk a record that is on its way.
func (h *town) deliver(i int, again bool) {
	r := h.ways[i]
	if !again {
		h.ways = slices.Delete(h.ways, i, i+1)
	}
	h.must(h.who.Take(h.t.Context(), []session.Record{r}))
	h.fresh = false
	for a := range places {
		now, last := h.held[a], h.last[a]
		about := slices.ContainsFunc(r.Prefixes, func(p netip.Prefix) bool { return p.Addr().String() == a })
		switch {
		case r.Kind == session.On:
			h.heard[a] = h.heard[a] || now == nil && last != nil && places[a] == r.NAS && last.start.Before(r.At)
		case about && (now != nil && r.Session == now.id || now == nil && r.Kind == session.Stop && r.Session == last.id):
			h.heard[a] = true
		}
	}
}

// put has somebody put into quarantine, for minutes where it is days else.
func (h *town) put(name string) {
	h.n++
	until := h.clock.Now().Add(time.Duration(5+h.r.IntN(120)) * time.Minute)
	p := []enforce.Profile{enforce.Leaky, enforce.Strict}[h.r.IntN(2)]
	h.must(h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error {
		c, _, err := desk.OpenCase(tx, "abuse", fmt.Sprint(name, h.n))
		if err != nil {
			return err
		}
		a := About{CaseID: c.ID, Class: "malicious-code/infected-system", Who: session.Identity{Subscriber: name}, One: true, Solid: 2, Feed: "house"}
		others, err := h.desk.others(tx, a.Who, "", inside)
		if err != nil {
			return err
		}
		var waits []string
		if len(others) > 0 {
			waits = []string{"other"}
		}
		w := Wish{Profile: p, Days: 1, Why: why}
		if p == enforce.Strict {
			w.Why.Legal = "decision 2026/14"
		}
		q, err := h.desk.insert(tx, a, w, until, agent.Actor(), false, Facts{}, waits)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`update abuse_quarantine set second_by=$1 where id=$2`, duty.Actor().String(), q.ID); err != nil {
			return err
		}
		h.ends[q.ID], h.of[q.ID] = q.Until, name
		if len(waits) > 0 {
			return nil // the sweep begins it
		}
		return h.desk.begin(tx, &q, rules)
	}))
	h.fresh = false
}

// end ends one of those that hold: a person does, its case is closed, or all are let out.
func (h *town) end(q Row) {
	h.fresh = false
	switch h.r.IntN(3) {
	case 0:
		_, err := h.desk.Release(h.t.Context(), agent, q.ID, false, "clean")
		h.must(err)
	case 1:
		h.must(h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error {
			c, err := desk.FindCase(tx, q.CaseID)
			if err != nil {
				return err
			}
			return desk.SetCase(tx, c, c.State, desk.Closed, "cleaned") // the sweep finds it
		}))
	default:
		_, err := h.desk.ReleaseAll(h.t.Context(), agent, "", "", "the feed was wrong")
		h.must(err)
	}
}

// work is what the desk does by itself, over access servers that are honest or rough; or
// it is killed while it sends.
func (h *town) work(how string) {
	ctx, die := context.WithCancel(h.t.Context())
	defer die()
	h.must(h.views.Sweep(ctx))
	h.must(h.desk.Sweep(ctx))
	h.plant.how, h.plant.die = how, die
	for range 20 {
		h.plant.turn++
		all, err := h.desk.due(ctx)
		n := 0
		for _, nas := range all {
			m, err := h.desk.sendSome(ctx, nas)
			if n += m; err != nil && ctx.Err() == nil {
				h.t.Fatal(err)
			}
		}
		if ctx.Err() != nil {
			h.desk = nil
			break
		}
		if h.must(err); n == 0 {
			break
		}
	}
	h.fresh = false
	h.must(h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		n := 0
		err := tx.Row(`select count(*) from abuse_quarantine q join desk_case c on c.id=q.case_id where c.state='closed' and q.state in ` + holdsSQL).Scan(&n)
		if n > 0 {
			h.t.Fatalf("%d quarantines hold though their cases are closed, and the desk has looked", n)
		}
		return err
	}))
}

func (h *town) rows() (out []Row) {
	h.must(h.db.Read(h.t.Context(), func(tx *store.Tx) (err error) {
		out, err = store.List(tx, read, `select `+columns+` from abuse_quarantine order by id`)
		return err
	}))
	return out
}

// sees is which view who asks from an address has.
func (h *town) sees(addr string) string {
	h.edge.Apply(copy.Head{}, nil) // takes the time
	switch own, asked, check, open := h.stopped(addr, "own.example"), h.stopped(addr, "asked.example"), h.stopped(addr, "check.example"), h.stopped(addr, "open.example"); {
	case own && check && open:
		return "strict"
	case own && !asked && check:
		return "leaky"
	case check || open:
		return "none of the views"
	case own && asked:
		return "opt_in"
	case own:
		return "default"
	case !asked:
		return "opt_out"
	}
	return "none of the views"
}

// stopped says that a name is answered by the edge itself, and does not resolve.
func (h *town) stopped(addr, name string) bool {
	a := netip.AddrFrom16(netip.MustParseAddr(addr).As16())
	_, ok := h.edge.Answer(&dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain(name)), Type: dnsserve.TypeA, Class: 1, Worker: -1, From: a})
	return ok
}

// captive says that a device at an address is told that a page stands before it.
func (h *town) captive(addr string) bool {
	r := httptest.NewRequest("GET", "http://safe.isp.example"+gardenedge.CaptivePath, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 40000).String()
	w := httptest.NewRecorder()
	h.page.ServeHTTP(w, r)
	return strings.Contains(w.Body.String(), `"captive":true`)
}
