//go:build peers

package peers

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/access"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

func secretOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func sessionOf(user, id string) session.Held {
	return session.Held{Identity: session.Identity{Subscriber: user}, NAS: "bng1", Session: id, Source: session.Radius, Prefix: netip.MustParsePrefix("198.51.100.7/32")}
}

// FreeRADIUS takes our changes in every vendor's form, and we take its answers; with
// another secret neither does.
func TestFreeRADIUSTakesChanges(t *testing.T) {
	f := StartFreeRADIUS(t, netip.MustParseAddrPort("127.0.0.1:9"), "none")
	cfg := coa.Config{Name: "bng1", Address: f.CoA.String(), SecretFile: secretOf(t, f.Secret), Normal: "normal", Leaky: "bolwerk-leaky", Strict: "bolwerk-strict", Canary: "canary", Pace: 1000, Unsigned: true, Keys: []string{"user", "address"}}
	for _, kind := range []string{"standard", "nokia", "juniper", "cisco", "mikrotik", "huawei"} {
		cfg.Attributes = kind
		p, err := coa.New(cfg, clock.New(), func(why string) { t.Errorf("%s: an answer was dropped: %s", kind, why) })
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]enforce.State{"s1": enforce.Applied, "gone": enforce.Offline, "full": enforce.Busy} {
			for _, profile := range []enforce.Profile{enforce.Leaky, enforce.Normal} {
				r, err := p.Put(t.Context(), enforce.Order{ID: "q", Session: sessionOf("anna", id), Profile: profile, Was: enforce.Leaky, Until: time.Now().Add(time.Hour)})
				if err != nil || r.State != want {
					t.Errorf("%s, session %s, %s: %+v %v, want %s", kind, id, profile, r, err, want)
				}
			}
		}
	}
	cfg.SecretFile, cfg.Tries, cfg.Timeout = secretOf(t, "another secret"), 1, bolwerk.Duration(500*time.Millisecond)
	p, err := coa.New(cfg, clock.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Put(t.Context(), enforce.Order{ID: "q", Session: sessionOf("anna", "s1"), Profile: enforce.Normal}); err != nil || r.State != enforce.Silent {
		t.Errorf("another secret: %+v %v", r, err)
	}
}

// FreeRADIUS asks us at each login: who is in quarantine gets the profile, everybody
// else and everybody in doubt gets in as ever.
func TestFreeRADIUSAsksAtALogin(t *testing.T) {
	radclient := Need(t, "radclient")
	const token = "a token of aaa1, long"
	door := FreePort(t)
	f := StartFreeRADIUS(t, door, token)
	c := clock.New()
	db := storetest.Open(t, c, audit.Schema(), who.Schema(), access.Schema())
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w := who.New(who.DefaultConfig(), db, keys, c, log, nil)
	if err := w.Take(t.Context(), []session.Record{{Kind: session.Start, Source: session.Radius, NAS: "bng1", Session: "c1", Identity: session.Identity{Subscriber: "canary"}, At: c.Now().Truncate(time.Second), Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.9/32")}}}); err != nil {
		t.Fatal(err)
	}
	cfg := access.Config{Listen: door.String(), TokenFile: secretOf(t, token), NAS: []coa.Config{{Name: "bng1", Address: f.CoA.String(), SecretFile: secretOf(t, f.Secret), Attributes: "juniper", Leaky: "bolwerk-leaky", Strict: "bolwerk-strict", Canary: "canary", Pace: 1000, Unsigned: true}}}
	a, err := access.New(cfg, access.Parts{DB: db, Who: w, Clock: c, Log: log, Wanted: func(ctx context.Context, subscriber string) (enforce.Profile, time.Time, error) {
		switch subscriber {
		case "anna", "a name & more=x":
			return enforce.Strict, time.Now().Add(time.Hour), nil
		case "slow":
			<-ctx.Done()
			return "", time.Time{}, ctx.Err()
		}
		return enforce.Normal, time.Time{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := a.Prove(t.Context(), bolwerk.Socket(), "bng1"); err != nil || !p.OK || p.Seen {
		t.Fatalf("the canary: %+v %v", p, err)
	}
	l, err := a.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: a.Login()}
	go s.Serve(l)
	login := func(user, nas string) (accepted bool, services []string) {
		cmd := exec.Command(radclient, "-x", "-r", "1", "-t", "10", f.Auth.String(), "auth", f.Secret)
		cmd.Stdin = strings.NewReader(`User-Name = "` + user + `", User-Password = "x", NAS-Identifier = "` + nas + `", Message-Authenticator = 0x00`)
		out, _ := cmd.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "ERX-") {
				services = append(services, line)
			}
		}
		return strings.Contains(string(out), "Received Access-Accept"), services
	}
	for _, user := range []string{"anna", "a name & more=x"} {
		ok, got := login(user, "bng1")
		if !ok || !slices.Contains(got, `ERX-Service-Activate:1 = "bolwerk-strict"`) || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "ERX-Service-Timeout:1 = 3") }) {
			t.Errorf("%s: accepted %v, %q", user, ok, got)
		}
	}
	for what, who := range map[string][2]string{"nobody's quarantine": {"bert", "bng1"}, "a desk that is slow": {"slow", "bng1"}, "a server that is not ours": {"anna", "bng2"}} {
		if ok, got := login(who[0], who[1]); !ok || len(got) != 0 {
			t.Errorf("%s: accepted %v, %q", what, ok, got)
		}
	}
	s.Close()
	if ok, got := login("anna", "bng1"); !ok || len(got) != 0 {
		t.Errorf("the desk is away: accepted %v, %q", ok, got)
	}
	if _, err := net.Dial("tcp", door.String()); err == nil {
		t.Error("the door is still open: the desk was not away")
	}
}
