package shield

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk"
	"bolwerk/internal/account"
)

// transparency is the log at the desk: what the public site shows, and what only
// the desk may do.
func (a *API) transparency(api huma.API) {
	s := a.shield
	add(a, api, account.Look, "GET", "/log", "Where the transparency log stands", func(ctx context.Context, _ *struct{}) (*answer[LogHead], error) {
		h, err := s.LogHead(ctx)
		return &answer[LogHead]{Body: h}, err
	})
	add(a, api, account.Look, "GET", "/log/leaves/{id}", "Show what the transparency log says about a block", func(ctx context.Context, in *ByID) (*answer[LogView], error) {
		v, err := s.LogAbout(ctx, in.ID)
		return &answer[LogView]{Body: v}, err
	})
	add(a, api, account.Look, "GET", "/log/openings", "List what opens the names in the transparency log", func(ctx context.Context, in *Window) (*answer[page[Opening]], error) {
		var after int64
		if in.Cursor != "" {
			var err error
			if after, err = strconv.ParseInt(in.Cursor, 10, 62); err != nil {
				return nil, bolwerk.Invalid("cursor %q: give next of the page before", in.Cursor)
			}
		}
		rows, err := s.Openings(ctx, after, in.Limit)
		return paged(*in, rows, func(o Opening) string { return strconv.FormatInt(o.Index, 10) }), err
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
	add(a, api, account.Decide, "POST", "/log/leaves/{id}/forget", "Erase a name from the transparency log, for ever", func(ctx context.Context, in *forget) (*answer[forgotten], error) {
		b, err := s.Forget(ctx, Decider(whoAsks(ctx)), in.ID, in.Body.Reason)
		return &answer[forgotten]{Body: forgotten{b.Ref, b.Name.String(), "forgotten"}}, err
	})
}
