package abuse

import (
	"context"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// errUninformed is the answer of a desk that informs nobody.
var errUninformed = bolwerk.Conflict("this desk tells nobody")

// Inform sends a notice to the subscriber of a case because a person wants it, and gives
// the messages of the case. channels are the ways; empty: those that the subscriber
// prefers.
func (d *Desk) Inform(ctx context.Context, who account.Person, id string, kind inform.Kind, channels []string) ([]inform.Message, error) {
	if !who.May(account.Decide) {
		return nil, bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", who.Role), "ask an analyst or a duty officer")
	}
	if d.inform == nil {
		return nil, errUninformed
	}
	if _, err := d.inform.Send(ctx, who.Actor(), id, kind, channels); err != nil {
		return nil, err
	}
	return d.Messages(ctx, who, id)
}

// Messages are what the subscriber of a case was told, newest first. What they say, with
// the address of a letter, is for who may decide. The look is noted.
func (d *Desk) Messages(ctx context.Context, who account.Person, id string) (out []inform.Message, err error) {
	var c inform.Case
	if err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if c, err = d.About(tx, id); err != nil {
			return err
		}
		return d.p.Who.Note(tx, who.Actor(), "messages of case "+c.Ref, c.ID, c.Who)
	}); err != nil || d.inform == nil {
		return nil, err
	}
	if out, err = d.inform.Of(ctx, c.ID); err != nil || who.May(account.Decide) {
		return out, err
	}
	for i := range out {
		out[i].Text = notice.Text{}
	}
	return out, nil
}

// tookToTell is the time from the first report of a case to the first notice that left;
// false: none has left.
func (d *Desk) tookToTell(ctx context.Context, id string, all []inform.Message) (took time.Duration, ok bool, err error) {
	var first time.Time
	for _, m := range all {
		if !m.SentAt.IsZero() && (first.IsZero() || m.SentAt.Before(first)) {
			first = m.SentAt
		}
	}
	if first.IsZero() {
		return 0, false, nil
	}
	var c inform.Case
	err = d.db.Read(ctx, func(tx *store.Tx) (err error) { c, err = d.About(tx, id); return err })
	return first.Sub(c.First), err == nil && !c.First.IsZero(), err
}

// ContactOf says how a subscriber is reached. Who asks, and why, is noted before.
func (d *Desk) ContactOf(ctx context.Context, by bolwerk.Actor, who session.Identity, reason, caseID string) (e contact.Entry, err error) {
	if err := checkLook(who, reason, caseID); err != nil {
		return e, err
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := d.p.Who.Note(tx, by, reason, caseID, who); err != nil {
			return err
		}
		e, err = d.p.Contacts.Find(tx, who)
		return nil
	})
	return e, err
}

// RemoveContact takes a subscriber out of the book.
func (d *Desk) RemoveContact(ctx context.Context, by bolwerk.Actor, who session.Identity, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return bolwerk.Invalid("a decision needs a reason in words, of at most 500 octets")
	}
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		had, err := d.p.Contacts.Remove(tx, who)
		if err == nil && !had {
			err = bolwerk.NotFound("nobody has told how this subscriber is reached")
		}
		if err == nil {
			audit.Append(tx, by, "abuse.contact.remove", "", reason, nil)
		}
		return err
	})
}
