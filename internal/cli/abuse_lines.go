package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"bolwerk"
	"bolwerk/abuse/lines"
	"bolwerk/abuse/session"
	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
)

type abuseLeases struct {
	Import leasesImport `cmd:"" help:"Read leases: Kea's memfile (DHCPv4 or DHCPv6), or address,subscriber,line,device,from,until. Reading a file again changes nothing."`
}

type leasesImport struct {
	fileImport
	Server string `help:"Name of the DHCP server in what is kept." default:"dhcp" placeholder:"NAME"`
}

// Run does it.
func (c *leasesImport) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.read(ctx, t, c.Server, lines.Kea4, lines.Kea6, lines.Leases)
}

type abuseLines struct {
	Import linesImport `cmd:"" help:"Read a table of who has which prefix for good: prefix,customer,line,from,until,reseller. To end a line, import it with its until."`
}

type linesImport struct{ fileImport }

// Run does it.
func (c *linesImport) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.read(ctx, t, "table", lines.Fixed)
}

type fileImport struct {
	socket
	File string `arg:"" help:"File; - is standard input."`
}

func (c *fileImport) read(ctx context.Context, t *terminal.Terminal, server string, may ...lines.Form) error {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	file := filepath.Base(c.File)
	res, err := lines.Read(in, server, may, func(records []session.Record) error {
		var out struct{}
		err := app.AdminCall(ctx, c.Data, http.MethodPost, "/abuse/held", app.Held{Records: records, File: file}, &out)
		file = ""
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON {
		err = t.JSON(res)
	} else {
		err = t.Table(func(w io.Writer) {
			fmt.Fprintf(w, "%d taken\t%d left out\t%d cannot be read\n", res.Taken, res.LeftOut, res.BadCount)
			for _, b := range res.Bad {
				fmt.Fprintf(w, "line %d\t%s\n", b.Line, terminal.Escape(b.Why))
			}
		})
	}
	if err == nil && res.BadCount > 0 {
		err = bolwerk.WithHint(bolwerk.Invalid("%s: %d lines cannot be read; the others are taken", c.File, res.BadCount), "mend them and import the file again: what was taken changes nothing")
	}
	return err
}
