package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/inform"
	"bolwerk/internal/api"
	"bolwerk/internal/terminal"
)

// ContactCmd is "bolwerk abuse contact".
type ContactCmd struct {
	Import contactImport `cmd:"" help:"Tell the desk how subscribers are reached: a table, or a contact a line in JSON. Reading a file again changes nothing."`
	Show   contactShow   `cmd:"" help:"Show how a subscriber is reached. The look is noted."`
	Remove contactRemove `cmd:"" help:"Take a subscriber out of the book."`
}

type contactImport struct {
	desktop
	File string `arg:"" help:"File; - is standard input."`
}

// Run does it. Lines that are not taken are named; the others are taken.
func (c *contactImport) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	in, total := t.In, int64(0)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return bolwerk.NotFound("%s: there is no such file", c.File)
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil {
			total = st.Size()
		}
		in = f
	}
	p := t.Progress("contacts", total).Bytes()
	file := filepath.Base(c.File)
	res, err := contact.Read(&metered{in, p}, func(all []contact.Entry) error {
		_, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/contacts", map[string]any{"file": file, "contacts": all})
		file = ""
		return err
	})
	p.Done()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON {
		err = t.JSON(res)
	} else {
		err = t.Table(func(w io.Writer) {
			fmt.Fprintf(w, "%d taken\t%d not taken\n", res.Taken, res.BadCount)
			for _, b := range res.Bad {
				fmt.Fprintf(w, "line %d\t%s\n", b.Line, terminal.Escape(b.Why))
			}
		})
	}
	if err == nil && res.BadCount > 0 {
		err = bolwerk.WithHint(bolwerk.Invalid("%s: %d lines are not taken; the others are", c.File, res.BadCount), "mend them and import the file again")
	}
	return err
}

// metered tells a progress what was read.
type metered struct {
	from io.Reader
	p    *terminal.Progress
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.from.Read(b)
	m.p.Add(int64(n))
	return n, err
}

type contactShow struct {
	desktop
	Subscriber string `arg:"" help:"As accounting names it."`
	Reason     string `help:"Why you look, in a few words; the privacy officer sees it." required:"" placeholder:"TEXT"`
	Case       string `help:"Case that you look for." placeholder:"ID"`
}

// Run does it.
func (c *contactShow) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/contacts/find", findBody{Subscriber: c.Subscriber, Reason: c.Reason, Case: c.Case})
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	var e contact.Entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		for _, f := range [][2]string{{"name", e.Name}, {"mail", e.Mail}, {"phone", e.Phone}, {"address", strings.TrimSpace(e.Street + ", " + e.Postcode + " " + e.City + " " + e.Country)}, {"language", string(e.Lang)}, {"prefers", strings.Trim(fmt.Sprint(e.Channels), "[]")}, {"abuse mail", e.AbuseMail}, {"mail_back", e.MailBack}} {
			if strings.Trim(f[1], ", ") != "" {
				fmt.Fprintf(w, "%s\t%s\n", f[0], terminal.Escape(f[1]))
			}
		}
		for _, f := range []struct {
			name string
			on   bool
		}{{"never in quarantine", e.Never}, {"vulnerable", e.Vulnerable}, {"business", e.Business}, {"reseller", e.Reseller}} {
			if f.on {
				fmt.Fprintf(w, "%s\tyes\n", f.name)
			}
		}
	})
}

type contactRemove struct {
	desktop
	Subscriber string `arg:"" help:"As accounting names it."`
	Reason     string `help:"Why, in a few words. It stays in the audit trail: name nobody in it." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *contactRemove) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/contacts/remove", findBody{Subscriber: c.Subscriber, Reason: c.Reason})
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	fmt.Fprintln(t.Out, "removed")
	return nil
}

type informCmd struct {
	desktop
	ID      string   `arg:"" help:"Case: id, or number (AB-2026-000001)."`
	Kind    string   `help:"What to tell: warned, quarantined, reminded, released, cleaned or mistaken." enum:"warned,quarantined,reminded,released,cleaned,mistaken" required:"" placeholder:"KIND"`
	Channel []string `help:"By which way: mail, sms, letter, app. Default: what the subscriber prefers." placeholder:"WAY"`
	Show    bool     `help:"Only show what would be sent."`
}

// Run does it.
func (c *informCmd) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	path := "/abuse/cases/" + url.PathEscape(c.ID) + "/messages"
	if c.Show {
		path += "/draft"
	}
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, path, informBody{Kind: c.Kind, Channels: c.Channel})
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	if c.Show {
		var l api.Page[inform.Draft]
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("answer of the desk: %w", err)
		}
		for _, d := range l.Items {
			fmt.Fprintf(t.Out, "%s, %s: %s\n\n%s\n", d.Channel, d.Lang, terminal.Escape(d.Text.Subject), d.Text.Body)
		}
		if len(l.Items) == 0 {
			fmt.Fprintln(t.Out, "no way leads to the subscriber")
		}
		return nil
	}
	return printMessages(t, raw)
}

type messagesCmd struct {
	desktop
	ID string `arg:"" help:"Case: id, or number (AB-2026-000001)."`
}

// Run does it.
func (c *messagesCmd) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodGet, "/abuse/cases/"+url.PathEscape(c.ID)+"/messages", nil)
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	return printMessages(t, raw)
}

func printMessages(t *terminal.Terminal, raw json.RawMessage) error {
	var l api.Page[inform.Message]
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		if len(l.Items) > 0 {
			fmt.Fprintln(w, "KIND\tCHANNEL\tLANGUAGE\tSTATE\tMADE\tSENT\tSEEN")
		}
		for _, m := range l.Items {
			channel := string(m.Channel)
			if channel == "" {
				channel = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Kind, channel, m.Lang, m.State, at(m.At), at(m.SentAt), at(m.SeenAt))
		}
		fmt.Fprintf(w, "%d %s\n", len(l.Items), map[bool]string{true: "message", false: "messages"}[len(l.Items) == 1])
	})
}
