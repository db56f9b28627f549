package abuse

import (
	"context"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// InventedCase is a case that never was, for a demonstration.
type InventedCase struct {
	Who   session.Identity
	Class reading.Class
	// Seen are the times at which the feed told of the line, the oldest first; at least one.
	Seen []time.Time
	// Opened is when its case was opened, Closed when it was closed as clean; zero: it is open.
	Opened, Closed time.Time
	// Done is what was done about it at its opening: a Done.
	Done string
}

// Invent keeps a feed that was heard on days, and cases that rest on what it told then,
// for a demonstration. Addresses are not kept, as those of a real report are not after a
// month; no playbook goes on with them. Again it changes nothing.
func (d *Desk) Invent(ctx context.Context, feed string, days []time.Time, cases []InventedCase) error {
	events := map[clean.Day]int64{}
	for _, c := range cases {
		for _, at := range c.Seen {
			events[clean.DayOf(at)]++
		}
	}
	reports := map[clean.Day]string{}
	for _, day := range days {
		id := bolwerk.IDOf(day, feed)
		reports[clean.DayOf(day)] = id
		fresh := false
		err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
			fresh, err = inventDay(tx, feed, id, day, events[clean.DayOf(day)])
			return err
		})
		if err != nil || !fresh {
			return err
		}
	}
	for i, c := range cases {
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return d.inventCase(tx, c, i, reports) }); err != nil {
			return err
		}
	}
	return nil
}

// inventDay keeps the table of a day. False: it is there.
func inventDay(tx *store.Tx, feed, id string, day time.Time, events int64) (fresh bool, err error) {
	var have int64
	if err := tx.Row(`select count(*) from abuse_report where id=$1`, id).Scan(&have); err != nil || have > 0 {
		return false, err
	}
	ref, err := desk.Number(tx, "AR")
	if err != nil {
		return false, err
	}
	at := store.Micros(day)
	if _, err := tx.Exec(`insert into abuse_report(id,ref,channel,host,received_at,read_at,state,tries,claimed_until,receipt,reporter,body_ref,format,feed,plain,total,read_to,refused,why,fresh,joined,later,person,not_ours,no_line,unknown,portless,exempt,aside,repeated,code,reply,answer,answered_at,reporter_before,named)
		values($1,$2,'file','',$3,$3,'done',1,0,$1,'','','shadowserver',$4,$5,$6,$6,0,'',0,$6,0,0,0,0,0,0,0,0,0,$7,'not_mail','',0,'',$8)`, id, ref, at, feed, false, events, string(Actioned), true); err != nil {
		return false, err
	}
	if _, err := tx.Exec(`insert into abuse_feed(name,heard_at) values($1,$2) on conflict(name) do update set heard_at=excluded.heard_at where abuse_feed.heard_at<excluded.heard_at`, feed, at); err != nil {
		return false, err
	}
	_, err = tx.Exec(`insert into abuse_feed_day(name,day,reports,events) values($1,$2,1,$3) on conflict(name,day) do nothing`, feed, int64(clean.DayOf(day)), events)
	return true, err
}

func (d *Desk) inventCase(tx *store.Tx, in InventedCase, nth int, reports map[clean.Day]string) error {
	by := bolwerk.Task("demo")
	c, err := d.openCase(tx, outcome{pending: pending{class: in.Class}, who: in.Who}, by)
	if err != nil {
		return err
	}
	role, basis := reading.Doer, reading.Sinkhole
	if strings.HasPrefix(string(in.Class), "vulnerable/") {
		role, basis = reading.Exposed, reading.Answered
	}
	for i, at := range in.Seen {
		if _, err := tx.Exec(`insert into abuse_event(id,report,nth,once,again,class,role,basis,spoofable,plain,at,time_kind,detail_sealed,state,why,found,case_id,due_at,asked)
			values($1,$2,$3,$1,0,$4,$5,$6,$7,$7,$8,$9,null,'joined','',1,$10,0,1)`,
			bolwerk.NewID(at), reports[clean.DayOf(at)], nth*100+i, string(in.Class), string(role), string(basis), false, store.Micros(at), string(reading.Exact), c.ID); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`update abuse_case set events=$1, reporters=1, solid=$1, named=$1, first_seen=$2, last_seen=$3 where id=$4`,
		len(in.Seen), store.Micros(in.Seen[0]), store.Micros(in.Seen[len(in.Seen)-1]), c.ID); err != nil {
		return err
	}
	if err := d.prioritise(tx, c.ID); err != nil {
		return err
	}
	opened, closed := store.Micros(in.Opened), int64(0)
	type happened struct {
		kind, code string
		at         int64
	}
	var notes []happened
	switch Done(in.Done) {
	case Quarantined:
		notes = append(notes, happened{"quarantined", "leaky", opened}, happened{"informed", "quarantined:mail", opened})
	case Informed:
		notes = append(notes, happened{"informed", "warned:mail", opened})
	}
	if !in.Closed.IsZero() {
		closed = store.Micros(in.Closed)
		if err := desk.SetCase(tx, c, desk.Waiting, desk.Closed, string(Cleaned)); err != nil {
			return err
		}
		notes = append(notes, happened{"clean", string(Cleaned), closed}, happened{"closed", string(Cleaned), closed})
	}
	for _, n := range notes {
		if err := d.note(tx, c.ID, n.kind, bolwerk.Rule("abuse"), n.code, ""); err != nil {
			return err
		}
		if _, err := tx.Exec(`update abuse_note set at=$1 where case_id=$2 and kind=$3`, n.at, c.ID, n.kind); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`update abuse_note set at=$1 where case_id=$2 and kind='opened'`, opened, c.ID); err != nil {
		return err
	}
	_, err = tx.Exec(`update desk_case set opened_at=$1, touched_at=$2, closed_at=$3 where id=$4`, opened, max(opened, closed), closed, c.ID)
	return err
}
