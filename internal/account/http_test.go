package account

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

var update = flag.Bool("update", false, "rewrite the golden pages")

type site struct {
	*testDesk
	*Pages
	h   http.Handler
	log *bytes.Buffer
}

// openSite is a console with this package's pages.
func openSite(t testing.TB, d *testDesk) *site {
	t.Helper()
	s := &site{testDesk: d, log: &bytes.Buffer{}}
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.DefaultConfig()
	cfg.URL = "http://console.bolwerk.example"
	cfg.Languages = []bolwerk.Lang{bolwerk.EN, bolwerk.NL, bolwerk.FR, bolwerk.DE}
	f, err := web.New(web.Site{Name: "console", Console: true, Config: cfg, Who: Who, Texts: []*web.Texts{texts},
		Places: []web.Place{{Path: "/people", Text: "account.people.title"}, {Path: "/account", Text: "account.mine.title"}},
		Clock:  d.clock, Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if s.Pages, err = NewPages(NewDoor(d.Accounts, f)); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	look := s.Require(Look, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "seen") }))
	mux.Handle("GET /{$}", look)
	mux.Handle("GET /api/v1/look", look)
	mux.Handle("POST /api/v1/decide", s.Require(Decide, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "decided") })))
	s.h = f.Handler(mux)
	return s
}

// do sends a request; form is for POST; headers come in pairs.
func (s *site) do(method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://console.bolwerk.example"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Accept-Language", "en")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func as(p Pass) string { return "bolwerk_session=" + p.Session.Reveal() }

func TestLogInByForm(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	if _, err := d.Seed(t.Context(), "anna", Analyst, bolwerk.NewSecret(password), start.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if w := s.do("GET", "/?x=1", nil); w.Code != 303 || w.Header().Get("Location") != "/login?next=%2F%3Fx%3D1" {
		t.Errorf("nobody: got %d %s", w.Code, w.Header().Get("Location"))
	}
	w := s.do("POST", "/login", url.Values{"login": {"anna"}, "password": {"wrong wrong wrong"}, "next": {"/?x=1"}})
	if w.Code != 403 || !strings.Contains(w.Body.String(), "The log-in name or the password is wrong") || !strings.Contains(w.Body.String(), `value="/?x=1"`) {
		t.Errorf("wrong: got %d %s", w.Code, w.Body)
	}
	right := url.Values{"login": {"anna"}, "password": {password}, "next": {"/?x=1"}}
	if w := s.do("POST", "/login", right, "Sec-Fetch-Site", "cross-site"); w.Code != 403 || len(w.Result().Cookies()) != 0 {
		t.Errorf("from another site: got %d %v", w.Code, w.Result().Cookies())
	}
	w = s.do("POST", "/login", right)
	if w.Code != 303 || w.Header().Get("Location") != "/?x=1" {
		t.Fatalf("right: got %d %s", w.Code, w.Header().Get("Location"))
	}
	cookie := ""
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %s is not guarded", c.Name)
		}
		if c.Name == "bolwerk_session" {
			cookie = c.Name + "=" + c.Value
		}
	}
	if w := s.do("GET", "/", nil, "Cookie", cookie); w.Code != 200 || w.Body.String() != "seen" {
		t.Errorf("inside: got %d %s", w.Code, w.Body)
	}
	if w := s.do("POST", "/logout", nil, "Cookie", cookie, "Origin", "http://evil.example"); w.Code != 403 {
		t.Errorf("logged out by another site: got %d", w.Code)
	}
	s.do("POST", "/logout", nil, "Cookie", cookie)
	if w := s.do("GET", "/", nil, "Cookie", cookie); w.Code != 303 {
		t.Errorf("after the log-out: got %d", w.Code)
	}
	for _, secret := range []string{password, "wrong wrong wrong", strings.TrimPrefix(cookie, "bolwerk_session="), "192.0.2.1"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q: %s", secret, s.log)
		}
	}
}

func TestTooManyTriesSayHowLong(t *testing.T) {
	s := openSite(t, open(t))
	for range freeTries {
		s.testDesk.throttle.begin(buckets("anna", "", here.Source))
	}
	w := s.do("POST", "/login", url.Values{"login": {"anna"}, "password": {password}})
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "Try again in 1 second.") {
		t.Errorf("got %d %q %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}

func TestSecureCookies(t *testing.T) {
	d := open(t)
	cfg := web.DefaultConfig()
	cfg.URL = "https://console.bolwerk.example"
	f, err := web.New(web.Site{Config: cfg, Clock: d.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	NewDoor(d.Accounts, f).setCookie(w, sessionCookie, "x", 1)
	if c := w.Result().Cookies()[0]; c.Name != "__Host-bolwerk_session" || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("got %+v", c)
	}
}

func TestPrograms(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	anna := d.person(t, "anna", Analyst)
	pass := d.in(t, anna)
	read, _, err := d.CreateToken(t.Context(), anna.Actor(), NewAPIToken{"anna", "x", []Scope{Read}, 1})
	if err != nil {
		t.Fatal(err)
	}
	decide, _, err := d.CreateToken(t.Context(), anna.Actor(), NewAPIToken{"anna", "x", []Scope{Read, DecideScope}, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"nobody", "GET", "/api/v1/look", nil, 401},
		{"not a token", "GET", "/api/v1/look", []string{"Authorization", "Bearer x"}, 401},
		{"not bearer", "GET", "/api/v1/look", []string{"Authorization", "Basic " + read.Reveal()}, 401},
		{"unknown token", "GET", "/api/v1/look", []string{"Authorization", "Bearer " + bolwerk.NewToken().Reveal()}, 401},
		{"a wrong token is not passed over for a cookie", "GET", "/api/v1/look", []string{"Authorization", "Bearer x", "Cookie", as(pass)}, 401},
		{"a session as token", "GET", "/api/v1/look", []string{"Authorization", "Bearer " + pass.Session.Reveal()}, 401},
		{"a token as session", "GET", "/api/v1/look", []string{"Cookie", "bolwerk_session=" + read.Reveal()}, 401},
		{"read", "GET", "/api/v1/look", []string{"Authorization", "bearer " + read.Reveal()}, 200},
		{"read may not decide", "POST", "/api/v1/decide", []string{"Authorization", "Bearer " + read.Reveal()}, 403},
		{"decide", "POST", "/api/v1/decide", []string{"Authorization", "Bearer " + decide.Reveal()}, 200},
		{"a token makes no token", "POST", "/account/tokens", []string{"Authorization", "Bearer " + decide.Reveal()}, 403},
		{"an analyst sees no people", "GET", "/people", []string{"Cookie", as(pass)}, 403},
		{"a session", "GET", "/api/v1/look", []string{"Cookie", as(pass)}, 200},
	} {
		w := s.do(c.method, c.path, nil, c.headers...)
		if w.Code != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.status)
		}
		if c.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", c.name)
		}
	}
}

func TestPeopleByForms(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	boss := as(d.in(t, d.person(t, "boss", Administrator)))
	w := s.do("POST", "/people", url.Values{"login": {"Anna"}, "role": {"viewer"}}, "Cookie", boss)
	link := regexp.MustCompile(`http://console\.bolwerk\.example(/welcome/[a-z0-9]{26})`).FindStringSubmatch(w.Body.String())
	if w.Code != 200 || link == nil {
		t.Fatalf("invite: got %d %s", w.Code, w.Body)
	}
	for range 2 { // a scanner of mail opens it first
		if w := s.do("GET", link[1], nil); w.Code != 200 || !strings.Contains(w.Body.String(), "anna") {
			t.Errorf("welcome: got %d", w.Code)
		}
	}
	if w := s.do("POST", link[1], url.Values{"password": {password}, "again": {"something else"}}); w.Code != 422 || !strings.Contains(w.Body.String(), "not the same") {
		t.Errorf("two passwords: got %d", w.Code)
	}
	if w := s.do("POST", link[1], url.Values{"password": {"short"}, "again": {"short"}}, "Accept-Language", "nl"); w.Code != 422 || !strings.Contains(w.Body.String(), "Het heeft 5 tekens") {
		t.Errorf("a short one: got %d %s", w.Code, w.Body)
	}
	if w := s.do("POST", link[1], url.Values{"password": {password}, "again": {password}}); w.Code != 303 || len(w.Result().Cookies()) != 2 {
		t.Errorf("set: got %d %s", w.Code, w.Body)
	}
	if w := s.do("GET", link[1], nil); w.Code != 404 {
		t.Errorf("used: got %d", w.Code)
	}
	if err := d.SetRole(t.Context(), bolwerk.Socket(), "anna", DutyOfficer, "nights"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		form   url.Values
		status int
		holds  string
	}{
		{"/people/anna/role", url.Values{"role": {"admin"}, "reason": {"because"}}, 403, "needs two people"}, // nowhere to wait in this test
		{"/people", url.Values{"login": {"anna"}, "role": {"viewer"}}, 409, "there is an account"},
		{"/people", url.Values{"login": {"<script>"}, "role": {"viewer"}}, 422, "&lt;script&gt;"},
		{"/people/anna/role", url.Values{"role": {"analyst"}}, 422, "Give a reason"},
		{"/people/anna/role", url.Values{"role": {"king"}, "reason": {"because"}}, 422, "want viewer"},
		{"/people/anna/role", url.Values{"role": {"analyst"}, "reason": {"moved team"}}, 303, ""},
		{"/people/boss/role", url.Values{"role": {"duty_officer"}, "reason": {"because"}}, 403, "to your own account"},
		{"/people/nobody/disable", url.Values{"reason": {"because"}}, 404, ""},
		{"/people/anna/reset", url.Values{"reason": {"forgot it"}}, 200, "/welcome/"},
		{"/people/anna/disable", url.Values{"reason": {"left us"}}, 303, ""},
		{"/people/anna/disable", url.Values{"reason": {"left us"}}, 409, "disabled already"},
	} {
		w := s.do("POST", c.path, c.form, "Cookie", boss)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.holds) {
			t.Errorf("%s %v: got %d %s, want %d with %q", c.path, c.form, w.Code, w.Body, c.status, c.holds)
		}
	}
	if got := strings.Join(d.actions(t), " "); got != "account.person.invite account.password.set account.role.set account.role.set account.password.reset account.person.disable" {
		t.Errorf("audit: got %s", got)
	}
}

func TestOwnAccountByForms(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	anna := d.person(t, "anna", Analyst)
	me := as(d.in(t, anna))
	w := s.do("POST", "/account/tokens", url.Values{"name": {"script"}, "scope": {"read", "decide"}, "days": {"30"}}, "Cookie", me)
	token := regexp.MustCompile(`class="give">([a-z0-9]{26})<`).FindStringSubmatch(w.Body.String())
	if w.Code != 200 || token == nil {
		t.Fatalf("token: got %d %s", w.Code, w.Body)
	}
	if w := s.do("GET", "/account", nil, "Cookie", me); strings.Contains(w.Body.String(), token[1]) || !strings.Contains(w.Body.String(), "script") {
		t.Error("the token is shown once, its name always")
	}
	for _, bad := range []url.Values{{"name": {"x"}, "days": {"30"}}, {"scope": {"read"}, "days": {"30"}}, {"name": {"x"}, "scope": {"admin"}, "days": {"30"}}, {"name": {"x"}, "scope": {"read"}, "days": {"x"}}} {
		if w := s.do("POST", "/account/tokens", bad, "Cookie", me); w.Code != 422 || !strings.Contains(w.Body.String(), `aria-describedby="error"`) && !strings.Contains(w.Body.String(), `id="error"`) {
			t.Errorf("%v: got %d", bad, w.Code)
		}
	}
	all, _ := d.Tokens(t.Context(), "anna")
	if w := s.do("POST", "/account/tokens/"+all[0].ID+"/revoke", nil, "Cookie", me); w.Code != 303 {
		t.Errorf("revoke: got %d", w.Code)
	}
	d.in(t, anna)
	sessions, _ := d.Sessions(t.Context(), anna.ID)
	if w := s.do("POST", "/account/sessions/"+sessions[0].ID+"/end", nil, "Cookie", me); w.Code != 303 {
		t.Errorf("end a session: got %d", w.Code)
	}
	ben := as(d.in(t, d.person(t, "ben", Analyst)))
	sessions, _ = d.Sessions(t.Context(), anna.ID)
	if w := s.do("POST", "/account/sessions/"+sessions[0].ID+"/end", nil, "Cookie", ben); w.Code != 404 {
		t.Errorf("end somebody else's session: got %d", w.Code)
	}
}

// fixture is people as the golden pages show them.
func fixture(t *testing.T) (*site, string) {
	d := open(t)
	s := openSite(t, d)
	d.clock.Add(-30 * time.Hour)
	boss := d.person(t, "boss", Administrator)
	anna := d.person(t, "anna", DutyOfficer)
	d.person(t, "chris.with-a-very-long-name", Analyst)
	if _, err := d.Invite(t.Context(), bolwerk.Socket(), "ben", Viewer); err != nil {
		t.Fatal(err)
	}
	d.clock.Add(30 * time.Hour)
	if err := d.Disable(t.Context(), boss.Actor(), "chris.with-a-very-long-name", "left"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []NewAPIToken{{"boss", "nightly figures", []Scope{Read}, 90}, {"anna", "mail gateway", []Scope{Read, Report}, 365}} {
		if _, _, err := d.CreateToken(t.Context(), bolwerk.Socket(), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update account set seen_at=$1 where id=$2`, store.Micros(d.clock.Now().Add(-time.Hour)), anna.ID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s, as(d.in(t, boss))
}

var changing = regexp.MustCompile(`\.[0-9a-f]{12}\.|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|<code>[0-9a-f]{16}</code>`)

func TestGoldenPages(t *testing.T) {
	s, boss := fixture(t)
	for name, c := range map[string]struct {
		path, cookie string
	}{
		"login.en":   {"/login", ""},
		"login.nl":   {"/login?lang=nl", ""},
		"people.en":  {"/people", boss},
		"people.fr":  {"/people?lang=fr&q=zzz", boss},
		"person.de":  {"/people/anna?lang=de", boss},
		"account.en": {"/account", boss},
		"account.nl": {"/account?lang=nl&done=token", boss},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.do("GET", c.path, nil, "Cookie", c.cookie)
			if w.Code != 200 {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			got := changing.ReplaceAllString(w.Body.String(), "*")
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("page differs from %s; look at it and run with -update", file)
			}
			if strings.Contains(got, "account.") && regexp.MustCompile(`>account\.[a-z.]+<`).MatchString(got) {
				t.Error("a text is missing")
			}
		})
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "/people?q=x#y", "//evil.example", "/\\evil.example", "https://evil.example", "/%2f/evil.example", "/\t/evil.example", "/login?next=/login", "/a//b", "/..//evil.example"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://console.bolwerk.example/login")
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s)
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.Contains(got, "\\") {
			t.Errorf("%q leads to %v (%v)", s, u, err)
		}
	})
}
