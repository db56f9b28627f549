package join

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"bolwerk"
)

// A relay is a host that hands the desk's copies on. An edge takes its copies from
// one of the relays in its configuration while one answers, and else from the desk,
// as it does everything else: it hands in under its own name, with its own
// certificate, and no relay can speak for it.

const (
	// relayAgain is after how long a relay that did not answer is asked again.
	relayAgain = 30 * time.Second
	// relayDoubted is as much for one that gave what the desk has not signed, or
	// what is old.
	relayDoubted = 10 * time.Minute
)

// CheckRelays says what is wrong with hosts.relays.
func CheckRelays(relays []string) error {
	if len(relays) > maxDesks {
		return bolwerk.Invalid("%d relays: want %d at most", len(relays), maxDesks)
	}
	for _, a := range relays {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return bolwerk.Invalid("relay %.80q: want host:port", a)
		}
	}
	return nil
}

// ServeTLS is how a relay's listener is set up: with its certificate as a host, and
// for hosts of the same desk alone.
func (h *Host) ServeTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  h.pool,
		Time:       h.clock.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.cert, nil
		},
		SessionTicketsDisabled: true, // see Authority.TLS
	}
}

// Feed is a way to copies: relays, and behind them the desk.
type Feed struct {
	desk *http.Client
	now  func() time.Time

	mu     sync.Mutex
	relays []*relayWay // begins with the one to ask first
}

type relayWay struct {
	address string
	ways    *http.Transport
	until   time.Time // not asked before
}

// Feed makes the way to copies over relays, host:port each. desk is the client to
// the desk. Edges that share relays may list them in another order each.
func (h *Host) Feed(dial Dialer, relays []string, desk *http.Client) *Feed {
	f := &Feed{desk: desk, now: h.clock.Now}
	for _, a := range relays {
		c := h.TLS()
		c.ServerName = relayName
		f.relays = append(f.relays, &relayWay{address: a, ways: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
				return dial(ctx, network, a)
			},
			TLSClientConfig:       c,
			TLSHandshakeTimeout:   3 * time.Second,
			ForceAttemptHTTP2:     true,
			DisableCompression:    true,
			IdleConnTimeout:       5 * time.Minute,
			ResponseHeaderTimeout: 75 * time.Second, // a long poll waits up to 60
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 3 * time.Second},
		}})
	}
	return f
}

// Client asks relays for copies. Everything that is not a question goes to the desk.
func (f *Feed) Client() *http.Client {
	return &http.Client{Transport: f, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip asks the first relay that answers, or the desk.
func (f *Feed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && r.Body == nil {
		for _, w := range f.order() {
			res, err := w.ways.RoundTrip(r)
			switch {
			case err == nil && res.StatusCode == http.StatusOK:
				return res, nil
			case r.Context().Err() != nil:
				return res, err
			case err == nil:
				io.Copy(io.Discard, io.LimitReader(res.Body, 4096))
				res.Body.Close()
			}
			if err == nil && res.StatusCode == http.StatusNotFound {
				continue // it does not carry this copy
			}
			f.leave(w, relayAgain)
		}
	}
	return f.desk.Transport.RoundTrip(r)
}

// order are the relays to ask now.
func (f *Feed) order() (out []*relayWay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, w := range f.relays {
		if left := w.until.Sub(now); left <= 0 || left > relayDoubted { // a clock that went back holds up nothing
			out = append(out, w)
		}
	}
	return out
}

func (f *Feed) leave(w *relayWay, pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if until := f.now().Add(pause); until.After(w.until) {
		w.until = until
	}
	w.ways.CloseIdleConnections()
}

// Doubt leaves the relay that is asked now for some minutes: what it gave is not
// what the desk signs, or is old.
func (f *Feed) Doubt() {
	if all := f.order(); len(all) > 0 {
		f.leave(all[0], relayDoubted)
	}
}

// Relay is the address of the relay that is asked now; empty: the desk is.
func (f *Feed) Relay() string {
	if all := f.order(); len(all) > 0 {
		return all[0].address
	}
	return ""
}

// CloseIdleConnections has the next question make a connection anew.
func (f *Feed) CloseIdleConnections() {
	f.mu.Lock()
	relays := slices.Clone(f.relays)
	f.mu.Unlock()
	for _, w := range relays {
		w.ways.CloseIdleConnections()
	}
	f.desk.CloseIdleConnections()
}
