// Package mailbox fetches reports from a mailbox that lies elsewhere: by IMAP
// (RFC 9051, RFC 3501) or by Microsoft Graph. A mail is taken over first, then
// moved out of the folder; one that could not be moved is taken again under the
// same id, so that it counts once.
package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
)

// Kind is how a mailbox is reached.
type Kind string

// The kinds.
const (
	IMAP  Kind = "imap"
	Graph Kind = "graph"
)

// MaxMail bounds a mail in octets; a larger one is set aside.
const MaxMail = 25 << 20

// Config is one mailbox.
type Config struct {
	// Name is for people and metrics, and part of each mail's id: a mailbox that
	// gets another name gives the mails that lie in it once more.
	Name string `toml:"name"`
	// Kind is imap or graph.
	Kind Kind `toml:"kind"`
	// Server is host:port of the IMAP server. Of Graph, its address; empty is
	// https://graph.microsoft.com/v1.0.
	Server string `toml:"server"`
	// TLS is implicit (port 993), required (STARTTLS) or none (loopback only).
	TLS mail.TLSPolicy `toml:"tls"`
	// User is the log-in name; of Graph, the mailbox's address.
	User string `toml:"user"`
	// PasswordFile holds the password, mode 0600. With TokenURL it is the secret
	// of the application, and IMAP logs in by XOAUTH2.
	PasswordFile string `toml:"password_file"`
	// TokenURL, ClientID and Scope are for log-in by OAuth 2 client credentials
	// (RFC 6749 section 4.4). Graph needs the first two.
	TokenURL string `toml:"token_url"`
	ClientID string `toml:"client_id"`
	// Scope is empty for Microsoft's own: https://graph.microsoft.com/.default or
	// https://outlook.office365.com/.default.
	Scope string `toml:"scope"`
	// Folder is where reports arrive. Done is where they are moved to when they
	// are taken, Aside where one goes that cannot be taken (too large, empty).
	// Both are made where they are missing.
	Folder string `toml:"folder"`
	Done   string `toml:"done"`
	Aside  string `toml:"aside"`
	// Every is how often the folder is looked at; at least a second.
	Every bolwerk.Duration `toml:"every"`
}

var nameOf = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// settled fills in the defaults.
func (c Config) settled() Config {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&c.Folder, "INBOX")
	def(&c.Done, "Bolwerk")
	def(&c.Aside, "Bolwerk-aside")
	if c.TLS == "" {
		c.TLS = mail.TLSImplicit
	}
	switch c.Kind {
	case Graph:
		def(&c.Server, "https://graph.microsoft.com/v1.0")
		def(&c.Scope, "https://graph.microsoft.com/.default")
	case IMAP:
		def(&c.Scope, "https://outlook.office365.com/.default")
	}
	if c.Every == 0 {
		c.Every = bolwerk.Duration(15 * time.Second)
	}
	return c
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	c = c.settled()
	var problems []error
	bad := func(format string, a ...any) {
		problems = append(problems, bolwerk.Invalid("mailbox %.40q: %s", c.Name, fmt.Sprintf(format, a...)))
	}
	if !nameOf.MatchString(c.Name) {
		bad("name: want 1 to 32 of a-z, 0-9 and -")
	}
	switch c.Kind {
	case IMAP:
		if host, port, ok := strings.Cut(c.Server, ":"); !ok || host == "" || port == "" {
			bad("server %.80q: want host:port", c.Server)
		}
		if !slices.Contains([]mail.TLSPolicy{mail.TLSImplicit, mail.TLSRequired, mail.TLSNone}, c.TLS) {
			bad("tls = %.20q: want implicit, required or none", c.TLS)
		}
		if c.TLS == mail.TLSNone && !loopback(c.Server) {
			bad("tls = \"none\" sends the password in the clear: for loopback only")
		}
	case Graph:
		if c.TokenURL == "" || c.ClientID == "" {
			bad("token_url and client_id are needed: https://login.microsoftonline.com/TENANT/oauth2/v2.0/token and the application's id")
		}
		if !secure(c.Server) {
			bad("server %.80q: want https://", c.Server)
		}
	default:
		bad("kind = %.20q: want imap or graph", c.Kind)
	}
	if c.TokenURL != "" && !secure(c.TokenURL) {
		bad("token_url %.80q: want https://", c.TokenURL)
	}
	if c.User == "" || c.PasswordFile == "" {
		bad("user and password_file are needed")
	}
	if c.Folder == c.Done || c.Folder == c.Aside {
		bad("done and aside must be other folders than %q, or every mail is taken for ever", c.Folder)
	}
	if time.Duration(c.Every) < time.Second {
		bad("every = %s: at least 1s", time.Duration(c.Every))
	}
	return errors.Join(problems...)
}

// secure says that what is sent there is not read on the way.
func secure(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Host))
}

func loopback(host string) bool {
	return strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "[::1]") || strings.HasPrefix(host, "localhost")
}

// letter is a mail that lies in the folder.
type letter struct {
	key  string // the same each time that it is listed, whatever happened between
	at   time.Time
	size int64 // octets, 0 is not known
}

// errLarge is why a mail is set aside unread.
var errLarge = bolwerk.Invalid("a mail of more than %d octets", MaxMail)

// box is an open mailbox.
type box interface {
	// list gives what lies in the folder, oldest first, some at a time.
	list(ctx context.Context) ([]letter, error)
	// read gives a mail as it came, or errLarge; nothing is marked.
	read(ctx context.Context, l letter) ([]byte, error)
	// move takes it out of the folder.
	move(ctx context.Context, l letter, to string) error
	close()
}

// Fetcher looks into one mailbox for ever.
type Fetcher struct {
	cfg    Config
	open   func(ctx context.Context) (box, error)
	accept mail.Accept
	clock  clock.Clock
	log    *slog.Logger
	m      *Metrics
}

// Run fetches until ctx ends. A mailbox that cannot be reached is tried again,
// later and later, at most ten minutes apart.
func (f *Fetcher) Run(ctx context.Context) error {
	wait := time.Duration(f.cfg.Every)
	for {
		n, err := f.round(ctx)
		f.m.done(f.cfg.Name, f.clock.Now(), err)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = min(max(2*wait, 5*time.Second), 10*time.Minute)
			f.log.Warn("a mailbox could not be fetched", "mailbox", f.cfg.Name, "taken", n, "err", err, "again_in", wait)
		default:
			wait = time.Duration(f.cfg.Every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// roundTime bounds one connection: a server that says nothing does not hold us.
const roundTime = 10 * time.Minute

// round takes all that lies in the folder.
func (f *Fetcher) round(ctx context.Context) (taken int, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	b, err := f.open(ctx)
	if err != nil {
		return 0, err
	}
	defer b.close()
	for {
		letters, err := b.list(ctx)
		if err != nil || len(letters) == 0 {
			return taken, err
		}
		for _, l := range letters {
			to, err := f.take(ctx, b, l)
			if err != nil {
				return taken, err
			}
			if err := b.move(ctx, l, to); err != nil {
				return taken, fmt.Errorf("moving a mail to %s: %w", to, err)
			}
			taken++
		}
	}
}

// take hands one mail over and says where it belongs then.
func (f *Fetcher) take(ctx context.Context, b box, l letter) (to string, err error) {
	var raw []byte
	if l.size > MaxMail {
		err = errLarge
	} else if raw, err = b.read(ctx, l); err != nil && !errors.Is(err, errLarge) {
		return "", fmt.Errorf("reading a mail: %w", err)
	}
	if err == nil {
		_, err = f.accept(ctx, mail.Envelope{ID: bolwerk.IDOf(l.at, f.cfg.Name+"\x00"+l.key), MailFrom: returnPath(raw), Rcpt: f.cfg.address(), TLS: f.cfg.TLS != mail.TLSNone, ReceivedAt: l.at, Raw: raw})
	}
	switch {
	case err == nil:
		f.m.mails.WithLabelValues(f.cfg.Name, "taken").Inc()
		return f.cfg.Done, nil
	case errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden):
		f.m.mails.WithLabelValues(f.cfg.Name, "aside").Inc()
		f.log.Warn("a mail was set aside", "mailbox", f.cfg.Name, "folder", f.cfg.Aside, "err", err)
		return f.cfg.Aside, nil
	}
	return "", err
}

// returnPath is the envelope's sender as the mailbox's server wrote it down, in
// the first header block; "" where it did not: such a reporter gets no answer.
func returnPath(raw []byte) string {
	head, _, _ := bytes.Cut(raw[:min(len(raw), 256<<10)], []byte("\r\n\r\n"))
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		if strings.EqualFold(string(name), "Return-Path") {
			return strings.Trim(string(bytes.TrimSpace(value)), "<>")
		}
	}
	return ""
}

// Metrics are those of all mailboxes.
type Metrics struct {
	mails  *prometheus.CounterVec
	rounds *prometheus.CounterVec
	last   *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_mailbox_mails_total",
			Help: "Mails that were fetched, by mailbox and result (taken, aside)."}, []string{"mailbox", "result"}),
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_mailbox_rounds_total",
			Help: "Looks into a mailbox, by mailbox and result (ok, failed)."}, []string{"mailbox", "result"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bolwerk_mailbox_last_success_timestamp_seconds",
			Help: "When a mailbox was last looked into without an error; older than some minutes is an alarm."}, []string{"mailbox"}),
	}
	reg.MustRegister(m.mails, m.rounds, m.last)
	return m
}

func (m *Metrics) done(name string, now time.Time, err error) {
	if err != nil {
		m.rounds.WithLabelValues(name, "failed").Inc()
		return
	}
	m.rounds.WithLabelValues(name, "ok").Inc()
	m.last.WithLabelValues(name).Set(float64(now.Unix()))
}

// address is that of the mailbox, where its log-in name is one.
func (c Config) address() []string {
	if _, err := mail.ParseAddress(c.User); err != nil {
		return nil
	}
	return []string{c.User}
}
