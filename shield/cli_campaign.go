package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bolwerk/internal/terminal"
)

// CampaignCmd is "bolwerk campaign".
type CampaignCmd struct {
	List      campaignList  `cmd:"" help:"List the campaigns, those seen last first."`
	Show      campaignShow  `cmd:"" help:"Show one campaign: its figures, its names that wait, and what is like it."`
	Merge     campaignMerge `cmd:"" help:"Give all cases of one campaign to another. The old number leads to the new one."`
	UndoMerge campaignUndo  `cmd:"" help:"Take a campaign out of the one that it was merged into."`
}

type campaignList struct {
	desktop
	State string `help:"Only this state: forming, active, quiet or closed." enum:",forming,active,quiet,closed" default:"" placeholder:"STATE"`
	Query string `help:"Only titles that contain this." short:"q" placeholder:"TEXT"`
}

// Run does it.
func (c *campaignList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/campaigns", url.Values{"state": {c.State}, "q": {c.Query}}, nil, func(w io.Writer, all []CampaignRow) {
		if len(all) > 0 {
			fmt.Fprintln(w, "CAMPAIGN\tSTATE\tNAMES\tREPORTS\tBLOCKED\tLAST SEEN\tTITLE")
		}
		for _, k := range all {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", k.Ref, k.State, k.Cases, k.Reports, k.Blocks, at(k.LastSeen), terminal.Escape(k.Title))
		}
		count(w, len(all), "campaign", "campaigns")
	})
}

type campaignShow struct {
	desktop
	ID string `arg:"" help:"Id or number (K-2026-000001)."`
}

// Run does it.
func (c *campaignShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/campaigns/"+url.PathEscape(c.ID), nil, func(w io.Writer, v CampaignView) {
		printCampaign(w, v.CampaignRow)
		if v.MergedInto != "" {
			fmt.Fprintf(w, "merged\tinto %s\n", v.MergedInto)
		}
		fmt.Fprintf(w, "waiting\t%d names\nasks for\t%s\n", v.Waiting.N, dash(strings.Join(v.AskedFor.Names(), ", ")))
		for _, m := range v.Merged {
			fmt.Fprintf(w, "has\t%s (%d names) since %s: %s\n", m.Ref, m.Cases, at(m.At), terminal.Escape(m.Reason))
		}
		for _, k := range v.Alike {
			fmt.Fprintf(w, "like it\t%s %s\n", k.Ref, terminal.Escape(k.Title))
		}
		for _, b := range v.Siblings {
			fmt.Fprintf(w, "sibling\t%s (%s, beside %s)\n", named(b.Name.String()), b.Why, terminal.Escape(b.Beside))
		}
	})
}

func printCampaign(w io.Writer, k CampaignRow) {
	fmt.Fprintf(w, "%s\t%s, %s\nnames\t%d, %d of them blocked\nreports\t%d, first %s, last %s\nhits\t%d DNS answers, %d page views, %d TLS attempts\n", k.Ref, terminal.Escape(k.Title), k.State,
		k.Cases, k.Blocks, k.Reports, at(k.FirstSeen), at(k.LastSeen), k.Hits.DNS, k.Hits.Page, k.Hits.TLS)
}

type campaignMerge struct {
	desktop
	From   string `arg:"" help:"The campaign that ends."`
	Into   string `arg:"" help:"The campaign that stays."`
	Reason string `help:"What they have in common; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *campaignMerge) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodPost, "/campaigns/"+url.PathEscape(c.Into)+"/merge", map[string]string{"from": c.From, "reason": c.Reason}, printCampaign)
}

type campaignUndo struct {
	desktop
	ID     string `arg:"" help:"The campaign that ended."`
	Reason string `help:"Why they are two; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *campaignUndo) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodPost, "/campaigns/"+url.PathEscape(c.ID)+"/undo-merge", map[string]string{"reason": c.Reason}, printCampaign)
}
