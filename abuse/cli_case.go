package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bolwerk/abuse/garden"
	"bolwerk/internal/terminal"
)

type caseNote struct {
	desktop
	ID        string `arg:"" help:"Id, or number (AB-2026-000001)."`
	Text      string `arg:"" help:"What there is to say."`
	Statement bool   `help:"It is what the customer says."`
}

// Run does it.
func (c *caseNote) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return decided(ctx, t, way, c.desktop, c.ID, "notes", noteBody{Statement: c.Statement, Text: c.Text})
}

type caseRetest struct {
	desktop
	ID string `arg:"" help:"Id, or number (AB-2026-000001)."`
}

// Run does it.
func (c *caseRetest) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/cases/"+url.PathEscape(c.ID)+"/retest", nil)
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	var v garden.Tested
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%s: the line is asked for %s\n", c.ID, strings.Join(v.Tests, ", "))
	})
}

type caseExempt struct {
	desktop
	ID     string `arg:"" help:"Id, or number (AB-2026-000001)."`
	Days   int    `help:"For how many days, 1 to 365." required:"" placeholder:"N"`
	Every  bool   `help:"For every class, not only the case's."`
	Reason string `help:"Why, in a few words; kept with the case." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *caseExempt) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return decided(ctx, t, way, c.desktop, c.ID, "exempt", exemptBody{Every: c.Every, Days: c.Days, Text: c.Reason})
}

type casePlay struct {
	desktop
	ID     string `arg:"" help:"Id, or number (AB-2026-000001)."`
	Do     string `arg:"" help:"now (do the next step at once), skip (leave it out), stop (take the case over from the rules) or go_on (give it back)." enum:"now,skip,stop,go_on"`
	Reason string `help:"Why, in a few words; kept with the case." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *casePlay) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return decided(ctx, t, way, c.desktop, c.ID, "playbook", steerBody{Do: c.Do, Text: c.Reason})
}
