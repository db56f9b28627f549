package rest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	. "bolwerk/abuse/enforce/rest"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
)

const token = "a token of the policy manager"

func port(t *testing.T, h http.Handler) *Port {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Name: "pcrf", URL: s.URL, TokenFile: file, Canary: "canary", Pace: 1000, Timeout: bolwerk.Duration(time.Second)}, clock.New())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func order(p enforce.Profile, version int64) enforce.Order {
	return enforce.Order{ID: "q1", Version: version, Profile: p, Until: time.Now().Add(time.Hour),
		Session: session.Held{Identity: session.Identity{Subscriber: "anna"}, NAS: "pgw1", Session: "s1", Source: session.Radius, Prefix: netip.MustParsePrefix("198.51.100.7/32")}}
}

func TestWhatAManagerAnswersIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		state  enforce.State
		seen   bool
		fails  bool
	}{
		{"applied", 200, `{"state":"applied","seen":true}`, enforce.Applied, true, false},
		{"offline", 200, `{"state":"offline","seen":true}`, enforce.Offline, false, false},
		{"refused", 200, `{"state":"refused","code":"no such profile"}`, enforce.Refused, false, false},
		{"busy", 200, `{"state":"busy","again":3}`, enforce.Busy, false, false},
		{"too many", 429, ``, enforce.Busy, false, false},
		{"away for a while", 503, `down`, enforce.Busy, false, false},
		{"broken", 500, `{"state":"applied"}`, enforce.Silent, false, false},
		{"an older version", 409, `{"code":"later"}`, enforce.Refused, false, false},
		{"not there", 404, `not found`, enforce.Refused, false, false},
		{"leads elsewhere", 302, ``, enforce.Refused, false, false},
		{"says nothing", 200, ``, enforce.Refused, false, false},
		{"says something else", 200, `{"state":"silent"}`, enforce.Refused, false, false},
		{"does not know us", 401, ``, "", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := port(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var got Wish
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.Session.Subscriber != "anna" || got.Session.ID != "s1" || got.Until.IsZero() || r.Header.Get("Idempotency-Key") != "q1.2" || r.Method != "PUT" {
					t.Errorf("%s %v: %+v", r.Method, err, got)
				}
				if c.status == 302 {
					w.Header().Set("Location", "http://192.0.2.1/")
				}
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			}))
			r, err := p.Put(t.Context(), order(enforce.Leaky, 2))
			if r.State != c.state || r.Seen != c.seen || (err != nil) != c.fails {
				t.Errorf("%+v, %v", r, err)
			}
			if (r.State == enforce.Busy || r.State == enforce.Silent) && r.Again <= 0 {
				t.Errorf("%+v does not say when to try again", r)
			}
		})
	}
}

func TestAManagerThatIsGoneIsSilent(t *testing.T) {
	p := port(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if r, err := p.Put(t.Context(), order(enforce.Normal, 1)); err != nil || r.State != enforce.Silent {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConformance(t *testing.T) {
	s := Session{AccessServer: "pgw1", ID: "s1", Source: "radius", Subscriber: "anna", Prefixes: []netip.Prefix{}}
	for broken, promise := range map[string]string{"": "", "until": "until ends", "versions": "an earlier version", "offline": "a session that is over"} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			m := standin.NewManager(token, map[string]string{"s1": "anna"})
			m.Break(broken)
			var bad []string
			err := Conform(t.Context(), port(t, m), s, func(c Check) {
				if c.Err != nil {
					bad = append(bad, c.Promise+": "+c.Err.Error())
				}
			})
			if (err != nil) != (broken != "") || promise == "" && len(bad) > 0 || promise != "" && (len(bad) != 1 || !strings.HasPrefix(bad[0], promise)) {
				t.Errorf("%v: %q", err, bad)
			}
		})
	}
}

func TestAnOrderIsOneStepOfThePath(t *testing.T) {
	got := Path(Wish{Order: "019ac5b2/00ff", Session: Session{AccessServer: "pgw1", ID: "s1"}})
	if want := "/v1/orders/019ac5b2.00ff/241c28d674cd077a"; got != want {
		t.Errorf("%s want %s", got, want)
	}
}

func FuzzSaid(f *testing.F) {
	f.Add(200, []byte(`{"state":"applied","code":"x","seen":true,"again":9}`))
	f.Add(409, []byte(`{"code":"\u0000\u001b[31m"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r, err := Said(status, body)
		if err == nil && (len(r.Code) > 1000 || strings.ContainsAny(r.Code, "\x00\x1b\n")) {
			t.Errorf("code %q", r.Code)
		}
		if r.State == enforce.Applied && status != 200 {
			t.Errorf("%d is taken for done", status)
		}
	})
}

func TestConfig(t *testing.T) {
	good := Config{Name: "pcrf", URL: "https://pcrf.isp.example/bolwerk", TokenFile: "token", Canary: "canary"}
	for _, c := range []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"as it is", func(*Config) {}, true},
		{"in the clear", func(c *Config) { c.URL = "http://pcrf.isp.example" }, false},
		{"in the clear on this machine", func(c *Config) { c.URL = "http://127.0.0.1:9000" }, true},
		{"nobody knows us", func(c *Config) { c.TokenFile = "" }, false},
		{"a certificate without a key", func(c *Config) { c.CertFile = "cert" }, false},
		{"no canary", func(c *Config) { c.Canary = "" }, false},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Settled().Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
