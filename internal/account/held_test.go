package account

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/web"
)

var heldField = regexp.MustCompile(`name="held" value="([^"]+)"`)

// decides adds a form to the site, and the page that it is on.
func (s *site) decides(mux *http.ServeMux) (sent *int) {
	sent = new(int)
	mux.Handle("GET /case/7", s.Require(Look, s.frame.Do(func(w http.ResponseWriter, r *http.Request) error {
		return s.pages.Render(w, r, 200, "proof", proofData{Next: "/reason-was/" + Held(r).Form.Get("reason")})
	})))
	mux.Handle("POST /case/7/confirm", s.Require(Decide, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { *sent++ })))
	return sent
}

func TestAnExpiredSessionInADecisionLosesNothing(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	mux := http.NewServeMux()
	s.Routes(mux)
	sent := s.decides(mux)
	s.h = s.frame.Handler(mux)
	anna, err := d.Seed(t.Context(), "anna", Analyst, bolwerk.NewSecret(password), start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Seed(t.Context(), "ben", Analyst, bolwerk.NewSecret(password), start.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	old := as(d.in(t, anna))
	d.clock.Add(d.cfg.SessionIdle.D())
	typed := url.Values{"reason": {`he said "<b>stop</b>"`}, "scope": {"host"}, "password": {"never kept"}}
	w := s.do("POST", "/case/7/confirm", typed, "Cookie", old, "Referer", "http://console.bolwerk.example/case/7?report=3")
	held := heldField.FindStringSubmatch(w.Body.String())
	if w.Code != 403 || held == nil || !strings.Contains(w.Body.String(), "What you entered is kept") {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "he said") {
		t.Error("the log-in page shows a stranger what was entered")
	}
	// A wrong password first: the form must survive it.
	w = s.do("POST", "/login", url.Values{"login": {"anna"}, "password": {"wrong wrong wrong"}, "held": {held[1]}})
	if again := heldField.FindStringSubmatch(w.Body.String()); again == nil || again[1] != held[1] {
		t.Errorf("lost at a wrong password: %s", w.Body)
	}
	w = s.do("POST", "/login", url.Values{"login": {"ben"}, "password": {password}, "held": {held[1]}})
	if to := w.Header().Get("Location"); to != "/" {
		t.Errorf("somebody else gets anna's form: %s", to)
	}
	w = s.do("POST", "/login", url.Values{"login": {"anna"}, "password": {password}, "held": {held[1]}})
	to := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(to, "/case/7?held=") || !strings.HasSuffix(to, "&report=3") {
		t.Fatalf("got %d %s", w.Code, to)
	}
	cookie := w.Result().Cookies()[0]
	me := cookie.Name + "=" + cookie.Value
	w = s.do("GET", to, nil, "Cookie", me)
	for _, want := range []string{"You were logged out while you sent this form", "he said &#34;&lt;b&gt;stop", "/reason-was/"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q: %s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "never kept") {
		t.Error("a password was kept")
	}
	if *sent != 0 {
		t.Error("the form sent itself")
	}
	if w := s.do("GET", strings.Replace(to, "/case", "/case", 1), nil, "Cookie", as(d.in(t, d.person(t, "chris", Analyst)))); strings.Contains(w.Body.String(), "he said") {
		t.Error("somebody else reads it by its address")
	}
	d.clock.Add(heldLife)
	if w := s.do("GET", to, nil, "Cookie", me); strings.Contains(w.Body.String(), "he said") {
		t.Error("it is kept for ever")
	}
}

func TestAFormThatIsNotOursIsNotKept(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	mux := http.NewServeMux()
	s.Routes(mux)
	s.decides(mux)
	s.h = s.frame.Handler(mux)
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
	}{
		"from another site": {url.Values{"reason": {"x"}}, []string{"Origin", "http://evil.example"}},
		"too large":         {url.Values{"reason": {strings.Repeat("x", maxHeld+1)}}, nil},
		"a program":         {url.Values{"reason": {"x"}}, []string{"Authorization", "Bearer x"}},
		"JSON":              {url.Values{"reason": {"x"}}, []string{"Content-Type", "application/json"}},
	} {
		if w := s.do("POST", "/case/7/confirm", c.form, c.headers...); heldField.MatchString(w.Body.String()) || w.Code == 200 {
			t.Errorf("%s: got %d, kept", name, w.Code)
		}
	}
	anna := d.person(t, "anna", Analyst)
	for _, bad := range []string{"x", "////", strings.Repeat("A", 200), strings.Repeat("A", 3*maxHeld)} {
		if to := d.keepHeld(t.Context(), anna.ID, bad); to != "" {
			t.Errorf("%.20q leads to %q", bad, to)
		}
	}
	w := s.do("POST", "/case/7/confirm", url.Values{"reason": {"x"}}, "Referer", "http://evil.example/phish")
	held := heldField.FindStringSubmatch(w.Body.String())
	if held == nil {
		t.Fatal("not kept")
	}
	if to := d.keepHeld(t.Context(), anna.ID, held[1]); !strings.HasPrefix(to, "/case/7?held=") {
		t.Errorf("a stranger's page says where to go: %q", to)
	}
}

func TestProofAgain(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	anna, err := d.Seed(t.Context(), "anna", DutyOfficer, bolwerk.NewSecret(password), start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pass := d.in(t, anna)
	me := func() Person {
		p, err := d.Session(t.Context(), pass.Session.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := me().MayApprove(d.clock.Now()); err != nil {
		t.Errorf("just logged in: %v", err)
	}
	d.clock.Add(ProofLife)
	if err := me().MayApprove(d.clock.Now()); web.Explain(err).Status != 403 {
		t.Errorf("5 minutes later: got %v", err)
	}
	wrong := s.do("POST", "/proof", url.Values{"password": {"wrong wrong wrong"}, "next": {"/approve/1"}}, "Cookie", as(pass))
	if wrong.Code != 403 || !strings.Contains(wrong.Body.String(), "The password is wrong") || !strings.Contains(wrong.Body.String(), `value="/approve/1"`) || me().Fresh(d.clock.Now()) {
		t.Errorf("a wrong password: got %d %s", wrong.Code, wrong.Body)
	}
	if w := s.do("POST", "/proof", url.Values{"password": {password}, "next": {"/approve/1"}}, "Cookie", as(pass)); w.Code != 303 || w.Header().Get("Location") != "/approve/1" {
		t.Errorf("the right one: got %d %s", w.Code, w.Header().Get("Location"))
	}
	if err := me().MayApprove(d.clock.Now()); err != nil {
		t.Errorf("after the proof: %v", err)
	}
	if w := s.do("GET", "/proof?next=https://evil.example/", nil, "Cookie", as(pass)); strings.Contains(w.Body.String(), `="https://evil.example`) {
		t.Error("an open redirect")
	}
	for range freeTries {
		s.do("POST", "/proof", url.Values{"password": {"wrong wrong wrong"}}, "Cookie", as(pass))
	}
	if w := s.do("POST", "/proof", url.Values{"password": {password}}, "Cookie", as(pass)); w.Code != 429 {
		t.Errorf("a stolen session may guess the password as often as it likes: %d", w.Code)
	}
}

// A form waits for the way back from a provider whatever its size, once, and for a
// few minutes; strangers have room for some, whose session it was always has.
func TestAFormWaitsForTheWayBack(t *testing.T) {
	d := open(t)
	seal := func(account, text string) string {
		b, err := json.Marshal(HeldForm{Path: "/case/7/confirm", Back: "/case/7", Form: url.Values{"reason": {text}}, Account: account, At: d.clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := d.vault.Seal("account.held", b)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(sealed)
	}
	keep := func(state, form string) {
		if err := d.keepAway(t.Context(), state, form); err != nil {
			t.Fatal(err)
		}
	}
	long := seal("", strings.Repeat("a long reason ", 3000))
	keep("one", long)
	if got := d.takeAway(t.Context(), "another"); got != "" {
		t.Error("another log-in gets the form")
	}
	if got := d.takeAway(t.Context(), "one"); got != long {
		t.Errorf("of %d bytes %d came back", len(long), len(got))
	}
	if got := d.takeAway(t.Context(), "one"); got != "" {
		t.Error("it comes back twice")
	}
	for _, none := range []string{"", "!", base64.RawURLEncoding.EncodeToString([]byte("not ours")), strings.Repeat("x", 3*maxHeld)} {
		if keep("none", none); d.takeAway(t.Context(), "none") != "" {
			t.Errorf("%.20q is kept", none)
		}
	}
	short := seal("", "x")
	for i := range maxAway + 1 {
		keep(strconv.Itoa(i), short)
	}
	if d.takeAway(t.Context(), strconv.Itoa(maxAway)) != "" {
		t.Error("strangers have room without a bound")
	}
	keep("known", seal("0190a000-0000-7000-8000-000000000001", "y"))
	if d.takeAway(t.Context(), "known") == "" {
		t.Error("strangers take the room of somebody who is known")
	}
	d.clock.Add(leaveLife)
	if d.takeAway(t.Context(), "0") != "" {
		t.Error("it waits for ever")
	}
	keep("later", seal("", "z"))
	if d.takeAway(t.Context(), "later") == "" {
		t.Error("what is over takes the room")
	}
}
