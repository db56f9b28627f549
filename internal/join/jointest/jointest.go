// Package jointest is for tests: a register of hosts in memory, and a whole
// desk with hosts over loopback.
package jointest

import (
	"context"
	"crypto/ed25519"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/join"
	"bolwerk/internal/seal"
)

// Register keeps hosts in memory. The zero Register is empty.
type Register struct {
	mu      sync.Mutex
	invites map[string]*invite
	hosts   map[string]join.Identity
}

type invite struct {
	join.Invitation
	key string
}

// Invite keeps an invitation.
func (r *Register) Invite(_ context.Context, inv join.Invitation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.invites == nil {
		r.invites, r.hosts = map[string]*invite{}, map[string]join.Identity{}
	}
	r.invites[inv.Hash] = &invite{Invitation: inv}
	return nil
}

// Redeem uses an invitation.
func (r *Register) Redeem(_ context.Context, hash, key string, now time.Time) (join.Identity, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.invites[hash]
	switch {
	case i == nil:
		return join.Identity{}, bolwerk.Forbidden("no such invitation")
	case !now.Before(i.Expires):
		return join.Identity{}, bolwerk.Forbidden("invitation of %s: expired", i.Name)
	case i.key != "" && i.key != key:
		return join.Identity{}, bolwerk.Forbidden("invitation of %s: used", i.Name)
	}
	id := join.Identity{Name: i.Name, Role: i.Role, Join: i.ID}
	i.key = key
	r.hosts[i.Name] = id
	return id, nil
}

// Admit says whether a host is in.
func (r *Register) Admit(_ context.Context, id join.Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts[id.Name] != id {
		return bolwerk.Forbidden("host %s: not in", id.Name)
	}
	return nil
}

// Hosts are who is in.
func (r *Register) Hosts() []join.Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.hosts))
}

// Revoke throws a host out.
func (r *Register) Revoke(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hosts, name)
	for h, i := range r.invites {
		if i.Name == name {
			delete(r.invites, h)
		}
	}
}

// Desk is a desk's listener for hosts on loopback.
type Desk struct {
	*join.Authority
	Register *Register
	Mux      *http.ServeMux // add routes before hosts use them
	CopyKey  ed25519.PrivateKey
	SealKey  seal.PrivateKey
	Server   *httptest.Server
	Clock    *clock.Fake
}

// Quiet is a logger into nowhere.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// NewDesk starts a desk; the test ends it.
func NewDesk(t testing.TB) *Desk {
	t.Helper()
	c := clock.NewFake(time.Now())
	ca, err := join.OpenCA(t.TempDir(), "Example Telecom", c.Now())
	if err != nil {
		t.Fatal(err)
	}
	sealKey, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	pub, priv, _ := ed25519.GenerateKey(nil)
	d := &Desk{Register: &Register{}, Mux: http.NewServeMux(), CopyKey: priv, SealKey: sealKey, Clock: c}
	d.Authority = &join.Authority{CA: ca, Register: d.Register, Operator: "Example Telecom",
		CopyKey: pub, SealKey: sealKey.Public(), Clock: c, Log: Quiet()}
	d.Routes(d.Mux)
	d.Server = httptest.NewUnstartedServer(d.Mux)
	d.Server.TLS = d.Authority.TLS()
	d.Server.EnableHTTP2 = true
	d.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	d.Server.StartTLS()
	t.Cleanup(func() { d.Server.CloseClientConnections(); d.Server.Close() })
	d.Address = d.Server.Listener.Addr().String()
	return d
}

// Dial makes plain connections.
var Dial join.Dialer = (&net.Dialer{Timeout: 5 * time.Second}).DialContext

// Join lets a host in and loads it.
func (d *Desk) Join(t testing.TB, name string, role join.Role) *join.Host {
	t.Helper()
	inv, err := d.Invite(t.Context(), name, role)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := join.Join(t.Context(), inv, dir, Dial, d.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	h, err := join.Load(dir, d.Clock, Quiet())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Client is a host's client that the test closes.
func Client(t testing.TB, h *join.Host) *http.Client {
	c := h.Client(Dial)
	t.Cleanup(c.CloseIdleConnections)
	return c
}
