package who_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	. "bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

type house struct {
	*Who
	db    *store.DB
	clock *clock.Fake
}

func open(t *testing.T, change ...func(*Config)) house {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, audit.Schema(), Schema())
	v, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	return house{New(cfg, db, v, c, slog.New(slog.DiscardHandler), nil), db, c}
}

func (h house) take(t *testing.T, records ...session.Record) {
	t.Helper()
	for part := range slices.Chunk(records, 100) {
		if err := h.Take(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
}

func (h house) ask(t *testing.T, addr string, port uint16, at time.Time) session.Answer {
	t.Helper()
	a, err := h.Resolve(t.Context(), session.Question{Addr: netip.MustParseAddr(addr), Port: port, At: at, Skew: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h house) count(t *testing.T, q string) (n int) {
	t.Helper()
	if err := h.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(q).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func rec(k session.Kind, who, id string, at time.Time, lasted time.Duration, nets ...string) session.Record {
	r := session.Record{Kind: k, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: who, Line: "line of " + who}, At: at, Lasted: lasted}
	for _, n := range nets {
		r.Prefixes = append(r.Prefixes, netip.MustParsePrefix(n))
	}
	return r
}

func one(t *testing.T, a session.Answer, who string) {
	t.Helper()
	if c, ok := a.Act(); !ok || c.Subscriber != who {
		t.Errorf("acts on %q (%v), want %q: %+v", c.Subscriber, ok, who, a)
	}
}

func none(t *testing.T, a session.Answer, why session.Reason) {
	t.Helper()
	if c, ok := a.Act(); ok || !slices.Contains(a.Why, why) {
		t.Errorf("acts on %q (%v) because of %v, want nobody because of %s", c.Subscriber, ok, a.Why, why)
	}
}

// The store finds what a look at every row finds.
func TestTheStoreAnswersAsALookAtEveryRow(t *testing.T) {
	h := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	nets := []string{"198.51.100.1/32", "198.51.100.2/32", "198.51.100.0/24", "2001:db8:1:100::/56", "2001:db8:1:100::/64", "2001:db8:1:100::1/128", "100.64.0.1/32", "100.64.0.2/32"}
	known := map[string][]session.Held{}
	var all []session.Record
	for i := range 600 {
		id := fmt.Sprint("s", r.IntN(120))
		lasted := time.Duration(r.IntN(90)) * time.Minute
		at := noon.Add(-time.Duration(r.IntN(72*60)) * time.Minute)
		if r.IntN(4) == 0 {
			lasted = -1
		}
		rec := rec([]session.Kind{session.Start, session.Interim, session.Stop}[r.IntN(3)], fmt.Sprint("c", r.IntN(9)), id, at, lasted, nets[r.IntN(len(nets))])
		if rec.Kind == session.Start {
			rec.Lasted = 0
		}
		switch {
		case i%7 == 0:
			first := uint16(1024 + 512*r.IntN(4))
			rec.Source, rec.Prefixes, rec.Ports = session.NAT, []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")}, session.Ports{First: first, Last: first + 511}
			rec.Inside, rec.Identity, rec.Session = netip.MustParseAddr(fmt.Sprint("100.64.0.", 1+r.IntN(2))), session.Identity{}, rec.Session+"n"
		case i%11 == 0:
			rec.Source, rec.Kind, rec.Session = session.Table, session.Start, fmt.Sprint("t", i)
		}
		all = append(all, rec)
	}
	for _, rec := range all {
		key := string(rec.Source) + rec.Session
		for _, w := range session.Apply(known[key], rec) {
			if w.Was != nil {
				known[key] = slices.DeleteFunc(known[key], func(h session.Held) bool { return h == *w.Was })
			}
			known[key] = append(known[key], w.Now)
		}
		h.take(t, rec)
	}
	var asked []session.Question
	var answered []session.Answer
	defer func() { // many at once are answered as each is
		for part := range slices.Chunk(asked, 97) {
			many, err := h.FindMany(t.Context(), part)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range many {
				want := answered[0]
				answered = answered[1:]
				g, gOK := got.Act()
				w, wOK := want.Act()
				if !reflect.DeepEqual(brief(got), brief(want)) || gOK != wOK || g.Who() != w.Who() {
					t.Fatalf("question %+v among many\n got %v\nwant %v", part[i], got, want)
				}
			}
		}
	}()
	for i := range 600 {
		q := session.Question{At: noon.Add(-time.Duration(r.IntN(80*60)) * time.Minute), Skew: time.Duration(1+r.IntN(30)) * time.Minute}
		q.Addr = netip.MustParseAddr([]string{"198.51.100.1", "198.51.100.2", "198.51.100.99", "2001:db8:1:100::1", "2001:db8:1:101::1", "203.0.113.1"}[r.IntN(6)])
		if r.IntN(2) == 0 {
			q.Port = uint16(1000 + r.IntN(2600))
		}
		got, err := h.Resolve(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		asked, answered = append(asked, q), append(answered, got)
		want := session.Resolve(q, session.Policy{}, func(a netip.Addr) (out []session.Held) {
			for _, rows := range known {
				for _, h := range rows {
					if h.Prefix.Contains(a) {
						out = append(out, h)
					}
				}
			}
			return out
		})
		g, w := brief(got), brief(want)
		if q.Port == 0 && slices.Contains(got.Why, session.NeedsPort) {
			if _, ok := got.Act(); ok { // who is thought to share it may be more than needed
				t.Fatalf("question %d %+v: acts without a port", i, q)
			}
			for k := range w {
				if _, ok := g[k]; !ok {
					t.Fatalf("question %d %+v: misses %s", i, q, k)
				}
			}
			continue
		}
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("question %d %+v\n got %v\nwant %v", i, q, g, w)
		}
	}
}

func brief(a session.Answer) map[string]session.Level {
	out := map[string]session.Level{}
	for _, c := range a.Candidates {
		out[c.Who()+"|"+c.Line] = c.Level
	}
	return out
}

func TestAnAccessServerThatBeganAnewEndsItsSessions(t *testing.T) {
	h := open(t)
	ago := func(m int) time.Time { return noon.Add(-time.Duration(m) * time.Minute) }
	h.take(t, rec(session.Start, "anna", "1", ago(300), 0, "198.51.100.1/32"),
		session.Record{Kind: session.On, Source: session.Radius, NAS: "bng1", At: ago(100), Lasted: -1})
	for _, when := range []string{"at once", "when it is written"} {
		t.Run(when, func(t *testing.T) {
			none(t, h.ask(t, "198.51.100.1", 0, ago(50)), session.Nobody)
			if a := h.ask(t, "198.51.100.1", 0, ago(200)); len(a.Candidates) != 1 || a.Candidates[0].Level != session.Possible {
				t.Errorf("before: %+v", a)
			}
			one(t, h.ask(t, "198.51.100.1", 0, ago(300)), "anna")
		})
		if err := EndRestarted(h.Who, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.count(t, `select count(*) from abuse_held where ended='restart'`); n != 1 {
		t.Errorf("%d rows ended, want 1", n)
	}
}

func TestASessionNameThatIsUsedAgainIsAGap(t *testing.T) {
	h := open(t)
	h.take(t, rec(session.Start, "anna", "0001", noon.Add(-5*time.Hour), 0, "198.51.100.1/32"), rec(session.Start, "bram", "0001", noon.Add(-time.Hour), 0, "198.51.100.2/32"))
	none(t, h.ask(t, "198.51.100.1", 0, noon.Add(-10*time.Minute)), session.Nobody)
	one(t, h.ask(t, "198.51.100.2", 0, noon.Add(-10*time.Minute)), "bram")
	if n := h.count(t, `select count(*) from abuse_gap where why='restart'`); n != 1 {
		t.Errorf("%d gaps, want 1", n)
	}
}

func TestAnAccessServerThatIsSilentIsAGap(t *testing.T) {
	h := open(t, func(c *Config) { c.Interim = bolwerk.Duration(10 * time.Minute) })
	h.take(t, rec(session.Start, "anna", "1", noon.Add(-5*time.Hour), 0, "198.51.100.1/32"))
	h.take(t, rec(session.Interim, "anna", "1", noon.Add(-4*time.Hour), time.Hour, "198.51.100.1/32"), rec(session.Interim, "anna", "1", noon.Add(-230*time.Minute), 70*time.Minute, "198.51.100.1/32"))
	g, err := h.Gaps(t.Context(), 10)
	if err != nil || len(g) != 1 || g[0].Why != "silent" || g[0].To.Sub(g[0].From) != time.Hour {
		t.Errorf("gaps %+v (%v), want one of an hour", g, err)
	}
}

func TestDaysAreForgottenAndWhatACasePinnedIsKept(t *testing.T) {
	h := open(t)
	h.take(t, rec(session.Start, "anna", "1", noon.Add(-3*time.Hour), 0, "198.51.100.1/32"), rec(session.Stop, "anna", "1", noon.Add(-time.Hour), 2*time.Hour, "198.51.100.1/32"),
		rec(session.Start, "bram", "2", noon.Add(-3*time.Hour), 0, "198.51.100.2/32"),
		rec(session.Start, "chris", "3", noon.Add(-3*time.Hour), 0, "198.51.100.3/32"))
	a := h.ask(t, "198.51.100.1", 0, noon.Add(-2*time.Hour))
	one(t, a, "anna")
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { return h.Pin(tx, "case-1", a) }); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(7*24*time.Hour - 2*time.Hour)
	h.take(t, rec(session.Start, "dora", "4", noon.Add(time.Hour), 0, "198.51.100.3/32"))
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	one(t, h.ask(t, "198.51.100.1", 0, noon.Add(-2*time.Hour)), "anna")
	h.clock.Add(90 * time.Minute) // seven days after the end of anna's session
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	a = h.ask(t, "198.51.100.1", 0, noon.Add(-2*time.Hour))
	none(t, a, session.Forgotten)
	if len(a.Candidates) != 0 {
		t.Errorf("still known: %+v", a.Candidates)
	}
	one(t, h.ask(t, "198.51.100.2", 0, h.clock.Now()), "bram") // it goes on
	kept, err := h.Pinned(t.Context(), "case-1")
	if err != nil || len(kept) != 1 {
		t.Fatalf("pinned %+v (%v)", kept, err)
	}
	one(t, kept[0], "anna")
	// Whose key is of a month that is over stays readable while the session goes on.
	h.clock.Add(40 * 24 * time.Hour)
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	one(t, h.ask(t, "198.51.100.2", 0, h.clock.Now()), "bram")
	if kept, err = h.Pinned(t.Context(), "case-1"); err != nil || len(kept) != 1 {
		t.Errorf("pinned later %+v (%v)", kept, err)
	}
	if n := h.count(t, `select count(*) from abuse_held where session='3'`); n != 0 {
		t.Errorf("a session without a Stop is kept though somebody else has its address")
	}
}

func TestWhatIsOlderThanIsKeptIsNotTakenAgain(t *testing.T) {
	h := open(t)
	h.take(t, rec(session.Start, "anna", "1", noon.AddDate(0, 0, -8), 0, "198.51.100.1/32"), rec(session.Start, "bram", "2", noon.AddDate(0, 0, 8), 0, "198.51.100.2/32"))
	if n := h.count(t, `select count(*) from abuse_held`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestALookUpOfAPersonIsNoted(t *testing.T) {
	h := open(t)
	h.take(t, rec(session.Start, "anna", "1", noon.Add(-3*time.Hour), 0, "198.51.100.1/32"))
	q := session.Question{Addr: netip.MustParseAddr("198.51.100.1"), At: noon.Add(-time.Hour)}
	who := bolwerk.Person("p1")
	if _, err := h.Ask(t.Context(), Look{Question: q, By: who}); err == nil {
		t.Error("answered without a reason")
	}
	a, err := h.Ask(t.Context(), Look{Question: q, By: who, Reason: "report 7", Case: "case-1"})
	if err != nil {
		t.Fatal(err)
	}
	one(t, a, "anna")
	for _, about := range []string{"", "anna"} {
		looks, err := h.Looks(t.Context(), about, 10)
		if err != nil || len(looks) != 1 || looks[0].By != who || looks[0].Reason != "report 7" || looks[0].Case != "case-1" || looks[0].Found != 1 || looks[0].Addr != q.Addr {
			t.Errorf("looks about %q: %+v (%v)", about, looks, err)
		}
	}
	if looks, err := h.Looks(t.Context(), "bram", 10); err != nil || len(looks) != 0 {
		t.Errorf("looks about somebody else: %+v (%v)", looks, err)
	}
	if n := h.count(t, `select count(*) from audit where action='abuse.who.ask' and detail not like '%198.51%' and object not like '%198.51%'`); n != 1 {
		t.Errorf("%d entries of the audit trail without the address, want 1", n)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"as it is", func(*Config) {}, true},
		{"longer without a law", func(c *Config) { c.Days = 30 }, false},
		{"longer with one", func(c *Config) { c.Days, c.Legal = 365, "Belgian law of 13 June 2005, art. 126" }, true},
		{"none", func(c *Config) { c.Days = 0 }, false},
		{"no reference", func(c *Config) { c.Legal = " " }, false},
		{"a window of a day", func(c *Config) { c.Skew = bolwerk.Duration(24 * time.Hour) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			if err := cfg.Validate(); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestManyQuestionsAreBounded(t *testing.T) {
	h := open(t)
	q := session.Question{Addr: netip.MustParseAddr("198.51.100.1"), At: noon}
	if got, err := h.FindMany(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no questions: %v, %v", got, err)
	}
	if _, err := h.FindMany(t.Context(), slices.Repeat([]session.Question{q}, MaxQuestions+1)); err == nil {
		t.Error("too many questions were answered")
	}
	if _, err := h.FindMany(t.Context(), []session.Question{q, {At: noon}}); err == nil {
		t.Error("a question without an address was answered")
	}
	if got, err := h.FindMany(t.Context(), []session.Question{q, q}); err != nil || len(got) != 2 || !slices.Contains(got[1].Why, session.Nobody) {
		t.Errorf("%v, %v: want nobody, twice", got, err)
	}
}

// A fixed line holds though it is older than anything that is kept, until it ends.
func TestAFixedLineHoldsFromBeforeWhatIsKept(t *testing.T) {
	h := open(t)
	r := rec(session.Start, "school", "t1", noon.AddDate(-20, 0, 0), 0, "203.0.113.0/29")
	r.Source, r.NAS = session.Table, "table"
	gone := rec(session.Start, "shop", "t2", noon.AddDate(-20, 0, 0), 0, "203.0.113.8/29")
	gone.Source, gone.NAS, gone.Until = session.Table, "table", noon.AddDate(0, 0, -2)
	h.take(t, r, gone)
	one(t, h.ask(t, "203.0.113.3", 0, noon), "school")
	none(t, h.ask(t, "203.0.113.9", 0, noon), session.Nobody)
	one(t, h.ask(t, "203.0.113.9", 0, noon.AddDate(0, 0, -3)), "shop")
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	one(t, h.ask(t, "203.0.113.3", 0, noon), "school")
	r.Until = noon.AddDate(0, 0, -30) // the table is read again: it has ended
	h.take(t, r)
	none(t, h.ask(t, "203.0.113.3", 0, noon), session.Nobody)
}

// A translator that calculates leads to who had the inside address.
func TestACalculatedBlockLeadsToItsLine(t *testing.T) {
	rule := session.NATRule{Name: "cgn1", InsideFirst: netip.MustParseAddr("100.64.0.1"), InsideLast: netip.MustParseAddr("100.64.0.14"),
		OutsideFirst: netip.MustParseAddr("192.0.2.1"), OutsideLast: netip.MustParseAddr("192.0.2.1"), Reserved: 1024, Dynamic: 2}
	h := open(t, func(c *Config) { c.NATRules = []session.NATRule{rule} })
	h.take(t, rec(session.Start, "anna", "1", noon.Add(-time.Hour), 0, "100.64.0.1/32"), rec(session.Start, "bert", "2", noon.Add(-time.Hour), 0, "100.64.0.2/32"))
	h.take(t, rec(session.Interim, "anna", "1", noon.Add(time.Hour), 2*time.Hour), rec(session.Interim, "bert", "2", noon.Add(time.Hour), 2*time.Hour))
	one(t, h.ask(t, "192.0.2.1", 1024, noon), "anna")
	one(t, h.ask(t, "192.0.2.1", 5056, noon), "bert")
	none(t, h.ask(t, "192.0.2.1", 57472, noon), session.Nobody)
	none(t, h.ask(t, "192.0.2.1", 0, noon), session.NeedsPort)
	many, err := h.FindMany(t.Context(), []session.Question{{Addr: netip.MustParseAddr("192.0.2.1"), Port: 1024, At: noon}, {Addr: netip.MustParseAddr("192.0.2.1"), Port: 5056, At: noon}})
	if err != nil {
		t.Fatal(err)
	}
	one(t, many[0], "anna")
	one(t, many[1], "bert")
}
