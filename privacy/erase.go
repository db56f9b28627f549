package privacy

import (
	"context"
	"encoding/json"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Action is how proposals of this desk begin.
const Action = "privacy."

const eraseAction = Action + "erase"

// AskErasure lays an erasure before a second person. A subscriber who is held is not
// erased.
func (d *Desk) AskErasure(ctx context.Context, who account.Person, w Wish) (r Request, err error) {
	if !who.May(account.Oversee) {
		return r, mayNot(who)
	}
	if err := w.check(); err != nil {
		return r, err
	}
	sealed, err := d.vault.Seal(SealedRequest, []byte(w.Subscriber))
	if err != nil {
		return r, err
	}
	if err := d.p.Lookups.Noted(ctx, who.Actor(), "erasure asked: "+w.Reason, "", w.Subscriber); err != nil {
		return r, err
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := d.free(tx, w.Subscriber); err != nil {
			return err
		}
		r = Request{ID: bolwerk.NewID(tx.Now()), Kind: "erasure", State: Waits, Reason: w.Reason, AskedBy: who.Actor(), AskedAt: tx.Now()}
		p, err := desk.Propose(tx, "", eraseAction, map[string]string{"request": r.ID}, who.Actor(), w.Reason, "what is erased does not come back: two people")
		if err != nil {
			return err
		}
		r.proposal, r.Digest = p.ID, p.Digest
		audit.Append(tx, who.Actor(), "privacy.erase.ask", r.ID, w.Reason, nil)
		return insert(tx, r, sealed, p.ID)
	})
	return r, err
}

// free says that a subscriber is not held.
func (d *Desk) free(tx *store.Tx, subscriber string) error {
	all, err := d.p.Holds.Held(tx)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Subscriber == subscriber {
			return bolwerk.WithHint(bolwerk.Conflict("a legal hold is on this subscriber until %s", h.Until.UTC().Format("2006-01-02")), "erase once it has ended")
		}
	}
	return nil
}

func (d *Desk) request(tx *store.Tx, id string) (r Request, subscriber string, err error) {
	r, err = readRequest(tx.Row(`select `+requestColumns+` from privacy_request where id=$1`, id).Scan)
	if store.None(err) {
		return r, "", bolwerk.NotFound("no request %.60q", id)
	}
	if err != nil || r.State != Waits && r.State != Approved {
		return r, "", err
	}
	var sealed []byte
	if err := tx.Row(`select subscriber_sealed from privacy_request where id=$1`, id).Scan(&sealed); err != nil {
		return r, "", err
	}
	plain, err := d.vault.Open(SealedRequest, sealed)
	return r, string(plain), err
}

// Show gives a request to who decides it. Where it still names the subscriber the look
// is noted first.
func (d *Desk) Show(ctx context.Context, who account.Person, id string) (r Request, err error) {
	if !who.May(account.Countersign) {
		return r, mayNot(who)
	}
	var subscriber string
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		if r, subscriber, err = d.request(tx, id); err != nil || r.State != Waits {
			return err
		}
		p, err := desk.FindProposal(tx, r.proposal)
		r.Digest = p.Digest
		return err
	})
	if err != nil || subscriber == "" {
		return r, err
	}
	if err := d.p.Lookups.Noted(ctx, who.Actor(), "erasure: "+r.Reason, "", subscriber); err != nil {
		return Request{}, err
	}
	r.Subscriber = subscriber
	return r, nil
}

// Approve is the second person's: the subscriber is erased. It ends once that is done;
// what a crash interrupts is finished by Run.
func (d *Desk) Approve(ctx context.Context, who account.Person, id, digest string) (r Request, err error) {
	if !who.May(account.Countersign) {
		return r, mayNot(who)
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var subscriber string
		if r, subscriber, err = d.request(tx, id); err != nil {
			return err
		}
		if r.State != Waits {
			return bolwerk.Conflict("the request was decided already")
		}
		if err := who.MayApprove(tx.Now()); err != nil {
			return err
		}
		if err := d.free(tx, subscriber); err != nil {
			return err
		}
		p, err := desk.FindProposal(tx, r.proposal)
		if err != nil {
			return err
		}
		if err := desk.Approve(tx, p, digest, who.Actor()); err != nil {
			return err
		}
		r.State, r.DecidedBy, r.DecidedAt = Approved, who.Actor(), tx.Now()
		audit.Append(tx, who.Actor(), "privacy.erase.approve", r.ID, r.Reason, map[string]any{"first": r.AskedBy})
		_, err = tx.Exec(`update privacy_request set state='approved', decided_by=$1, decided_at=$2 where id=$3`, who.Actor().String(), tx.NowMicros(), r.ID)
		return err
	})
	if err != nil {
		return r, err
	}
	return d.carry(ctx, id)
}

// carry erases what a request asks for; again does no harm.
func (d *Desk) carry(ctx context.Context, id string) (r Request, err error) {
	var subscriber string
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		if r, subscriber, err = d.request(tx, id); err != nil || r.State != Approved {
			return err
		}
		return d.free(tx, subscriber)
	}); err != nil || r.State != Approved {
		return r, err
	}
	if r.Report, err = d.erase(ctx, r.DecidedBy, subscriber); err != nil {
		return r, err
	}
	text, err := json.Marshal(r.Report)
	if err != nil {
		return r, err
	}
	r.State = Done
	return r, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := tx.Exec(`update privacy_request set state='done', report=$1, subscriber_sealed=null where id=$2 and state='approved'`, string(text), id)
		if err == nil && n > 0 {
			audit.Append(tx, r.DecidedBy, "privacy.erase", id, r.Reason, map[string]any{"report": r.Report, "first": r.AskedBy})
		}
		return err
	})
}

func (d *Desk) erase(ctx context.Context, by bolwerk.Actor, subscriber string) ([]desk.Erased, error) {
	out := []desk.Erased{}
	for _, k := range d.p.Keepers {
		some, err := k.Erase(ctx, by, subscriber)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// Decline ends a wish for an erasure without doing it.
func (d *Desk) Decline(ctx context.Context, who account.Person, id, why string) (r Request, err error) {
	if !who.May(account.Countersign) {
		return r, mayNot(who)
	}
	if err := inWords(&why); err != nil {
		return r, err
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if r, _, err = d.request(tx, id); err != nil {
			return err
		}
		if r.State != Waits {
			return bolwerk.Conflict("the request was decided already")
		}
		p, err := desk.FindProposal(tx, r.proposal)
		if err != nil {
			return err
		}
		if err := desk.Decline(tx, p); err != nil {
			return err
		}
		r.State, r.DecidedBy, r.DecidedAt = Declined, who.Actor(), tx.Now()
		audit.Append(tx, who.Actor(), "privacy.erase.decline", r.ID, why, nil)
		_, err = tx.Exec(`update privacy_request set state='declined', subscriber_sealed=null, decided_by=$1, decided_at=$2 where id=$3`, who.Actor().String(), tx.NowMicros(), r.ID)
		return err
	})
	return r, err
}

// Erasure is what became of an erasure over the admin socket.
type Erasure struct {
	ID     string        `json:"id"` // of the request, which names nobody
	Report []desk.Erased `json:"report"`
}

// EraseNow erases at once, for who may write in the desk's folder: the root of trust.
func (d *Desk) EraseNow(ctx context.Context, w Wish) (out Erasure, err error) {
	if err := w.check(); err != nil {
		return out, err
	}
	sealed, err := d.vault.Seal(SealedRequest, []byte(w.Subscriber))
	if err != nil {
		return out, err
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := d.free(tx, w.Subscriber); err != nil {
			return err
		}
		out.ID = bolwerk.NewID(tx.Now())
		return insert(tx, Request{ID: out.ID, Kind: "erasure", State: Approved, Reason: w.Reason, AskedBy: bolwerk.Socket(), DecidedBy: bolwerk.Socket(), DecidedAt: tx.Now()}, sealed, "")
	})
	if err != nil {
		return out, err
	}
	r, err := d.carry(ctx, out.ID)
	out.Report = r.Report
	return out, err
}
