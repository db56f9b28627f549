package privacy

import (
	"context"
	"time"

	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// waits is how long a wish for an erasure waits for its second person: the month within
// which a subscriber is answered (GDPR art. 12(3)).
const waits = 31 * 24 * time.Hour

// Run finishes what was approved, and forgets once an hour, until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := d.Forget(ctx); err != nil && ctx.Err() == nil {
			d.p.Log.Error("requests and holds of privacy", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Forget carries out what was approved and not finished, lets wishes go that nobody
// approved, and deletes requests and holds a year after they ended, with their keys.
func (d *Desk) Forget(ctx context.Context) error {
	var left []string
	if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
		left, err = store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) }, `select id from privacy_request where state='approved'`)
		return err
	}); err != nil {
		return err
	}
	for _, id := range left {
		if _, err := d.carry(ctx, id); err != nil { // it may be held since
			d.p.Log.Error("an erasure that was approved is not finished", "alarm", true, "request", id, "err", err)
		}
	}
	if d.clock.Suspect() {
		return nil // what is forgotten cannot be brought back
	}
	now := d.clock.Now()
	year, month := store.Micros(now.AddDate(-1, 0, 0)), store.Micros(now.Add(-waits))
	err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, step := range []struct {
			q    string
			args []any
		}{
			{`update desk_proposal set state='void' where state='open' and action='` + eraseAction + `' and at<$1`, []any{month}},
			{`update privacy_request set state='expired', subscriber_sealed=null, decided_at=$1 where state='waits' and asked_at<$2`, []any{store.Micros(now), month}},
			{`delete from privacy_request where decided_at>0 and decided_at<$1`, []any{year}},
			{`update privacy_hold set subscriber_sealed=null, copy_sealed=null where copy_sealed is not null and until<=$1`, []any{store.Micros(now)}},
			{`delete from privacy_hold where until<$1 or ended_at>0 and ended_at<$1`, []any{year}},
		} {
			if _, err := tx.Exec(step.q, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.DestroyKeys(ctx)
}

// DestroyKeys destroys the keys here that nothing needs: each desk has its own files, and
// one of them forgets.
func (d *Desk) DestroyKeys(ctx context.Context) error {
	if d.clock.Suspect() {
		return nil // a key cannot be brought back
	}
	first := d.clock.Now()
	err := d.db.Read(ctx, func(tx *store.Tx) error {
		for _, q := range []string{`select coalesce(min(asked_at),0) from privacy_request where subscriber_sealed is not null`, `select coalesce(min(at),0) from privacy_hold where copy_sealed is not null`} {
			var at int64
			if err := tx.Row(q).Scan(&at); err != nil {
				return err
			}
			if t := store.Time(at); at > 0 && t.Before(first) {
				first = t
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = d.vault.Destroy(vault.Month(first))
	return err
}
