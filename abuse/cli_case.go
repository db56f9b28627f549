package abuse

import (
	"context"

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
