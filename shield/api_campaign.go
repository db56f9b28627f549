package shield

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/account"
)

// campaigns are what the pages under /campaign show and do.
func (a *API) campaigns(api huma.API) {
	s := a.shield
	type listCampaigns struct {
		Window
		State string `query:"state" enum:"forming,active,quiet,closed" doc:"absent: all; active has those that form too"`
		Query string `query:"q" maxLength:"253" doc:"part of the title, which has brand and shape of the names"`
	}
	add(a, api, account.Look, "GET", "/campaigns", "List campaigns, those seen last first", func(ctx context.Context, in *listCampaigns) (*answer[page[CampaignRow]], error) {
		rows, err := s.Campaigns(ctx, CampaignFilter{State: CampaignState(in.State), Query: in.Query, After: in.Cursor, Limit: in.Limit})
		return paged(in.Window, rows, func(c CampaignRow) string { return c.ID }), err
	})
	add(a, api, account.Look, "GET", "/campaigns/{id}", "Look at one campaign; merged_into leads on from one that was merged", func(ctx context.Context, in *ByID) (*answer[CampaignView], error) {
		v, err := s.Campaign(ctx, in.ID)
		return &answer[CampaignView]{Body: v}, err
	})
	type preview struct {
		ByID
		From string `query:"from" required:"true" maxLength:"100" doc:"number or id of the campaign that would end"`
	}
	add(a, api, account.Look, "GET", "/campaigns/{id}/merging", "See what would become of a merge, without doing it", func(ctx context.Context, in *preview) (*answer[Merging], error) {
		m, err := s.Merging(ctx, in.From, in.ID)
		return &answer[Merging]{Body: m}, err
	})
	type merge struct {
		ByID
		Body struct {
			From   string `json:"from" maxLength:"100" doc:"number or id of the campaign that ends; its number leads to this one"`
			Reason string `json:"reason" maxLength:"500" doc:"what they have in common; kept in the audit trail"`
		}
	}
	add(a, api, account.Decide, "POST", "/campaigns/{id}/merge", "Give all cases of another campaign to this one", func(ctx context.Context, in *merge) (*answer[CampaignRow], error) {
		c, err := s.MergeCampaigns(ctx, Decider(whoAsks(ctx)), in.Body.From, in.ID, in.Body.Reason)
		return &answer[CampaignRow]{Body: c}, err
	})
	type undo struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"500" doc:"why they are two; kept in the audit trail"`
		}
	}
	add(a, api, account.Decide, "POST", "/campaigns/{id}/undo-merge", "Take a campaign out of the one that it was merged into", func(ctx context.Context, in *undo) (*answer[CampaignRow], error) {
		c, err := s.UndoMerge(ctx, Decider(whoAsks(ctx)), in.ID, in.Body.Reason)
		return &answer[CampaignRow]{Body: c}, err
	})
}
