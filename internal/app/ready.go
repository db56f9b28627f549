package app

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/join"
	"bolwerk/internal/web"
)

// Readiness is what an edge tells those who send customers to it, such as a BGP speaker
// that announces an address of several edges.
//
// What can be the same everywhere at once, as resolvers or a desk that are away, never
// makes an edge go: were all of them withdrawn for it, nobody had DNS. It is second then: any
// other edge is better, none is worse.
type Readiness struct {
	State State `json:"state"`
	// Why says what is missing, a sentence each.
	Why []string `json:"why,omitempty"`
}

// State is whether customers should come here.
type State string

// The states.
const (
	Ready  State = "ready"
	Second State = "second" // questions are answered as well as it goes; another edge does it better
	Down   State = "down"   // questions are not answered
)

// listAge is how old the list of blocks may be before another edge is better: a desk that
// is upgraded or moved is away for minutes.
const listAge = time.Hour

// readiness looks at an edge.
type readiness struct {
	dns interface {
		Answers(ctx context.Context, at netip.AddrPort) error
		UpstreamUp() bool
	}
	at   netip.AddrPort
	head func() copy.Head
	now  func() time.Time
}

func (r readiness) look(ctx context.Context) Readiness {
	if err := r.dns.Answers(ctx, r.at); err != nil {
		return Readiness{Down, []string{err.Error()}}
	}
	out := Readiness{State: Ready}
	second := func(format string, a ...any) {
		out.State, out.Why = Second, append(out.Why, fmt.Sprintf(format, a...))
	}
	if !r.dns.UpstreamUp() {
		second("no resolver answers; what the cache knows is given")
	}
	switch h := r.head(); {
	case h.MadeAt.IsZero():
		second("there is no list of blocks from the desk yet")
	case r.now().Sub(h.MadeAt) > listAge:
		second("the list of blocks is of %s, older than %s; it serves on", h.MadeAt.UTC().Format(time.RFC3339), listAge)
	}
	return out
}

// readyGate is how the site of metrics reaches the edge of this process once it is built.
type readyGate struct {
	look atomic.Pointer[func(context.Context) Readiness]
}

// open has the gate ask r.
func (g *readyGate) open(r readiness) {
	if g != nil {
		look := r.look
		g.look.Store(&look)
	}
}

// handle serves /ready, which is 200 when customers should come here, and /serving,
// which is 200 as long as questions are answered; else both are 503.
func (g *readyGate) handle(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, r *http.Request, good ...State) {
		look := g.look.Load()
		if look == nil {
			web.WriteJSON(w, http.StatusServiceUnavailable, Readiness{Down, []string{"no edge runs in this process yet"}})
			return
		}
		out, status := (*look)(r.Context()), http.StatusServiceUnavailable
		for _, s := range good {
			if s == out.State {
				status = http.StatusOK
			}
		}
		web.WriteJSON(w, status, out)
	}
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) { answer(w, r, Ready) })
	mux.HandleFunc("GET /serving", func(w http.ResponseWriter, r *http.Request) { answer(w, r, Ready, Second) })
}

// EdgeCheck asks the edge of this machine whether customers should come to it. The
// error says why not; with serving only if it does not answer at all.
func EdgeCheck(ctx context.Context, path, data string, serving bool) (Readiness, error) {
	cfg, err := Read(path)
	if err != nil {
		return Readiness{}, err
	}
	if data != "" {
		cfg.Data = data
	}
	var r Readiness
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err = socketCall(ctx, filepath.Join(hostDir(cfg, join.Edge), edgeSocket), "is an edge running on this machine, and is --config or --data its own?", http.MethodGet, "/ready", nil, &r)
	if err == nil && r.State != Ready && !(serving && r.State == Second) {
		err = bolwerk.Conflict("the edge is %s: %s", r.State, strings.Join(r.Why, "; "))
	}
	return r, err
}
