package shield

import (
	"context"
	"encoding/json"
	"flag"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/mail"
	"bolwerk/internal/seal"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
	"bolwerk/shield/edge"
	"bolwerk/shield/fact"
	"bolwerk/shield/figures"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// console is the shield's pages behind the frame and the door, as the app
// builds them.
type console struct {
	*testShield
	handler http.Handler
	pages   *Pages
	anna    string // analyst
	dora    string // duty officer
	victor  string // viewer
}

func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{testShield: newShield(t)}
	own, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	people, err := account.Texts()
	if err != nil {
		t.Fatal(err)
	}
	m, err := web.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.DefaultConfig()
	cfg.URL, cfg.Languages, cfg.Brand.Name = "http://console.harbour.example", []bolwerk.Lang{bolwerk.EN, bolwerk.NL, bolwerk.FR, bolwerk.DE}, "Harbour Telecom"
	told, err := figures.Texts()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := web.New(web.Site{Name: "console", Config: cfg, Console: true, Search: "/search", Places: append(OurPlaces(append(Places(), OutboxPlace(), HookPlace())...), OwnerPlaces()...), Who: account.Who,
		Texts: []*web.Texts{people, own, told}, Clock: c.clock, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	sent := func(context.Context) ([]mail.Message, error) {
		return []mail.Message{{To: mail.MustAddress("reporter@home.example"), Subject: "Your report <b>", Body: "Thank you.\n", Lang: bolwerk.EN, Date: start}}, nil
	}
	pages, err := NewPages(c.Shield, frame, sent)
	if err != nil {
		t.Fatal(err)
	}
	c.pages = pages
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	pages.Webhooks(webhook.New(webhook.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, c.db, key, fact.Subjects(), c.clock, slog.New(slog.DiscardHandler), nil))
	mux := http.NewServeMux()
	pages.Routes(mux, account.NewDoor(c.accounts, frame))
	c.handler = frame.Handler(mux)
	c.person("anna", account.Analyst)
	c.person("dora", account.DutyOfficer)
	c.person("victor", account.Viewer)
	c.anna, c.dora, c.victor = c.session("anna"), c.session("dora"), c.session("victor")
	return c
}

// do makes a request with a cookie; form is nil for GET.
func (c *console) do(who, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	method, body := "GET", ""
	if form != nil {
		method, body = "POST", form.Encode()
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "console.harbour.example"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.Header.Set("Cookie", who)
	r.Header.Set("Accept-Language", "en")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w
}

// get gives a page and fails when it is not there.
func (c *console) get(who, path string) string {
	c.t.Helper()
	w := c.do(who, path, nil)
	if w.Code != http.StatusOK {
		c.t.Fatalf("GET %s: got %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// post sends a form and follows where it leads.
func (c *console) post(who, path string, form url.Values) string {
	c.t.Helper()
	w := c.do(who, path, form)
	if w.Code != http.StatusSeeOther {
		c.t.Fatalf("POST %s: got %d %s", path, w.Code, text(w.Body.String()))
	}
	return c.get(who, w.Header().Get("Location"))
}

var (
	tag    = regexp.MustCompile(`(?s)<style.*?</style>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

var inline = regexp.MustCompile(`</?(a|b|bdi|code|mark|span|time)\b[^>]*>`)

// text is what a page says.
func text(page string) string {
	page = inline.ReplaceAllString(page, "")
	return strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(tag.ReplaceAllString(page, " ")), " "))
}

func wantText(t *testing.T, page string, parts ...string) {
	t.Helper()
	all := text(page)
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("page does not say %q:\n%s", p, all)
		}
	}
}

// fill gives the desk a day's work: reports by real mails, a campaign, a block
// that was hit and appealed against, an exemption that waits for two, orders
// that are held back.
func (c *console) fill() {
	c.t.Helper()
	for range 3 {
		c.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in?u=1"))
	}
	c.report(lure("Your card is stopped", "https://anchorbank-pay12.example/in"))
	c.report(lure("Package", "https://pay-parcel.example/x"))
	c.report(lure("Shop", "https://evil-anchorbank.shops.example/x"))
	c.report(lure("Page", "https://pages.example/someone/login"))
	c.clock.Add(12 * time.Minute)
	c.post(c.anna, "/case/"+c.caseOf("pay-parcel.example")+"/confirm", url.Values{"scope": {""}, "for": {"72h"}, "class": {"phishing"}, "reason": {"a copy of the parcel page"}})
	hits := `{"boot":"b1","bucket":"2026-11-23T13:15:00Z","counts":[{"block":"B-2026-000001","dns_hits":1204,"page_views":31,"tls_attempts":7}]}`
	if err := c.Receive(c.t.Context(), "edge-1", edge.KindHits, "hits-1", []byte(hits)); err != nil {
		c.t.Fatal(err)
	}
	c.appeal("pay-parcel.example", "B-2026-000001", "This is my shop.\nPlease look again.")
	c.post(c.anna, "/exempt", url.Values{"name": {"harbour-partner.example"}, "scope": {"host"}, "for": {"168h"}, "reason": {"our own mailing"}})
	c.file("orders.txt", "ordered-one.example\nordered-two.example\n")
	if err := c.takeFile(c.t.Context(), c.cfg.Issuers[0]); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) appeal(name, block, said string) {
	c.t.Helper()
	body := `{"receipt":"` + bolwerk.NewToken().Hash() + `","name":"` + name + `","block":"` + block + `","role":"owner","text":` + jsonText(said) + `,"contact":"owner@shop.example","at":"` + c.clock.Now().Format(time.RFC3339) + `"}`
	if err := c.Receive(c.t.Context(), "intake-1", edge.KindAppeal, bolwerk.NewID(c.clock.Now()), []byte(body)); err != nil {
		c.t.Fatal(err)
	}
}

// every page of a filled desk.
func (c *console) paths() []string {
	proposal := ""
	err := c.db.Read(c.t.Context(), func(tx *store.Tx) error {
		open, err := desk.OpenProposals(tx, "", 1)
		if err == nil {
			proposal = open[0].ID
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return []string{"/", "/queue", "/queue?state=all", "/queue?q=none-such", "/case/" + c.caseOf("login.anchorbank-pay7.example"), "/case/" + c.caseOf("pay-parcel.example"),
		"/case/" + c.caseOf("https://pages.example/someone/login"), "/report/report-1/mail", "/blocks", "/blocks?kind=exemptions", "/block/B-2026-000001", "/block-a-name",
		"/block-a-name?name=x.example", "/exempt", "/name", "/near", "/name?name=pay-parcel.example", "/name?name=busy.example", "/orders", "/orders?state=held", "/appeals", "/appeals?state=decided",
		"/appeal/A-2026-000001", "/proposals", "/proposal/" + proposal, "/campaigns", "/campaigns?q=none-such", "/campaign/K-2026-000001", "/search", "/search?q=anchorbank", "/search?q=none-such", "/audit", "/audit?q=B-2026-000001", "/mail"}
}

var unknownText = regexp.MustCompile(`(^|[\s"(])shield\.[a-z_]+(\.[a-z_0-9]+)*`)

func TestPagesSpeakEveryLanguage(t *testing.T) {
	c := newConsole(t)
	c.fill()
	for _, path := range c.paths() {
		for _, lang := range bolwerk.Langs() {
			w := c.do(c.anna, path, nil, "Accept-Language", string(lang))
			if w.Code != http.StatusOK || w.Header().Get("Content-Language") != string(lang) {
				t.Fatalf("GET %s in %s: got %d %s", path, lang, w.Code, w.Header().Get("Content-Language"))
			}
			page := strings.NewReplacer("shield.block.", "", "shield.exempt.", "", "shield.case.", "").Replace(regexp.MustCompile(`<code>shield[^<]*</code>`).ReplaceAllString(w.Body.String(), ""))
			if strings.HasPrefix(path, "/audit") {
				page = regexp.MustCompile(`<code>[^<]*</code>`).ReplaceAllString(w.Body.String(), "")
			}
			if found := unknownText.FindString(text(page)); found != "" {
				t.Errorf("%s in %s: the text %q is not there", path, lang, found)
			}
			if n := strings.Count(w.Body.String(), `aria-current="page"`); n != 1 && !strings.HasPrefix(path, "/report") && !strings.HasPrefix(path, "/search") {
				t.Errorf("%s: %d places are lit, want 1", path, n)
			}
			if n := strings.Count(w.Body.String(), "<h1"); n != 1 && !strings.Contains(path, "/mail") {
				t.Errorf("%s: %d main headings, want 1", path, n)
			}
		}
	}
}

func TestTodaySaysWhatNeedsSomebody(t *testing.T) {
	c := newConsole(t)
	wantText(t, c.get(c.anna, "/"), "Appeals that wait 0", "Nothing waits.", "No campaign yet.", "No edge or resolver has asked yet.")
	c.fill()
	page := c.get(c.anna, "/")
	wantText(t, page, "Cases that wait 4", "Appeals that wait 1", "Blocks in force 1", "Reports, 24 hours 7", "2 orders of cert are held back. (the first list of an issuer is released by a person)",
		"DNS hits 1,204 1,204", "Page views 31 31", "TLS attempts 7 7", "partner loaded", "gone failed", "Cases that come first")
	golden(t, "today", page)
}

func TestQueue(t *testing.T) {
	c := newConsole(t)
	wantText(t, c.get(c.anna, "/queue"), "0 cases", "Nothing waits.")
	c.fill()
	page := c.get(c.anna, "/queue")
	wantText(t, page, "1 appeal comes first", "4 cases", "login.anchorbank-pay7.example", "Anchor Bank", "suspicious")
	if a, b := strings.Index(page, "/appeal/"), strings.Index(page, "/case/"); a < 0 || a > b {
		t.Error("appeals do not come first")
	}
	if strings.Contains(page, "<b>login.") || !strings.Contains(page, "login.<b>anchorbank-pay7.example</b>") {
		t.Error("the registrable part is not what is bold")
	}
	wantText(t, c.get(c.anna, "/queue?q=pay12"), "1 case", "anchorbank-pay12.example")
	wantText(t, c.get(c.anna, "/queue?q=%25"), "0 cases", "Nothing matches this filter.")
	wantText(t, c.get(c.anna, "/queue?state=decided"), "1 case", "pay-parcel.example", "decided: blocked")
	golden(t, "queue", page)
}

func TestListsAreCutIntoPages(t *testing.T) {
	c := newConsole(t)
	for i := range rows + 5 {
		c.post(c.anna, "/block-a-name", url.Values{"name": {"n" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + ".bad.example"}, "reason": {"seen"}})
	}
	link := regexp.MustCompile(`href="([^"]+)" rel="next"`)
	for path, want := range map[string]string{"/blocks?state=in_force": "/block/", "/queue?state=all": "/case/"} {
		first := c.get(c.anna, path)
		wantText(t, first, "55 ")
		m := link.FindStringSubmatch(first)
		if m == nil {
			t.Fatalf("%s has no next page", path)
		}
		second := c.get(c.anna, html.UnescapeString(m[1]))
		seen := map[string]bool{}
		for _, page := range []string{first, second} {
			for _, r := range regexp.MustCompile(`href="`+want+`([A-Z]-[0-9-]+)`).FindAllStringSubmatch(page, -1) {
				seen[r[1]] = true
			}
		}
		if len(seen) != 55 || link.MatchString(second) {
			t.Errorf("%s: %d rows on two pages, want 55", path, len(seen))
		}
	}
}

func TestCaseShowsAllThatAPersonDecidesOn(t *testing.T) {
	c := newConsole(t)
	c.fill()
	page := c.get(c.anna, "/case/"+c.caseOf("login.anchorbank-pay7.example"))
	wantText(t, page, "3 reports, 3 reporters this month", "What the name tells", "combosquat", "The mail it came in", "brands, tier 2", "Asked, and said nothing: gone (no answer), partner",
		"Proposed: host until 2026-12-07", "registrable", "and all below", "two people", "anchorbank-pay12.example", "1 other case of this campaign")
	if !strings.Contains(page, `<iframe sandbox src="/report/report-3/mail"`) {
		t.Error("the newest report's mail is not in a sandboxed frame")
	}
	golden(t, "case", page)
	page = c.get(c.anna, "/case/"+c.caseOf("https://pages.example/someone/login"))
	wantText(t, page, "DNS cannot block this", "Reject")
	if strings.Contains(page, "Confirm and block") {
		t.Error("a page where strangers share the host can be confirmed")
	}
}

func TestConfirmKeepsWhatWasTypedBesideTheRefusal(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	w := c.do(c.anna, path+"/confirm", url.Values{"scope": {"host"}, "for": {"800h"}, "class": {"scam"}, "compromised": {"1"}, "reason": {`typed "this" <here>`}})
	if w.Code != http.StatusForbidden {
		t.Fatalf("800 hours: got %d", w.Code)
	}
	wantText(t, w.Body.String(), "Refused:", "What to do:", "guard 12")
	for _, kept := range []string{`value="typed &#34;this&#34; &lt;here&gt;"`, `<option value="scam" selected>`, `name="compromised" value="1" checked`, `aria-describedby="wrong" autofocus`} {
		if !strings.Contains(w.Body.String(), kept) {
			t.Errorf("%s is not kept", kept)
		}
	}
	w = c.do(c.anna, path+"/confirm", url.Values{"scope": {"host"}, "reason": {" "}})
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no reason: got %d", w.Code)
	}
	wantText(t, w.Body.String(), "a block needs a reason")
	w = c.do(c.anna, path+"/confirm", url.Values{"scope": {"everything"}, "reason": {"x"}})
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no such scope: got %d", w.Code)
	}
	if w := c.do(c.anna, "/case/C-2026-999999/confirm", url.Values{"reason": {"x"}}); w.Code != http.StatusNotFound {
		t.Errorf("no such case: got %d", w.Code)
	}
}

func TestFromConfirmToWithdrawal(t *testing.T) {
	c := newConsole(t)
	c.fill()
	page := c.get(c.anna, "/block/B-2026-000001")
	wantText(t, page, "reported 2026-11-23 14:00 CET", "after 3 s read", "after 12 min decided", "after 2 min first hit 2026-11-23 14:15 CET", "ended not yet", "pay-parcel.example, www.pay-parcel.example",
		"a copy of the parcel page", "anna", "epoch 1, serial", "partner", "DNS hits 1,204", "A-2026-000001", "shield.block.confirm")
	golden(t, "block", page)
	wantText(t, c.get(c.anna, "/case/"+c.caseOf("pay-parcel.example")), "decided: blocked", "Open B-2026-000001", "anna, 2026-11-23 14:12 CET: a copy of the parcel page")
	if w := c.do(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"order"}, "reason": {"x"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a cause that is not a person's: got %d", w.Code)
	}
	page = c.post(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"false_positive"}, "reason": {"it is the real shop"}})
	wantText(t, page, "Withdrawn. It is published.", "without it from serial", "anna, false positive: it is the real shop")
	if w := c.do(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"error"}, "reason": {"again"}}); w.Code != http.StatusConflict {
		t.Errorf("twice: got %d", w.Code)
	} else {
		wantText(t, w.Body.String(), "is withdrawn already")
	}
}

func TestReject(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	page := c.post(c.anna, path+"/reject", url.Values{"reason": {"it is a lesson of theirs"}})
	wantText(t, page, "Rejected. Nothing is blocked.", "decided: rejected", "anna: it is a lesson of theirs")
	if strings.Contains(page, "<form method=\"post\" action=\"/case") {
		t.Error("a decided case still has a form")
	}
	if w := c.do(c.dora, path+"/reject", url.Values{"reason": {"late"}}); w.Code != http.StatusConflict {
		t.Errorf("twice: got %d", w.Code)
	}
}

var hidden = regexp.MustCompile(`action="(/proposal/[^"]+/approve)"[^>]*><input type="hidden" name="digest" value="([0-9a-f]+)"`)

func TestASecondPersonApprovesExactlyWhatStandsThere(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	page := c.post(c.anna, path+"/confirm", url.Values{"scope": {"registrable"}, "reason": {"all of it is theirs"}})
	wantText(t, page, "Laid before a second person.", "You proposed this yourself.", "all of it is theirs", "anchorbank-pay7.example and all below")
	if hidden.MatchString(page) {
		t.Error("the proposer sees an approve button")
	}
	wantText(t, c.get(c.dora, "/proposals"), "2 proposals", "anchorbank-pay7.example")
	if hidden.MatchString(c.get(c.victor, path)) {
		t.Error("a viewer sees an approve button")
	}
	m := hidden.FindStringSubmatch(c.get(c.dora, path))
	if m == nil {
		t.Fatal("the duty officer sees no approve button")
	}
	id := strings.Split(m[1], "/")[2]
	if w := c.do(c.dora, m[1], url.Values{"digest": {m[2]}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/proof?next=%2Fapprove%2F"+id {
		t.Errorf("a proof of 5 minutes ago: got %d %s", w.Code, w.Header().Get("Location"))
	}
	wantText(t, c.get(c.dora, "/approve/"+id), "Show that it is you", m[2])
	c.anna, c.dora = c.session("anna"), c.session("dora")
	wantText(t, c.get(c.dora, "/approve/"+id), "block exactly these names at once", "anchorbank-pay7.example and all below", m[2], "Approve and do it")
	if w := c.do(c.dora, m[1], url.Values{"digest": {strings.Repeat("0", 64)}}); w.Code != http.StatusConflict {
		t.Errorf("another digest: got %d", w.Code)
	} else {
		wantText(t, w.Body.String(), "the proposal has changed since you saw it")
	}
	if w := c.do(c.anna, m[1], url.Values{"digest": {m[2]}}); w.Code != http.StatusForbidden {
		t.Errorf("the proposer approves: got %d", w.Code)
	}
	wantText(t, c.post(c.dora, m[1], url.Values{"digest": {m[2]}}), "Approved and published.", "anna, approved by dora", "registrable")

	m = hidden.FindStringSubmatch(c.get(c.dora, regexp.MustCompile(`/proposal/[0-9a-f-]+`).FindString(c.get(c.dora, "/proposals"))))
	if m == nil {
		t.Fatal("the exemption cannot be approved")
	}
	wantText(t, c.post(c.dora, m[1], url.Values{"digest": {m[2]}}), "Approved and published.", "Exemptions E-2026-000001")
}

func TestYoungAccountsDoNotApprove(t *testing.T) {
	c := newConsole(t)
	c.fill()
	if _, err := c.accounts.Seed(t.Context(), "nina", account.DutyOfficer, bolwerk.NewSecret("seven quiet lamps 41"), c.clock.Now()); err != nil {
		t.Fatal(err)
	}
	nina := c.session("nina")
	m := hidden.FindStringSubmatch(c.get(nina, regexp.MustCompile(`/proposal/[0-9a-f-]+`).FindString(c.get(nina, "/proposals"))))
	w := c.do(nina, m[1], url.Values{"digest": {m[2]}})
	if w.Code != http.StatusForbidden {
		t.Fatalf("got %d", w.Code)
	}
	wantText(t, w.Body.String(), "younger than 24 hours")
}

func TestProposalIsDeclined(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := regexp.MustCompile(`/proposal/[0-9a-f-]+`).FindString(c.get(c.dora, "/proposals"))
	if w := c.do(c.dora, path+"/decline", url.Values{"reason": {""}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no reason: got %d", w.Code)
	}
	wantText(t, c.post(c.dora, path+"/decline", url.Values{"reason": {"they mail from elsewhere"}}), "Declined. Nothing was done.", "0 proposals")
	if page := text(c.get(c.dora, path)); strings.Contains(page, "Approve and do it") || strings.Contains(page, "Reason to decline") {
		t.Errorf("a declined proposal can still be decided: %s", page)
	}
}

func TestOrdersAreReleased(t *testing.T) {
	c := newConsole(t)
	c.fill()
	wantText(t, c.get(c.anna, "/orders"), "2 orders of cert are held back.", "2 orders", "ordered-one.example", "held back")
	page := c.post(c.dora, "/orders/release", url.Values{"issuer": {"cert"}})
	wantText(t, page, "Released.", "in force", "Act on orders, article 1")
	id := regexp.MustCompile(`/block/([0-9a-f-]{36})`).FindStringSubmatch(page)
	wantText(t, c.get(c.anna, "/block/"+id[1]), "This is an order of The national CERT")
	if w := c.do(c.anna, "/block/"+id[1]+"/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}}); w.Code != http.StatusForbidden {
		t.Errorf("withdrawing an order: got %d", w.Code)
	}
	wantText(t, c.get(c.anna, "/orders?issuer=cert&state=lifted"), "0 orders", "Nothing matches this filter.")
}

func TestAppealIsDecided(t *testing.T) {
	c := newConsole(t)
	c.fill()
	page := c.get(c.anna, "/appeal/A-2026-000001")
	wantText(t, page, "This is my shop. Please look again.", "owner@shop.example", "B-2026-000001", "anna", "You decided this block")
	if w := c.do(c.anna, "/appeal/A-2026-000001", url.Values{"decision": {"rejected"}, "reason": {"no"}}); w.Code != http.StatusForbidden {
		t.Errorf("one's own block: got %d", w.Code)
	}
	if w := c.do(c.dora, "/appeal/A-2026-000001", url.Values{"reason": {"no"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no decision: got %d", w.Code)
	}
	wantText(t, c.post(c.dora, "/appeal/A-2026-000001", url.Values{"decision": {"upheld"}, "reason": {"it is their shop"}}), "Upheld. The block is withdrawn.", "dora", "it is their shop")
	wantText(t, c.get(c.dora, "/block/B-2026-000001"), "withdrawn", "dora, appeal: it is their shop")
	wantText(t, c.get(c.dora, "/appeals"), "0 appeals", "No appeal waits.")
	wantText(t, c.get(c.dora, "/appeals?state=decided"), "1 appeal", "upheld")
}

func TestNameIsExplained(t *testing.T) {
	c := newConsole(t)
	c.fill()
	wantText(t, c.get(c.anna, "/name?name=hxxps://WWW.pay-parcel[.]example/x"), "blocked by B-2026-000001: a copy of the parcel page", "No resolvers are configured")
	wantText(t, c.get(c.anna, "/name?name=busy.example"), "passes: nothing catches it", "Popularity rank")
	wantText(t, c.get(c.anna, "/name?name=anchorbank.example"), "refused", "Anchor Bank")
	w := c.do(c.anna, "/name?name=192.0.2.1", nil)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `value="192.0.2.1"`) {
		t.Errorf("an address: got %d", w.Code)
	}
}

func TestWhoMayOnlyLookSeesNoForm(t *testing.T) {
	c := newConsole(t)
	c.fill()
	for _, path := range c.paths() {
		page := strings.ReplaceAll(c.get(c.victor, path), `<form method="post" action="/logout">`, "")
		if strings.Contains(page, `method="post"`) {
			t.Errorf("%s: a viewer sees a form that changes something", path)
		}
	}
	ref := c.caseOf("login.anchorbank-pay7.example")
	for _, path := range []string{"/case/" + ref + "/confirm", "/case/" + ref + "/reject", "/block/B-2026-000001/withdraw", "/block-a-name", "/exempt", "/orders/release", "/appeal/A-2026-000001", "/proposal/x/approve", "/proposal/x/decline"} {
		form := url.Values{"reason": {"x"}, "name": {"x.example"}, "cause": {"error"}, "issuer": {"cert"}, "decision": {"upheld"}, "digest": {"x"}}
		if w := c.do(c.victor, path, form); w.Code != http.StatusForbidden {
			t.Errorf("POST %s by a viewer: got %d, want 403", path, w.Code)
		}
		if w := c.do("", path, form); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
			t.Errorf("POST %s by nobody: got %d, want the log-in page", path, w.Code)
		}
		if w := c.do(c.dora, path, form, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
			t.Errorf("POST %s from another site: got %d, want 403", path, w.Code)
		}
		if w := c.do(c.dora, path, form, "Sec-Fetch-Site", "", "Origin", "https://evil.example"); w.Code != http.StatusForbidden {
			t.Errorf("POST %s of another origin: got %d, want 403", path, w.Code)
		}
	}
	wantText(t, c.get(c.dora, "/block/B-2026-000001"), "in force")
	for _, path := range c.paths() {
		if w := c.do("", path, nil); w.Code != http.StatusSeeOther {
			t.Errorf("GET %s by nobody: got %d", path, w.Code)
		}
	}
}

// ownScripts are those of the frame; a page holds no other.
var ownScripts = regexp.MustCompile(`<script src="/static/(htmx|console)\.[0-9a-f]{12}\.js" defer></script>`)

// What strangers and colleagues write is text, on every page.
func TestStrangersTextIsOnlyText(t *testing.T) {
	c := newConsole(t)
	const script = `<script>alert(1)</script><img src=x onerror=alert(2)>`
	const turned = "\u202egnp.exe\u2066\u200b"
	evidence := "From: \"Anchor Bank " + script + turned + "\" <service@mailer.example>\nTo: you@home.example\nSubject: " + script + turned + "\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" +
		"<p>" + html.EscapeString(script) + turned + " \"'><b>x</b></p><a href=\"https://\u0430nchorbank-login.example/%3Cscript%3E?a='&quot;\">www.anchorbank.example " + html.EscapeString(script) + turned + "</a>" +
		"<a href='https://pages.example/&lt;script&gt;alert(3)&lt;/script&gt;" + turned + "'>x</a><a href='javascript:alert(4)'>y</a>"
	c.report(evidence)
	subject := "xn--nchorbank-login-4fg.example"
	var subjects []string
	err := c.db.Read(t.Context(), func(tx *store.Tx) error {
		all, err := desk.Cases(tx, desk.CaseFilter{Capability: Name})
		for _, x := range all {
			subjects = append(subjects, x.Subject)
		}
		return err
	})
	if err != nil || len(subjects) != 2 {
		t.Fatalf("cases: got %q %v, want two", subjects, err)
	}
	for _, s := range subjects {
		if strings.HasPrefix(s, "xn--") {
			subject = s
		}
	}
	ref := c.caseOf(subject)
	c.post(c.anna, "/case/"+ref+"/confirm", url.Values{"scope": {""}, "reason": {script + turned}})
	block := "B-2026-000001"
	c.appeal(subject, block, script+turned+"\n\u05d0\u05d1")
	c.file("orders.txt", `{"name":"ordered.example","id":"`+strings.ReplaceAll(script, `"`, `\"`)+`"}`+"\n")
	if err := c.takeFile(t.Context(), c.cfg.Issuers[0]); err != nil {
		t.Fatal(err)
	}
	c.post(c.anna, "/exempt", url.Values{"name": {"x.example"}, "scope": {"host"}, "for": {"168h"}, "reason": {script}})
	paths := []string{"/", "/queue?state=all", "/queue?q=" + url.QueryEscape(script), "/case/" + ref, "/report/report-1/mail", "/blocks", "/blocks?q=" + url.QueryEscape(script), "/block/" + block,
		"/block-a-name?name=" + url.QueryEscape(script), "/exempt?name=" + url.QueryEscape(script), "/name?name=" + url.QueryEscape(subject), "/name?name=" + url.QueryEscape(script), "/orders",
		"/orders?issuer=" + url.QueryEscape(script), "/appeals", "/appeal/A-2026-000001", "/proposals", "/audit", "/audit?q=" + url.QueryEscape(script), "/case/" + url.PathEscape(script), "/mail"}
	for _, s := range subjects {
		paths = append(paths, "/case/"+c.caseOf(s))
	}
	for _, path := range paths {
		page := ownScripts.ReplaceAllString(c.do(c.anna, path, nil).Body.String(), "")
		for _, bad := range []string{"<script", "<img src=x", "onerror=alert(2)>", "javascript:", `href="http`, "src=\"http"} {
			if strings.Contains(strings.ReplaceAll(page, "&lt;", "‹"), bad) {
				t.Errorf("%s holds %s:\n%s", path, bad, page)
			}
		}
		for _, r := range "\u202e\u2066\u200b" {
			if strings.ContainsRune(page, r) {
				t.Errorf("%s holds the invisible U+%04X", path, r)
			}
		}
	}
	w := c.do(c.anna, "/report/report-1/mail", nil)
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox; default-src 'none'") {
		t.Errorf("the mail's policy: %s", csp)
	}
	if !strings.Contains(w.Body.String(), `<mark>\u{202e}</mark>`) || !strings.Contains(w.Body.String(), "&lt;script&gt;") {
		t.Errorf("the mail does not show what it holds: %s", w.Body)
	}
	if strings.Contains(w.Body.String(), "<a ") {
		t.Error("the mail has a link")
	}
	page := c.get(c.anna, "/case/"+ref)
	wantText(t, page, "\u0430nchorbank-login.example", subject, "mixed scripts")
}

func TestShow(t *testing.T) {
	s := newShield(t)
	for subject, want := range map[string]Shown{
		"login.anchor.example":              {Front: "login.", Owner: "anchor.example", Name: "login.anchor.example"},
		"a.tenant.shops.example":            {Front: "a.", Owner: "tenant.shops.example", Name: "a.tenant.shops.example"},
		"xn--mnchen-3ya.example":            {Owner: "münchen.example", ALabel: "xn--mnchen-3ya.example", Name: "xn--mnchen-3ya.example"},
		"xn--nchor-3ve.example":             {Owner: "аnchor.example", ALabel: "xn--nchor-3ve.example", Mixed: true, Name: "xn--nchor-3ve.example"},
		"https://www.pages.example:8443/a/": {Before: "https://", Front: "www.", Owner: "pages.example", After: ":8443/a/", Name: "www.pages.example"},
		"http://192.0.2.1/\u202ex":          {Before: "http://", Owner: "192.0.2.1", After: `/\u{202e}x`},
		"\u202ex":                           {Owner: `\u{202e}x`},
	} {
		if got := s.show(subject); got != want {
			t.Errorf("%q:\ngot  %+v\nwant %+v", subject, got, want)
		}
	}
}

// golden compares what a page shows with testdata, without what differs in each
// run. The frame around it has its own tests.
func golden(t *testing.T, name, page string) {
	t.Helper()
	_, page, _ = strings.Cut(page, "<main id=\"main\">")
	page, _, _ = strings.Cut(page, "</main>")
	page = regexp.MustCompile(`/static/([a-z]+)\.[0-9a-f]+`).ReplaceAllString(page, "/static/$1")
	page = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`).ReplaceAllString(page, "{id}")
	page = regexp.MustCompile(`/tmp/[^<" ]*`).ReplaceAllString(page, "{dir}")
	page = regexp.MustCompile(`serial [0-9]+`).ReplaceAllString(page, "serial {n}")
	path := filepath.Join("testdata", "pages", name+".html")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if page != string(want) {
		t.Errorf("page %s is not %s; look at the difference after go test ./shield -run Test -update", name, path)
	}
}

func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string: cannot fail
	}
	return string(b)
}
