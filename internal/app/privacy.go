package app

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/web"
	"bolwerk/privacy"
)

// buildHolds is what a law or an order keeps from being erased, which all who erase ask.
// Its keys are destroyed with the requests and holds.
func (d *Desk) buildHolds(ctx context.Context) error {
	keys, err := d.openKeys(ctx, "privacy")
	d.holds = privacy.NewHolds(keys)
	return err
}

// buildPrivacy is the desk of the privacy officer: it asks everybody who keeps something
// about subscribers. The shield does not: a visitor of a blocked name leaves no address,
// and a reporter is no subscriber to it.
func (d *Desk) buildPrivacy() error {
	zone, err := time.LoadLocation(d.cfg.Console.Zone)
	if err != nil {
		return err
	}
	words, err := abuse.Texts()
	if err != nil {
		return err
	}
	d.privacy, err = privacy.New(privacy.Parts{DB: d.db, Clock: d.env.Clock, Log: d.env.Log, Holds: d.holds, Keepers: []desk.Keeper{d.abuse.Subjects(), d.who, d.views, d.contacts},
		Lookups: lookups{d.who}, Cases: d.abuse, Words: abuseWords(words), Operator: d.cfg.Operator, Zone: zone})
	d.back = append(d.back, part{"privacy", d.once("privacy", d.privacy.Run)})
	return err
}

type lookups struct{ who *who.Who }

// Noted notes a look at a subscriber.
func (l lookups) Noted(ctx context.Context, by bolwerk.Actor, reason, caseID, subscriber string) error {
	return l.who.Noted(ctx, by, reason, caseID, session.Identity{Subscriber: subscriber})
}

// abuseWords is what the abuse desk's pages call a state, class or reason.
func abuseWords(t *web.Texts) func(bolwerk.Lang, string) (string, bool) {
	return func(lang bolwerk.Lang, word string) (string, bool) {
		for _, of := range []string{"class.", "reason.", "note.", "q.state.", "q.profile.", "channel.", "level.", "why."} {
			if key := "abuse." + of + word; t.Has(key) {
				return t.T(lang, key), true
			}
		}
		return "", false
	}
}

// Subject is a wish at the admin socket about what is kept of a subscriber.
type Subject struct {
	privacy.Wish
	Language string `json:"language,omitempty"` // of the document
}

func asked[T any](r *http.Request) (in T, err error) {
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return in, bolwerk.Invalid("privacy: %v", err)
	}
	return in, nil
}

func (d *Desk) exportSubject(ctx context.Context, r *http.Request) (any, error) {
	in, err := asked[Subject](r)
	if err != nil {
		return nil, err
	}
	return d.privacy.Export(ctx, bolwerk.Socket(), in.Wish)
}

// Document is a page of HTML for a subscriber.
type Document struct {
	HTML string `json:"html"`
}

func (d *Desk) documentOf(ctx context.Context, r *http.Request) (any, error) {
	in, err := asked[Subject](r)
	if err != nil {
		return nil, err
	}
	lang, err := privacy.ParseLang(in.Language)
	if err != nil {
		return nil, err
	}
	page, err := d.privacy.Document(ctx, bolwerk.Socket(), in.Wish, lang)
	return Document{string(page)}, err
}

func (d *Desk) eraseSubject(ctx context.Context, r *http.Request) (any, error) {
	in, err := asked[Subject](r)
	if err != nil {
		return nil, err
	}
	return d.privacy.EraseNow(ctx, in.Wish)
}

func (d *Desk) placeHold(ctx context.Context, r *http.Request) (any, error) {
	in, err := asked[privacy.HoldWish](r)
	if err != nil {
		return nil, err
	}
	return d.privacy.Hold(ctx, bolwerk.Socket(), in)
}

// HoldEnd names a hold that is to end, and why.
type HoldEnd struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func (d *Desk) endHold(ctx context.Context, r *http.Request) (any, error) {
	in, err := asked[HoldEnd](r)
	if err != nil {
		return nil, err
	}
	return privacy.Ended{State: "ended"}, d.privacy.EndHold(ctx, bolwerk.Socket(), in.ID, in.Reason)
}
