package inform

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/notice"
	"bolwerk/internal/audit"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
)

// copyPublic is the copy that intakes follow.
const copyPublic = "public"

// publish tells the public site what the holders of a case's codes see.
func (d *Desk) publish(tx *store.Tx, c Case) error {
	type row struct {
		hash  string
		until int64
	}
	codes, err := store.List(tx, func(scan func(...any) error) (r row, err error) { return r, scan(&r.hash, &r.until) },
		`select hash,until from abuse_code where case_id=$1 and until>$2 order by made_at desc limit 20`, c.ID, tx.NowMicros())
	if err != nil || len(codes) == 0 || d.p.Publish == nil {
		return err
	}
	n, err := d.shown(tx, c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	for _, code := range codes {
		d.p.Publish.Append(tx, copyPublic, copy.Entry{ID: door.NoticeEntry + code.hash, Version: tx.NowMicros(), Body: body, Until: code.until}, nil)
	}
	return nil
}

// withdraw takes what the holders of a case's codes see off the public site.
func withdraw(tx *store.Tx, site *publish.Desk, caseID string) error {
	if site == nil {
		return nil
	}
	codes, err := store.List(tx, func(scan func(...any) error) (hash string, err error) { return hash, scan(&hash) }, `select hash from abuse_code where case_id=$1`, caseID)
	if err != nil {
		return err
	}
	for _, hash := range codes {
		e, err := publish.Entry(tx, copyPublic, door.NoticeEntry+hash)
		if errors.Is(err, bolwerk.ErrNotFound) {
			continue // it was over
		}
		if err != nil {
			return err
		}
		site.Append(tx, copyPublic, copy.Entry{ID: e.ID, Version: max(e.Version+1, tx.NowMicros()), Removed: true}, nil)
	}
	return nil
}

// shown is what the holders of a case's codes see: the page of its quarantine while the
// line is in one.
func (d *Desk) shown(tx *store.Tx, c Case) (n door.Notice, err error) {
	n = door.Notice{Guest: garden.Guest{Case: c.Ref, Class: string(c.Class), Family: c.Family, Device: notice.Harmless(c.Device), Since: c.Opened, State: "open", Tested: c.Tested}}
	held, in := garden.Guest{}, false
	if d.p.Gardens != nil {
		if held, in, err = d.p.Gardens.GuestOf(tx, c.ID); err != nil {
			return n, err
		}
	}
	switch {
	case !c.Open:
		n.State, n.Closed = "closed", c.Closed
		if c.Outcome == "cleaned" {
			n.Outcome = c.Outcome
		}
	case in:
		n.Guest = held
		n.Quarantine = "" // the site need not know
	}
	have, err := saidOf(tx, c.ID, false)
	if err != nil {
		return n, err
	}
	n.Full = have >= maxSaidOf
	n.Seen = nil
	for _, s := range c.Seen {
		n.Seen = append(n.Seen, garden.Seen{At: s.At, What: notice.Harmless(s.What), From: s.From})
	}
	if n.Held() {
		return n, nil
	}
	did, err := store.List(tx, func(scan func(...any) error) (s [2]string, err error) { return s, scan(&s[0], &s[1]) },
		`select what,step from abuse_said where case_id=$1 and what in ('done','undone','help') order by at,id`, c.ID)
	for _, s := range did {
		n.Done = slices.DeleteFunc(n.Done, func(id string) bool { return id == s[1] })
		switch {
		case s[0] == "done":
			n.Done = append(n.Done, s[1])
		case s[0] == "help" && c.Open:
			n.State = "asked"
		}
	}
	return n, err
}

// Changed brings what the holders of a case's codes see up to date. Call it when a case
// is closed, begins again, or is told of more.
func (d *Desk) Changed(tx *store.Tx, caseID string) error {
	var codes int64
	if err := tx.Row(`select count(*) from abuse_code where case_id=$1 and until>$2`, caseID, tx.NowMicros()).Scan(&codes); err != nil || codes == 0 {
		return err
	}
	c, err := d.p.Cases.About(tx, caseID)
	if err != nil {
		return err
	}
	return d.publish(tx, c)
}

// maxSaidOf is how much one case takes from holders of its codes, looks not counted: then
// the site takes no more, and says so. What it took before it heard of that is kept.
const maxSaidOf = 200

// Receive takes what an intake hands in. The same id again changes nothing. What was
// written with a code that is not known here, such as one of a case that was erased
// meanwhile, is given back as lost: somebody was told that we have it. What else was done
// with such a code is no error: there is nobody to tell.
func (d *Desk) Receive(ctx context.Context, body []byte) (lost *garden.Event, err error) {
	s, err := door.DecodeSaid(body)
	if err != nil {
		return nil, err
	}
	var toGarden *garden.Event
	err = d.p.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
		toGarden, lost = nil, nil
		var caseID string
		err := tx.Row(`select case_id from abuse_code where hash=$1 and until>$2`, s.Code, store.Micros(s.At)).Scan(&caseID)
		if store.None(err) {
			if s.Text != "" {
				lost = &s.Event
			}
			return nil
		}
		if err != nil {
			return err
		}
		if d.p.Gardens != nil && s.What != "statement" {
			g, in, err := d.p.Gardens.GuestOf(tx, caseID)
			if err != nil {
				return err
			}
			if in {
				e := s.Event
				e.Quarantine = g.Quarantine
				toGarden = &e // again too: a kill may have come between
			}
		}
		have, err := saidOf(tx, caseID, s.What == "seen")
		if err != nil {
			return err
		}
		if have >= maxSaidOf && (s.What == "seen" || toGarden != nil) {
			return nil // the quarantine hears it: nobody is kept in by a full case
		}
		n, err := tx.Exec(`insert into abuse_said(id,case_id,what,step,at) values($1,$2,$3,$4,$5) on conflict(id) do nothing`, s.ID, caseID, s.What, s.Step, store.Micros(s.At))
		if err != nil || n == 0 {
			return err
		}
		tx.After(func() { d.count.said.WithLabelValues(s.What).Inc() })
		if err := d.said(tx, caseID, s, toGarden != nil); err != nil || s.What == "seen" || have+1 < maxSaidOf {
			return err
		}
		return d.Changed(tx, caseID) // the site takes no more
	})
	if err != nil || toGarden == nil {
		return lost, err
	}
	return nil, d.p.Gardens.Take(ctx, []garden.Event{*toGarden})
}

// saidOf is how much the holders of a case's codes did: how often they looked, or all else.
func saidOf(tx *store.Tx, caseID string, looks bool) (n int64, err error) {
	err = tx.Row(`select count(*) from abuse_said where case_id=$1 and (what='seen')=$2`, caseID, looks).Scan(&n)
	return n, err
}

// Customer is who types a notice's code.
func Customer() bolwerk.Actor { return bolwerk.Rule("customer") }

// said writes what the holder of a code did into the case; of a line in quarantine, the
// quarantine does.
func (d *Desk) said(tx *store.Tx, caseID string, s door.Said, held bool) error {
	at := store.Micros(s.At)
	if _, err := tx.Exec(`update abuse_code set seen_at=$1 where hash=$2 and seen_at=0`, at, s.Code); err != nil {
		return err
	}
	if _, err := tx.Exec(`update abuse_message set seen_at=$1 where code=$2 and seen_at=0`, at, s.Code); err != nil {
		return err
	}
	switch {
	case s.What == "test" && !held:
		if err := d.p.Cases.AskTest(tx, caseID, Customer()); !errors.Is(err, bolwerk.ErrConflict) { // too soon: the page says when it was
			return err
		}
		return nil
	case s.What == "seen", s.What == "release", s.What == "test", held && s.What == "help":
		return nil
	case s.What == "done", s.What == "undone":
		return d.Changed(tx, caseID)
	case s.What == "help":
		if err := d.Changed(tx, caseID); err != nil {
			return err
		}
	}
	text := s.Text
	if s.Contact != "" {
		text += "\n\n" + s.Contact
	}
	return d.p.Cases.Say(tx, caseID, "statement", Customer(), s.What, text)
}

// Saw notes that the customer saw a message or was told what it says: the operator's app
// or the call centre says so, by. It may have been on its way, or have failed. Said again,
// or once its code was typed, it changes nothing. Of an event that went to a reseller
// nobody can say it.
func (d *Desk) Saw(ctx context.Context, by bolwerk.Actor, id string) error {
	return d.p.DB.Write(ctx, store.Decision, func(tx *store.Tx) error {
		m, err := d.message(tx, id)
		if err != nil || !m.SeenAt.IsZero() {
			return err
		}
		if m.Kind == forwarded {
			return bolwerk.Conflict("message %s went to a reseller: its customer is not ours", id)
		}
		n, err := tx.Exec(`update abuse_message set seen_at=$1 where id=$2 and seen_at=0`, tx.NowMicros(), m.ID)
		if err != nil || n == 0 {
			return err
		}
		c, err := d.p.Cases.About(tx, m.Case)
		if err != nil {
			return err
		}
		audit.Append(tx, by, "abuse.message.seen", c.Ref, "", map[string]any{"message": m.ID, "kind": m.Kind, "channel": m.Channel})
		return nil
	})
}

// Did is what the holder of a code did.
type Did struct {
	At   time.Time `json:"time"`
	What string    `json:"what"`
	Step string    `json:"step,omitempty"`
}

// Did is what holders of a case's codes did, in order. Their words are notes of the case.
func (d *Desk) Did(ctx context.Context, caseID string) (out []Did, err error) {
	err = d.p.DB.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (x Did, err error) {
			var at int64
			err = scan(&x.What, &x.Step, &at)
			x.At = store.Time(at)
			return x, err
		}, `select what,step,at from abuse_said where case_id=$1 order by at,id`, caseID)
		return err
	})
	return out, err
}
