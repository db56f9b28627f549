package edge

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"

	"bolwerk"
)

const home, neighbour, away = "198.51.100.7", "198.51.100.8", "203.0.113.9"

func withRelease(c *Config) {
	c.Release.Minutes = 30
	c.Release.Lines = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1000::/36")}
}

func getFrom(e *Edge, from, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/?lang=en", nil)
	r.Host, r.RemoteAddr = host, netip.AddrPortFrom(netip.MustParseAddr(from), 40000).String()
	w := httptest.NewRecorder()
	e.Page().ServeHTTP(w, r)
	return w
}

var ticket = regexp.MustCompile(`name="ticket" value="([0-9a-f]{32})"`)

func ticketOn(body string) string {
	if m := ticket.FindStringSubmatch(body); m != nil {
		return m[1]
	}
	return ""
}

func openFrom(e *Edge, from, host, ticket string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", ReleasePath, strings.NewReader(url.Values{"ticket": {ticket}, "lang": {"en"}}.Encode()))
	r.Host, r.RemoteAddr = host, netip.AddrPortFrom(netip.MustParseAddr(from), 40001).String()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.Page().ServeHTTP(w, r)
	return w
}

// stopped asks the DNS from an address.
func stopped(e *Edge, from, name string) bool {
	a := netip.MustParseAddr(from)
	_, ok := e.Answer(&dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain(name)), Type: dnsserve.TypeA, Class: 1, Worker: -1, From: netip.AddrFrom16(a.As16())})
	return ok
}

func TestRelease(t *testing.T) {
	e, c, d := testEdge(t, withRelease)
	reset(t, e, rule("B-2026-000150", "shop.example", func(r *Rule) { r.Until, r.Class, r.Suspicious = time.Time{}, "fake_shop", true }))
	for range 2 { // opening again begins again
		w := openFrom(e, home, "shop.example", ticketOn(getFrom(e, home, "shop.example").Body.String()))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "The website is open for you") || !strings.Contains(w.Body.String(), "Until 13:30 on 14 March 2026") {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
	if stopped(e, home, "shop.example") || !stopped(e, neighbour, "shop.example") || !stopped(e, away, "shop.example") {
		t.Error("it is open for that line and no other")
	}
	if e.released.given.Load() != 2 || e.released.some.Load() != 1 {
		t.Errorf("counted %d, %d", e.released.given.Load(), e.released.some.Load())
	}
	c.Add(30*time.Minute - time.Second)
	e.tick()
	if stopped(e, home, "shop.example") {
		t.Error("it ended early")
	}
	c.Add(time.Second)
	e.tick()
	if !stopped(e, home, "shop.example") {
		t.Error("it did not end by the clock")
	}
	e.released.sweep(e.now.Load())
	if e.released.some.Load() != 0 || len(e.released.until) != 0 {
		t.Error("what is over is kept")
	}
	for _, h := range d.got {
		if strings.Contains(string(h.body), home) {
			t.Errorf("handed in who it was: %s", h.body)
		}
	}
}

func TestRelease_of_an_IPv6_line(t *testing.T) {
	e, _ := edgeWith(t, withRelease)
	openFrom(e, "2001:db8:1000:ff00::1", "shop.example", ticketOn(getFrom(e, "2001:db8:1000:ff00::1", "shop.example").Body.String()))
	if stopped(e, "2001:db8:1000:ffaa::53", "shop.example") || !stopped(e, "2001:db8:1000:fe00::53", "shop.example") {
		t.Error("a /56 is one line, the next one is another")
	}
}

// Off unless the operator says so, and never for phishing, for an order, for
// what the desk was sure of, for a class that is not named, behind a shared
// address, or from an address that is no fixed line.
func TestRelease_never(t *testing.T) {
	rules := map[string]func(*Rule){
		"phishing.example":     func(r *Rule) { r.Suspicious = true },
		"hackedbank.example":   func(r *Rule) { r.Compromised = true },
		"order.example":        func(r *Rule) { r.Class, r.Suspicious, r.Ground = "scam", true, ByOrder },
		"sure.example":         func(r *Rule) { r.Class = "scam" },
		"malware.example":      func(r *Rule) { r.Class, r.Suspicious = "malware", true },
		"unknown.example":      func(r *Rule) { r.Class, r.Suspicious = "", true },
		"nothingshown.example": func(r *Rule) { r.Class, r.Suspicious, r.Action = "scam", true, NXDomain },
	}
	e, _, _ := testEdge(t, withRelease)
	all := []Rule{rule("B-2026-000001", "shop.example", func(r *Rule) { r.Class, r.Suspicious = "fake_shop", true }),
		rule("B-2026-000002", "garden.example", func(r *Rule) { r.Class, r.Compromised = "scam", true })}
	for name, change := range rules {
		all = append(all, rule("B-2026-0001"+string(rune('0'+len(all)))+"0", name, change))
	}
	reset(t, e, all...)
	for _, name := range []string{"shop.example", "garden.example"} {
		if ticketOn(getFrom(e, home, name).Body.String()) == "" {
			t.Errorf("%s cannot be opened", name)
		}
	}
	good := ticketOn(getFrom(e, home, "shop.example").Body.String())
	for name := range rules {
		if ticketOn(getFrom(e, home, name).Body.String()) != "" {
			t.Errorf("%s: the page offers to open it", name)
		}
		// Not even with a genuine ticket for that block.
		f := e.find(nameset.AppendWire(nil, bolwerk.MustDomain(name)), netip.Addr{})
		line, _ := e.released.lineOf(netip.MustParseAddr(home))
		for _, tk := range []string{good, e.released.ticket(line, f.hitKey(), e.now.Load())} {
			if w := openFrom(e, home, name, tk); w.Code != 403 || !stopped(e, home, name) {
				t.Errorf("%s: got %d", name, w.Code)
			}
		}
		// Nor where it stands in the table: the block became one of these.
		e.released.open(line, f.hitKey(), e.now.Load())
		if !stopped(e, home, name) {
			t.Errorf("%s is open", name)
		}
		e.released.sweep(1 << 40)
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"no ticket":          openFrom(e, home, "shop.example", ""),
		"a neighbour's":      openFrom(e, neighbour, "shop.example", good),
		"from away":          openFrom(e, away, "shop.example", good),
		"another block's":    openFrom(e, home, "garden.example", good),
		"another site's":     openFrom(e, home, "shop.example", good, "Origin", "http://evil.example"),
		"a browser's word":   openFrom(e, home, "shop.example", good, "Sec-Fetch-Site", "cross-site"),
		"a body that is cut": openFrom(e, home, "shop.example", strings.Repeat("x", 20000)),
	} {
		if w.Code != 403 || !strings.Contains(w.Body.String(), `<p class="error" role="alert">`) {
			t.Errorf("%s: got %d", what, w.Code)
		}
	}
	if !stopped(e, home, "shop.example") || e.released.given.Load() != 0 {
		t.Error("something was opened")
	}
	if w := openFrom(e, home, "shop.example", good, "Origin", "http://shop.example", "Sec-Fetch-Site", "same-origin"); w.Code != 200 {
		t.Errorf("our own page: got %d", w.Code)
	}
	if ticketOn(getFrom(e, away, "shop.example").Body.String()) != "" {
		t.Error("an address that is no fixed line is offered it")
	}
	off, _ := pageEdge(t)
	if w := openFrom(off, home, "shop.example", good); w.Code != 405 || ticketOn(getFrom(off, home, "shop.example").Body.String()) != "" {
		t.Errorf("off: got %d", w.Code)
	}
}

// A ticket does not hold for ever.
func TestRelease_ticket_ends(t *testing.T) {
	e, c, _ := testEdge(t, withRelease)
	reset(t, e, rule("B-2026-000150", "shop.example", func(r *Rule) { r.Until, r.Class, r.Suspicious = time.Time{}, "fake_shop", true }))
	tk := ticketOn(getFrom(e, home, "shop.example").Body.String())
	c.Add(20 * time.Minute)
	e.tick()
	if w := openFrom(e, home, "shop.example", tk); w.Code != 403 {
		t.Errorf("got %d", w.Code)
	}
}

func TestRelease_is_bounded(t *testing.T) {
	r := newReleases(ReleaseConfig{Minutes: 30, Lines: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, IPv6Line: 56})
	var line [16]byte
	for i := range uint64(maxPerLine) {
		if _, ok := r.open(line, i+1, 1000); !ok {
			t.Fatalf("number %d is refused", i+1)
		}
	}
	if _, ok := r.open(line, 99, 1000); ok {
		t.Error("a line opens more than it may")
	}
	if _, ok := r.open(line, 1, 1000); !ok {
		t.Error("what is open already cannot be opened for longer")
	}
	for i := range maxReleases {
		line[0], line[1] = byte(i), byte(i>>8)
		line[2] = 1
		r.open(line, 1, 1000)
	}
	line[3] = 1
	if _, ok := r.open(line, 1, 1000); ok || len(r.until) > maxReleases {
		t.Errorf("%d are kept, at most %d", len(r.until), maxReleases)
	}
	if _, ok := r.open(line, 1, 1000+30*60); !ok || len(r.until) != 1 {
		t.Errorf("what is over leaves no room: %d are kept", len(r.until))
	}
}

func TestReleaseConfig(t *testing.T) {
	for want, change := range map[string]func(*ReleaseConfig){
		"want 0 to 30":          func(c *ReleaseConfig) { c.Minutes = 31 },
		"lines: name":           func(c *ReleaseConfig) { c.Lines = nil },
		"share an address":      func(c *ReleaseConfig) { c.Lines = []netip.Prefix{netip.MustParsePrefix("100.100.0.0/16")} },
		"0.0.0.0/0 would":       func(c *ReleaseConfig) { c.Lines = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"phishing is never":     func(c *ReleaseConfig) { c.Classes = []string{"phishing"} },
		"\"x\": want fake_shop": func(c *ReleaseConfig) { c.Classes = []string{"x"} },
		"ipv6_line 0":           func(c *ReleaseConfig) { c.IPv6Line = 0 },
	} {
		c := testConfig()
		withRelease(&c)
		change(&c.Release)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
