// Package access is the access network as the desk reaches it: it finds the way to
// the access server that has a session, uses a profile there only after a canary
// session was put into it and taken out again, and answers AAA servers at a login.
package access

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/kea"
	"bolwerk/abuse/enforce/rest"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_access", Steps: []string{schema}} }

// Parts is what it is given.
type Parts struct {
	DB    *store.DB
	Who   *who.Who
	Clock clock.Clock
	Log   *slog.Logger
	// Wanted is the profile that a subscriber is to have now, and until when; normal
	// where there is none. nil: nobody has another.
	Wanted  func(ctx context.Context, subscriber string) (enforce.Profile, time.Time, error)
	Metrics prometheus.Registerer
}

// Access is the access network. It is an enforce.Port.
type Access struct {
	cfg   Config
	p     Parts
	m     *metrics
	ways  map[string]*way // by access server
	all   []*way
	token bolwerk.Secret

	mu     sync.Mutex
	proofs map[string]Proof
}

// way is how one access server, or several, are reached.
type way struct {
	name     string
	kind     string // radius, http or kea
	port     enforce.Port
	settings string // digest
	canary   string
	device   bool // the canary is a device, not a subscriber
	look     string
	profiles []enforce.Profile
	login    func(p enforce.Profile, until, now time.Time) []coa.Reply
	told     func(filters []string) (enforce.Profile, bool)
	timer    bool // it ends a profile by itself when its time is over
	stays    bool // a profile outlives the session: it is there until it is taken away
}

// New reads the secrets of all ways.
func New(cfg Config, p Parts) (*Access, error) {
	a := &Access{cfg: cfg, p: p, m: newMetrics(), ways: map[string]*way{}, proofs: map[string]Proof{}}
	if cfg.Listen != "" {
		var err error
		if a.token, err = readToken(cfg.TokenFile); err != nil {
			return nil, err
		}
	}
	for _, c := range cfg.NAS {
		c = c.Settled()
		port, err := coa.New(c, p.Clock, func(why string) { a.m.dropped.WithLabelValues(c.Name, why).Inc() })
		if err != nil {
			return nil, named("nas", c.Name, err)
		}
		a.add(&way{name: c.Name, kind: "radius", port: port, settings: digest(c), canary: c.Canary, look: c.CanaryLook, profiles: having(c.Leaky, c.Strict), login: c.Login, told: c.Told, timer: c.Timer()}, c.Name)
	}
	for _, c := range cfg.HTTP {
		c = c.Settled()
		port, err := rest.New(c, p.Clock)
		if err != nil {
			return nil, named("http", c.Name, err)
		}
		a.add(&way{name: c.Name, kind: "http", port: port, settings: digest(c), canary: c.Canary, look: c.CanaryLook, profiles: having("leaky", "strict"), timer: true}, append(c.AccessServers, c.Name)...)
	}
	for _, c := range cfg.Kea {
		c = c.Settled()
		port, err := kea.New(c)
		if err != nil {
			return nil, named("kea", c.Name, err)
		}
		a.add(&way{name: c.Name, kind: "kea", port: port, settings: digest(c), canary: c.Canary, device: true, stays: true, look: c.CanaryLook, profiles: having(c.Leaky, c.Strict)}, c.Name)
	}
	return a, a.m.register(p.Metrics, a)
}

func named(kind, name string, err error) error {
	return bolwerk.Invalid("abuse.enforce.%s %s: %v", kind, name, err)
}

func having(leaky, strict string) (out []enforce.Profile) {
	if leaky != "" {
		out = append(out, enforce.Leaky)
	}
	if strict != "" {
		out = append(out, enforce.Strict)
	}
	return out
}

// digest is of settings as they are: a proof is of these alone.
func digest(cfg any) string {
	b, err := json.Marshal(cfg)
	if err != nil {
		panic(err) // plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func (a *Access) add(w *way, servers ...string) {
	a.all = append(a.all, w)
	for _, s := range servers {
		a.ways[s] = w
	}
}

// unproved is how long an order waits for a proof.
const unproved = time.Minute

// Put sends an order on its way. Into leaky or strict it goes only where a canary
// session was put in and taken out again; the way back to normal is always open.
func (a *Access) Put(ctx context.Context, o enforce.Order) (enforce.Result, error) {
	w := a.ways[o.Session.NAS]
	if w == nil {
		return enforce.Result{State: enforce.Refused, Code: "no way to the access server is configured"}, nil
	}
	if o.Profile != enforce.Normal && !a.Proved(o.Session.NAS) {
		a.m.orders.WithLabelValues(w.name, string(o.Profile), "unproved").Inc()
		return enforce.Result{State: enforce.Busy, Code: "not used: no canary session was put in and taken out again", Again: unproved}, nil
	}
	return a.put(ctx, w, o)
}

func (a *Access) put(ctx context.Context, w *way, o enforce.Order) (enforce.Result, error) {
	start := time.Now()
	r, err := w.port.Put(ctx, o)
	a.m.took.Observe(time.Since(start).Seconds())
	state := string(r.State)
	if err != nil {
		state = "error"
	}
	a.m.orders.WithLabelValues(w.name, string(o.Profile), state).Inc()
	return r, err
}

// Told is the profile that an access server's accounting tells of; false where it tells
// of none.
func (a *Access) Told(nas string, filters []string) (enforce.Profile, bool) {
	if w := a.ways[nas]; w != nil && w.told != nil {
		return w.told(filters)
	}
	return "", false
}

// Stays says that a profile outlives the session at an access server: it is there until it
// is taken away.
func (a *Access) Stays(nas string) bool { return a.ways[nas] != nil && a.ways[nas].stays }

// Has says whether there is a way to an access server.
func (a *Access) Has(nas string) bool { return a.ways[nas] != nil }

// sessions are the open sessions of a way's canary.
func (a *Access) sessions(ctx context.Context, w *way) (out []session.Held, err error) {
	if w.device {
		return []session.Held{{Identity: session.Identity{Calling: w.canary}, NAS: w.name, Session: w.canary, Source: session.Lease}}, nil
	}
	err = a.p.DB.Read(ctx, func(tx *store.Tx) error {
		held, err := a.p.Who.Now(tx, w.canary)
		seen := map[string]bool{}
		for _, h := range held {
			if a.ways[h.NAS] == w && !seen[h.NAS+"\x00"+h.Session] {
				seen[h.NAS+"\x00"+h.Session] = true
				out = append(out, h)
			}
		}
		return err
	})
	return out, err
}
