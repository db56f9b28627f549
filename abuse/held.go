package abuse

import (
	"slices"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// held are the holds in force.
func (d *Desk) held(tx *store.Tx) ([]desk.Hold, error) {
	if d.p.Holds == nil {
		return nil, nil
	}
	return d.p.Holds.Held(tx)
}

// HeldCases are the ids of the cases that are held: by themselves, or with all of their
// subscriber.
func (d *Desk) HeldCases(tx *store.Tx) (ids []string, err error) {
	all, err := d.held(tx)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.Case != "" {
			ids = append(ids, h.Case)
			continue
		}
		marks, err := d.marksNamed(h.Subscriber)
		if err != nil {
			return nil, err
		}
		in, args := store.In(1, append(marks, ""))
		if err := tx.Each(`select id from abuse_case where mark in (`+in+`)`, args, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// holdOf is the hold that a case is under; the one that ends last, and nil for none.
func (d *Desk) holdOf(tx *store.Tx, id string) (last *desk.Hold, err error) {
	all, err := d.held(tx)
	if err != nil {
		return nil, err
	}
	var mark string
	if err := tx.Row(`select mark from abuse_case where id=$1`, id).Scan(&mark); err != nil {
		return nil, err
	}
	for _, h := range all {
		marks := []string{}
		if h.Case == "" {
			if marks, err = d.marksNamed(h.Subscriber); err != nil {
				return nil, err
			}
		}
		if (h.Case == id || slices.Contains(marks, mark)) && (last == nil || h.Until.After(last.Until)) {
			last = &h
		}
	}
	return last, nil
}
