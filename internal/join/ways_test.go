package join_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
)

// beside is another desk with the same keys.
func beside(t *testing.T, d *jointest.Desk, mux http.Handler) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(mux)
	s.TLS = d.Authority.TLS()
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

func askDesk(c *http.Client, h *join.Host) string {
	res, err := c.Get(h.Base() + "/x")
	if err != nil {
		return "error"
	}
	defer res.Body.Close()
	return fmt.Sprint(res.StatusCode, " ", res.Header.Get("Desk"))
}

func TestAHostGoesToADeskThatAnswers(t *testing.T) {
	d := jointest.NewDesk(t)
	var cut [2]atomic.Bool
	desk := func(n int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Desk", fmt.Sprint(n))
			if cut[n].Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
	}
	d.Mux.Handle("GET /x", desk(0))
	other := http.NewServeMux()
	other.Handle("GET /x", desk(1))
	second := beside(t, d, other)
	d.Authority.Address = "127.0.0.1:1," + d.Authority.Address + ", " + second // nothing listens at the first
	h := d.Join(t, "edge-1", join.Edge)
	c := h.Client(jointest.Dial)
	if got := askDesk(c, h); got != "200 0" {
		t.Errorf("the first desk is away: %s, want the next one", got)
	}
	cut[0].Store(true)
	askDesk(c, h) // hears that it is cut off
	if got := askDesk(c, h); got != "200 1" {
		t.Errorf("a desk that says it is cut off: %s, want the other one", got)
	}
	if got := askDesk(c, h); got != "200 1" {
		t.Errorf("the question after: %s, want the desk that answered", got)
	}
	cut[0].Store(false)
	cut[1].Store(true)
	askDesk(c, h)
	if got := askDesk(c, h); got != "200 0" {
		t.Errorf("and back: %s", got)
	}
}

// A host that joined when there was one desk learns of the second from the first, and
// still knows it after a start. An address that somebody wrote at the host stays.
func TestAHostLearnsOfAnotherDesk(t *testing.T) {
	d := jointest.NewDesk(t)
	mux := http.NewServeMux()
	mux.Handle("GET /x", d.Authority.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Desk", "1") }), join.Edge))
	d.Mux.Handle("GET /x", d.Authority.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Desk", "0") }), join.Edge))
	second := beside(t, d, mux)
	one := d.Authority.Address
	dir := t.TempDir()
	inv, err := d.Authority.Invite(t.Context(), "edge-1", join.Edge)
	if err != nil {
		t.Fatal(err)
	}
	if err := join.Join(t.Context(), inv, dir, jointest.Dial, d.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "host.json")
	load := func() (*join.Host, *http.Client) {
		t.Helper()
		h, err := join.Load(dir, d.Clock, jointest.Quiet())
		if err != nil {
			t.Fatal(err)
		}
		return h, h.Client(jointest.Dial)
	}
	for named, want := range map[string]string{one: one, second: one, second + "," + "127.0.0.1:1": one, one + ",nonsense": one} {
		d.Authority.Address = named
		h, c := load()
		askDesk(c, h)
		if b, _ := os.ReadFile(file); !strings.Contains(string(b), `"address": "`+want+`"`) {
			t.Fatalf("the desk names %s: kept is %s, want %s", named, b, want)
		}
	}
	d.Authority.Address = second + ", " + one
	h, c := load()
	if got := askDesk(c, h); got != "200 0" {
		t.Fatal(got)
	}
	if got := askDesk(c, h); got != "200 0" {
		t.Errorf("having learnt of another: %s, want the same desk", got)
	}
	d.Server.CloseClientConnections()
	d.Server.Listener.Close()
	askDesk(c, h) // notices
	if got := askDesk(c, h); got != "200 1" {
		t.Errorf("the first is away: %s, want the other", got)
	}
	h, c = load()
	if got := askDesk(c, h); got != "200 1" {
		t.Errorf("after a start: %s, want the other", got)
	}
}

func TestAddressesOfDesks(t *testing.T) {
	for s, good := range map[string]bool{"a.example:1": true, "a.example:1,b.example:2": true, "a.example:1, [::1]:2": true,
		"": false, "a.example": false, "a.example:1,": false, "a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8": true, "a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9": false} {
		if err := join.CheckAddress(s); (err == nil) != good {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A host whose clock is an hour off, and a little, still reaches the desk: it is
// there that somebody sees it.
func TestAHostWhoseClockIsAnHourOffReachesTheDesk(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour - 5*time.Minute, time.Hour + 5*time.Minute} {
		d := jointest.NewDesk(t)
		d.Mux.Handle("GET /x", d.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), join.Edge))
		inv, err := d.Invite(t.Context(), "edge-1", join.Edge)
		if err != nil {
			t.Fatal(err)
		}
		dir, wrong := t.TempDir(), clock.NewFake(d.Clock.Now().Add(off))
		if err := join.Join(t.Context(), inv, dir, jointest.Dial, wrong.Now()); err != nil {
			t.Errorf("%s: join: %v", off, err)
			continue
		}
		h, err := join.Load(dir, wrong, jointest.Quiet())
		if err != nil {
			t.Fatal(err)
		}
		if got := askDesk(h.Client(jointest.Dial), h); got != "200 " {
			t.Errorf("%s: a question: %s", off, got)
		}
	}
}
