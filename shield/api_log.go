package shield

import (
	"context"
	"strconv"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// transparency is the log at the desk: what the public site shows, and what only
// the desk may do.
func (a *API) transparency(x *api.Routes) {
	s := a.shield
	api.Add(x, account.Look, "GET", "/log", "Where the transparency log stands", func(ctx context.Context, _ *struct{}) (*api.Answer[LogHead], error) {
		h, err := s.LogHead(ctx)
		return &api.Answer[LogHead]{Body: h}, err
	})
	api.Add(x, account.Look, "GET", "/log/leaves/{id}", "Show what the transparency log says about a block", func(ctx context.Context, in *ByID) (*api.Answer[LogView], error) {
		v, err := s.LogAbout(ctx, in.ID)
		return &api.Answer[LogView]{Body: v}, err
	})
	api.Add(x, account.Look, "GET", "/log/openings", "List what opens the names in the transparency log", func(ctx context.Context, in *api.Window) (*api.Answer[api.Page[Opening]], error) {
		var after int64
		if in.Cursor != "" {
			var err error
			if after, err = strconv.ParseInt(in.Cursor, 10, 62); err != nil {
				return nil, bolwerk.Invalid("cursor %q: give next of the page before", in.Cursor)
			}
		}
		rows, err := s.Openings(ctx, after, in.Limit)
		return api.Paged(*in, rows, func(o Opening) string { return strconv.FormatInt(o.Index, 10) }), err
	})
	type forget struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"2000" doc:"why, in a few words; kept in the audit trail"`
		}
	}
	type forgotten struct {
		ID    string `json:"id" doc:"reference of the block"`
		Name  string `json:"name"`
		State string `json:"state" enum:"forgotten"`
	}
	api.Add(x, account.Decide, "POST", "/log/leaves/{id}/forget", "Erase a name from the transparency log, for ever", func(ctx context.Context, in *forget) (*api.Answer[forgotten], error) {
		b, err := s.Forget(ctx, Decider(api.Who(ctx)), in.ID, in.Body.Reason)
		return &api.Answer[forgotten]{Body: forgotten{b.Ref, b.Name.String(), "forgotten"}}, err
	})
}
