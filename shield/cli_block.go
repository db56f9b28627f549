package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"bolwerk/internal/terminal"
)

// BlockCmd is "bolwerk block".
type BlockCmd struct {
	List     blockList     `cmd:"" help:"List the blocks, newest first."`
	Add      blockAdd      `cmd:"" help:"Block a name, reported or not."`
	Withdraw blockWithdraw `cmd:"" help:"Take a block out of force. No guard holds it up."`
	Explain  blockExplain  `cmd:"" help:"Say what happens to a name and why, and ask every resolver."`
}

type blockList struct {
	desktop
	State string `help:"Only this state: in_force, expired or withdrawn." enum:",in_force,expired,withdrawn" default:"" placeholder:"STATE"`
	Query string `help:"Only names that contain this." short:"q" placeholder:"TEXT"`
}

// Run does it.
func (c *blockList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/blocks", url.Values{"q": {c.Query}, "state": {c.State}}, nil, func(w io.Writer, all []Block) {
		blockRows(w, all, "block", "blocks")
	})
}

type blockAdd struct {
	desktop
	Name string `arg:"" help:"The name, with or without U-labels."`
	wishes
}

// Run does it.
func (c *blockAdd) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/blocks", struct {
		Name string `json:"name"`
		Wish
	}{c.Name, c.wish()})
}

type blockWithdraw struct {
	desktop
	ID     string `arg:"" help:"Id, number (B-2026-000001) or name."`
	Reason string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
	Cause  string `help:"false_positive, appeal, cleaned or error." enum:"false_positive,appeal,cleaned,error" default:"error" placeholder:"CAUSE"`
}

// Run does it.
func (c *blockWithdraw) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/blocks/"+url.PathEscape(c.ID)+"/withdraw", because{c.Reason, c.Cause})
}

type blockExplain struct {
	desktop
	Name string `arg:"" help:"The name, blocked or not."`
}

// Run does it. Resolvers that disagree or are away are an answer, not a failure.
func (c *blockExplain) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/names/"+url.PathEscape(c.Name), nil, printExplanation)
}

func printExplanation(w io.Writer, e Explanation) {
	name := named(e.Name.String())
	switch {
	case e.By == nil:
		fmt.Fprintf(w, "%s is not blocked\n", name)
	case e.By.Pass:
		fmt.Fprintf(w, "%s passes, by exemption %s: %s\n", name, e.By.Ref, terminal.Escape(e.By.Reason))
	default:
		fmt.Fprintf(w, "%s is blocked\n", name)
		until := "for ever"
		if !e.By.Until.IsZero() {
			until = "until " + at(e.By.Until)
		}
		fmt.Fprintf(w, "by\t%s (%s %s), %s, %s\nground\t%s\nreason\t%s\nserial\t%d.%d\n", e.By.Ref, e.By.Scope, named(e.By.Name.String()), e.By.Action, until,
			dash(e.By.Legal), dash(e.By.Reason), e.By.Epoch, e.By.Serial)
		fmt.Fprintf(w, "hits\t%d DNS answers, %d page views, %d TLS attempts\n", e.By.Hits.DNS, e.By.Hits.Page, e.By.Hits.TLS)
	}
	for _, b := range e.Others {
		fmt.Fprintf(w, "also\t%s (%s %s)\n", b.Ref, b.Scope, named(b.Name.String()))
	}
	for _, b := range e.Past {
		fmt.Fprintf(w, "before\t%s, %s %s: %s\n", b.Ref, b.State, at(b.EndedAt), dash(b.EndedReason))
	}
	place := e.Place.Suffix + " (" + e.Place.Section + ")"
	if e.Place.Registrable != "" {
		place += ", registrable " + e.Place.Registrable
	}
	if e.Place.Tenant != "" {
		place += ", tenant " + e.Place.Tenant + " of " + e.Place.Platform
	}
	if e.Place.Rank > 0 {
		place += fmt.Sprintf(", popularity rank %d", e.Place.Rank)
	}
	fmt.Fprintf(w, "place\t%s\n", place)
	for _, o := range e.Guards {
		fmt.Fprintf(w, "guard %d\t%s\n", o.Guard, terminal.Escape(o.Sentence))
	}
	away := 0
	for _, r := range e.Resolvers {
		line := r.State
		switch {
		case r.State == "away":
			away++
			line += ": " + terminal.Escape(r.Problem)
		case !r.Agrees:
			line += "  DISAGREES"
		}
		if r.Zone != nil {
			line += fmt.Sprintf(", serial %d.%d", r.Zone.Epoch, r.Zone.Serial)
		}
		by := ""
		if r.By != "" {
			by = " (asked by this " + terminal.Escape(r.By) + ")"
		}
		fmt.Fprintf(w, "resolver\t%s %s%s: %s\n", terminal.Escape(r.Name), terminal.Escape(r.Address), by, line)
		if r.Hint != "" {
			fmt.Fprintf(w, "\t%s\n", terminal.Escape(r.Hint))
		}
	}
	switch disagree := e.Disagree; {
	case len(e.Resolvers) == 0:
		fmt.Fprintln(w, "no resolver is configured to be asked")
	case away == len(e.Resolvers):
		fmt.Fprintln(w, "no resolver answers: what they do is not known")
	case away > 0:
		fmt.Fprintf(w, "%d of %d resolvers are away: what they do is not known\n", away, len(e.Resolvers))
	case disagree:
		fmt.Fprintln(w, "not every resolver does what the desk wants")
	default:
		fmt.Fprintln(w, "every resolver does what the desk wants")
	}
}

// ExemptCmd is "bolwerk exempt".
type ExemptCmd struct {
	List   exemptList   `cmd:"" help:"List the exemptions, newest first."`
	Add    exemptAdd    `cmd:"" help:"Let a name pass whatever is blocked."`
	Remove exemptRemove `cmd:"" help:"End an exemption."`
}

type exemptList struct {
	desktop
	State string `help:"Only this state: in_force, expired or withdrawn." enum:",in_force,expired,withdrawn" default:"" placeholder:"STATE"`
	Query string `help:"Only names that contain this." short:"q" placeholder:"TEXT"`
}

// Run does it.
func (c *exemptList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/exemptions", url.Values{"q": {c.Query}, "state": {c.State}}, nil, func(w io.Writer, all []Block) {
		blockRows(w, all, "exemption", "exemptions")
	})
}

type exemptAdd struct {
	desktop
	Name      string `arg:"" help:"The name, with or without U-labels."`
	Reason    string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
	Scope     string `help:"host, subtree or registrable. Default: host." enum:",host,subtree,registrable" default:"" placeholder:"SCOPE"`
	For       Span   `help:"How long: 12h, 7d. Default: 24h, the most that one person may give." placeholder:"TIME" xor:"end"`
	Permanent bool   `help:"For ever; needs a second person." xor:"end"`
}

// Run does it.
func (c *exemptAdd) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/exemptions", struct {
		Name      string `json:"name"`
		Reason    string `json:"reason"`
		Scope     string `json:"scope,omitempty"`
		For       string `json:"for,omitempty"`
		Permanent bool   `json:"permanent,omitempty"`
	}{c.Name, c.Reason, c.Scope, string(c.For), c.Permanent})
}

type exemptRemove struct {
	desktop
	ID     string `arg:"" help:"Id, number (E-2026-000001) or name."`
	Reason string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *exemptRemove) Run(ctx context.Context, t *terminal.Terminal) error {
	return decide(ctx, t, &c.desktop, "/exemptions/"+url.PathEscape(c.ID)+"/remove", because{Reason: c.Reason})
}
