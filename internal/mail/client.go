package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"bolwerk"
)

// TLSPolicy says how a Client protects its connection.
type TLSPolicy string

// The policies.
const (
	// TLSRequired is STARTTLS with a certificate that verifies, or no mail.
	TLSRequired TLSPolicy = "required"
	// TLSImplicit is TLS from the first byte (RFC 8314, port 465), verified.
	TLSImplicit TLSPolicy = "implicit"
	// TLSOpportunistic is STARTTLS where it is offered, with any certificate.
	TLSOpportunistic TLSPolicy = "opportunistic"
	// TLSNone is plain text: for loopback.
	TLSNone TLSPolicy = "none"
)

// Target is a mail server and how to speak to it.
type Target struct {
	Addr     string // host:port
	Name     string // what we call ourselves in EHLO
	TLS      TLSPolicy
	User     string         // "" without a log-in
	Password bolwerk.Secret // sent over verified TLS, or to loopback, only
	// Roots verify the server's certificate; nil are the machine's.
	Roots *tls.Config
	// Timeout bounds connecting and each command; 0 is a minute. The mail
	// itself and its reply have ten (RFC 5321 section 4.5.3.2.6).
	Timeout time.Duration
}

// Dial opens a connection; net.Dialer.DialContext is one.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// The two ways in which sending fails. Every error of Send and Submit that is
// not one of the caller's own mistakes (ErrInvalid) is one of them.
var (
	ErrTemporary = errors.New("try again later")
	ErrPermanent = errors.New("give it up")
)

// Refused is a server's refusal. Its text may repeat addresses, so Error leaves
// it out.
type Refused struct {
	Step string // connect, MAIL, RCPT, DATA, ...
	Code int    // such as 550
	Text string // what the server said, its own words
}

func (r *Refused) Error() string {
	enhanced, _, _ := strings.Cut(r.Text, " ")
	if strings.Trim(enhanced, "0123456789.") != "" {
		enhanced = ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s refused with %d %s", r.Step, r.Code, enhanced))
}

// Unwrap is ErrPermanent where the server refused this mail for good. A refusal
// of ourselves (greeting, TLS, log-in) is the operator's to mend, not a reason
// to drop a mail.
func (r *Refused) Unwrap() error {
	if r.Code >= 500 && (r.Step == "MAIL" || r.Step == "RCPT" || r.Step == "DATA") {
		return ErrPermanent
	}
	return ErrTemporary
}

// Client sends mails to one server, one after the other, over a connection that
// it keeps. Its methods may be called from several goroutines; they wait for
// each other.
type Client struct {
	target Target
	dial   Dial

	mu   sync.Mutex
	conn net.Conn
	smtp *smtp.Client
	used time.Time // when the connection was used last
}

// NewClient makes a client; it connects at the first mail.
func NewClient(t Target, dial Dial) *Client {
	if t.Timeout == 0 {
		t.Timeout = time.Minute
	}
	return &Client{target: t, dial: dial}
}

// idleReuse is how long an idle connection is trusted to be alive.
const idleReuse = 20 * time.Second

// Submit sends raw to all recipients and returns the server's reply to it. One
// refused recipient refuses the mail. raw goes out with CRLF line ends and
// dot-stuffed: what looks like an end of a mail inside raw is none.
func (c *Client) Submit(ctx context.Context, from Address, to []Address, raw []byte) (reply string, err error) {
	if len(to) == 0 || len(raw) == 0 {
		return "", bolwerk.Invalid("send mail: no recipient or no text")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil { // others waited for a server that does not answer
		return "", fmt.Errorf("send mail through %s: %w: %w", c.target.Addr, ctx.Err(), ErrTemporary)
	}
	fresh := c.smtp == nil || time.Since(c.used) > idleReuse
	reply, err = c.attempt(ctx, fresh, from, to, raw)
	if !fresh && errors.Is(err, errStale) && ctx.Err() == nil {
		reply, err = c.attempt(ctx, true, from, to, raw)
	}
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), ErrTemporary)
	}
	if err != nil {
		return "", fmt.Errorf("send mail through %s: %w", c.target.Addr, err)
	}
	return reply, nil
}

// errStale says that a kept connection was dead before the server took anything.
var errStale = errors.New("connection is gone")

func (c *Client) attempt(ctx context.Context, fresh bool, from Address, to []Address, raw []byte) (string, error) {
	if fresh {
		c.drop()
		if err := c.connect(ctx); err != nil {
			c.drop()
			return "", err
		}
	}
	defer c.interrupt(ctx)()
	reply, err := c.transaction(from, to, raw)
	c.used = time.Now()
	refused, isRefusal := errors.AsType[*Refused](err)
	switch {
	case err == nil:
	case isRefusal && refused.Code != 421:
		if c.command(250, "RSET", "RSET") != nil {
			c.drop()
		}
	default:
		c.drop()
	}
	return reply, err
}

// interrupt ends what waits on the connection when ctx ends; the function that
// it returns ends the watch.
func (c *Client) interrupt(ctx context.Context) func() bool {
	conn := c.conn
	return context.AfterFunc(ctx, func() { conn.Close() })
}

func (c *Client) connect(ctx context.Context) error {
	t := c.target
	host, _, err := net.SplitHostPort(t.Addr)
	if err != nil {
		return bolwerk.Invalid("mail server %q: want host:port", t.Addr)
	}
	dialing, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	if c.conn, err = c.dial(dialing, "tcp", t.Addr); err != nil {
		return fmt.Errorf("connect: %w: %w", err, ErrTemporary)
	}
	defer c.interrupt(ctx)()
	c.conn.SetDeadline(time.Now().Add(t.Timeout))
	config := &tls.Config{}
	if t.Roots != nil {
		config = t.Roots.Clone()
	}
	config.ServerName = host
	config.InsecureSkipVerify = t.TLS == TLSOpportunistic
	if t.TLS == TLSImplicit {
		c.conn = tls.Client(c.conn, config)
	}
	if c.smtp, err = smtp.NewClient(c.conn, host); err != nil {
		return step("connect", err)
	}
	if err := c.smtp.Hello(t.Name); err != nil {
		return step("EHLO", err)
	}
	offered, _ := c.smtp.Extension("STARTTLS")
	switch {
	case t.TLS == TLSRequired && !offered:
		return fmt.Errorf("the server offers no STARTTLS: %w", ErrTemporary)
	case t.TLS == TLSRequired, t.TLS == TLSOpportunistic && offered:
		if err := c.smtp.StartTLS(config); err != nil {
			return step("STARTTLS", err)
		}
	}
	if t.User == "" {
		return nil
	}
	if t.TLS == TLSOpportunistic {
		return fmt.Errorf("no password over TLS that is not verified: %w", ErrTemporary)
	}
	// PlainAuth refuses a connection that is neither TLS nor loopback.
	return step("AUTH", c.smtp.Auth(smtp.PlainAuth("", t.User, t.Password.Reveal(), host)))
}

func (c *Client) transaction(from Address, to []Address, raw []byte) (string, error) {
	mail := "MAIL FROM:<" + from.String() + ">"
	if ok, _ := c.smtp.Extension("SIZE"); ok {
		mail += fmt.Sprintf(" SIZE=%d", len(raw)+bytes.Count(raw, []byte("\n")))
	}
	if ok, _ := c.smtp.Extension("8BITMIME"); ok {
		mail += " BODY=8BITMIME"
	}
	wide := !from.ASCII()
	for _, a := range to {
		wide = wide || !a.ASCII()
	}
	if wide {
		if ok, _ := c.smtp.Extension("SMTPUTF8"); !ok {
			return "", fmt.Errorf("the server takes no address with such letters: %w", ErrPermanent)
		}
		mail += " SMTPUTF8"
	}
	if err := c.command(250, "MAIL", mail); err != nil {
		return "", err
	}
	for _, a := range to {
		if err := c.command(25, "RCPT", "RCPT TO:<"+a.String()+">"); err != nil {
			return "", err
		}
	}
	if err := c.command(354, "DATA", "DATA"); err != nil {
		return "", err
	}
	c.conn.SetDeadline(time.Now().Add(10 * time.Minute))
	w := c.smtp.Text.DotWriter()
	if _, err := w.Write(raw); err != nil {
		return "", step("DATA", err)
	}
	if err := w.Close(); err != nil {
		return "", step("DATA", err)
	}
	_, reply, err := c.smtp.Text.ReadResponse(250)
	return reply, step("DATA", err)
}

// command sends one line and waits for a reply of class want.
func (c *Client) command(want int, name, line string) error {
	c.conn.SetDeadline(time.Now().Add(c.target.Timeout))
	id, err := c.smtp.Text.Cmd("%s", line)
	if err == nil {
		c.smtp.Text.StartResponse(id)
		_, _, err = c.smtp.Text.ReadResponse(want)
		c.smtp.Text.EndResponse(id)
	}
	err = step(name, err)
	if _, refused := errors.AsType[*Refused](err); err != nil && name == "MAIL" && (!refused || refused421(err)) {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	return err
}

func refused421(err error) bool {
	r, ok := errors.AsType[*Refused](err)
	return ok && r.Code == 421
}

// step makes an error of net/smtp one of ours.
func step(name string, err error) error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return &Refused{Step: name, Code: reply.Code, Text: reply.Msg}
	}
	return fmt.Errorf("%s: %w: %w", name, err, ErrTemporary)
}

// drop closes the connection without a word.
func (c *Client) drop() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.smtp = nil, nil
}

// Close says goodbye to the server. The client may be used again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.smtp != nil {
		c.conn.SetDeadline(time.Now().Add(time.Second))
		c.smtp.Quit()
	}
	c.drop()
	return nil
}
