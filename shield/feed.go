package shield

import (
	"cmp"
	"context"
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
	PassZone  = bolwerk.MustDomain("p.rpz")
	BlockZone = bolwerk.MustDomain("b.rpz")
)

// Feed turns the copy "blocks" into the two policy zones. A change costs what it
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

// load takes everything in force and the changes of the last days.
func (f *Feed) load(ctx context.Context) error {
	f.rules, f.at = map[string]edge.Rule{}, map[owner][]string{}
	err := f.publish.Snapshot(ctx, CopyBlocks, func(h copy.Head) error { f.stand = h; f.now.Store(h.Epoch); return nil }, func(e copy.Entry) error {
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
	journals, err := f.history(ctx)
	if err != nil {
		return err
	}
	for i, zone := range []bolwerk.Domain{PassZone, BlockZone} {
		err := f.primary.Load(zone, rpz.State{Serial: uint32(f.stand.Serial), Epoch: f.stand.Epoch}, func(yield func(rpz.Record, error) bool) {
			for o := range f.at {
				for _, r := range f.records(zone, o) {
					if !yield(r, nil) {
						return
					}
				}
			}
		}, journals[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// history walks the kept publications backwards from what is in force, to know
// what each of them changed in each zone.
func (f *Feed) history(ctx context.Context) (journals [2][]rpz.Change, err error) {
	steps, complete, err := f.publish.Since(ctx, CopyBlocks, f.stand.Epoch, max(0, f.stand.Serial-historySteps), historySteps)
	if err != nil || !complete && len(steps) == 0 {
		return journals, err
	}
	// What was published since the zones were taken follows by itself.
	steps = slices.DeleteFunc(steps, func(st copy.Step) bool { return st.Serial > f.stand.Serial })
	gone := map[string]edge.Rule{} // what the removed entries were
	err = f.db.Read(ctx, func(tx *store.Tx) error {
		for _, st := range steps {
			b, err := copy.DecodeBatch(st.Body)
			if err != nil {
				return err
			}
			for _, e := range b.Entries {
				if !e.Removed {
					if gone[e.ID], err = edge.ParseRule(e); err != nil {
						return err
					}
				} else if _, ok := gone[e.ID]; !ok {
					if block, err := findBlock(tx, e.ID); err == nil {
						gone[e.ID] = block.Rule()
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return journals, err
	}
	for i := len(steps) - 1; i >= 0; i-- {
		b, err := copy.DecodeBatch(steps[i].Body)
		if err != nil {
			return journals, err
		}
		back := map[string]*edge.Rule{}
		for _, e := range b.Entries {
			if e.Removed {
				if r, ok := gone[e.ID]; ok {
					back[e.ID] = &r
				}
			} else {
				back[e.ID] = nil
			}
		}
		for z, c := range f.apply(back) { // undone: what it deleted it had added
			journals[z] = append(journals[z], rpz.Change{Serial: uint32(b.Serial), Epoch: b.Epoch, Del: c.Add, Add: c.Del})
		}
	}
	for z := range journals {
		if len(steps) > 0 { // where the journal begins
			journals[z] = append(journals[z], rpz.Change{Serial: uint32(steps[0].Serial - 1), Epoch: f.stand.Epoch})
		}
		slices.Reverse(journals[z])
	}
	for _, st := range steps {
		b, err := copy.DecodeBatch(st.Body)
		if err != nil {
			return journals, err
		}
		f.apply(changesOf(b))
	}
	return journals, nil
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
			return nil
		}
		for _, st := range steps {
			b, err := copy.DecodeBatch(st.Body)
			if err != nil {
				return err
			}
			changes := f.apply(changesOf(b))
			for z, zone := range []bolwerk.Domain{PassZone, BlockZone} {
				c := changes[z]
				c.Serial, c.Epoch = uint32(b.Serial), b.Epoch
				if len(c.Del)+len(c.Add) == 0 {
					continue // the other zone's change
				}
				if err := f.primary.Commit(zone, c); err != nil {
					f.log.Error("policy zone not changed: loading it anew", "alarm", true, "zone", zone, "serial", b.Serial, "err", err)
					return f.load(ctx)
				}
			}
			f.stand.Serial, f.stand.Digest = b.Serial, st.Digest
			if f.onSet != nil {
				f.onSet(b.Epoch, b.Serial)
			}
		}
	}
}

// apply brings the rules up to date and gives what changes in p.rpz and b.rpz.
func (f *Feed) apply(changes map[string]*edge.Rule) [2]rpz.Change {
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
	var out [2]rpz.Change
	for o := range touched {
		for z := range zones {
			was, is := before[o][z], f.records(zones[z], o)
			for _, r := range was {
				if !slices.Contains(is, r) {
					out[z].Del = append(out[z].Del, r)
				}
			}
			for _, r := range is {
				if !slices.Contains(was, r) {
					out[z].Add = append(out[z].Add, r)
				}
			}
		}
	}
	return out
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
