package quarantine

import (
	"maps"
	"net/netip"
	"slices"

	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/store"
)

const (
	holdsSQL = `('approved','applying','active','pending','failed','acknowledged','offered')`
	liveSQL  = `('approved','applying','active','pending','failed','acknowledged','offered','releasing','stuck')`
)

// told hears in the transaction of accounting what changed: a Start of somebody in
// quarantine is answered by applying it again, a Stop ends the line. What fails here
// never holds up accounting.
func (d *Desk) told(tx *store.Tx, t who.Told) error {
	if d.p.Told != nil && len(t.Filters) > 0 {
		failed, err := tx.Try(func(tx *store.Tx) error { return d.compare(tx, t.Filters) })
		if failed != nil {
			d.log.Error("what accounting tells of filters is not compared", "alarm", true, "err", failed)
		}
		if err != nil {
			return err
		}
	}
	var some int64
	late := store.Micros(tx.Now().Add(-lateLogins))
	if err := tx.Row(`select (select count(*) from (select 1 from abuse_quarantine where state in `+liveSQL+` limit 1) a)+(select count(*) from (select 1 from abuse_quarantine where ended_at>$1 limit 1) b)`, late).Scan(&some); err != nil || some == 0 {
		return err
	}
	failed, err := tx.Try(func(tx *store.Tx) error { return d.follow(tx, t, late) })
	if failed != nil {
		d.log.Error("quarantines do not follow sessions", "alarm", true, "err", failed)
	}
	return err
}

func (d *Desk) follow(tx *store.Tx, t who.Told, late int64) error {
	touched, names := map[netip.Prefix]bool{}, []string{}
	for _, p := range t.Touched {
		touched[p.Prefix] = true
		if p.Subscriber != "" && !slices.Contains(names, p.Subscriber) {
			names = append(names, p.Subscriber)
		}
	}
	ids := map[string]bool{}
	add := func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		ids[id] = true
		return err
	}
	var marks []string
	for _, n := range names {
		all, err := d.p.Keys.Kept().Marks(markWho, session.Identity{Subscriber: n}.Who())
		if err != nil {
			return err
		}
		marks = append(marks, all...)
	}
	for part := range slices.Chunk(marks, store.ListMost) {
		in, args := store.In(2, part)
		if err := tx.Each(`select id from abuse_quarantine where mark in (`+in+`) and (state in `+liveSQL+` or ended_at>$1)`, append([]any{late}, args...), add); err != nil {
			return err
		}
	}
	restarted := map[string]bool{}
	for _, r := range t.Restarted {
		restarted[r.NAS] = true
		if err := tx.Each(`select distinct l.quarantine from abuse_quarantine_line l join abuse_quarantine q on q.id=l.quarantine where l.nas=$1 and q.state in `+liveSQL, []any{r.NAS}, add); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) { // in one order, as others take them
		if _, err := d.try(tx, id, "a quarantine does not follow the sessions of its line", func(tx *store.Tx) error {
			return d.followOne(tx, id, touched, restarted)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) followOne(tx *store.Tx, id string, touched map[netip.Prefix]bool, restarted map[string]bool) error {
	q, err := load(tx, id)
	if err != nil {
		return err
	}
	who, err := d.identity(q)
	if err != nil {
		return err
	}
	e, held, err := d.open(tx, who.Subscriber)
	if err != nil {
		return err
	}
	for _, l := range q.lines {
		if _, on := e.Open[l.Key]; on || d.stays(l.NAS) {
			continue // what outlives its session is turned back at the end
		}
		h, err := d.heldOf(l)
		if err != nil {
			return err
		}
		if touched[h.Prefix] || restarted[h.NAS] { // told, and not open any more
			e.Ended = append(e.Ended, l.Key)
		}
	}
	before := q.version
	if err := d.spare(tx, &q); err != nil {
		return err
	}
	if err := d.step(tx, &q, e, rules, held); err != nil {
		return err
	}
	if q.version != before {
		tx.After(d.ring)
	}
	return nil
}
