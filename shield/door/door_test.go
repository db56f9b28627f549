package door

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/mail"
	"bolwerk/internal/once"
	"bolwerk/internal/seal"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
	"bolwerk/shield/figures"
)

var update = flag.Bool("update", false, "rewrite the golden pages")

var start = time.Date(2026, 11, 23, 13, 5, 9, 0, time.UTC)

// desk is what the spool would be given to: it remembers, or fails.
type desk struct {
	mu   sync.Mutex
	fail error
	kind []string
	body [][]byte
}

func (d *desk) put(kind string, body []byte) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return "", d.fail
	}
	d.kind, d.body = append(d.kind, kind), append(d.body, bytes.Clone(body))
	return bolwerk.NewID(start), nil
}

func (d *desk) report(t *testing.T) Report {
	t.Helper()
	if len(d.body) == 0 {
		t.Fatal("nothing was handed in")
	}
	r, err := DecodeReport(d.body[len(d.body)-1])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type site struct {
	restart func() // of the intake
	*Door
	desk  *desk
	clock *clock.Fake
	log   *bytes.Buffer
	h     http.Handler
}

func newSite(t testing.TB, put Put, change func(*Config)) *site {
	t.Helper()
	s := &site{desk: &desk{}, clock: clock.NewFake(start), log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	cfg := DefaultConfig()
	cfg.Operator, cfg.Phone, cfg.Mail = "Polder Net", "+32 2 000 00 00", "help@polder.example"
	cfg.ReportAddress = mail.MustAddress("suspicious@polder.example")
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	base := web.Site{Config: web.DefaultConfig(), Clock: s.clock, Log: log}
	base.Config.URL = "https://veilig.polder.example"
	base.Config.Hosts = []string{"127.0.0.1", "localhost"}
	base.Config.Brand.Name = "Polder Net"
	ws, err := Site(base)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := web.New(ws)
	if err != nil {
		t.Fatal(err)
	}
	if put == nil {
		put = s.desk.put
	}
	dir, ids := t.TempDir(), sync.Map{}
	putAs := func(id, kind string, body []byte) error { // as the desk: the same id again changes nothing
		if _, again := ids.LoadOrStore(id, true); again {
			return nil
		}
		_, err := put(kind, body)
		if err != nil {
			ids.Delete(id)
		}
		return err
	}
	s.restart = func() {
		t.Helper()
		requests, err := once.Open(disk.System{}, dir, s.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if s.Door, err = New(cfg, With{Put: put, PutAs: putAs, Once: requests, Frame: frame, Clock: s.clock, Log: log, Metrics: prometheus.NewRegistry()}); err != nil {
			t.Fatal(err)
		}
		s.h = s.Handler()
	}
	s.restart()
	return s
}

func (s *site) do(method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	r.Host = "veilig.polder.example"
	r.Header.Set("Accept-Language", "en")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "From" {
			r.RemoteAddr = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func (s *site) get(target string, headers ...string) *httptest.ResponseRecorder {
	return s.do("GET", target, nil, headers...)
}

func (s *site) api(kind, body string, headers ...string) *httptest.ResponseRecorder {
	return s.do("POST", "/api/v1/reports", strings.NewReader(body), append([]string{"Content-Type", kind}, headers...)...)
}

func (s *site) json(body string, headers ...string) *httptest.ResponseRecorder {
	return s.api("application/json", body, headers...)
}

func (s *site) form(target string, pairs ...string) *httptest.ResponseRecorder {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "file" {
			w, _ := m.CreateFormFile("file", "bericht.eml")
			io.WriteString(w, pairs[i+1])
			continue
		}
		m.WriteField(pairs[i], pairs[i+1])
	}
	m.Close()
	return s.do("POST", target, &b, "Content-Type", m.FormDataContentType())
}

// copies gives the door a public copy.
func (s *site) publish(t testing.TB, entries ...copies.Entry) {
	t.Helper()
	err := s.Reset(copies.Head{Serial: 1}, func(yield func(copies.Entry) bool) {
		for _, e := range entries {
			if !yield(e) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func entry(t testing.TB, id string, version int64, body any) copies.Entry {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return copies.Entry{ID: id, Version: version, Body: b}
}

func receiptEntry(t testing.TB, code bolwerk.Token, version int64, r Receipt) copies.Entry {
	return entry(t, ReceiptEntry+code.Hash(), version, r)
}

func listedEntry(t testing.TB, version int64, l Listed) copies.Entry {
	return entry(t, BlockEntry+l.Ref, version, l)
}

const evidence = "From: bank@evil.example\r\nSubject: your card\r\n\r\nhttps://evil.example/\r\n"

func TestAPI(t *testing.T) {
	for _, c := range []struct {
		name, kind, query, body string
		want                    Report
	}{
		{"a link", typeJSON, "", `{"url":"hxxps://evil[.]example/a?b","lang":"nl","reply_to":"anna@polder.example"}`,
			Report{Form: Link, Body: []byte("hxxps://evil[.]example/a?b"), Lang: bolwerk.NL, ReplyTo: "anna@polder.example"}},
		{"a text", typeJSON, "?lang=fr", `{"text":"Votre colis: evil.example/x"}`, Report{Form: Text, Body: []byte("Votre colis: evil.example/x"), Lang: bolwerk.FR}},
		{"a mail in JSON", "application/json; charset=utf-8", "", `{"mail":"RnJvbTogYUBiLmV4YW1wbGUNCg0KaGkNCg=="}`, Report{Form: Evidence, Body: []byte("From: a@b.example\r\n\r\nhi\r\n")}},
		{"a mail", typeMail, "", evidence, Report{Form: Evidence, Body: []byte(evidence)}},
		{"a reporter's mail", typeMail, "?form=mail", evidence, Report{Form: Mail, Body: []byte(evidence)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, nil, nil)
			w := s.do("POST", "/api/v1/reports"+c.query, strings.NewReader(c.body), "Content-Type", c.kind)
			if w.Code != 201 {
				t.Fatalf("got %d %s, want 201", w.Code, w.Body)
			}
			var a ReportAnswer
			json.Unmarshal(w.Body.Bytes(), &a)
			got := s.desk.report(t)
			c.want.Channel, c.want.Token, c.want.ReceivedAt = ByAPI, a.Receipt, start
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("handed in\n got %v\nwant %v", got, c.want)
			}
			if a.ReceiptURL != "https://veilig.polder.example/r/"+a.Receipt || a.State != "received" {
				t.Errorf("answer: got %+v", a)
			}
			// The receipt can be read at once, before the desk has told of it.
			if got := s.get(w.Header().Get("Location")); got.Code != 200 || !strings.Contains(got.Body.String(), `"state":"received"`) {
				t.Errorf("receipt: got %d %s, want 200 received", got.Code, got.Body)
			}
			if bytes.Contains(s.desk.body[0], []byte("192.0.2.1")) || strings.Contains(s.log.String(), "192.0.2.1") {
				t.Error("the client's address was kept")
			}
		})
	}
}

func TestAPIRefuses(t *testing.T) {
	s := newSite(t, nil, func(c *Config) { c.MaxUpload = 64 << 10; c.BytesPerHour = 64 << 20 })
	for _, c := range []struct {
		name, kind, query, body string
		status                  int
		holds                   string
	}{
		{"nothing", typeJSON, "", ``, 400, ""},
		{"no object", typeJSON, "", `[]`, 400, ""},
		{"no field", typeJSON, "", `{}`, 400, "exactly one"},
		{"two fields", typeJSON, "", `{"url":"http://a.example","text":"x"}`, 400, "exactly one"},
		{"an unknown field", typeJSON, "", `{"uri":"http://a.example"}`, 400, "uri"},
		{"something behind", typeJSON, "", `{"url":"http://a.example"} {}`, 400, "follows"},
		{"a link with spaces", typeJSON, "", `{"url":"click here"}`, 400, "no link"},
		{"a long link", typeJSON, "", `{"url":"http://a.example/` + strings.Repeat("a", maxURL) + `"}`, 400, "at most"},
		{"a language we do not speak", typeJSON, "", `{"url":"http://a.example","lang":"es"}`, 400, "lang"},
		{"no address", typeJSON, "", `{"url":"http://a.example","reply_to":"anna"}`, 400, "reply_to"},
		{"no base64", typeJSON, "", `{"mail":"%%%"}`, 400, "base64"},
		{"a wrong type", typeJSON, "", `{"url":7}`, 400, "type"},
		{"an empty mail", typeMail, "", ``, 400, "empty"},
		{"no mail", typeMail, "", "\x89PNG\r\n\x1a\n", 400, "no mail"},
		{"a form of report we do not know", typeMail, "?form=x", evidence, 400, "form"},
		{"a large mail", typeMail, "", evidence + strings.Repeat("x", 2<<20), 413, ""},
		{"a mail beyond the bound", typeMail, "", evidence + strings.Repeat("x", 64<<10), 413, ""},
		{"another type", "text/plain", "", "x", 415, "Content-Type"},
		{"no type", "", "", "x", 415, "Content-Type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.do("POST", "/api/v1/reports"+c.query, strings.NewReader(c.body), "Content-Type", c.kind)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.holds) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s %s, want %d with %q", w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.holds)
			}
		})
	}
	if len(s.desk.body) != 0 {
		t.Errorf("%d of these were handed in", len(s.desk.body))
	}
}

// What is acknowledged lies in the spool; what does not lie there is not
// acknowledged, by any door.
func TestAcknowledged(t *testing.T) {
	dir := t.TempDir()
	cfg := handin.DefaultConfig()
	cfg.MaxItems, cfg.MinFree = 3, 0
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	spool, err := handin.Open(disk.System{}, dir, cfg, key.Public(), clock.NewFake(start), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, spool.Put, nil)
	if w := s.json(`{"url":"http://evil.example"}`); w.Code != 201 {
		t.Fatalf("API: got %d %s, want 201", w.Code, w.Body)
	}
	if w := s.form("/report", "text", "http://evil.example"); w.Code != 303 {
		t.Fatalf("form: got %d, want 303", w.Code)
	}
	if ref, err := s.Accept(context.Background(), mail.Envelope{Raw: []byte(evidence), ReceivedAt: start}); err != nil || len(ref) != 12 {
		t.Fatalf("mail: got %q %v, want a reference of 12", ref, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("spool: got %d files (%v), want 3", len(files), err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte("evil.example")) {
			t.Errorf("%s: not sealed (%v)", filepath.Base(f), err)
		}
	}
	// The spool is full now.
	if w := s.json(`{"url":"http://evil.example"}`); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("API, full: got %d, Retry-After %q, want 503", w.Code, w.Header().Get("Retry-After"))
	}
	if w := s.form("/report", "text", "keep <this>"); w.Code != 503 || !strings.Contains(w.Body.String(), "keep &lt;this&gt;") || w.Header().Get("Retry-After") == "" {
		t.Errorf("form, full: got %d %s, want 503 and the text", w.Code, w.Body)
	}
	if _, err := s.Accept(context.Background(), mail.Envelope{Raw: []byte(evidence)}); !errors.Is(err, bolwerk.ErrFull) {
		t.Errorf("mail, full: got %v, want ErrFull (452)", err)
	}
}

func TestAcknowledgedNever(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	s.desk.fail = errors.New("write: input/output error")
	for name, w := range map[string]*httptest.ResponseRecorder{
		"API":    s.json(`{"url":"http://evil.example"}`, "Idempotency-Key", "k"),
		"form":   s.form("/report", "text", "http://evil.example"),
		"appeal": s.form("/appeal", "name", "evil.example", "role", "owner", "text", "mine"),
	} {
		if w.Code != 500 || strings.Contains(w.Body.String(), "input/output") || w.Header().Get("Location") != "" {
			t.Errorf("%s: got %d %s, want 500 without the cause", name, w.Code, w.Body)
		}
	}
	s.desk.fail = nil
	if w := s.json(`{"url":"http://evil.example"}`, "Idempotency-Key", "k"); w.Code != 201 {
		t.Errorf("the same key after a failure: got %d %s, want 201", w.Code, w.Body)
	}
}

// The SMTP door itself answers 250 only after Put, and 452 when there is no room.
func TestAccept(t *testing.T) {
	s := newSite(t, nil, nil)
	at := start.Add(-time.Second)
	if _, err := s.Accept(context.Background(), mail.Envelope{Peer: netip.MustParseAddr("192.0.2.7"), OwnNetwork: true, MailFrom: "anna@polder.example",
		Rcpt: []string{"suspicious@polder.example"}, ReceivedAt: at, Raw: []byte(evidence)}); err != nil {
		t.Fatal(err)
	}
	got := s.desk.report(t)
	if got.Token == "" {
		t.Error("no token")
	}
	if _, err := bolwerk.ParseToken(got.Token); err != nil {
		t.Error(err)
	}
	got.Token = ""
	want := Report{Channel: ByMail, Form: Mail, ReceivedAt: at, OwnNetwork: true, MailFrom: "anna@polder.example", To: "suspicious@polder.example", Body: []byte(evidence)}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if bytes.Contains(s.desk.body[0], []byte("192.0.2")) {
		t.Error("the client's address was kept")
	}
	if _, err := s.Accept(context.Background(), mail.Envelope{}); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("an empty mail: got %v, want ErrInvalid", err)
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := newSite(t, nil, nil)
	one := s.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k")
	again := s.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k")
	if one.Code != 201 || again.Code != 201 || one.Body.String() != again.Body.String() || len(s.desk.body) != 1 {
		t.Errorf("again: got %d %s and %d %s, %d handed in; want the same, 1", one.Code, one.Body, again.Code, again.Body, len(s.desk.body))
	}
	s.restart()
	if w := s.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k"); w.Code != 201 || w.Body.String() != one.Body.String() || len(s.desk.body) != 1 {
		t.Errorf("after a restart: got %d %s, %d handed in; want the same, 1", w.Code, w.Body, len(s.desk.body))
	}
	if w := s.json(`{"url":"http://b.example"}`, "Idempotency-Key", "k"); w.Code != 422 {
		t.Errorf("another body: got %d, want 422", w.Code)
	}
	if w := s.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k", "From", "198.51.100.9:1"); w.Code != 201 || len(s.desk.body) != 2 {
		t.Errorf("another network's key: got %d, %d handed in; want 201, 2", w.Code, len(s.desk.body))
	}
	if w := s.json(`{"url":"http://a.example"}`, "Idempotency-Key", strings.Repeat("k", 256)); w.Code != 400 {
		t.Errorf("a long key: got %d, want 400", w.Code)
	}
	s.clock.Add(once.Keep)
	if w := s.json(`{"url":"http://b.example"}`, "Idempotency-Key", "k"); w.Code != 201 {
		t.Errorf("a day later: got %d, want 201", w.Code)
	}

	// While the first is running the second is put off, not done twice.
	wait, running := make(chan struct{}), make(chan struct{})
	slow := newSite(t, func(string, []byte) (string, error) { close(running); <-wait; return bolwerk.NewID(start), nil }, nil)
	done := make(chan int)
	go func() { done <- slow.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k").Code }()
	<-running
	if w := slow.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k"); w.Code != 409 {
		t.Errorf("while it runs: got %d, want 409", w.Code)
	}
	close(wait)
	if got := <-done; got != 201 {
		t.Errorf("the first: got %d, want 201", got)
	}
}

func TestRates(t *testing.T) {
	own := netip.MustParsePrefix("203.0.113.0/24")
	s := newSite(t, nil, func(c *Config) { c.ReportsPerHour, c.LooksPerHour, c.OwnNetworks = 2, 3, []netip.Prefix{own} })
	s.publish(t)
	body := `{"url":"http://a.example"}`
	for i, want := range []int{201, 201, 429} {
		w := s.json(body, "From", fmt.Sprintf("192.0.2.%d:99", i))
		if w.Code != want || (want == 429) != (w.Header().Get("Retry-After") == "1800") {
			t.Errorf("report %d: got %d, Retry-After %q, want %d", i+1, w.Code, w.Header().Get("Retry-After"), want)
		}
	}
	if w := s.json(body, "From", "198.51.100.1:99"); w.Code != 201 {
		t.Errorf("another network: got %d, want 201", w.Code)
	}
	for range 5 {
		if w := s.json(body, "From", "203.0.113.1:99"); w.Code != 201 {
			t.Errorf("own network: got %d, want 201", w.Code)
		}
	}
	if !s.desk.report(t).OwnNetwork {
		t.Error("a report from an own network does not say so")
	}
	if w := s.form("/report", "text", "x"); w.Code != 429 || !strings.Contains(w.Body.String(), "Go back in your browser") {
		t.Errorf("form: got %d %s, want 429 and a calm page", w.Code, w.Body)
	}
	s.clock.Add(time.Hour)
	if w := s.json(body); w.Code != 201 {
		t.Errorf("an hour later: got %d, want 201", w.Code)
	}
	for i, want := range []int{200, 200, 200, 429} {
		if w := s.get("/api/v1/names/a.example"); w.Code != want {
			t.Errorf("look-up %d: got %d, want %d", i+1, w.Code, want)
		}
	}
}

func TestCodeUnknownIsNotFound(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	if w := s.get("/api/v1/receipts/" + code.Reveal()); w.Code != 503 {
		t.Errorf("before the first copy: got %d, want 503: nobody knows", w.Code)
	}
	s.publish(t)
	for _, c := range []string{code.Reveal(), "x", strings.Repeat("x", 3000)} {
		if w := s.get("/api/v1/receipts/" + c); w.Code != 404 {
			t.Errorf("%.30s: got %d, want 404", c, w.Code)
		}
		if w := s.get("/r/" + c); w.Code != 404 || !strings.Contains(w.Body.String(), "We do not know this code") {
			t.Errorf("page of %.30s: got %d, want 404", c, w.Code)
		}
	}
}

// The description says what the API does: each answer fits its schema.
func TestOpenAPI(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	doc := description(s.cfg)
	check := func(path, method string, w *httptest.ResponseRecorder) {
		t.Helper()
		op := doc.Paths[path].Get
		if method == "POST" {
			op = doc.Paths[path].Post
		}
		resp := op.Responses[fmt.Sprint(w.Code)]
		if resp == nil {
			t.Errorf("%s %s: answer %d is not described", method, path, w.Code)
			return
		}
		media := resp.Content[w.Header().Get("Content-Type")]
		if media == nil {
			t.Errorf("%s %s: %d as %s is not described", method, path, w.Code, w.Header().Get("Content-Type"))
			return
		}
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		var res huma.ValidateResult
		huma.Validate(doc.Components.Schemas, media.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &res)
		if len(res.Errors) > 0 {
			t.Errorf("%s %s: %s does not fit: %v", method, path, w.Body, res.Errors)
		}
	}
	check("/api/v1/reports", "POST", s.json(`{"url":"http://a.example"}`, "Idempotency-Key", "k"))
	check("/api/v1/reports", "POST", s.json(`{"url":"http://b.example"}`, "Idempotency-Key", "k"))
	check("/api/v1/reports", "POST", s.json(`{}`))
	check("/api/v1/reports", "POST", s.api("text/plain", ``))
	w := s.json(`{"text":"x"}`)
	check("/api/v1/receipts/{code}", "GET", s.get(w.Header().Get("Location")))
	check("/api/v1/receipts/{code}", "GET", s.get("/api/v1/receipts/x"))
	check("/api/v1/names/{name}", "GET", s.get("/api/v1/names/www.evil.example"))
	check("/api/v1/names/{name}", "GET", s.get("/api/v1/names/good.example"))
	check("/api/v1/names/{name}", "GET", s.get("/api/v1/names/192.0.2.1"))
	check("/api/v1/names", "GET", s.get("/api/v1/names?q=hxxps%3A%2F%2Fwww%5B.%5Devil.example%2Fa%3Fb"))
	check("/api/v1/names", "GET", s.get("/api/v1/names"))
	check("/api/v1/figures", "GET", s.get("/api/v1/figures"))
	s.publish(t, warningEntry(t), figuresEntry(t))
	check("/api/v1/warnings", "GET", s.get("/api/v1/warnings"))
	check("/api/v1/figures", "GET", s.get("/api/v1/figures"))

	w = s.get("/api/v1/openapi.json")
	var open struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &open); err != nil || open.OpenAPI != "3.1.0" || len(open.Paths) != 6 {
		t.Errorf("description: got %v, %s with %d paths", err, open.OpenAPI, len(open.Paths))
	}
}

var phish = Listed{Ref: "B-2026-000147", Name: "evil.example", Scope: "host", WWW: true, Class: "phishing", Ground: "policy", By: "Polder Net",
	Since: start.Add(-time.Hour), Until: start.Add(71 * time.Hour)}

func TestNameAPI(t *testing.T) {
	s := newSite(t, nil, nil)
	if w := s.get("/api/v1/names/evil.example"); w.Code != 503 {
		t.Errorf("before the first copy: got %d, want 503", w.Code)
	}
	s.publish(t, listedEntry(t, 1, phish), listedEntry(t, 1, Listed{Ref: "B-2", Name: "xn--mnchen-3ya.example", Scope: "subtree"}))
	for _, c := range []struct {
		name   string
		status int
		want   NameAnswer
	}{
		{"WWW.evil.example.", 200, NameAnswer{Name: "www.evil.example", Listed: true, Ref: "B-2026-000147", Block: "evil.example", Scope: "host", Class: "phishing", Ground: "policy", By: "Polder Net", Since: phish.Since, Until: phish.Until}},
		{"a.evil.example", 200, NameAnswer{Name: "a.evil.example"}},
		{"a.m%C3%BCnchen.example", 200, NameAnswer{Name: "a.xn--mnchen-3ya.example", Listed: true, Ref: "B-2", Block: "xn--mnchen-3ya.example", Scope: "subtree"}},
		{"192.0.2.1", 400, NameAnswer{}},
		{"localhost", 400, NameAnswer{}},
		{"a..b", 400, NameAnswer{}},
	} {
		w := s.get("/api/v1/names/" + c.name)
		var got NameAnswer
		json.Unmarshal(w.Body.Bytes(), &got)
		if w.Code != c.status || c.status == 200 && got != c.want {
			t.Errorf("%s: got %d %+v, want %d %+v", c.name, w.Code, got, c.status, c.want)
		}
	}
}

func TestParseName(t *testing.T) {
	for in, want := range map[string]string{
		"Evil.Example": "evil.example",
		" https://user:pw@evil.example:8443/x?y#z": "evil.example",
		"hxxps://evil[.]example/":                  "evil.example",
		`http:\\evil.example\x`:                    "",
		"//evil.example/x":                         "",
		"evil.example/x@y":                         "evil.example",
		"[::1]:80":                                 "",
		"":                                         "",
	} {
		got, err := parseName(in)
		if got.String() != want && want != "" || (err != nil) != (want == "") {
			t.Errorf("parseName(%q): got %q %v, want %q", in, got, err, want)
		}
	}
}

func TestReportForm(t *testing.T) {
	for _, c := range []struct {
		name  string
		pairs []string
		form  Form
		body  string
		fault string
	}{
		{"a link", []string{"what", "text", "text", " https://evil.example/x \r\n"}, Link, "https://evil.example/x", ""},
		{"a text", []string{"what", "text", "text", "Uw pakje:\r\nevil.example/x\x00"}, Text, "Uw pakje:\nevil.example/x", ""},
		{"a saved mail", []string{"what", "file", "file", evidence}, Evidence, evidence, ""},
		{"a saved mail of a mailbox file", []string{"file", "From x Mon Nov 23\n" + evidence}, Evidence, "From x Mon Nov 23\n" + evidence, ""},
		{"nothing", []string{"what", "text", "text", " "}, "", "", "Paste the link or the text"},
		{"no file", []string{"what", "file", "file", ""}, "", "", "Choose the file"},
		{"text and file", []string{"text", "x", "file", evidence}, "", "", "one after the other"},
		{"a picture of a kind that is not read", []string{"file", "\x00\x00\x01\x00123"}, "", "", "cannot read this kind of picture"},
		{"a screenshot", []string{"file", "\x89PNG\r\n\x1a\n123"}, Picture, "\x89PNG\r\n\x1a\n123", ""},
		{"a telephone's own kind of photo", []string{"file", "\x00\x00\x00\x18ftypheic123"}, "", "", "cannot read this kind of picture"},
		{"a mail saved by Outlook", []string{"file", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1123"}, Evidence, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1123", ""},
		{"another file", []string{"file", "PK\x03\x04"}, "", "", "not a saved mail"},
		{"a long text", []string{"text", strings.Repeat("x ", maxText)}, "", "", "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, nil, nil)
			w := s.form("/report?lang=de", c.pairs...)
			if c.fault != "" {
				w = s.form("/report", c.pairs...)
				if w.Code != 422 || !strings.Contains(w.Body.String(), c.fault) || !strings.Contains(w.Body.String(), `aria-invalid="true"`) || len(s.desk.body) > 0 {
					t.Errorf("got %d %s, want 422 with %q", w.Code, w.Body, c.fault)
				}
				return
			}
			got := s.desk.report(t)
			if w.Code != 303 || w.Header().Get("Location") != "/r/"+got.Token+"?lang=de" {
				t.Errorf("got %d to %q, want 303 to the receipt", w.Code, w.Header().Get("Location"))
			}
			if got.Channel != ByWeb || got.Form != c.form || string(got.Body) != c.body || got.Lang != bolwerk.DE {
				t.Errorf("handed in %+v %q, want %s %q", got, got.Body, c.form, c.body)
			}
		})
	}
}

func TestReportFormURLEncoded(t *testing.T) {
	s := newSite(t, nil, nil)
	w := s.do("POST", "/report", strings.NewReader("text=evil.example%2Fx"), "Content-Type", "application/x-www-form-urlencoded")
	if got := s.desk.report(t); w.Code != 303 || got.Form != Link || string(got.Body) != "evil.example/x" {
		t.Errorf("got %d %+v, want 303 and a link", w.Code, got)
	}
	if w := s.do("POST", "/report", strings.NewReader("text=x"), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("from another site: got %d, want 403", w.Code)
	}
}

func TestAppealForm(t *testing.T) {
	s := newSite(t, nil, nil)
	order := Listed{Ref: "B-9", Name: "court.example", Scope: "subtree", Ground: "order", By: "Court of Polder", Since: start}
	s.publish(t, listedEntry(t, 1, phish), listedEntry(t, 1, order))
	w := s.form("/appeal", "name", "www.evil.example", "role", "owner", "text", "This is our shop.\r\nReally.", "contact", "owner@evil.example")
	if w.Code != 303 {
		t.Fatalf("got %d %s, want 303", w.Code, w.Body)
	}
	a, err := edge.DecodeAppeal(s.desk.body[0])
	if err != nil || s.desk.kind[0] != KindAppeal {
		t.Fatalf("handed in %s: %v", s.desk.kind[0], err)
	}
	code, err := bolwerk.ParseToken(strings.TrimPrefix(w.Header().Get("Location"), "/r/"))
	if err != nil {
		t.Fatal(err)
	}
	want := edge.Appeal{Receipt: code.Hash(), Name: bolwerk.MustDomain("www.evil.example"), Block: "B-2026-000147", Role: "owner", Text: "This is our shop.\nReally.", Contact: "owner@evil.example", At: start}
	if a != want {
		t.Errorf("got %+v\nwant %+v", a, want)
	}
	page := s.get(w.Header().Get("Location")).Body.String()
	if !strings.Contains(page, "Wednesday 25 November 2026 at 14:05") || !strings.Contains(page, "We are looking again") {
		t.Errorf("the receipt does not say when: %s", page)
	}
	for name, c := range map[string]struct {
		pairs  []string
		status int
		holds  string
	}{
		"no role":       {[]string{"name", "evil.example", "text", "x"}, 422, "Choose one of the two"},
		"no text":       {[]string{"name", "evil.example", "role", "visitor"}, 422, "Write why"},
		"a long text":   {[]string{"name", "evil.example", "role", "visitor", "text", strings.Repeat("é", 2001)}, 422, "2000 characters"},
		"long contact":  {[]string{"name", "evil.example", "role", "visitor", "text", "x", "contact", strings.Repeat("x", 255)}, 422, "254"},
		"two lines":     {[]string{"name", "evil.example", "role", "visitor", "text", "x", "contact", "a\nb"}, 422, "254"},
		"not blocked":   {[]string{"name", "good.example", "role", "owner", "text", "x"}, 200, "Not blocked"},
		"no name":       {[]string{"role", "owner", "text", "x"}, 422, "not the name"},
		"typed is kept": {[]string{"name", "court.example", "role", "visitor", "contact", `"><b>`}, 422, `value="&#34;&gt;&lt;b&gt;"`},
	} {
		w := s.form("/appeal", c.pairs...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.holds) || len(s.desk.body) != 1 {
			t.Errorf("%s: got %d, %d handed in, want %d with %q: %s", name, w.Code, len(s.desk.body), c.status, c.holds, w.Body)
		}
	}
}

func TestEnterCode(t *testing.T) {
	s := newSite(t, nil, nil)
	code := bolwerk.NewToken()
	if w := s.get("/r?lang=fr&code=" + strings.ToUpper(code.Grouped())); w.Code != 303 || w.Header().Get("Location") != "/r/"+code.Reveal()+"?lang=fr" {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := s.get("/r?code=x"); w.Code != 422 || !strings.Contains(w.Body.String(), "26 letters") {
		t.Errorf("a wrong code: got %d %s", w.Code, w.Body)
	}
}

// A page sets no cookie, runs no script, asks nobody else, and GET changes
// nothing: mail scanners fetch every link.
func TestPagesAreQuiet(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	loc := s.form("/report", "text", "x y").Header().Get("Location")
	before := len(s.desk.body)
	for _, p := range []string{"/", "/?lang=fr", "/first-aid", "/warnings", "/learn", "/learn/call", "/transparency?lang=nl", "/r", loc, loc + "?lang=nl", "/name", "/name?q=evil.example", "/name?q=%22%3E%3Cscript%3E", "/robots.txt", "/nothing"} {
		w := s.get(p, "Cookie", "lang=de")
		body := w.Body.String()
		if len(w.Header().Values("Set-Cookie")) > 0 || strings.Contains(body, "<script") || strings.Contains(body, "src=\"http") || strings.Contains(body, `lang="de" class`) {
			t.Errorf("%s: a cookie or a script", p)
		}
		if strings.Contains(body, `href="http`) {
			t.Errorf("%s: a link out of the house", p)
		}
	}
	for p, want := range map[string][2]string{loc: {"noindex, nofollow", "no-referrer"}, "/name?q=evil.example": {"noindex, nofollow", "same-origin"}, "/": {"", "same-origin"}} {
		w := s.get(p)
		if got := [2]string{w.Header().Get("X-Robots-Tag"), w.Header().Get("Referrer-Policy")}; got != want {
			t.Errorf("%s: got %q, want %q", p, got, want)
		}
	}
	if len(s.desk.body) != before {
		t.Error("a GET handed something in")
	}
}

// Links carry a language that was chosen by hand.
func TestChosenLanguageStays(t *testing.T) {
	s := newSite(t, nil, nil)
	body := s.get("/?lang=fr").Body.String()
	for _, want := range []string{`lang="fr"`, `href="/r?lang=fr"`, `action="/report?lang=fr"`, "Signalez un message suspect"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if body := s.get("/r?lang=fr").Body.String(); !strings.Contains(body, `name="lang" value="fr"`) {
		t.Error("the form that asks for a code forgets the language")
	}
}

func TestReceiptStates(t *testing.T) {
	s := newSite(t, nil, nil)
	texts := s.frame.Texts()
	for kind, states := range marks {
		for state := range states {
			code := bolwerk.NewToken()
			r := Receipt{Kind: kind, State: state, At: start, Changed: start.Add(time.Minute)}
			if state == "blocked" {
				r.Name, r.Block, r.Number, r.Same = "xn--mnchen-3ya.example", "B-1", 3, sameKey
			}
			entries := []copies.Entry{receiptEntry(t, code, 1, r)}
			if state == "blocked" {
				entries = append(entries, listedEntry(t, 1, Listed{Ref: "B-1", Name: r.Name, Scope: "host"}))
			}
			s.publish(t, entries...)
			for _, lang := range bolwerk.Langs() {
				w := s.get("/r/" + code.Grouped() + "?lang=" + string(lang))
				body := w.Body.String()
				for _, key := range []string{"title", "means", "next"} {
					want := texts.T(lang, "door."+kind+"."+state+"."+key)
					if strings.HasPrefix(want, "door.") || !strings.Contains(body, want) {
						t.Errorf("%s %s in %s: no %s (%q)", kind, state, lang, key, want)
					}
				}
				if w.Code != 200 || !strings.Contains(body, code.Grouped()) || regexp.MustCompile(`[ >]door\.[a-z]+\.[a-z]`).MatchString(body) {
					t.Errorf("%s %s in %s: got %d without the code, or with a key for a text", kind, state, lang, w.Code)
				}
				if state == "blocked" && (!strings.Contains(body, "münchen.example</b>") || !strings.Contains(body, "(xn--mnchen-3ya.example)") || strings.Contains(body, "href=\"xn--")) {
					t.Errorf("blocked in %s: the name is not shown as it should be", lang)
				}
			}
		}
	}
	// A state of a later desk is told in words that are true of every state.
	if key, _ := words(Receipt{Kind: "report", State: "teleported"}); key != "door.report.received" {
		t.Errorf("got %s", key)
	}
}

// Every key that code makes has a text; every text is used.
func TestTexts(t *testing.T) {
	s := newSite(t, nil, nil)
	var keys []string
	for kind, states := range marks {
		for state := range states {
			for _, k := range []string{"title", "means", "next"} {
				keys = append(keys, "door."+kind+"."+state+"."+k)
			}
		}
	}
	for _, glob := range []string{"*.go", "pages/*.html"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"(door\.[a-z_.]+[a-z])"`).FindAllSubmatch(b, -1) {
				if string(m[1]) == "door.css" {
					continue
				}
				keys = append(keys, string(m[1]))
			}
		}
	}
	for _, class := range []string{"phishing", "fake_shop", "malware", "scam"} {
		keys = append(keys, namePage{Listed: Listed{Class: class}}.Why())
	}
	for _, channel := range []string{"mail", "text", "link"} {
		keys = append(keys, "door.warning.by."+channel)
	}
	for _, class := range []string{"phishing", "fake_shop", "malware", "scam", "other"} {
		keys = append(keys, "door.warning.leads."+class)
	}
	for _, k := range aid.Kinds() {
		keys = append(keys, "door.warning.asks."+string(k))
	}
	for _, k := range append([]string{figures.FalsePositives}, append(figures.Keys(), figures.Clocks()...)...) {
		if s.frame.Texts().Has("door.figure." + k) { // not all are for the public
			keys = append(keys, "door.figure."+k, "door.figure."+k+".what")
		}
	}
	for _, k := range reasons {
		keys = append(keys, k)
	}
	for _, g := range []edge.Ground{edge.ByOrder, edge.Requested} {
		keys = append(keys, namePage{Listed: Listed{Ground: string(g)}}.Ground())
	}
	for _, k := range keys {
		if !s.frame.Texts().Has(k) {
			t.Errorf("no text %s", k)
		}
	}
	b, err := os.ReadFile("texts/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^"([^"]+)"`).FindAllSubmatch(b, -1) {
		if !slices.Contains(keys, string(m[1])) {
			t.Errorf("text %s is not used", m[1])
		}
	}
}

func TestGoldenPages(t *testing.T) {
	s := newSite(t, nil, nil)
	code, err := bolwerk.ParseToken("abcd-efgh-jkmn-pqrs-tuvw-xyza-ba")
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, listedEntry(t, 1, phish),
		listedEntry(t, 1, Listed{Ref: "B-9", Name: "court.example", Scope: "subtree", Class: "other", Ground: "order", By: "Court of Polder", Since: start}),
		receiptEntry(t, code, 1, Receipt{Kind: "report", State: "blocked", At: start, Changed: start.Add(11 * time.Minute), Number: 3, Same: sameKey, Name: "evil.example", Block: "B-2026-000147"}),
		entry(t, CountEntry+sameKey, 1, Count{Reports: 47}), entry(t, TallyEntry+"B-2026-000147", 1, Tally{Visits: 1204}))
	digest, once := regexp.MustCompile(`\.[0-9a-f]{12}\.`), regexp.MustCompile(`name="once" value="[A-Z2-7]+"`)
	s.cfg.Partners = aid.Partners{{Kind: aid.CardStop, Name: "Kaart Dicht", Phone: "078 000 001", Abroad: "+32 78 000 001"}}
	s.publishMore(t, warningEntry(t), figuresEntry(t))
	for name, path := range map[string]string{"aid": "/first-aid", "warnings": "/warnings", "learn": "/learn", "guide": "/learn/phishing", "transparency": "/transparency", "feed": "/warnings.atom", "home": "/", "code": "/r", "receipt": "/r/" + code.Reveal(), "name": "/name",
		"name-blocked": "/name?q=www.evil.example", "name-order": "/name?q=a.court.example", "name-open": "/name?q=good.example", "name-wrong": "/name?q=x"} {
		for _, lang := range []string{"nl", "en"} {
			got := digest.ReplaceAllString(s.get(path, "Accept-Language", lang).Body.String(), ".DIGEST.")
			got = once.ReplaceAllString(got, `name="once" value="MARK"`)
			file := filepath.Join("testdata", "pages", name+"."+lang+".html")
			if *update {
				os.MkdirAll(filepath.Dir(file), 0o755)
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not as it was; look at the difference after -update", file)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"operator":         func(c *Config) { c.Operator = "" },
		"phone":            func(c *Config) { c.Phone = "a\nb" },
		"own_networks":     func(c *Config) { c.OwnNetworks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"max_upload":       func(c *Config) { c.MaxUpload = 31 << 20 },
		"uploads":          func(c *Config) { c.Uploads = 0 },
		"reports_per_hour": func(c *Config) { c.ReportsPerHour = 0 },
		"bytes_per_hour":   func(c *Config) { c.BytesPerHour = 1 },
		"looks_per_hour":   func(c *Config) { c.LooksPerHour = -1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A form whose button is pressed twice is one report with one receipt, also while the
// first is being kept; what was changed, and what a new page sends, is another.
func TestAFormSentTwice(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, listedEntry(t, 1, phish))
	mark := regexp.MustCompile(`name="once" value="([A-Z2-7]{26})"`)
	marks := map[string]bool{}
	for _, page := range []string{"/", "/", "/name?q=evil.example"} {
		found := mark.FindAllStringSubmatch(s.get(page).Body.String(), -1)
		if len(found) == 0 {
			t.Fatalf("%s: no mark", page)
		}
		for _, m := range found {
			if marks[m[1]] {
				t.Errorf("%s: the mark %s again", page, m[1])
			}
			marks[m[1]] = true
		}
	}
	for _, f := range [][]string{
		{"/report", "text", "http://evil.example"},
		{"/appeal", "name", "evil.example", "role", "owner", "text", "mine"},
	} {
		sent := func(more ...string) string {
			w := s.form(f[0], append(more, f[1:]...)...)
			if w.Code != 303 {
				t.Fatalf("%s: got %d %s", f[0], w.Code, w.Body)
			}
			return w.Header().Get("Location")
		}
		before := len(s.desk.body)
		one := sent("once", "AAAA")
		if again := sent("once", "AAAA"); again != one || len(s.desk.body) != before+1 {
			t.Errorf("%s twice: receipts %s and %s, %d handed in; want the same, 1", f[0], one, again, len(s.desk.body)-before)
		}
		s.restart()
		s.publish(t, listedEntry(t, 1, phish))
		if again := sent("once", "AAAA"); again != one || len(s.desk.body) != before+1 {
			t.Errorf("after a restart: %s, want %s; %d handed in", again, one, len(s.desk.body)-before)
		}
		if other := sent("once", "BBBB"); other == one || len(s.desk.body) != before+2 {
			t.Errorf("%s of a new page: not another one", f[0])
		}
		f[len(f)-1] += " more"
		if other := sent("once", "AAAA"); other == one || len(s.desk.body) != before+3 {
			t.Errorf("%s, changed: not another one", f[0])
		}
	}

	wait, running := make(chan struct{}), make(chan struct{})
	slow := newSite(t, func(string, []byte) (string, error) { close(running); <-wait; return bolwerk.NewID(start), nil }, nil)
	done := make(chan string, 2)
	press := func() {
		done <- slow.form("/report", "once", "AAAA", "text", "http://evil.example").Header().Get("Location")
	}
	go press()
	<-running
	go press()
	close(wait)
	if a, b := <-done, <-done; a == "" || a != b {
		t.Errorf("pressed twice at once: receipts %q and %q", a, b)
	}
}
