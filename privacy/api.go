package privacy

import (
	"context"

	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// ByID names what a path is about. Exported: the API sees no fields of others.
type ByID struct {
	ID string `path:"id" maxLength:"64"`
}

type decideIn[T any] struct {
	ByID
	Body T
}

type paperIn struct {
	Wish
	Language string `json:"language,omitempty" enum:"nl,fr,de,en" doc:"nl where absent"`
}

type paperOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte `contentType:"text/html"`
}

type approveIn struct {
	Digest string `json:"digest" maxLength:"64" doc:"of the request, as you saw it"`
}

type whyIn struct {
	Text string `json:"text" maxLength:"500" doc:"why, in words"`
}

// Ended says what became of a hold.
type Ended struct {
	State string `json:"state"`
}

// API adds the routes of the privacy officer.
func (d *Desk) API(x *api.Routes) {
	type one = api.Answer[Request]
	api.Add(x, account.Oversee, "POST", "/privacy/export", "All that is kept about a subscriber. The look is noted, with why.", func(ctx context.Context, in *struct{ Body Wish }) (*api.Answer[Export], error) {
		out, err := d.Export(ctx, api.Who(ctx).Actor(), in.Body)
		return &api.Answer[Export]{Body: out}, err
	})
	api.Add(x, account.Oversee, "POST", "/privacy/document", "The same for the subscriber to read: a page of HTML in their language.", func(ctx context.Context, in *struct{ Body paperIn }) (*paperOut, error) {
		lang, err := ParseLang(in.Body.Language)
		if err != nil {
			return nil, err
		}
		page, err := d.Document(ctx, api.Who(ctx).Actor(), in.Body.Wish, lang)
		return &paperOut{"text/html; charset=utf-8", page}, err
	})
	api.Add(x, account.Oversee, "GET", "/privacy/requests", "Exports and erasures, those that wait first: the newest 200. They name no subscriber.", func(ctx context.Context, _ *struct{}) (*api.Answer[api.Page[Request]], error) {
		all, err := d.Requests(ctx)
		return api.Paged(api.Window{}, all, func(r Request) string { return r.ID }), err
	})
	api.Add(x, account.Oversee, "POST", "/privacy/erasures", "Ask for the erasure of a subscriber. A second person approves it.", func(ctx context.Context, in *struct{ Body Wish }) (*one, error) {
		r, err := d.AskErasure(ctx, api.Who(ctx), in.Body)
		return &one{Body: r}, err
	})
	api.Add(x, account.Countersign, "GET", "/privacy/erasures/{id}", "An erasure. Where it waits it names the subscriber, and the look is noted.", func(ctx context.Context, in *ByID) (*one, error) {
		r, err := d.Show(ctx, api.Who(ctx), in.ID)
		return &one{Body: r}, err
	})
	api.Add(x, account.Countersign, "POST", "/privacy/erasures/{id}/approve", "Approve as the second person, in a session, never with a token: the subscriber is erased.", func(ctx context.Context, in *decideIn[approveIn]) (*one, error) {
		r, err := d.Approve(ctx, api.Who(ctx), in.ID, in.Body.Digest)
		return &one{Body: r}, err
	})
	api.Add(x, account.Countersign, "POST", "/privacy/erasures/{id}/decline", "End an erasure that waits without doing it.", func(ctx context.Context, in *decideIn[whyIn]) (*one, error) {
		r, err := d.Decline(ctx, api.Who(ctx), in.ID, in.Body.Text)
		return &one{Body: r}, err
	})
	api.Add(x, account.Oversee, "GET", "/privacy/holds", "What a law or an order keeps from being erased and forgotten, what is in force first. They name no subscriber.", func(ctx context.Context, _ *struct{}) (*api.Answer[api.Page[Hold]], error) {
		all, err := d.Holds(ctx)
		return api.Paged(api.Window{}, all, func(h Hold) string { return h.ID }), err
	})
	api.Add(x, account.Oversee, "POST", "/privacy/holds", "Hold a case, or all of a subscriber, until an end.", func(ctx context.Context, in *struct{ Body HoldWish }) (*api.Answer[Hold], error) {
		h, err := d.Hold(ctx, api.Who(ctx).Actor(), in.Body)
		return &api.Answer[Hold]{Body: h}, err
	})
	api.Add(x, account.Oversee, "POST", "/privacy/holds/{id}/end", "End a hold before its time.", func(ctx context.Context, in *decideIn[whyIn]) (*api.Answer[Ended], error) {
		return &api.Answer[Ended]{Body: Ended{"ended"}}, d.EndHold(ctx, api.Who(ctx).Actor(), in.ID, in.Body.Text)
	})
	api.Add(x, account.Oversee, "POST", "/privacy/holds/{id}/copy", "What was kept when a hold began. The look is noted, with why.", func(ctx context.Context, in *decideIn[whyIn]) (*api.Answer[api.Page[desk.Kept]], error) {
		kept, err := d.Copy(ctx, api.Who(ctx), in.ID, in.Body.Text)
		return api.Paged(api.Window{}, kept, func(k desk.Kept) string { return k.ID }), err
	})
}
