package abuse

import (
	"context"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/abuse/inform"
	"bolwerk/internal/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

// forgetSome is how many rows of a kind one transaction forgets.
const forgetSome = 200

// bodyTime is how long the addresses of an event and the name of its reporter are
// kept: as long as the report itself. What a case rests on is pinned.
const bodyTime = 30 * 24 * time.Hour

// forgetAll forgets once an hour until ctx ends.
func (d *Desk) forgetAll(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := d.Forget(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("retention of abuse reports", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Forget deletes what is over: addresses and reporters after a month, cases a year
// after they were closed with all that they pinned, reports with them.
func (d *Desk) Forget(ctx context.Context) error {
	if d.clock.Suspect() {
		return nil // what is forgotten cannot be brought back
	}
	if d.p.Contacts != nil {
		if err := d.p.Contacts.Forget(ctx); err != nil {
			return err
		}
	}
	now := d.clock.Now()
	month, year := bolwerk.IDsFrom(now.Add(-bodyTime)), store.Micros(now.AddDate(-1, 0, 0))
	for _, step := range []func(*store.Tx) (int64, error){
		func(tx *store.Tx) (int64, error) {
			// What still waits is looked at once more, and ends: nobody can be found for it any more.
			return tx.Exec(`update abuse_event set detail_sealed=null, due_at=case when state in ('fresh','later','person') then $3 else due_at end where id in (select id from abuse_event where detail_sealed is not null and id<$1 order by id limit $2)`, month, forgetSome, tx.NowMicros())
		},
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`update abuse_report set from_sealed=null where id in (select id from abuse_report where from_sealed is not null and id<$1 order by id limit $2)`, month, forgetSome)
		},
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`update abuse_report set reply_sealed=null where id in (select id from abuse_report where reply_sealed is not null and id<$1 order by id limit $2)`, month, forgetSome)
		},
		func(tx *store.Tx) (int64, error) { return d.forgetCases(tx, year) },
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`delete from abuse_fetched where id in (select id from abuse_fetched where at<$1 limit $2)`, store.Micros(now.Add(-2*bodyTime)), forgetSome)
		},
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`delete from abuse_feed_day where day<$1`, now.AddDate(-2, 0, 0).Unix()/86400)
		},
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`delete from abuse_event where id in (select e.id from abuse_event e join abuse_report r on r.id=e.report where e.case_id='' and r.received_at<$1 limit $2)`, year, forgetSome)
		},
		func(tx *store.Tx) (int64, error) {
			return tx.Exec(`delete from abuse_report where id in (select r.id from abuse_report r where r.received_at<$1 and not exists (select 1 from abuse_event e where e.report=r.id) limit $2)`, year, forgetSome)
		},
	} {
		for n := int64(1); n > 0; {
			if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) { n, err = step(tx); return err }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Desk) forgetCases(tx *store.Tx, year int64) (int64, error) {
	held, err := d.HeldCases(tx)
	if err != nil {
		return 0, err
	}
	in, args := store.In(5, append(held, ""))
	ids, err := store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
		`select c.id from desk_case c where c.capability=$1 and c.state in ('decided','closed') and c.touched_at<$2
		and not exists (select 1 from abuse_exemption x where x.case_id=c.id and x.until>$3) and c.id not in (`+in+`) order by c.touched_at limit $4`, append([]any{Name, year, tx.NowMicros(), forgetSome}, args...)...)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := d.forgetCase(tx, id); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}

// forgetCase deletes a case and all that it pinned.
func (d *Desk) forgetCase(tx *store.Tx, id string) error {
	if err := d.p.Who.Unpin(tx, id); err != nil {
		return err
	}
	if err := inform.Forget(tx, d.p.Publish, id); err != nil {
		return err
	}
	if err := d.quarantines.Forget(tx, id); err != nil {
		return err
	}
	for _, q := range []string{`delete from abuse_play where case_id=$1`, `delete from abuse_event where case_id=$1`, `delete from abuse_case_reporter where case_id=$1`, `delete from abuse_case_session where case_id=$1`,
		`delete from abuse_note where case_id=$1`, `delete from abuse_exemption where case_id=$1`, `delete from abuse_case where id=$1`, `delete from desk_case where id=$1`} {
		if _, err := tx.Exec(q, id); err != nil {
			return err
		}
	}
	return nil
}
