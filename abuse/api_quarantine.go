package abuse

import (
	"context"

	"bolwerk/abuse/quarantine"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

type quarantinesIn struct {
	api.Window
	State string `query:"state" maxLength:"20" doc:"a state; open: all that are not over; person: what waits for one; all where absent"`
	Feed  string `query:"feed" maxLength:"100"`
	Class string `query:"class" maxLength:"100"`
}

type askBody struct {
	Case string `json:"case" maxLength:"64" doc:"id or number of the case"`
	quarantine.Wish
}

type approveBody struct {
	Digest string `json:"digest" maxLength:"64" doc:"of the wish, as you saw it"`
}

type releaseBody struct {
	Mistake bool   `json:"mistake,omitempty" doc:"it should not have been: the customer is told so"`
	Text    string `json:"text" maxLength:"500" doc:"why, in words"`
}

type releaseAllBody struct {
	Feed  string `json:"feed,omitempty" maxLength:"100" doc:"those that rest on this feed; all where absent"`
	Class string `json:"class,omitempty" maxLength:"100" doc:"those of this class; all where absent"`
	Text  string `json:"text" maxLength:"500" doc:"why, in words; it stays in the audit trail: name nobody in it"`
}

type steerBody struct {
	Do   string `json:"do" enum:"now,skip,stop,go_on" doc:"do the next step now, leave it out, take the case over, give it back to the rules"`
	Text string `json:"text" maxLength:"500" doc:"why, in words"`
}

func (d *Desk) quarantineAPI(x *api.Routes) {
	type row = api.Answer[quarantine.Row]
	qs := d.quarantines
	api.Add(x, account.Look, "GET", "/abuse/quarantines", "Lines in the safe environment, newest first. They name nobody.", func(ctx context.Context, in *quarantinesIn) (*api.Answer[api.Page[quarantine.Row]], error) {
		rows, err := qs.List(ctx, quarantine.Filter{State: in.State, Feed: in.Feed, Class: in.Class, After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(q quarantine.Row) string { return q.ID }), err
	})
	api.Add(x, account.Look, "GET", "/abuse/quarantines/{id}", "A quarantine with its sessions.", func(ctx context.Context, in *CaseID) (*api.Answer[quarantine.View], error) {
		v, err := qs.Show(ctx, in.ID)
		return &api.Answer[quarantine.View]{Body: v}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/quarantines", "Ask for a quarantine of a case's line. What waits for a second person or the brake is in state requested.", func(ctx context.Context, in *struct{ Body askBody }) (*row, error) {
		q, _, err := d.AskQuarantine(ctx, api.Who(ctx), in.Body.Case, in.Body.Wish)
		return &row{Body: q}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/quarantines/{id}/approve", "Approve as the second person; in a session, never with a token.", func(ctx context.Context, in *decideIn[approveBody]) (*row, error) {
		q, err := qs.Approve(ctx, api.Who(ctx), in.ID, in.Body.Digest)
		return &row{Body: q}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/quarantines/{id}/decline", "End a wish that is not decided.", func(ctx context.Context, in *decideIn[textBody]) (*row, error) {
		q, err := qs.Decline(ctx, api.Who(ctx), in.ID, in.Body.Text)
		return &row{Body: q}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/quarantines/{id}/release", "Let a line out. What is out already is no error.", func(ctx context.Context, in *decideIn[releaseBody]) (*row, error) {
		q, err := qs.Release(ctx, api.Who(ctx), in.ID, in.Body.Mistake, in.Body.Text)
		return &row{Body: q}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/quarantines/{id}/retry", "Ask the access network again what it did not take.", func(ctx context.Context, in *CaseID) (*row, error) {
		q, err := qs.Retry(ctx, api.Who(ctx), in.ID)
		return &row{Body: q}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/releases", "Let everybody out whose quarantine rests on a feed, is of a class, or both; everybody where neither is named.", func(ctx context.Context, in *struct{ Body releaseAllBody }) (*api.Answer[quarantine.Campaign], error) {
		c, err := qs.ReleaseAll(ctx, api.Who(ctx), in.Body.Feed, in.Body.Class, in.Body.Text)
		return &api.Answer[quarantine.Campaign]{Body: c}, err
	})
	api.Add(x, account.Look, "GET", "/abuse/releases", "The last releases of many, with how far they are.", func(ctx context.Context, in *struct{}) (*api.Answer[api.Page[quarantine.Campaign]], error) {
		all, err := qs.Campaigns(ctx, 20)
		return api.Paged(api.Window{}, all, func(c quarantine.Campaign) string { return c.ID }), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/playbook", "Take a hand in what the rules do about a case.", func(ctx context.Context, in *decideIn[steerBody]) (*api.Answer[CaseRow], error) {
		return d.after(ctx, in.ID, d.Steer(ctx, api.Who(ctx), in.ID, in.Body.Do, in.Body.Text))
	})
}
