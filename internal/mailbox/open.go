package mailbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
)

// With is what a fetcher needs beside its configuration.
type With struct {
	Accept mail.Accept
	Dial   mail.Dial
	// Roots verify the servers; nil are the machine's.
	Roots   *tls.Config
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics *Metrics
}

// New makes the fetcher of a mailbox. cfg has passed Validate. The password is
// read each time that it connects: a changed one needs no restart.
func New(cfg Config, with With) *Fetcher {
	cfg = cfg.settled()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = with.Dial
	if with.Roots != nil {
		transport.TLSClientConfig = with.Roots.Clone()
	}
	plain := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	open := func(ctx context.Context) (box, error) {
		b, err := os.ReadFile(cfg.PasswordFile)
		if err != nil {
			return nil, err
		}
		line, _, _ := bytes.Cut(b, []byte{'\n'})
		l := login{password: bolwerk.NewSecret(string(bytes.TrimSpace(line)))}
		if cfg.TokenURL != "" {
			app := clientcredentials.Config{ClientID: cfg.ClientID, ClientSecret: l.password.Reveal(), TokenURL: cfg.TokenURL, Scopes: []string{cfg.Scope}}
			l.token = app.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, plain))
		}
		if cfg.Kind == Graph {
			return openGraph(ctx, cfg, &http.Client{Transport: &oauth2.Transport{Source: l.token, Base: transport}, Timeout: 2 * time.Minute})
		}
		return openIMAP(ctx, cfg, l, with.Roots, with.Dial)
	}
	return &Fetcher{cfg: cfg, open: open, accept: with.Accept, clock: with.Clock, log: with.Log, m: with.Metrics}
}

// Name is what the mailbox is called in logs.
func (f *Fetcher) Name() string { return fmt.Sprintf("mailbox %s", f.cfg.Name) }
