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

// NoticeCmd is "bolwerk notice".
type NoticeCmd struct {
	List     noticeList     `cmd:"" help:"List what others were told, newest first."`
	Show     noticeShow     `cmd:"" help:"Show one notice as it goes out."`
	Let      noticeLet      `cmd:"" help:"Let the first notice to a recipient go; those that follow leave by themselves."`
	Drop     noticeDrop     `cmd:"" help:"Keep a notice that did not leave yet from leaving."`
	Receipt  noticeReceipt  `cmd:"" help:"Keep what a recipient answered elsewhere."`
	UseAgain noticeUseAgain `cmd:"" help:"Let notices go again to an address from which one came back."`
}

type noticeList struct {
	desktop
	State string `help:"Only this state: held, waiting, sent, receipt, refused, returned, given_up, dropped or dry." enum:",held,waiting,sent,receipt,refused,returned,given_up,dropped,dry" default:"" placeholder:"STATE"`
	Kind  string `help:"Only this kind: authority, browsers, brand, host, registrar or owner." enum:",authority,browsers,brand,host,registrar,owner" default:"" placeholder:"KIND"`
	Case  string `help:"Only about this case: its number or name." placeholder:"CASE"`
	Query string `help:"Only names or addresses that contain this." short:"q" placeholder:"TEXT"`
}

// Run does it.
func (c *noticeList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/notices", url.Values{"state": {c.State}, "kind": {c.Kind}, "case": {c.Case}, "q": {c.Query}}, nil, func(w io.Writer, all []Notice) {
		if len(all) > 0 {
			fmt.Fprintln(w, "NOTICE\tCASE\tNAME\tKIND\tTO\tSTATE\tRECEIPT")
		}
		for _, n := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Ref, dash(n.Case), named(n.Name), n.Kind, terminal.Escape(n.To), n.Say, dash(n.Receipt))
		}
		count(w, len(all), "notice", "notices")
	})
}

type noticeID struct {
	desktop
	ID string `arg:"" help:"Id or number (N-2026-000001)."`
}

func (c *noticeID) do(ctx context.Context, t *terminal.Terminal, verb string, in any) error {
	return show(ctx, t, &c.desktop, http.MethodPost, "/notices/"+url.PathEscape(c.ID)+"/"+verb, in, func(w io.Writer, n Notice) {
		fmt.Fprintf(w, "%s to %s is %s\n", n.Ref, terminal.Escape(n.To), n.Say)
	})
}

type noticeShow struct{ noticeID }

// Run does it.
func (c *noticeShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodGet, "/notices/"+url.PathEscape(c.ID), nil, func(w io.Writer, n Notice) {
		fmt.Fprintf(w, "%s is %s\nabout\t%s, case %s\nto\t%s (%s %s)\nmade\t%s\n", n.Ref, n.Say, named(n.Name), dash(n.Case), terminal.Escape(n.To), n.Kind, terminal.Escape(n.Who), at(n.MadeAt))
		if !n.SentAt.IsZero() {
			fmt.Fprintf(w, "left\t%s\n", at(n.SentAt))
		}
		if n.Receipt != "" {
			fmt.Fprintf(w, "receipt\t%s\n", terminal.Escape(n.Receipt))
		}
		if n.Error != "" {
			fmt.Fprintf(w, "error\t%s\n", terminal.Escape(n.Error))
		}
		fmt.Fprintf(w, "subject\t%s\n\n%s\n", terminal.Escape(n.Subject), escapeLines(n.Body))
		if n.Report != "" {
			fmt.Fprintf(w, "\n%s\n", terminal.Escape(n.Report))
		}
	})
}

// escapeLines escapes each line by itself.
func escapeLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = terminal.Escape(l)
	}
	return strings.Join(lines, "\n")
}

type noticeLet struct{ noticeID }

// Run does it.
func (c *noticeLet) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.do(ctx, t, "let", nil)
}

type noticeDrop struct{ noticeID }

// Run does it.
func (c *noticeDrop) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.do(ctx, t, "drop", nil)
}

type noticeUseAgain struct{ noticeID }

// Run does it.
func (c *noticeUseAgain) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.do(ctx, t, "use-again", nil)
}

type noticeReceipt struct {
	noticeID
	Receipt string `arg:"" help:"What the recipient called it, such as the number of a ticket."`
}

// Run does it.
func (c *noticeReceipt) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.do(ctx, t, "receipt", map[string]string{"receipt": c.Receipt})
}
