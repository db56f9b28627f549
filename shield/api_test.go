package shield_test

import (
	"bolwerk/internal/seal"
	"bolwerk/internal/webhook"
	"bolwerk/shield/fact"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/audit"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/hosts"
	"bolwerk/internal/idem"
	"bolwerk/internal/job"
	"bolwerk/internal/ledger"
	"bolwerk/internal/ledger/ledgertest"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
	"bolwerk/internal/web"
	"bolwerk/shield"
)

// apiDesk is a desk with its API over a real store.
type apiDesk struct {
	*shield.Shield
	t        *testing.T
	accounts *account.Accounts
	clock    *clock.Fake
	server   *httptest.Server
	dir      string
}

// peopled is a store with the tables and four people of two days ago. A password
// takes a quarter of a second to hash, so it is made once.
var peopled = sync.OnceValues(func() ([]byte, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bolwerk-api-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	db, err := store.Open(ctx, store.Config{URL: filepath.Join(dir, "a.db")}, clock.NewFake(apiNow))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := people(ctx, db); err != nil {
		return nil, err
	}
	if err := db.VacuumInto(ctx, filepath.Join(dir, "b.db")); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "b.db"))
})

func people(ctx context.Context, db *store.DB) error {
	if err := db.Migrate(ctx, audit.Schema(), factlog.Schema(), publish.Schema(), ledger.Schema(), webhook.Schema(), job.Schema(), blob.Schema(), desk.Schema(), account.Schema(), idem.Schema(), hosts.Schema(), shield.Schema()); err != nil {
		return err
	}
	accounts := account.New(db, shield.Published)
	for login, role := range map[string]account.Role{"vic": account.Viewer, "ann": account.Analyst, "dora": account.DutyOfficer, "root": account.Administrator} {
		if _, err := accounts.Seed(ctx, login, role, bolwerk.NewSecret("seven quiet lamps 41"), apiNow.Add(-48*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// openPeopled opens a store of its own with the people in it.
func openPeopled(t *testing.T, dir string, c clock.Clock) *store.DB {
	t.Helper()
	if storetest.Postgres() {
		db := storetest.Open(t, c)
		if err := people(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		return db
	}
	file, err := peopled()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "store.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return storetest.OpenAt(t, path, c)
}

var apiNow = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

var pushKey = strings.Repeat("k", 64)

func newAPIDesk(t *testing.T) *apiDesk {
	t.Helper()
	d := &apiDesk{t: t, clock: clock.NewFake(apiNow), dir: t.TempDir()}
	db := openPeopled(t, d.dir, d.clock)
	v, err := vault.Open(filepath.Join(d.dir, "keys"), d.clock)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if err := os.WriteFile(filepath.Join(d.dir, "push.key"), []byte(pushKey), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := shield.DefaultConfig()
	cfg.PublicURL = "http://public.bolwerk.example"
	cfg.Issuers = []shield.Issuer{{Name: "cert", Public: "The national CERT", Ground: "law", KeyFile: filepath.Join(d.dir, "push.key")}}
	d.Shield = shield.New(cfg, shield.Parts{DB: db, Clock: d.clock, Log: log, Facts: factlog.New(db, log), Vault: v, Blobs: blob.New(v),
		Ledger: ledgertest.New(t, db, d.clock), Publish: publish.New(db, "test"), Metrics: prometheus.NewRegistry()})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.accounts = account.New(db, shield.Published)
	site := web.DefaultConfig()
	m, err := web.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	site.Hosts = []string{"127.0.0.1"}
	frame, err := web.New(web.Site{Name: "console", Config: site, Console: true, Clock: d.clock, Log: log, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes := api.New(mux, account.NewDoor(d.accounts, frame), idem.New(db, v, log), log)
	names := shield.NewAPI(d.Shield)
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	names.Webhooks(webhook.New(webhook.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, db, key, fact.Subjects(), d.clock, log, nil))
	names.Routes(routes, mux)
	routes.Done()
	d.server = httptest.NewServer(frame.Handler(mux))
	t.Cleanup(d.server.Close)
	return d
}

// token gives a token of a person; session a cookie.
func (d *apiDesk) token(login string, scopes ...account.Scope) string {
	d.t.Helper()
	tok, _, err := d.accounts.CreateToken(d.t.Context(), bolwerk.Socket(), account.NewAPIToken{Login: login, Name: "test", Scopes: scopes, Days: 1})
	if err != nil {
		d.t.Fatal(err)
	}
	return "Bearer " + tok.Reveal()
}

func (d *apiDesk) session(login string) string {
	d.t.Helper()
	code, err := d.accounts.LoginLink(d.t.Context(), bolwerk.Socket(), login)
	if err != nil {
		d.t.Fatal(err)
	}
	pass, err := d.accounts.Enter(d.t.Context(), code, account.Entry{})
	if err != nil {
		d.t.Fatal(err)
	}
	return "bolwerk_session=" + pass.Session.Reveal()
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// ask does a request; who is a bearer token, a cookie, or empty.
func (d *apiDesk) ask(who, method, path, body string, header ...string) reply {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.server.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case strings.HasPrefix(who, "Bearer "):
		r.Header.Set("Authorization", who)
	case who != "":
		r.Header.Set("Cookie", who)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	out := reply{status: resp.StatusCode, header: resp.Header, raw: string(b)}
	json.Unmarshal(b, &out.body)
	return out
}

func (r reply) want(t *testing.T, status int, parts ...string) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.raw)
	}
	for _, p := range parts {
		if !strings.Contains(r.raw, p) {
			t.Errorf("%q is not in %s", p, r.raw)
		}
	}
	if status >= 400 {
		if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("a refusal of type %q: %s", kind, r.raw)
		}
		if r.body["detail"] == nil || r.body["status"] != float64(status) || r.body["request"] == nil {
			t.Errorf("a problem without detail, status or request: %s", r.raw)
		}
	}
	return r
}

func (r reply) id() string { return fmt.Sprint(r.body["id"]) }

func (r reply) items() []map[string]any {
	var l struct {
		Items []map[string]any `json:"items"`
	}
	json.Unmarshal([]byte(r.raw), &l)
	return l.Items
}

func TestAPIBlockFromAddToWithdraw(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.Read, account.DecideScope)

	b := d.ask(tok, "POST", "/blocks", `{"name":"Münchner-Paket.example","reason":"seen"}`).want(t, 201, `"state":"blocked"`, `"name":"xn--mnchner-paket-wob.example"`)
	got := d.ask(tok, "GET", "/blocks/"+b.id(), "").want(t, 200, `"state":"in_force"`)
	if got.id() != b.id() {
		t.Errorf("id %s, want %s", got.id(), b.id())
	}
	items := d.ask(tok, "GET", "/blocks?state=in_force", "").want(t, 200).items()
	if len(items) != 1 || items[0]["id"] != b.id() || items[0]["state"] != "in_force" || items[0]["name"] != "xn--mnchner-paket-wob.example" {
		t.Errorf("list: %v", items)
	}
	d.ask(tok, "POST", "/blocks", `{"name":"xn--mnchner-paket-wob.example","reason":"again"}`).want(t, 409, "already blocked", `"hint":"bolwerk block explain`)
	d.ask(tok, "GET", "/names/münchner-paket.example", "").want(t, 200, `"blocked":true`, `"disagree":false`)

	d.ask(tok, "POST", "/blocks/münchner-paket.example/withdraw", `{"reason":"ours","cause":"false_positive"}`).want(t, 200, `"state":"withdrawn"`, b.id())
	d.ask(tok, "POST", "/blocks/"+b.id()+"/withdraw", `{"reason":"ours"}`).want(t, 409, "withdrawn already")
	d.ask(tok, "GET", "/names/xn--mnchner-paket-wob.example", "").want(t, 200, `"blocked":false`)

	// The case that the block opened went with it.
	cases := d.ask(tok, "GET", "/cases", "").want(t, 200).items()
	if len(cases) != 1 || cases[0]["name"] != "xn--mnchner-paket-wob.example" || cases[0]["state"] != "closed" {
		t.Errorf("cases: %v", cases)
	}
	trail := d.ask(tok, "GET", "/audit?limit=1", "").want(t, 200)
	if trail.items()[0]["action"] != "shield.block.withdraw" || trail.body["next"] == nil {
		t.Errorf("audit: %s", trail.raw)
	}
	d.ask(tok, "GET", "/audit?cursor="+fmt.Sprint(trail.body["next"]), "").want(t, 200, "shield.block.confirm")
	d.ask(tok, "GET", "/today", "").want(t, 200, `"blocks_in_force":0`)
	d.ask(tok, "GET", "/now", "").want(t, 200, `"cases_waiting":`)
}

func TestAPIRights(t *testing.T) {
	d := newAPIDesk(t)
	add := `{"name":"bad.example","reason":"seen"}`
	for name, c := range map[string]struct {
		who, method, path, body string
		status                  int
		say                     string
	}{
		"nobody may look":                  {"", "GET", "/cases", "", 401, "bolwerk token create"},
		"a wrong token is refused":         {"Bearer abcdefghjkmnpqrstuvwxyz234", "GET", "/cases", "", 401, "no valid token"},
		"a viewer may look":                {d.token("vic", account.Read), "GET", "/cases", "", 200, `"items":[]`},
		"a viewer decides nothing":         {d.session("vic"), "POST", "/blocks", add, 403, "the role viewer may not do this"},
		"an administrator decides nothing": {d.session("root"), "POST", "/blocks", add, 403, "the role admin may not do this"},
		"a token needs the scope":          {d.token("ann", account.Read), "POST", "/blocks", add, 403, "this token lacks the scope decide"},
		"a report token does not look":     {d.token("ann", account.Report), "GET", "/blocks", "", 403, "this token lacks the scope read"},
		"who decides may look":             {d.token("ann", account.DecideScope), "GET", "/blocks", "", 200, ""},
		"no such route":                    {d.token("ann", account.Read), "GET", "/nothing", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.ask(c.who, c.method, c.path, c.body)
			if c.status == 404 {
				if r.status != 404 {
					t.Errorf("status %d: %s", r.status, r.raw)
				}
				return
			}
			r.want(t, c.status, c.say)
		})
	}
	if all := d.ask(d.token("ann", account.Read), "GET", "/blocks", "").items(); len(all) != 0 {
		t.Errorf("a refused request blocked: %v", all)
	}
}

func TestAPIFourEyes(t *testing.T) {
	d := newAPIDesk(t)
	ann, dora := d.token("ann", account.Read, account.DecideScope), d.token("dora", account.Read, account.DecideScope)

	p := d.ask(ann, "POST", "/blocks", `{"name":"sub.wide.example","reason":"seen","scope":"registrable"}`).want(t, 202, `"state":"second"`, `"objections"`)
	items := d.ask(ann, "GET", "/proposals", "").want(t, 200).items()
	if len(items) != 1 || items[0]["id"] != p.id() || items[0]["name"] != "wide.example" {
		t.Fatalf("proposals: %v", items)
	}
	approve := fmt.Sprintf(`{"digest":%q}`, items[0]["digest"])
	d.ask(dora, "POST", "/proposals/"+p.id()+"/approve", approve).want(t, 403, "in a session, not with a token")
	d.ask(d.session("ann"), "POST", "/proposals/"+p.id()+"/approve", approve).want(t, 403)
	other := fmt.Sprintf(`{"digest":%q}`, strings.Repeat("0", 64))
	d.ask(d.session("dora"), "POST", "/proposals/"+p.id()+"/approve", other).want(t, 409, "has changed")
	d.ask(d.session("dora"), "POST", "/proposals/"+p.id()+"/approve", approve).want(t, 200, `"state":"blocked"`, "wide.example")
}

func TestAPIRejectAndReplayByNumber(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.DecideScope)
	// A case that waits: one that needs a second person.
	d.ask(tok, "POST", "/blocks", `{"name":"x.wide.example","reason":"seen","scope":"registrable"}`).want(t, 202)
	items := d.ask(tok, "GET", "/cases?state=second", "").want(t, 200).items()
	if len(items) != 1 || items[0]["state"] != "second" {
		t.Fatalf("cases: %v", items)
	}
	ref := fmt.Sprint(items[0]["ref"])
	d.ask(tok, "GET", "/cases/x.wide.example", "").want(t, 200, `"ref":"`+ref)
	d.ask(tok, "GET", "/cases/"+ref+"/replay", "").want(t, 200, `"was"`, `"is"`)
	d.ask(tok, "POST", "/cases/"+ref+"/reject", `{"reason":" "}`).want(t, 400, "needs a reason", `"hint"`)
	d.ask(tok, "POST", "/cases/"+ref+"/reject", `{"reason":"a shop"}`).want(t, 200, `"state":"rejected"`, `"name":"x.wide.example"`)
	d.ask(tok, "POST", "/cases/"+ref+"/confirm", `{"reason":"late"}`).want(t, 409)
	d.ask(tok, "GET", "/cases/C-2026-999999", "").want(t, 404, "bolwerk case list")
	d.ask(tok, "GET", "/cases/nobody.example", "").want(t, 404, "bolwerk case list")
}

func TestAPIExemptionAndBlockOfOneName(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.DecideScope)
	b := d.ask(tok, "POST", "/blocks", `{"name":"both.example","reason":"seen"}`).want(t, 201)
	e := d.ask(tok, "POST", "/exemptions", `{"name":"both.example","reason":"a complaint"}`).want(t, 201, `"state":"exempted"`)
	d.ask(tok, "POST", "/exemptions", `{"name":"ever.example","reason":"ours","permanent":true}`).want(t, 202, `"state":"second"`)
	d.ask(tok, "POST", "/exemptions", `{"name":"ever.example","reason":"again","permanent":true}`).want(t, 409, "ever.example waits for a second person already", "approve or decline that one first")
	d.ask(tok, "POST", "/exemptions", `{"name":"ever.example","scope":"subtree","reason":"wider","permanent":true}`).want(t, 202, `"state":"second"`) // another one
	d.ask(tok, "POST", "/exemptions", `{"name":"both.example","reason":"for ever","permanent":true}`).want(t, 409, "both.example is exempt already")
	if items := d.ask(tok, "GET", "/exemptions", "").items(); len(items) != 1 || items[0]["id"] != e.id() {
		t.Errorf("exemptions: %v", items)
	}
	if items := d.ask(tok, "GET", "/blocks", "").items(); len(items) != 1 || items[0]["id"] != b.id() {
		t.Errorf("blocks: %v", items)
	}
	d.ask(tok, "POST", "/blocks/"+e.id()+"/withdraw", `{"reason":"x"}`).want(t, 409, "bolwerk exempt remove")
	// By name each verb finds its own kind.
	d.ask(tok, "POST", "/blocks/both.example/withdraw", `{"reason":"x"}`).want(t, 200, b.id())
	d.ask(tok, "POST", "/exemptions/both.example/remove", `{"reason":"x"}`).want(t, 200, e.id())
	d.ask(tok, "POST", "/blocks/none.example/withdraw", `{"reason":"x"}`).want(t, 404, "block explain none.example")
}

func TestAPIPushIsAuthenticatedByItsSignatureAlone(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.Read, account.DecideScope)
	sign := func(key string, claims jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims).SignedString([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	claims := jwt.MapClaims{"id": "77", "domain": "ordered.example", "status": "blocked", "iat": d.clock.Now().Unix()}
	d.ask("", "POST", "/orders/cert/push", sign(strings.Repeat("x", 64), claims), "Content-Type", "application/jwt").want(t, 403, "signature")
	d.ask("", "POST", "/orders/nobody/push", sign(pushKey, claims), "Content-Type", "application/jwt").want(t, 403)
	o := d.ask("", "POST", "/orders/cert/push", sign(pushKey, claims), "Content-Type", "application/jwt").want(t, 200, `"state":"in_force"`)
	d.ask(tok, "GET", "/orders/"+o.id(), "").want(t, 200, `"name":"ordered.example"`)
	if items := d.ask(tok, "GET", "/orders?issuer=cert", "").items(); len(items) != 1 || items[0]["state"] != "in_force" {
		t.Errorf("orders: %v", items)
	}
	// An order is not ours to withdraw.
	d.ask(tok, "POST", "/blocks/ordered.example/withdraw", `{"reason":"x"}`).want(t, 403, "theirs to lift", `"hint"`)
	d.ask(tok, "POST", "/orders/nobody/release", "").want(t, 404)
	d.ask(tok, "POST", "/orders/cert/release", "").want(t, 200, `"released":0`)
}

func TestAPIPagesShowEveryRowOnce(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.DecideScope)
	for i := range 7 {
		d.ask(tok, "POST", "/blocks", fmt.Sprintf(`{"name":"n%d.example","reason":"seen"}`, i)).want(t, 201)
		d.clock.Add(time.Second)
	}
	for _, list := range []string{"/blocks", "/cases"} {
		seen, cursor := map[string]bool{}, ""
		for range 20 {
			r := d.ask(tok, "GET", list+"?limit=3&cursor="+cursor, "").want(t, 200)
			for _, it := range r.items() {
				if name := fmt.Sprint(it["name"]); seen[name] {
					t.Errorf("%s shows %s twice", list, name)
				} else {
					seen[name] = true
				}
			}
			next, more := r.body["next"].(string)
			if !more {
				break
			}
			cursor = next
		}
		if len(seen) != 7 {
			t.Errorf("%s shows %d rows, want 7", list, len(seen))
		}
	}
}

func TestAPIRepeatedRequestHasOneEffect(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.DecideScope)
	first := d.ask(tok, "POST", "/blocks", `{"name":"once.example","reason":"seen"}`, "Idempotency-Key", "k1").want(t, 201)
	again := d.ask(tok, "POST", "/blocks", `{"name":"once.example","reason":"seen"}`, "Idempotency-Key", "k1").want(t, 201)
	if first.raw != again.raw {
		t.Errorf("another answer: %s, first %s", again.raw, first.raw)
	}
	d.ask(tok, "POST", "/blocks", `{"name":"other.example","reason":"seen"}`, "Idempotency-Key", "k1").want(t, 422)
}

func TestAPIRefusesWhatItDoesNotUnderstand(t *testing.T) {
	d := newAPIDesk(t)
	tok := d.token("ann", account.DecideScope)
	for name, c := range map[string]struct {
		path, body string
		status     int
		say        string
	}{
		"no reason":         {"/blocks", `{"name":"a.example"}`, 422, "reason"},
		"unknown member":    {"/blocks", `{"name":"a.example","reason":"x","nmae":1}`, 422, "nmae"},
		"no JSON":           {"/blocks", `{`, 400, ""},
		"scope of no DNS":   {"/blocks", `{"name":"a.example","reason":"x","scope":"url_only"}`, 422, "scope"},
		"an address":        {"/blocks", `{"name":"192.0.2.1","reason":"x"}`, 400, "is an address"},
		"a link":            {"/blocks", `{"name":"http://a.example/x","reason":"x"}`, 400, "give the name alone"},
		"for and until":     {"/blocks", `{"name":"a.example","reason":"x","for":"1h","until":"2026-11-24T00:00:00Z"}`, 400, "not both"},
		"a wrong length":    {"/blocks", `{"name":"a.example","reason":"x","for":"soon"}`, 400, "72h"},
		"too long a block":  {"/blocks", `{"name":"a.example","reason":"x","for":"900d"}`, 403, "guard"},
		"a protected name":  {"/blocks", `{"name":"co.uk","reason":"x","scope":"subtree"}`, 403, "guard"},
		"an unknown appeal": {"/appeals/A-2026-000001/decide", `{"decision":"upheld","reason":"x"}`, 404, "no appeal"},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.ask(tok, "POST", c.path, c.body).want(t, c.status, c.say)
			if c.status == 400 || c.status == 422 {
				if strings.Contains(r.raw, "go-") || strings.Contains(r.raw, "json: ") {
					t.Errorf("names of our insides: %s", r.raw)
				}
			}
		})
	}
	d.ask(tok, "GET", "/audit?cursor=x", "").want(t, 400, "cursor")
	d.ask(tok, "GET", "/blocks?limit=1000", "").want(t, 422, "limit")
}

func TestAPIDescribesItself(t *testing.T) {
	d := newAPIDesk(t)
	r := d.ask("", "GET", "/openapi.json", "").want(t, 200, `"openapi":"3.1`, "/api/v1/blocks/{id}/withdraw", "application/problem+json")
	var spec struct {
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(r.raw))).Decode(&spec); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for path, ops := range spec.Paths {
		for method, op := range ops {
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operation id %q is empty or taken", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	if spec.Components.Schemas["ErrorModel"] != nil || spec.Components.Schemas["Problem"] == nil {
		t.Error("refusals are described as something else than our problem")
	}
	for _, ref := range []string{"hint", "valid_until", "dns_hits"} {
		if !strings.Contains(r.raw, `"`+ref+`"`) {
			t.Errorf("%s is not described", ref)
		}
	}
}

func TestAPISendsReportsToThePublicSite(t *testing.T) {
	d := newAPIDesk(t)
	r := d.ask("", "POST", "/reports", `{"url":"http://a.example"}`)
	if got, want := r.header.Get("Location"), "http://public.bolwerk.example/api/v1/reports"; r.status != 307 || got != want {
		t.Errorf("%d to %q, want 307 to %q", r.status, got, want)
	}
}

func TestAPIOfAnotherSiteIsRefused(t *testing.T) {
	d := newAPIDesk(t)
	r := d.ask(d.session("ann"), "POST", "/blocks", `{"name":"a.example","reason":"x"}`, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if r.status != 403 {
		t.Errorf("status %d: %s", r.status, r.raw)
	}
}
