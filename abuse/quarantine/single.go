package quarantine

import (
	"slices"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// A subscriber is in one quarantine at a time. Two would tell the same sessions different
// things, and the end of one would let out what the other holds: the second waits until
// every line is out of the first.

// turn has one wish judged after the other: two for one subscriber, at the same time,
// would each see no other.
func turn(tx *store.Tx) error {
	_, err := tx.Exec(`insert into abuse_quarantine_turn(one) values(1) on conflict(one) do update set one=1`)
	return err
}

// others are the quarantines of a subscriber, but own, of which where is so.
func (d *Desk) others(tx *store.Tx, who session.Identity, own, where string) ([]string, error) {
	marks, err := d.p.Keys.Kept().Marks(markWho, who.Who())
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	in, args := store.In(2, marks)
	return idsOf(tx, `select q.id from abuse_quarantine q where q.id<>$1 and q.mark in (`+in+`) and (`+where+`) order by q.id`, append([]any{own}, args...)...)
}

// inside says that another quarantine of the subscriber has a line, or turns one back.
const inside = `q.state in ` + liveSQL + ` or q.state='released' and exists (select 1 from abuse_quarantine_line l where l.quarantine=q.id and not l.done)`

// replaced says that q is over and the subscriber is in another by now: what q wanted of
// the lines counts no more.
func (d *Desk) replaced(tx *store.Tx, q *Row) (bool, error) {
	if q.State != Released {
		return false, nil
	}
	who, err := d.identity(*q)
	if err != nil { // its way back goes on
		d.log.Error("whose quarantine it was cannot be read; it is taken to be the last", "alarm", true, "quarantine", q.Ref, "err", err)
		return false, nil
	}
	ids, err := d.others(tx, who, q.ID, `q.state in `+holdsSQL)
	return len(ids) > 0, err
}

// dropWaiting drops what rules ask for and what waits until q is over: whom a person lets
// out is not back a moment later. The cases of those say so.
func (d *Desk) dropWaiting(tx *store.Tx, q *Row, by bolwerk.Actor) error {
	who, err := d.identity(*q)
	if err != nil {
		return err
	}
	ids, err := d.others(tx, who, q.ID, `q.state='requested' and q.automatic`)
	for _, id := range ids {
		o, err := load(tx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(o.Waits, "other") {
			continue
		}
		if err := d.step(tx, &o, Drop{}, by, nil); err != nil {
			return err
		}
		if err := d.p.Cases.Happened(tx, o, "step", "left:quarantine", by, ""); err != nil {
			return err
		}
	}
	return err
}
