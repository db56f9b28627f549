package shield

import (
	"context"

	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// campaigns are what the pages under /campaign show and do.
func (a *API) campaigns(x *api.Routes) {
	s := a.shield
	type listCampaigns struct {
		api.Window
		State string `query:"state" enum:"forming,active,quiet,closed" doc:"absent: all; active has those that form too"`
		Query string `query:"q" maxLength:"253" doc:"part of the title, which has brand and shape of the names"`
	}
	api.Add(x, account.Look, "GET", "/campaigns", "List campaigns, those seen last first", func(ctx context.Context, in *listCampaigns) (*api.Answer[api.Page[CampaignRow]], error) {
		rows, err := s.Campaigns(ctx, CampaignFilter{State: CampaignState(in.State), Query: in.Query, After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(c CampaignRow) string { return c.ID }), err
	})
	api.Add(x, account.Look, "GET", "/campaigns/{id}", "Look at one campaign; merged_into leads on from one that was merged", func(ctx context.Context, in *ByID) (*api.Answer[CampaignView], error) {
		v, err := s.Campaign(ctx, in.ID)
		return &api.Answer[CampaignView]{Body: v}, err
	})
	type preview struct {
		ByID
		From string `query:"from" required:"true" maxLength:"100" doc:"number or id of the campaign that would end"`
	}
	api.Add(x, account.Look, "GET", "/campaigns/{id}/merging", "See what would become of a merge, without doing it", func(ctx context.Context, in *preview) (*api.Answer[Merging], error) {
		m, err := s.Merging(ctx, in.From, in.ID)
		return &api.Answer[Merging]{Body: m}, err
	})
	type merge struct {
		ByID
		Body struct {
			From   string `json:"from" maxLength:"100" doc:"number or id of the campaign that ends; its number leads to this one"`
			Reason string `json:"reason" maxLength:"500" doc:"what they have in common; kept in the audit trail"`
		}
	}
	api.Add(x, account.Decide, "POST", "/campaigns/{id}/merge", "Give all cases of another campaign to this one", func(ctx context.Context, in *merge) (*api.Answer[CampaignRow], error) {
		c, err := s.MergeCampaigns(ctx, Decider(api.Who(ctx)), in.Body.From, in.ID, in.Body.Reason)
		return &api.Answer[CampaignRow]{Body: c}, err
	})
	type undo struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"500" doc:"why they are two; kept in the audit trail"`
		}
	}
	api.Add(x, account.Decide, "POST", "/campaigns/{id}/undo-merge", "Take a campaign out of the one that it was merged into", func(ctx context.Context, in *undo) (*api.Answer[CampaignRow], error) {
		c, err := s.UndoMerge(ctx, Decider(api.Who(ctx)), in.ID, in.Body.Reason)
		return &api.Answer[CampaignRow]{Body: c}, err
	})
}
