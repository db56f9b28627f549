// Package doors tries every door of the desk's listener for hosts with
// everybody's key: what is not in the table of permissions is shut.
package doors

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
	"bolwerk/internal/relay"
)

// door is a route and who may pass it.
type door struct {
	method, path string
	open         []string
}

func doors() []door {
	id := bolwerk.NewID(time.Now())
	hosts := []string{"intake", "probe", "edge", "agent", "relay"}
	return []door{
		{"POST", "/v1/renew", hosts},
		{"GET", "/v1/handin", hosts},
		{"POST", "/v1/handin/mail/" + id, []string{"intake"}},
		{"POST", "/v1/handin/page/" + id, []string{"probe"}},
		{"POST", "/v1/handin/hits/" + id, []string{"edge", "agent"}},
		{"POST", "/v1/handin/force/" + id, []string{"agent"}},
		{"POST", "/v1/handin/unknown/" + id, nil},
		{"GET", "/v1/copy/blocks?wait=0", []string{"edge", "agent", "relay"}},
		{"GET", "/v1/copy/public?wait=0", []string{"intake"}},
		{"GET", "/v1/copy/probe?wait=0", []string{"probe"}},
		{"GET", "/v1/copy/hosts?wait=0", []string{"relay"}},
		{"GET", "/v1/copy/unknown?wait=0", nil},
		{"POST", "/v1/relay", []string{"relay"}},
		{"PUT", "/v1/copy/blocks/held?epoch=0", []string{"edge", "agent", "relay"}},
		{"PUT", "/v1/copy/hosts/held?epoch=0", []string{"relay"}},
		{"PUT", "/v1/copy/public/held?epoch=0", []string{"intake"}},
		{"PUT", "/v1/copy/probe/held?epoch=0", []string{"probe"}},
	}
}

// two serves both copies.
type two struct{ *copytest.Origin }

func (o two) Head(ctx context.Context, name string) (copy.Head, error) {
	h, err := o.Origin.Head(ctx, "blocks")
	h.Copy = name
	return h, err
}

func TestForbiddenDoors(t *testing.T) {
	d, foreign := jointest.NewDesk(t), jointest.NewDesk(t)
	signer, err := copy.OpenSigner(filepath.Join(t.TempDir(), "copy.key"), "Example Telecom")
	if err != nil {
		t.Fatal(err)
	}
	copies := copy.NewHandler(two{copytest.NewOrigin("blocks")}, signer, map[string][]join.Role{"blocks": {join.Edge, join.Agent, join.Relay}, relay.Copy: {join.Relay}, "public": {join.Intake}, "probe": {join.Probe}}, d.Clock, jointest.Quiet())
	told := 0
	copies.Want = func() func(copy.Poll) bool {
		return func(p copy.Poll) bool { return !p.Nothing && p.Mark.Epoch == 0 }
	}
	copies.Held = func(context.Context, copy.Poll, io.Reader) error { told++; return nil }
	given := map[string]int{}
	receiver := handin.NewReceiver(map[string]handin.Kind{
		"mail": {Roles: []join.Role{join.Intake}}, "page": {Roles: []join.Role{join.Probe}}, "hits": {Roles: []join.Role{join.Edge, join.Agent}},
		"force": {Roles: []join.Role{join.Agent}},
	}, nil, func(_ context.Context, i handin.Item) error { given[i.Host+" "+i.Kind]++; return nil }, nil, jointest.Quiet())
	for path, h := range map[string]http.Handler{"/v1/copy/": copies, "/v1/handin": receiver, "/v1/handin/": receiver} {
		d.Mux.Handle(path, d.Require(h, join.Roles()...))
	}
	reports := 0
	d.Mux.Handle(relay.Path, d.Require(&relay.Desk{Known: func(context.Context) (map[string]bool, error) { return nil, nil }, Log: jointest.Quiet(),
		Told: func(context.Context, string, []relay.Edge) { reports++ }}, join.Relay))
	keys := keyring(t, d, foreign)
	tried := try(t, d.Address, doors(), keys)
	if len(given) != 5 || given["intake-1 mail"] != 1 || given["probe-1 page"] != 1 || given["edge-1 hits"] != 1 || given["agent-1 hits"] != 1 || given["agent-1 force"] != 1 || told != 6 || reports != 1 {
		t.Errorf("handed in %v, told %d, reports %d", given, told, reports)
	}
	t.Logf("%d doors x %d keys = %d tries", len(doors()), len(keys), tried)

	// A method that a route does not know is none of a host's either.
	for _, door := range doors() {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if method == door.method {
				continue
			}
			req, _ := http.NewRequest(method, "https://"+d.Address+door.path, nil)
			res, err := keys["edge"].Do(req)
			if err != nil {
				continue
			}
			res.Body.Close()
			if res.StatusCode < 400 {
				t.Errorf("%s %s: %d", method, door.path, res.StatusCode)
			}
		}
	}
}

// keyring has one key of every kind.
func keyring(t *testing.T, d, foreign *jointest.Desk) map[string]*http.Client {
	t.Helper()
	keys := map[string]*http.Client{}
	with := func(who string, c *tls.Config) {
		c.InsecureSkipVerify = true // whom it talks to is not what is tried
		keys[who] = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: c}}
	}
	with("nobody", &tls.Config{})
	for _, role := range join.Roles() {
		with(string(role), d.Join(t, string(role)+"-1", role).TLS())
		with("revoked "+string(role), d.Join(t, string(role)+"-2", role).TLS())
		d.Register.Revoke(string(role) + "-2")
		with("replaced "+string(role), d.Join(t, string(role)+"-3", role).TLS())
		d.Join(t, string(role)+"-3", role)
		with("foreign "+string(role), foreign.Join(t, string(role)+"-1", role).TLS())
	}
	desk, err := d.Authority.TLS().GetCertificate(nil) // our own authority, but not a host's
	if err != nil {
		t.Fatal(err)
	}
	with("the desk's own", &tls.Config{Certificates: []tls.Certificate{*desk}})
	for _, client := range keys {
		t.Cleanup(client.CloseIdleConnections)
	}
	return keys
}

// try tries every door with every key.
func try(t *testing.T, address string, doors []door, keys map[string]*http.Client) (tried int) {
	t.Helper()
	for who, client := range keys {
		for _, door := range doors {
			tried++
			req, _ := http.NewRequest(door.method, "https://"+address+door.path, strings.NewReader("{}"))
			code := 0 // the handshake failed
			if res, err := client.Do(req); err == nil {
				code = res.StatusCode
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			may := slices.Contains(door.open, who)
			shut := code == 0 || code == http.StatusUnauthorized || code == http.StatusForbidden
			if may == shut {
				t.Errorf("%s %s with the key of %s: %d, may pass: %v", door.method, door.path, who, code, may)
			}
		}
	}
	return tried
}

// A relay lets edges in that it knows of, to the copies of edges, and nobody else: no
// relay either, so that there is never a ring.
func TestForbiddenDoorsOfARelay(t *testing.T) {
	d, foreign := jointest.NewDesk(t), jointest.NewDesk(t)
	signer, err := copy.OpenSigner(filepath.Join(t.TempDir(), "copy.key"), "Example Telecom")
	if err != nil {
		t.Fatal(err)
	}
	d.Authority.CopyKey = signer.Public()
	origin := copytest.NewOrigin("blocks")
	origin.Publish(copy.Entry{ID: "a", Version: 1, Body: []byte(`{}`)})
	d.Mux.Handle("/v1/copy/", d.Require(copy.NewHandler(origin, signer, map[string][]join.Role{"blocks": {join.Relay}}, d.Clock, jointest.Quiet()), join.Relay))
	host := d.Join(t, "relay-0", join.Relay)
	sink := copytest.NewSink()
	f := copy.New(copy.Config{Operator: "Example Telecom", Copy: "blocks", Key: host.CopyKey(), Disk: disk.System{}, Dir: t.TempDir(), Base: host.Base(),
		Client: jointest.Client(t, host), Clock: d.Clock, Log: jointest.Quiet(), HandsOn: true}, sink)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	head, _ := origin.Head(t.Context(), "blocks")
	if err := sink.Await(t.Context(), head.Mark()); err != nil {
		t.Fatal(err)
	}

	keys := keyring(t, d, foreign)
	known := &relay.Hosts{}
	var entries []copy.Entry
	for _, h := range d.Register.Hosts() {
		if h.Role == join.Edge {
			entries = append(entries, copy.Entry{ID: h.Name, Version: 1, Body: fmt.Appendf(nil, `{"role":%q,"join":%q}`, h.Role, h.Join)})
		}
	}
	if err := known.Apply(copy.Head{}, entries); err != nil {
		t.Fatal(err)
	}
	gate := &join.Gate{Admit: known.Admit, Clock: d.Clock, Log: jointest.Quiet()}
	mux := http.NewServeMux()
	mux.Handle("/v1/copy/", gate.Require(copy.NewRelay(map[string]*copy.Follower{"blocks": f}, []join.Role{join.Edge}, d.Clock, jointest.Quiet()), join.Edge))
	s := httptest.NewUnstartedServer(mux)
	s.TLS, s.EnableHTTP2, s.Config.ErrorLog = host.ServeTLS(), true, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	try(t, s.Listener.Addr().String(), []door{
		{"GET", "/v1/copy/blocks?wait=0", []string{"edge"}},
		{"PUT", "/v1/copy/blocks/held?epoch=0", []string{"edge"}}, // refused as not asked for
		{"GET", "/v1/copy/hosts?wait=0", nil},
		{"GET", "/v1/copy/unknown?wait=0", nil},
	}, keys)
	if res, err := keys["edge"].Post("https://"+s.Listener.Addr().String()+"/v1/handin/hits/"+bolwerk.NewID(time.Now()), "", strings.NewReader("{}")); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("something is handed in to a relay: %v, %v", res, err)
	}
}
