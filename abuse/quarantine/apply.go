package quarantine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

const (
	claimTime = 30 * time.Second // who sends a line's order has until then
	claimMost = 64               // orders that are on their way to one access server
	sendTime  = 20 * time.Second // one order may take; less than claimTime
	atOnce    = 8                // orders to one access server at the same time
	maxNAS    = 64               // access servers that are spoken to at the same time
	unproved  = "unproved"       // code of a line whose access server has shown no release yet
	doubt     = "doubt"          // code of a line of which is not sure whose it is
	broken    = "failed"         // code of a line whose order cannot be made: somebody is alarmed
)

// Run takes the access network where the desk wants it, until ctx ends. Only one desk
// does it at a time: the caller sees to that.
func (d *Desk) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := d.holdAgain(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("not every line in quarantine has its page at the edges", "alarm", true, "err", err)
		}
		return d.sweepAll(ctx)
	})
	if err := d.unclaim(ctx); err != nil && ctx.Err() == nil {
		d.log.Error("orders that an earlier run had sent wait for their claims", "err", err)
	}
	g.Go(func() error { return d.send(ctx) })
	return g.Wait()
}

// edgesOnly is where no access network is told anything: the edges' page is all.
type edgesOnly struct{}

func (edgesOnly) Put(context.Context, enforce.Order) (enforce.Result, error) {
	return enforce.Result{State: enforce.Applied, Code: "edges_only"}, nil
}

// unclaim has what an earlier run was about to send sent again at once.
func (d *Desk) unclaim(ctx context.Context) error {
	return d.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_quarantine_line set due_at=$1 where due_at>$1 and due_at<=$2 and not done and tries=0`, tx.NowMicros(), store.Micros(tx.Now().Add(claimTime)))
		return err
	})
}

// send speaks to each access server on its own: one that is dead holds up nobody else.
func (d *Desk) send(ctx context.Context) error {
	var mu sync.Mutex
	busy := map[string]bool{}
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := d.due(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("orders to the access network wait", "alarm", true, "err", err)
		}
		mu.Lock()
		for _, nas := range all {
			if busy[nas] || len(busy) >= maxNAS {
				continue
			}
			busy[nas] = true
			wg.Go(func() {
				defer func() { mu.Lock(); delete(busy, nas); mu.Unlock() }()
				for ctx.Err() == nil {
					n, err := d.sendSome(ctx, nas)
					if err != nil && ctx.Err() == nil {
						d.log.Error("orders to an access server wait", "alarm", true, "nas", nas, "err", err)
					}
					if n == 0 || err != nil {
						return
					}
				}
			})
		}
		mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-tick.C:
		}
	}
}

// due are the access servers for which something waits.
func (d *Desk) due(ctx context.Context) (all []string, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) },
			`select distinct nas from abuse_quarantine_line where due_at>0 and due_at<=$1`, store.Micros(d.p.Clock.Now()))
		return err
	})
	return all, err
}

// order is an order on its way.
type order struct {
	enforce.Order
	quarantine, key string
}

// sendSome sends what is due at one access server, those on their way back first and
// among them those in need, and takes in what came of it. It returns how many.
func (d *Desk) sendSome(ctx context.Context, nas string) (int, error) {
	orders, passed, err := d.claim(ctx, nas)
	if err != nil {
		return 0, err
	}
	g := errgroup.Group{}
	g.SetLimit(atOnce)
	for _, o := range orders {
		g.Go(func() error {
			ask, cancel := context.WithTimeout(ctx, sendTime)
			defer cancel()
			r, err := d.p.Port.Put(ask, o.Order)
			switch {
			case ctx.Err() != nil:
				return nil // the claim runs out, and it is sent again
			case errors.Is(err, context.DeadlineExceeded):
				r = enforce.Result{State: enforce.Silent, Code: "timeout"}
			case err != nil: // with us: nothing is known of the line
				d.log.Error("an order to the access network could not be sent", "alarm", true, "nas", nas, "err", err)
				r = enforce.Result{State: enforce.Silent, Code: "error"}
			}
			d.count.orders.WithLabelValues(string(o.Profile), string(r.State)).Inc()
			return d.took(ctx, o, r)
		})
	}
	return len(orders) + passed, g.Wait()
}

// claim takes on what is due at one access server. Whose session it is is found anew,
// in the same transaction: what is not sure any more is not sent, unless it is the
// way back.
func (d *Desk) claim(ctx context.Context, nas string) (orders []order, passed int, err error) {
	lane := store.Intake
	if d.db.OnlyWithdrawals() {
		lane = store.WayBack
	}
	err = d.db.Write(ctx, lane, func(tx *store.Tx) error {
		orders, passed = nil, 0
		type due struct{ id, key string }
		all, err := store.List(tx, func(scan func(...any) error) (x due, err error) { return x, scan(&x.id, &x.key) },
			`select quarantine,skey from abuse_quarantine_line where nas=$1 and due_at>0 and due_at<=$2 order by back desc, rank, due_at limit $3`, nas, tx.NowMicros(), claimMost)
		if err != nil {
			return err
		}
		for _, x := range all {
			var o order
			var verdict string
			ok, err := d.try(tx, x.id, "an order to the access network cannot be made, and is tried again in a while; the others go on", func(tx *store.Tx) (err error) {
				o, verdict, err = d.claimOne(tx, x.id, x.key)
				return err
			})
			switch {
			case err != nil:
				return err
			case !ok:
				if err := later(tx, x.id, x.key, asideTime, broken); err != nil {
					return err
				}
			case verdict == "":
				orders = append(orders, o)
			case verdict == "over":
				passed++
			}
		}
		return nil
	})
	return orders, passed, err
}

// claimOne takes on the order for one line, and has it wait where it is not sent now.
func (d *Desk) claimOne(tx *store.Tx, id, key string) (o order, verdict string, err error) {
	q, err := load(tx, id)
	if err == nil {
		err = d.spare(tx, &q)
	}
	if err != nil {
		return o, "", err
	}
	at := slices.IndexFunc(q.lines, func(l line) bool { return l.Key == key })
	if at < 0 { // a step of another line of this claim has ended it
		return o, "over", nil
	}
	if o, verdict, err = d.orderOf(tx, &q, q.lines[at]); err != nil {
		return o, verdict, err
	}
	switch verdict {
	case "":
		err = later(tx, id, key, claimTime, "")
	case "over":
		err = d.step(tx, &q, Sessions{Ended: []string{key}}, rules, nil)
	default:
		err = later(tx, id, key, asideTime, verdict)
	}
	return o, verdict, err
}

// later has the order for a line wait; code, where there is one, says why.
func later(tx *store.Tx, id, key string, wait time.Duration, code string) error {
	_, err := tx.Exec(`update abuse_quarantine_line set due_at=$1, code=case when $2='' then code else $2 end where quarantine=$3 and skey=$4`, store.Micros(tx.Now().Add(wait)), code, id, key)
	return err
}

// orderOf is what is sent for a line: or "over" where there is nothing to send to,
// or why it is not sent now.
func (d *Desk) orderOf(tx *store.Tx, q *Row, l line) (o order, verdict string, err error) {
	h, on, err := d.now(tx, q, l)
	if err != nil {
		if l.Want != enforce.Normal {
			return o, "", err
		}
		d.log.Error("whose line it is cannot be read; it is let out as the session that went in", "alarm", true, "quarantine", q.Ref, "err", err)
		on, err = false, nil
	}
	o = order{Order: enforce.Order{ID: q.ID + "/" + l.Key[:min(len(l.Key), 16)], Version: l.Version, Session: h, Profile: l.Want}, quarantine: q.ID, key: l.Key}
	if l.Want == enforce.Normal {
		o.Was, o.Over = q.Profile, !q.Until.After(tx.Now())
		if !on {
			o.Session, err = d.heldOf(l)
		}
		return o, "", err
	}
	o.Until, o.Was = q.Until, enforce.Normal
	switch {
	case !q.State.Holds():
		return o, "over", nil
	case !q.Until.After(tx.Now()):
		return o, "ended", nil // it may have the profile: the line is kept, and turned back by the sweep
	case !on && l.Tries == 0 && !d.stays(l.NAS):
		return o, "over", nil // a new sign of life brings it back
	case !on:
		return o, doubt, nil // it may have the profile: the line is kept, to be turned back
	case d.p.Clock.Suspect():
		return o, "clock", nil
	case d.p.Proved == nil || !d.p.Proved(l.NAS):
		return o, unproved, nil
	}
	sure, err := d.sure(tx, h)
	if err == nil && !sure {
		verdict = doubt
	}
	return o, verdict, err
}

// now is a line's session as it is open now; false: it is not.
func (d *Desk) now(tx *store.Tx, q *Row, l line) (h session.Held, on bool, err error) {
	who, err := d.identity(*q)
	if err != nil {
		return h, false, err
	}
	_, held, err := d.open(tx, who.Subscriber)
	h, on = held[l.Key]
	return h, on, err
}

func (d *Desk) stays(nas string) bool { return d.p.Stays != nil && d.p.Stays(nas) }

// sure says that nobody else may have the prefix of a session by now.
func (d *Desk) sure(tx *store.Tx, h session.Held) (bool, error) {
	same, within, err := d.p.Who.Holders(tx, h.Prefix)
	if err != nil {
		return false, err
	}
	for _, o := range same {
		if !o.Ports.All() || o.Who() == h.Who() {
			continue
		}
		if o.Ended == session.Open && !o.Seen.Before(h.Start) || !o.Start.Before(h.Start) {
			return false, nil
		}
	}
	for _, o := range within {
		if o.Who() != h.Who() {
			return false, nil
		}
	}
	return true, nil
}

// took takes in what came of an order.
func (d *Desk) took(ctx context.Context, o order, r enforce.Result) error {
	lane := store.Intake
	if o.Profile == enforce.Normal {
		lane = store.WayBack
	}
	return d.db.Write(ctx, lane, func(tx *store.Tx) error {
		q, err := load(tx, o.quarantine)
		if errors.Is(err, bolwerk.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return d.step(tx, &q, Answered{Key: o.key, Version: o.Version, Result: r}, rules, nil)
	})
}
