package join

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
)

// ways are the addresses of the desks at one store: any of them takes what a host
// hands in and gives it its copies. It stays with one while that answers.
type ways struct {
	dial  Dialer
	tls   *tls.Config
	learn func([]string) error // keeps other addresses; nil: none are taken up

	mu        sync.Mutex
	addresses []string        // never changed in place
	at        int             // the address that answered last
	gen       int             // raised when we leave a desk
	now       *http.Transport // nil until it is needed
}

// maxDesks bounds the addresses of a join line.
const maxDesks = 8

// parseDesks reads the addresses of the desks, host:port with commas between.
func parseDesks(s string) ([]string, error) {
	all := strings.Split(s, ",")
	if len(all) > maxDesks {
		return nil, bolwerk.Invalid("%d addresses of desks: want %d at most", len(all), maxDesks)
	}
	for i, a := range all {
		a = strings.TrimSpace(a)
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return nil, bolwerk.Invalid("address of a desk %.80q: want host:port", a)
		}
		all[i] = a
	}
	return all, nil
}

// CheckAddress says what is wrong with hosts.address.
func CheckAddress(s string) error {
	_, err := parseDesks(s)
	return err
}

// base is the start of the desks' addresses in a URL. Which desk it is is decided
// where it is dialled: every desk has the same name in its certificate.
func base(desks string) string {
	first, _, _ := strings.Cut(desks, ",")
	return "https://" + strings.TrimSpace(first)
}

// dialDesk connects to the desk that answered last, or to the next one that does.
func (w *ways) dialDesk(ctx context.Context, network, _ string) (c net.Conn, err error) {
	w.mu.Lock()
	at, gen, addresses := w.at, w.gen, w.addresses
	w.mu.Unlock()
	for i := range addresses {
		n := (at + i) % len(addresses)
		if c, err = w.try(ctx, network, addresses[n], len(addresses) > 1); err == nil {
			w.mu.Lock()
			if w.gen == gen {
				w.at = n
			}
			w.mu.Unlock()
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (w *ways) try(ctx context.Context, network, address string, others bool) (net.Conn, error) {
	if others { // one that swallows what we send must not keep us from the other
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
	}
	return w.dial(ctx, network, address)
}

func (w *ways) transport() (t *http.Transport, gen int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		ping := 15 * time.Second
		if len(w.addresses) > 1 {
			ping = 3 * time.Second
		}
		w.now = &http.Transport{
			DialContext:           w.dialDesk,
			TLSClientConfig:       w.tls,
			TLSHandshakeTimeout:   min(10*time.Second, ping),
			ForceAttemptHTTP2:     true,
			DisableCompression:    true,
			IdleConnTimeout:       5 * time.Minute,
			ResponseHeaderTimeout: 90 * time.Second, // a long poll waits up to 60
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping},
		}
	}
	return w.now, w.gen
}

// RoundTrip asks a desk. One that does not answer, or says that it is cut off, is
// left for the next one; the question itself is not asked again here.
func (w *ways) RoundTrip(r *http.Request) (*http.Response, error) {
	t, gen := w.transport()
	res, err := t.RoundTrip(r)
	if err != nil && r.Context().Err() == nil || err == nil && res.StatusCode == http.StatusServiceUnavailable {
		w.leave(gen)
	} else if err == nil && w.learn != nil {
		w.hear(res.Header.Get(desksHeader))
	}
	return res, err
}

// desksHeader is how a desk tells a host that is in under which addresses the desks
// are reached.
const desksHeader = "Bolwerk-Desks"

// hear takes up further desks. A desk that names fewer than we know, or others, says
// nothing to us: an address may have been changed here, for a way of our own.
func (w *ways) hear(named string) {
	w.mu.Lock()
	have := w.addresses
	w.mu.Unlock()
	if named == "" || named == strings.Join(have, ",") {
		return
	}
	all, err := parseDesks(named)
	if err != nil || len(all) <= len(have) || slices.ContainsFunc(have, func(a string) bool { return !slices.Contains(all, a) }) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.addresses, have) || w.learn(all) != nil {
		return // kept with a later answer
	}
	w.at, w.addresses = slices.Index(all, have[w.at]), all
	// What hangs is noticed sooner where there is another desk.
	w.gen++
	old := w.now
	w.now = nil
	if old != nil {
		old.CloseIdleConnections()
	}
}

// leave goes to the next desk, once for all who noticed.
func (w *ways) leave(gen int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gen != gen || len(w.addresses) == 1 {
		return
	}
	w.gen++
	w.at = (w.at + 1) % len(w.addresses)
	old := w.now
	w.now = nil
	old.CloseIdleConnections()
}

// CloseIdleConnections has the next question make a connection anew.
func (w *ways) CloseIdleConnections() {
	t, _ := w.transport()
	t.CloseIdleConnections()
}
