package join_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bolwerk"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
)

func TestALineLetsOneHostIn(t *testing.T) {
	d := jointest.NewDesk(t)
	inv, err := d.Invite(t.Context(), "edge-1", join.Edge)
	if err != nil {
		t.Fatal(err)
	}
	line := inv.Line()
	if len(line) > 500 {
		t.Errorf("the line has %d characters: too long to paste", len(line))
	}
	read, err := join.ParseInvite(" " + line[:100] + "\n  " + line[100:] + "\n") // as a terminal wraps it
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := join.Join(t.Context(), read, dir, jointest.Dial, d.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	h, err := join.Load(dir, d.Clock, jointest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	if h.Name() != "edge-1" || h.Role() != join.Edge || h.Operator() != "Example Telecom" ||
		!h.CopyKey().Equal(d.Authority.CopyKey) || h.SealKey().ID() != d.SealKey.Public().ID() {
		t.Errorf("joined as %s %s of %s", h.Name(), h.Role(), h.Operator())
	}
	filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if st, _ := os.Stat(p); !e.IsDir() && st.Mode() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), st.Mode())
		}
		return err
	})
	if err := join.Join(t.Context(), read, dir, jointest.Dial, d.Clock.Now()); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("the same folder again: %v", err)
	}
	if err := join.Join(t.Context(), read, t.TempDir(), jointest.Dial, d.Clock.Now()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the same line at another machine: %v", err)
	}
}

func TestJoinMayBeRepeatedWhenTheAnswerWasLost(t *testing.T) {
	d := jointest.NewDesk(t)
	inv, _ := d.Invite(t.Context(), "edge-1", join.Edge)
	dir := t.TempDir()
	if err := join.Join(t.Context(), inv, dir, jointest.Dial, d.Clock.Now().Add(1000*time.Hour*24)); err == nil {
		t.Fatal("a host whose clock is years ahead joined")
	}
	tries := 0
	for most := 500; ; most += 150 { // the connection is cut ever later
		dial := func(ctx context.Context, n, a string) (net.Conn, error) {
			conn, err := jointest.Dial(ctx, n, a)
			return &cutConn{Conn: conn, most: most}, err
		}
		tries++
		if err := join.Join(t.Context(), inv, dir, dial, d.Clock.Now()); err == nil {
			break
		}
	}
	if tries < 10 {
		t.Errorf("joined after %d cut connections: too few to mean something", tries)
	}
}

// cutConn ends after most octets have come back.
type cutConn struct {
	net.Conn
	read, most int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.read > c.most {
		return 0, errors.New("cut")
	}
	n, err := c.Conn.Read(p[:min(len(p), 100)])
	c.read += n
	return n, err
}

func TestAWrongLineIsRefused(t *testing.T) {
	d, other := jointest.NewDesk(t), jointest.NewDesk(t)
	good, _ := d.Invite(t.Context(), "edge-1", join.Edge)
	for name, change := range map[string]func(*join.Invite){
		"another desk":    func(i *join.Invite) { i.Address = other.Address },
		"another pin":     func(i *join.Invite) { i.CA = other.CA.Pin() },
		"a guessed word":  func(i *join.Invite) { i.Secret = bolwerk.NewToken() },
		"another sealing": func(i *join.Invite) { i.SealKey = strings.Repeat("0", 64) },
	} {
		t.Run(name, func(t *testing.T) {
			inv := good
			change(&inv)
			dir := t.TempDir()
			if err := join.Join(t.Context(), inv, dir, jointest.Dial, d.Clock.Now()); !errors.Is(err, bolwerk.ErrForbidden) {
				t.Errorf("got %v, want ErrForbidden", err)
			}
			if _, err := join.Load(dir, d.Clock, jointest.Quiet()); !errors.Is(err, bolwerk.ErrNotFound) {
				t.Errorf("half a host was left: %v", err)
			}
		})
	}
	late, _ := d.Invite(t.Context(), "edge-2", join.Edge)
	d.Clock.Add(join.InviteFor)
	if err := join.Join(t.Context(), late, t.TempDir(), jointest.Dial, d.Clock.Now()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("after a day: %v", err)
	}
	if _, err := d.Invite(t.Context(), "Edge 1", join.Edge); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	if _, err := d.Invite(t.Context(), "edge-1", "desk"); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a role that hosts do not have: %v", err)
	}
}

func get(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func TestAHostThatJoinsAgainShutsItsOldKeyOut(t *testing.T) {
	d := jointest.NewDesk(t)
	d.Mux.Handle("GET /x", d.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), join.Edge))
	old := jointest.Client(t, d.Join(t, "edge-1", join.Edge))
	if got := get(t, old, d.Server.URL+"/x"); got != 200 {
		t.Fatalf("before: %d", got)
	}
	h := d.Join(t, "edge-1", join.Edge)
	if got := get(t, jointest.Client(t, h), h.Base()+"/x"); got != 200 {
		t.Errorf("new key: %d", got)
	}
	forget(d)
	if got := get(t, old, h.Base()+"/x"); got != 403 {
		t.Errorf("old key: %d, want 403", got)
	}
}

// forget makes the desk ask its register again now instead of in 5 s.
func forget(d *jointest.Desk) {
	a := d.Authority
	a.Forget()
}

func TestCertificatesRenewThemselvesAndEnd(t *testing.T) {
	d := jointest.NewDesk(t)
	d.Mux.Handle("GET /x", d.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), join.Edge))
	h := d.Join(t, "edge-1", join.Edge)
	c := jointest.Client(t, h)
	first := h.Expires()
	d.Clock.Add(70 * 24 * time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx, c) }()
	for h.Expires().Equal(first) && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := get(t, c, h.Base()+"/x"); got != 200 {
		t.Errorf("after renewal: %d", got)
	}
	d.Clock.Add(91 * 24 * time.Hour)
	if got := get(t, c, h.Base()+"/x"); got == 200 {
		t.Error("an open connection outlives its certificate")
	}
	c.CloseIdleConnections()
	if got := get(t, c, h.Base()+"/x"); got == 200 {
		t.Error("an expired certificate is let in")
	}
}

func TestARevokedHostLosesTheRequestItIsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := &jointest.Register{}
		a := &join.Authority{Register: reg, Log: jointest.Quiet()}
		reg.Invite(t.Context(), join.Invitation{ID: "1", Hash: "h", Name: "edge-1", Role: join.Edge, Expires: time.Now().Add(time.Hour)})
		id, _ := reg.Redeem(t.Context(), "h", "k", time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		done := a.Watch(ctx, cancel, id)
		time.Sleep(10 * time.Minute)
		if ctx.Err() != nil {
			t.Fatal("ended without cause")
		}
		reg.Revoke("edge-1")
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took > 60*time.Second {
			t.Errorf("ended after %v, want at most 60 s", took)
		}
		<-done
	})
}

func TestOnlyTLS13WithAHybridKeyExchange(t *testing.T) {
	d := jointest.NewDesk(t)
	h := d.Join(t, "edge-1", join.Edge)
	conn, err := tls.Dial("tcp", d.Address, h.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if st := conn.ConnectionState(); st.Version != tls.VersionTLS13 || st.CurveID != tls.X25519MLKEM768 || st.NegotiatedProtocol != "h2" {
		t.Errorf("TLS %x, %v, %q", st.Version, st.CurveID, st.NegotiatedProtocol)
	}
	old := h.TLS()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", d.Address, old); err == nil {
		c.Close()
		t.Error("TLS 1.2 was let in")
	}
}

func FuzzParseInvite(f *testing.F) {
	f.Add("bolwerk1:")
	f.Add("bolwerk1:eyJhIjoiMTI3LjAuMC4xOjgwOTAifQ")
	f.Add(join.Invite{Address: "192.0.2.1:8090", Secret: bolwerk.NewToken(), CopyKey: make([]byte, 32), SealKey: fmt.Sprintf("%064d", 0)}.Line())
	f.Fuzz(func(t *testing.T, s string) {
		inv, err := join.ParseInvite(s)
		if err != nil {
			if !errors.Is(err, bolwerk.ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		again, err := join.ParseInvite(inv.Line())
		if err != nil || again.Address != inv.Address || again.CA != inv.CA || again.Secret != inv.Secret {
			t.Errorf("written and read again: %v", err)
		}
	})
}
