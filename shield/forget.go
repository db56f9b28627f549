package shield

import (
	"context"
	"errors"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// forgetSome is how many rows of a kind one transaction forgets: a report that
// comes in waits behind it.
const forgetSome = 200

// forget removes what the class "case" keeps, a year after it was over: ended
// blocks with their appeals, then cases without a block, then reports that belong
// to no case, then names that nobody has reported since, campaigns and orders.
// What the audit trail, the facts and the figures hold stays. It runs once a day.
func (s *Shield) forget(ctx context.Context) error {
	if s.clock.Suspect() {
		return nil // what is forgotten cannot be brought back
	}
	before := s.clock.Now().AddDate(-1, 0, 0)
	year := store.Micros(before)
	after := [2]any{int64(0), ""} // reports of cases that live on are passed over
	for _, step := range []func(*store.Tx) (int, error){
		func(tx *store.Tx) (int, error) { return s.forgetBlocks(tx, year) },
		func(tx *store.Tx) (int, error) { return forgetCases(tx, year) },
		func(tx *store.Tx) (int, error) { return forgetReports(tx, year, &after) },
		func(tx *store.Tx) (int, error) { return forgetObservables(tx, year) },
		func(tx *store.Tx) (int, error) { return forgetCampaigns(tx, year) },
		func(tx *store.Tx) (int, error) { return forgetReached(tx, year) },
		forgetPages,
		func(tx *store.Tx) (int, error) { return desk.Forget(tx, before, forgetSome) },
	} {
		for n := 1; n > 0; {
			at := after
			err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
				after = at // the transaction may run again
				n, err = step(tx)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if err := forgetFilters(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(`delete from shield_registration where at>0 and at<$1 and not exists (select 1 from shield_observable o where o.registrable=shield_registration.name)`, year); err != nil {
			return err
		}
		if _, err := tx.Exec(`delete from shield_certificate where at<$1`, year); err != nil {
			return err
		}
		if err := forgetOwners(tx, year); err != nil {
			return err
		}
		_, err := tx.Exec(`delete from shield_edge_pass where until<$1`, year)
		return err
	})
}

// forgetFilters forgets what people kept whose accounts are gone.
func forgetFilters(tx *store.Tx) error {
	people, err := texts(tx, `select distinct person from shield_filter`)
	if err != nil {
		return err
	}
	for _, id := range people {
		if _, err := account.ByID(tx, id); err == nil {
			continue
		} else if !errors.Is(err, bolwerk.ErrNotFound) {
			return err
		}
		if _, err := tx.Exec(`delete from shield_filter where person=$1`, id); err != nil {
			return err
		}
	}
	return nil
}

// each runs every statement for each of the ids.
func each(tx *store.Tx, ids []string, statements ...string) error {
	for _, id := range ids {
		for _, q := range statements {
			if _, err := tx.Exec(q, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts lists the single text column of a query.
func texts(tx *store.Tx, query string, args ...any) ([]string, error) {
	return store.List(tx, func(scan func(...any) error) (t string, err error) { err = scan(&t); return t, err }, query, args...)
}

func (s *Shield) forgetBlocks(tx *store.Tx, year int64) (int, error) {
	refs, err := texts(tx, `select ref from shield_block where state<>'in_force' and ended_at<$1 order by ended_at limit $2`, year, forgetSome)
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		if err := s.ledger.Forget(tx, ref); err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
			return 0, err
		}
	}
	return len(refs), each(tx, refs,
		`delete from desk_receipt where hash in (select receipt from desk_appeal where object=$1 and state='decided')`,
		`delete from desk_appeal where object=$1 and state='decided'`,
		`delete from shield_recheck where block in (select id from shield_block where ref=$1)`,
		`delete from shield_trip where block in (select id from shield_block where ref=$1)`,
		`delete from shield_block where ref=$1`)
}

func forgetCases(tx *store.Tx, year int64) (int, error) {
	ids, err := texts(tx, `select c.id from desk_case c where c.capability=$1 and c.state in ('decided','closed') and c.touched_at<$2
		and not exists (select 1 from shield_block b where b.case_id=c.id) order by c.touched_at limit $3`, Name, year, forgetSome)
	if err != nil {
		return 0, err
	}
	return len(ids), each(tx, ids,
		`delete from desk_approval where proposal in (select id from desk_proposal where case_id=$1)`,
		`delete from desk_proposal where case_id=$1`,
		`delete from shield_settle where case_id=$1`,
		`delete from shield_key where holder=$1`,
		`delete from shield_notice where case_id=$1`,
		`delete from shield_notice_untold where case_id=$1`,
		`delete from shield_owner_answer where case_id=$1`,
		`delete from shield_auto where case_id=$1`, `delete from shield_in_use where case_id=$1`,
		`delete from shield_capture where observable=(select observable from shield_case where id=$1)`,
		`delete from shield_visit where observable=(select observable from shield_case where id=$1)`,
		`delete from shield_case where id=$1`,
		`delete from desk_case where id=$1`,
		`update shield_observable set case_id='' where case_id=$1`)
}

func forgetReports(tx *store.Tx, year int64, after *[2]any) (int, error) {
	type old struct {
		id   string
		at   int64
		live bool
	}
	rows, err := store.List(tx, func(scan func(...any) error) (o old, err error) {
		err = scan(&o.id, &o.at, &o.live)
		return o, err
	}, `select r.id,r.received_at,exists(select 1 from shield_link l join shield_observable o on o.id=l.observable where l.report=r.id and o.case_id<>'')
		from shield_report r where r.received_at<$1 and (r.received_at>$2 or r.received_at=$2 and r.id>$3) order by r.received_at,r.id limit $4`,
		year, after[0], after[1], forgetSome)
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, o := range rows {
		after[0], after[1] = o.at, o.id
		if !o.live {
			ids = append(ids, o.id)
		}
	}
	return len(rows), each(tx, ids,
		`delete from shield_link where report=$1`,
		`delete from shield_picture where report=$1`,
		`delete from desk_notice where kind='shield.answer' and ref=$1`,
		`delete from desk_receipt where hash in (select receipt from shield_report where id=$1)`,
		`delete from shield_report where id=$1`)
}

func forgetObservables(tx *store.Tx, year int64) (int, error) {
	ids, err := texts(tx, `select o.id from shield_observable o where o.last_seen<$1 and o.case_id=''
		and not exists (select 1 from shield_link l where l.observable=o.id)
		and not exists (select 1 from shield_case c where c.observable=o.id) order by o.last_seen limit $2`, year, forgetSome)
	if err != nil {
		return 0, err
	}
	return len(ids), each(tx, ids,
		`delete from shield_evidence where observable=$1`,
		`delete from shield_verdict where observable=$1`,
		`delete from shield_observable where id=$1`)
}

// forgetReached drops when machines had the publications of more than a year ago:
// what is in force for longer no longer says so on its page.
func forgetReached(tx *store.Tx, year int64) (int, error) {
	n, err := tx.Exec(`delete from shield_reached where at in (select at from shield_reached where at<$1 order by at limit $2)`, year, forgetSome)
	return int(n), err
}

func forgetCampaigns(tx *store.Tx, year int64) (int, error) {
	ids, err := texts(tx, `select k.id from shield_campaign k where k.last_seen<$1 and not exists (select 1 from shield_case c where c.campaign=k.id) limit $2`, year, forgetSome)
	if err != nil {
		return 0, err
	}
	return len(ids), each(tx, ids, `delete from shield_campaign_moved where merge in (select id from shield_campaign_merge where from_id=$1 or into_id=$1)`,
		`delete from shield_campaign_merge where from_id=$1 or into_id=$1`, `delete from shield_campaign_hour where campaign=$1`, `delete from shield_key where holder=$1`, `delete from shield_sibling where campaign=$1`, `delete from shield_campaign where id=$1`)
}
