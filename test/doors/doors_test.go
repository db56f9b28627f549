// Package doors tries every door of the desk's listener for hosts with
// everybody's key: what is not in the table of permissions is shut.
package doors

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
)

// door is a route and who may pass it.
type door struct {
	method, path string
	open         []string
}

func doors() []door {
	id := bolwerk.NewID(time.Now())
	hosts := []string{"intake", "probe", "edge", "agent"}
	return []door{
		{"POST", "/v1/renew", hosts},
		{"GET", "/v1/handin", hosts},
		{"POST", "/v1/handin/mail/" + id, []string{"intake"}},
		{"POST", "/v1/handin/page/" + id, []string{"probe"}},
		{"POST", "/v1/handin/hits/" + id, []string{"edge", "agent"}},
		{"POST", "/v1/handin/force/" + id, []string{"agent"}},
		{"POST", "/v1/handin/unknown/" + id, nil},
		{"GET", "/v1/copy/blocks?wait=0", []string{"edge", "agent"}},
		{"GET", "/v1/copy/public?wait=0", []string{"intake"}},
		{"GET", "/v1/copy/probe?wait=0", []string{"probe"}},
		{"GET", "/v1/copy/unknown?wait=0", nil},
		{"PUT", "/v1/copy/blocks/held?epoch=0", []string{"edge", "agent"}},
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
	copies := copy.NewHandler(two{copytest.NewOrigin("blocks")}, signer, map[string][]join.Role{"blocks": {join.Edge, join.Agent}, "public": {join.Intake}, "probe": {join.Probe}}, d.Clock, jointest.Quiet())
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

	keys := map[string]*http.Client{
		"nobody": {Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
	}
	for _, role := range join.Roles() {
		keys[string(role)] = jointest.Client(t, d.Join(t, string(role)+"-1", role))
		keys["revoked "+string(role)] = jointest.Client(t, d.Join(t, string(role)+"-2", role))
		d.Register.Revoke(string(role) + "-2")
		keys["replaced "+string(role)] = jointest.Client(t, d.Join(t, string(role)+"-3", role))
		d.Join(t, string(role)+"-3", role)
		stranger := foreign.Join(t, string(role)+"-1", role).TLS()
		stranger.InsecureSkipVerify = true // it would talk to us, we do not talk to it
		keys["foreign "+string(role)] = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: stranger}}
	}
	desk, err := d.Authority.TLS().GetCertificate(nil) // our own authority, but not a host's
	if err != nil {
		t.Fatal(err)
	}
	keys["the desk's own"] = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*desk}}}}

	tried := 0
	for who, client := range keys {
		defer client.CloseIdleConnections()
		for _, door := range doors() {
			tried++
			req, _ := http.NewRequest(door.method, "https://"+d.Address+door.path, strings.NewReader("{}"))
			code := 0 // the handshake failed
			if res, err := client.Do(req); err == nil {
				code = res.StatusCode
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			may := false
			for _, o := range door.open {
				may = may || o == who
			}
			shut := code == 0 || code == http.StatusUnauthorized || code == http.StatusForbidden
			if may == shut {
				t.Errorf("%s %s with the key of %s: %d, may pass: %v", door.method, door.path, who, code, may)
			}
		}
	}
	if len(given) != 5 || given["intake-1 mail"] != 1 || given["probe-1 page"] != 1 || given["edge-1 hits"] != 1 || given["agent-1 hits"] != 1 || given["agent-1 force"] != 1 || told != 4 {
		t.Errorf("handed in %v, told %d", given, told)
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
