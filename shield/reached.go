package shield

import (
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk/internal/copy"
	"bolwerk/internal/hosts"
	"bolwerk/internal/join"
	"bolwerk/internal/store"
	"bolwerk/shield/agent"
)

// What is in force where is known by who asks for what comes next: an edge says
// with each question which serial it has, a resolver's secondary which one it
// was given to the end. Both are written down, for the life of a block and for
// the picture of the day.

// reachEvery is how often what was heard is written down.
const reachEvery = time.Second

const (
	// stillEvery is how often it is written that a host still has the same.
	stillEvery = 20 * time.Second
)

// heard is what was last heard of a machine.
type heard struct {
	kind          string
	epoch, serial int64
	at            time.Time
	behind        time.Time // since when there is something newer
	wrote         time.Time
	fresh         bool  // the serial is not written down
	reached       int64 // the last serial that is written down for the life of blocks
	relayed
}

// Saw is told of every question of a host for a copy; see copy.Handler. It
// returns at once.
func (s *Shield) Saw(_ context.Context, p copy.Poll) {
	if p.Copy == CopyProbe && p.Role == join.Probe {
		s.heardProbe()
	}
	if p.Nothing || p.Copy != CopyBlocks || p.Role != join.Edge && p.Role != join.Relay {
		return
	}
	s.hear(p.Host, string(p.Role), p.Mark.Epoch, p.Mark.Serial, s.clock.Now(), time.Time{})
	if p.Role == join.Edge {
		s.heard.Lock()
		s.heard.of[p.Host].via = "" // it asks us
		s.heard.Unlock()
	}
}

// receiveForce takes what an agent has proved at its resolver. Only the newest
// counts: what waited in its spool says nothing of now.
func (s *Shield) receiveForce(host string, body []byte) error {
	f, err := agent.DecodeForce(body)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	if at := earliest(f.At, now); now.Sub(at) <= silentAfter || f.Problem == "" {
		s.hear(host, "agent", f.Epoch, f.Serial, at, time.Time{})
	}
	return nil
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (s *Shield) hear(name, kind string, epoch, serial int64, at, behind time.Time) {
	s.heard.Lock()
	defer s.heard.Unlock()
	h := s.heard.of[name]
	if h == nil {
		h = &heard{kind: kind}
		s.heard.of[name] = h
	}
	if h.kind != kind { // a resolver that bears the name of an edge
		name = kind + " " + name
		if h = s.heard.of[name]; h == nil {
			h = &heard{kind: kind}
			s.heard.of[name] = h
		}
	}
	if epoch > h.epoch || epoch == h.epoch && serial > h.serial {
		h.epoch, h.serial, h.fresh, h.came = epoch, serial, true, at
	}
	if !at.Before(h.at) {
		h.at, h.behind = at, behind
	}
}

// listen writes down what was heard until ctx ends.
func (s *Shield) listen(ctx context.Context) error {
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.reached(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("what hosts have in force is not written down", "err", err)
		}
	}
}

func (s *Shield) reached(ctx context.Context) error {
	now := s.clock.Now()
	if s.feed != nil {
		for name, d := range s.feed.standing() {
			var behind time.Time
			if d.lag > 0 {
				behind = now.Add(-d.lag)
			}
			s.hear(name, "resolver", s.feed.epoch(), int64(d.serial), d.at, behind)
		}
	}
	type row struct {
		name string
		heard
	}
	var news []row
	s.heard.Lock()
	s.relays(now)
	for name, h := range s.heard.of {
		if h.with { // its relay's row says it
			h.fresh, h.reached = false, h.serial
			if now.Sub(h.wrote) > withEvery {
				news = append(news, row{name, *h})
				h.wrote = now
			}
			continue
		}
		if h.kind == string(join.Relay) {
			if h.group.fresh || now.Sub(h.wrote) > stillEvery {
				news = append(news, row{name, h.together()})
				h.group.fresh, h.wrote = false, now
			}
			continue
		}
		if h.fresh || now.Sub(h.wrote) > stillEvery {
			// A beat is in the life of no block.
			if h.fresh && s.feed != nil && h.reached >= int64(s.feed.zones.Real()) {
				h.fresh = false
			}
			news = append(news, row{name, *h})
			if h.fresh {
				h.reached = h.serial
			}
			h.fresh, h.wrote = false, now
		}
	}
	s.heard.Unlock()
	if len(news) == 0 {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, r := range news {
			if _, err := tx.Exec(`insert into shield_stand(name,kind,epoch,serial,at,behind,via) values($1,$2,$3,$4,$5,$6,$7)
				on conflict(name) do update set kind=excluded.kind, epoch=excluded.epoch, serial=excluded.serial, at=excluded.at, behind=excluded.behind, via=excluded.via`,
				r.name, r.kind, r.epoch, r.serial, store.Micros(r.at), store.Micros(r.behind), r.row()); err != nil {
				return err
			}
			if r.fresh {
				if _, err := tx.Exec(`insert into shield_reached(epoch,name,serial,at) values($1,$2,$3,$4) on conflict(epoch,name,serial) do nothing`,
					r.epoch, r.name, r.serial, store.Micros(r.since())); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Stand is where a machine that blocks stands with what was published.
type Stand struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`  // edge, agent, relay or resolver
	State  string    `json:"state"` // current, behind, silent; never: a resolver that has fetched nothing yet
	Serial int64     `json:"serial"`
	Epoch  int64     `json:"epoch"`
	At     time.Time `json:"at"`              // last heard of
	Behind time.Time `json:"behind,omitzero"` // since when there is something newer
	Late   bool      `json:"late,omitempty"`  // for longer than a minute
	Via    string    `json:"via,omitempty"`   // the relay that an edge takes its copy from
	Edges  int       `json:"edges,omitempty"` // of a relay: how many keep up with it
	// InForce is how many blocks it has in force with that serial; absent where
	// that is not known.
	InForce *int64 `json:"blocks_in_force,omitempty"`
	// more is by how much that differs from what is in force now.
	more  int64
	known bool
}

// Blocks is InForce, 0 where that is not known.
func (x Stand) Blocks() int64 {
	if x.InForce == nil {
		return 0
	}
	return *x.InForce
}

// Stands lists the edges and resolvers with the last serial that each has.
func (s *Shield) Stands(ctx context.Context) (out []Stand, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { out, err = s.stands(tx); return err })
	return out, err
}

// ours says that a machine tells us itself where it stands: an edge, an agent
// beside a resolver, or a relay.
func ours(kind string) bool {
	return kind == string(join.Edge) || kind == string(join.Agent) || kind == string(join.Relay)
}

func (s *Shield) stands(tx *store.Tx) ([]Stand, error) {
	var epoch, serial, made int64
	if err := tx.Row(`select epoch,serial,made_at from copy_head where copy=$1`, CopyBlocks).Scan(&epoch, &serial, &made); err != nil && !store.None(err) {
		return nil, err
	}
	known, err := hosts.Every(tx)
	if err != nil {
		return nil, err
	}
	all, err := store.List(tx, func(scan func(...any) error) (x Stand, err error) {
		var at, behind int64
		err = scan(&x.Name, &x.Kind, &x.Epoch, &x.Serial, &at, &behind, &x.Via)
		x.At, x.Behind = store.Time(at), store.Time(behind)
		return x, err
	}, `select name,kind,epoch,serial,at,behind,via from shield_stand order by kind, name`)
	if err != nil {
		return nil, err
	}
	withRelays(all, tx.Now())
	for _, h := range known { // one that has joined and was never heard
		if ours(h.Role) && h.State == "in" && !slices.ContainsFunc(all, func(x Stand) bool { return x.Name == h.Name }) {
			all = append(all, Stand{Name: h.Name, Kind: h.Role, At: h.JoinedAt})
		}
	}
	all = s.resolvers(all)
	out := all[:0]
	for _, x := range all {
		i := slices.IndexFunc(known, func(h hosts.Host) bool { return h.Name == x.Name })
		if ours(x.Kind) && (i < 0 || known[i].State != "in") {
			continue // put out
		}
		if ours(x.Kind) && (x.Epoch < epoch || x.Serial < serial) {
			x.Behind = store.Time(made)
		}
		if x.known = x.Epoch == epoch && x.Serial > 0; x.known && x.Serial < serial {
			if x.more, err = sinceSerial(tx, x.Serial); err != nil {
				return nil, err
			}
		}
		switch {
		case x.State == "never":
		case ours(x.Kind) && tx.Now().Sub(x.At) > silentAfter:
			x.State = "silent"
		case !x.Behind.IsZero():
			x.State, x.Late = "behind", tx.Now().Sub(x.Behind) > lateAfter
		default:
			x.State = "current"
		}
		out = append(out, x)
	}
	return out, nil
}

// resolvers leaves those resolvers in that this desk is configured to watch, and
// adds those that have fetched nothing yet. Who may only look at the zones from
// some range of addresses is nobody in particular and cannot be behind.
func (s *Shield) resolvers(all []Stand) []Stand {
	if s.feed == nil {
		return all
	}
	watched := s.feed.watched()
	all = slices.DeleteFunc(all, func(x Stand) bool {
		return x.Kind == "resolver" && !slices.Contains(watched, strings.TrimPrefix(x.Name, "resolver "))
	})
	for _, name := range watched {
		if !slices.ContainsFunc(all, func(x Stand) bool {
			return x.Kind == "resolver" && strings.TrimPrefix(x.Name, "resolver ") == name
		}) {
			all = append(all, Stand{Name: name, Kind: "resolver", State: "never"})
		}
	}
	return all
}

// sinceSerial is by how much more blocks were in force at a serial than are now.
func sinceSerial(tx *store.Tx, serial int64) (more int64, err error) {
	var placed, ended int64
	if err := tx.Row(`select count(*) from shield_block where state='in_force' and serial>$1 and pass=false`, serial).Scan(&placed); err != nil {
		return 0, err
	}
	err = tx.Row(`select count(*) from shield_block where state<>'in_force' and ended_serial>$1 and serial>0 and serial<=$1 and pass=false`, serial).Scan(&ended)
	return ended - placed, err
}

// Reached is when a machine had a publication.
type Reached struct {
	Name string    `json:"name"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Edges is, of a relay, how many edges keep up with it: they all had it then.
	Edges int `json:"edges,omitempty"`
}

// reachedBy gives when each machine first had a serial or a later one.
func reachedBy(tx *store.Tx, epoch, serial int64) (out []Reached, err error) {
	if serial == 0 {
		return nil, nil
	}
	who, err := store.List(tx, func(scan func(...any) error) (r Reached, err error) {
		err = scan(&r.Name, &r.Kind, &r.Edges)
		return r, err
	}, `select s.name,s.kind,(select count(*) from shield_stand e where e.via=s.name) from shield_stand s order by s.kind, s.name`)
	if err != nil {
		return nil, err
	}
	for _, r := range who {
		var at int64
		err := tx.Row(`select at from shield_reached where epoch=$1 and name=$2 and serial>=$3 order by serial limit 1`, epoch, r.Name, serial).Scan(&at)
		if store.None(err) {
			// An epoch begins with all that was in force.
			err = tx.Row(`select at from shield_reached where epoch>$1 and name=$2 order by epoch, serial limit 1`, epoch, r.Name).Scan(&at)
		}
		if store.None(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.At = store.Time(at)
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Reached) int { return a.At.Compare(b.At) })
	return out, nil
}
