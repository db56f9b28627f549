package door

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/mail"
	"bolwerk/internal/once"
	"bolwerk/internal/web"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

type stand struct {
	dir string
	ids map[string]bool // of what was handed in
	*Site
	h     http.Handler
	clock *clock.Fake
	taken []Report
	said  []Said
	full  bool
}

// rest is the other sink of the copy.
type rest struct{ ids []string }

func (r *rest) Reset(_ copies.Head, seq func(func(copies.Entry) bool)) error {
	seq(func(e copies.Entry) bool { r.ids = append(r.ids, e.ID); return true })
	return nil
}

func (r *rest) Apply(_ copies.Head, all []copies.Entry) error {
	for _, e := range all {
		r.ids = append(r.ids, e.ID)
	}
	return nil
}

func site(t *testing.T) *stand {
	t.Helper()
	s := &stand{clock: clock.NewFake(noon), dir: t.TempDir(), ids: map[string]bool{}}
	s.restart(t)
	return s
}

// restart begins the intake anew.
func (s *stand) restart(t *testing.T) {
	t.Helper()
	words, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.DefaultConfig()
	cfg.URL = "http://report.example"
	frame, err := web.New(web.Site{Name: "public", NoCookies: true, Static: []fs.FS{fstest.MapFS{"door.css": {}}}, Config: cfg, Texts: []*web.Texts{words}, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	requests, err := once.Open(disk.System{}, s.dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	putAs := func(id, kind string, body []byte) error {
		if s.full {
			return fmt.Errorf("spool: %w", bolwerk.ErrFull)
		}
		if s.ids[id] {
			return nil // as the desk: the same id again changes nothing
		}
		s.ids[id] = true
		if kind == KindNotice {
			said, err := DecodeSaid(body)
			if err != nil {
				t.Error(err)
			}
			s.said = append(s.said, said)
			return nil
		}
		r, err := DecodeReport(body)
		if err != nil || kind != KindReport {
			t.Errorf("handed in %s: %v", kind, err)
		}
		s.taken = append(s.taken, r)
		return nil
	}
	s.Site, err = NewSite(With{PutAs: putAs, Once: requests, Frame: frame, Clock: s.clock, Zone: "Europe/Brussels", Mail: mail.MustAddress("abuse@isp.example")})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	s.h = frame.Handler(mux)
}

func (s *stand) do(method, path, kind, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://report.example"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func good() url.Values {
	return url.Values{"what": {"login"}, "address": {"192.0.2.7"}, "port": {"50112"}, "day": {"2026-11-26"}, "clock": {"10:30"}, "zone": {"local"}, "text": {"sshd: Failed password"}, "contact": {"joke@buren.example"}}
}

const formType = "application/x-www-form-urlencoded"

func TestForm(t *testing.T) {
	s := site(t)
	for _, lang := range bolwerk.Langs() {
		if w := s.do("GET", "/abuse?lang="+string(lang), "", ""); w.Code != 200 || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: got %d, with a script: %v", lang, w.Code, strings.Contains(w.Body.String(), "<script"))
		}
	}
	w := s.do("POST", "/abuse?lang=nl", formType, good().Encode())
	to := w.Header().Get("Location")
	if w.Code != 303 || !strings.HasPrefix(to, "/abuse/r/") || !strings.HasSuffix(to, "?lang=nl") || len(s.taken) != 1 {
		t.Fatalf("got %d to %q with %d reports", w.Code, to, len(s.taken))
	}
	var f Fields
	if err := json.Unmarshal(s.taken[0].Body, &f); err != nil || s.taken[0].Form != Filled || s.taken[0].Channel != ByWeb || s.taken[0].From != "joke@buren.example" {
		t.Errorf("taken %+v: %v", s.taken[0], err)
	}
	if !f.At.Equal(time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)) || f.Address != "192.0.2.7" || f.Port != 50112 {
		t.Errorf("fields %+v", f)
	}
	if w := s.do("GET", to, "", ""); w.Code != 200 || !strings.Contains(w.Header().Get("X-Robots-Tag"), "noindex") {
		t.Errorf("the receipt's page: %d %v", w.Code, w.Header())
	}
}

func TestFormSaysWhatIsMissing(t *testing.T) {
	s := site(t)
	for field, bad := range map[string]string{"what": "murder", "address": "the neighbour", "port": "70000", "day": "yesterday", "text": " ", "contact": "me"} {
		v := good()
		v.Set(field, bad)
		w := s.do("POST", "/abuse?lang=en", formType, v.Encode())
		if w.Code != 422 || !strings.Contains(w.Body.String(), `class="error"`) || field != "text" && !strings.Contains(w.Body.String(), "Failed password") {
			t.Errorf("%s=%q: got %d; what was typed must stay", field, bad, w.Code)
		}
	}
	for _, a := range []string{"10.0.0.1", "127.0.0.1", "fe80::1", "192.168.1.1"} {
		v := good()
		v.Set("address", a)
		if w := s.do("POST", "/abuse", formType, v.Encode()); w.Code != 422 {
			t.Errorf("%s: got %d, want 422", a, w.Code)
		}
	}
	v := good()
	v.Set("day", "2027-01-01")
	if w := s.do("POST", "/abuse", formType, v.Encode()); w.Code != 422 {
		t.Errorf("a day in the future: got %d", w.Code)
	}
	if len(s.taken) != 0 {
		t.Errorf("%d reports were taken", len(s.taken))
	}
}

func TestFormSentTwiceIsOneReport(t *testing.T) {
	s := site(t)
	v := good()
	v.Set("once", "mark")
	a, b := s.do("POST", "/abuse", formType, v.Encode()), s.do("POST", "/abuse", formType, v.Encode())
	if len(s.taken) != 1 || a.Header().Get("Location") != b.Header().Get("Location") {
		t.Errorf("%d reports, %q and %q", len(s.taken), a.Header().Get("Location"), b.Header().Get("Location"))
	}
	s.restart(t)
	if b = s.do("POST", "/abuse", formType, v.Encode()); len(s.taken) != 1 || a.Header().Get("Location") != b.Header().Get("Location") {
		t.Errorf("after a restart: %d reports, %q and %q", len(s.taken), a.Header().Get("Location"), b.Header().Get("Location"))
	}
	s.full = true
	if w := s.do("POST", "/abuse", formType, good().Encode()); w.Code != 503 || !strings.Contains(w.Body.String(), "Failed password") {
		t.Errorf("with a full spool: %d", w.Code)
	}
}

func TestAPI(t *testing.T) {
	s := site(t)
	const body = `{"xarf_version":"4.0.0"}`
	w := s.do("POST", "/api/v1/abuse/reports", "application/json", body, "Idempotency-Key", "k1")
	var a Taken
	if err := json.Unmarshal(w.Body.Bytes(), &a); w.Code != 201 || err != nil || a.Code == "" || a.Status != "QUEUED" {
		t.Fatalf("got %d %s: %v", w.Code, w.Body, err)
	}
	again := s.do("POST", "/api/v1/abuse/reports", "application/json", body, "Idempotency-Key", "k1")
	if again.Body.String() != w.Body.String() || len(s.taken) != 1 {
		t.Errorf("the same again: %s, %d reports", again.Body, len(s.taken))
	}
	if w := s.do("POST", "/api/v1/abuse/reports", "application/json", `{"x":1}`, "Idempotency-Key", "k1"); w.Code != 422 {
		t.Errorf("the same token with another body: %d", w.Code)
	}
	for _, c := range []struct {
		kind, body string
		want       int
	}{{"application/x-ndjson", body + "\n" + body + "\n", 201}, {"message/rfc822", "From: a@b.example\r\n\r\n", 201}, {"text/csv", "a,b\n", 201}, {"image/png", "x", 415}, {"application/json", "hello", 400}, {"application/json", "", 400}, {"application/json", `"text"`, 400}} {
		if w := s.do("POST", "/api/v1/abuse/reports", c.kind, c.body); w.Code != c.want {
			t.Errorf("%s %q: got %d, want %d: %s", c.kind, c.body, w.Code, c.want, w.Body)
		}
	}
	if w := s.do("POST", "/api/v1/abuse/reports?name=../x", "text/csv", "a"); w.Code != 400 {
		t.Errorf("a path as a name: %d", w.Code)
	}
	if w := s.do("POST", "/api/v1/abuse/reports?name=2026-11-26-scan_dns-a.csv", "text/csv", "a"); w.Code != 201 || s.taken[len(s.taken)-1].Name != "2026-11-26-scan_dns-a.csv" {
		t.Errorf("a name: %d, taken as %q", w.Code, s.taken[len(s.taken)-1].Name)
	}
}

func TestStatus(t *testing.T) {
	s := site(t)
	other := &rest{}
	sink := s.Beside(other)
	code := bolwerk.NewToken()
	path := "/api/v1/abuse/reports/" + code.Reveal()
	if w := s.do("GET", path, "", ""); w.Code != 503 {
		t.Errorf("before the first copy: %d", w.Code)
	}
	entry := func(code bolwerk.Token, version int64, st Status) copies.Entry {
		b, _ := json.Marshal(st)
		return copies.Entry{ID: StatusEntry + code.Hash(), Version: version, Body: b, Until: noon.Add(time.Hour).UnixMicro()}
	}
	all := []copies.Entry{entry(code, 1, Status{Code: "PROCESSING", At: noon}), {ID: "b:B-1", Version: 1, Body: []byte("{}")}}
	if err := sink.Reset(copies.Head{}, func(yield func(copies.Entry) bool) {
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := sink.Apply(copies.Head{}, []copies.Entry{entry(code, 3, Status{Code: "ACTIONED", At: noon, Events: 2, Actioned: 1}), entry(code, 2, Status{Code: "QUEUED"})}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(other.ids) != "[b:B-1]" {
		t.Errorf("the other sink got %v", other.ids)
	}
	w := s.do("GET", path, "", "")
	var st Status
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil || w.Code != 200 || st.Code != "ACTIONED" || st.Actioned != 1 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for _, lang := range bolwerk.Langs() {
		for _, c := range []string{"QUEUED", "PROCESSING", "ACTIONED", "NOT_RESOLVABLE", "REVIEWED_NO_ACTION", "NEED_MORE_INFORMATION"} {
			sink.Apply(copies.Head{}, []copies.Entry{entry(code, 4, Status{Code: c, At: noon, Events: 1})})
			if w := s.do("GET", "/abuse/r/"+code.Reveal()+"?lang="+string(lang), "", ""); w.Code != 200 || strings.Contains(w.Body.String(), "abuse.status.") {
				t.Errorf("%s in %s: %d", c, lang, w.Code)
			}
		}
	}
	for _, bad := range []string{"x", bolwerk.NewToken().Reveal()} {
		if w := s.do("GET", "/api/v1/abuse/reports/"+bad, "", ""); w.Code != 404 {
			t.Errorf("code %q: %d, want 404", bad, w.Code)
		}
	}
	s.clock.Add(2 * time.Hour)
	if w := s.do("GET", path, "", ""); w.Code != 404 {
		t.Errorf("after its end: %d", w.Code)
	}
}

func TestABox(t *testing.T) {
	var kinds []string
	b := Box{Addresses: []mail.Address{mail.MustAddress("abuse@isp.example")}, Put: func(kind string, _ []byte) (string, error) {
		kinds = append(kinds, kind)
		return bolwerk.NewID(noon), nil
	}}
	shielded := 0
	accept := b.Sort(func(_ context.Context, e mail.Envelope) (string, error) { shielded += len(e.Rcpt); return "x", nil })
	for _, c := range []struct {
		to           []string
		abuse, other int
	}{{[]string{"abuse@isp.example"}, 1, 0}, {[]string{"Abuse@ISP.example"}, 1, 0}, {[]string{"suspicious@isp.example"}, 0, 1}, {[]string{"abuse@isp.example", "suspicious@isp.example"}, 1, 1}} {
		kinds, shielded = nil, 0
		if _, err := accept(t.Context(), mail.Envelope{Rcpt: c.to, ReceivedAt: noon, Raw: []byte("From: a@b.example\r\n\r\n")}); err != nil {
			t.Fatal(err)
		}
		if len(kinds) != c.abuse || shielded != c.other {
			t.Errorf("%v: %d to the abuse desk, %d elsewhere", c.to, len(kinds), shielded)
		}
	}
	if _, err := b.Accept(t.Context(), mail.Envelope{Rcpt: []string{"abuse@isp.example"}}); err == nil {
		t.Error("an empty mail was taken")
	}
}
