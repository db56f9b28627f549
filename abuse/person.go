package abuse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// keyOf names a candidate in a form without saying who it is.
func keyOf(i session.Identity) string {
	h := sha256.Sum256([]byte("bolwerk candidate " + i.Who()))
	return hex.EncodeToString(h[:12])
}

// Take puts an event that waits for a person into the case of the candidate that
// the person chose. The address is asked about again: what was shown may be old.
func (d *Desk) Take(ctx context.Context, who account.Person, event, candidate, why string) error {
	why = strings.TrimSpace(why)
	if why == "" || len(why) > 500 {
		return bolwerk.Invalid("a decision needs a reason in words, of at most 500 octets")
	}
	if !who.May(account.Decide) {
		return bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	p, err := d.pendingOf(ctx, event)
	if err != nil {
		return err
	}
	if err := d.open(&p); err != nil {
		return err
	}
	if !p.event.SourceIP.IsValid() || p.event.Time.IsZero() {
		return bolwerk.Conflict("the event names no address and time: nobody can be found")
	}
	a, err := d.p.Who.Resolve(ctx, asked(p.event))
	if err != nil {
		return err
	}
	at := slices.IndexFunc(a.Candidates, func(c session.Candidate) bool { return keyOf(c.Identity) == candidate })
	if at < 0 {
		return bolwerk.WithHint(bolwerk.Conflict("this candidate is none any more"), "look at the report again")
	}
	o := outcome{pending: p, to: Joined, found: len(a.Candidates), who: a.Candidates[at].Identity, answer: a}
	o.answer.Candidates = []session.Candidate{a.Candidates[at]} // what the case rests on
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		ok, err := d.move(tx, o)
		if err != nil {
			return err
		}
		if !ok {
			return bolwerk.Conflict("the event was decided meanwhile")
		}
		if err := d.join(tx, o, who.Actor()); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.event.take", p.id, "", map[string]int{"candidates": len(a.Candidates)})
		var id string
		if err := tx.Row(`select case_id from abuse_event where id=$1`, p.id).Scan(&id); err != nil {
			return err
		}
		if err := d.note(tx, id, "note", who.Actor(), "", why); err != nil {
			return err
		}
		return d.settle(tx, p.report)
	})
}

func (d *Desk) pendingOf(ctx context.Context, event string) (p pending, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		all, err := d.pendings(tx, `e.id=$1`, event)
		if err == nil && len(all) == 0 {
			err = bolwerk.NotFound("no event %.60q", event)
		}
		if err == nil {
			p = all[0]
		}
		return err
	})
	return p, err
}

// PutAside ends what waits of a report without a case: one event, or all of them
// and the report itself where event is empty. code is what the reporter is told.
func (d *Desk) PutAside(ctx context.Context, who account.Person, report, event string, code Code, why string) error {
	why = strings.TrimSpace(why)
	switch {
	case why == "" || len(why) > 500:
		return bolwerk.Invalid("a decision needs a reason in words, of at most 500 octets")
	case code != NoAction && code != NeedMore && code != NotResolvable:
		return bolwerk.Invalid("choose what the reporter is told: REVIEWED_NO_ACTION, NEED_MORE_INFORMATION or NOT_RESOLVABLE")
	case !who.May(account.Decide):
		return bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	to := map[Code]State{NoAction: Aside, NeedMore: Unknown, NotResolvable: Unknown}[code]
	put := 0 // in the transactions before
	for {
		more, now := false, 0
		err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			var id string
			err := tx.Row(`select id from abuse_report where id=$1 or ref=$1`, report).Scan(&id)
			if store.None(err) {
				return bolwerk.NotFound("no report of abuse %.60q", report)
			}
			if err != nil {
				return err
			}
			where, args := `e.report=$1 and e.state='person' order by e.nth limit $2`, []any{id, writeSome}
			if event != "" {
				where, args = `e.report=$1 and e.state='person' and e.id=$2`, []any{id, event}
			}
			all, err := d.pendings(tx, where, args...)
			if err != nil {
				return err
			}
			more, now = event == "" && len(all) == writeSome, len(all)
			for _, p := range all {
				o := outcome{pending: p, to: to, why: "by_a_person"}
				if code == NeedMore {
					o.why = string(session.NeedsPort)
				}
				if _, err := d.move(tx, o); err != nil {
					return err
				}
			}
			ended := int64(0)
			if !more && event == "" { // a report that gave nothing ends by the person's word
				if ended, err = tx.Exec(`update abuse_report set state='done', code=$1 where id=$2 and total<=0 and state in ('person','unreadable')`, string(code), id); err != nil {
					return err
				}
			}
			if put+len(all) == 0 && ended == 0 {
				return bolwerk.Conflict("nothing of this report waits for a person")
			}
			if !more {
				audit.Append(tx, who.Actor(), "abuse.report.aside", id, why, map[string]string{"code": string(code)})
			}
			return d.settle(tx, id)
		})
		if err != nil || !more {
			return err
		}
		put += now
	}
}
