// Package zones makes the policy zones of other people's resolvers out of the
// rules in force. The desk serves them to secondaries, an agent to the resolver
// beside it. A change costs what it touches, never the size of a zone.
package zones

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
)

// The policy zones, in the order in which resolvers list them.
var (
	Pass  = bolwerk.MustDomain("p.rpz") // what passes
	Hot   = bolwerk.MustDomain("h.rpz") // the blocks of the last day
	Block = bolwerk.MustDomain("b.rpz") // all blocks, in large zones some minutes later
)

// CanaryOf is the canary name of a zone: each has its own.
func CanaryOf(zone, canary bolwerk.Domain) (bolwerk.Domain, error) {
	prefix := map[bolwerk.Domain]string{Pass: "p-", Hot: "h-"}[zone]
	if canary.IsZero() || prefix == "" {
		return canary, nil
	}
	own, err := bolwerk.ParseDomain(prefix + canary.String())
	if err != nil {
		return own, bolwerk.Invalid("shield.canary: %v", err)
	}
	return own, nil
}

// Primary is who serves the zones: an rpz.Primary, or the files of an agent.
type Primary interface {
	Load(zone bolwerk.Domain, at rpz.State, records iter.Seq2[rpz.Record, error], journal []rpz.Change) error
	Commit(zone bolwerk.Domain, c rpz.Change) error
	// Held is the oldest serial of the zone that a secondary still has; all is
	// set where there is none that could lack something.
	Held(zone bolwerk.Domain) (oldest uint32, all bool)
}

// Zones are the rules in force and what the zones say of them. One goroutine at a
// time; Urgent and Real from any.
type Zones struct {
	primary Primary
	clock   clock.Clock
	landing []rpz.Data // of the warning page

	rules map[string]*rule
	at    map[owner][]*rule // by owner
	stand rpz.State
	names // which names stand below others

	hot    hotZone
	real   atomic.Uint32 // serial of the last publication that was no beat
	urgent atomic.Uint32 // serial of b.rpz that has what h.rpz had no room for
}

// rule is what of an edge.Rule the zones need.
type rule struct {
	name             bolwerk.Domain
	block            string
	action           edge.Action
	since            int64
	below, www, pass bool
	order, undo      bool
	pulse            bool // see edge.Turn: in h.rpz and p.rpz alone
}

type owner struct {
	name  bolwerk.Domain
	below bool
}

// New makes zones without rules; landing are the addresses of the warning page.
func New(primary Primary, landing []netip.Addr, c clock.Clock) *Zones {
	z := &Zones{primary: primary, clock: c}
	for _, a := range landing {
		z.landing = append(z.landing, rpz.Address(a))
	}
	z.Clear()
	return z
}

// Clear forgets all rules. What is served stays as it is until Load.
func (z *Zones) Clear() {
	z.rules, z.at, z.hot, z.names = map[string]*rule{}, map[owner][]*rule{}, newHotZone(), newNames()
}

// Hold takes up the rule of an entry that is in force, before Load.
func (z *Zones) Hold(id string, r edge.Rule) {
	z.hold(id, &rule{name: r.Name, block: r.Block, action: r.Action, since: r.Since.UnixMicro(), pass: r.Pass, www: r.WWW,
		below: r.Scope == bolwerk.ScopeSubtree || r.Scope == bolwerk.ScopeRegistrable, order: r.Ground == edge.ByOrder, undo: r.FeedOnly, pulse: r.Pulse})
}

// Stand is where the zones stand.
func (z *Zones) Stand() rpz.State { return z.stand }

// Urgent is the serial that the cold zone must have, too, before everything up to
// it is in force; 0 is none.
func (z *Zones) Urgent() uint32 { return z.urgent.Load() }

// Real is the serial of the last publication that was no beat.
func (z *Zones) Real() uint32 { return z.real.Load() }

// Rules is how many rules there are.
func (z *Zones) Rules() int { return len(z.rules) }

// Load serves the zones anew, at a serial that none of them has had. journals are
// what led to p.rpz and b.rpz, as far as it is known; published is when an entry
// came, where that is later than what its rule says.
func (z *Zones) Load(at rpz.State, journals [2][]rpz.Change, published map[string]time.Time) error {
	z.stand = at
	z.real.Store(at.Serial)
	z.hot = newHotZone()
	z.hot.warm(z.clock.Now(), at.Serial, z.rules, published, func(o owner) []rpz.Record { return z.records(Block, o) })
	every := func(zone bolwerk.Domain) iter.Seq2[rpz.Record, error] {
		return func(yield func(rpz.Record, error) bool) {
			for r := range z.Each(zone) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	return cmp.Or(z.primary.Load(Pass, at, every(Pass), journals[0]), z.primary.Load(Hot, at, every(Hot), nil), z.primary.Load(Block, at, every(Block), journals[1]))
}

// Each gives what a zone says, the cold one as it is when merged.
func (z *Zones) Each(zone bolwerk.Domain) iter.Seq[rpz.Record] {
	return func(yield func(rpz.Record) bool) {
		if zone == Hot {
			for _, e := range z.hot.at {
				for _, r := range e.records {
					if !yield(r) {
						return
					}
				}
			}
			for _, r := range z.pulse() {
				if !yield(r) {
					return
				}
			}
			return
		}
		say := func(o owner) bool {
			for _, r := range z.records(zone, o) {
				if !yield(r) {
					return false
				}
			}
			return true
		}
		for o := range z.at {
			if !say(o) {
				return
			}
			if _, there := z.at[owner{o.name, true}]; !o.below && !there && !say(owner{o.name, true}) {
				return
			}
		}
		for i, under := range z.under {
			for name := range under {
				if z.listed(name) || i == 1 && z.under[0][name] > 0 {
					continue // told already
				}
				if !say(owner{name, false}) || !say(owner{name, true}) {
					return
				}
			}
		}
	}
}

// Names are the names that entries change, before Step does it.
func (z *Zones) Names(entries []copy.Entry) (out []bolwerk.Domain) {
	for id, r := range ChangesOf(entries) {
		if old, ok := z.rules[id]; ok {
			out = append(out, old.name)
		}
		if r != nil {
			out = append(out, r.Name)
		}
	}
	return out
}

// Step brings the zones to one publication. A beat, which changes nothing but the
// pulse, moves the serials of the two small zones.
func (z *Zones) Step(b copy.Batch) error {
	now, serial := z.clock.Now(), uint32(b.Serial)
	beat := !slices.ContainsFunc(b.Entries, func(e copy.Entry) bool { return e.ID != edge.PulseEntry })
	z.stand = rpz.State{Serial: serial, Epoch: b.Epoch}
	if !beat {
		z.real.Store(serial)
	}
	held, all := z.primary.Held(Block)
	left := z.hot.leave(now, held, all)
	pulse := z.pulse()
	said := z.apply(ChangesOf(b.Entries))
	pass := changeOf(said[0])
	hot, urgent := z.hot.take(now, said[1], func(o owner) bool { return len(z.records(Pass, o)) > 0 })
	for _, d := range said[0] { // what lets a name pass until the cold zone is without it
		urgent = urgent || len(d.is) == 0 && len(z.hot.cold[d.at]) > 0 && len(z.records(Block, d.at)) == 0
	}
	hot.Del = append(left, hot.Del...)
	del, add := difference(pulse, z.pulse())
	hot.Del, hot.Add = append(hot.Del, del...), append(hot.Add, add...)
	for _, s := range []struct {
		zone   bolwerk.Domain
		change rpz.Change
	}{{Pass, pass}, {Hot, hot}} {
		c := s.change
		if len(c.Del)+len(c.Add) == 0 && !beat {
			continue // another zone's change
		}
		c.Serial, c.Epoch = serial, b.Epoch
		if err := z.primary.Commit(s.zone, c); err != nil {
			return err
		}
	}
	if urgent {
		z.urgent.Store(serial)
	}
	return z.Merge(urgent)
}

// Merge brings the cold zone up to date where it is time, or now.
func (z *Zones) Merge(now bool) error {
	t := z.clock.Now()
	if !now && !z.hot.due(t, len(z.at)) {
		return nil
	}
	c := z.hot.merge(t, z.stand.Serial, func(o owner) []rpz.Record { return z.records(Block, o) })
	c.Serial, c.Epoch = z.stand.Serial, z.stand.Epoch
	return z.primary.Commit(Block, c)
}

// ChangesOf are the rules that entries bring, by id; nil is an end.
func ChangesOf(entries []copy.Entry) map[string]*edge.Rule {
	out := map[string]*edge.Rule{}
	for _, e := range entries {
		out[e.ID] = nil
		if r, err := edge.ParseRule(e); err == nil && !e.Removed {
			out[e.ID] = &r
		}
	}
	return out
}

// Change brings the rules up to date without serving that, and gives what it
// changes in p.rpz and in a b.rpz that is merged at once: the desk walks its
// history with it.
func (z *Zones) Change(changes map[string]*edge.Rule) (out [2]rpz.Change) {
	for i, s := range z.apply(changes) {
		out[i] = changeOf(s)
	}
	return out
}

// apply brings the rules up to date and gives what blocks and exemptions said
// and say where that changed: in p.rpz, and in b.rpz once it is merged.
func (z *Zones) apply(changes map[string]*edge.Rule) (out [2][]said) {
	before := map[owner][2][]rpz.Record{}
	zones := [2]bolwerk.Domain{Pass, Block}
	touch := func(r *rule) {
		for o := range z.near(r) {
			if _, seen := before[o]; !seen {
				before[o] = [2][]rpz.Record{z.records(zones[0], o), z.records(zones[1], o)}
			}
		}
	}
	fresh := New(nil, nil, nil)
	for id, r := range changes {
		if old, ok := z.rules[id]; ok {
			touch(old)
		}
		if r != nil {
			fresh.Hold(id, *r)
			touch(fresh.rules[id])
		}
	}
	for id := range changes {
		z.drop(id)
		if r, ok := fresh.rules[id]; ok {
			z.hold(id, r)
		}
	}
	for o, was := range before {
		for i := range zones {
			d := said{o, was[i], z.records(zones[i], o)}
			if !slices.Equal(d.was, d.is) {
				out[i] = append(out[i], d)
			}
		}
	}
	return out
}

func changeOf(all []said) (c rpz.Change) {
	for _, d := range all {
		del, add := difference(d.was, d.is)
		c.Del, c.Add = append(c.Del, del...), append(c.Add, add...)
	}
	return c
}

func (z *Zones) hold(id string, r *rule) {
	z.rules[id] = r
	for _, o := range owners(r) {
		if !o.below && !z.listed(o.name) {
			z.names.add(o.name)
		}
		z.count(r.pass, o.name, 1)
		z.at[o] = append(z.at[o], r)
	}
}

func (z *Zones) drop(id string) {
	r, ok := z.rules[id]
	if !ok {
		return
	}
	delete(z.rules, id)
	for _, o := range owners(r) {
		if rest := slices.DeleteFunc(z.at[o], func(x *rule) bool { return x == r }); len(rest) == 0 {
			delete(z.at, o)
		} else {
			z.at[o] = rest
		}
		z.count(r.pass, o.name, -1)
		if !o.below && !z.listed(o.name) {
			z.names.remove(o.name)
		}
	}
}

// owners are the zone's owners that a rule has.
func owners(r *rule) []owner {
	out := []owner{{r.name, false}}
	switch {
	case r.below:
		out = append(out, owner{r.name, true})
	case r.www:
		if w, err := bolwerk.ParseDomain("www." + r.name.String()); err == nil {
			out = append(out, owner{w, false})
		}
	}
	return out
}

// best is the rule that speaks at an owner in a zone: of several there, orders
// before our own, then the oldest.
func (z *Zones) best(zone bolwerk.Domain, o owner) *rule {
	var best *rule
	for _, r := range z.at[o] {
		if r.pass != (zone == Pass) || r.pulse && zone == Block {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(rank(r), rank(best)), cmp.Compare(r.since, best.since), cmp.Compare(r.block, best.block)) < 0 {
			best = r
		}
	}
	return best
}

// pulse is what h.rpz says at the pulse. It never gets into the cold zone, which
// would have large resolvers build their index anew for it.
func (z *Zones) pulse() (out []rpz.Record) {
	r := z.rules[edge.PulseEntry]
	if r == nil || r.pass || !r.pulse {
		return nil
	}
	for _, o := range owners(r) {
		out = append(out, z.says(r, o)...)
	}
	return out
}

// records are what a zone says at an owner.
func (z *Zones) records(zone bolwerk.Domain, o owner) []rpz.Record {
	best := z.best(zone, o)
	if best == nil {
		best = z.filled(zone, o)
	}
	if best == nil {
		return nil
	}
	return z.says(best, o)
}

// says are the records of a rule at one of its owners.
func (z *Zones) says(best *rule, o owner) []rpz.Record {
	one := func(d rpz.Data) []rpz.Record { return []rpz.Record{{Name: o.name, Below: o.below, Data: d}} }
	switch {
	case best.pass:
		return one(rpz.Pass)
	case best.action == edge.NXDomain:
		return one(rpz.NXDomain)
	case best.action == edge.NoData || len(z.landing) == 0:
		return one(rpz.NoData)
	}
	var out []rpz.Record
	for _, d := range z.landing {
		out = append(out, rpz.Record{Name: o.name, Below: o.below, Data: d})
	}
	return out
}

func rank(r *rule) int {
	if r.order {
		return 0
	}
	return 1
}

// Blocks gives the block that the zones stop a name by, and what they do.
func (z *Zones) Blocks(name bolwerk.Domain) (block string, action edge.Action, ok bool) {
	for _, zone := range []bolwerk.Domain{Pass, Block} {
		for n := name; !n.IsZero(); n = n.Parent() {
			if r := z.best(zone, owner{n, n != name}); r != nil {
				return r.block, r.action, !r.pass
			}
		}
	}
	return "", "", false
}
