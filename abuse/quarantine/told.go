package quarantine

import (
	"slices"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/store"
)

// compare compares what accounting tells of the lines in quarantine, and of those that
// came out within a day, with what they are to have.
func (d *Desk) compare(tx *store.Tx, all []who.Filtered) error {
	if d.p.Told == nil || len(all) == 0 {
		return nil
	}
	told, whose := map[string]Accounted{}, map[string]string{}
	for _, f := range all {
		p, ok := d.p.Told(f.NAS, f.Filters)
		if !ok {
			continue
		}
		may, err := d.keysOf(session.Held{Source: session.Radius, NAS: f.NAS, Session: f.Session})
		if err != nil {
			return err
		}
		for _, key := range may {
			if t, ok := told[key]; !ok || f.At.After(t.At) { // the last word of a batch
				told[key], whose[key] = Accounted{Key: key, Profile: p, At: f.At}, f.Subscriber
			}
		}
	}
	keys := make([]string, 0, len(told))
	for k := range told {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	known := map[string]bool{} // those of which a quarantine knows
	for part := range slices.Chunk(keys, store.ListMost) {
		in, args := store.In(1, part)
		type place struct{ id, key string }
		lines, err := store.List(tx, func(scan func(...any) error) (p place, err error) { return p, scan(&p.id, &p.key) },
			`select quarantine,skey from abuse_quarantine_line where skey in (`+in+`) order by quarantine,skey`, args...)
		if err != nil {
			return err
		}
		for _, p := range lines {
			known[p.key] = true
			if p.id, err = d.newest(tx, p.id, p.key); err != nil {
				return err
			} else if p.id == "" {
				continue
			}
			q, err := load(tx, p.id)
			if err != nil {
				return err
			}
			before := q.version
			if err := d.step(tx, &q, told[p.key], rules, nil); err != nil {
				return err
			}
			if q.version != before {
				tx.After(d.ring)
			}
		}
	}
	for _, k := range keys {
		if known[k] || told[k].Profile == enforce.Normal || whose[k] == "" {
			continue
		}
		if err := d.stray(tx, k, whose[k]); err != nil {
			return err
		}
	}
	return nil
}

// stray takes back a session that accounting tells of with a profile after its
// subscriber's quarantine was over: it took it at its login, and was heard of late.
func (d *Desk) stray(tx *store.Tx, key, subscriber string) error {
	marks, err := d.p.Keys.Kept().Marks(markWho, session.Identity{Subscriber: subscriber}.Who())
	if err != nil || len(marks) == 0 {
		return err
	}
	in, args := store.In(1, marks)
	ids, err := idsOf(tx, `select id from abuse_quarantine where mark in (`+in+`) and start_at>0 order by start_at desc, id desc limit 1`, args...)
	if err != nil || len(ids) == 0 {
		return err
	}
	q, err := load(tx, ids[0])
	if err != nil {
		return err
	}
	open, held, err := d.open(tx, subscriber)
	if err != nil || open.Open[key] == "" {
		return err
	}
	tx.After(d.ring)
	return d.step(tx, &q, Stray{Key: key, NAS: open.Open[key]}, rules, held)
}

// newest is id where no other quarantine has the session as well since: what one that
// began before wanted is over. Else it is empty.
func (d *Desk) newest(tx *store.Tx, id, key string) (string, error) {
	var last string
	err := tx.Row(`select q.id from abuse_quarantine_line l join abuse_quarantine q on q.id=l.quarantine where l.skey=$1 order by q.start_at desc, q.id desc limit 1`, key).Scan(&last)
	if err != nil || last != id {
		return "", err
	}
	return id, nil
}

// lied says by name which access server acknowledges and does not act, and has nothing
// more put in behind it.
func (d *Desk) lied(tx *store.Tx, q *Row) error {
	if d.p.Lied == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, l := range q.lines {
		if !l.Lied() || seen[l.NAS] {
			continue
		}
		seen[l.NAS] = true
		code := "a line stays in the normal profile"
		if l.Want == enforce.Normal {
			code = "a line is locked in"
		}
		if err := d.p.Lied(tx, l.NAS, code); err != nil {
			return err
		}
	}
	return nil
}
