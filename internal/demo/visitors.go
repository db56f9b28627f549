package demo

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// Visitors are invented subscribers who follow the links of blocked names, so
// that a newcomer sees counts: one of them a second asks the DNS, every fourth
// then looks at the warning page and every third knocks at the TLS door.
type Visitors struct {
	// DNS, Page and TLS are addresses of the demo's edge, host:port. Without
	// Page or TLS nobody goes there.
	DNS, Page, TLS string
	// Names are the names that are blocked now; it is asked once a second.
	Names func(context.Context) []string
	Log   *slog.Logger
}

// visitWait bounds each of the three steps.
const visitWait = 500 * time.Millisecond

// Run visits until ctx ends. A visit that fails is forgotten.
func (v Visitors) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		names := v.Names(ctx)
		if len(names) == 0 {
			continue
		}
		if err := v.visit(ctx, names[rand.IntN(len(names))], n); err != nil && ctx.Err() == nil {
			v.Log.Debug("demo visitor turned away", "err", err)
		}
		n++
	}
}

// visit is the nth visit.
func (v Visitors) visit(ctx context.Context, host string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*visitWait)
	defer cancel()
	kind := dns.TypeA
	if n%5 == 4 {
		kind = dns.TypeAAAA
	}
	asker := dns.Client{Timeout: visitWait}
	if _, _, err := asker.ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(host), kind), v.DNS); err != nil {
		return err
	}
	if v.Page != "" && n%4 == 0 {
		if err := v.look(ctx, host); err != nil {
			return err
		}
	}
	if v.TLS != "" && n%3 == 0 {
		return v.knock(ctx, host)
	}
	return nil
}

// look asks for the page as a browser does.
func (v Visitors) look(ctx context.Context, host string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.Page+"/", nil)
	if err != nil {
		return err
	}
	q.Host, q.Close = host, true
	q.Header.Set("Accept", "text/html")
	visitor := http.Client{Timeout: visitWait, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := visitor.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	return err
}

// knock begins a handshake that the door ends: that is what it does.
func (v Visitors) knock(ctx context.Context, host string) error {
	d := net.Dialer{Timeout: visitWait}
	c, err := d.DialContext(ctx, "tcp", v.TLS)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(visitWait))
	tls.Client(c, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	return nil
}
