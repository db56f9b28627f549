package quarantine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Release takes a line out, by a person. What is out already is no error: a release
// may be asked for as often as somebody likes.
func (d *Desk) Release(ctx context.Context, who account.Person, id string, mistake bool, reason string) (q Row, err error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxWords {
		return q, bolwerk.Invalid("a decision needs a reason in words, of at most %d octets", maxWords)
	}
	if !who.May(account.Decide) {
		return q, bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	by := ByStaff
	if mistake {
		by = ByMistake
	}
	err = d.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		if q, err = load(tx, id); err != nil {
			return err
		}
		if !q.State.Holds() && q.State != Requested {
			return nil
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.release", q.Ref, "", map[string]string{"how": string(by)})
		if _, err := d.try(tx, q.Ref, "a person lets a line out of quarantine, and its case does not say why", func(tx *store.Tx) error { return d.why(tx, q, who.Actor(), reason) }); err != nil {
			return err
		}
		if err := d.step(tx, &q, Release{by}, who.Actor(), nil); err != nil {
			return err
		}
		if q.State == Dropped {
			return nil
		}
		_, err := d.try(tx, q.Ref, "what waits behind a quarantine that a person ended is not dropped", func(tx *store.Tx) error { return d.dropWaiting(tx, &q, who.Actor()) })
		return err
	})
	return q, err
}

// Retry asks the access network again what it did not take.
func (d *Desk) Retry(ctx context.Context, who account.Person, id string) (q Row, err error) {
	if !who.May(account.Decide) {
		return q, bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	err = d.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		if q, err = load(tx, id); err != nil {
			return err
		}
		if q.State == Requested || q.State == Dropped {
			return bolwerk.Conflict("%s is %s: nothing was sent", q.Ref, q.State)
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.retry", q.Ref, "", nil)
		if err := d.step(tx, &q, Retry{}, who.Actor(), nil); err != nil {
			return err
		}
		tx.After(d.ring)
		return d.meet(tx, &q, who.Actor())
	})
	return q, err
}

// End ends what a case has, in the caller's transaction: the case is closed, or a
// playbook sees the line clean.
func (d *Desk) End(tx *store.Tx, caseID string, how Mechanism, by bolwerk.Actor) error {
	ids, err := idsOf(tx, `select id from abuse_quarantine where case_id=$1 and (state='requested' or state in `+holdsSQL+`)`, caseID)
	if err != nil {
		return err
	}
	for _, id := range ids { // one that fails is an orphan, which the sweep ends
		if _, err := d.alone(tx, id, func(tx *store.Tx, q *Row) error { return d.step(tx, q, Release{how}, by, nil) }); err != nil {
			return err
		}
	}
	return nil
}

func idsOf(tx *store.Tx, query string, args ...any) ([]string, error) {
	return store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, query, args...)
}

// Campaign is a release of many.
type Campaign struct {
	ID       string        `json:"id"`
	Feed     string        `json:"feed,omitempty"`
	Class    string        `json:"class,omitempty"`
	By       bolwerk.Actor `json:"by"`
	Reason   string        `json:"reason"`
	At       time.Time     `json:"at"`
	Total    int64         `json:"total" doc:"lines that are to be released"`
	Begun    int64         `json:"begun" doc:"of them: on their way"`
	Released int64         `json:"released" doc:"of them: the access network said that they are out"`
	Stuck    int64         `json:"stuck"`
}

// Done says that nobody is left inside.
func (c Campaign) Done() bool { return c.Released >= c.Total }

// someBack is how many quarantines of a release of many one transaction turns back: a
// decision never waits for more.
const someBack = 25

// ReleaseAll lets everybody out whose quarantine rests on a feed, is of a class, or
// both; with neither, everybody. It is written down at once and goes on after a
// restart, vulnerable customers and then the oldest first.
func (d *Desk) ReleaseAll(ctx context.Context, who account.Person, feed, class, reason string) (c Campaign, err error) {
	reason, feed, class = strings.TrimSpace(reason), strings.TrimSpace(feed), strings.TrimSpace(class)
	if reason == "" || len(reason) > maxWords || len(feed) > 100 || len(class) > 100 {
		return c, bolwerk.Invalid("a decision needs a reason in words, of at most %d octets", maxWords)
	}
	if !who.May(account.Decide) {
		return c, bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	err = d.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		c = Campaign{ID: bolwerk.NewID(tx.Now()), Feed: feed, Class: class, By: who.Actor(), Reason: reason, At: tx.Now()}
		if err := tx.Row(`select count(*) from abuse_quarantine where (state='requested' or state in `+holdsSQL+`) and ($1='' or feed=$1) and ($2='' or class=$2)`, feed, class).Scan(&c.Total); err != nil {
			return err
		}
		if c.Total == 0 {
			return bolwerk.WithHint(bolwerk.NotFound("nobody is in quarantine for that"), "bolwerk abuse quarantine list shows feeds and classes")
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.release_all", c.ID, reason, map[string]any{"feed": feed, "class": class, "lines": c.Total})
		tx.After(d.ring)
		_, err := tx.Exec(`insert into abuse_quarantine_many(id,feed,class,actor,reason,at,before,total,done_at) values($1,$2,$3,$4,$5,$6,$6,$7,0)`,
			c.ID, feed, class, who.Actor().String(), reason, tx.NowMicros(), c.Total)
		return err
	})
	return c, err
}

// releaseSome turns back some of the releases of many that are not through.
func (d *Desk) releaseSome(ctx context.Context) (n int, err error) {
	var some int64
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from abuse_quarantine_many where done_at=0`).Scan(&some)
	}); err != nil || some == 0 {
		return 0, err
	}
	err = d.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		n = 0
		type many struct {
			id, feed, class, actor string
			before                 int64
		}
		open, err := store.List(tx, func(scan func(...any) error) (m many, err error) {
			return m, scan(&m.id, &m.feed, &m.class, &m.actor, &m.before)
		}, `select id,feed,class,actor,before from abuse_quarantine_many where done_at=0 order by at, id`)
		if err != nil {
			return err
		}
		for _, m := range open {
			if n == someBack {
				return nil
			}
			by, err := bolwerk.ParseActor(m.actor)
			if err != nil {
				by = rules // who let them out stands in the audit trail, too
			}
			ids, done, err := d.some(tx, someBack-n, `select id from abuse_quarantine where (state='requested' or state in `+holdsSQL+`) and ($1='' or feed=$1) and ($2='' or class=$2) and asked_at<=$3 order by needy desc, start_at, id limit $4`, m.feed, m.class, m.before)
			if err != nil {
				return err
			}
			n += len(ids)
			for _, id := range ids {
				ok, err := d.alone(tx, id, func(tx *store.Tx, q *Row) error {
					q.Campaign = m.id
					if _, err := tx.Exec(`update abuse_quarantine set campaign=$1 where id=$2`, m.id, id); err != nil {
						return err
					}
					return d.step(tx, q, Release{ByMistake}, by, nil)
				})
				if err != nil {
					return err
				}
				done = done && ok
			}
			if !done {
				continue // also where one is set aside: it is to come out yet
			}
			if _, err := tx.Exec(`update abuse_quarantine_many set done_at=$1 where id=$2`, tx.NowMicros(), m.id); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// Campaigns are the last releases of many, newest first, with how far they are.
func (d *Desk) Campaigns(ctx context.Context, limit int) (out []Campaign, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (c Campaign, err error) {
			var by string
			var at int64
			if err := scan(&c.ID, &c.Feed, &c.Class, &by, &c.Reason, &at, &c.Total); err != nil {
				return c, err
			}
			c.At = store.Time(at)
			c.By, err = bolwerk.ParseActor(by)
			return c, err
		}, `select id,feed,class,actor,reason,at,total from abuse_quarantine_many order by at desc, id desc limit $1`, min(max(limit, 1), 100))
		if err != nil {
			return err
		}
		for i := range out {
			if err := tx.Row(`select count(*), coalesce(sum(case when state in ('released','dropped') then 1 else 0 end),0), coalesce(sum(case when state='stuck' then 1 else 0 end),0) from abuse_quarantine where campaign=$1`, out[i].ID).Scan(&out[i].Begun, &out[i].Released, &out[i].Stuck); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

const (
	sweepEvery = time.Second
	waitEvery  = 15 * time.Second // how often what the brake holds back is looked at
	someSwept  = 25
	someWait   = 100            // of them at one sweep
	lineTime   = 24 * time.Hour // how long lines are known after their way back
)

// sweepAll ends what is over, until ctx ends.
func (d *Desk) sweepAll(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := d.Sweep(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("quarantines that are over are not ended; edges and access servers end them by themselves", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep ends what is over: by time, because the case was closed, or by a release of
// many. Then it looks at what the brake holds back. A clock that jumped holds up none
// of the first three, and none of them another.
func (d *Desk) Sweep(ctx context.Context) (err error) {
	for _, some := range []func(context.Context) (int, error){d.releaseSome, d.expire, d.orphans, d.waiting, d.forget} {
		for {
			n, failed := some(ctx)
			if err = errors.Join(err, failed); n == 0 || failed != nil {
				break
			}
		}
	}
	return err
}

// each runs a step for the quarantines of a query, in lane, at most so many; the query's
// last argument is its limit. It returns how many, with those whose step failed: these
// are set aside.
func (d *Desk) each(ctx context.Context, lane store.Lane, most int, query string, args []any, fn func(*store.Tx, *Row) error) (n int, err error) {
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		ids, _, err := d.some(tx, most, query, args...)
		n = len(ids)
		return err
	}); err != nil || n == 0 {
		return 0, err
	}
	err = d.db.Write(ctx, lane, func(tx *store.Tx) error {
		ids, _, err := d.some(tx, most, query, args...)
		if err != nil {
			return err
		}
		n = len(ids)
		for _, id := range ids {
			if _, err := d.alone(tx, id, fn); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

func (d *Desk) expire(ctx context.Context) (int, error) {
	return d.each(ctx, store.WayBack, someSwept, `select id from abuse_quarantine where (state='requested' or state in `+holdsSQL+`) and until<=$1 order by needy desc, until limit $2`,
		[]any{store.Micros(d.p.Clock.Now())}, func(tx *store.Tx, q *Row) error { return d.step(tx, q, Tick{}, rules, nil) })
}

// orphans are those whose case is over, however that came.
func (d *Desk) orphans(ctx context.Context) (int, error) {
	return d.each(ctx, store.WayBack, someSwept, `select q.id from abuse_quarantine q left join desk_case c on c.id=q.case_id where (q.state='requested' or q.state in `+holdsSQL+`) and (c.id is null or c.state in ('decided','closed')) limit $1`,
		nil, func(tx *store.Tx, q *Row) error { return d.step(tx, q, Release{ByCase}, rules, nil) })
}

// waiting looks at what the brake holds back: some at each sweep until all were looked
// at, then again after a while. What waits long holds up nothing that came later.
func (d *Desk) waiting(ctx context.Context) (int, error) {
	now := d.p.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.after == "" && now.Sub(d.looked) < waitEvery && !now.Before(d.looked) {
		return 0, nil
	}
	last := ""
	n, err := d.each(ctx, store.Intake, someWait, `select id from abuse_quarantine where state='requested' and id>$1 order by id limit $2`, []any{d.after}, func(tx *store.Tx, q *Row) error {
		last = q.ID
		if slices.Contains(q.Waits, "second") && q.SecondBy == "" {
			return nil
		}
		_, _, err := d.again(tx, q, q.SecondBy, rules)
		return err
	})
	if d.after = last; n < someWait {
		d.after, d.looked = "", now
	}
	return 0, err
}

// forget deletes the lines of what has been over for a day.
func (d *Desk) forget(ctx context.Context) (int, error) {
	if d.p.Clock.Suspect() {
		return 0, nil // what is forgotten cannot be brought back
	}
	old := store.Micros(d.p.Clock.Now().Add(-lineTime))
	var some int64
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from abuse_quarantine_line l join abuse_quarantine q on q.id=l.quarantine where q.state='released' and q.ended_at<$1 and l.done limit 1) x`, old).Scan(&some)
	}); err != nil || some == 0 {
		return 0, err
	}
	var n int64
	err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`delete from abuse_quarantine_line where quarantine in (select q.id from abuse_quarantine q where q.state='released' and q.ended_at<$1 and exists (select 1 from abuse_quarantine_line l where l.quarantine=q.id) limit $2) and done`, old, someSwept)
		if err != nil {
			return err
		}
		// Of a case that was erased while its line was still on its way out.
		_, err = tx.Exec(`delete from abuse_quarantine where state in ('released','dropped') and ended_at<$1 and not exists (select 1 from desk_case c where c.id=case_id) and not exists (select 1 from abuse_quarantine_line l where l.quarantine=abuse_quarantine.id)`, old)
		return err
	})
	return int(n), err
}

// Forget deletes all of a case, in the caller's transaction: the case's own time is
// over. What still holds a line is released first, and deleted once it is out.
func (d *Desk) Forget(tx *store.Tx, caseID string) error {
	if err := d.End(tx, caseID, ByCase, rules); err != nil {
		return err
	}
	for _, q := range []string{`delete from abuse_quarantine_line where quarantine in (select id from abuse_quarantine where case_id=$1 and state in ('released','dropped'))`,
		`delete from abuse_quarantine_said where quarantine in (select id from abuse_quarantine where case_id=$1 and state in ('released','dropped'))`, `delete from abuse_quarantine where case_id=$1 and state in ('released','dropped')`} {
		if _, err := tx.Exec(q, caseID); err != nil {
			return err
		}
	}
	return nil
}
