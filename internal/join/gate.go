package join

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
)

// Gate says at each request which host asks. It stands at the desk, and at a relay.
type Gate struct {
	// Admit is nil where a host of this name, role and join is in and not
	// revoked; else a bolwerk.ErrForbidden. See Register.
	Admit func(ctx context.Context, id Identity) error
	// Desks, when not nil, are the addresses of the desks, which every answer names.
	Desks func() string
	Clock clock.Clock
	Log   *slog.Logger

	mu     sync.Mutex
	admits map[Identity]admit
}

type admit struct {
	err error
	at  time.Time
}

// A revocation is known to every process of the desk after admitFor and ends a
// request that is under way after recheck: together well under the promised 60 s.
const (
	admitFor = 5 * time.Second
	recheck  = 15 * time.Second
)

// Require lets requests through that show a certificate of a host that is in and
// has one of roles. Everybody else gets 401 or 403 and no reason. A request
// that lasts is looked at again every 15 s, and its context ends when its host
// was revoked.
func (g *Gate) Require(next http.Handler, roles ...Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := g.who(r)
		if err != nil {
			g.Log.Warn("request without a valid host certificate", "path", r.URL.Path, "err", err)
			http.Error(w, "a host certificate of this desk is needed", http.StatusUnauthorized)
			return
		}
		if !slices.Contains(roles, id.Role) {
			g.Log.Warn("host at a door of another role", "host", id.Name, "role", id.Role, "path", r.URL.Path)
			http.Error(w, "not for this role", http.StatusForbidden)
			return
		}
		if err := g.admit(r.Context(), id); errors.Is(err, bolwerk.ErrForbidden) {
			g.Log.Warn("host that is not in", "host", id.Name, "err", err)
			http.Error(w, "this host is not in; join again", http.StatusForbidden)
			return
		} else if err != nil {
			g.Log.Error("hosts cannot be looked up", "err", err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		if g.Desks != nil {
			w.Header().Set(desksHeader, g.Desks())
		}
		ctx, cancel := context.WithCancel(WithPeer(r.Context(), id))
		defer cancel()
		watched := g.watch(ctx, cancel, id)
		next.ServeHTTP(w, r.WithContext(ctx))
		cancel()
		<-watched
	})
}

// watch ends a request whose host is revoked meanwhile.
func (g *Gate) watch(ctx context.Context, cancel context.CancelFunc, id Identity) <-chan struct{} {
	done := make(chan struct{})
	t := time.AfterFunc(recheck, func() {
		defer close(done)
		tick := time.NewTicker(recheck)
		defer tick.Stop()
		for {
			if err := g.admit(ctx, id); errors.Is(err, bolwerk.ErrForbidden) {
				g.Log.Warn("host revoked during a request", "host", id.Name)
				cancel()
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	context.AfterFunc(ctx, func() {
		if t.Stop() {
			close(done)
		}
	})
	return done
}

// who reads the certificate of a request. The handshake has checked the chain;
// the dates are checked again, because a connection may outlive them.
func (g *Gate) who(r *http.Request) (Identity, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Identity{}, bolwerk.Forbidden("no certificate")
	}
	cert := r.TLS.VerifiedChains[0][0]
	if now := g.Clock.Now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return Identity{}, bolwerk.Forbidden("certificate for another time: %s to %s", cert.NotBefore, cert.NotAfter)
	}
	return identityOf(cert)
}

// admit asks the register, at most every admitFor per host.
func (g *Gate) admit(ctx context.Context, id Identity) error {
	now := time.Now()
	g.mu.Lock()
	known, ok := g.admits[id]
	g.mu.Unlock()
	if ok && now.Sub(known.at) < admitFor {
		return known.err
	}
	err := g.Admit(ctx, id)
	if err != nil && !errors.Is(err, bolwerk.ErrForbidden) {
		return err // not an answer: not kept
	}
	g.mu.Lock()
	if g.admits == nil || len(g.admits) > 10_000 {
		g.admits = map[Identity]admit{}
	}
	g.admits[id] = admit{err, now}
	g.mu.Unlock()
	return err
}
