package privacy

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// Holds are the cases and subscribers that a law or an order keeps from being erased and
// forgotten. It is safe for concurrent use.
type Holds struct{ vault *vault.Vault }

// NewHolds seals with keys that belong to this desk.
func NewHolds(keys *vault.Vault) *Holds { return &Holds{keys} }

// Held are the holds in force: capabilities ask it before they erase or forget.
func (h *Holds) Held(tx *store.Tx) ([]desk.Hold, error) {
	return store.List(tx, func(scan func(...any) error) (x desk.Hold, err error) {
		var sealed []byte
		var until int64
		if err := scan(&x.ID, &x.Case, &sealed, &x.Legal, &until); err != nil {
			return x, err
		}
		x.Until = store.Time(until)
		if x.Case != "" {
			return x, nil
		}
		plain, err := h.vault.Open(SealedHold, sealed)
		x.Subscriber = string(plain)
		return x, err
	}, `select id,case_id,subscriber_sealed,legal,until from privacy_hold where ended_at=0 and until>$1`, tx.NowMicros())
}

// Hold is a hold as a list shows it. It names no subscriber.
type Hold struct {
	ID       string        `json:"id"`
	Case     string        `json:"case,omitempty" doc:"number of the case; absent: all of a subscriber"`
	Reason   string        `json:"reason"`
	Legal    string        `json:"legal" doc:"the law or order that asks for it"`
	By       bolwerk.Actor `json:"by"`
	At       time.Time     `json:"at"`
	Until    time.Time     `json:"until"`
	EndedBy  bolwerk.Actor `json:"ended_by,omitzero"`
	EndedAt  time.Time     `json:"ended_at,omitzero"`
	EndedWhy string        `json:"ended_why,omitempty"`
	InForce  bool          `json:"in_force"`
}

// HoldWish is a hold that is to be placed: on a case, or on a subscriber.
type HoldWish struct {
	Case       string    `json:"case,omitempty" maxLength:"64" doc:"id or number of the case; absent: all of a subscriber"`
	Subscriber string    `json:"subscriber,omitempty" maxLength:"253" doc:"exactly as accounting names it, or the line or device where no subscriber is known; absent: a case"`
	Reason     string    `json:"reason" maxLength:"500" doc:"why, in words; kept: name nobody in it"`
	Legal      string    `json:"legal" maxLength:"200" doc:"the law or order that asks for it"`
	Until      time.Time `json:"until" doc:"when it ends by itself; within five years"`
}

func (w *HoldWish) check(now time.Time) error {
	w.Case, w.Subscriber, w.Legal = strings.TrimSpace(w.Case), strings.TrimSpace(w.Subscriber), strings.TrimSpace(w.Legal)
	switch {
	case (w.Case == "") == (w.Subscriber == ""):
		return bolwerk.Invalid("a hold is on a case or on a subscriber: name one of them")
	case len(w.Subscriber) > maxName:
		return bolwerk.Invalid("subscriber: want the name at the access server, 1 to %d octets", maxName)
	case len(w.Legal) < minReason || len(w.Legal) > maxLegal:
		return bolwerk.Invalid("a hold needs the law or order that asks for it, %d to %d octets", minReason, maxLegal)
	case !w.Until.After(now) || w.Until.Sub(now) > maxHold:
		return bolwerk.Invalid("a hold needs an end, in the future and within five years")
	}
	return inWords(&w.Reason)
}

// Hold keeps a case, or all of a subscriber, from being erased and forgotten until it
// ends. What goes with the key of its month, sessions and addresses, is copied into the
// hold as it is now. The look is noted.
func (d *Desk) Hold(ctx context.Context, by bolwerk.Actor, w HoldWish) (out Hold, err error) {
	if err := w.check(d.clock.Now()); err != nil {
		return out, err
	}
	out = Hold{Reason: w.Reason, Legal: w.Legal, By: by, Until: w.Until.UTC().Truncate(time.Second), InForce: true}
	var id string
	var kept []desk.Kept
	if w.Case != "" {
		var k desk.Kept
		if id, w.Subscriber, k, err = d.p.Cases.Kept(ctx, w.Case); err != nil {
			return out, err
		}
		out.Case, kept = k.ID, []desk.Kept{k}
	}
	if err := d.p.Lookups.Noted(ctx, by, "hold: "+w.Reason, id, w.Subscriber); err != nil {
		return out, err
	}
	if id == "" {
		if kept, err = d.about(ctx, w.Subscriber); err != nil {
			return out, err
		}
	}
	plain, err := json.Marshal(kept)
	if err != nil {
		return out, err
	}
	copied, err := d.vault.Seal(SealedCopy, plain)
	if err != nil {
		return out, err
	}
	sealed, err := d.vault.Seal(SealedHold, []byte(w.Subscriber))
	if err != nil {
		return out, err
	}
	return out, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out.ID, out.At = bolwerk.NewID(tx.Now()), tx.Now()
		audit.Append(tx, by, "privacy.hold", out.ID, w.Reason, map[string]any{"case": out.Case, "legal": w.Legal, "until": out.Until})
		_, err := tx.Exec(`insert into privacy_hold(id,case_id,number,subscriber_sealed,copy_sealed,reason,legal,actor,at,until,ended_by,ended_at,ended_why) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,'',0,'')`,
			out.ID, id, out.Case, sealed, copied, w.Reason, w.Legal, by.String(), tx.NowMicros(), store.Micros(out.Until))
		return err
	})
}

// EndHold ends a hold before its time. What it held goes as if it had not been.
func (d *Desk) EndHold(ctx context.Context, by bolwerk.Actor, id, why string) error {
	if err := inWords(&why); err != nil {
		return err
	}
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := tx.Exec(`update privacy_hold set ended_at=$1, ended_by=$2, ended_why=$3, subscriber_sealed=null, copy_sealed=null where id=$4 and ended_at=0 and until>$1`, tx.NowMicros(), by.String(), why, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.NotFound("no hold %.60q is in force", id)
		}
		audit.Append(tx, by, "privacy.hold.end", id, why, nil)
		return nil
	})
}

// Holds are the last holds, those in force first.
func (d *Desk) Holds(ctx context.Context) (out []Hold, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (h Hold, err error) {
			var by, ender string
			var at, until, ended int64
			if err := scan(&h.ID, &h.Case, &h.Reason, &h.Legal, &by, &at, &until, &ender, &ended, &h.EndedWhy); err != nil {
				return h, err
			}
			h.At, h.Until, h.EndedAt = store.Time(at), store.Time(until), store.Time(ended)
			h.InForce = ended == 0 && until > tx.NowMicros()
			if err := h.EndedBy.UnmarshalText([]byte(ender)); err != nil {
				return h, err
			}
			h.By, err = bolwerk.ParseActor(by)
			return h, err
		}, `select id,number,reason,legal,actor,at,until,ended_by,ended_at,ended_why from privacy_hold order by case when ended_at=0 and until>$1 then 0 else 1 end, until, id limit $2`, tx.NowMicros(), maxListed)
		return err
	})
	return out, err
}

// Copy is what a hold keeps beside the cases: what was there when it began. The look is
// noted.
func (d *Desk) Copy(ctx context.Context, who account.Person, id, reason string) (kept []desk.Kept, err error) {
	if !who.May(account.Oversee) {
		return nil, mayNot(who)
	}
	if err := inWords(&reason); err != nil {
		return nil, err
	}
	var caseID string
	var sealed, copied []byte
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`select case_id,subscriber_sealed,copy_sealed from privacy_hold where id=$1 and ended_at=0 and until>$2`, id, tx.NowMicros()).Scan(&caseID, &sealed, &copied)
		if store.None(err) {
			return bolwerk.NotFound("no hold %.60q is in force", id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	name, err := d.vault.Open(SealedHold, sealed)
	if err != nil {
		return nil, err
	}
	if err := d.p.Lookups.Noted(ctx, who.Actor(), "copy of a hold: "+reason, caseID, string(name)); err != nil {
		return nil, err
	}
	plain, err := d.vault.Open(SealedCopy, copied)
	if err != nil {
		return nil, err
	}
	return kept, json.Unmarshal(plain, &kept)
}
