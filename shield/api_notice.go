package shield

import (
	"context"
	"strings"

	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/shield/judge"
)

// notices are what others outside are told, as the pages under /notices show them.
func (a *API) notices(x *api.Routes) {
	s := a.shield
	type listNotices struct {
		api.Window
		State string `query:"state" enum:"held,waiting,sent,receipt,refused,returned,given_up,dropped,dry" doc:"absent: all"`
		Kind  string `query:"kind" enum:"authority,browsers,brand,host,registrar,owner" doc:"absent: all"`
		Case  string `query:"case" maxLength:"600" doc:"number of a case, or its name"`
		Query string `query:"q" maxLength:"253" doc:"part of the name, or of the recipient's address"`
	}
	api.Add(x, account.Look, "GET", "/notices", "List what others were told of decisions", func(ctx context.Context, in *listNotices) (*api.Answer[api.Page[Notice]], error) {
		rows, err := s.Notices(ctx, NoticeFilter{State: NoticeState(in.State), Kind: in.Kind, Case: in.Case, Query: strings.ToLower(asStored(in.Query)), After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(n Notice) string { return n.ID }), err
	})
	api.Add(x, account.Look, "GET", "/notices/{id}", "Look at one notice as it goes out", func(ctx context.Context, in *ByID) (*api.Answer[Notice], error) {
		n, err := s.Notice(ctx, in.ID)
		return &api.Answer[Notice]{Body: n}, err
	})
	do := func(path, summary string, fn func(context.Context, judge.Person, string) error) {
		api.Add(x, account.Decide, "POST", path, summary, func(ctx context.Context, in *ByID) (*api.Answer[Notice], error) {
			if err := fn(ctx, Decider(api.Who(ctx)), in.ID); err != nil {
				return nil, err
			}
			n, err := s.Notice(ctx, in.ID)
			return &api.Answer[Notice]{Body: n}, err
		})
	}
	do("/notices/{id}/let", "Let the first notice to a recipient go, with those that wait beside it", s.LetNotices)
	do("/notices/{id}/drop", "Keep a notice that did not leave yet from leaving", s.DropNotice)
	do("/notices/{id}/use-again", "Let notices go again to an address from which one came back", s.UseAddressAgain)
	type receipt struct {
		ByID
		Body struct {
			Receipt string `json:"receipt" maxLength:"200" doc:"what the recipient called it, such as the number of a ticket"`
		}
	}
	api.Add(x, account.Decide, "POST", "/notices/{id}/receipt", "Keep what a recipient answered elsewhere", func(ctx context.Context, in *receipt) (*api.Answer[Notice], error) {
		if err := s.KeepReceipt(ctx, Decider(api.Who(ctx)), in.ID, in.Body.Receipt); err != nil {
			return nil, err
		}
		n, err := s.Notice(ctx, in.ID)
		return &api.Answer[Notice]{Body: n}, err
	})
}
