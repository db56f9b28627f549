package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
	viewedge "bolwerk/shield/edge"
)

// lines is a network of lines whose addresses change hands, a desk that hears of it
// late, twice, in any order or never, and an edge that follows.
type lines struct {
	t       *testing.T
	r       *rand.Rand
	clock   *clock.Fake
	db      *store.DB
	who     *who.Who
	views   *view.Views
	publish *publish.Desk
	edge    *viewedge.Edge
	sink    copy.Sink
	at      copy.Head

	held   map[string]on // by address: the truth
	flight []session.Record
	since  map[string]bool      // addresses of which it was delivered who has them now, or that nobody has
	began  map[string]time.Time // when the last session of an address did
	id     map[string]string    // and its name
	last   time.Time            // when the desk took accounting last
	n      int
}

// on is a session: the truth.
type on struct {
	who, id string
	start   time.Time
}

const interim = 15 * time.Minute

var (
	addresses = []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "2001:db8:0:100::1"}
	people    = []string{"anna", "bert", "cleo", "dirk", "elsa"}
	chose     = map[string]string{"anna": "opt_out", "cleo": "opt_in", "elsa": "opt_out"}
	inside    = map[string]enforce.Profile{"dirk": enforce.Leaky, "elsa": enforce.Strict} // in quarantine, over what they chose
)

func newLines(t *testing.T, seed uint64) *lines {
	c := clock.NewFake(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC))
	db := storetest.Open(t, c, audit.Schema(), publish.Schema(), who.Schema(), view.Schema())
	keys := func() *vault.Vault {
		v, err := vault.Open(t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	log := slog.New(slog.DiscardHandler)
	cfg := who.DefaultConfig()
	cfg.Interim = bolwerk.Duration(interim)
	l := &lines{t: t, r: rand.New(rand.NewPCG(seed, 26)), clock: c, db: db, publish: publish.New(db, "isp"), held: map[string]on{}, since: map[string]bool{}, began: map[string]time.Time{}, id: map[string]string{}}
	l.who = who.New(cfg, db, keys(), c, log, nil)
	l.views = view.New(view.DefaultConfig(), interim, db, l.who, l.publish, keys(), c, log)
	for name, v := range chose {
		if _, err := l.views.Set(t.Context(), bolwerk.Socket(), name, v, time.Time{}, "asked for it"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		for name, p := range inside {
			if err := l.views.Hold(tx, view.Hold{ID: name, Subscriber: name, Profile: p, Until: c.Now().AddDate(0, 0, 30), Guest: garden.Guest{Quarantine: name}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l.boot()
	return l
}

// boot starts an edge that has nothing but the copy.
func (l *lines) boot() {
	cfg := viewedge.DefaultConfig()
	cfg.Zone = "UTC"
	cfg.WarningAddresses = []string{"192.0.2.1"}
	e, err := viewedge.New(cfg, "", 1, l.clock, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		l.t.Fatal(err)
	}
	e.SetGarden(viewedge.Garden{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Checks: []bolwerk.Domain{bolwerk.MustDomain("check.example")}})
	l.edge, l.sink = e, e.Lines()
	rules := []copy.Entry{
		viewedge.Rule{Block: "B-1", Name: bolwerk.MustDomain("own.example"), Scope: bolwerk.ScopeHost, Class: "phishing"}.Entry("1", 1),
		viewedge.Rule{Block: "B-2", Name: bolwerk.MustDomain("asked.example"), Scope: bolwerk.ScopeHost, Class: "phishing", Ground: viewedge.Requested}.Entry("2", 1),
	}
	if err := e.Reset(copy.Head{}, func(yield func(copy.Entry) bool) {
		for _, r := range rules {
			yield(r)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
	var all []copy.Entry
	if err := l.publish.Snapshot(l.t.Context(), view.Copy, func(h copy.Head) error { l.at = h; return nil }, func(e copy.Entry) error { all = append(all, e); return nil }); err != nil {
		l.t.Fatal(err)
	}
	if err := l.sink.Reset(l.at, func(yield func(copy.Entry) bool) {
		for _, e := range all {
			yield(e)
		}
	}); err != nil {
		l.t.Fatal(err)
	}
}

// follow brings the edge to where the copy is.
func (l *lines) follow() {
	steps, complete, err := l.publish.Since(l.t.Context(), view.Copy, l.at.Epoch, l.at.Serial, 1000)
	if err != nil || !complete {
		l.t.Fatal(err, complete)
	}
	for _, s := range steps {
		b, err := copy.DecodeBatch(s.Body)
		if err != nil {
			l.t.Fatal(err)
		}
		l.at.Serial, l.at.MadeAt = s.Serial, l.clock.Now()
		if err := l.sink.Apply(l.at, b.Entries); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lines) record(k session.Kind, addr string, s on) session.Record {
	now := l.clock.Now()
	a := netip.MustParseAddr(addr)
	r := session.Record{Kind: k, Source: session.Radius, NAS: "bng1", Session: s.id, Identity: session.Identity{Subscriber: s.who, Line: "line of " + s.who},
		Prefixes: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, At: now, Lasted: now.Sub(s.start)}
	return r
}

// begin gives an address to somebody.
func (l *lines) begin(addr string) {
	l.n++
	s := on{people[l.r.IntN(len(people))], fmt.Sprint("s", l.n), l.clock.Now()}
	l.held[addr], l.since[addr], l.began[addr] = s, false, s.start
	l.id[addr] = s.id
	l.flight = append(l.flight, l.record(session.Start, addr, s))
}

func (l *lines) end(addr string) {
	l.flight = append(l.flight, l.record(session.Stop, addr, l.held[addr]))
	delete(l.held, addr)
	l.since[addr] = false
}

// deliver gives the desk a record that is under way; which one, chance says.
func (l *lines) deliver(i int) {
	r := l.flight[i]
	if l.r.IntN(5) > 0 { // else it comes again
		l.flight = slices.Delete(l.flight, i, i+1)
	}
	if err := l.who.Take(l.t.Context(), []session.Record{r}); err != nil {
		l.t.Fatal(err)
	}
	l.last = l.clock.Now()
	for _, a := range addresses {
		now, is := l.held[a]
		about := slices.ContainsFunc(r.Prefixes, func(p netip.Prefix) bool { return p.Addr().String() == a })
		switch {
		case r.Kind == session.On:
			l.since[a] = l.since[a] || !is && l.began[a].Before(r.At) // who had it last is gone
		case about && (is && r.Session == now.id || !is && r.Kind == session.Stop && r.Session == l.id[a]):
			l.since[a] = true
		}
	}
}

// sees is which view who asks from an address has.
func (l *lines) sees(addr string) string {
	l.edge.Apply(copy.Head{}, nil) // takes the time
	stopped := func(name string) bool {
		a := netip.AddrFrom16(netip.MustParseAddr(addr).As16())
		_, ok := l.edge.Answer(&dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain(name)), Type: dnsserve.TypeA, Class: 1, Worker: -1, From: a})
		return ok
	}
	switch own, asked, check, open := stopped("own.example"), stopped("asked.example"), stopped("check.example"), stopped("open.example"); {
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

func (l *lines) want(addr string) string {
	if p := inside[l.held[addr].who]; p != "" {
		return string(p)
	}
	if v := chose[l.held[addr].who]; v != "" {
		return v
	}
	return "default"
}

// An address that changes hands never has the view, or the quarantine, of who had it
// before, once anything of its present session has come; and with no accounting, nobody has one.
func TestAViewIsNeverInherited(t *testing.T) {
	histories := uint64(40)
	if testing.Short() {
		histories = 8
	}
	for seed := range histories {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			l := newLines(t, seed)
			for range 150 {
				l.clock.Add(time.Duration(l.r.IntN(90)) * time.Second)
				addr := addresses[l.r.IntN(len(addresses))]
				_, busy := l.held[addr]
				switch n := l.r.IntN(20); {
				case n < 5 && busy:
					l.end(addr)
					if l.r.IntN(3) == 0 { // and its Stop is never told
						l.flight = l.flight[:len(l.flight)-1]
					}
					if l.r.IntN(2) == 0 {
						l.begin(addr)
					}
				case n < 8 && !busy:
					l.begin(addr)
				case n < 11 && busy:
					l.flight = append(l.flight, l.record(session.Interim, addr, l.held[addr]))
				case n == 11: // the access server begins anew, and says so
					clear(l.held)
					clear(l.since)
					l.flight = append(l.flight, session.Record{Kind: session.On, Source: session.Radius, NAS: "bng1", At: l.clock.Now(), Lasted: -1})
				case n == 12: // the edge does
					l.boot()
				case n == 13:
					l.clock.Add(3 * time.Minute)
				case len(l.flight) > 0:
					l.deliver(l.r.IntN(len(l.flight)))
				}
				l.follow()
				for _, a := range addresses {
					got := l.sees(a)
					switch quiet := l.clock.Now().Sub(l.last) > view.DefaultConfig().Silence.D(); {
					case got == "default":
					case quiet:
						t.Fatalf("%s has the view %s though no accounting came for %s", a, got, l.clock.Now().Sub(l.last))
					case l.since[a] && got != l.want(a):
						t.Fatalf("%s has the view %s of who had it before; it is %q who has it", a, got, l.held[a].who)
					}
				}
			}
			// All is told in the end: then each has what they chose.
			for len(l.flight) > 0 {
				l.deliver(0)
			}
			for _, a := range addresses {
				if s, ok := l.held[a]; ok {
					l.flight = append(l.flight, l.record(session.Interim, a, s))
				}
			}
			for len(l.flight) > 0 {
				l.deliver(0)
			}
			l.follow()
			for a := range l.held {
				if got := l.sees(a); got != l.want(a) {
					t.Errorf("%s has the view %s in the end, %s chose %s", a, got, l.held[a].who, l.want(a))
				}
			}
			l.clock.Jump(l.clock.Now().Add(2 * time.Hour))
			for _, a := range addresses {
				if got := l.sees(a); got != "default" {
					t.Errorf("%s has the view %s under a clock that jumped", a, got)
				}
			}
		})
	}
}
