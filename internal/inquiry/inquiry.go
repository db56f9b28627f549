// Package inquiry has the desk ask its hosts what the resolver beside them answers
// at this moment. Hosts reach the desk and not the other way round: each waits at
// the desk for the next name.
//
//	GET  /v1/inquiry        waits up to a minute: 200 {"id","name"}, or 204
//	POST /v1/inquiry/{id}   what was answered
package inquiry

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

	"bolwerk"
	"bolwerk/internal/join"
	"bolwerk/internal/rpz"
)

// Path is where the desk mounts the handler.
const Path = "/v1/inquiry"

const (
	waitMost  = 50 * time.Second // of a host for a name: shorter than connections are kept idle
	replyMost = 256 << 10        // octets of a reply
	queueMost = 8                // names that wait for one host
	goneAfter = 3 * time.Second  // a host that does not wait for so long is away
	againIn   = time.Second      // after the desk could not be asked
	answerIn  = 4 * time.Second  // a host's own patience with its resolver
)

// Reply is what the resolver at a host answered.
type Reply struct {
	Host    string      `json:"-"`
	Role    string      `json:"-"`
	Address string      `json:"address"` // where the host asked
	Answer  *rpz.Answer `json:"answer,omitempty"`
	Problem string      `json:"problem,omitempty"`
	// Ours says that the answer is a block's, by what the host is configured with.
	Ours bool `json:"ours"`
}

type question struct {
	ID   string         `json:"id"`
	Name bolwerk.Domain `json:"name"`
	back chan<- Reply
}

type waiting struct {
	role  string
	next  chan question
	now   int       // how many of its requests wait
	until time.Time // when the last one ended
}

// Desk asks. It is safe for concurrent use; the zero value is not ready: see New.
type Desk struct {
	mu    sync.Mutex
	hosts map[string]*waiting
	open  map[string]question // by host and id
	mux   http.ServeMux
}

// New makes a desk's side. Mount it behind join.Authority.Require.
func New() *Desk {
	d := &Desk{hosts: map[string]*waiting{}, open: map[string]question{}}
	d.mux.HandleFunc("GET "+Path, d.wait)
	d.mux.HandleFunc("POST "+Path+"/{id}", d.take)
	return d
}

// ServeHTTP serves hosts that have joined.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

func (d *Desk) wait(w http.ResponseWriter, r *http.Request) {
	who, ok := join.Peer(r.Context())
	if !ok {
		http.Error(w, "who asks?", http.StatusForbidden)
		return
	}
	d.mu.Lock()
	h := d.hosts[who.Name]
	if h == nil {
		h = &waiting{next: make(chan question, queueMost)}
		d.hosts[who.Name] = h
	}
	h.role = string(who.Role)
	h.now++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		h.now, h.until = h.now-1, time.Now()
		d.mu.Unlock()
	}()
	end := time.NewTimer(waitMost)
	defer end.Stop()
	select {
	case <-r.Context().Done():
	case <-end.C:
		w.WriteHeader(http.StatusNoContent)
	case q := <-h.next:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(q)
	}
}

func (d *Desk) take(w http.ResponseWriter, r *http.Request) {
	who, ok := join.Peer(r.Context())
	if !ok {
		http.Error(w, "who answers?", http.StatusForbidden)
		return
	}
	var reply Reply
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, replyMost)).Decode(&reply); err != nil {
		http.Error(w, "a reply that cannot be read", http.StatusBadRequest)
		return
	}
	reply.Host, reply.Role = who.Name, string(who.Role)
	d.mu.Lock()
	key := who.Name + " " + r.PathValue("id")
	q, ok := d.open[key]
	delete(d.open, key)
	d.mu.Unlock()
	if ok { // else nobody waits any more
		q.back <- reply
	}
	w.WriteHeader(http.StatusNoContent)
}

// Ask asks all hosts that wait, until ctx ends, by name. One that did not answer has
// a Problem.
func (d *Desk) Ask(ctx context.Context, name bolwerk.Domain) (out []Reply) {
	id := bolwerk.NewID(time.Now())
	left := map[string]string{} // role of those who have not answered
	d.mu.Lock()
	back := make(chan Reply, len(d.hosts)) // whoever answers never waits for us
	for host, h := range d.hosts {
		if h.now == 0 && time.Since(h.until) > goneAfter {
			delete(d.hosts, host)
			continue
		}
		q := question{id, name, back}
		select {
		case h.next <- q:
			left[host] = h.role
			d.open[host+" "+id] = q
		default: // it has enough to do
			out = append(out, Reply{Host: host, Role: h.role, Problem: "is busy with other names"})
		}
	}
	d.mu.Unlock()
	for len(left) > 0 && ctx.Err() == nil {
		select {
		case r := <-back:
			delete(left, r.Host)
			out = append(out, r)
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	for host := range left {
		delete(d.open, host+" "+id)
	}
	d.mu.Unlock()
	for host, role := range left {
		out = append(out, Reply{Host: host, Role: role, Problem: "has not answered in time"})
	}
	slices.SortFunc(out, func(a, b Reply) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// Host asks the resolver beside a host what the desk wants to know, until ctx ends.
type Host struct {
	Client *http.Client
	Base   string // the desk's address
	// Look asks the resolver for the addresses of a name.
	Look func(ctx context.Context, name bolwerk.Domain) Reply
	Log  *slog.Logger
}

// Run waits at the desk.
func (h Host) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := h.once(ctx); err != nil && ctx.Err() == nil {
			h.Log.Debug("the desk cannot be asked what it wants to know", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(againIn):
			}
		}
	}
	return nil
}

func (h Host) once(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Base+Path, nil)
	if err != nil {
		return err
	}
	in, err := h.Client.Do(r)
	if err != nil {
		return err
	}
	defer in.Body.Close()
	switch in.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusOK:
	default:
		return fmt.Errorf("inquiry: the desk says %s", in.Status)
	}
	var q question
	if err := json.NewDecoder(io.LimitReader(in.Body, 4096)).Decode(&q); err != nil || q.Name.IsZero() {
		return bolwerk.Invalid("inquiry: %v", err)
	}
	looking, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	body, err := json.Marshal(h.Look(looking, q.Name))
	if err != nil {
		return err
	}
	if r, err = http.NewRequestWithContext(ctx, http.MethodPost, h.Base+Path+"/"+q.ID, bytes.NewReader(body)); err != nil {
		return err
	}
	out, err := h.Client.Do(r)
	if err != nil {
		return err
	}
	return out.Body.Close()
}
