package door

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bolwerk"
)

// Nothing that a stranger sends chooses where a browser goes next, or under what
// name we are called.
func TestNobodyIsSentElsewhere(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	own := regexp.MustCompile(`^/r/[0-9a-z]{26}(\?lang=(nl|fr|de|en))?$`)
	check := func(what string, w *httptest.ResponseRecorder) {
		t.Helper()
		if to := w.Header().Get("Location"); to != "" && !own.MatchString(to) {
			t.Errorf("%s leads to %q", what, to)
		}
		if w.Code == 200 && strings.Contains(w.Body.String(), `href="//`) {
			t.Errorf("%s: a link out of the house", what)
		}
	}
	code := bolwerk.NewToken()
	for _, lang := range []string{"//evil.example", "nl\r\nLocation: https://evil.example", "nl&x=//evil.example", "javascript:alert(1)"} {
		q := "?lang=" + url.QueryEscape(lang)
		check("a report", s.form("/report"+q, "text", "https://evil.example/"))
		check("an objection", s.form("/appeal"+q, "name", phish.Name, "role", "owner", "text", "mine"))
		check("a code", s.get("/r"+q+"&code="+code.Reveal()))
		check("the first page", s.get("/"+q))
	}
	for _, c := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "..%2f..%2fevil.example", code.Reveal() + "/../../evil.example", code.Reveal() + "\r\nX: y"} {
		check("the code "+c, s.get("/r?code="+url.QueryEscape(c)))
		check("the path "+c, s.get("/r/"+url.PathEscape(c)))
	}
	for _, p := range []string{"//evil.example", "//evil.example/..", "/r//evil.example", "/learn/..%2f..%2f", "/static/..%2fdoor.css", "/./name"} {
		w := s.get(p)
		if to := w.Header().Get("Location"); strings.HasPrefix(to, "//") || strings.Contains(to, "://") {
			t.Errorf("%s leads to %q", p, to)
		}
	}
}

func TestHeadersOfStrangersChangeNothing(t *testing.T) {
	s := newSite(t, nil, func(c *Config) { c.ReportsPerHour, c.LooksPerHour = 2, 2 })
	w := s.json(`{"url":"http://a.example"}`, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "gopher", "Forwarded", "host=evil.example")
	if !strings.Contains(w.Body.String(), `"receipt_url":"https://veilig.polder.example/r/`) {
		t.Errorf("got %s", w.Body)
	}
	for _, host := range []string{"evil.example", "veilig.polder.example.evil.example", "evil.example:443", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, r)
		if w.Code != 421 {
			t.Errorf("called %q: got %d, want 421", host, w.Code)
		}
	}
	// Who is not our proxy does not choose whose rate is used up.
	for i := range 3 {
		w = s.json(`{"url":"http://a.example"}`, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "Forwarded", "for=203.0.113.7", "X-Real-Ip", "203.0.113.8")
	}
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the fourth report of a network that may send two: got %d", w.Code)
	}
}

// Who guesses codes learns nothing: 128 bits, and the same answer for a code
// that was never given, one that is over and one that is none.
func TestGuessingCodesTellsNothing(t *testing.T) {
	s := newSite(t, nil, nil)
	over := bolwerk.NewToken()
	e := receiptEntry(t, over, 1, Receipt{Kind: "report", State: "waiting", At: start})
	e.Until = start.UnixMicro() - 1
	s.publish(t, e)
	same := func(prefix string) {
		t.Helper()
		first := ""
		for _, code := range []string{bolwerk.NewToken().Reveal(), over.Reveal(), "x-y-z-z-y", strings.Repeat("7", 26), strings.Repeat("z", 26), strings.Repeat("a", 190)} {
			w := s.get(prefix + code)
			h := w.Header().Clone()
			h.Del("X-Request-Id")
			got := fmt.Sprint(w.Code, h, strings.NewReplacer(code, "CODE", w.Header().Get("X-Request-Id"), "ID").Replace(w.Body.String()))
			if first == "" {
				first = got
			}
			if w.Code != 404 || got != first {
				t.Errorf("%s%s: got\n%s\nwant, as for any other\n%s", prefix, code, got, first)
			}
		}
	}
	same("/r/")
	same("/api/v1/receipts/")
	if n := len(bolwerk.NewToken().Reveal()); n*5 < 128 {
		t.Errorf("a code of %d letters", n)
	}
}

// A network that has used up its rate is told when, and of another way; others
// are not held up.
func TestAFloodDoesNotShutPeopleOut(t *testing.T) {
	s := newSite(t, nil, func(c *Config) { c.ReportsPerHour, c.LooksPerHour = 3, 3 })
	s.publish(t, listedEntry(t, 1, phish))
	var w *httptest.ResponseRecorder
	for range 4 {
		w = s.form("/report", "text", "https://evil.example/")
	}
	if n, err := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != 429 || err != nil || n < 1 || !strings.Contains(w.Body.String(), "Go back in your browser") || !strings.Contains(w.Body.String(), "suspicious@polder.example") {
		t.Errorf("the fourth report: got %d, Retry-After %q\n%s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if len(s.desk.body) != 3 {
		t.Errorf("%d reports were kept, want 3", len(s.desk.body))
	}
	for range 4 {
		w = s.get("/name?q=evil.example")
	}
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the fourth look-up: got %d", w.Code)
	}
	for _, p := range []string{"/", "/first-aid", "/warnings", "/learn/helpdesk"} {
		if w := s.get(p); w.Code != 200 {
			t.Errorf("%s for a network without look-ups: got %d: help is for everybody", p, w.Code)
		}
	}
	if w := s.get("/name?q=evil.example", "From", "198.51.100.7:5000"); w.Code != 200 {
		t.Errorf("another network: got %d", w.Code)
	}
}
