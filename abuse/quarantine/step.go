package quarantine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/internal/store"
)

// rules is who does what no person did.
var rules = bolwerk.Rule("abuse")

// step takes a quarantine a step on: its rows, and what the step asks for. held are
// sessions that it may bring into it, by their keys.
func (d *Desk) step(tx *store.Tx, q *Row, e Event, by bolwerk.Actor, held map[string]session.Held) error {
	if over, err := d.replaced(tx, q); err != nil || over {
		return err
	}
	was := q.pure()
	is, effects := Step(was, e, tx.Now())
	if err := d.save(tx, q, was, is, held); err != nil {
		return err
	}
	for _, f := range effects {
		if err := d.effect(tx, q, f, by); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) save(tx *store.Tx, q *Row, was, is Q, held map[string]session.Held) error {
	q.State, q.Mechanism, q.EndedAt, q.version = is.State, is.Mechanism, is.EndedAt, is.Version
	if is.State != was.State || is.Version != was.Version {
		if _, err := tx.Exec(`update abuse_quarantine set state=$1, mechanism=$2, ended_at=$3, version=$4 where id=$5`, string(is.State), string(is.Mechanism), micros(is.EndedAt), is.Version, q.ID); err != nil {
			return err
		}
	}
	rank := store.Micros(q.StartAt)
	if q.Needy {
		rank -= 1 << 60 // before all others
	}
	var lines []line
	for _, l := range is.Lines {
		at := slices.IndexFunc(q.lines, func(o line) bool { return o.Key == l.Key })
		row := line{Line: l}
		if at >= 0 {
			row.held = q.lines[at].held
		} else {
			plain, err := json.Marshal(held[l.Key])
			if err != nil {
				return err
			}
			if row.held, err = d.p.Keys.Kept().Seal(SealedLine, plain); err != nil {
				return err
			}
		}
		lines = append(lines, row)
		if at >= 0 && q.lines[at].Line == l {
			continue
		}
		if _, err := tx.Exec(`insert into abuse_quarantine_line(quarantine,skey,nas,held_sealed,want,version,back,rank,done,seen,tries,due_at,code,against,heard_at) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)
			on conflict(quarantine,skey) do update set want=excluded.want,version=excluded.version,back=excluded.back,rank=excluded.rank,done=excluded.done,seen=excluded.seen,tries=excluded.tries,due_at=excluded.due_at,code=excluded.code,against=excluded.against,heard_at=excluded.heard_at`,
			q.ID, l.Key, l.NAS, row.held, string(l.Want), l.Version, l.Want == enforce.Normal, rank, l.Done, l.Seen, l.Tries, micros(l.Due), l.Code, l.Against, micros(l.Heard)); err != nil {
			return err
		}
	}
	for _, o := range q.lines {
		if slices.IndexFunc(is.Lines, func(l Line) bool { return l.Key == o.Key }) < 0 {
			if _, err := tx.Exec(`delete from abuse_quarantine_line where quarantine=$1 and skey=$2`, q.ID, o.Key); err != nil {
				return err
			}
		}
	}
	q.lines = lines
	return nil
}

func (d *Desk) effect(tx *store.Tx, q *Row, f Effect, by bolwerk.Actor) error {
	now := tx.NowMicros()
	switch f {
	case Hold:
		q.StartAt = tx.Now()
		if _, err := tx.Exec(`update abuse_quarantine set start_at=$1, why='' where id=$2`, now, q.ID); err != nil {
			return err
		}
		q.Waits = nil
		tx.After(func() { d.count.begun.WithLabelValues(string(q.Class), string(q.Profile)).Inc(); d.ring() })
		return d.hold(tx, q)
	case Free:
		tx.After(func() { d.count.ended.WithLabelValues(string(q.Mechanism)).Inc(); d.ring() })
		if d.p.Gardens != nil {
			if err := d.p.Gardens.Free(tx, q.ID); err != nil {
				return err
			}
		}
		return d.shown(tx, q)
	case InForce:
		if !q.ForceAt.IsZero() {
			return nil
		}
		q.ForceAt = tx.Now()
		took := q.ForceAt.Sub(q.StartAt)
		tx.After(func() { d.count.force.Observe(took.Seconds()) })
		_, err := tx.Exec(`update abuse_quarantine set force_at=$1 where id=$2`, now, q.ID)
		return err
	case ReleasedFully:
		q.FreedAt = tx.Now()
		took := q.FreedAt.Sub(q.EndedAt)
		tx.After(func() { d.count.freed.Observe(took.Seconds()) })
		if _, err := tx.Exec(`update abuse_quarantine set freed_at=$1 where id=$2`, now, q.ID); err != nil {
			return err
		}
		return d.shown(tx, q)
	case Began:
		return d.p.Cases.Happened(tx, *q, "quarantined", string(q.Profile), by, "")
	case Ended:
		_, err := d.try(tx, q.Ref, "a line is let out of quarantine, and its case does not say so", func(tx *store.Tx) error {
			return d.p.Cases.Happened(tx, *q, "released", string(q.Mechanism), by, "")
		})
		return err
	case AlarmFailed:
		nas, code := q.troubled()
		tx.After(func() {
			d.log.Error("the access network does not put a line into quarantine; a person has to look", "alarm", true, "quarantine", q.Ref, "nas", nas, "code", code)
		})
	case AlarmLied:
		return d.lied(tx, q)
	case AlarmStuck:
		nas, code := q.troubled()
		tx.After(func() {
			d.count.stuck.Inc()
			d.log.Error("A CUSTOMER IS LOCKED IN: the access network does not release a line from quarantine", "alarm", true, "quarantine", q.Ref, "nas", nas, "code", code)
		})
	}
	return nil
}

// shown has the page of the case's guest show that the line is let out. Where it cannot,
// the line is let out all the same.
func (d *Desk) shown(tx *store.Tx, q *Row) error {
	_, err := d.try(tx, q.Ref, "a line is let out of quarantine, and its page does not say so", func(tx *store.Tx) error {
		return d.p.Cases.Shown(tx, q.CaseID)
	})
	return err
}

// troubled is an access server that does not do what it is to, and what it said last.
func (q *Row) troubled() (nas, code string) {
	for _, l := range q.lines {
		if !l.out() && (code == "" || l.Tries > 0) {
			nas, code = l.NAS, l.Code
		}
	}
	return nas, code
}

// hold gives the lines their garden, as it is now.
func (d *Desk) hold(tx *store.Tx, q *Row) error {
	if err := d.p.Cases.Shown(tx, q.CaseID); err != nil {
		return err
	}
	if err := d.spare(tx, q); err != nil {
		return err
	}
	if d.p.Gardens == nil || !q.State.Holds() || !q.Until.After(tx.Now()) {
		return nil
	}
	who, err := d.identity(*q)
	if err != nil {
		return err
	}
	g, err := d.guest(tx, *q)
	if err != nil {
		return err
	}
	return d.p.Gardens.Hold(tx, view.Hold{ID: q.ID, Subscriber: who.Subscriber, Profile: q.Profile, Until: q.Until, Guest: g})
}

// Changed has the pages of a case's guest show what else is known of it now.
func (d *Desk) Changed(tx *store.Tx, caseID string) error {
	held, err := store.List(tx, read, `select `+columns+` from abuse_quarantine where case_id=$1 and state in `+holdsSQL, caseID)
	if err != nil || len(held) == 0 {
		if err == nil {
			err = d.p.Cases.Shown(tx, caseID)
		}
		return err
	}
	for _, q := range held {
		if err := d.hold(tx, &q); err != nil {
			return err
		}
	}
	return nil
}

// GuestOf is what the guest of a case's quarantine sees, also while the line is on its
// way out; false: the case has none now.
func (d *Desk) GuestOf(tx *store.Tx, caseID string) (g garden.Guest, in bool, err error) {
	q, err := read(tx.Row(`select `+columns+` from abuse_quarantine where case_id=$1 and (state in `+holdsSQL+` or state in ('releasing','stuck')) order by id desc limit 1`, caseID).Scan)
	if store.None(err) {
		return g, false, nil
	}
	if err != nil {
		return g, false, err
	}
	g, err = d.guest(tx, q)
	return g, true, err
}

// guest is what the page of a line in quarantine shows.
func (d *Desk) guest(tx *store.Tx, q Row) (g garden.Guest, err error) {
	g = garden.Guest{Quarantine: q.ID, Ref: q.Ref, Class: string(q.Class), Profile: string(q.Profile), Since: q.StartAt, Until: q.Until, SelfLeft: q.SelfLeft, Done: q.Ticked, State: "active", Seen: []garden.Seen{}}
	switch {
	case q.State == Releasing || q.State == Stuck:
		g.State = "releasing"
	case !q.HelpAt.IsZero():
		g.State = "asked"
	}
	if err := tx.Row(`select ref from desk_case where id=$1`, q.CaseID).Scan(&g.Case); err != nil && !store.None(err) {
		return g, err
	}
	seen, family, device, err := d.p.Cases.Evidence(tx, q.CaseID)
	if len(seen) > 0 {
		g.Seen = seen[:min(len(seen), 10)]
	}
	g.Family, g.Device = family, device
	if err == nil {
		g.Tested, err = d.p.Cases.Tested(tx, q.CaseID)
	}
	return g, err
}

// open are the sessions of a subscriber now, one for each session, as its steps and
// as orders take them.
func (d *Desk) open(tx *store.Tx, subscriber string) (Sessions, map[string]session.Held, error) {
	out, held := Sessions{Open: map[string]string{}}, map[string]session.Held{}
	all, err := d.p.Who.Now(tx, subscriber)
	if err != nil {
		return out, held, err
	}
	for _, h := range all {
		if h.Source != session.Radius {
			continue // of a table or a lease nobody tells the end of a session
		}
		key, err := d.keyOf(tx, h)
		if err != nil {
			return out, held, err
		}
		if have, ok := held[key]; ok && (have.Prefix.Addr().Is4() || !h.Prefix.Addr().Is4()) {
			continue // one order a session: it names the session
		}
		out.Open[key], held[key] = h.NAS, h
	}
	return out, held, nil
}

// keyMonths are the months before this one whose keys may name a line that is in
// quarantine, or came out a day ago: a quarantine lasts 30 days at most.
const keyMonths = 2

// keysOf are the keys under which the line of a session may be kept, newest first: a line
// keeps that of the month in which it was put into quarantine.
func (d *Desk) keysOf(h session.Held) ([]string, error) {
	return d.p.Keys.Kept().Lately(markLine, strings.Join([]string{string(h.Source), h.NAS, h.Session}, "\x00"), keyMonths)
}

// keyOf is the key of the line of a session: the one that it has, else this month's.
func (d *Desk) keyOf(tx *store.Tx, h session.Held) (string, error) {
	keys, err := d.keysOf(h)
	if err != nil || len(keys) == 1 {
		return strings.Join(keys, ""), err
	}
	in, args := store.In(1, keys)
	var key string
	err = tx.Row(`select skey from abuse_quarantine_line where skey in (`+in+`) order by quarantine desc limit 1`, args...).Scan(&key)
	if store.None(err) {
		return keys[0], nil
	}
	return key, err
}

func (d *Desk) heldOf(l line) (h session.Held, err error) {
	plain, err := d.p.Keys.Kept().Open(SealedLine, l.held)
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(plain, &h)
}

// meet brings the open sessions of its subscriber into a quarantine.
func (d *Desk) meet(tx *store.Tx, q *Row, by bolwerk.Actor) error {
	if err := d.spare(tx, q); err != nil {
		return err
	}
	who, err := d.identity(*q)
	if err != nil {
		return err
	}
	e, held, err := d.open(tx, who.Subscriber)
	if err != nil {
		return err
	}
	return d.step(tx, q, e, by, held)
}

// holdAgain has the edges show what is wanted: a desk that was restored has forgotten it.
func (d *Desk) holdAgain(ctx context.Context) error {
	for last := ""; ; {
		n, to := 0, last
		err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			ids, err := idsOf(tx, `select id from abuse_quarantine where state in `+holdsSQL+` and id>$1 order by id limit $2`, last, someSwept)
			if err != nil {
				return err
			}
			n = len(ids)
			for _, id := range ids {
				if _, err := d.try(tx, id, "a line in quarantine has no page at the edges", func(tx *store.Tx) error {
					q, err := find(tx, id)
					if err == nil {
						err = d.hold(tx, &q)
					}
					return err
				}); err != nil {
					return err
				}
				to = id
			}
			return nil
		})
		last = to
		if err != nil || n < someSwept {
			return err
		}
	}
}
