//go:build peers

package peers

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/rpz"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	pZone   = bolwerk.MustDomain("p.rpz")
	bZone   = bolwerk.MustDomain("b.rpz")
	pCanary = bolwerk.MustDomain("p.zz-canary.example")
	bCanary = bolwerk.MustDomain("b.zz-canary.example")
	warn4   = netip.MustParseAddr("192.0.2.1")
	warn6   = netip.MustParseAddr("2001:db8::1")
	real4   = netip.MustParseAddr("203.0.113.7")
)

// world is a primary with two zones and one real resolver behind it.
type world struct {
	t        *testing.T // of the step
	whole    *testing.T
	cfg      rpz.Config
	at       netip.AddrPort
	resolver *Resolver
	registry *prometheus.Registry
	logged   *record

	p       *rpz.Primary
	stop    func()
	serial  map[bolwerk.Domain]uint32
	records map[bolwerk.Domain][]rpz.Record
	journal map[bolwerk.Domain][]rpz.Change
}

func block(name string, data ...rpz.Data) (out []rpz.Record) {
	d := bolwerk.MustDomain(name)
	for _, below := range []bool{false, true} {
		for _, what := range data {
			out = append(out, rpz.Record{Name: d, Below: below, Data: what})
		}
	}
	return out
}

func blocked(name string) []rpz.Record { return block(name, rpz.Address(warn4), rpz.Address(warn6)) }

// serve starts a primary on the world's address with what the world has.
func (w *world) serve(withJournal bool) {
	w.t.Helper()
	w.registry, w.logged = prometheus.NewRegistry(), &record{}
	log := slog.New(slog.NewTextHandler(w.logged, nil))
	p, err := rpz.New(w.cfg, clock.New(), log, w.registry)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, z := range []bolwerk.Domain{pZone, bZone} {
		var journal []rpz.Change
		if withJournal {
			journal = w.journal[z]
		}
		all := func(yield func(rpz.Record, error) bool) {
			for _, r := range w.records[z] {
				if !yield(r, nil) {
					return
				}
			}
		}
		if err := p.Load(z, rpz.State{Serial: w.serial[z], Epoch: 1}, all, journal); err != nil {
			w.t.Fatal(err)
		}
	}
	tcp, err := net.Listen("tcp", w.at.String())
	if err != nil {
		w.t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", w.at.String())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, udp, tcp) }()
	var once sync.Once
	w.p, w.stop = p, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.whole.Errorf("primary: %v", err)
			}
		})
	}
	w.whole.Cleanup(w.stop)
}

// change takes records out and in, here and, with a running primary, there.
func (w *world) change(zone bolwerk.Domain, del, add []rpz.Record, commit bool) {
	w.t.Helper()
	w.serial[zone]++
	c := rpz.Change{Serial: w.serial[zone], Epoch: 1, Del: del, Add: add}
	w.records[zone] = slices.DeleteFunc(w.records[zone], func(r rpz.Record) bool { return slices.Contains(del, r) })
	w.records[zone] = append(w.records[zone], add...)
	w.journal[zone] = append(w.journal[zone], c)
	if commit {
		if err := w.p.Commit(zone, c); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) ask(name, qtype string) rpz.Answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := rpz.Ask(ctx, w.resolver.Addr, bolwerk.MustDomain(name), qtype)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) says(name string, want netip.Addr) bool {
	a := w.ask(name, "A")
	return len(a.Addresses) == 1 && a.Addresses[0] == want
}

// until waits for ok and returns how long it took.
func (w *world) until(what string, limit time.Duration, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for {
		if ok() {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			w.t.Fatalf("%s: not within %v; secondaries %+v\nprimary wrote:\n%s", what, limit, w.p.Secondaries(), tail(w.logged.String(), 4000))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// current waits until the resolver shows both canaries as they stand.
func (w *world) current(limit time.Duration) time.Duration {
	w.t.Helper()
	return w.until("canaries", limit, func() bool {
		for zone, canary := range map[bolwerk.Domain]bolwerk.Domain{pZone: pCanary, bZone: bCanary} {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			s, err := rpz.Canary(ctx, w.resolver.Addr, canary)
			cancel()
			if err != nil || s != (rpz.State{Serial: w.serial[zone], Epoch: 1}) {
				return false
			}
		}
		return true
	})
}

var fresh int

// below is a name below another one that nobody has asked for yet.
func below(name string) string { fresh++; return fmt.Sprintf("n%d.%s", fresh, name) }

func figures(t *testing.T, what string, took []time.Duration) {
	slices.Sort(took)
	t.Logf("%s: min %.0f, median %.0f, max %.0f ms (n=%d)", what, ms(took[0]), ms(took[len(took)/2]), ms(took[len(took)-1]), len(took))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func keyFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString([]byte(text))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newWorld(t *testing.T, startPeer func(testing.TB, Setup) *Resolver, signed, notify bool, names int) (*world, Setup) {
	w := &world{t: t, whole: t, at: FreePort(t),
		serial:  map[bolwerk.Domain]uint32{pZone: 100, bZone: 5000},
		records: map[bolwerk.Domain][]rpz.Record{pZone: block("own.example", rpz.Pass), bZone: blocked("known.example")},
		journal: map[bolwerk.Domain][]rpz.Change{},
	}
	for i := range names {
		w.records[bZone] = append(w.records[bZone], blocked(fmt.Sprintf("filler%d.example", i))...)
	}
	for _, z := range []bolwerk.Domain{pZone, bZone} {
		w.journal[z] = []rpz.Change{{Serial: w.serial[z], Epoch: 1}}
	}
	s := Setup{Primary: w.at, Zones: []string{"p.rpz", "b.rpz"}, Upstream: Upstream(t), Listen: FreePort(t)}
	w.cfg = rpz.DefaultConfig()
	w.cfg.Zones[0].Canary, w.cfg.Zones[2].Canary = pCanary, bCanary
	sec := rpz.Secondary{Name: "peer"}
	if signed {
		s.KeyName, s.KeyAlgorithm, s.KeyFile = "transfer.example", "hmac-sha256", keyFile(t, "key", "only a key for this test, 32 octets and more")
		key, err := rpz.ReadKey(s.KeyName, s.KeyAlgorithm, s.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		w.cfg.Keys, sec.Key = []rpz.Key{key}, s.KeyName
	} else {
		sec.From = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}
	if notify {
		sec.Notify = s.Listen
	}
	w.cfg.Secondaries = []rpz.Secondary{sec}
	w.serve(true)
	w.resolver = startPeer(t, s)
	return w, s
}

func TestBind(t *testing.T)     { promises(t, Bind, true, true) }
func TestUnbound(t *testing.T)  { promises(t, Unbound, false, true) }
func TestPowerDNS(t *testing.T) { promises(t, PowerDNS, true, false) }

// promises are what we hold with every resolver.
func promises(t *testing.T, startPeer func(testing.TB, Setup) *Resolver, signed, notify bool) {
	w, setup := newWorld(t, startPeer, signed, notify, 2000)
	step := func(name string, f func(t *testing.T)) {
		if t.Failed() {
			return
		}
		t.Run(name, func(t *testing.T) { outer := w.t; w.t = t; defer func() { w.t = outer }(); f(t) })
	}
	const soon = 10 * time.Second

	step("the first transfer brings both zones, and the canaries prove it", func(t *testing.T) {
		t.Logf("canaries after the resolver's start: %.0f ms", ms(w.current(30*time.Second)))
		for _, name := range []string{"known.example", below("known.example"), "filler1999.example"} {
			if !w.says(name, warn4) {
				t.Errorf("%s: got %+v", name, w.ask(name, "A"))
			}
		}
		if !w.says("free.example", real4) {
			t.Errorf("free.example: got %+v", w.ask("free.example", "A"))
		}
	})

	step("a commit blocks the name and all below within seconds", func(t *testing.T) {
		var took []time.Duration
		for i := range 8 {
			name := fmt.Sprintf("evil%d.example", i)
			before := "asked." + name
			if !w.says(before, real4) {
				t.Fatalf("%s is blocked before", before)
			}
			w.change(bZone, nil, blocked(name), true)
			took = append(took, w.until("block of "+name, soon, func() bool { return w.says(below(name), warn4) }))
			if !w.says(name, warn4) {
				t.Errorf("%s: got %+v", name, w.ask(name, "A"))
			}
			if a := w.ask(below(name), "AAAA"); len(a.Addresses) != 1 || a.Addresses[0] != warn6 {
				t.Errorf("AAAA below %s: got %+v", name, a)
			}
			if a := w.ask(below(name), "TXT"); a.Rcode != "NOERROR" || len(a.Text) != 0 {
				t.Errorf("TXT below %s: got %+v, want NODATA", name, a)
			}
			w.until("name that was asked before", soon, func() bool { return w.says(before, warn4) })
			// Past the second in which changes are told together, and at any moment
			// of a poller's second.
			time.Sleep(time.Second + time.Duration(125*i)*time.Millisecond)
		}
		figures(t, w.resolver.Kind+": commit to blocked", took)
		w.current(soon)
		if notify {
			for _, d := range w.p.Secondaries() {
				if d.Zone == bZone && (d.Acked == 0 || d.Kind != "ixfr" || d.Lag != 0 || d.Holds != w.serial[bZone]) {
					t.Errorf("status: got %+v", d)
				}
			}
		}
	})

	step("a withdrawal passes by the first zone at once, then leaves the second", func(t *testing.T) {
		var took []time.Duration
		for i := range 5 {
			name := fmt.Sprintf("evil%d.example", i)
			pass := block(name, rpz.Pass)
			w.change(pZone, nil, pass, true)
			took = append(took, w.until("exemption of "+name, soon, func() bool { return w.says(below(name), real4) }))
			w.change(bZone, blocked(name), nil, true)
			w.current(soon)
			w.change(pZone, pass, nil, true)
			w.current(soon)
			for range 3 {
				if !w.says(below(name), real4) {
					t.Errorf("%s is blocked again", name)
				}
			}
			w.resolver.Flush(t, name)
			if !w.says(name, real4) {
				t.Errorf("%s: got %+v", name, w.ask(name, "A"))
			}
			time.Sleep(time.Second + time.Duration(200*i)*time.Millisecond)
		}
		figures(t, w.resolver.Kind+": withdrawal to answered", took)
	})

	step("NXDOMAIN, NODATA and passthru do what they say", func(t *testing.T) {
		w.change(bZone, nil, slices.Concat(block("gone.example", rpz.NXDomain), block("empty.example", rpz.NoData), blocked("own.example")), true)
		w.current(soon)
		if a := w.ask(below("gone.example"), "A"); a.Rcode != "NXDOMAIN" {
			t.Errorf("gone.example: got %+v", a)
		}
		if a := w.ask(below("empty.example"), "A"); a.Rcode != "NOERROR" || len(a.Addresses) != 0 {
			t.Errorf("empty.example: got %+v", a)
		}
		if !w.says(below("own.example"), real4) {
			t.Errorf("own.example is exempt: got %+v", w.ask("own.example", "A"))
		}
	})

	step("a primary that comes back with its journal goes on by IXFR", func(t *testing.T) {
		w.stop()
		w.change(bZone, nil, blocked("meanwhile.example"), false)
		w.change(bZone, blocked("known.example"), nil, false)
		w.serve(true)
		t.Logf("canaries after the primary's start: %.0f ms", ms(w.current(30*time.Second)))
		if !w.says(below("meanwhile.example"), warn4) || !w.says(below("known.example"), real4) {
			t.Error("the changes made while it was away are not in force")
		}
		w.kind("ixfr")
	})

	step("a primary that comes back without its journal goes on by AXFR", func(t *testing.T) {
		w.stop()
		w.change(bZone, nil, blocked("later.example"), false)
		w.serve(false)
		t.Logf("canaries after the primary's start: %.0f ms", ms(w.current(30*time.Second)))
		if !w.says(below("later.example"), warn4) {
			t.Error("the change made while it was away is not in force")
		}
		w.kind("axfr_for_ixfr")
	})

	if signed {
		step("a wrong key gets nothing", func(t *testing.T) {
			bad := setup
			bad.Listen = netip.AddrPort{}
			bad.KeyFile = keyFile(t, "wrong", "another key than the primary's, of 32 octets")
			other := startPeer(t, bad)
			w.until("refusal", soon, func() bool { return w.refused("NOTAUTH") > 0 })
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			if s, err := rpz.Canary(ctx, other.Addr, bCanary); err == nil {
				t.Errorf("it has the zone: %+v", s)
			}
			a, err := rpz.Ask(ctx, other.Addr, bolwerk.MustDomain("later.example"), "A")
			if err != nil || len(a.Addresses) != 1 || a.Addresses[0] != real4 {
				t.Errorf("it blocks, or does not answer: %+v, %v", a, err)
			}
			other.Stop()
		})
	}

	step("while the primary is away the resolver goes on", func(t *testing.T) {
		w.stop()
		for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if name := below("later.example"); !w.says(name, warn4) {
				t.Fatalf("%s is not blocked any more: %+v", name, w.ask(name, "A"))
			}
			if name := below("free.example"); !w.says(name, real4) {
				t.Fatalf("%s: %+v", name, w.ask(name, "A"))
			}
		}
	})
}

// TestCanaryProves: from the moment the canary shows a serial, every name of
// that serial is blocked, also by BIND, which answers a known name from the zone
// that it has just got while it still enters new names into its index.
func TestCanaryProves(t *testing.T) {
	w, _ := newWorld(t, Bind, true, true, 60_000)
	w.current(60 * time.Second)
	early := 0
	for i := range 6 {
		names := []string{fmt.Sprintf("aaa%d.example", i), fmt.Sprintf("middle%d.example", i), fmt.Sprintf("yyy%d.example", i)}
		all := func() bool {
			return !slices.ContainsFunc(names, func(n string) bool { return !w.says(below(n), warn4) })
		}
		var add []rpz.Record
		for _, n := range names {
			add = append(add, blocked(n)...)
		}
		w.change(bZone, nil, add, true)
		loaded := fmt.Sprintf("epoch=1 serial=%d", w.serial[bZone])
		w.until("the zone", 10*time.Second, func() bool { return slices.Contains(w.ask(bCanary.String(), "TXT").Text, loaded) })
		if !all() {
			early++
		}
		took := w.current(30 * time.Second)
		if !all() {
			t.Errorf("serial %d: the canary shows it %v after the zone was there, and not all of %v are blocked", w.serial[bZone], took, names)
		}
		time.Sleep(time.Second)
	}
	t.Logf("bind: loaded but not yet in force in %d of 6 changes; the canary waited", early)
}

// kind checks how the blocks last went over.
func (w *world) kind(want string) {
	w.t.Helper()
	for _, d := range w.p.Secondaries() {
		if d.Zone == bZone && d.Kind != want {
			w.t.Errorf("the blocks went by %q, want %q: %+v", d.Kind, want, d)
		}
	}
}

// refused is the counter of refusals with that code.
func (w *world) refused(rcode string) float64 {
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "bolwerk_rpz_refused_total" && m.GetLabel()[0].GetValue() == rcode {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
