package shield

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/internal/terminal"
	"bolwerk/shield/door"
	"bolwerk/shield/reading"
)

// ReportCmd is "bolwerk report": what anybody may do at the public site.
type ReportCmd struct {
	Mail reportMail `cmd:"" help:"Report a suspicious mail, byte for byte as it was saved."`
	URL  reportURL  `cmd:"" name:"url" help:"Report a suspicious link."`
	SMS  reportSMS  `cmd:"" name:"sms" help:"Report a suspicious text message."`
	Show reportShow `cmd:"" help:"Show what became of a report."`
}

// site is what every command of the public site takes. It needs no token, and
// sends none: the site faces strangers.
type site struct {
	Server string `help:"Address of the public site. Default: that of the demo in ./bolwerk-demo, or http://localhost:8081." placeholder:"URL"`
	JSON   bool   `help:"Print JSON for programs."`
	// Scripts give every client the same flags.
	TokenFile string `hidden:"" placeholder:"FILE"`
}

// sender is who reports.
type sender struct {
	Lang    string `help:"Language of the reporter: nl, fr, de or en." enum:",nl,fr,de,en" default:"" placeholder:"LANG"`
	ReplyTo string `help:"Address of the reporter." placeholder:"ADDRESS"`
}

func (s *site) client() (*Client, error) {
	if s.Server == "" {
		demo, err := ReadDemoFile(DemoFolder)
		if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
			return nil, err
		}
		s.Server = orElse(demo.Public, "http://localhost:8081")
	}
	return NewClient(s.Server, bolwerk.Secret{})
}

func (s *site) hand(ctx context.Context, t *terminal.Terminal, in door.ReportRequest, by sender) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	in.Lang, in.ReplyTo = bolwerk.Lang(by.Lang), by.ReplyTo
	var raw json.RawMessage
	if err := c.call(ctx, http.MethodPost, "/reports", nil, in, &raw); err != nil {
		return err
	}
	return printed(t, s.JSON, raw, func(w io.Writer, a door.ReportAnswer) {
		fmt.Fprintf(w, "%s\nreceipt\t%s\npage\t%s\nnext\tbolwerk report show %s\n", dash(a.State), dash(a.Receipt), dash(a.ReceiptURL), dash(a.Receipt))
	})
}

type reportMail struct {
	site
	File string `arg:"" help:"The mail; - is standard input."`
	sender
	SMTP string `name:"smtp" help:"Forward it by SMTP to this server instead, as an attachment." placeholder:"HOST:PORT"`
	From string `help:"With --smtp: sender. Default: reporter@bolwerk.example." placeholder:"ADDRESS"`
	To   string `help:"With --smtp: recipient. Default: suspicious@bolwerk.example." placeholder:"ADDRESS"`
}

// Run does it.
func (c *reportMail) Run(ctx context.Context, t *terminal.Terminal) error {
	raw, err := slurp(c.File, t.In, reading.MaxBytes)
	if err != nil {
		return err
	}
	if c.SMTP != "" {
		return c.forward(ctx, t, raw)
	}
	if c.From+c.To != "" {
		return bolwerk.WithHint(bolwerk.Invalid("--from and --to are of a mail, and none is sent without --smtp"), "give --smtp HOST:PORT, the intake's SMTP door")
	}
	return c.hand(ctx, t, door.ReportRequest{Mail: raw}, c.sender)
}

// forward hands the mail in as people do: attached to a mail of theirs.
func (c *reportMail) forward(ctx context.Context, t *terminal.Terminal, original []byte) error {
	from, err := mail.ParseAddress(cmp.Or(c.From, "reporter@bolwerk.example"))
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	to, err := mail.ParseAddress(cmp.Or(c.To, "suspicious@bolwerk.example"))
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	whole, err := mail.Forward(from, to, "suspicious mail", "See the attached mail.", original, time.Now())
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.SMTP)
	if err != nil {
		return bolwerk.Invalid("--smtp %q: want host:port", c.SMTP)
	}
	policy := mail.TLSOpportunistic
	if a, err := netip.ParseAddr(host); host == "localhost" || err == nil && a.IsLoopback() {
		policy = mail.TLSNone
	}
	client := mail.NewClient(mail.Target{Addr: c.SMTP, Name: "localhost", TLS: policy}, (&net.Dialer{}).DialContext)
	defer client.Close()
	reply, err := client.Submit(ctx, from, []mail.Address{to}, whole)
	if refused, ok := errors.AsType[*mail.Refused](err); ok {
		return bolwerk.WithHint(bolwerk.Forbidden("%s: %s", refused, refused.Text), "the server does not want this mail; --from and --to name other addresses")
	}
	if err != nil {
		return err
	}
	type sent struct {
		State string `json:"state"`
		Reply string `json:"reply"`
	}
	v := sent{"received", strings.TrimSpace(reply)}
	if c.JSON {
		return t.JSON(v)
	}
	return t.Table(func(w io.Writer) { fmt.Fprintf(w, "%s\nreply\t%s\n", v.State, dash(v.Reply)) })
}

type reportURL struct {
	site
	URL string `arg:"" name:"url" help:"The link as it was received; hxxp and [.] are understood."`
	sender
}

// Run does it.
func (c *reportURL) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.hand(ctx, t, door.ReportRequest{URL: c.URL}, c.sender)
}

type reportSMS struct {
	site
	Text string `arg:"" help:"The message as it was received; - is standard input."`
	sender
}

// Run does it.
func (c *reportSMS) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.Text == "-" {
		raw, err := slurp("-", t.In, 1<<20)
		if err != nil {
			return err
		}
		c.Text = string(raw)
	}
	return c.hand(ctx, t, door.ReportRequest{Text: c.Text}, c.sender)
}

type reportShow struct {
	site
	Receipt string `arg:"" help:"The code that came with the report."`
}

// Run does it.
func (c *reportShow) Run(ctx context.Context, t *terminal.Terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := client.call(ctx, http.MethodGet, "/receipts/"+url.PathEscape(c.Receipt), nil, nil, &raw); err != nil {
		return err
	}
	return printed(t, c.JSON, raw, func(w io.Writer, r door.Receipt) {
		fmt.Fprintf(w, "%s\t%s\nreceived\t%s\n", dash(r.Kind), dash(r.State), at(r.At))
		if r.Name != "" {
			fmt.Fprintf(w, "name\t%s %s\n", named(r.Name), terminal.Escape(r.Block))
		}
		if r.Of > 0 {
			fmt.Fprintf(w, "place\treport %d of %d about the same\n", r.Number, r.Of)
		}
		if r.Visits > 0 {
			fmt.Fprintf(w, "stopped\t%d visits\n", r.Visits)
		}
	})
}

// slurp reads a file, or standard input where it is "-".
func slurp(name string, stdin io.Reader, most int64) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, bolwerk.WithHint(bolwerk.NotFound("%v", err), "- is standard input")
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, bolwerk.Invalid("%s is larger than the %d MiB that a report may have", name, most>>20)
	}
	return b, nil
}
