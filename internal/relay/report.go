package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/join"
)

const (
	// tellSoon is how long news of edges is gathered before the desk is told.
	tellSoon = 250 * time.Millisecond
	// tellStill is how often it is told that nothing has changed.
	tellStill = 20 * time.Second
	// goneAfter is how long an edge is told of that asks no more: it is silent, or
	// it asks the desk. It asks every 30 s.
	goneAfter = 2 * time.Minute
	// maxEdges bounds one report, maxReport its octets.
	maxEdges  = 10_000
	maxReport = 4 << 20
)

// Edge is how far an edge is, by its last question to a relay.
type Edge struct {
	Name   string `json:"name"`
	Epoch  int64  `json:"epoch"`
	Serial int64  `json:"serial"`
	// Ago is how many milliseconds ago that was: the clocks of two hosts differ.
	Ago int64 `json:"ago"`
}

type report struct {
	Edges []Edge `json:"edges"`
}

// Teller tells the desk how far the edges of a relay are.
type Teller struct {
	Copy   string // the copy that says how far an edge is
	Client *http.Client
	Base   string // the desk's address
	Clock  clock.Clock
	Log    *slog.Logger

	mu    sync.Mutex
	edges map[string]asked
	news  chan struct{}
	once  sync.Once
}

type asked struct {
	mark copy.Mark
	at   time.Time
}

func (t *Teller) init() {
	t.once.Do(func() { t.edges, t.news = map[string]asked{}, make(chan struct{}, 1) })
}

// Saw is told of every question; see copy.Handler. It returns at once.
func (t *Teller) Saw(_ context.Context, p copy.Poll) {
	t.init()
	if p.Copy != t.Copy || p.Nothing {
		return
	}
	now := t.Clock.Now()
	t.mu.Lock()
	was, known := t.edges[p.Host]
	if !known && len(t.edges) >= maxEdges {
		t.mu.Unlock()
		return
	}
	t.edges[p.Host] = asked{p.Mark, now}
	t.mu.Unlock()
	if was.mark != p.Mark {
		select {
		case t.news <- struct{}{}:
		default:
		}
	}
}

// Edges are how far the edges are that asked lately, by name.
func (t *Teller) Edges() (out []Edge) {
	t.init()
	now := t.Clock.Now()
	t.mu.Lock()
	for name, e := range t.edges {
		ago := now.Sub(e.at)
		if ago > goneAfter {
			delete(t.edges, name)
			continue
		}
		out = append(out, Edge{name, e.mark.Epoch, e.mark.Serial, max(ago, 0).Milliseconds()})
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b Edge) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Register makes known how many edges take copies from this relay.
func (t *Teller) Register(reg prometheus.Registerer) error {
	return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_relay_edges", Help: "Edges that asked this relay in the last two minutes."}, func() float64 { return float64(len(t.Edges())) }))
}

// Run tells the desk until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	t.init()
	still := time.NewTicker(tellStill)
	defer still.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-still.C:
		case <-t.news:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tellSoon):
		}
		err := t.tell(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			t.Log.Warn("the desk is not told how far the edges are", "err", err)
		}
		failed = err != nil
	}
}

func (t *Teller) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(report{t.Edges()})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Base+Path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := t.Client.Do(r)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, io.LimitReader(res.Body, 1000))
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the desk answered %d", res.StatusCode)
	}
	return nil
}

// Desk takes what relays tell. It stands behind join.Gate.Require for the role relay.
type Desk struct {
	// Known are the names of the edges that are in: a relay may tell of them alone.
	// It is asked every knownFor at most.
	Known func(ctx context.Context) (map[string]bool, error)
	// Told takes what a relay tells of its edges.
	Told func(ctx context.Context, relay string, edges []Edge)
	Log  *slog.Logger

	mu    sync.Mutex
	known map[string]bool
	at    time.Time
}

// knownFor is how long the edges that are in are remembered.
const knownFor = 5 * time.Second

// ServeHTTP takes a report.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, ok := join.Peer(r.Context())
	if !ok || host.Role != join.Relay {
		http.Error(w, "not for this role", http.StatusForbidden)
		return
	}
	var in report
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReport)).Decode(&in); err != nil || len(in.Edges) > maxEdges {
		http.Error(w, "not a report of a relay", http.StatusBadRequest)
		return
	}
	known, err := d.edges(r.Context())
	if err != nil {
		d.Log.Error("what a relay tells was not taken", "relay", host.Name, "err", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	out := in.Edges[:0]
	for _, e := range in.Edges {
		if known[e.Name] && e.Epoch >= 0 && e.Serial >= 0 {
			e.Ago = min(max(e.Ago, 0), goneAfter.Milliseconds())
			out = append(out, e)
		}
	}
	d.Told(r.Context(), host.Name, out)
	w.WriteHeader(http.StatusNoContent)
}

func (d *Desk) edges(ctx context.Context) (map[string]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.at) < knownFor {
		return d.known, nil
	}
	known, err := d.Known(ctx)
	if err == nil {
		d.known, d.at = known, time.Now()
	}
	return known, err
}
