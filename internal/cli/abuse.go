package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
)

// abuseCmd is the capability's part, and what needs the desk's machine.
type abuseCmd struct {
	abuse.Cmd
	Who    abuseWho    `cmd:"" help:"Show who had an address at a time, as far as is known. The look is noted."`
	Leases abuseLeases `cmd:"" help:"Leases of DHCP servers."`
	Lines  abuseLines  `cmd:"" help:"Fixed lines: who has a prefix for good."`
	View   abuseView   `cmd:"" help:"DNS views that follow subscribers from session to session."`

	NAS     abuseNAS     `cmd:"" name:"nas" help:"Access servers: which are used, and the proof that they let go."`
	Enforce abuseEnforce `cmd:"" help:"The contract with policy managers."`
	Allow   abuseAllow   `cmd:"" help:"Show what a line in the strict safe environment reaches all the same, and why; or as rules. Needs no desk."`
}

type abuseWho struct {
	socket
	Address string        `arg:"" help:"Address of a report."`
	At      string        `help:"Time of the report, RFC 3339, or now." required:"" placeholder:"TIME"`
	Port    uint16        `help:"Source port: without one nobody is named behind a shared address." placeholder:"N"`
	Skew    time.Duration `help:"How far the reporter's clock may be wrong. Default: abuse.who.skew." placeholder:"TIME"`
	Reason  string        `help:"Why you look, in a few words; the privacy officer sees it." required:"" placeholder:"TEXT"`
	Case    string        `help:"Case that you look for." placeholder:"ID"`
}

// Run does it.
func (c *abuseWho) Run(ctx context.Context, t *terminal.Terminal) error {
	at, err := time.Parse(time.RFC3339, c.At)
	if c.At == "now" {
		at, err = time.Now(), nil
	}
	if err != nil {
		return bolwerk.WithHint(bolwerk.Invalid("--at %q is no time", c.At), "such as 2026-11-30T12:00:00Z")
	}
	addr, err := netip.ParseAddr(c.Address)
	if err != nil {
		return bolwerk.WithHint(bolwerk.Invalid("%q is no address", c.Address), "such as 198.51.100.7 or 2001:db8::7")
	}
	q := app.WhoHad{Question: session.Question{Addr: addr, Port: c.Port, At: at, Skew: c.Skew}, Reason: c.Reason, Case: c.Case}
	return ask(ctx, t, c.socket, http.MethodPost, "/abuse/who", q, func(w io.Writer, a session.Answer) {
		for _, h := range a.Candidates {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", terminal.Escape(h.Subscriber), terminal.Escape(h.Line), h.Level, words(h.Why))
		}
		switch _, ok := a.Act(); {
		case ok:
			fmt.Fprintln(w, "one candidate: may be acted on")
		case len(a.Candidates) == 0:
			fmt.Fprintf(w, "nobody is known to have had it\t%s\n", words(a.Why))
		default:
			fmt.Fprintf(w, "%d candidates: nothing acts on this\t%s\n", len(a.Candidates), words(a.Why))
		}
	})
}

func words(why []session.Reason) string {
	var out []string
	for _, r := range why {
		out = append(out, strings.ReplaceAll(string(r), "_", " "))
	}
	return strings.Join(out, ", ")
}

type abuseView struct {
	Set  viewSet  `cmd:"" help:"Give a subscriber a view: opt_out (orders alone), opt_in (also what is blocked only for those who ask), or default again."`
	List viewList `cmd:"" help:"List who has a view, and where it is in force."`
}

type viewSet struct {
	socket
	Subscriber string `arg:"" help:"Name at the access server, as accounting has it."`
	View       string `arg:"" enum:"opt_out,opt_in,default" help:"opt_out, opt_in or default."`
	Until      string `help:"When it ends by itself, RFC 3339." placeholder:"TIME"`
	Reason     string `help:"Why. It stays in the audit trail: name nobody in it." placeholder:"TEXT"`
}

// Run does it.
func (c *viewSet) Run(ctx context.Context, t *terminal.Terminal) error {
	in := app.ViewSet{Subscriber: c.Subscriber, View: c.View, Reason: c.Reason}
	if c.Until != "" {
		var err error
		if in.Until, err = time.Parse(time.RFC3339, c.Until); err != nil {
			return bolwerk.WithHint(bolwerk.Invalid("--until %q is no time", c.Until), "such as 2026-12-24T18:00:00Z")
		}
	}
	return ask(ctx, t, c.socket, http.MethodPost, "/abuse/view", in, printChoice)
}

type viewList struct{ socket }

// Run does it.
func (c *viewList) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodGet, "/abuse/views", nil, func(w io.Writer, all struct{ Items []view.Choice }) {
		for _, v := range all.Items {
			printChoice(w, v)
		}
	})
}

func printChoice(w io.Writer, c view.Choice) {
	where, until := "no session is known", "open"
	if len(c.Lines) > 0 {
		where = strings.Trim(fmt.Sprint(c.Lines), "[]")
	}
	if !c.Until.IsZero() {
		until = "until " + c.Until.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", terminal.Escape(c.Subscriber), c.View, until, where)
}
