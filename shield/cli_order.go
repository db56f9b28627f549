package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bolwerk/desk"
	"bolwerk/internal/terminal"
)

// OrderCmd is "bolwerk order".
type OrderCmd struct {
	List    orderList    `cmd:"" help:"List the orders of authorities, newest first."`
	Show    orderShow    `cmd:"" help:"Show an order."`
	Release orderRelease `cmd:"" help:"Carry out the orders of an issuer that were held back."`
}

type orderList struct {
	desktop
	Issuer string `help:"Only orders of this issuer." placeholder:"NAME"`
	State  string `help:"Only this state: held, in_force, refused, lifted or ended." enum:",held,in_force,refused,lifted,ended" default:"" placeholder:"STATE"`
}

// Run does it.
func (c *orderList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/orders", url.Values{"issuer": {c.Issuer}, "state": {c.State}}, nil, func(w io.Writer, all []desk.Order) {
		if len(all) > 0 {
			fmt.Fprintln(w, "ORDER\tSTATE\tNAME\tSCOPE\tISSUER\tTHEIR NUMBER\tRECEIVED")
		}
		for _, o := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.Ref, o.State, named(o.Subject), o.Scope, dash(o.Issuer), dash(o.External), at(o.ReceivedAt))
		}
		count(w, len(all), "order", "orders")
	})
}

type orderShow struct {
	desktop
	ID string `arg:"" help:"Id or number (O-2026-000001)."`
}

// Run does it.
func (c *orderShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/orders/"+url.PathEscape(c.ID), nil, func(w io.Writer, o desk.Order) {
		fmt.Fprintf(w, "%s\t%s %s (%s)\nid\t%s\nstate\t%s %s\nissuer\t%s, their number %s\nground\t%s\nvalid\t%s to %s\nblock\t%s\nreceived\t%s\n",
			o.Ref, o.Action, named(o.Subject), o.Scope, o.ID, o.State, terminal.Escape(o.Reason), dash(o.Issuer), dash(o.External), dash(o.Ground), at(o.ValidFrom), at(o.ValidUntil), dash(o.Object), at(o.ReceivedAt))
	})
}

type orderRelease struct {
	desktop
	Issuer string `arg:"" help:"Name of the issuer in the configuration."`
}

// Run does it.
func (c *orderRelease) Run(ctx context.Context, t *terminal.Terminal) error {
	type released struct {
		Released int `json:"released"`
	}
	return show(ctx, t, &c.desktop, http.MethodPost, "/orders/"+url.PathEscape(c.Issuer)+"/release", nil, func(w io.Writer, v released) {
		fmt.Fprintf(w, "%d orders of %s are no longer held; bolwerk order list --issuer %s shows what became of them\n", v.Released, dash(c.Issuer), dash(c.Issuer))
	})
}

// AppealCmd is "bolwerk appeal".
type AppealCmd struct {
	List   appealList   `cmd:"" help:"List the appeals, newest first."`
	Show   appealShow   `cmd:"" help:"Show an appeal with what was written."`
	Decide appealDecide `cmd:"" help:"Uphold an appeal, which withdraws the block, or reject it."`
}

type appealList struct {
	desktop
	State string `help:"Only this state: received or decided." enum:",received,decided" default:"" placeholder:"STATE"`
}

// Run does it.
func (c *appealList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/appeals", url.Values{"state": {c.State}}, nil, func(w io.Writer, all []AppealItem) {
		if len(all) > 0 {
			fmt.Fprintln(w, "APPEAL\tSTATE\tNAME\tBLOCK\tBY\tDUE")
		}
		for _, a := range all {
			state := a.State
			if a.Decision != "" {
				state += " (" + a.Decision + ")"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Ref, state, named(a.Name), dash(a.Object), dash(a.Role), at(a.DueAt))
		}
		count(w, len(all), "appeal", "appeals")
	})
}

type appealShow struct {
	desktop
	ID string `arg:"" help:"Id or number (A-2026-000001)."`
}

// Run does it.
func (c *appealShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/appeals/"+url.PathEscape(c.ID), nil, printAppeal)
}

func printAppeal(w io.Writer, a AppealItem) {
	fmt.Fprintf(w, "%s\t%s\nid\t%s\nstate\t%s\nblock\t%s\nby\t%s, %s\ndue\t%s\n", a.Ref, named(a.Name), a.ID, strings.TrimSpace(a.State+" "+a.Decision), dash(a.Object), dash(a.Role), dash(a.Contact), at(a.DueAt))
	label := "text"
	for line := range strings.Lines(a.Text) {
		fmt.Fprintf(w, "%s\t%s\n", label, terminal.Escape(strings.TrimRight(line, "\r\n")))
		label = ""
	}
	if a.Reason != "" {
		fmt.Fprintf(w, "decided\t%s: %s\n", at(a.DecidedAt), terminal.Escape(a.Reason))
	}
}

type appealDecide struct {
	desktop
	ID     string `arg:"" help:"Id or number (A-2026-000001)."`
	Uphold bool   `help:"It was a mistake: the block is withdrawn." xor:"decision" required:""`
	Reject bool   `help:"The block stays." xor:"decision" required:""`
	Reason string `help:"Why, in a few words; kept in the audit trail." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *appealDecide) Run(ctx context.Context, t *terminal.Terminal) error {
	word := "rejected"
	if c.Uphold {
		word = "upheld"
	}
	in := struct {
		Decision string `json:"decision"`
		Reason   string `json:"reason"`
	}{word, c.Reason}
	return show(ctx, t, &c.desktop, http.MethodPost, "/appeals/"+url.PathEscape(c.ID)+"/decide", in, printAppeal)
}
