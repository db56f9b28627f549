package abuse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"bolwerk"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// caseAbout is a case as the subscriber whom it is about gets it: who reported and
// who of the staff worked on it is left out.
type caseAbout struct {
	Number      string            `json:"number"`
	Class       reading.Class     `json:"class"`
	State       string            `json:"state"`
	Outcome     string            `json:"outcome,omitempty"`
	Who         session.Identity  `json:"who"`
	Sessions    []session.Answer  `json:"who_had_the_address"`
	Events      []eventAbout      `json:"events"`
	History     []noteAbout       `json:"history"`
	Quarantines []quarantine.Told `json:"quarantines,omitempty"`
	Told        []toldAbout       `json:"told,omitempty"`
	Did         []inform.Did      `json:"done_with_a_code,omitempty"`
	Exemptions  []exemptAbout     `json:"exemptions,omitempty"`
	Rules       *rulesAbout       `json:"rules,omitempty"`
}

type eventAbout struct {
	At      time.Time     `json:"time,omitzero"`
	Class   reading.Class `json:"class"`
	Channel string        `json:"channel"` // how it was reported, not by whom
	Address string        `json:"address,omitempty"`
	Port    uint16        `json:"port,omitempty"`
}

type noteAbout struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	By   string    `json:"by"` // staff, rule, or who else acts
	Code string    `json:"code,omitempty"`
	Text string    `json:"text,omitempty"`
}

// toldAbout is a message that went to the subscriber, or to who gives the line on.
type toldAbout struct {
	At      time.Time    `json:"time"`
	Kind    inform.Kind  `json:"kind"`
	Channel string       `json:"channel,omitempty"`
	State   string       `json:"state"`
	Sent    time.Time    `json:"sent_at,omitzero"`
	Arrived time.Time    `json:"delivered_at,omitzero"`
	Seen    time.Time    `json:"code_typed_at,omitzero"`
	Text    *notice.Text `json:"text,omitempty"`
}

type exemptAbout struct {
	Class  string    `json:"class,omitempty"`
	Reason string    `json:"reason"`
	At     time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// rulesAbout is the playbook that a case follows.
type rulesAbout struct {
	Name  string    `json:"name"`
	State string    `json:"state"`
	At    time.Time `json:"since"`
}

// maxAbout bounds the cases of one subscriber that are given at once.
const maxAbout = 1000

// Subjects is what the desk keeps about subscribers.
func (d *Desk) Subjects() desk.Keeper { return subjects{d} }

type subjects struct{ *Desk }

// About gives the cases of a subscriber; see desk.Keeper.
func (d subjects) About(ctx context.Context, subscriber string) (out []desk.Kept, err error) {
	ids, err := d.casesOf(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		k, err := d.kept(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// Kept is a case as its subscriber gets it, and who that is as accounting names them; the
// line where no subscriber is known, the device where no line is.
func (d *Desk) Kept(ctx context.Context, ref string) (id, subscriber string, k desk.Kept, err error) {
	if err = d.db.Read(ctx, func(tx *store.Tx) error {
		c, err := findCase(tx, ref)
		id = c.ID
		return err
	}); err != nil {
		return "", "", k, err
	}
	if k, err = (subjects{d}).kept(ctx, id); err != nil {
		return "", "", k, err
	}
	who := k.Data.(caseAbout).Who
	return id, cmp.Or(who.Subscriber, who.Line, who.Calling), k, nil
}

func (d subjects) kept(ctx context.Context, id string) (k desk.Kept, err error) {
	var c caseAbout
	var at time.Time
	err = d.db.Read(ctx, func(tx *store.Tx) error { c, at, err = d.caseAbout(tx, id); return err })
	if err != nil {
		return k, err
	}
	if c.Sessions, err = d.p.Who.Pinned(ctx, id); err != nil {
		return k, err
	}
	if c.Quarantines, err = d.quarantines.Told(ctx, id); err != nil {
		return k, err
	}
	if d.inform != nil {
		if c.Did, err = d.inform.Did(ctx, id); err != nil {
			return k, err
		}
		told, err := d.inform.Of(ctx, id)
		if err != nil {
			return k, err
		}
		for _, m := range told {
			x := toldAbout{At: m.At, Kind: m.Kind, Channel: string(m.Channel), State: m.State, Sent: m.SentAt, Arrived: m.DeliveredAt, Seen: m.SeenAt, Text: &m.Text}
			if m.Channel == "xarf" {
				x.Text = nil // a report goes on to the reseller: the words are the reporter's
			}
			c.Told = append(c.Told, x)
		}
	}
	return desk.Kept{What: "case", ID: c.Number, At: at, Until: store.Keep["case"], Data: c}, nil
}

// casesOf are the ids of the cases of a subscriber, the newest first.
func (d *Desk) casesOf(ctx context.Context, subscriber string) (ids []string, err error) {
	marks, err := d.marksNamed(subscriber)
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	in, args := store.In(2, marks)
	err = d.db.Read(ctx, func(tx *store.Tx) (err error) {
		ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
			`select id from abuse_case where mark in (`+in+`) order by id desc limit $1`, append([]any{maxAbout}, args...)...)
		return err
	})
	return ids, err
}

func (d *Desk) caseAbout(tx *store.Tx, id string) (c caseAbout, at time.Time, err error) {
	k, err := findCase(tx, id)
	if err != nil {
		return c, at, err
	}
	c.Number, c.State, c.Outcome, at = k.Ref, string(k.State), k.Outcome, k.OpenedAt
	var sealed []byte
	if err := tx.Row(`select class,who_sealed from abuse_case where id=$1`, id).Scan((*string)(&c.Class), &sealed); err != nil {
		return c, at, err
	}
	plain, err := d.p.Sessions.Kept().Open(SealedWho, sealed)
	if err == nil {
		err = json.Unmarshal(plain, &c.Who)
	}
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		return c, at, err
	}
	events, err := store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.case_id=$1 order by e.at, e.id limit 10000`, id)
	if err != nil {
		return c, at, err
	}
	for _, e := range events {
		x := eventAbout{At: e.At, Class: e.Class, Channel: e.Channel}
		if e.Event != nil && e.Event.SourceIP.IsValid() {
			x.Address, x.Port = e.Event.SourceIP.String(), e.Event.SourcePort
		}
		c.Events = append(c.Events, x)
	}
	notes, err := store.List(tx, d.readNote, `select kind,actor,code,text_sealed,at from abuse_note where case_id=$1 order by id limit 10000`, id)
	if err != nil {
		return c, at, err
	}
	for _, n := range notes {
		c.History = append(c.History, noteAbout{n.At, n.Kind, partyOf(n.Actor), n.Code, n.Text})
	}
	c.Exemptions, err = store.List(tx, func(scan func(...any) error) (x exemptAbout, err error) {
		var since, until int64
		err = scan(&x.Class, &x.Reason, &since, &until)
		x.At, x.Until = store.Time(since), store.Time(until)
		return x, err
	}, `select class,reason,at,until from abuse_exemption where case_id=$1 order by until`, id)
	if err != nil {
		return c, at, err
	}
	var r rulesAbout
	var since int64
	switch err := tx.Row(`select book,state,at from abuse_play where case_id=$1`, id).Scan(&r.Name, &r.State, &since); {
	case err == nil:
		r.At = store.Time(since)
		c.Rules = &r
	case !store.None(err):
		return c, at, err
	}
	return c, at, nil
}

// Erase deletes the closed cases of a subscriber; see desk.Keeper. An open one is
// worked on, and one with an exemption keeps its subscriber from being bothered.
func (d subjects) Erase(ctx context.Context, by bolwerk.Actor, subscriber string) ([]desk.Erased, error) {
	ids, err := d.casesOf(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	gone, open := desk.Erased{What: "closed cases, with their events, notes, messages, quarantines and sessions"}, desk.Erased{What: "open cases", Why: "GDPR art. 17(3)(b) and (e), art. 6(1)(f), recital 49: the security of the network, until a year after the case is closed"}
	back := desk.Erased{What: "cases whose line is on its way out of quarantine", Why: "without them the way back could not be finished; erase again once the line is normal"}
	under := desk.Erased{What: "cases under a legal hold"}
	left := desk.Erased{What: "cases with an exemption", Why: "an exemption keeps the subscriber from being bothered until it ends; end it, and erase again"}
	for _, id := range ids {
		err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			c, err := findCase(tx, id)
			if err != nil {
				return err
			}
			hold, err := d.holdOf(tx, id)
			if err != nil {
				return err
			}
			var exempt, inside int64
			if err := tx.Row(`select count(*) from abuse_quarantine where case_id=$1 and state not in ('released','dropped')`, id).Scan(&inside); err != nil {
				return err
			}
			if err := tx.Row(`select count(*) from abuse_exemption where case_id=$1 and until>$2`, id, tx.NowMicros()).Scan(&exempt); err != nil {
				return err
			}
			switch {
			case hold != nil:
				under.Kept++
				under.Why = hold.Legal + ", until " + hold.Until.UTC().Format(time.DateOnly)
				return nil
			case c.State.Open():
				open.Kept++
				return nil
			case exempt > 0:
				left.Kept++
				return nil
			case inside > 0:
				back.Kept++
				return nil
			}
			gone.Erased++
			audit.Append(tx, by, "abuse.case.erase", c.Ref, "", nil)
			return d.forgetCase(tx, id)
		})
		if err != nil {
			return nil, err
		}
	}
	out := []desk.Erased{gone, open, left, back}
	if under.Kept > 0 {
		out = append(out, under)
	}
	return out, nil
}

// partyOf says what kind of party acted, and not who.
func partyOf(a bolwerk.Actor) string {
	switch a.Kind() {
	case "rule":
		return "rule"
	case "host":
		return "host"
	}
	return "staff"
}
