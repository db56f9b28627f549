package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
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
	"bolwerk/internal/nameset"
	"bolwerk/shield/aid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Every language has every text (web.ReadTexts refuses else), and each kind of
// data its steps.
func TestTexts_are_whole_in_every_language(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range aid.Kinds() {
		for _, part := range []string{"name", "first", "also1", "also2"} {
			if !texts.Has("warning." + string(k) + "." + part) {
				t.Errorf("%s has no %s", k, part)
			}
		}
	}
	for _, l := range bolwerk.Langs() {
		if languageNames[l] == "" {
			t.Errorf("%s has no name", l)
		}
	}
}

var testPartners = aid.Partners{
	{Kind: aid.CardStop, Name: "Card Shut", Phone: "078 000 001", Abroad: "+32 78 000 001", Hours: all("24/7"), Note: all("It never calls you.")},
	{Kind: aid.Bank, Name: "Example Bank", Phone: "02 000 00 02", URL: "bank.example/fraud"},
	{Kind: aid.Assistance, Name: "Help", Phone: "0800 00 007"},
}

func all(s string) map[string]string { return map[string]string{"nl": s, "fr": s, "de": s, "en": s} }

func pageEdge(t testing.TB) (*Edge, *desk) {
	return edgeWith(t, func(*Config) {})
}

func edgeWith(t testing.TB, change func(*Config)) (*Edge, *desk) {
	e, _, d := testEdge(t, change)
	reset(t, e,
		rule("B-2026-000147", "bank-login.example", func(r *Rule) { r.WWW, r.Brand, r.Until = true, "Example Bank", time.Time{} }),
		rule("B-2026-000149", "asks.example", func(r *Rule) { r.Until, r.AskedFor = time.Time{}, aid.Of(aid.Card, aid.OTP) }),
		rule("B-2026-000150", "shop.example", func(r *Rule) { r.Until, r.Class, r.Suspicious = time.Time{}, "fake_shop", true }),
		rule("B-2026-000148", "xn--bcher-kva.example", func(r *Rule) {
			r.Class, r.Compromised, r.Ground, r.By, r.Until = "malware", true, ByOrder, "National CERT", time.Time{}
		}),
		rule("E-2026-000001", "good.example", func(r *Rule) { r.Pass = true; r.Until = time.Time{} }),
	)
	return e, d
}

func get(e *Edge, host, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Host = host
	r.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.Page().ServeHTTP(w, r)
	return w
}

func post(e *Edge, host, target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
	r.Host = host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	e.Page().ServeHTTP(w, r)
	return w
}

func TestPage_golden(t *testing.T) {
	e, _ := pageEdge(t)
	for _, l := range bolwerk.Langs() {
		for name, host := range map[string]string{"stopped": "www.bank-login.example", "asks": "asks.example", "order": "xn--bcher-kva.example", "open": "free.example"} {
			got := get(e, host, "/?lang="+string(l)).Body.Bytes()
			file := filepath.Join("testdata", "page", name+"."+string(l)+".html")
			if *update {
				os.MkdirAll(filepath.Dir(file), 0o755)
				os.WriteFile(file, got, 0o644)
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs (go test -update rewrites it): %v", file, err)
			}
			if len(got) > 20_000 {
				t.Errorf("%s: %d octets, at most 20,000", file, len(got))
			}
		}
	}
}

func TestPage_answers_every_host_and_path(t *testing.T) {
	e, _ := pageEdge(t)
	for host, want := range map[string]string{
		"bank-login.example": "B-2026-000147", "BANK-login.example.": "B-2026-000147", "www.bank-login.example:8080": "B-2026-000147",
		"x.bank-login.example": "Hier wordt niets", "good.example": "niet meer tegengehouden", "192.0.2.80": "Hier wordt niets", "[2001:db8::80]:80": "Hier wordt niets",
		"": "Hier wordt niets", "<script>": "Hier wordt niets", strings.Repeat("a", 9000): "Hier wordt niets",
		"preview.bolwerk.example": "Dit is een voorbeeld",
	} {
		for _, path := range []string{"/", "/login?user=secret-user&pw=secret-pw", "/favicon.ico"} {
			w := get(e, host, path)
			body := w.Body.String()
			if w.Code != 200 || !strings.Contains(body, want) {
				t.Errorf("%.40s%s: got %d %s", host, path, w.Code, body)
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "<script") {
				t.Errorf("%.40s%s: the page repeats what it was asked", host, path)
			}
			for k, v := range map[string]string{"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8"} {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s: got %q, want %q", k, got, v)
				}
			}
			if c := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(c, "default-src 'none'; style-src 'sha256-") || strings.Contains(c, "unsafe") {
				t.Errorf("got CSP %q", c)
			}
			for _, k := range []string{"Set-Cookie", "Location", "Strict-Transport-Security"} {
				if w.Header().Get(k) != "" {
					t.Errorf("%s is set", k)
				}
			}
		}
	}
	if body := get(e, "xn--bcher-kva.example", "/").Body.String(); !strings.Contains(body, `<b class="host">bücher.example</b> <span class="host">(xn--bcher-kva.example)</span>`) {
		t.Error("U-label and A-label are not shown side by side")
	}
	// The stopped name is never a link, and the page loads nothing.
	if m := regexp.MustCompile(`(?i)(href|src|action)="[^"]*(bank-login|//)`).FindString(get(e, "bank-login.example", "/").Body.String()); m != "" {
		t.Errorf("got %s", m)
	}
}

func TestPage_language(t *testing.T) {
	e, _ := pageEdge(t)
	for accept, want := range map[string]string{"": "nl", "fr-BE,fr;q=0.9,en;q=0.8": "fr", "ja, de;q=0.3, en;q=0.2": "de", "en;q=0, *": "nl", "en;q=0.55,de;q=0.6": "de",
		"EN-us": "en", ";;,,=": "nl", strings.Repeat("x,", 5000): "nl", "fr;q=abc, de;q=9999999999": "de"} {
		if got := get(e, "bank-login.example", "/", "Accept-Language", accept).Header().Get("Content-Language"); got != want {
			t.Errorf("%.40s: got %s, want %s", accept, got, want)
		}
	}
	if got := get(e, "bank-login.example", "/?lang=en", "Accept-Language", "fr").Header().Get("Content-Language"); got != "en" {
		t.Errorf("the switch is ignored: got %s", got)
	}
}

func TestPage_posts(t *testing.T) {
	e, d := pageEdge(t)
	for _, path := range []string{"/", "/login", "/.well-known/bolwerk/", AppealPath + "/x"} {
		if w := post(e, "bank-login.example", path, url.Values{"password": {"secret"}}); w.Code != 405 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("POST %s: got %d", path, w.Code)
		}
	}
	for what, c := range map[string]struct {
		form   url.Values
		status int
		text   string
	}{
		"empty":     {url.Values{"text": {"  "}}, 422, "Schrijf waarom"},
		"long":      {url.Values{"text": {strings.Repeat("é", 2001)}}, 422, "te lang"},
		"too large": {url.Values{"text": {strings.Repeat("x", 20000)}}, 413, "te lang"},
		"contact":   {url.Values{"text": {"x"}, "contact": {strings.Repeat("x", 300)}}, 422, "te lang voor"},
	} {
		if w := post(e, "bank-login.example", AppealPath, c.form); w.Code != c.status || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: got %d", what, w.Code)
		}
	}
	if post(e, "free.example", AppealPath, url.Values{"text": {"x"}}); len(d.got) != 0 {
		t.Fatalf("handed in %v, want nothing", d.got)
	}
	w := post(e, "www.bank-login.example", AppealPath, url.Values{"text": {"It is\r\nmine <b>"}, "role": {"owner"}, "contact": {"me@owner.example"}, "lang": {"en"}, "block": {"B-1"}})
	if w.Code != 201 || len(d.got) != 1 || d.got[0].kind != KindAppeal {
		t.Fatalf("got %d, handed in %v", w.Code, d.got)
	}
	a, err := DecodeAppeal(d.got[0].body)
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`<p class="code">([^<]*)</p>`).FindStringSubmatch(w.Body.String())
	if code == nil {
		t.Fatalf("no code on the page: %s", w.Body)
	}
	token, err := bolwerk.ParseToken(code[1])
	if err != nil || token.Hash() != a.Receipt || bytes.Contains(d.got[0].body, []byte(token.Reveal())) {
		t.Errorf("the code on the page is not that of the appeal, or is handed in: %v", err)
	}
	want := Appeal{Receipt: a.Receipt, Name: bolwerk.MustDomain("www.bank-login.example"), Block: "B-2026-000147", Role: "owner", Text: "It is\nmine <b>", Contact: "me@owner.example", At: noon}
	if a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	if !strings.Contains(w.Body.String(), "13:00 on 16 March 2026") { // 48 h, in Brussels
		t.Errorf("no due time: %s", w.Body)
	}
	// The button pressed twice is one appeal with one code; other words are another.
	form := url.Values{"text": {"twice"}}
	first, second := post(e, "bank-login.example", AppealPath, form), post(e, "bank-login.example", AppealPath, form)
	if len(d.got) != 2 || first.Code != 201 || first.Body.String() != second.Body.String() {
		t.Errorf("the same appeal again: %d handed in, got %d and %d", len(d.got), first.Code, second.Code)
	}
	// What cannot be kept is not acknowledged, and the text is not lost.
	d.fail = bolwerk.ErrFull
	if w := post(e, "bank-login.example", AppealPath, url.Values{"text": {"my words"}}); w.Code != 503 || !strings.Contains(w.Body.String(), "my words") || strings.Contains(w.Body.String(), `class="code"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	d.fail = nil
	for i := range 100 {
		w = post(e, "bank-login.example", AppealPath, url.Values{"text": {fmt.Sprint("flood ", i)}})
	}
	if w.Code != 503 || len(d.got) > 31 {
		t.Errorf("a flood of appeals: got %d, %d handed in", w.Code, len(d.got))
	}
}

func TestPage_counts_views(t *testing.T) {
	e, d := pageEdge(t)
	get(e, "bank-login.example", "/")
	get(e, "bank-login.example", "/x.png", "Accept", "image/avif,*/*")
	get(e, "free.example", "/")
	get(e, "preview.bolwerk.example", "/")
	e.rollUp(t.Context())
	if len(d.got) != 1 || !strings.Contains(string(d.got[0].body), `[{"block":"B-2026-000147","page_views":1}]`) {
		t.Errorf("got %s", d.got)
	}
}

// serving starts a door on loopback and gives its address.
func serving(t testing.TB, serve func(context.Context, net.Listener) error) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("does not return")
		}
	})
	return l.Addr().String()
}

func TestServePage(t *testing.T) {
	e, _ := pageEdge(t)
	c, err := net.Dial("tcp", serving(t, e.ServePage))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /x HTTP/1.1\r\nHost: bank-login.example\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || r.StatusCode != 200 {
		t.Errorf("got %v %v", r, err)
	}
}

func TestServeTLS(t *testing.T) {
	e, d := pageEdge(t)
	addr := serving(t, e.ServeTLS)
	for _, name := range []string{"bank-login.example", "bank-login.example", "free.example"} {
		_, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: got %v, want the alert", name, err)
		}
	}
	c, _ := net.Dial("tcp", addr)
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	io.ReadAll(c)
	if n := e.page.tlsUnknown.Load(); n != 2 {
		t.Errorf("got %d unknown, want 2", n)
	}
	e.rollUp(t.Context())
	if len(d.got) != 1 || !strings.Contains(string(d.got[0].body), `[{"block":"B-2026-000147","tls_attempts":2}]`) {
		t.Errorf("got %s", d.got)
	}
}

// hello is a real ClientHello.
func hello(t testing.TB, name string) []byte {
	a, b := net.Pipe()
	go tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	buf := make([]byte, 16<<10)
	n, err := io.ReadAtLeast(b, buf, 5)
	if err != nil {
		t.Fatal(err)
	}
	for n < 5+int(buf[3])<<8+int(buf[4]) {
		m, err := b.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	a.Close()
	return buf[:n]
}

func TestReadHello(t *testing.T) {
	h := hello(t, "bank-login.example")
	if got := readHello(bytes.NewReader(h)).String(); got != "bank-login.example" {
		t.Errorf("got %q", got)
	}
	// In records of 100 octets.
	var split []byte
	for b := h[5:]; len(b) > 0; {
		n := min(100, len(b))
		split = append(append(split, 22, 3, 1, 0, byte(n)), b[:n]...)
		b = b[n:]
	}
	if got := readHello(bytes.NewReader(split)).String(); got != "bank-login.example" {
		t.Errorf("in many records: got %q", got)
	}
	if got := readHello(bytes.NewReader(h[:len(h)-1])); !got.IsZero() {
		t.Errorf("cut: got %q", got)
	}
}

func FuzzHello(f *testing.F) {
	f.Add(hello(f, "bank-login.example"))
	f.Add(hello(f, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := readHello(bytes.NewReader(b))
		if !d.IsZero() && !bytes.Contains(bytes.ToLower(b), []byte(d.String())) && len(b) < 16<<10 && bytes.Count(b, []byte{22, 3}) < 2 {
			t.Errorf("name %q from nowhere", d)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"bank-login.example:80", "[::1]:80", "a..b", "xn--bcher-kva.example.", ":", "\x00"} {
		f.Add(s)
	}
	e, _ := pageEdge(f)
	f.Fuzz(func(t *testing.T, host string) {
		w := get(e, host, "/")
		if w.Code != 200 {
			t.Errorf("%q: got %d", host, w.Code)
		}
		if d := hostName(host); !d.IsZero() {
			if wire := nameset.AppendWire(nil, d); nameAt(wire, 0) != d {
				t.Errorf("%q becomes %q", host, nameAt(wire, 0))
			}
		} else if strings.Contains(w.Body.String(), `class="host"`) {
			t.Errorf("%q is shown", host)
		}
	})
}
