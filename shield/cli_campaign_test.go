package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/idem"
	"bolwerk/internal/terminal"
	"bolwerk/internal/web"
)

// TestCampaignCommands_merge_and_take_back drives a desk of two campaigns with the
// commands, for people and for programs.
func TestCampaignCommands_merge_and_take_back(t *testing.T) {
	s := newShield(t)
	m, err := web.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	site := web.DefaultConfig()
	site.Hosts = []string{"127.0.0.1"}
	frame, err := web.New(web.Site{Name: "console", Config: site, Console: true, Clock: s.clock, Log: s.log, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes := api.New(mux, account.NewDoor(s.accounts, frame), idem.New(s.db, s.vault, s.log), s.log)
	NewAPI(s.Shield).Routes(routes, mux)
	routes.Done()
	srv := httptest.NewServer(frame.Handler(mux))
	t.Cleanup(srv.Close)
	s.person("anna", account.Analyst)
	token, _, err := s.accounts.CreateToken(t.Context(), bolwerk.Socket(), account.NewAPIToken{Login: "anna", Name: "test", Scopes: []account.Scope{account.Read, account.DecideScope}, Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "anna.token")
	if err := os.WriteFile(file, []byte(token.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		t.Helper()
		var verbs struct {
			Campaign CampaignCmd `cmd:""`
		}
		var out, warnings bytes.Buffer
		k, err := kong.New(&verbs, kong.Bind(&terminal.Terminal{In: strings.NewReader(""), Out: &out, Err: &warnings}), kong.BindTo(t.Context(), (*context.Context)(nil)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := k.Parse(append(append([]string{"campaign"}, args...), "--server", srv.URL, "--token-file", file))
		if err != nil {
			return "", err
		}
		err = c.Run()
		return out.String(), err
	}
	if out, err := run("list"); err != nil || out != "no campaigns\n" {
		t.Errorf("a new desk: %q, %v", out, err)
	}
	s.report(lure("Your card is stopped", "https://anchorbank-secure12.example/a"))
	s.report(lure("Quite another letter about money", "https://my-anchorbank-desk.example/b"))
	a, _ := s.campaignOfName("anchorbank-secure12.example")
	b, _ := s.campaignOfName("my-anchorbank-desk.example")
	if a == "" || b == "" || a == b {
		t.Fatalf("campaigns %q and %q", a, b)
	}
	out, err := run("list", "--json")
	var all struct {
		Items []struct{ ID, Ref, State string }
	}
	if err != nil || json.Unmarshal([]byte(out), &all) != nil || len(all.Items) != 2 || all.Items[0].ID == "" || all.Items[0].State != "forming" {
		t.Errorf("list: %s, %v", out, err)
	}
	if out, err := run("list", "-q", "secure"); err != nil || !strings.Contains(out, a) || strings.Contains(out, b) {
		t.Errorf("list -q: %s, %v", out, err)
	}
	if out, err := run("list", "--state", "closed"); err != nil || out != "no campaigns\n" {
		t.Errorf("list --state: %s, %v", out, err)
	}
	if out, err := run("show", a); err != nil || !strings.Contains(out, a) || !strings.Contains(out, "waiting") || !strings.Contains(out, "1 names") {
		t.Errorf("show: %s, %v", out, err)
	}
	if _, err := run("show", "K-2026-999999"); err == nil {
		t.Error("shown: a campaign that is not there")
	}
	if _, err := run("merge", b, a); err == nil {
		t.Error("merged without a reason")
	}
	if out, err := run("merge", b, a, "--reason", "one kit"); err != nil || !strings.Contains(out, a) || !strings.Contains(out, "2, 0 of them blocked") {
		t.Errorf("merge: %s, %v", out, err)
	}
	if out, err := run("show", b); err != nil || !strings.Contains(out, "into "+a) {
		t.Errorf("show of the one that ended: %s, %v", out, err)
	}
	if out, err := run("show", a); err != nil || !strings.Contains(out, "one kit") {
		t.Errorf("show of the one that stays: %s, %v", out, err)
	}
	if _, err := run("undo-merge", b, "--reason", "they are two"); err != nil {
		t.Errorf("undo-merge: %v", err)
	}
	if got, _ := s.campaignOfName("my-anchorbank-desk.example"); got != b {
		t.Errorf("its name is of %s again, want %s", got, b)
	}
	if _, err := run("undo-merge", b, "--reason", "again"); err == nil {
		t.Error("taken back twice")
	}
}
