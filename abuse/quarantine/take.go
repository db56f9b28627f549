package quarantine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// guest is who does what a guest does on the page.
var guestActor = bolwerk.Rule("guest")

const (
	maxSaid  = 4 * garden.MaxText // octets of what a guest writes
	maxSteps = 40                 // steps that one page has
	onTheWay = 2 * time.Minute    // how long an edge may show the page after the release
)

// Take takes what guests did on their pages. The same event again changes nothing, and
// one of a quarantine that is not known is left out. When it returns nil, all of it
// is durable.
func (d *Desk) Take(ctx context.Context, events []garden.Event) error {
	for _, e := range events {
		lane := store.Intake
		if e.What == "release" {
			lane = store.WayBack
		}
		if err := d.db.Write(ctx, lane, func(tx *store.Tx) error { return d.takeOne(tx, e) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) takeOne(tx *store.Tx, e garden.Event) error {
	if e.ID == "" || len(e.ID) > 100 || len(e.Step) > 100 || len(e.Text) > maxSaid || len(e.Contact) > 253 {
		return nil // an edge sends no such thing
	}
	q, err := read(tx.Row(`select `+columns+` from abuse_quarantine where id=$1`, e.Quarantine).Scan)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	fresh, err := tx.Exec(`insert into abuse_quarantine_said(id,quarantine,at) values($1,$2,$3) on conflict(id) do nothing`, e.ID, q.ID, tx.NowMicros())
	if err != nil || fresh == 0 {
		return err
	}
	if q, err = load(tx, q.ID); err != nil {
		return err
	}
	tx.After(func() { d.count.said.WithLabelValues(known(e.What)).Inc() })
	if e.What == "help" && !q.State.Holds() { // on its way out, or out: the words are for a person all the same
		return d.p.Cases.Happened(tx, q, "help", "", guestActor, words(e))
	}
	if q.State == Released {
		if e.What == "seen" && e.At.After(q.EndedAt.Add(onTheWay)) && !e.At.After(tx.Now().Add(time.Minute)) {
			if err := d.step(tx, &q, Inside{}, guestActor, nil); err != nil {
				return err
			}
			return d.meet(tx, &q, guestActor)
		}
		return nil
	}
	if !q.State.Holds() {
		return nil
	}
	switch e.What {
	case "seen":
		if q.SeenAt.IsZero() {
			q.SeenAt = tx.Now()
			if _, err := tx.Exec(`update abuse_quarantine set seen_at=$1 where id=$2`, tx.NowMicros(), q.ID); err != nil {
				return err
			}
			if err := d.p.Cases.Happened(tx, q, "seen", "page", guestActor, ""); err != nil {
				return err
			}
		}
		return d.step(tx, &q, Opened{}, guestActor, nil)
	case "done", "undone":
		return d.tick(tx, &q, e)
	case "help":
		return d.help(tx, &q, words(e))
	case "test":
		if err := d.p.Cases.AskTest(tx, q.CaseID, guestActor); !errors.Is(err, bolwerk.ErrConflict) { // too soon: the page says when it was
			return err
		}
		return nil
	case "release":
		all, err := d.complete(tx, q)
		if err != nil {
			return err
		}
		if all {
			return d.leave(tx, &q)
		}
		// The page offers it once the steps are ticked: what was ticked before may come in
		// after it.
		if q.leave = e.At; e.At.IsZero() {
			return nil
		}
		_, err = tx.Exec(`update abuse_quarantine set leave_at=$1 where id=$2`, micros(q.leave), q.ID)
		return err
	}
	return nil
}

// complete says that the guest has done every step. Where nobody knows which those are,
// the guest's word counts.
func (d *Desk) complete(tx *store.Tx, q Row) (all bool, err error) {
	all = true
	_, err = d.try(tx, q.Ref, "the steps of a guest who wants to leave cannot be read; the guest is let out", func(tx *store.Tx) error {
		g, err := d.guest(tx, q)
		if err == nil {
			all = g.Complete()
		}
		return err
	})
	return all, err
}

// leave lets the guest out who asked for it and has done the steps, in whatever state the
// access network is; or asks a person to look, where the guest may not leave alone.
func (d *Desk) leave(tx *store.Tx, q *Row) error {
	if q.SelfLeft <= 0 {
		return d.help(tx, q, "")
	}
	audit.Append(tx, guestActor, "abuse.quarantine.release", q.Ref, "", map[string]string{"how": string(BySelf)})
	return d.step(tx, q, Release{BySelf}, guestActor, nil)
}

func known(what string) string {
	if slices.Contains([]string{"seen", "done", "undone", "release", "help", "test"}, what) {
		return what
	}
	return "other"
}

// tick takes in that a step was done, or was not.
func (d *Desk) tick(tx *store.Tx, q *Row, e garden.Event) error {
	if e.Step == "" || strings.ContainsAny(e.Step, ",\x00") {
		return nil
	}
	at := slices.Index(q.Ticked, e.Step)
	switch {
	case e.What == "done" && at < 0 && len(q.Ticked) < maxSteps:
		q.Ticked = append(q.Ticked, e.Step)
	case e.What == "undone" && at >= 0:
		q.Ticked = slices.Delete(q.Ticked, at, at+1)
	default:
		return nil
	}
	if _, err := tx.Exec(`update abuse_quarantine set ticked=$1 where id=$2`, strings.Join(q.Ticked, ","), q.ID); err != nil {
		return err
	}
	g, err := d.guest(tx, *q)
	if err != nil {
		return err
	}
	if err := d.step(tx, q, Ticked{All: g.Complete()}, guestActor, nil); err != nil {
		return err
	}
	if g.Complete() && e.At.Before(q.leave) { // it was the last one, and comes in late
		return d.leave(tx, q)
	}
	return d.page(tx, q)
}

// page has the edges show what the guest did. Where they cannot, it counts all the same.
func (d *Desk) page(tx *store.Tx, q *Row) error {
	_, err := d.try(tx, q.Ref, "the page of a guest does not show what the guest did", func(tx *store.Tx) error { return d.hold(tx, q) })
	return err
}

// words are what a guest wrote.
func words(e garden.Event) string { return strings.TrimSpace(e.Text + "\n" + e.Contact) }

// help asks a person to look.
func (d *Desk) help(tx *store.Tx, q *Row, text string) error {
	q.HelpAt = tx.Now()
	if _, err := tx.Exec(`update abuse_quarantine set help_at=$1 where id=$2`, tx.NowMicros(), q.ID); err != nil {
		return err
	}
	if err := d.p.Cases.Happened(tx, *q, "help", "", guestActor, text); err != nil {
		return err
	}
	return d.page(tx, q)
}

// Answered says that a person has answered the guest of a case who asked for help.
func (d *Desk) Answered(tx *store.Tx, caseID string) error {
	asked, err := store.List(tx, read, `select `+columns+` from abuse_quarantine where case_id=$1 and help_at>0 and state in `+holdsSQL, caseID)
	for _, q := range asked {
		q.HelpAt = time.Time{}
		if _, err := tx.Exec(`update abuse_quarantine set help_at=0 where id=$1`, q.ID); err != nil {
			return err
		}
		if err := d.hold(tx, &q); err != nil {
			return err
		}
	}
	return err
}
