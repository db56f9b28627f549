// Package agent runs beside a resolver of the operator that is not ours: BIND,
// Unbound, PowerDNS Recursor or dnsdist. It follows the copy "blocks" as an edge
// does, gives it to the resolver in the form that this one takes, makes it forget
// what it has cached, and tells the desk what is proved to be in force there and
// how often blocked names were asked for.
//
//	desk -- copy --> agent -- zones over loopback, or files --> resolver
//	desk <- in force, counts -- agent <- answers, dnstap, log --- resolver
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"
)

// With is what an agent needs of the program around it.
type With struct {
	Dir     string // its own folder
	Primary zones.Primary
	Landing []netip.Addr // of the warning page
	Canary  bolwerk.Domain
	Clock   clock.Clock
	Log     *slog.Logger
	Put     func(kind string, body []byte) error // hands in to the desk, durably
}

// Agent implements copy.Sink. Reset and Apply come from one goroutine at a time.
type Agent struct {
	cfg     Config
	with    With
	ask     netip.AddrPort
	landing []netip.Addr
	hits    *hits
	feeler  *edge.Feeler
	changed chan struct{} // something may have come into force
	unknown time.Time     // when the canaries were last wiped; of prove alone

	mu      sync.Mutex
	zones   *zones.Zones
	head    copies.Head
	loaded  bool // the zones are served; else they wait for a serial that they never had
	stale   []change
	force   Force // what was last proved
	bad     int64 // entries that could not be read
	served  rpz.State
	pending time.Time // since when the resolver lacks something
}

// change is a name that the resolver may have cached, until a serial is in force.
type change struct {
	name   bolwerk.Domain
	serial uint32
}

// New makes an agent that has no rules yet.
func New(cfg Config, w With) (*Agent, error) {
	if cfg.Resolver == "" {
		return nil, bolwerk.WithHint(bolwerk.Invalid("agent.resolver: which resolver runs beside this agent?"), "bind, unbound, pdns or dnsdist")
	}
	ask, err := netip.ParseAddrPort(cfg.Ask)
	if err != nil {
		return nil, bolwerk.Invalid("agent.ask %q: want address:port", cfg.Ask)
	}
	a := &Agent{cfg: cfg, with: w, ask: ask, landing: w.Landing, changed: make(chan struct{}, 1), hits: newHits()}
	if files, ok := w.Primary.(*Files); ok {
		files.each = func(zone bolwerk.Domain) iter.Seq[rpz.Record] { return a.zones.Each(zone) }
	}
	a.zones = zones.New(w.Primary, w.Landing, w.Clock)
	a.feeler = edge.NewFeeler(ask, func(got rpz.Answer) bool { return a.ours(got, edge.Redirect) }, a.tellFelt)
	return a, nil
}

// servedName is a file that says that zones were served from this folder: what
// stands in the hot zone depends on when things came, so that after a start the
// same serial must not come back with other names in it.
const servedName = "served"

// Reset replaces all rules.
func (a *Agent) Reset(head copies.Head, seq func(yield func(copies.Entry) bool)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := zones.New(a.with.Primary, a.landing, a.with.Clock)
	bad := int64(0)
	seq(func(e copies.Entry) bool {
		if e.Removed {
			return true
		}
		r, err := edge.ParseRule(e)
		if err != nil {
			bad++
			a.with.Log.Error("a block cannot be read", "entry", e.ID, "err", err, "alarm", true)
			return true
		}
		fresh.Hold(e.ID, r)
		if t, ok := edge.ReadTurn(e); ok {
			a.feeler.Begin(t)
		}
		return true
	})
	a.zones, a.bad, a.loaded = fresh, bad, false
	at := rpz.State{Serial: uint32(head.Serial), Epoch: head.Epoch}
	first := a.head.Copy == ""
	a.head = head
	_, err := os.Stat(filepath.Join(a.with.Dir, servedName))
	switch {
	case first && err == nil, !first && !rpz.Newer(at.Serial, a.served.Serial):
		return nil // the next serial comes within a minute; the resolver has what it had
	case err != nil && !os.IsNotExist(err):
		return err
	}
	return a.load(at)
}

// load serves the zones anew.
func (a *Agent) load(at rpz.State) error {
	if err := disk.Write(filepath.Join(a.with.Dir, servedName), []byte("zones were served from this folder\n"), "agent.served"); err != nil {
		return err
	}
	if err := a.zones.Load(at, [2][]rpz.Change{}, nil); err != nil {
		a.with.Log.Error("policy zones not loaded; tried again with the next publication", "alarm", true, "serial", at.Serial, "err", err)
		return nil
	}
	a.loaded, a.served = true, at
	a.poke()
	return nil
}

// Apply adds the changes of one answer of the desk.
func (a *Agent) Apply(head copies.Head, changes []copies.Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.head = head
	at := rpz.State{Serial: uint32(head.Serial), Epoch: head.Epoch}
	for _, e := range changes {
		if _, err := edge.ParseRule(e); err != nil && !e.Removed {
			a.bad++
			a.with.Log.Error("a block cannot be read", "entry", e.ID, "err", err, "alarm", true)
		}
		if t, ok := edge.ReadTurn(e); ok {
			defer a.feeler.Begin(t) // when it is served
		}
	}
	if !a.loaded {
		a.zones.Change(zones.ChangesOf(changes))
		if !rpz.Newer(at.Serial, a.served.Serial) {
			return nil
		}
		return a.load(at)
	}
	for _, n := range a.zones.Names(changes) {
		a.stale = append(a.stale, change{n, at.Serial})
	}
	if err := a.zones.Step(copies.Batch{Epoch: head.Epoch, Serial: head.Serial, Entries: changes}); err != nil {
		a.with.Log.Error("policy zones not changed; loaded anew with the next publication", "alarm", true, "serial", head.Serial, "err", err)
		a.loaded = false
	}
	a.served = at
	a.poke()
	return nil
}

func (a *Agent) poke() {
	if a.pending.IsZero() {
		a.pending = a.with.Clock.Now()
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Run merges what is due, proves what is in force, and hands counts in, until ctx
// ends.
func (a *Agent) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { a.prove(ctx) })
	wg.Go(func() { a.count(ctx) })
	wg.Go(func() { a.feeler.Run(ctx) })
	defer wg.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		a.mu.Lock()
		if a.loaded {
			if err := a.zones.Merge(false); err != nil {
				a.with.Log.Error("policy zone not changed; loaded anew with the next publication", "alarm", true, "err", err)
				a.loaded = false
			}
		}
		a.mu.Unlock()
	}
}

// Head is where the copy stands.
func (a *Agent) Head() copies.Head { a.mu.Lock(); defer a.mu.Unlock(); return a.head }

// KindForce is the kind of what an agent tells of its resolver.
const KindForce = "shield.force"

// Force is what is proved to be in force at the resolver beside an agent.
type Force struct {
	Resolver string    `json:"resolver"` // bind, unbound, pdns or dnsdist
	Epoch    int64     `json:"epoch"`
	Serial   int64     `json:"serial"` // 0: nothing yet
	At       time.Time `json:"at"`     // when it was proved, or looked at in vain
	Problem  string    `json:"problem,omitempty"`
}

// DecodeForce reads what an agent tells of its resolver.
func DecodeForce(b []byte) (Force, error) {
	var f Force
	if err := json.Unmarshal(b, &f); err != nil {
		return f, bolwerk.Invalid("what is in force: %v", err)
	}
	if f.Epoch < 0 || f.Serial < 0 || f.At.IsZero() || len(f.Problem) > maxProblem || len(f.Resolver) > 20 {
		return f, bolwerk.Invalid("what is in force: a value out of bounds")
	}
	return f, nil
}

const maxProblem = 500

// Inquire asks the resolver beside this agent for a name on the desk's behalf.
func (a *Agent) Inquire(ctx context.Context, name bolwerk.Domain) inquiry.Reply {
	return edge.Inquire(ctx, a.ask, name, func(got rpz.Answer) bool { return a.ours(got, edge.Redirect) })
}

// tellFelt hands in what the pulse showed.
func (a *Agent) tellFelt(f edge.Felt) {
	body, err := json.Marshal(f)
	if err == nil {
		err = a.with.Put(edge.KindPulse, body)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		a.with.Log.Error("how long the way of a block takes cannot be handed in", "err", err)
	}
}

func (a *Agent) tell(f Force) {
	f.Problem = f.Problem[:min(len(f.Problem), maxProblem)]
	body, err := json.Marshal(f)
	if err == nil {
		err = a.with.Put(KindForce, body)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		a.with.Log.Error("what is in force cannot be handed in", "err", err)
	}
}
