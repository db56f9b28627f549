//go:build peers

package peers

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"

	"github.com/miekg/dns"
)

// table publishes as the desk does, without its store: rules in force, and what lets
// a withdrawn name pass until every resolver is without its block.
type table struct {
	t      *testing.T
	at     netip.AddrPort
	cfg    rpz.Config
	canary bolwerk.Domain
	random *rand.Rand
	knot   *Resolver

	primary *rpz.Primary
	zones   *zones.Zones
	stop    func()
	serial  int64
	rules   map[string]edge.Rule
	undone  map[string]edge.Rule
	n       int
}

// fresh makes a primary that knows the rules and nothing of before.
func (w *table) fresh(cfg rpz.Config) (*rpz.Primary, *zones.Zones) {
	w.t.Helper()
	p, err := rpz.New(cfg, clock.New(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	z := zones.New(p, []netip.Addr{warn4}, clock.New())
	for _, m := range []map[string]edge.Rule{w.rules, w.undone} {
		for id, r := range m {
			z.Hold(id, r)
		}
	}
	if err := z.Load(rpz.State{Serial: uint32(w.serial), Epoch: 1}, [2][]rpz.Change{}, nil); err != nil {
		w.t.Fatal(err)
	}
	return p, z
}

// begin serves the rules anew.
func (w *table) begin() {
	w.t.Helper()
	w.serial++
	w.primary, w.zones = w.fresh(w.cfg)
	udp, err := net.ListenPacket("udp", w.at.String())
	if err != nil {
		w.t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", w.at.String())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.primary.Run(ctx, udp, tcp) }()
	w.stop = func() { cancel(); <-done }
}

func (w *table) publish(entries ...copy.Entry) {
	w.t.Helper()
	w.serial++
	if err := w.zones.Step(copy.Batch{Epoch: 1, Serial: w.serial, Entries: entries}); err != nil {
		w.t.Fatal(err)
	}
}

// one does one thing at random.
func (w *table) one(names []bolwerk.Domain) {
	w.t.Helper()
	pick := func(n int) int { return w.random.IntN(n) }
	ids := func() []string {
		out := []string{}
		for id := range w.rules {
			out = append(out, id)
		}
		slices.Sort(out)
		return out
	}
	gone := func(id string) copy.Entry { return copy.Entry{ID: id, Version: 2, Removed: true} }
	switch what := pick(10); {
	case what < 5 || len(w.rules) == 0: // a block, an order, an exemption
		w.n++
		r := edge.Rule{Block: fmt.Sprintf("B-%06d", w.n), Name: names[pick(len(names))], Since: time.Now(), Pass: pick(6) == 0,
			Scope:  []bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree}[pick(2)],
			Action: []edge.Action{edge.Redirect, edge.Redirect, edge.NXDomain}[pick(3)],
			Ground: []edge.Ground{edge.OwnPolicy, edge.ByOrder}[pick(2)]}
		entries := []copy.Entry{r.Entry(r.Block, 1)}
		for id, u := range w.undone {
			if !r.Pass && (u.Covers(r.Name) || r.Covers(u.Name)) {
				entries = append(entries, gone(id))
				delete(w.undone, id)
			}
		}
		w.rules[r.Block] = r
		w.publish(entries...)
	default: // a withdrawal, or an end
		all := ids()
		id := all[pick(len(all))]
		r := w.rules[id]
		delete(w.rules, id)
		entries := []copy.Entry{gone(id)}
		others := r.Pass
		for _, o := range w.rules {
			others = others || !o.Pass && o.Covers(r.Name)
		}
		if !others {
			r.Pass, r.FeedOnly = true, true
			w.undone["undo:"+id] = r
			entries = append(entries, r.Entry("undo:"+id, 1))
		}
		w.publish(entries...)
	}
}

// settle merges the cold zone, waits until each resolver answers by all of it, and
// then ends what let withdrawn names pass.
func (w *table) settle(resolvers []*Resolver) {
	w.t.Helper()
	if err := w.zones.Merge(true); err != nil {
		w.publish() // nothing had changed since the last merge: a beat
	}
	w.wait(resolvers)
	if len(w.undone) > 0 {
		var entries []copy.Entry
		for id := range w.undone {
			entries = append(entries, copy.Entry{ID: id, Version: 2, Removed: true})
		}
		clear(w.undone)
		w.publish(entries...)
		w.wait(resolvers)
	}
}

func (w *table) wait(resolvers []*Resolver) {
	w.t.Helper()
	for _, r := range resolvers {
		for _, zone := range []bolwerk.Domain{zones.Pass, zones.Hot, zones.Block} {
			at, _, _ := w.primary.At(zone)
			canary, err := zones.CanaryOf(zone, w.canary)
			if err != nil {
				w.t.Fatal(err)
			}
			soon(w.t, w.t.Context(), time.Minute, fmt.Sprintf("%s has %s at %d", r.Kind, zone, at.Serial), func() error {
				s, err := rpz.Canary(w.t.Context(), r.Addr, canary)
				if err == nil && s != at {
					err = fmt.Errorf("it shows %+v", s)
				}
				if err != nil {
					r.Flush(w.t, canary.String())
				}
				return err
			})
		}
	}
}

// held is what a server holds of a zone: its policy records, sorted, and its serial.
func (w *table) held(at string, zone bolwerk.Domain) (records []string, serial uint32, err error) {
	came, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(zone.String()+"."), at)
	if err != nil {
		return nil, 0, err
	}
	for e := range came {
		if e.Error != nil {
			err = e.Error
		}
		for _, r := range e.RR {
			switch r := r.(type) {
			case *dns.SOA:
				serial = r.Serial
			case *dns.A, *dns.AAAA, *dns.CNAME:
				records = append(records, r.String())
			}
		}
	}
	slices.Sort(records)
	return records, serial, err
}

// same compares what Knot took by thousands of small transfers with what a primary
// says that knows only the table as it is now. The hot zone tells history and is
// left out.
func (w *table) same() {
	w.t.Helper()
	cfg := w.cfg
	cfg.Secondaries = []rpz.Secondary{{Name: "this test", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
	p, _ := w.fresh(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, nil, l) }()
	defer func() { cancel(); <-done }()
	for _, zone := range []bolwerk.Domain{zones.Pass, zones.Block} {
		at, _, _ := w.primary.At(zone)
		var got []string
		soon(w.t, w.t.Context(), time.Minute, fmt.Sprintf("knot has %s at %d", zone, at.Serial), func() error {
			var serial uint32
			var err error
			if got, serial, err = w.held(w.knot.Addr.String(), zone); err == nil && serial != at.Serial {
				err = fmt.Errorf("it has %d", serial)
			}
			return err
		})
		want, _, err := w.held(l.Addr().String(), zone)
		if err != nil {
			w.t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			w.t.Fatalf("%s at serial %d: Knot has %q, the table says %q", zone, at.Serial, got, want)
		}
	}
}

// want is what the table says of a name.
func (w *table) want(q bolwerk.Domain) (blocked bool) {
	for _, r := range w.rules {
		if r.Covers(q) {
			if r.Pass {
				return false
			}
			blocked = true
		}
	}
	return blocked
}

// What resolvers block is what stands in the table, after thousands of blocks,
// exemptions, ends, restarts of the primary and of resolvers. BOLWERK_TABLE says how
// many changes; the seed is in the log.
func TestZoneEqualsTable(t *testing.T) {
	changes, check := 500, 50
	if s := os.Getenv("BOLWERK_TABLE"); s != "" {
		var err error
		if changes, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		check = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &table{t: t, at: FreePort(t), canary: bolwerk.MustDomain("serial.zz-canary"), random: rand.New(rand.NewPCG(seed, 1)),
		rules: map[string]edge.Rule{}, undone: map[string]edge.Rule{}, serial: 100}
	w.cfg = rpz.DefaultConfig()
	for i := range w.cfg.Zones {
		own, err := zones.CanaryOf(w.cfg.Zones[i].Name, w.canary)
		if err != nil {
			t.Fatal(err)
		}
		w.cfg.Zones[i].Canary = own
	}
	upstream := Upstream(t)
	start := []func(testing.TB, Setup) *Resolver{Bind, PowerDNS, Unbound}
	setups := make([]Setup, len(start)+1) // Knot is the last: it answers by no policy
	for i, name := range []string{"bind", "pdns", "unbound", "knot"} {
		s := Setup{Primary: w.at, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: FreePort(t)}
		sec := rpz.Secondary{Name: name}
		if name != "unbound" {
			s.KeyName, s.KeyAlgorithm, s.KeyFile = name+".example", "hmac-sha256", keyFile(t, name, "only a key for this test, 32 octets and more: "+name)
			key, err := rpz.ReadKey(s.KeyName, s.KeyAlgorithm, s.KeyFile)
			if err != nil {
				t.Fatal(err)
			}
			w.cfg.Keys, sec.Key = append(w.cfg.Keys, key), s.KeyName
		} else {
			sec.From = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		}
		if name != "pdns" {
			sec.Notify = s.Listen
		}
		setups[i] = s
		w.cfg.Secondaries = append(w.cfg.Secondaries, sec)
	}
	var names []bolwerk.Domain
	for _, n := range []string{"a.example", "x.a.example", "y.x.a.example", "b.example", "x.b.example", "c.example"} {
		for i := range 5 {
			names = append(names, bolwerk.MustDomain(fmt.Sprintf("%s%d.example", n[:len(n)-len(".example")], i)))
		}
	}
	w.begin()
	defer func() { w.stop() }()
	resolvers := make([]*Resolver, len(start))
	for i := range start {
		resolvers[i] = start[i](t, setups[i])
	}
	w.knot = Knot(t, setups[len(start)])
	restarts, asked := 0, 0
	for done := 0; done < changes; {
		for range check {
			w.one(names)
			done++
		}
		switch w.random.IntN(7) {
		case 2:
			w.knot.Stop()
			setups[len(start)].Dir = w.knot.Dir
			w.knot = Knot(t, setups[len(start)])
			restarts++
		case 0:
			w.stop()
			w.begin()
			restarts++
		case 1:
			i := w.random.IntN(len(resolvers))
			resolvers[i].Stop()
			setups[i].Dir = resolvers[i].Dir
			resolvers[i] = start[i](t, setups[i])
			restarts++
		}
		w.settle(resolvers)
		w.same()
		for _, r := range resolvers {
			r.Flush(t, "example")
			for _, n := range names {
				for _, q := range []string{n.String(), fmt.Sprintf("n%d.%s", asked, n)} {
					asked++
					got, err := rpz.Ask(t.Context(), r.Addr, bolwerk.MustDomain(q), "A")
					if err != nil {
						t.Fatal(err)
					}
					blocked := got.Rcode == dns.RcodeToString[dns.RcodeNameError] || slices.Contains(got.Addresses, warn4)
					if want := w.want(bolwerk.MustDomain(q)); blocked != want {
						t.Fatalf("after %d changes, at serial %d: %s at %s is blocked %v, want %v: %+v\nrules %+v", done, w.serial, q, r.Kind, blocked, want, got, w.rules)
					}
				}
			}
		}
	}
	t.Logf("%d changes, %d restarts, %d questions: every answer is what the table says", changes, restarts, asked)
}
