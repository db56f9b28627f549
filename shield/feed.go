package shield

import (
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
	"bolwerk/shield/zones"
)

// The policy zones, in the order in which resolvers list them.
var (
	PassZone  = zones.Pass
	HotZone   = zones.Hot
	BlockZone = zones.Block
)

// beatEvery is how often the pulse is published: it goes the way of a block, and
// shows how long that takes and where it is broken.
const beatEvery = time.Minute

// Feed turns the copy "blocks" into the policy zones, and serves them.
type Feed struct {
	publish *publish.Desk
	db      *store.DB
	primary *rpz.Primary
	zones   *zones.Zones
	clock   clock.Clock
	log     *slog.Logger

	stand  copy.Head
	now    atomic.Int64              // epoch of stand, for others to read
	onSet  func(epoch, serial int64) // after each publication; may be nil
	pulse  bolwerk.Domain            // its name; zero: none
	onTurn func(edge.Turn)           // of the pulse; may be nil
	beaten time.Time                 // when we last published a beat
}

// NewFeed makes the feed of the desk; landing are the addresses of the warning page,
// pulse is the name of the pulse, zero for none.
func NewFeed(p *publish.Desk, db *store.DB, primary *rpz.Primary, landing []netip.Addr, pulse bolwerk.Domain, c clock.Clock, log *slog.Logger) *Feed {
	return &Feed{publish: p, db: db, primary: primary, zones: zones.New(primary, landing, c), pulse: pulse, clock: c, log: log}
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

// watched are the names of the secondaries that are expected to keep up.
func (f *Feed) watched() (out []string) {
	for _, d := range f.primary.Secondaries() {
		if d.Watched && !slices.Contains(out, d.Secondary) {
			out = append(out, d.Secondary)
		}
	}
	return out
}

// standing is where each watched secondary stands that has shown something. What is new
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
		if d.Zone != BlockZone || !d.Watched {
			continue
		}
		if h := hot[d.Secondary]; h.Holds != 0 && (f.zones.Urgent() == 0 || d.Holds != 0 && !rpz.Newer(f.zones.Urgent(), d.Holds)) {
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

// withoutHot says that a secondary is known not to take the hot zone. The pulse goes
// by that zone alone.
func (f *Feed) withoutHot(secondary string) bool {
	all := slices.DeleteFunc(f.primary.Secondaries(), func(d rpz.Delivery) bool { return d.Secondary != secondary })
	return len(all) > 0 && !slices.ContainsFunc(all, func(d rpz.Delivery) bool { return d.Zone == HotZone })
}

// Run loads the zones and follows the publications until ctx ends. Of several
// desks one does so at a time; what it served is unloaded at the end.
func (f *Feed) Run(ctx context.Context) error {
	defer f.primary.Forget()
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

// beat publishes the next turn of the pulse once a minute, or without a pulse a
// serial that changes nothing.
func (f *Feed) beat(ctx context.Context) error {
	now := f.clock.Now()
	if since := now.Sub(f.beaten); since >= 0 && since < beatEvery || f.db.OnlyWithdrawals() {
		return nil
	}
	f.beaten = now
	if !f.pulse.IsZero() {
		return f.db.Write(ctx, store.Decision, f.nextTurn) // the lane of decisions
	}
	return f.db.Write(ctx, store.Intake, func(tx *store.Tx) error { f.publish.Beat(tx, CopyBlocks); return nil })
}

// load takes everything in force and the changes of the last days. It begins
// with a serial of its own: what stands in the hot zone now and what stood there
// before a restart must not bear the same one.
func (f *Feed) load(ctx context.Context) error {
	err := f.db.Write(ctx, store.WayBack, func(tx *store.Tx) error { f.publish.Beat(tx, CopyBlocks); return nil })
	if err != nil {
		if f.db.Postgres() { // another desk may have served this serial with another content
			return err
		}
		f.log.Error("policy zones loaded without a new serial", "alarm", true, "err", err)
	}
	f.beaten = f.clock.Now()
	f.zones.Clear()
	err = f.publish.Snapshot(ctx, CopyBlocks, func(h copy.Head) error { f.stand = h; f.now.Store(h.Epoch); return nil }, func(e copy.Entry) error {
		r, err := edge.ParseRule(e)
		if err != nil {
			return err
		}
		f.zones.Hold(e.ID, r)
		return nil
	})
	if err != nil {
		return err
	}
	journals, published, err := f.history(ctx)
	if err != nil {
		return err
	}
	return f.zones.Load(rpz.State{Serial: uint32(f.stand.Serial), Epoch: f.stand.Epoch}, journals, published)
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
		for z, c := range f.zones.Change(back[i]) { // undone: what it deleted it had added
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
		f.zones.Change(zones.ChangesOf(b.Entries))
	}
	return journals, published, nil
}

// historySteps bounds the publications whose changes secondaries may catch up
// on without a whole transfer.
const historySteps = 20_000

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
			if err := f.zones.Merge(false); err != nil {
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
			if err := f.zones.Step(b); err != nil {
				f.log.Error("policy zone not changed: loading it anew", "alarm", true, "serial", b.Serial, "err", err)
				return f.load(ctx)
			}
			if f.onSet != nil {
				f.onSet(b.Epoch, b.Serial)
			}
			for _, e := range b.Entries {
				if t, ok := edge.ReadTurn(e); ok && f.onTurn != nil {
					f.onTurn(t)
				}
			}
		}
	}
}
