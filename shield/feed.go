package shield

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// The policy zones, in the order in which resolvers list them.
var (
	PassZone  = bolwerk.MustDomain("p.rpz") // what passes
	HotZone   = bolwerk.MustDomain("h.rpz") // the blocks of the last day
	BlockZone = bolwerk.MustDomain("b.rpz") // all blocks, in large zones some minutes later
)

// beatEvery is how often a serial is published that changes nothing: it goes the
// way of a block, and shows where that way is broken.
const beatEvery = time.Minute

// Feed turns the copy "blocks" into the policy zones. A change costs what it
// touches, never the size of the zone.
type Feed struct {
	publish *publish.Desk
	db      *store.DB
	primary *rpz.Primary
	clock   clock.Clock
	log     *slog.Logger
	landing []rpz.Data // of the warning page

	rules map[string]edge.Rule
	at    map[owner][]string // ids of rules, by owner
	stand copy.Head
	now   atomic.Int64              // epoch of stand, for others to read
	onSet func(epoch, serial int64) // after each publication; may be nil

	hot    hotZone
	beaten time.Time     // when we last published a beat
	real   atomic.Int64  // serial of the last publication that was no beat
	urgent atomic.Uint32 // serial of b.rpz that has what h.rpz had no room for
}

type owner struct {
	name  bolwerk.Domain
	below bool
}

// NewFeed makes the feed of the desk; landing are the addresses of the warning page.
func NewFeed(p *publish.Desk, db *store.DB, primary *rpz.Primary, landing []netip.Addr, c clock.Clock, log *slog.Logger) *Feed {
	f := &Feed{publish: p, db: db, primary: primary, clock: c, log: log}
	for _, a := range landing {
		f.landing = append(f.landing, rpz.Address(a))
	}
	return f
}

// epoch is that of what the zones hold.
func (f *Feed) epoch() int64 { return f.now.Load() }

// Deliveries is where each secondary stands.
func (f *Feed) Deliveries() []rpz.Delivery { return f.primary.Secondaries() }

// delivery is where a secondary stands with the hot zone, or with the cold one
// where it takes no other; nil where there is no such secondary.
func (f *Feed) delivery(secondary string) (found *rpz.Delivery) {
	for _, d := range f.primary.Secondaries() {
		if d.Secondary == secondary && (d.Zone == HotZone && d.Holds != 0 || d.Zone == BlockZone && found == nil) {
			found = &d
		}
	}
	return found
}

// standing is where a resolver stands with all its zones.
type standing struct {
	serial uint32 // up to this publication it has everything
	at     time.Time
	lag    time.Duration // of the zone that is furthest behind
}

// standing is where each secondary stands that has shown something. What is new
// is in force where it has the hot zone; where it takes none, or the hot zone had
// no room, where it has the cold one.
func (f *Feed) standing() map[string]standing {
	hot, out := map[string]rpz.Delivery{}, map[string]standing{}
	all := f.primary.Secondaries()
	for _, d := range all {
		if d.Zone == HotZone {
			hot[d.Secondary] = d
		}
	}
	for _, d := range all {
		if d.Zone != BlockZone {
			continue
		}
		if h := hot[d.Secondary]; h.Holds != 0 && (f.urgent.Load() == 0 || d.Holds != 0 && !rpz.Newer(f.urgent.Load(), d.Holds)) {
			d = h
		}
		if d.Holds != 0 {
			out[d.Secondary] = standing{serial: d.Holds, at: d.HoldsAt}
		}
	}
	for _, d := range all {
		if s, ok := out[d.Secondary]; ok {
			s.lag = max(s.lag, d.Lag)
			out[d.Secondary] = s
		}
	}
	return out
}

// Run loads the zones and follows the publications until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second) // another desk's publications
	defer tick.Stop()
	for {
		// After a restore the zones wait until the hosts were asked: until then
		// the secondaries keep what they have.
		state, _, err := f.publish.Restoring(ctx)
		if err != nil {
			return err
		}
		if state != "asking" {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	if err := f.load(ctx); err != nil {
		return err
	}
	for {
		changed := f.publish.Changed(CopyBlocks)
		if err := f.beat(ctx); err != nil && ctx.Err() == nil {
			f.log.Error("no serial published that shows the way to the resolvers", "err", err)
		}
		if err := f.follow(ctx); err != nil && ctx.Err() == nil {
			f.log.Error("policy zones not brought up to date", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// beat publishes a serial that changes nothing, once a minute.
func (f *Feed) beat(ctx context.Context) error {
	now := f.clock.Now()
	if since := now.Sub(f.beaten); since >= 0 && since < beatEvery || f.db.OnlyWithdrawals() {
		return nil
	}
	f.beaten = now
	return f.db.Write(ctx, store.Intake, func(tx *store.Tx) error { f.publish.Beat(tx, CopyBlocks); return nil })
}

// load takes everything in force and the changes of the last days. It begins
// with a serial of its own: what stands in the hot zone now and what stood there
// before a restart must not bear the same one.
func (f *Feed) load(ctx context.Context) error {
	err := f.db.Write(ctx, store.WayBack, func(tx *store.Tx) error { f.publish.Beat(tx, CopyBlocks); return nil })
	if err != nil {
		f.log.Error("policy zones loaded without a new serial", "alarm", true, "err", err)
	}
	f.beaten = f.clock.Now()
	f.rules, f.at = map[string]edge.Rule{}, map[owner][]string{}
	err = f.publish.Snapshot(ctx, CopyBlocks, func(h copy.Head) error { f.stand = h; f.now.Store(h.Epoch); return nil }, func(e copy.Entry) error {
		r, err := edge.ParseRule(e)
		if err != nil {
			return err
		}
		f.hold(e.ID, r)
		return nil
	})
	if err != nil {
		return err
	}
	f.real.Store(f.stand.Serial)
	journals, published, err := f.history(ctx)
	if err != nil {
		return err
	}
	is := func(o owner) []rpz.Record { return f.records(BlockZone, o) }
	f.hot = newHotZone()
	f.hot.warm(f.clock.Now(), uint32(f.stand.Serial), f.rules, published, is)
	every := func(zone bolwerk.Domain) iter.Seq2[rpz.Record, error] {
		return func(yield func(rpz.Record, error) bool) {
			for o := range f.at {
				for _, r := range f.records(zone, o) {
					if !yield(r, nil) {
						return
					}
				}
			}
		}
	}
	hot := func(yield func(rpz.Record, error) bool) {
		for _, e := range f.hot.at {
			for _, r := range e.records {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	at := rpz.State{Serial: uint32(f.stand.Serial), Epoch: f.stand.Epoch}
	return cmp.Or(f.primary.Load(PassZone, at, every(PassZone), journals[0]), f.primary.Load(HotZone, at, hot, nil), f.primary.Load(BlockZone, at, every(BlockZone), journals[1]))
}

// history walks the kept publications backwards from what is in force, to know
// what each of them changed in each zone.
func (f *Feed) history(ctx context.Context) (journals [2][]rpz.Change, published map[string]time.Time, err error) {
	steps, complete, err := f.publish.Since(ctx, CopyBlocks, f.stand.Epoch, max(0, f.stand.Serial-historySteps), historySteps)
	if err != nil || !complete && len(steps) == 0 {
		return journals, published, err
	}
	// What was published since the zones were taken follows by itself.
	steps = slices.DeleteFunc(steps, func(st copy.Step) bool { return st.Serial > f.stand.Serial })
	batches := make([]copy.Batch, len(steps))
	back := make([]map[string]*edge.Rule, len(steps)) // what a step found
	first := 0                                        // before it something ended of which nobody knows what it was
	now := map[string]*edge.Rule{}
	published = map[string]time.Time{}
	err = f.db.Read(ctx, func(tx *store.Tx) error {
		for i, st := range steps {
			b, err := copy.DecodeBatch(st.Body)
			if err != nil {
				return err
			}
			batches[i], back[i] = b, map[string]*edge.Rule{}
			for _, e := range b.Entries {
				was, known := now[e.ID]
				if e.Removed {
					if !known {
						if block, err := findBlock(tx, e.ID); err == nil {
							r := block.Rule()
							was, known = &r, true
						}
					}
					if !known {
						first = i + 1
					}
					now[e.ID] = nil
				} else {
					r, err := edge.ParseRule(e)
					if err != nil {
						return err
					}
					if !known && e.Version > 1 && !r.FeedOnly {
						was = &r // renewed: the same names, with the same answer
					} else if !known {
						published[e.ID] = st.At
					}
					now[e.ID] = &r
				}
				if _, twice := back[i][e.ID]; !twice {
					back[i][e.ID] = was
				}
			}
		}
		return nil
	})
	if err != nil {
		return journals, published, err
	}
	for i := len(steps) - 1; i >= first; i-- {
		for z, said := range f.apply(back[i]) { // undone: what it deleted it had added
			c := changeOf(said)
			journals[z] = append(journals[z], rpz.Change{Serial: uint32(batches[i].Serial), Epoch: batches[i].Epoch, Del: c.Add, Add: c.Del})
		}
	}
	for z := range journals {
		if len(steps) > 0 { // where the journal begins
			begin := steps[0].Serial - 1
			if first > 0 {
				begin = steps[first-1].Serial
			}
			journals[z] = append(journals[z], rpz.Change{Serial: uint32(begin), Epoch: f.stand.Epoch})
		}
		slices.Reverse(journals[z])
	}
	for _, b := range batches[first:] {
		f.apply(changesOf(b))
	}
	return journals, published, nil
}

// historySteps bounds the publications whose changes secondaries may catch up
// on without a whole transfer.
const historySteps = 20_000

func changesOf(b copy.Batch) map[string]*edge.Rule {
	out := map[string]*edge.Rule{}
	for _, e := range b.Entries {
		out[e.ID] = nil
		if r, err := edge.ParseRule(e); err == nil && !e.Removed {
			out[e.ID] = &r
		}
	}
	return out
}

// follow commits the publications that came since.
func (f *Feed) follow(ctx context.Context) error {
	for {
		steps, complete, err := f.publish.Since(ctx, CopyBlocks, f.stand.Epoch, f.stand.Serial, 500)
		if err != nil {
			return err
		}
		if !complete {
			return f.load(ctx) // a new epoch
		}
		if len(steps) == 0 {
			if err := f.merge(false); err != nil {
				f.log.Error("policy zone not changed: loading it anew", "alarm", true, "zone", BlockZone, "err", err)
				return f.load(ctx)
			}
			return nil
		}
		for _, st := range steps {
			b, err := copy.DecodeBatch(st.Body)
			if err != nil {
				return err
			}
			f.stand.Serial, f.stand.Digest = b.Serial, st.Digest
			if err := f.step(b); err != nil {
				f.log.Error("policy zone not changed: loading it anew", "alarm", true, "serial", b.Serial, "err", err)
				return f.load(ctx)
			}
			if f.onSet != nil {
				f.onSet(b.Epoch, b.Serial)
			}
		}
	}
}

// step brings the zones to one publication. A beat moves the serials of the two
// small zones.
func (f *Feed) step(b copy.Batch) error {
	now, serial, beat := f.clock.Now(), uint32(b.Serial), len(b.Entries) == 0
	if !beat {
		f.real.Store(b.Serial)
	}
	held, all := f.primary.Held(BlockZone)
	left := f.hot.leave(now, held, all)
	said := f.apply(changesOf(b))
	pass := changeOf(said[0])
	hot, urgent := f.hot.take(now, said[1], func(o owner) bool { return len(f.records(PassZone, o)) > 0 })
	for _, d := range said[0] { // what lets a name pass until the cold zone is without it
		urgent = urgent || len(d.is) == 0 && len(f.hot.cold[d.at]) > 0 && len(f.records(BlockZone, d.at)) == 0
	}
	hot.Del = append(left, hot.Del...)
	for _, z := range []struct {
		zone   bolwerk.Domain
		change rpz.Change
	}{{PassZone, pass}, {HotZone, hot}} {
		c := z.change
		if len(c.Del)+len(c.Add) == 0 && !beat {
			continue // another zone's change
		}
		c.Serial, c.Epoch = serial, b.Epoch
		if err := f.primary.Commit(z.zone, c); err != nil {
			return err
		}
	}
	if urgent {
		f.urgent.Store(serial)
	}
	return f.merge(urgent)
}

// merge brings the cold zone up to date where it is time, or now.
func (f *Feed) merge(now bool) error {
	t := f.clock.Now()
	if !now && !f.hot.due(t, len(f.at)) {
		return nil
	}
	c := f.hot.merge(t, uint32(f.stand.Serial), func(o owner) []rpz.Record { return f.records(BlockZone, o) })
	c.Serial, c.Epoch = uint32(f.stand.Serial), f.stand.Epoch
	return f.primary.Commit(BlockZone, c)
}

// apply brings the rules up to date and gives what blocks and exemptions said
// and say where that changed: in p.rpz, and in b.rpz once it is merged.
func (f *Feed) apply(changes map[string]*edge.Rule) (out [2][]said) {
	touched := map[owner]bool{}
	for id, r := range changes {
		if old, ok := f.rules[id]; ok {
			for _, o := range owners(old) {
				touched[o] = true
			}
		}
		if r != nil {
			for _, o := range owners(*r) {
				touched[o] = true
			}
		}
	}
	zones := [2]bolwerk.Domain{PassZone, BlockZone}
	before := map[owner][2][]rpz.Record{}
	for o := range touched {
		before[o] = [2][]rpz.Record{f.records(zones[0], o), f.records(zones[1], o)}
	}
	for id, r := range changes {
		f.drop(id)
		if r != nil {
			f.hold(id, *r)
		}
	}
	for o := range touched {
		for z := range zones {
			d := said{o, before[o][z], f.records(zones[z], o)}
			if !slices.Equal(d.was, d.is) {
				out[z] = append(out[z], d)
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

func (f *Feed) hold(id string, r edge.Rule) {
	f.rules[id] = r
	for _, o := range owners(r) {
		f.at[o] = append(f.at[o], id)
	}
}

func (f *Feed) drop(id string) {
	r, ok := f.rules[id]
	if !ok {
		return
	}
	delete(f.rules, id)
	for _, o := range owners(r) {
		ids := slices.DeleteFunc(f.at[o], func(x string) bool { return x == id })
		if len(ids) == 0 {
			delete(f.at, o)
		} else {
			f.at[o] = ids
		}
	}
}

// owners are the zone's owners that a rule has.
func owners(r edge.Rule) []owner {
	out := []owner{{r.Name, false}}
	switch {
	case r.Scope == bolwerk.ScopeSubtree, r.Scope == bolwerk.ScopeRegistrable:
		out = append(out, owner{r.Name, true})
	case r.WWW:
		if w, err := bolwerk.ParseDomain("www." + r.Name.String()); err == nil {
			out = append(out, owner{w, false})
		}
	}
	return out
}

// records are what a zone says at an owner: of several rules there, orders
// before our own, then the oldest.
func (f *Feed) records(zone bolwerk.Domain, o owner) []rpz.Record {
	var best *edge.Rule
	for _, id := range f.at[o] {
		r := f.rules[id]
		if r.Pass != (zone == PassZone) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(rank(r), rank(*best)), r.Since.Compare(best.Since), cmp.Compare(r.Block, best.Block)) < 0 {
			best = &r
		}
	}
	if best == nil {
		return nil
	}
	one := func(d rpz.Data) []rpz.Record { return []rpz.Record{{Name: o.name, Below: o.below, Data: d}} }
	switch {
	case best.Pass:
		return one(rpz.Pass)
	case best.Action == edge.NXDomain:
		return one(rpz.NXDomain)
	case best.Action == edge.NoData || len(f.landing) == 0:
		return one(rpz.NoData)
	}
	var out []rpz.Record
	for _, d := range f.landing {
		out = append(out, rpz.Record{Name: o.name, Below: o.below, Data: d})
	}
	return out
}

func rank(r edge.Rule) int {
	if r.Ground == edge.ByOrder {
		return 0
	}
	return 1
}
