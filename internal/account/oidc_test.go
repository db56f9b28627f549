package account

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"math/big"
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
)

// issuer is an OpenID provider: discovery, keys, code flow with PKCE, userinfo
// and the end of a session. It holds its clients to the rules.
type issuer struct {
	*httptest.Server
	t    *testing.T
	key  *rsa.PrivateKey
	now  func() time.Time
	user map[string]any // claims of who is logged in there
	// lie changes an ID token before it is signed.
	lie   func(map[string]any)
	codes map[string]url.Values // code -> the question it answers
}

func newIssuer(t *testing.T, now func() time.Time) *issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, now: now, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"userinfo_endpoint": i.URL + "/userinfo", "end_session_endpoint": i.URL + "/end", "id_token_signing_alg_values_supported": []string{"RS256"},
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
			"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("client_id") != "bolwerk" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" || q.Get("nonce") == "" || !strings.Contains(q.Get("scope"), "openid") {
			http.Error(w, "bad request", 400)
			return
		}
		code := bolwerk.NewToken().Reveal()
		i.codes[code] = q
		back, _ := url.Parse(q.Get("redirect_uri"))
		back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
		http.Redirect(w, r, back.String(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		q, ok := i.codes[r.PostForm.Get("code")]
		delete(i.codes, r.PostForm.Get("code"))
		challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		}
		if !ok || b64(challenge[:]) != q.Get("code_challenge") || id != "bolwerk" || secret != "sesame" || r.PostForm.Get("redirect_uri") != q.Get("redirect_uri") {
			w.WriteHeader(400)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		claims := map[string]any{"iss": i.URL, "aud": "bolwerk", "nonce": q.Get("nonce"), "iat": i.now().Unix(), "exp": i.now().Add(time.Minute).Unix()}
		for k, v := range i.user {
			claims[k] = v
		}
		if i.lie != nil {
			i.lie(claims)
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": i.sign(claims)})
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"sub": i.user["sub"], "groups": []string{"from-userinfo"}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) sign(claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	text := b64([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

type provided struct {
	*site
	at *issuer
}

// openProvided is a console with one log-in provider.
func openProvided(t *testing.T, change func(*Provider)) *provided {
	t.Helper()
	d := open(t)
	at := newIssuer(t, d.clock.Now)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Provider{Name: "staff", Title: "Harbour staff", Issuer: at.URL, ClientID: "bolwerk", ClientSecretFile: secret,
		Roles: map[string]string{"soc": "analyst", "soc-lead": "duty_officer", "it": "admin", "guests": "viewer", "from-userinfo": "viewer"}}
	if change != nil {
		change(&p)
	}
	d.cfg.OIDC = []Provider{p}
	if err := d.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return &provided{openSite(t, d), at}
}

var onward = regexp.MustCompile(`<a class="button" href="([^"]+)"`)

// come walks through the provider as a browser does. It gives the answer of our
// callback, and the cookies that the browser has then.
func (p *provided) come(t *testing.T, form url.Values, cookies ...string) (*httptest.ResponseRecorder, string) {
	t.Helper()
	w := p.do("POST", "/login/oidc/staff", form, "Cookie", strings.Join(cookies, "; "))
	m := onward.FindStringSubmatch(w.Body.String())
	if w.Code != 200 || m == nil || !strings.Contains(w.Body.String(), `http-equiv="refresh"`) {
		t.Fatalf("leave: got %d %s", w.Code, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %s is not guarded", c.Name)
		}
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.Host != "console.bolwerk.example" {
		t.Fatalf("the provider sent %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	w = p.do("GET", back.RequestURI(), nil, "Cookie", strings.Join(cookies, "; "))
	session := ""
	for _, c := range w.Result().Cookies() {
		if c.Name == sessionCookie && c.Value != "" {
			session = c.Name + "=" + c.Value
		}
	}
	return w, session
}

func (p *provided) who(t *testing.T, session string) Person {
	t.Helper()
	me, err := p.Session(t.Context(), strings.TrimPrefix(session, sessionCookie+"="))
	if err != nil {
		t.Fatal(err)
	}
	return me
}

func TestAProviderLetsInWhomItVouchesFor(t *testing.T) {
	p := openProvided(t, nil)
	p.at.user = map[string]any{"sub": "s1", "preferred_username": "Vera@harbour.example", "email": "vera@harbour.example", "email_verified": true, "groups": []string{"x", "soc"}}
	if w := p.do("GET", "/login", nil); !strings.Contains(w.Body.String(), "Log in with Harbour staff") {
		t.Error("no button")
	}
	w, session := p.come(t, url.Values{"next": {"/queue?q=x"}})
	if w.Code != 303 || w.Header().Get("Location") != "/queue?q=x" {
		t.Fatalf("got %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	me := p.who(t, session)
	if me.Login != "vera" || me.Role != Analyst || me.Mail != "vera@harbour.example" || me.Issuer != p.at.URL || me.Fresh(p.clock.Now()) {
		t.Errorf("got %+v", me)
	}
	if w, session := p.come(t, nil); w.Code != 303 || p.who(t, session).ID != me.ID {
		t.Errorf("again: got %d, another account", w.Code)
	}
	p.at.user["groups"] = "guests" // a provider may send one group as text
	if _, session := p.come(t, nil); p.who(t, session).Role != Viewer {
		t.Error("the role does not follow the groups down")
	}
	out := p.do("POST", "/logout", nil, "Cookie", session)
	if to := out.Header().Get("Location"); to != "/login?out=staff" {
		t.Errorf("log-out leads to %s", to)
	}
	if w := p.do("GET", "/login?out=staff", nil); !strings.Contains(w.Body.String(), p.at.URL+"/end?client_id=bolwerk") {
		t.Errorf("no way to log out there: %s", w.Body)
	}
}

func TestAProvidersAnswerMustFit(t *testing.T) {
	p := openProvided(t, nil)
	p.at.user = map[string]any{"sub": "s1", "groups": []string{"soc"}}
	for name, lie := range map[string]func(map[string]any){
		"another audience": func(c map[string]any) { c["aud"] = "somebody-else" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.example" },
		"another nonce":    func(c map[string]any) { c["nonce"] = "x" },
		"no nonce":         func(c map[string]any) { delete(c, "nonce") },
		"expired":          func(c map[string]any) { c["exp"] = start.Add(-time.Hour).Unix() },
	} {
		p.at.lie = lie
		if w, session := p.come(t, nil); w.Code != 403 || session != "" {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
	p.at.lie = nil
	if w := p.do("GET", "/login/oidc/staff/callback?code=x&state=y", nil); w.Code != 403 {
		t.Errorf("without having left: %d", w.Code)
	}
	left := p.do("POST", "/login/oidc/staff", nil)
	cookie := left.Result().Cookies()[0]
	if w := p.do("GET", "/login/oidc/staff/callback?code=x&state=y", nil, "Cookie", cookie.Name+"="+cookie.Value); w.Code != 403 {
		t.Errorf("another state: %d", w.Code)
	}
	// A stolen code does not work with another browser's verifier, nor twice.
	m := onward.FindStringSubmatch(left.Body.String())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, _ := url.Parse(resp.Header.Get("Location"))
	other := p.do("POST", "/login/oidc/staff", nil).Result().Cookies()[0]
	if w := p.do("GET", back.RequestURI(), nil, "Cookie", other.Name+"="+other.Value); w.Code != 403 {
		t.Errorf("another browser: %d", w.Code)
	}
	if w := p.do("GET", back.RequestURI(), nil, "Cookie", cookie.Name+"="+cookie.Value); w.Code != 303 {
		t.Errorf("the right browser: %d %s", w.Code, w.Body)
	}
	if w := p.do("GET", back.RequestURI(), nil, "Cookie", cookie.Name+"="+cookie.Value); w.Code != 403 {
		t.Errorf("twice: %d", w.Code)
	}
	p.clock.Add(leaveLife)
	if w := p.do("GET", back.RequestURI(), nil, "Cookie", cookie.Name+"="+cookie.Value); w.Code != 403 {
		t.Errorf("too late: %d", w.Code)
	}
}

func TestNoGroupNoAccess(t *testing.T) {
	p := openProvided(t, nil)
	p.at.user = map[string]any{"sub": "s1", "preferred_username": "vera", "groups": []string{"canteen"}}
	if w, session := p.come(t, nil); w.Code != 403 || session != "" || !strings.Contains(w.Body.String(), "Your groups give you no access") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if all, _ := p.List(t.Context()); len(all) != 0 {
		t.Errorf("an account was made: %+v", all)
	}
	p.at.user["groups"] = []string{"soc"}
	_, session := p.come(t, nil)
	me := p.who(t, session)
	token, _, err := p.CreateToken(t.Context(), me.Actor(), NewAPIToken{"vera", "x", []Scope{Read}, 30})
	if err != nil {
		t.Fatal(err)
	}
	p.at.user["groups"] = []string{}
	if w, again := p.come(t, nil); w.Code != 403 || again != "" {
		t.Errorf("without groups: %d", w.Code)
	}
	if _, err := p.Session(t.Context(), strings.TrimPrefix(session, sessionCookie+"=")); err == nil {
		t.Error("the old session goes on")
	}
	if _, err := p.Token(t.Context(), token.Reveal()); err == nil {
		t.Error("the token goes on")
	}
	delete(p.at.user, "groups")
	if _, session := p.come(t, nil); p.who(t, session).Role != Viewer {
		t.Error("groups at the userinfo endpoint are not read")
	}
}

func TestAProviderTakesNoAccountOver(t *testing.T) {
	p := openProvided(t, nil)
	boss := p.testDesk.person(t, "boss", Administrator)
	for _, name := range []string{"boss", "boss@evil.example", "../x", "", strings.Repeat("x", 90)} {
		p.at.user = map[string]any{"sub": "s-" + name, "preferred_username": name, "email": "boss@harbour.example", "groups": []string{"guests"}}
		_, session := p.come(t, nil)
		if me := p.who(t, session); me.ID == boss.ID || me.Login == "boss" || me.Role != Viewer || me.Mail != "" {
			t.Errorf("%q: got %+v", name, me)
		}
	}
	p.at.user = map[string]any{"sub": "s-boss", "groups": []string{"guests"}}
	_, session := p.come(t, nil)
	if err := p.Disable(t.Context(), boss.Actor(), p.who(t, session).Login, "left"); err != nil {
		t.Fatal(err)
	}
	if w, session := p.come(t, nil); w.Code != 403 || session != "" {
		t.Errorf("disabled: got %d", w.Code)
	}
	login := ""
	all, err := p.List(t.Context())
	for _, x := range all {
		if x.State == Disabled {
			login = x.Login
		}
	}
	if err := errors.Join(err, p.Enable(t.Context(), boss.Actor(), login, "came back")); err != nil {
		t.Fatal(err)
	}
	if w, session := p.come(t, nil); w.Code != 303 || p.who(t, session).Login != login {
		t.Errorf("enabled again: got %d", w.Code)
	}
	if err := p.Enable(t.Context(), bolwerk.Socket(), "boss", "x"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("an account of our own: %v", err)
	}
	if _, err := p.accounts.Login(t.Context(), "boss-", bolwerk.NewSecret(""), here); err == nil {
		t.Error("an account of a provider has an empty password")
	}
}

// waiting is where proposals wait in these tests; desk has tests with its own.
type waiting struct{ all []Proposal }

func (w *waiting) Propose(tx *store.Tx, action string, body any, by bolwerk.Actor, reason, need string) (Proposal, error) {
	b, err := json.Marshal(body)
	p := Proposal{ID: "1", Action: action, Body: b, By: by, Reason: reason, Need: need, State: "open"}
	w.all = append(w.all, p)
	return p, err
}
func (w *waiting) Find(*store.Tx, string) (Proposal, error)                     { return w.all[0], nil }
func (w *waiting) Open(*store.Tx, ...string) ([]Proposal, error)                { return w.all, nil }
func (w *waiting) End(_ *store.Tx, p Proposal, d string, _ bolwerk.Actor) error { return nil }

func TestARaiseByGroupsNeedsAnAdministratorToo(t *testing.T) {
	p := openProvided(t, nil)
	w := &waiting{}
	p.testDesk.Second(w)
	p.at.user = map[string]any{"sub": "s1", "preferred_username": "vera", "groups": []string{"soc", "soc-lead"}}
	for range 2 { // the second log-in proposes nothing new
		if _, session := p.come(t, nil); p.who(t, session).Role != Analyst {
			t.Errorf("got %s", p.who(t, session).Role)
		}
	}
	if len(w.all) != 1 || !strings.Contains(string(w.all[0].Body), `"to":"duty_officer"`) || w.all[0].By != bolwerk.Rule("oidc-staff") {
		t.Fatalf("got %+v", w.all)
	}
	if err := p.SetRole(t.Context(), bolwerk.Person("x"), "vera", DutyOfficer, "approved"); err != nil {
		t.Fatal(err)
	}
	if _, session := p.come(t, nil); p.who(t, session).Role != DutyOfficer || len(w.all) != 1 {
		t.Error("what was approved is not kept")
	}
	p.at.user["groups"] = []string{"it"}
	if _, session := p.come(t, nil); p.who(t, session).Role != Viewer {
		t.Errorf("a duty officer who becomes administrator keeps %s", p.who(t, session).Role)
	}

	trusting := openProvided(t, func(p *Provider) { p.TrustGroups = true })
	trusting.at.user = map[string]any{"sub": "s1", "preferred_username": "vera", "groups": []string{"soc-lead"}}
	_, session := trusting.come(t, nil)
	if me := trusting.who(t, session); me.Role != DutyOfficer || me.MayApprove(trusting.clock.Now()) == nil {
		t.Errorf("got %s, and it may approve at once", me.Role)
	}
}

func TestProofByProvider(t *testing.T) {
	p := openProvided(t, nil)
	p.at.user = map[string]any{"sub": "s1", "preferred_username": "vera", "groups": []string{"soc"}}
	_, session := p.come(t, nil)
	p.clock.Add(ProofLife)
	if w := p.do("GET", "/proof?next=/approve/1", nil, "Cookie", session); !strings.Contains(w.Body.String(), "Log in with Harbour staff") || strings.Contains(w.Body.String(), `name="password"`) {
		t.Errorf("got %s", w.Body)
	}
	ask := url.Values{"proof": {"1"}, "next": {"/approve/1"}}
	if w, _ := p.come(t, ask, session); w.Code != 403 || p.who(t, session).Fresh(p.clock.Now()) {
		t.Errorf("a provider that does not say when: %d", w.Code)
	}
	p.at.user["auth_time"] = p.clock.Now().Add(-time.Hour).Unix()
	if w, _ := p.come(t, ask, session); w.Code != 403 || p.who(t, session).Fresh(p.clock.Now()) {
		t.Errorf("an hour ago: %d", w.Code)
	}
	p.at.user["auth_time"], p.at.user["sub"] = p.clock.Now().Unix(), "s2"
	if w, _ := p.come(t, ask, session); w.Code != 403 || p.who(t, session).Fresh(p.clock.Now()) {
		t.Errorf("somebody else: %d", w.Code)
	}
	p.at.user["sub"] = "s1"
	w, _ := p.come(t, ask, session)
	if w.Code != 303 || w.Header().Get("Location") != "/approve/1" || !p.who(t, session).Fresh(p.clock.Now()) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAFormSurvivesAProvider(t *testing.T) {
	p := openProvided(t, nil)
	mux := http.NewServeMux()
	p.Routes(mux)
	p.decides(mux)
	p.h = p.frame.Handler(mux)
	p.at.user = map[string]any{"sub": "s1", "preferred_username": "vera", "groups": []string{"soc"}}
	w := p.do("POST", "/case/7/confirm", url.Values{"reason": {"asks for the PIN" + strings.Repeat(", and more", 2000)}}, "Referer", "http://console.bolwerk.example/case/7")
	held := heldField.FindStringSubmatch(w.Body.String())
	if held == nil {
		t.Fatal("not kept")
	}
	w, session := p.come(t, url.Values{"held": {held[1]}})
	to := w.Header().Get("Location")
	if !strings.HasPrefix(to, "/case/7?held=") {
		t.Fatalf("got %d %s", w.Code, to)
	}
	if w := p.do("GET", to, nil, "Cookie", session); !strings.Contains(w.Body.String(), "asks for the PIN") {
		t.Errorf("lost: %s", w.Body)
	}
}

func TestAProviderThatIsAwayIsSaid(t *testing.T) {
	p := openProvided(t, nil)
	p.at.Close()
	if w := p.do("POST", "/login/oidc/staff", nil); w.Code != 503 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := p.do("POST", "/login/oidc/nobody", nil); w.Code != 404 {
		t.Errorf("got %d", w.Code)
	}
}

func TestProviderConfig(t *testing.T) {
	ok := Provider{Name: "staff", Issuer: "https://id.example", ClientID: "x", Roles: map[string]string{"a": "viewer"}}
	for name, change := range map[string]func(*Provider){
		"a name with a slash": func(p *Provider) { p.Name = "a/b" }, "plain http": func(p *Provider) { p.Issuer = "http://id.example" }, "no client": func(p *Provider) { p.ClientID = "" },
		"no roles": func(p *Provider) { p.Roles = nil }, "an unknown role": func(p *Provider) { p.Roles = map[string]string{"a": "king"} },
	} {
		c := DefaultConfig()
		p := ok
		change(&p)
		if c.OIDC = []Provider{p}; c.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c := DefaultConfig()
	if c.OIDC = []Provider{ok, ok}; c.Validate() == nil {
		t.Error("the same provider twice")
	}
}
