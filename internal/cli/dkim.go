package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/mail"
	"bolwerk/internal/terminal"
)

type dkimCmd struct {
	File     string `arg:"" help:"File of the private key. One that is there is shown, and not changed." type:"path"`
	Domain   string `help:"Domain of From." required:"" placeholder:"NAME"`
	Selector string `help:"Label under which the key is published, such as 2026a." required:"" placeholder:"LABEL"`
	Kind     string `help:"rsa, or ed25519 as a second key." enum:"rsa,ed25519" default:"rsa" placeholder:"KIND"`
}

// Run does it.
func (c *dkimCmd) Run(t *terminal.Terminal) error {
	domain, err := bolwerk.ParseDomain(c.Domain)
	if err != nil {
		return err
	}
	if err := (mail.DKIMConfig{Domain: domain, Selector: c.Selector, KeyFile: c.File}).Validate(); err != nil {
		return err
	}
	did := "is"
	b, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		did = "made"
		if b, err = mail.NewKey(c.Kind); err == nil {
			err = disk.Write(c.File, b, "dkim")
		}
	}
	if err != nil {
		return err
	}
	key, err := mail.ParseKey(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	text, err := mail.Record(key)
	if err != nil {
		return err
	}
	return t.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%s %s; publish this, then add the lines below to the configuration\n", did, terminal.Escape(c.File))
		fmt.Fprintf(w, "%s._domainkey.%s. IN TXT", c.Selector, domain)
		for len(text) > 0 { // a string of DNS has at most 255 octets
			n := min(len(text), 250)
			fmt.Fprintf(w, " %q", text[:n])
			text = text[n:]
		}
		fmt.Fprintf(w, "\n\n[[mail.dkim]]\ndomain = %q\nselector = %q\nkey_file = %q\n", domain.String(), c.Selector, c.File)
	})
}
