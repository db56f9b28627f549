package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bolwerk/internal/terminal"
	"bolwerk/shield/judge"
)

// CaseCmd is "bolwerk case".
type CaseCmd struct {
	List    caseList    `cmd:"" help:"List the cases; what waits for a person comes first."`
	Show    caseShow    `cmd:"" help:"Show a case: evidence, verdicts, reports, what would be blocked."`
	Confirm caseConfirm `cmd:"" help:"Have the case's name blocked."`
	Reject  caseReject  `cmd:"" help:"End the case without a block."`
	Replay  caseReplay  `cmd:"" help:"Judge the case again from what is kept: evidence and captures of its pages."`
}

type caseList struct {
	desktop
	State []string `help:"Only these states: gathering, waiting, second, decided, closed. Default: all whose proposal stands." enum:"gathering,waiting,second,decided,closed" placeholder:"STATE"`
	Query string   `help:"Only names that contain this." short:"q" placeholder:"TEXT"`
}

// Run does it.
func (c *caseList) Run(ctx context.Context, t *terminal.Terminal) error {
	q := url.Values{"q": {c.Query}, "state": {strings.Join(c.State, ",")}}
	urgent := func(all []CaseRow) {
		slices.SortStableFunc(all, func(a, b CaseRow) int {
			if a.State.Open() != b.State.Open() {
				if a.State.Open() {
					return -1
				}
				return 1
			}
			return int(b.Priority - a.Priority)
		})
	}
	return list(ctx, t, &c.desktop, "/cases", q, urgent, caseRows)
}

type caseShow struct {
	desktop
	ID string `arg:"" help:"Id, number (C-2026-000001) or name."`
}

// Run does it.
func (c *caseShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/cases/"+url.PathEscape(c.ID), nil, printCase)
}

func printCase(w io.Writer, v CaseView) {
	fmt.Fprintf(w, "%s\t%s\nid\t%s\nstate\t%s\nverdict\t%s\n", v.Ref, named(v.Name), v.ID, strings.TrimSpace(string(v.State)+" "+terminal.Escape(v.Outcome)), dash(v.Verdict))
	if len(v.Verdicts) > 0 {
		for _, r := range v.Verdicts[0].Reasons {
			fmt.Fprintf(w, "\t%s\n", reasonText(r))
		}
	}
	fmt.Fprintf(w, "proposed\t%s %s\n", dash(string(v.Scope)), named(v.Target))
	for _, r := range v.ScopeWhy {
		fmt.Fprintf(w, "\t%s\n", reasonText(r))
	}
	who := ""
	if v.Reporters > 0 { // a report by token is nobody's who is counted
		who = fmt.Sprintf(" by %d reporters", v.Reporters)
		if v.Reporters == 1 {
			who = " by 1 reporter"
		}
	}
	fmt.Fprintf(w, "brand\t%s\ncampaign\t%s\nreports\t%d%s, first %s\n", dash(v.Brand), dash(v.Campaign), v.Reports, who, at(v.FirstSeen))
	for _, e := range v.Evidence {
		fmt.Fprintf(w, "evidence\t%s %s: %s %s\n", e.Family, terminal.Escape(e.Source), e.Verdict, terminal.Escape(strings.TrimSpace(e.Reason+" "+e.Detail)))
	}
	if v.Proposal != nil {
		fmt.Fprintf(w, "waits\tfor a second person: %s\n", terminal.Escape(v.Proposal.Need))
	}
	if v.Placed != nil {
		fmt.Fprintf(w, "block\t%s %s, %s\n", v.Placed.Ref, named(v.Placed.Name.String()), v.Placed.State)
	}
	for _, n := range v.Notices {
		fmt.Fprintf(w, "notice\t%s to %s (%s), %s\n", n.Ref, terminal.Escape(n.To), n.Kind, n.Say)
	}
	for _, u := range v.Untold {
		fmt.Fprintf(w, "not told\t%s: no address that can be written to\n", strings.TrimSpace(u.Kind+" "+terminal.Escape(u.Who)))
		for _, t := range u.Tried {
			fmt.Fprintf(w, "\t%s\n", strings.Join(strings.Fields(t.What+" "+terminal.Escape(t.About)+" "+terminal.Escape(t.Detail)), " "))
		}
	}
}

func reasonText(r judge.Reason) string { return terminal.Escape(r.Text) }

// wishes are the flags of a block.
type wishes struct {
	Reason      string   `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
	Scope       string   `help:"host, subtree or registrable. Default: what the rules propose, or host." enum:",host,subtree,registrable" default:"" placeholder:"SCOPE"`
	For         Span     `help:"How long: 72h, 14d. Default: what the rules propose." placeholder:"TIME"`
	Ground      string   `help:"Legal ground. Default: the configured one." placeholder:"TEXT"`
	Class       string   `help:"phishing, fake_shop, malware or scam." enum:",phishing,fake_shop,malware,scam" default:"" placeholder:"CLASS"`
	Brand       string   `help:"Whom it imitates." placeholder:"NAME"`
	Action      string   `help:"What is answered: redirect, nxdomain or nodata." enum:",redirect,nxdomain,nodata" default:"" placeholder:"ACTION"`
	Compromised bool     `help:"A hacked site of somebody else is behind it: shorter, and cleaned sites come back."`
	AskedFor    []string `help:"What the site asks visitors for: card, otp, money, remote, password, iban, id; several with commas." placeholder:"KIND"`
}

func (w wishes) wish() Wish {
	return Wish{Reason: w.Reason, Scope: w.Scope, For: string(w.For), Class: w.Class, Brand: w.Brand, Ground: w.Ground, Action: w.Action, Compromised: w.Compromised, AskedFor: w.AskedFor}
}

type caseConfirm struct {
	desktop
	ID string `arg:"" help:"Id, number (C-2026-000001) or name."`
	wishes
}

// Run does it.
func (c *caseConfirm) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/cases/"+url.PathEscape(c.ID)+"/confirm", c.wish())
}

// because is the body of a decision that needs a reason only.
type because struct {
	Reason string `json:"reason"`
	Cause  string `json:"cause,omitempty"`
}

type caseReject struct {
	desktop
	ID     string `arg:"" help:"Id, number (C-2026-000001) or name."`
	Reason string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *caseReject) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/cases/"+url.PathEscape(c.ID)+"/reject", because{Reason: c.Reason})
}

var replayState = map[string]string{
	"same":          "the verdict is the same, to the byte",
	"different":     "the kept evidence gives the kept verdict; what is known today gives another one",
	"broken":        "what is kept does not give the kept verdict: verify the audit trail",
	"unknown_rules": "this program has not the rules that made the verdict",
}

var pageState = map[string]string{
	"same":      "reads the same, to the byte",
	"different": "reads differently by today's rules",
	"broken":    "is not what was read out of it by the same rules",
	"gone":      "is kept no longer",
}

type caseReplay struct {
	desktop
	ID string `arg:"" help:"Id, number (C-2026-000001) or name."`
}

// Run does it.
func (c *caseReplay) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/cases/"+url.PathEscape(c.ID)+"/replay", nil, func(w io.Writer, r Replayed) {
		fmt.Fprintf(w, "%s\t%s\nwas\t%s\t%s\nagain\t%s\t%s\nis\t%s\t%s\n", named(r.Name), replayState[r.State],
			dash(string(r.Was.Word)), dash(r.Was.Ruleset), dash(string(r.Again.Word)), dash(r.Again.Ruleset), dash(string(r.Is.Word)), dash(r.Is.Ruleset))
		for _, p := range r.Pages {
			fmt.Fprintf(w, "page\t%s %s, %s\t%.12s %s\n", p.Profile, p.Lang, at(p.At), p.Bundle, strings.TrimSpace(pageState[p.State]+" "+terminal.Escape(p.Why)))
		}
		for _, c := range r.Changed {
			e := c.Is
			if e == nil {
				e = c.Was
			}
			fmt.Fprintf(w, "%s\t%s\t%s: %s %s %s\n", c.How, e.Family, terminal.Escape(e.Source), e.Reason, e.Verdict, terminal.Escape(e.Detail))
		}
	})
}
