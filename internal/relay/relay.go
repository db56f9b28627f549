// Package relay has a host hand the copies of edges on to edges, so that one desk
// reaches ten thousand of them. A relay needs no trust for what it hands on: all of
// it is the desk's signature. It learns from the desk, by a copy of its own, which
// edges are in, and tells the desk how far each edge is that takes copies from it:
//
//	POST /v1/relay   {"edges":[{"name","epoch","serial","ago"}]}
//
// A relay serves edges alone: there is one relay between a desk and an edge, never
// two, and no ring. Edges hand in to the desk themselves, each under its own name.
package relay

import (
	"context"
	"encoding/json"
	"sync"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/join"
)

// Copy is the copy that says which edges are in; relays alone follow it.
const Copy = "hosts"

// Path is where relays tell the desk how far their edges are.
const Path = "/v1/relay"

// In is the body of an entry of Copy; its id is the host's name.
type In struct {
	Role join.Role `json:"role"`
	Join string    `json:"join"`
}

// Hosts are the hosts that are in, from the copy: a copy.Sink.
type Hosts struct {
	mu sync.RWMutex
	in map[string]In
}

// Reset replaces all of them.
func (h *Hosts) Reset(_ copy.Head, seq func(yield func(copy.Entry) bool)) error {
	in := map[string]In{}
	for e := range seq {
		if one, ok := read(e); ok {
			in[e.ID] = one
		}
	}
	h.mu.Lock()
	h.in = in
	h.mu.Unlock()
	return nil
}

// Apply takes up who came and who was put out.
func (h *Hosts) Apply(_ copy.Head, changes []copy.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in == nil {
		h.in = map[string]In{}
	}
	for _, e := range changes {
		if one, ok := read(e); ok {
			h.in[e.ID] = one
		} else {
			delete(h.in, e.ID)
		}
	}
	return nil
}

// read is who an entry lets in; one that cannot be read lets nobody in.
func read(e copy.Entry) (in In, ok bool) {
	return in, !e.Removed && json.Unmarshal(e.Body, &in) == nil
}

// Admit is nil where a host is in, else a bolwerk.ErrForbidden.
func (h *Hosts) Admit(_ context.Context, id join.Identity) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if one, ok := h.in[id.Name]; !ok || one != (In{id.Role, id.Join}) {
		return bolwerk.Forbidden("host %s is not in, as far as this relay knows", id.Name)
	}
	return nil
}
