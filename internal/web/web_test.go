package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/brand"
	"bolwerk/internal/clock"
)

var now = time.Date(2026, 11, 23, 13, 5, 9, 0, time.UTC)

type setup struct {
	*Frame
	mux *http.ServeMux
	log *bytes.Buffer
	reg *prometheus.Registry
}

func newFrame(t *testing.T, change func(*Site)) *setup {
	t.Helper()
	s := &setup{mux: http.NewServeMux(), log: &bytes.Buffer{}, reg: prometheus.NewRegistry()}
	m, err := NewMetrics(s.reg)
	if err != nil {
		t.Fatal(err)
	}
	site := Site{Name: "test", Config: DefaultConfig(), Clock: clock.NewFake(now), Log: slog.New(slog.NewTextHandler(s.log, nil)), Metrics: m}
	site.Config.URL = "https://console.bolwerk.example"
	if change != nil {
		change(&site)
	}
	if s.Frame, err = New(site); err != nil {
		t.Fatal(err)
	}
	s.mux.HandleFunc("GET /ok/{code}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
	s.mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "done") })
	s.mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	s.mux.Handle("POST /read", s.Do(func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.ReadAll(r.Body)
		return err
	}))
	return s
}

func (s *setup) do(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "console.bolwerk.example"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFrame(t *testing.T) {
	s := newFrame(t, func(s *Site) { s.Config.Hosts = []string{"127.0.0.1", "[::1]"} })
	h := s.Handler(s.mux)
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
		holds              string
	}{
		{"a page", "GET", "/ok/x", nil, 200, "fine"},
		{"another host is refused", "GET", "/ok/x", []string{"Host", "evil.example"}, 421, "does not answer"},
		{"a host with port and case", "GET", "/ok/x", []string{"Host", "CONSOLE.bolwerk.example:8443"}, 200, "fine"},
		{"a further host", "GET", "/ok/x", []string{"Host", "[::1]:8080"}, 200, "fine"},
		{"no host", "GET", "/ok/x", []string{"Host", ""}, 421, ""},
		{"a form of our own", "POST", "/form", []string{"Sec-Fetch-Site", "same-origin"}, 200, "done"},
		{"a form from another site", "POST", "/form", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
		{"a form from another origin, old browser", "POST", "/form", []string{"Origin", "https://evil.example"}, 403, "another site"},
		{"a form of a sandboxed page", "POST", "/form", []string{"Origin", "null"}, 403, "another site"},
		{"our own origin behind a proxy", "POST", "/form", []string{"Origin", "https://console.bolwerk.example", "Host", "127.0.0.1"}, 200, "done"},
		{"a program without such headers", "POST", "/form", nil, 200, "done"},
		{"no such page", "GET", "/nothing", nil, 404, "<h1>There is no such page</h1>"},
		{"no such page, nl", "GET", "/nothing", []string{"Accept-Language", "nl-BE,fr;q=0.5"}, 404, "<h1>Deze pagina bestaat niet</h1>"},
		{"wrong method", "GET", "/form", nil, 405, "That does not work here"},
		{"no such API", "GET", "/api/v1/nothing", nil, 404, `"status":404`},
		{"a panic", "GET", "/panic", nil, 500, "It is not your fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := append([]string{"Accept-Language", "en"}, c.headers...)
			w := s.do(h, c.method, c.path, headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.holds) {
				t.Fatalf("%s %s: got %d %s, want %d with %q", c.method, c.path, w.Code, w.Body, c.status, c.holds)
			}
			for _, k := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy", "Strict-Transport-Security", "X-Request-Id"} {
				if w.Header().Get(k) == "" {
					t.Errorf("no header %s", k)
				}
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: got %q, want no-store", got)
			}
		})
	}
	if strings.Contains(s.log.String(), "192.0.2.1") { // httptest's client
		t.Errorf("the log holds a client's address: %s", s.log)
	}
	if !strings.Contains(s.log.String(), "boom") {
		t.Error("the panic is not in the log")
	}
	if got := s.do(h, "GET", "/form", "Accept-Language", "en").Header().Get("Allow"); got != "POST" {
		t.Errorf("Allow: got %q, want POST", got)
	}
}

func TestPublicPagesRunNoScript(t *testing.T) {
	for _, console := range []bool{false, true} {
		s := newFrame(t, func(s *Site) { s.Console = console })
		csp := s.do(s.Handler(s.mux), "GET", "/ok/x").Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("console %v: policy %q is not strict", console, csp)
		}
		if got := strings.Contains(csp, "script-src"); got != console {
			t.Errorf("console %v: scripts allowed is %v", console, got)
		}
	}
}

// htmx would evaluate attributes, run scripts of fragments, write a style and
// keep pages in the browser's storage: the policy forbids the first three, the
// last would outlive a session.
func TestConsoleScriptsKeepToThePolicy(t *testing.T) {
	render := func(console bool, who *Who) string {
		s := newFrame(t, func(s *Site) { s.Console = console; s.Who = func(*http.Request) *Who { return who } })
		p, err := s.Pages(fstest.MapFS{"p/x.html": {Data: []byte(`{{define "title"}}x{{end}}{{define "main"}}x{{end}}`)}}, "p")
		if err != nil {
			t.Fatal(err)
		}
		s.mux.Handle("GET /x", s.Do(func(w http.ResponseWriter, r *http.Request) error { return p.Render(w, r, 200, "x", nil) }))
		return s.do(s.Handler(s.mux), "GET", "/x").Body.String()
	}
	page := render(true, &Who{Login: "anna", Role: "analyst"})
	for _, want := range []string{`"allowEval":false`, `"allowScriptTags":false`, `"includeIndicatorStyles":false`, `"historyCacheSize":0`, `"selfRequestsOnly":true`} {
		if !strings.Contains(page, want) {
			t.Errorf("htmx is not told %s", want)
		}
	}
	if n := strings.Count(page, "<script"); n != 2 || regexp.MustCompile(`<script[^>]*>[^<]|<style|\son[a-z]+=|\sstyle=`).MatchString(page) {
		t.Errorf("%d scripts, want 2 of files only:\n%s", n, page)
	}
	for name, page := range map[string]string{"public site": render(false, nil), "log-in page": render(true, nil)} {
		if strings.Contains(page, "<script") {
			t.Errorf("the %s runs a script", name)
		}
	}
}

func TestMetricsNameRoutesNotPaths(t *testing.T) {
	s := newFrame(t, nil)
	h := s.Handler(s.mux)
	s.do(h, "GET", "/ok/secretcode")
	s.do(h, "GET", "/nothing/secretcode")
	all, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, m := range all {
		text += m.String()
	}
	if strings.Contains(text, "secretcode") || !strings.Contains(text, "GET /ok/{code}") || !strings.Contains(text, `value:"none"`) {
		t.Errorf("metrics: %s", text)
	}
}

func TestBodyIsBounded(t *testing.T) {
	s := newFrame(t, nil)
	s.mux.Handle("POST /large", s.Do(func(w http.ResponseWriter, r *http.Request) error {
		AllowBody(w, r, 3<<20, time.Minute)
		_, err := io.ReadAll(r.Body)
		return err
	}))
	h := s.Handler(s.mux)
	for _, c := range []struct {
		path   string
		size   int
		status int
	}{{"/read", 1 << 20, 200}, {"/read", 1<<20 + 1, 413}, {"/large", 2 << 20, 200}, {"/large", 4 << 20, 413}} {
		r := httptest.NewRequest("POST", "https://console.bolwerk.example"+c.path, bytes.NewReader(make([]byte, c.size)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s with %d bytes: got %d, want %d", c.path, c.size, w.Code, c.status)
		}
	}
}

func TestFail(t *testing.T) {
	s := newFrame(t, nil)
	for _, c := range []struct {
		err    error
		status int
		detail string
		after  string
	}{
		{bolwerk.WithHint(bolwerk.Invalid("name %q: no", "x"), "try y"), 400, `name "x": no`, ""},
		{bolwerk.NotFound("no case"), 404, "no case", ""},
		{bolwerk.Conflict("done already"), 409, "done already", ""},
		{bolwerk.Forbidden("not you"), 403, "not you", ""},
		{errors.Join(errors.New("disk of /secret"), bolwerk.ErrFull), 503, "", "30"},
		{&Wait{bolwerk.Forbidden("too many"), 1500 * time.Millisecond}, 429, "too many", "2"},
		{errors.New("pq: relation secret"), 500, "", ""},
	} {
		var got Problem
		r := httptest.NewRequest("GET", "/api/x", nil)
		w := httptest.NewRecorder()
		s.Fail(w, r, c.err)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.status || got.Status != c.status || got.Detail != c.detail || w.Header().Get("Retry-After") != c.after {
			t.Errorf("%v: got %d %+v after %q, want %d %q after %q", c.err, w.Code, got, w.Header().Get("Retry-After"), c.status, c.detail, c.after)
		}
		page := httptest.NewRecorder()
		s.Fail(page, httptest.NewRequest("GET", "/x", nil), c.err)
		if page.Code != c.status || strings.Contains(page.Body.String(), "secret") {
			t.Errorf("%v: page %d %s", c.err, page.Code, page.Body)
		}
	}
}

func TestEveryStatusSpeaksEveryLanguage(t *testing.T) {
	s := newFrame(t, nil)
	for status := 400; status < 600; status++ {
		p := Problem{Status: status}
		for _, part := range []string{"title", "text"} {
			if key := "problem." + itoa(status) + "." + part; s.texts.Has(key) != p.Known() {
				t.Errorf("text %s: there is %v, Known is %v", key, s.texts.Has(key), p.Known())
			}
		}
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestLanguage(t *testing.T) {
	s := newFrame(t, nil)
	h := s.Handler(s.mux)
	for _, c := range []struct{ query, cookie, accept, want string }{
		{"", "", "", "nl"},
		{"", "", "de-AT, en;q=0.9", "de"},
		{"", "", "es, fr-CA;q=0.4, en;q=0.2", "fr"},
		{"", "", "*", "nl"},
		{"", "", "x-!", "nl"},
		{"", "", strings.Repeat("en,", 200), "nl"},
		{"", "lang=fr", "en", "fr"},
		{"?lang=de", "lang=fr", "en", "de"},
		{"?lang=xx", "", "en", "en"},
	} {
		w := s.do(h, "GET", "/nothing"+c.query, "Accept-Language", c.accept, "Cookie", c.cookie)
		if got := w.Header().Get("Content-Language"); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"", "nl", "nl-BE, fr;q=0.8", "*;q=0", "en-US-u-co-phonebk", "zh-Hant;q=1.5", "de;q=\x00", strings.Repeat("-", 250)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		switch Accepted(s, bolwerk.Langs()) {
		case bolwerk.NL, bolwerk.FR, bolwerk.DE, bolwerk.EN:
		default:
			t.Errorf("%q: a language that we do not speak", s)
		}
	})
}

func TestSource(t *testing.T) {
	s := newFrame(t, func(s *Site) {
		s.Config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
	})
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.7:1", "203.0.113.9", "192.0.2.7"}, // not our proxy: it may say what it likes
		{"198.51.100.2:1", "203.0.113.9", "203.0.113.9"},
		{"198.51.100.2:1", "10.0.0.1, 203.0.113.9, 198.51.100.3", "203.0.113.9"},
		{"198.51.100.2:1", "garbage", "198.51.100.2"},
		{"198.51.100.2:1", "", "198.51.100.2"},
		{"[2001:db8:1::1]:1", "2001:db8:2::9", "2001:db8:2::9"},
		{"[::ffff:192.0.2.7]:1", "", "192.0.2.7"},
		{"@", "203.0.113.9", "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.Source(r).String(); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestWordsAndNumbers(t *testing.T) {
	texts, err := OwnTexts()
	if err != nil {
		t.Fatal(err)
	}
	brussels, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lang               bolwerk.Lang
		number, day, after string
	}{
		{bolwerk.NL, "1.204", "maandag 23 november 2026 om 14.05 uur", "over 0 seconden"},
		{bolwerk.FR, "1\u00a0204", "lundi 23 novembre 2026 à 14 h 05", "dans 0 seconde."},
		{bolwerk.DE, "1.204", "Montag, 23. November 2026 um 14:05 Uhr", "in 0 Sekunden"},
		{bolwerk.EN, "1,204", "Monday 23 November 2026 at 14:05", "in 0 seconds"},
	} {
		if got := Number(c.lang, 1204); got != c.number {
			t.Errorf("%s: number got %q, want %q", c.lang, got, c.number)
		}
		if got := texts.Moment(c.lang, now, brussels); got != c.day {
			t.Errorf("%s: day got %q, want %q", c.lang, got, c.day)
		}
		if got := texts.T(c.lang, "problem.after", 0); !strings.Contains(got, c.after) {
			t.Errorf("%s: got %q, want %q", c.lang, got, c.after)
		}
		if got := texts.T(c.lang, "problem.after", 1); strings.Contains(got, "seconds") || strings.Contains(got, "secondes") {
			t.Errorf("%s: 1 is not plural: %q", c.lang, got)
		}
	}
	if got := Stamp(now, brussels); got != "2026-11-23 14:05 CET" {
		t.Errorf("stamp: got %q", got)
	}
	if got := texts.Day(bolwerk.FR, time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC), time.UTC); got != "samedi 1er mai 2027" {
		t.Errorf("first of the month: got %q", got)
	}
}

func TestTextsAreRefused(t *testing.T) {
	whole := fstest.MapFS{}
	for _, l := range bolwerk.Langs() {
		whole["t/"+string(l)+".toml"] = &fstest.MapFile{Data: []byte("a.b = \"x {0}\"\n")}
	}
	for name, c := range map[string]struct{ nl, want string }{
		"a missing key":   {"", `nl has no text "a.b"`},
		"a missing place": {"a.b = \"x\"", `has places`},
		"an empty text":   {"a.b = \" \"", `is empty`},
		"a number":        {"a.b = 3", `want a text`},
	} {
		whole["t/nl.toml"] = &fstest.MapFile{Data: []byte(c.nl)}
		if _, err := ReadTexts(whole, "t"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestPagesNameOnlyWhatIsThere(t *testing.T) {
	s := newFrame(t, nil)
	for name, c := range map[string]struct{ page, want string }{
		"text": {`{{define "title"}}x{{end}}{{define "main"}}{{if .Data}}{{t "no.such"}}{{end}}{{end}}`, `no text "no.such"`},
		"file": {`{{define "title"}}x{{end}}{{define "main"}}{{with asset "no.js"}}{{.}}{{end}}{{end}}`, `no file "no.js"`},
	} {
		fsys := fstest.MapFS{"p/x.html": &fstest.MapFile{Data: []byte(c.page)}}
		if _, err := s.Pages(fsys, "p"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestStaticFilesNeverChange(t *testing.T) {
	s := newFrame(t, func(s *Site) { s.Config.Brand.Accent = "#7a1f5c" })
	h := s.Handler(s.mux)
	path := s.Files()["bolwerk.css"]
	w := s.do(h, "GET", path, "Accept-Encoding", "br")
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || !strings.Contains(w.Body.String(), "--accent:#7a1f5c") {
		t.Errorf("%s: got %d %v", path, w.Code, w.Header())
	}
	if z := s.do(h, "GET", path, "Accept-Encoding", "gzip"); z.Header().Get("Content-Encoding") != "gzip" || z.Body.Len() >= w.Body.Len() {
		t.Errorf("gzip: %v, %d bytes of %d", z.Header(), z.Body.Len(), w.Body.Len())
	}
	if old := s.do(h, "GET", "/static/bolwerk.000000000000.css"); old.Code != 404 {
		t.Errorf("another digest: got %d", old.Code)
	}
	if plain := newFrame(t, nil).Files()["bolwerk.css"]; plain == path {
		t.Error("another brand has the same path")
	}
}

func TestColoursCanBeRead(t *testing.T) {
	b, err := os.ReadFile("static/bolwerk.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, _ := strings.Cut(string(b), "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, ".console")
	for theme, css := range map[string]string{"light": light, "dark": dark} {
		c := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(css, -1) {
			c[m[1]] = m[2]
		}
		for _, pair := range [][2]string{{"ink", "paper"}, {"ink", "ground"}, {"soft", "paper"}, {"soft", "ground"}, {"accent", "paper"}, {"accent", "ground"},
			{"harm", "paper"}, {"harm", "ground"}, {"wait", "paper"}, {"wait", "ground"}, {"done", "paper"}, {"done", "ground"}, {"on-accent", "accent"}} {
			got, err := brand.Contrast(c[pair[0]], c[pair[1]])
			if err != nil || got < 4.5 { // WCAG 2.2, 1.4.3
				t.Errorf("%s: %s on %s: %.2f %v, want 4.5", theme, pair[0], pair[1], got, err)
			}
		}
		if got, _ := brand.Contrast(c["edge"], c["paper"]); got < 3 { // WCAG 2.2, 1.4.11: edges of controls
			t.Errorf("%s: edge on paper: %.2f, want 3", theme, got)
		}
		papers := brand.LightPapers
		if theme == "dark" {
			papers = brand.DarkPapers
		}
		if !slices.Contains(papers, c["paper"]) || !slices.Contains(papers, c["ground"]) {
			t.Errorf("%s: paper %s and ground %s are not those that a brand is checked against", theme, c["paper"], c["ground"])
		}
	}
}

func TestConfigTellsEveryProblem(t *testing.T) {
	c := Config{URL: "console", Hosts: []string{"a/b"}, Languages: []bolwerk.Lang{"es"}, Zone: "Mars", MaxBody: 1,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	err := c.Validate()
	for _, want := range []string{"url", "hosts", "languages", "zone", "max_body", "trusted_proxies"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not name %s", err, want)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestServeStopsInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, finish := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-finish
		io.WriteString(w, "whole")
	})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	stop()
	close(finish)
	if got := <-answer; got != "whole" {
		t.Errorf("a running request got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, 10, 2, nil)
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	third.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("third connection of a network: got %v, want it closed", err)
	}
	first.Close()
	first.Close() // twice counts once
	dial()
	<-accepted
}
