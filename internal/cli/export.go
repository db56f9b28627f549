package cli

import (
	"context"
	"fmt"

	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
)

type exportCmd struct {
	Dir      string `arg:"" help:"New folder to write." type:"path"`
	Personal bool   `name:"with-personal-data" help:"Also what says who somebody is and what they sent: reports, appeals, accounts."`
	JSON     bool   `help:"Print the manifest."`
	stored
}

// Run does it.
func (c *exportCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	m, err := app.Export(ctx, cfg, app.ExportOptions{Dir: c.Dir, Personal: c.Personal, Version: version, Begin: func(table string, rows int64) (func(), func()) {
		p := t.Progress(table, rows)
		return func() { p.Add(1) }, p.Done
	}})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(m)
	}
	var rows int64
	for _, table := range m.Tables {
		rows += table.Rows
	}
	_, err = fmt.Fprintf(t.Out, "%s: %s rows of %d tables; manifest.json says what each file holds\n", terminal.Escape(c.Dir), terminal.Count(rows), len(m.Tables))
	return err
}
