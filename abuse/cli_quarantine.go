package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/quarantine"
	"bolwerk/internal/terminal"
)

// QuarantineCmd is "bolwerk abuse quarantine".
type QuarantineCmd struct {
	List       quarantineList       `cmd:"" help:"List the lines in the safe environment, newest first. They name nobody."`
	Show       quarantineShow       `cmd:"" help:"Show a quarantine: why, until when, and what the access network says."`
	Ask        quarantineAsk        `cmd:"" help:"Ask for a quarantine of a case's line."`
	Approve    quarantineApprove    `cmd:"" help:"Say how a wish is approved: by a second person, in the console."`
	Release    quarantineRelease    `cmd:"" help:"Let a line out."`
	ReleaseAll quarantineReleaseAll `cmd:"" help:"Let everybody out whose quarantine rests on a feed or is of a class."`
}

type quarantineList struct {
	desktop
	State string `help:"A state; open: all that are not over; person: what waits for one; any: all." default:"open" placeholder:"STATE"`
	Feed  string `help:"Only those that rest on this feed." placeholder:"FEED"`
	Class string `help:"Only those of this class." placeholder:"CLASS"`
}

// Run does it.
func (c *quarantineList) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	q := url.Values{}
	for k, v := range map[string]string{"state": c.State, "feed": c.Feed, "class": c.Class} {
		if v != "" && v != "all" {
			q.Set(k, v)
		}
	}
	return list[quarantine.Row]{"QUARANTINE\tSTATE\tPROFILE\tCLASS\tFEED\tSINCE\tUNTIL", "quarantine", "quarantines", func(w io.Writer, q quarantine.Row) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", q.Ref, standsAs(q), q.Profile, q.Class, terminal.Escape(q.Feed), at(q.StartAt), at(q.Until))
	}}.print(ctx, t, way, c.desktop, "/abuse/quarantines", q)
}

func standsAs(q quarantine.Row) string {
	if len(q.Waits) > 0 {
		return string(q.State) + " (" + strings.Join(q.Waits, ", ") + ")"
	}
	if q.Mechanism != "" {
		return string(q.State) + " (" + string(q.Mechanism) + ")"
	}
	return string(q.State)
}

type quarantineShow struct {
	desktop
	ID string `arg:"" help:"Id, or number (Q-2026-000001)."`
}

// Run does it.
func (c *quarantineShow) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodGet, "/abuse/quarantines/"+url.PathEscape(c.ID), nil)
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	var v quarantine.View
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%s\t%s\nid\t%s\ncase\t%s\nstate\t%s\nprofile\t%s\nasked\t%s\nsince\t%s\nuntil\t%s\nreview\t%s\n", v.Ref, v.Class, v.ID, v.Number, standsAs(v.Row), v.Profile, at(v.AskedAt), at(v.StartAt), at(v.Until), at(v.ReviewAt))
		fmt.Fprintf(w, "threat\t%s\nnecessity\t%s\nproportion\t%s\nlegal\t%s\n", terminal.Escape(v.Why.Threat), terminal.Escape(v.Why.Necessity), terminal.Escape(v.Why.Proportion), terminal.Escape(v.Why.Legal))
		for _, l := range v.Lines {
			said := "waits"
			switch {
			case l.Lied:
				said = "acknowledged, and not done"
			case l.Seen:
				said = "proved"
			case l.Done:
				said = "acknowledged, not proved"
			}
			fmt.Fprintf(w, "session\t%s: %s, %s %s\n", terminal.Escape(l.NAS), l.Want, said, terminal.Escape(l.Code))
		}
	})
}

type quarantineAsk struct {
	desktop
	Case       string          `arg:"" help:"Id, or number (AB-2026-000001)."`
	Profile    enforce.Profile `help:"leaky: what harms others is stopped; strict: only help is reached, and a second person approves it." enum:"leaky,strict" default:"leaky" placeholder:"PROFILE"`
	Days       int             `help:"For how long at most." default:"14"`
	Threat     string          `help:"What others are protected from." required:"" placeholder:"TEXT"`
	Necessity  string          `help:"Why nothing milder does." required:"" placeholder:"TEXT"`
	Proportion string          `help:"Why it is not more than that." required:"" placeholder:"TEXT"`
	Legal      string          `help:"Legal reference. Needed for strict; leaky has art. 3(3)(b) of Regulation (EU) 2015/2120 without." placeholder:"TEXT"`
}

// Run does it.
func (c *quarantineAsk) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return quarantined(ctx, t, way, c.desktop, "/abuse/quarantines", askBody{c.Case, quarantine.Wish{Profile: c.Profile, Days: c.Days, Why: quarantine.Why{Threat: c.Threat, Necessity: c.Necessity, Proportion: c.Proportion, Legal: c.Legal}}})
}

func quarantined(ctx context.Context, t *terminal.Terminal, way Way, d desktop, path string, in any) error {
	raw, err := way.Call(ctx, t, d.Server, d.TokenFile, http.MethodPost, path, in)
	if err != nil || d.JSON {
		return printed(t, raw, err)
	}
	var q quarantine.Row
	if err := json.Unmarshal(raw, &q); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", q.Ref, standsAs(q)) })
}

type quarantineApprove struct {
	desktop
	ID string `arg:"" help:"Id, or number (Q-2026-000001)."`
}

// Run does it: an approval is a person's, in a session, never a token's.
func (c *quarantineApprove) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodGet, "/abuse/quarantines/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return err
	}
	var v quarantine.View
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return bolwerk.WithHint(bolwerk.Forbidden("%s is %s: an approval is given in a session, not with a token", v.Ref, standsAs(v.Row)), "log in to the console and open /abuse/quarantine/"+v.Ref)
}

type quarantineRelease struct {
	desktop
	ID      string `arg:"" help:"Id, or number (Q-2026-000001)."`
	Mistake bool   `help:"It should not have been: the customer is told so."`
	Reason  string `help:"Why, in a few words; kept with the case." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *quarantineRelease) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return quarantined(ctx, t, way, c.desktop, "/abuse/quarantines/"+url.PathEscape(c.ID)+"/release", releaseBody{c.Mistake, c.Reason})
}

type quarantineReleaseAll struct {
	desktop
	Feed   string `help:"Those that rest on this feed." placeholder:"FEED"`
	Class  string `help:"Those of this class." placeholder:"CLASS"`
	Every  bool   `help:"Everybody, whatever feed and class."`
	Reason string `help:"Why, in a few words. It stays in the audit trail: name nobody in it." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *quarantineReleaseAll) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	if (c.Feed == "" && c.Class == "") != c.Every {
		return bolwerk.WithHint(bolwerk.Invalid("name a feed or a class, or --every"), "bolwerk abuse quarantine list shows feeds and classes")
	}
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/releases", releaseAllBody{c.Feed, c.Class, c.Reason})
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	var v quarantine.Campaign
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%d lines are released, those in need first; /abuse/quarantines shows how far it is\n", v.Total)
	})
}

// PlaybookCmd is "bolwerk abuse playbook".
type PlaybookCmd struct {
	Check playbookCheck `cmd:"" help:"Say what is wrong with the playbooks in a file. Needs no desk."`
}

type playbookCheck struct {
	File string `arg:"" help:"TOML with [[playbook]] tables, as below [abuse] in the configuration." type:"path"`
}

// Run does it.
func (c *playbookCheck) Run(t *terminal.Terminal) error {
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	books, err := playbook.Parse(raw)
	if err != nil {
		return err
	}
	return t.Table(func(w io.Writer) {
		for _, b := range books {
			fmt.Fprintf(w, "%s\t%s\n", terminal.Escape(b.Name), terminal.Escape(strings.Join(b.Classes, ", ")))
			for i, s := range b.Steps {
				fmt.Fprintf(w, "  %d\t%s after %s\n", i+1, s.Do, s.After)
			}
		}
	})
}
