package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"bolwerk"
	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
	"bolwerk/privacy"
)

type privacyCmd struct {
	Check  privacyCheck  `cmd:"" help:"Prove that nothing is kept longer than its class allows; ends with 1 where something is."`
	Export privacyExport `cmd:"" help:"Print all that is kept about a subscriber. The look is noted."`
	Erase  privacyErase  `cmd:"" help:"Erase what no duty keeps about a subscriber, and say what stays and why. In the console this takes two people."`
	Hold   privacyHold   `cmd:"" help:"What a law or an order keeps from being erased and forgotten."`
}

type privacyCheck struct{ socket }

// Run does it.
func (c *privacyCheck) Run(ctx context.Context, t *terminal.Terminal) error {
	var all []app.Retention
	if err := app.AdminCall(ctx, c.Data, http.MethodGet, "/privacy/retention", nil, &all); err != nil {
		return err
	}
	var over []string
	for _, r := range all {
		if r.State == "over" {
			over = append(over, r.Table+" ("+r.Class+")")
		}
	}
	var err error
	if c.JSON {
		err = t.JSON(map[string]any{"items": all, "over": len(over)})
	} else {
		err = t.Table(func(w io.Writer) {
			fmt.Fprintln(w, "TABLE\tCLASS\tOLDEST\tLIMIT\tSTATE")
			for _, r := range all {
				oldest, state := "-", r.State
				if !r.Oldest.IsZero() {
					oldest = r.Oldest.UTC().Format("2006-01-02 15:04 UTC")
				}
				if r.With != "" {
					state = "goes with " + r.With
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Table, r.Class, oldest, r.Limit, state)
			}
		})
	}
	if err == nil && len(over) > 0 {
		err = bolwerk.WithHint(bolwerk.Conflict("kept longer than allowed: %s", strings.Join(over, ", ")), "does the desk run, and is its clock right? Its log says why with alarm=true")
	}
	return err
}

// about is a subscriber and why it is asked.
type about struct {
	socket
	Subscriber string `arg:"" help:"The subscriber, exactly as accounting names it; the line or device where no subscriber is known."`
	Reason     string `help:"Why, such as the number of a letter. It is kept: name nobody in it." required:"" placeholder:"TEXT"`
}

func (a about) wish() app.Subject {
	return app.Subject{Wish: privacy.Wish{Subscriber: a.Subscriber, Reason: a.Reason}}
}

type privacyExport struct {
	about
	HTML bool   `help:"Print a page of HTML for the subscriber to read."`
	Lang string `help:"Its language: nl, fr, de or en." enum:"nl,fr,de,en" default:"nl" placeholder:"LANG"`
}

// Run does it.
func (c *privacyExport) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.HTML {
		in := c.wish()
		in.Language = c.Lang
		var page app.Document
		if err := app.AdminCall(ctx, c.Data, http.MethodPost, "/privacy/document", in, &page); err != nil {
			return err
		}
		_, err := io.WriteString(t.Out, page.HTML)
		return err
	}
	return ask(ctx, t, c.socket, http.MethodPost, "/privacy/export", c.wish(), func(w io.Writer, v privacy.Export) {
		fmt.Fprintf(w, "What %s keeps about %s, %s\n", terminal.Escape(v.Operator), terminal.Escape(v.Subscriber), v.MadeAt.Format("2006-01-02 15:04 UTC"))
		for _, k := range v.Kept {
			at := ""
			if !k.At.IsZero() {
				at = k.At.UTC().Format("2006-01-02 15:04 UTC")
			}
			fmt.Fprintf(w, "\n%s %s %s\nkept: %s\n", k.What, terminal.Escape(k.ID), at, terminal.Escape(k.Until))
			b, _ := json.MarshalIndent(k.Data, "", "  ") // what came as JSON goes as JSON
			for line := range strings.Lines(string(b)) {
				fmt.Fprintln(w, terminal.Escape(strings.TrimRight(line, "\n")))
			}
		}
		fmt.Fprintf(w, "\n%d things\n", len(v.Kept))
	})
}

type privacyErase struct{ about }

// Run does it.
func (c *privacyErase) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodPost, "/privacy/erase", c.wish(), func(w io.Writer, v privacy.Erasure) {
		fmt.Fprintln(w, "WHAT\tERASED\tKEPT\tWHY")
		for _, e := range v.Report {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", e.What, e.Erased, e.Kept, terminal.Escape(e.Why))
		}
		fmt.Fprintf(w, "audit entry %s; backups lose it with their keys\n", v.ID)
	})
}
