package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/terminal"
	"bolwerk/internal/webhook"
)

// WebhookCmd is "bolwerk webhook". It asks for a token with the scope admin.
type WebhookCmd struct {
	List       hookList       `cmd:"" help:"List the webhooks."`
	Add        hookAdd        `cmd:"" help:"Add a webhook, and print its signing key, once."`
	Test       hookTest       `cmd:"" help:"Send a test now."`
	Deliveries hookDeliveries `cmd:"" help:"List what was told, newest first."`
	Replay     hookReplay     `cmd:"" help:"Tell again what happened since a time."`
	Rotate     hookRotate     `cmd:"" help:"Change the signing key: both sign until --finish."`
	Pause      hookPause      `cmd:"" help:"Pause a webhook: what happens waits until --resume."`
	Remove     hookRemove     `cmd:"" help:"Remove a webhook."`
}

type hookList struct{ desktop }

// Run does it.
func (c *hookList) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, "/webhooks", nil, nil, func(w io.Writer, all []webhook.Hook) {
		if len(all) > 0 {
			fmt.Fprintln(w, "ID\tURL\tSUBJECTS\tNOTE")
		}
		for _, h := range all {
			note := dash(h.Note)
			if h.State == "paused" {
				note += " (paused)"
			}
			if h.TwoKeys {
				note += " (two keys)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.ID, terminal.Escape(h.URL), strings.Join(h.Subjects, " "), note)
		}
		count(w, len(all), "webhook", "webhooks")
	})
}

type hookAdd struct {
	desktop
	URL      string   `arg:"" help:"Where facts are told to: https, or http into a network that the configuration allows."`
	Subjects []string `help:"Facts to tell; shield.block stands for all that begin so." required:"" placeholder:"SUBJECT"`
	Note     string   `help:"What it is for." placeholder:"TEXT"`
}

// Run does it.
func (c *hookAdd) Run(ctx context.Context, t *terminal.Terminal) error {
	in := map[string]any{"url": c.URL, "subjects": c.Subjects, "note": c.Note}
	return show(ctx, t, &c.desktop, http.MethodPost, "/webhooks", in, func(w io.Writer, v NewHook) {
		fmt.Fprintf(w, "%s is told of %s\nid\t%s\nkey\t%s\n\tkeep it at the receiver: it is shown this once\n", terminal.Escape(v.Name), strings.Join(v.Subjects, ", "), v.ID, v.Key)
	})
}

type hookID struct {
	desktop
	ID string `arg:"" help:"Id of the webhook."`
}

func (h hookID) path(what string) string { return "/webhooks/" + url.PathEscape(h.ID) + "/" + what }

type hookTest struct{ hookID }

// Run does it. A receiver that does not take it is a refusal.
func (c *hookTest) Run(ctx context.Context, t *terminal.Terminal) error {
	var failed string
	err := show(ctx, t, &c.desktop, http.MethodPost, c.path("test"), nil, func(w io.Writer, d webhook.Told) {
		if failed = d.Error; failed == "" {
			fmt.Fprintf(w, "taken, with status %d\n", d.Status)
		}
	})
	if err == nil && failed != "" {
		err = bolwerk.WithHint(bolwerk.Conflict("the test was not taken: %s", failed), "docs/do/webhooks.md says what a receiver answers")
	}
	return err
}

type hookDeliveries struct{ hookID }

// Run does it.
func (c *hookDeliveries) Run(ctx context.Context, t *terminal.Terminal) error {
	return list(ctx, t, &c.desktop, c.path("deliveries"), nil, nil, func(w io.Writer, all []webhook.Told) {
		if len(all) > 0 {
			fmt.Fprintln(w, "AT\tFACT\tSUBJECT\tSTATE\tTRIES\tSTATUS\tNEXT\tERROR")
		}
		for _, d := range all {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%s\t%s\n", at(d.At), d.Seq, terminal.Escape(d.Name), d.State, d.Tries, d.Status, at(d.NextTry), dash(d.Error))
		}
		count(w, len(all), "delivery", "deliveries")
	})
}

type hookReplay struct {
	hookID
	Since string `help:"Begin of what is told again." required:"" placeholder:"TIME"`
}

// Run does it.
func (c *hookReplay) Run(ctx context.Context, t *terminal.Terminal) error {
	since, err := time.Parse(time.RFC3339, c.Since)
	if err != nil {
		return bolwerk.WithHint(bolwerk.Invalid("--since %q is no time", c.Since), "such as 2026-11-30T12:00:00Z")
	}
	type done struct{ Facts int64 }
	return show(ctx, t, &c.desktop, http.MethodPost, c.path("replay"), map[string]any{"since": since}, func(w io.Writer, v done) {
		fmt.Fprintf(w, "%d facts are looked at again; the receiver sees numbers that it knows\n", v.Facts)
	})
}

type hookRotate struct {
	hookID
	Finish bool `help:"The receiver knows the new key: stop signing with the former one."`
}

// Run does it.
func (c *hookRotate) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodPost, c.path("rotate"), map[string]any{"finish": c.Finish}, func(w io.Writer, v HookKey) {
		if v.State == "finished" {
			fmt.Fprintln(w, "only the new key signs")
			return
		}
		fmt.Fprintf(w, "both keys sign until: bolwerk webhook rotate %s --finish\nkey\t%s\n", v.ID, v.Key)
	})
}

type hookRemove struct{ hookID }

// Run does it.
func (c *hookRemove) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodPost, c.path("remove"), nil, func(w io.Writer, _ HookKey) { fmt.Fprintln(w, "removed") })
}

type hookPause struct {
	hookID
	Resume bool `help:"Go on: what happened meanwhile is told."`
}

// Run does it.
func (c *hookPause) Run(ctx context.Context, t *terminal.Terminal) error {
	return show(ctx, t, &c.desktop, http.MethodPost, c.path("pause"), map[string]bool{"resume": c.Resume}, func(w io.Writer, h webhook.Hook) {
		fmt.Fprintf(w, "%s is %s\n", terminal.Escape(h.Name), h.State)
	})
}
