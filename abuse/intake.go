package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/garden"
	"bolwerk/desk"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
	"bolwerk/internal/store"
)

// Kinds are what hosts may hand in to the abuse desk.
func Kinds() map[string]handin.Kind {
	return map[string]handin.Kind{
		door.KindReport: {Roles: []join.Role{join.Intake}, Sealed: true},
		door.KindNotice: {Roles: []join.Role{join.Intake}, Sealed: true},
		door.KindBounce: {Roles: []join.Role{join.Intake}, Sealed: true},
		garden.Kind:     {Roles: []join.Role{join.Edge}, Max: 16 << 10},
	}
}

// takeGuest takes what a guest of the safe environment did, as an edge hands it in. What
// was written in a quarantine that is erased meanwhile is given back as lost.
func (d *Desk) takeGuest(ctx context.Context, body []byte) (lost *garden.Event, err error) {
	var e garden.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, bolwerk.Invalid("what a guest did: %v", err)
	}
	if e.Text != "" {
		if _, err := d.quarantines.Row(ctx, e.Quarantine); errors.Is(err, bolwerk.ErrNotFound) {
			return &e, nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, d.quarantines.Take(ctx, []garden.Event{e})
}

// Receive takes what a host hands in. It returns nil once it is durable; the same id
// again changes nothing.
func (d *Desk) Receive(ctx context.Context, host, kind, id string, body []byte) error {
	var lost *garden.Event
	var err error
	switch {
	case kind == garden.Kind:
		lost, err = d.takeGuest(ctx, body)
	case kind == door.KindNotice && d.inform != nil:
		lost, err = d.inform.Receive(ctx, body)
	case kind == door.KindBounce && d.inform != nil:
		return d.takeBounce(ctx, body)
	case kind == door.KindReport:
		return d.receive(ctx, host, id, body)
	default:
		return bolwerk.Invalid("the abuse desk takes no %q", kind)
	}
	if err != nil || lost == nil {
		return err
	}
	return d.receive(ctx, host, id, asReport(*lost).Encode())
}

// receive takes a report.
func (d *Desk) receive(ctx context.Context, host, id string, body []byte) error {
	r, err := door.DecodeReport(body)
	if err != nil {
		return err
	}
	token, err := bolwerk.ParseToken(r.Token)
	if err != nil {
		return err
	}
	sealed, err := d.p.Blobs.Seal(body)
	if err != nil {
		return err
	}
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var have int64
		if err := tx.Row(`select count(*) from abuse_report where id=$1`, id).Scan(&have); err != nil || have > 0 {
			return err
		}
		ref, err := desk.Number(tx, "AR")
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into abuse_report(id,ref,channel,host,received_at,read_at,state,tries,claimed_until,receipt,reporter,body_ref,format,feed,plain,total,read_to,refused,why,fresh,joined,later,person,not_ours,no_line,unknown,portless,exempt,aside,repeated,code,reply,answer,answered_at,reporter_before,named)
			values($1,$2,$3,$4,$5,0,'received',0,0,$6,'',$7,'','',$8,-1,0,0,'',0,0,0,0,0,0,0,0,0,0,0,$9,'','',0,'',$8)`,
			id, ref, string(r.Channel), host, store.Micros(r.ReceivedAt), token.Hash(), sealed.Ref, false, string(Queued)); err != nil {
			return err
		}
		if err := d.p.Blobs.Put(tx, sealed); err != nil {
			return err
		}
		if err := desk.AddReceipt(tx, token.Hash(), "abuse.report", id); err != nil {
			return err
		}
		d.p.Facts.Append(tx, bolwerk.Host(host), fact.ReportReceived, id, fact.Received{Channel: string(r.Channel)})
		d.tellReporter(tx, token.Hash(), door.Status{Code: string(Queued), At: r.ReceivedAt})
		tx.After(func() { ring(d.wake) })
		return nil
	})
}

// asReport is what somebody wrote to a case that is not there any more: it waits for a
// person, as a report without an address does.
func asReport(e garden.Event) door.Report {
	text := "Written to a case that is not there any more:\n\n" + e.Text
	if e.Contact != "" {
		text += "\n\n" + e.Contact
	}
	return door.Report{Channel: door.ByWeb, ReceivedAt: e.At, Token: bolwerk.NewToken().Reveal(), Form: door.Any, Body: []byte(text)}
}

const (
	maxTries  = 3 // the third reader that dies makes a report unreadable
	claimTime = 2 * time.Minute
	writeSome = 50 // events that one transaction writes: a decision never waits for more
)

// unclaim gives up what an earlier run of this desk had taken on when it was killed.
// Only an embedded store is sure to have no other desk at it.
func (d *Desk) unclaim(ctx context.Context) error {
	if d.db.Postgres() {
		return nil
	}
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_report set claimed_until=0 where state='received' and claimed_until>0`)
		return err
	})
}

// work has reports read until ctx ends, one after the other: a feed of a day is one
// report, and its reading must not push the shield's aside.
func (d *Desk) work(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		id, err := d.claim(ctx)
		if err == nil && id != "" {
			err = d.readOne(ctx, id)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("report of abuse not read; tried again in a while", "report", id, "err", err)
			id = ""
		}
		if id != "" {
			continue
		}
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-tick.C:
		}
	}
	return nil
}

// claim takes on one report that nobody reads. The try is counted before its bytes
// are touched.
func (d *Desk) claim(ctx context.Context) (id string, err error) {
	var free int64
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from abuse_report where state='received' and claimed_until<$1 limit 1) x`, store.Micros(d.clock.Now())).Scan(&free)
	}); err != nil || free == 0 {
		return "", err
	}
	err = d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		id = ""
		err := tx.Row(`update abuse_report set claimed_until=$1, tries=tries+1 where id in
			(select id from abuse_report where state='received' and claimed_until<$2 order by received_at, id limit 1) and claimed_until<$2 returning id`,
			store.Micros(tx.Now().Add(claimTime)), tx.NowMicros()).Scan(&id)
		if store.None(err) {
			return nil
		}
		return err
	})
	return id, err
}

// errGone says that the body of a report is kept no more.
var errGone = errors.New("its body is no longer kept")

// body reads a report as it came.
func (d *Desk) body(ctx context.Context, ref string) (in door.Report, err error) {
	var raw []byte
	err = d.db.Read(ctx, func(tx *store.Tx) error { raw, err = d.p.Blobs.Read(tx, ref); return err })
	if errors.Is(err, bolwerk.ErrNotFound) {
		return in, errGone
	}
	if err != nil {
		return in, err
	}
	return door.DecodeReport(raw)
}
