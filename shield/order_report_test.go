package shield

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"bolwerk/shield/edge"
)

// authority takes reports as an issuer would.
type authority struct {
	t    *testing.T
	key  string
	down bool
	got  []OrderReport
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	if a.down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	claims := jwt.MapClaims{}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	// The test's clock is not today's.
	if _, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return []byte(a.key), nil }, jwt.WithoutClaimsValidation()); err != nil {
		a.t.Errorf("signature of a report: %v", err)
	}
	sum := sha256.Sum256(body)
	if claims["sha256"] != hex.EncodeToString(sum[:]) {
		a.t.Errorf("digest in the token %v, want that of the body", claims["sha256"])
	}
	var rep OrderReport
	if err := json.Unmarshal(body, &rep); err != nil {
		a.t.Error(err)
	}
	a.got = append(a.got, rep)
	w.WriteHeader(http.StatusNoContent)
}

// take gives the reports since the last call and forgets them.
func (a *authority) take() []OrderReport {
	got := a.got
	a.got = nil
	return got
}

func TestIssuerIsToldOfItsOrders(t *testing.T) {
	s := newShield(t)
	s.guard.http = newFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	cert := &authority{t: t, key: strings.Repeat("k", 40)}
	server := httptest.NewServer(cert)
	defer server.Close()
	s.file("push.key", cert.key+"\n")
	is := s.cfg.Issuers[0]
	is.Report, is.KeyFile = server.URL, filepath.Join(s.dir, "push.key")
	s.cfg.Issuers[0] = is
	if err := is.Validate(); err != nil {
		t.Fatal(err)
	}
	list := func(lines ...string) {
		t.Helper()
		if err := s.TakeList(t.Context(), is, strings.NewReader(strings.Join(lines, "\n"))); err != nil {
			t.Fatal(err)
		}
		s.clock.Add(2 * time.Second)
	}
	report := func() []OrderReport {
		t.Helper()
		if err := s.reportTo(t.Context(), is); err != nil {
			t.Fatal(err)
		}
		return cert.take()
	}
	states := func(reports []OrderReport) string {
		var out []string
		for _, r := range reports {
			for _, o := range r.Orders {
				line := o.ID + " " + o.State
				if (o.State == "in_force") != (o.Reason == "") {
					line += fmt.Sprintf(" reason %q", o.Reason)
				}
				out = append(out, line)
			}
		}
		slices.Sort(out) // those of one transaction come in any order
		return strings.Join(out, ", ")
	}
	s.person("dora", "duty_officer")
	dora, err := s.accounts.ByLogin(t.Context(), "dora")
	if err != nil {
		t.Fatal(err)
	}

	list("bad.example", "com", "worse.example")
	got := report()
	if want := "bad.example held, com held, worse.example held"; states(got) != want {
		t.Fatalf("first report: %s, want %s", states(got), want)
	}
	if got[0].Issuer != "cert" || got[0].Sender != s.cfg.Operator || got[0].Day != "2026-11-22" {
		t.Errorf("head of the report: %+v", got[0])
	}
	if got := report(); len(got) != 0 {
		t.Errorf("nothing has changed, and the issuer is told %+v", got)
	}

	// Released: two are carried out, a public suffix is refused.
	if _, err := s.ReleaseOrders(t.Context(), Decider(dora), "cert"); err != nil {
		t.Fatal(err)
	}
	s.clock.Add(2 * time.Second)
	got = report()
	if want := "bad.example in_force, com refused, worse.example in_force"; states(got) != want {
		t.Errorf("after the release: %s, want %s", states(got), want)
	}
	i := slices.IndexFunc(got[0].Orders, func(o OrderOutcome) bool { return o.ID == "bad.example" })
	ref := got[0].Orders[i].Block
	if ref == "" {
		t.Error("an order in force names no block")
	}

	// What was counted comes the day after, once.
	hits := `{"boot":"b1","bucket":"2026-11-23T13:15:00Z","counts":[{"block":"` + ref + `","dns_hits":12,"page_views":3,"tls_attempts":1}]}`
	if err := s.Receive(t.Context(), "edge-1", edge.KindHits, "hits-1", []byte(hits)); err != nil {
		t.Fatal(err)
	}
	s.clock.Add(24 * time.Hour)
	cert.down = true
	if err := s.reportTo(t.Context(), is); err == nil {
		t.Error("an issuer that is away has been told")
	}
	cert.down = false
	got = report()
	if len(got) != 1 || got[0].Day != "2026-11-23" || len(got[0].Hits) != 1 || got[0].Hits[0] != (OrderHits{"bad.example", "bad.example", Hits{12, 3, 1}}) {
		t.Errorf("the day after: %+v", got)
	}
	if got := report(); len(got) != 0 {
		t.Errorf("a day is told twice: %+v", got)
	}

	list("worse.example")
	if got := report(); states(got) != "bad.example lifted" {
		t.Errorf("after the removal: %s", states(got))
	}
}
