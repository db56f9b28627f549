package edge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/garden"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const guestAt, nobodyAt = "198.51.100.7", "198.51.100.8"

// world is an edge with one guest, and what it handed in.
type world struct {
	*Edge
	t        *testing.T
	clock    *clock.Fake
	events   []garden.Event
	full     error
	doubtful bool
	version  int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(noon)}
	cfg := DefaultConfig()
	cfg.Listen, cfg.URL, cfg.Addresses = "127.0.0.1:0", "http://safe.isp.example", []netip.Addr{netip.MustParseAddr("192.0.2.9")}
	var err error
	w.Edge, err = New(cfg, garden.Look{Operator: "Voorbeeld"}, Parts{Clock: w.clock, Log: slog.New(slog.DiscardHandler), Doubtful: func() bool { return w.doubtful },
		HandIn: func(_ context.Context, kind string, body []byte) error {
			var ev garden.Event
			if err := json.Unmarshal(body, &ev); err != nil || kind != garden.Kind || ev.Check() != nil {
				t.Errorf("handed in %s %s (%v)", kind, body, err)
			}
			if w.full == nil {
				w.events = append(w.events, ev)
			}
			return w.full
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.tell(func(*garden.Guest) {})
	return w
}

// tell has the copy say something of the guest.
func (w *world) tell(change func(*garden.Guest)) {
	w.t.Helper()
	g := garden.Guest{Quarantine: "q1", Ref: "Q-2026-000001", Class: "malicious-code/infected-system", Family: "mirai", Profile: "leaky", Since: noon, Until: noon.AddDate(0, 0, 30), SelfLeft: 2, State: "active"}
	change(&g)
	body, err := json.Marshal(g)
	if err != nil {
		w.t.Fatal(err)
	}
	w.version++
	w.apply(copy.Entry{ID: guestAt + "/32", Version: w.version, Until: noon.Add(time.Hour).UnixMicro(), Body: body})
}

func (w *world) apply(all ...copy.Entry) {
	w.t.Helper()
	if err := w.Guests().Apply(copy.Head{}, all); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(method, from, rawURL string, form url.Values) (*http.Response, string) {
	w.t.Helper()
	r := httptest.NewRequest(method, rawURL, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "text/html")
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(from), 50000).String()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	b, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec.Result(), string(b)
}

const form = "http://safe.isp.example" + FormPath

func (w *world) send(pairs ...string) (*http.Response, string) {
	v := url.Values{"token": {garden.Guest{Quarantine: "q1"}.Token()}, "lang": {"nl"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return w.do("POST", guestAt, form, v)
}

func TestChecks(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		url    string
		status int
		body   string
	}{
		{"http://connectivitycheck.gstatic.com/generate_204", 204, ""},
		{"http://captive.apple.com/hotspot-detect.html", 200, "<BODY>Success</BODY>"},
		{"http://www.msftconnecttest.com/connecttest.txt", 200, "Microsoft Connect Test"},
		{"http://www.msftncsi.com/ncsi.txt", 200, "Microsoft NCSI"},
		{"http://detectportal.firefox.com/success.txt?ipv4", 200, "success\n"},
		{"http://detectportal.firefox.com/canonical.html", 200, "support.mozilla.org"},
		{"http://nmcheck.gnome.org/check_network_status.txt", 200, "NetworkManager is online\n"},
	} {
		r, body := w.do("GET", nobodyAt, c.url, nil)
		if r.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s for nobody: %d %q", c.url, r.StatusCode, body)
		}
		if r, _ := w.do("GET", guestAt, c.url, nil); r.StatusCode != http.StatusFound || r.Header.Get("Location") != "http://safe.isp.example/" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s for a guest: %d %v", c.url, r.StatusCode, r.Header)
		}
	}
	if r, _ := w.do("GET", guestAt, "http://neverssl.example/x", nil); r.StatusCode != http.StatusFound {
		t.Errorf("another site for a guest: %d, want the way to the page", r.StatusCode)
	}
	if r, body := w.do("GET", nobodyAt, "http://neverssl.example/x", nil); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || !strings.Contains(body, "niet in de veilige omgeving") {
		t.Errorf("another site for who is free: %d %s", r.StatusCode, body)
	}
	if len(CheckNames()) < 10 {
		t.Errorf("%v", CheckNames())
	}
}

func TestCaptiveAPI(t *testing.T) {
	w := newWorld(t)
	for from, want := range map[string]string{guestAt: `{"captive":true,"user-portal-url":"http://safe.isp.example/"}`, nobodyAt: `{"captive":false}`} {
		r, body := w.do("GET", from, "http://safe.isp.example"+CaptivePath, nil)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/captive+json" || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %v %s", from, r.StatusCode, r.Header, body)
		}
	}
}

func TestWhoIsAGuest(t *testing.T) {
	w := newWorld(t)
	isGuest := func(from string) bool {
		_, body := w.do("GET", from, "http://safe.isp.example/?lang=nl", nil)
		return strings.Contains(body, "Uw internet staat in de veilige omgeving")
	}
	if !isGuest(guestAt) || isGuest(nobodyAt) || isGuest("2001:db8::7") {
		t.Fatal("the guest is who the copy names, and nobody else")
	}
	r := httptest.NewRequest("GET", "http://safe.isp.example/", nil)
	r.Header.Set("X-Forwarded-For", guestAt)
	r.RemoteAddr = nobodyAt + ":1"
	if _, _, in := w.guest(r); in {
		t.Error("a header makes somebody a guest")
	}
	if w.doubtful = true; isGuest(guestAt) {
		t.Error("in doubt somebody is a guest")
	}
	w.doubtful = false
	if w.clock.Add(time.Hour); isGuest(guestAt) {
		t.Error("a guest after the end")
	}
	w.clock.Add(-time.Hour)
	w.apply(copy.Entry{ID: "2001:db8:0:100::/56", Version: 1, Until: noon.Add(time.Hour).UnixMicro(), Body: []byte(`{"quarantine":"q2","class":"abusive-content/spam","state":"active"}`)},
		copy.Entry{ID: "0.0.0.0/0", Version: 1, Until: noon.Add(time.Hour).UnixMicro(), Body: []byte(`{"quarantine":"q3"}`)},
		copy.Entry{ID: "203.0.113.1/32", Version: 1, Until: noon.Add(time.Hour).UnixMicro(), Body: []byte(`[]`)})
	if !isGuest("2001:db8:0:1ff::1") || isGuest("203.0.113.1") {
		t.Error("what can be read is taken, what cannot is nobody")
	}
	w.apply(copy.Entry{ID: guestAt + "/32", Version: 9, Removed: true})
	if isGuest(guestAt) {
		t.Error("a guest after the release")
	}
	if err := w.Guests().Reset(copy.Head{}, func(func(copy.Entry) bool) {}); err != nil || w.guests.count() != 0 || len(w.guests.given) > 0 && isGuest("2001:db8:0:1ff::1") {
		t.Error("guests of before another copy are there yet")
	}
}

func TestThePathToRelease(t *testing.T) {
	w := newWorld(t)
	_, body := w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil)
	w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil)
	if len(w.events) != 1 || w.events[0].What != "seen" {
		t.Fatalf("handed in %+v, want that the page was seen, once", w.events)
	}
	if strings.Contains(body, `value="release"`) {
		t.Error("release is offered at once")
	}
	if r, _ := w.send("what", "release"); r.StatusCode != http.StatusConflict {
		t.Errorf("release without the steps: %d", r.StatusCode)
	}
	for _, id := range garden.Thing.Steps() {
		if r, _ := w.send("what", "done", "step", id); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/?lang=nl#"+id {
			t.Fatalf("%s: %d %v", id, r.StatusCode, r.Header)
		}
	}
	if _, body = w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil); !strings.Contains(body, "5 van 5 klaar") {
		t.Error("ticks are not shown before the desk knows them")
	}
	w.send("what", "undone", "step", "t_find")
	if _, body = w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil); !strings.Contains(body, "4 van 5 klaar") {
		t.Error("a tick that was taken back is shown")
	}
	w.send("what", "done", "step", "t_find")
	before := len(w.events)
	for range 2 { // twice is once
		if r, _ := w.send("what", "release"); r.StatusCode != http.StatusSeeOther {
			t.Fatalf("release: %d", r.StatusCode)
		}
	}
	if len(w.events) != before+1 {
		t.Errorf("release is handed in %d times", len(w.events)-before)
	}
	if _, body = w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil); !strings.Contains(body, "U hebt gevraagd uw internet te openen") || strings.Contains(body, "We openen uw internet nu") {
		t.Error("the page says more than the desk did, or less than was asked")
	}
	w.tell(func(g *garden.Guest) { g.State, g.Done = "releasing", garden.Thing.Steps() })
	if _, body = w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil); !strings.Contains(body, "We openen uw internet nu") {
		t.Error("the page does not say that the desk opens the line")
	}
	w.tell(func(g *garden.Guest) { g.Done = garden.Thing.Steps()[:1] })
	if _, body = w.do("GET", guestAt, "http://safe.isp.example/?lang=nl", nil); !strings.Contains(body, "Uw internet staat in de veilige omgeving") || !strings.Contains(body, "1 van 5") {
		t.Error("the desk's word does not stand above what was handed in")
	}
	w.apply(copy.Entry{ID: guestAt + "/32", Version: 99, Removed: true})
	if r, body := w.send("what", "done", "step", "t_find"); r.StatusCode != 200 || !strings.Contains(body, "niet in de veilige omgeving") {
		t.Errorf("a form after the release: %d", r.StatusCode)
	}
}

func TestForms(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		status int
		pairs  []string
	}{
		{"no such step", 409, []string{"what", "done", "step", "nothing"}},
		{"nothing we know", 409, []string{"what", "free"}},
		{"seen is no form", 409, []string{"what", "seen"}},
		{"from another page", 403, []string{"what", "done", "step", "t_find", "token", "x"}},
		{"help without a word", 422, []string{"what", "help", "text", " "}},
		{"too long", 422, []string{"what", "help", "text", strings.Repeat("é", garden.MaxText+1)}},
		{"contact too long", 422, []string{"what", "help", "text", "x", "contact", strings.Repeat("x", 255)}},
		{"far too long", 413, []string{"what", "help", "text", strings.Repeat("x", maxForm)}},
	} {
		if r, body := w.send(c.pairs...); r.StatusCode != c.status || !strings.Contains(body, `role="alert"`) {
			t.Errorf("%s: %d, want %d, and a word why", c.name, r.StatusCode, c.status)
		}
	}
	if len(w.events) != 0 {
		t.Fatalf("handed in %+v", w.events)
	}
	if r, body := w.send("what", "help", "text", "de camera\r\nvind ik niet", "contact", "0470"); r.StatusCode != 201 || !strings.Contains(body, "We hebben uw vraag") {
		t.Errorf("help: %d", r.StatusCode)
	}
	if len(w.events) != 1 || w.events[0].Text != "de camera\nvind ik niet" || w.events[0].Contact != "0470" {
		t.Errorf("handed in %+v", w.events)
	}
	w.full = errors.New("disk full")
	if r, body := w.send("what", "done", "step", "t_find"); r.StatusCode != 503 || strings.Contains(body, `class="done"`) {
		t.Errorf("a tick that is not durable: %d, want that it is not shown", r.StatusCode)
	}
	w.full = nil
	last := 0
	for range maxTicks + 1 {
		r, _ := w.send("what", "done", "step", "t_find")
		last = r.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("after %d ticks: %d", maxTicks+1, last)
	}
	if r, _ := w.do("PUT", guestAt, "http://safe.isp.example/", nil); r.StatusCode != 405 {
		t.Errorf("PUT: %d", r.StatusCode)
	}
}

func TestConfig(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	good.Listen, good.URL, good.Addresses = "127.0.0.1:8084", "http://127.0.0.1:8084", []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, f := range []func(*Config){func(c *Config) { c.Listen = "" }, func(c *Config) { c.URL = "ftp://x" }, func(c *Config) { c.URL = "https://safe.isp.example" }, func(c *Config) { c.Addresses = nil },
		func(c *Config) { c.ListenTLS = "127.0.0.1:1" }, func(c *Config) { c.Allow = []string{"not a name"} }, func(c *Config) { c.Conns = 0 }, func(c *Config) { c.Listen = "x" }} {
		c := good
		if f(&c); c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add("what=done&step=t_find", "safe.isp.example", "nl")
	f.Add("what=help&text=%ff&contact=%00", "captive.apple.com:80", "fr;q=0.1")
	f.Fuzz(func(t *testing.T, body, host, lang string) {
		w := newWorld(t)
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/", strings.NewReader(body))
			r.Host, r.URL.Path, r.URL.RawQuery = host, FormPath, body
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept-Language", lang)
			r.RemoteAddr = guestAt + ":1"
			rec := httptest.NewRecorder()
			if w.ServeHTTP(rec, r); rec.Code >= 500 {
				t.Errorf("%s %q at %q: %d", method, body, host, rec.Code)
			}
		}
	})
}
