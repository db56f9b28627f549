package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/copy"
)

type fakeDNS struct {
	answers  error
	upstream bool
}

func (f fakeDNS) Answers(context.Context, netip.AddrPort) error { return f.answers }
func (f fakeDNS) UpstreamUp() bool                              { return f.upstream }

// What all edges may miss at once makes none of them go.
func TestReadiness(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		dns            fakeDNS
		made           time.Time
		state          State
		why            int
		ready, serving int
	}{
		"all well":       {fakeDNS{nil, true}, now.Add(-time.Minute), Ready, 0, 200, 200},
		"a list of 59 m": {fakeDNS{nil, true}, now.Add(-59 * time.Minute), Ready, 0, 200, 200},
		"a list of 61 m": {fakeDNS{nil, true}, now.Add(-61 * time.Minute), Second, 1, 503, 200},
		"no list":        {fakeDNS{nil, true}, time.Time{}, Second, 1, 503, 200},
		"no resolver":    {fakeDNS{nil, false}, now, Second, 1, 503, 200},
		"neither":        {fakeDNS{nil, false}, time.Time{}, Second, 2, 503, 200},
		"no answer":      {fakeDNS{errors.New("silence"), true}, now, Down, 1, 503, 503},
		"nothing of it":  {fakeDNS{errors.New("silence"), false}, time.Time{}, Down, 1, 503, 503},
	} {
		r := readiness{dns: c.dns, head: func() copy.Head { return copy.Head{MadeAt: c.made} }, now: func() time.Time { return now }}
		if got := r.look(t.Context()); got.State != c.state || len(got.Why) != c.why {
			t.Errorf("%s: got %+v", what, got)
		}
		g, mux := &readyGate{}, http.NewServeMux()
		g.handle(mux)
		get := func(path string) (int, string) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			return w.Code, w.Body.String()
		}
		if code, _ := get("/serving"); code != 503 {
			t.Errorf("before an edge is there: got %d", code)
		}
		g.open(r)
		if code, body := get("/ready"); code != c.ready || !strings.Contains(body, `"`+string(c.state)+`"`) {
			t.Errorf("%s: /ready: got %d %s", what, code, body)
		}
		if code, _ := get("/serving"); code != c.serving {
			t.Errorf("%s: /serving: got %d", what, code)
		}
	}
}
