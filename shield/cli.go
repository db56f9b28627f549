package shield

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/idn"
	"bolwerk/internal/terminal"
)

// DemoFolder is where commands look for a demo when no server is named.
const DemoFolder = "bolwerk-demo"

// desktop is what every command of the desk's API takes.
type desktop struct {
	Server    string `help:"Address of the desk. Default: that of the demo in ./bolwerk-demo, or http://localhost:8080." placeholder:"URL"`
	TokenFile string `help:"File with an API token. Default: the demo's." placeholder:"FILE" type:"path"`
	JSON      bool   `help:"Print JSON for programs."`
}

// client makes the client that the flags, or the demo, describe.
func (d *desktop) client(t *terminal.Terminal) (*Client, error) {
	demo, err := ReadDemoFile(DemoFolder)
	if err == nil && d.TokenFile == "" && (d.Server == "" || d.local()) {
		d.TokenFile = demo.TokenFile // of this machine: it goes nowhere else
	}
	if d.Server == "" {
		d.Server = demo.Console
	}
	if d.Server == "" {
		d.Server = "http://localhost:8080"
	}
	var token bolwerk.Secret
	if d.TokenFile != "" {
		var open bool
		if token, open, err = ReadToken(d.TokenFile); err != nil {
			return nil, err
		}
		if open {
			fmt.Fprintf(t.Err, "warning: others can read %s; chmod 600 it\n", terminal.Escape(d.TokenFile))
		}
	}
	c, err := NewClient(d.Server, token)
	if err == nil && c.bare() {
		fmt.Fprintf(t.Err, "warning: the token goes to %s without encryption\n", c.server)
	}
	return c, err
}

func (d *desktop) local() bool {
	c, err := NewClient(d.Server, bolwerk.Secret{})
	if err != nil {
		return false
	}
	u, _ := url.Parse(c.server)
	return loopback(u.Hostname())
}

// Span is a length of time on the command line: 72h, 90m, 14d.
type Span string

// UnmarshalText refuses what is none.
func (s *Span) UnmarshalText(b []byte) error {
	if _, err := ParseSpan(string(b)); err != nil {
		return err
	}
	*s = Span(b)
	return nil
}

// show does one request and prints the answer: as it came for programs, by
// table for people.
func show[T any](ctx context.Context, t *terminal.Terminal, d *desktop, method, path string, in any, table func(w io.Writer, v T)) error {
	c, err := d.client(t)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.call(ctx, method, path, nil, in, &raw); err != nil {
		return err
	}
	return printed(t, d.JSON, raw, table)
}

func printed[T any](t *terminal.Terminal, asJSON bool, raw json.RawMessage, table func(w io.Writer, v T)) error {
	if asJSON {
		return t.JSON(raw)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) { table(w, v) })
}

// list follows every page and prints one object {"items":[...]}, or a table
// that sorted may put into another order.
func list[T any](ctx context.Context, t *terminal.Terminal, d *desktop, path string, query url.Values, sorted func([]T), table func(w io.Writer, all []T)) error {
	c, err := d.client(t)
	if err != nil {
		return err
	}
	if d.JSON {
		out := t.List()
		if err := c.pages(ctx, path, query, func(item json.RawMessage) error { return out.Add(item) }); err != nil {
			return err
		}
		return out.Close()
	}
	var all []T
	err = c.pages(ctx, path, query, func(item json.RawMessage) error {
		var v T
		err := json.Unmarshal(item, &v)
		all = append(all, v)
		return err
	})
	if err != nil {
		return err
	}
	if sorted != nil {
		sorted(all)
	}
	return t.Table(func(w io.Writer) { table(w, all) })
}

// decide does a decision and prints what happened.
func decide(ctx context.Context, t *terminal.Terminal, d *desktop, path string, in any) error {
	return show(ctx, t, d, http.MethodPost, path, in, func(w io.Writer, v Decision) { printDecision(w, d.Server, v) })
}

func printDecision(w io.Writer, server string, d Decision) {
	if p := d.Proposal; p != nil {
		fmt.Fprintf(w, "%s is not yet done: a second person must approve it\n", named(d.Name))
		fmt.Fprintf(w, "because\t%s\nproposal\t%s\n", terminal.Escape(p.Need), p.ID)
		who := "an analyst or a duty officer other than you"
		for _, o := range d.Objections {
			if o.Effect == "needs_duty_officer" {
				who = "a duty officer other than you"
			}
		}
		fmt.Fprintf(w, "who\t%s, logged in to the console: %s/proposals\n", who, strings.TrimSuffix(server, "/"))
		return
	}
	if b := d.Block; b != nil {
		end := "for ever"
		if !b.Until.IsZero() {
			end = "until " + at(b.Until)
		}
		switch d.State {
		case "blocked":
			fmt.Fprintf(w, "%s is blocked (%s) %s\nblock\t%s  %s\nserial\t%d.%d\n", named(d.Name), b.Scope, end, b.Ref, b.ID, b.Epoch, b.Serial)
		case "exempted":
			fmt.Fprintf(w, "%s passes (%s) %s\nexemption\t%s  %s\nserial\t%d.%d\n", named(d.Name), b.Scope, end, b.Ref, b.ID, b.Epoch, b.Serial)
		default:
			fmt.Fprintf(w, "%s: %s is %s\nserial\t%d.%d\n", named(d.Name), b.Ref, b.State, b.Epoch, b.EndedSerial)
		}
		return
	}
	fmt.Fprintf(w, "%s is %s\n", named(d.Name), d.State)
}

// named is a name for people: with its U-labels where they differ.
func named(name string) string {
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return terminal.Escape(name)
	}
	if u := idn.Show(d); u != name {
		return name + " (" + u + ")"
	}
	return name
}

// at is a time in a table.
func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return terminal.Escape(s)
}

func count(w io.Writer, n int, one, many string) {
	switch n {
	case 0:
		fmt.Fprintf(w, "no %s\n", many)
	case 1:
		fmt.Fprintf(w, "1 %s\n", one)
	default:
		fmt.Fprintf(w, "%d %s\n", n, many)
	}
}

func caseRows(w io.Writer, all []CaseRow) {
	if len(all) > 0 {
		fmt.Fprintln(w, "CASE\tSTATE\tNAME\tVERDICT\tPROPOSED\tREPORTS\tBRAND\tOPENED")
	}
	for _, c := range all {
		state := string(c.State)
		if c.State == desk.Decided || c.State == desk.Closed {
			state += " (" + c.Outcome + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", c.Ref, state, named(c.Name), dash(c.Verdict), dash(string(c.Scope)), c.Reports, dash(c.Brand), at(c.OpenedAt))
	}
	count(w, len(all), "case", "cases")
}

func blockRows(w io.Writer, all []Block, one, many string) {
	if len(all) > 0 {
		fmt.Fprintln(w, "NUMBER\tSTATE\tNAME\tSCOPE\tUNTIL\tBY\tREASON")
	}
	for _, b := range all {
		until := at(b.Until)
		if b.Until.IsZero() {
			until = "for ever"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.Ref, b.State, named(b.Name.String()), b.Scope, until, dash(b.By), dash(b.Reason))
	}
	count(w, len(all), one, many)
}
