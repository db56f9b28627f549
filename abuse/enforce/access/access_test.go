package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	. "bolwerk/abuse/enforce/access"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/rest"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

const secret = "a secret of bng1"

type house struct {
	cfg    Config
	parts  Parts
	server *standin.Server
	look   *httptest.Server
	who    *who.Who
	clock  *clock.Fake
	wanted map[string]enforce.Profile
	until  time.Time
	err    error
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{clock: clock.NewFake(time.Now()), wanted: map[string]enforce.Profile{}}
	db := storetest.Open(t, h.clock, audit.Schema(), who.Schema(), Schema())
	keys, err := vault.Open(t.TempDir(), h.clock)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h.who = who.New(who.DefaultConfig(), db, keys, h.clock, log, nil)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.server = standin.New(secret, nil)
	h.server.Add(standin.Session{ID: "c1", User: "canary", Filter: "normal"})
	h.server.Add(standin.Session{ID: "a1", User: "anna", Filter: "normal"})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.server.Run(ctx, conn) }()
	t.Cleanup(func() { stop(); <-ended })
	h.look = httptest.NewServer(h.server.Look(func(f string) string { return strings.TrimPrefix(f, "bolwerk-") }))
	t.Cleanup(h.look.Close)
	nas := coa.Config{Name: "bng1", Address: conn.LocalAddr().String(), SecretFile: file(t, secret), Normal: "normal", Leaky: "bolwerk-leaky", Strict: "bolwerk-strict",
		Canary: "canary", CanaryLook: h.look.URL + "/c1", Pace: 1000, Timeout: bolwerk.Duration(100 * time.Millisecond), Tries: 2}
	h.cfg = Config{Listen: "127.0.0.1:0", TokenFile: file(t, "a token of aaa1, long"), NAS: []coa.Config{nas}}
	h.parts = Parts{DB: db, Who: h.who, Clock: h.clock, Log: log, Wanted: func(_ context.Context, subscriber string) (enforce.Profile, time.Time, error) {
		return h.wanted[subscriber], h.until, h.err
	}}
	h.until = h.clock.Now().Add(time.Hour)
	if err := h.who.Take(t.Context(), []session.Record{start("canary", "c1", h.clock.Now()), start("anna", "a1", h.clock.Now())}); err != nil {
		t.Fatal(err)
	}
	return h
}

func start(user, id string, at time.Time) session.Record {
	return session.Record{Kind: session.Start, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: user}, At: at.Truncate(time.Second),
		Prefixes: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, id[0]}), 32)}}
}

func (h *house) open(t *testing.T) *Access {
	t.Helper()
	a, err := New(h.cfg, h.parts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) order(p enforce.Profile) enforce.Order {
	return enforce.Order{ID: "q1", Version: 1, Profile: p, Until: h.until, Session: session.Held{Identity: session.Identity{Subscriber: "anna"}, NAS: "bng1", Session: "a1", Source: session.Radius}}
}

// Nobody is put into a profile where the canary was not taken out of it again; the way
// back is open all the same.
func TestAServerIsUsedOnceItsCanaryCameBack(t *testing.T) {
	h := build(t)
	a := h.open(t)
	r, err := a.Put(t.Context(), h.order(enforce.Leaky))
	if err != nil || r.State != enforce.Busy || a.Proved("bng1") {
		t.Fatalf("unproved: %+v %v", r, err)
	}
	if r, err := a.Put(t.Context(), h.order(enforce.Normal)); err != nil || r.State != enforce.Applied {
		t.Errorf("the way back is shut: %+v %v", r, err)
	}
	p, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1")
	if err != nil || !p.OK || !p.Seen {
		t.Fatalf("%+v %v", p, err)
	}
	if f, _ := h.server.Filter("c1"); f != "normal" {
		t.Errorf("the canary has %q", f)
	}
	if r, err := a.Put(t.Context(), h.order(enforce.Leaky)); err != nil || r.State != enforce.Applied {
		t.Errorf("proved: %+v %v", r, err)
	}
	if f, _ := h.server.Filter("a1"); f != "bolwerk-leaky" {
		t.Errorf("anna has %q", f)
	}
	// Another desk, or this one after a restart, knows it; other settings need a new one.
	b := h.open(t)
	if err := b.Load(t.Context()); err != nil || !b.Proved("bng1") {
		t.Errorf("the proof is not kept: %v", err)
	}
	h.cfg.NAS[0].Leaky = "another"
	c := h.open(t)
	if err := c.Load(t.Context()); err != nil || c.Proved("bng1") {
		t.Errorf("other settings are proved: %v", err)
	}
	h.clock.Add(49 * time.Hour)
	if a.Proved("bng1") {
		t.Error("a proof of two days ago")
	}
	o := h.order(enforce.Leaky)
	o.Session.NAS = "bng9"
	if r, _ := a.Put(t.Context(), o); r.State != enforce.Refused || a.Has("bng9") {
		t.Errorf("a server that nobody knows: %+v", r)
	}
}

// A desk that begins knows nobody yet: that is told once accounting could have come.
func TestADeskThatBeginsWaitsForAccounting(t *testing.T) {
	h := build(t)
	h.cfg.NAS[0].Canary = "late"
	for told, since := range []time.Duration{FirstHeard - time.Second, FirstHeard} {
		h.open(t).ProveDue(t.Context(), h.clock.Now().Add(-since))
		n := 0
		if err := h.parts.DB.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select count(*) from abuse_nas_proof`).Scan(&n) }); err != nil || n != told {
			t.Errorf("after %s: %d told, %v", since, n, err)
		}
	}
}

func TestAProofSaysWhereItStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *house)
		step   string
		code   string
	}{
		{"dead", func(h *house) { h.server.Behave(standin.Dead) }, "put the canary into leaky", "silent"},
		{"it acknowledges and does not act", func(h *house) { h.server.Behave(standin.Lazy) }, "look at the canary in leaky", "acknowledged, but normal is in force"},
		{"no session of the canary's", func(h *house) { h.cfg.NAS[0].Canary = "nobody" }, "find the canary's session", "none"},
		{"refused", func(h *house) { h.server.Behave(standin.Never) }, "put the canary into leaky", "501"},
		{"nothing behind the canary", func(h *house) { h.look.Close() }, "look at the canary in leaky", "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			c.change(h)
			a := h.open(t)
			p, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1")
			if err != nil || p.OK || a.Proved("bng1") || p.Step != c.step || !strings.Contains(p.Code, c.code) {
				t.Errorf("%+v %v", p, err)
			}
			if f, _ := h.server.Filter("c1"); f != "normal" {
				t.Errorf("the canary was left with %q", f)
			}
		})
	}
}

// A server whose accounting shows that it did not act has no proof any more, here and at
// every other desk, and the rule does not give it another: a person does.
func TestAServerThatLiedIsUsedAgainOnceAPersonProvedIt(t *testing.T) {
	h := build(t)
	a := h.open(t)
	if _, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1"); err != nil || !a.Proved("bng1") {
		t.Fatal(err)
	}
	for filter, want := range map[string]enforce.Profile{"bolwerk-leaky": enforce.Leaky, "bolwerk-strict": enforce.Strict, "normal": enforce.Normal, "gold": enforce.Normal} {
		if got, ok := a.Told("bng1", []string{"another", filter}); !ok || got != want {
			t.Errorf("%s is %q, want %q", filter, got, want)
		}
	}
	if _, ok := a.Told("bng1", nil); ok {
		t.Error("no filter tells of something")
	}
	if _, ok := a.Told("bng9", []string{"normal"}); ok {
		t.Error("a server that nobody knows tells of something")
	}
	if err := h.parts.DB.Write(t.Context(), store.Intake, func(tx *store.Tx) error { return a.Withdraw(tx, "bng1", "a line is locked in") }); err != nil {
		t.Fatal(err)
	}
	b := h.open(t)
	if err := b.Load(t.Context()); err != nil || a.Proved("bng1") || b.Proved("bng1") {
		t.Errorf("it is used: %v", err)
	}
	if r, _ := a.Put(t.Context(), h.order(enforce.Leaky)); r.State != enforce.Busy {
		t.Errorf("a further line went in: %+v", r)
	}
	if r, _ := a.Put(t.Context(), h.order(enforce.Normal)); r.State != enforce.Applied {
		t.Errorf("the way back is shut: %+v", r)
	}
	packets, _ := h.server.Counts()
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n, _ := h.server.Counts(); n != packets || a.Proved("bng1") {
		t.Errorf("the rule proved it again: %d packets", n-packets)
	}
	if _, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1"); err != nil || !a.Proved("bng1") {
		t.Errorf("a person cannot prove it again: %v", err)
	}
}

func (h *house) ask(t *testing.T, a *Access, token, user, nas string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest("GET", LoginPath+"?"+url.Values{"user": {user}, "nas": {nas}}.Encode(), nil)
	r.SetBasicAuth("bolwerk", token)
	w := httptest.NewRecorder()
	a.Login().ServeHTTP(w, r)
	var got map[string]any
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, got
}

func TestAtALoginAnyDoubtIsNormal(t *testing.T) {
	const token = "a token of aaa1, long"
	h := build(t)
	h.wanted["anna"] = enforce.Strict
	a := h.open(t)
	ask := func(user, nas string) int { code, _ := h.ask(t, a, token, user, nas); return code }
	if code := ask("anna", "bng1"); code != http.StatusNoContent {
		t.Errorf("at a server that is not proved: %d", code)
	}
	if _, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1"); err != nil {
		t.Fatal(err)
	}
	code, got := h.ask(t, a, token, "anna", "bng1")
	b, _ := json.Marshal(got)
	if want := `{"reply:Filter-Id":{"op":":=","value":["bolwerk-strict"]}}`; code != http.StatusOK || string(b) != want {
		t.Errorf("%d %s want %s", code, b, want)
	}
	if code, _ := h.ask(t, a, "another", "anna", "bng1"); code != http.StatusUnauthorized {
		t.Errorf("another token: %d", code)
	}
	for what, code := range map[string]int{"another user": ask("bert", "bng1"), "nobody": ask("", "bng1"), "another server": ask("anna", "bng2"), "a name that is too long": ask(strings.Repeat("a", 300), "bng1")} {
		if code != http.StatusNoContent {
			t.Errorf("%s: %d", what, code)
		}
	}
	h.err = errors.New("the store is away")
	if code := ask("anna", "bng1"); code != http.StatusNoContent {
		t.Errorf("a store that is away: %d", code)
	}
	h.err = nil
	h.until = h.clock.Now()
	if code := ask("anna", "bng1"); code != http.StatusNoContent {
		t.Errorf("one that is over: %d", code)
	}
	h.until = h.clock.Now().Add(time.Hour)
	h.clock.Jump(h.clock.Now().Add(time.Second))
	if code := ask("anna", "bng1"); code != http.StatusNoContent {
		t.Errorf("a clock that jumped: %d", code)
	}
}

func TestConfig(t *testing.T) {
	h := build(t)
	for _, c := range []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"as it is", func(*Config) {}, true},
		{"nothing", func(c *Config) { *c = Config{} }, true},
		{"others reach the door", func(c *Config) { c.Listen = "0.0.0.0:8091" }, false},
		{"others reach it with certificates", func(c *Config) {
			c.Listen, c.CertFile, c.KeyFile, c.ClientCAFile = "0.0.0.0:8091", "a", "b", "c"
		}, true},
		{"no token", func(c *Config) { c.TokenFile = "" }, false},
		{"a name twice", func(c *Config) { c.NAS = append(c.NAS, c.NAS[0]) }, false},
		{"a server with two ways", func(c *Config) {
			c.HTTP = []rest.Config{{Name: "pcrf", URL: "https://pcrf.isp.example", TokenFile: "x", Canary: "c", AccessServers: []string{"bng1"}}}
		}, false},
	} {
		cfg := h.cfg
		cfg.NAS = append([]coa.Config(nil), h.cfg.NAS...)
		c.change(&cfg)
		if err := cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestADeadServerHoldsUpNoOthersProof(t *testing.T) {
	h := build(t)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") // takes packets and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dead := h.cfg.NAS[0]
	dead.Name, dead.Address, dead.Timeout, dead.Tries = "bng0", conn.LocalAddr().String(), bolwerk.Duration(5*time.Second), 1
	h.cfg.NAS = append([]coa.Config{dead}, h.cfg.NAS...)
	r := start("canary", "d1", h.clock.Now())
	r.NAS = "bng0"
	if err := h.who.Take(t.Context(), []session.Record{r}); err != nil {
		t.Fatal(err)
	}
	a := h.open(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	for !a.Proved("bng1") {
		time.Sleep(5 * time.Millisecond)
	}
	if p := a.Proofs()[0]; p.Step != "never tried" {
		t.Errorf("a server waits for its proof until one that is dead has none: %+v", p)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
