package inquiry

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/join"
	"bolwerk/internal/rpz"
)

// as serves the desk to one host.
func as(t *testing.T, d *Desk, name string, role join.Role) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.ServeHTTP(w, r.WithContext(join.WithPeer(r.Context(), join.Identity{Name: name, Role: role})))
	}))
	t.Cleanup(s.Close)
	return s
}

// settled waits until so many requests of a host wait at the desk.
func (d *Desk) settled(t *testing.T, host string) {
	t.Helper()
	for {
		d.mu.Lock()
		h := d.hosts[host]
		ok := h != nil && h.now > 0
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no host waits")
		case <-time.After(time.Millisecond):
		}
	}
}

// Every host that waits is asked, and who does not answer is named.
func TestAsk(t *testing.T) {
	d := New()
	name := bolwerk.MustDomain("bad.example")
	if out := d.Ask(t.Context(), name); len(out) != 0 {
		t.Errorf("without hosts: %v", out)
	}
	ctx, stop := context.WithCancel(t.Context())
	silent := make(chan struct{})
	ended := make(chan error, 2)
	for host, look := range map[string]func(context.Context, bolwerk.Domain) Reply{
		"edge-1": func(_ context.Context, n bolwerk.Domain) Reply {
			return Reply{Address: "127.0.0.1:53", Answer: &rpz.Answer{Rcode: "NXDOMAIN", Records: []string{n.String()}}, Ours: true}
		},
		"agent-2": func(context.Context, bolwerk.Domain) Reply { <-silent; return Reply{} },
	} {
		s := as(t, d, host, join.Role(host[:len(host)-2]))
		go func() {
			ended <- Host{Client: s.Client(), Base: s.URL, Look: look, Log: slog.New(slog.DiscardHandler)}.Run(ctx)
		}()
		d.settled(t, host)
	}
	asking, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	out := d.Ask(asking, name)
	if len(out) != 2 || out[0].Host != "agent-2" || out[0].Role != "agent" || out[0].Problem == "" || out[1].Host != "edge-1" || !out[1].Ours || out[1].Answer == nil || out[1].Answer.Records[0] != "bad.example" {
		t.Errorf("got %+v", out)
	}
	if len(d.open) != 0 {
		t.Errorf("left open: %v", d.open)
	}
	close(silent) // its answer comes when nobody waits
	d.settled(t, "agent-2")
	d.settled(t, "edge-1")
	if out = d.Ask(t.Context(), name); len(out) != 2 || out[0].Problem != "" || out[1].Problem != "" {
		t.Errorf("then: %+v", out)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
