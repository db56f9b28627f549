package app

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// keepers are those who keep something about subscribers. The shield knows none: a
// visitor of a blocked name leaves no address, and a reporter is no subscriber to it.
func (d *Desk) keepers() []desk.Keeper {
	return []desk.Keeper{d.abuse.Subjects(), d.who, d.views, d.contacts}
}

// Subject is a wish at the admin socket about what is kept of a subscriber.
type Subject struct {
	Subscriber string `json:"subscriber"` // as accounting names it
	Reason     string `json:"reason"`
}

// Subjects is all that is kept about a subscriber.
type Subjects struct {
	Operator   string      `json:"operator"`
	Subscriber string      `json:"subscriber"`
	MadeAt     time.Time   `json:"made_at"`
	Kept       []desk.Kept `json:"kept"`
}

// Erasure is what became of it.
type Erasure struct {
	ID     string        `json:"id"` // of the audit entry, which names nobody
	At     time.Time     `json:"at"`
	Report []desk.Erased `json:"report"`
}

func (d *Desk) subject(r *http.Request) (in Subject, err error) {
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return in, bolwerk.Invalid("privacy: %v", err)
	}
	in.Subscriber, in.Reason = strings.TrimSpace(in.Subscriber), strings.TrimSpace(in.Reason)
	switch {
	case in.Subscriber == "" || len(in.Subscriber) > session.MaxName:
		return in, bolwerk.Invalid("privacy: subscriber: want the name at the access server, 1 to %d octets", session.MaxName)
	case len(in.Reason) < 3 || len(in.Reason) > 500:
		return in, bolwerk.WithHint(bolwerk.Invalid("privacy: a reason of 3 to 500 octets is needed"), "such as the number of the subscriber's letter")
	}
	return in, nil
}

// exportSubject gives all that is kept about a subscriber, once the look is noted.
func (d *Desk) exportSubject(ctx context.Context, r *http.Request) (any, error) {
	in, err := d.subject(r)
	if err != nil {
		return nil, err
	}
	if err := d.who.Noted(ctx, bolwerk.Socket(), "export: "+in.Reason, "", session.Identity{Subscriber: in.Subscriber}); err != nil {
		return nil, err
	}
	out := Subjects{Operator: d.cfg.Operator, Subscriber: in.Subscriber, MadeAt: d.env.Clock.Now().UTC(), Kept: []desk.Kept{}}
	for _, k := range d.keepers() {
		some, err := k.About(ctx, in.Subscriber)
		if err != nil {
			return nil, err
		}
		out.Kept = append(out.Kept, some...)
	}
	return out, nil
}

// eraseSubject erases what no duty keeps. The audit entry has the figures, and not
// the name.
func (d *Desk) eraseSubject(ctx context.Context, r *http.Request) (any, error) {
	in, err := d.subject(r)
	if err != nil {
		return nil, err
	}
	out := Erasure{ID: bolwerk.NewID(d.env.Clock.Now()), At: d.env.Clock.Now().UTC(), Report: []desk.Erased{}}
	for _, k := range d.keepers() {
		some, err := k.Erase(ctx, bolwerk.Socket(), in.Subscriber)
		if err != nil {
			return nil, err
		}
		out.Report = append(out.Report, some...)
	}
	return out, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, bolwerk.Socket(), "privacy.erase", out.ID, in.Reason, map[string]any{"report": out.Report})
		return nil
	})
}
