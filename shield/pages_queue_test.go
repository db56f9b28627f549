package shield

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/shield/door"
)

// refs are the numbers of the cases that a queue lists, in their order.
func (c *console) refs(page string) (out []string) {
	for _, m := range regexp.MustCompile(`data-item href="/case/([A-Z0-9-]+)`).FindAllStringSubmatch(page, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestQueueFilters(t *testing.T) {
	c := newConsole(t)
	c.fill()
	for query, want := range map[string][]string{
		"":                       {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"brand=Anchor+Bank":      {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"brand=Nobody":           nil,
		"verdict=suspicious":     {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"verdict=malicious":      nil,
		"verdict=nonsense":       {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"campaign=k-2026-000001": {"login.anchorbank-pay7.example", "anchorbank-pay12.example"},
		"scope=none":             {"https://pages.example/someone/login"},
		"scope=subtree":          {"evil-anchorbank.shops.example"},
		"channel=mail":           {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"channel=api":            nil,
		"age=hour":               {"login.anchorbank-pay7.example", "anchorbank-pay12.example", "evil-anchorbank.shops.example", "https://pages.example/someone/login"},
		"age=older":              nil,
		"q=ANCHORBANK-PAY":       {"login.anchorbank-pay7.example", "anchorbank-pay12.example"},
		"q=c-2026-000002":        {"anchorbank-pay12.example"},
		"state=decided":          {"pay-parcel.example"},
		"scope=none&q=anchor":    nil,
	} {
		page := c.get(c.anna, "/queue?"+query)
		got := c.refs(page)
		if len(got) != len(want) {
			t.Errorf("%s: %d cases, want %d", query, len(got), len(want))
			continue
		}
		for _, subject := range want {
			if ref := c.caseOf(subject); !strings.Contains(strings.Join(got, " "), ref) {
				t.Errorf("%s: %s is not there", query, subject)
			}
		}
	}
}

// A case that came through two doors is found under both.
func TestQueueFiltersByEachDoorThatACaseCameThrough(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in"))
	r := door.Report{Channel: door.ByWeb, ReceivedAt: c.clock.Now(), Token: bolwerk.NewToken().Reveal(), Lang: bolwerk.EN, Form: door.Link, Body: []byte("https://login.anchorbank-pay7.example/in")}
	if err := c.Receive(t.Context(), "intake-1", door.KindReport, "web-1", r.Encode()); err != nil {
		t.Fatal(err)
	}
	ids, err := c.claim(t.Context())
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	if err := c.readOne(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]int{"mail": 1, "web": 1, "api": 0} {
		if got := len(c.refs(c.get(c.anna, "/queue?channel="+channel))); got != want {
			t.Errorf("%s: %d cases, want %d", channel, got, want)
		}
	}
}

func TestADecisionLeadsToTheNextCaseOfTheFilter(t *testing.T) {
	c := newConsole(t)
	c.fill()
	from := "brand=Anchor+Bank&state=waiting"
	page := c.get(c.anna, "/queue?"+from)
	refs := c.refs(page)
	if len(refs) < 3 || !strings.Contains(page, `href="/case/`+refs[0]+`?from=`) {
		t.Fatalf("the rows do not carry the filter: %v", refs)
	}
	carried := url.Values{"from": {from}}
	w := c.do(c.anna, "/case/"+refs[0]+"/reject", url.Values{"quick": {"only advertising"}, "from": {from}})
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || to.Path != "/case/"+refs[1] || to.Query().Get("from") != from || to.Query().Get("was") != refs[0] {
		t.Fatalf("after a decision: got %d %s, want the next case %s with its filter", w.Code, to, refs[1])
	}
	wantText(t, c.get(c.anna, to.String()), refs[0]+": Rejected.")
	wantText(t, c.get(c.anna, "/case/"+refs[0]), "only advertising")

	w = c.do(c.anna, "/case/"+refs[1]+"/next?"+carried.Encode(), nil)
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "/case/"+refs[2]+"?") {
		t.Errorf("next: got %s, want %s", got, refs[2])
	}
	last := refs[len(refs)-1]
	w = c.do(c.anna, "/case/"+last+"/next?"+carried.Encode(), nil)
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "/case/"+refs[1]+"?") {
		t.Errorf("next after the last: got %s, want to begin again at %s", got, refs[1])
	}
	for _, ref := range refs[1:] {
		w = c.do(c.anna, "/case/"+ref+"/reject", url.Values{"reason": {"x"}, "from": {from}})
	}
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, "/queue?") || !strings.Contains(got, "brand=Anchor+Bank") {
		t.Errorf("after the last case: got %s, want the queue with its filter", got)
	}
	wantText(t, c.get(c.anna, w.Header().Get("Location")), "0 cases", "Rejected.", "Nothing matches this filter.")
}

// The address of a case bears the number that people read to each other: after
// a decision outside the queue it was the id of the row.
func TestTheAddressOfACaseIsItsNumber(t *testing.T) {
	c := newConsole(t)
	c.fill()
	ref := c.refs(c.get(c.anna, "/queue"))[0]
	w := c.do(c.anna, "/case/"+ref+"/reject", url.Values{"reason": {"only advertising"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/case/"+ref+"?done=rejected" {
		t.Errorf("after a decision: got %d %s, want /case/%s?done=rejected", w.Code, w.Header().Get("Location"), ref)
	}
	v, err := c.Case(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	w = c.do(c.anna, "/case/"+v.ID+"?report=x", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/case/"+ref+"?report=x" {
		t.Errorf("case %s: got %d %s, want to be led to /case/%s", v.ID, w.Code, w.Header().Get("Location"), ref)
	}
}

// Who goes back and sends a decision again changes nothing, and is told that it
// was decided, by whom and when.
func TestADecisionIsSentAgain(t *testing.T) {
	c := newConsole(t)
	c.fill()
	refs := c.refs(c.get(c.anna, "/queue"))
	again := func(path string, form url.Values, says ...string) {
		t.Helper()
		if w := c.do(c.anna, path, form); w.Code != http.StatusSeeOther {
			t.Fatalf("%s: got %d %s", path, w.Code, text(w.Body.String()))
		}
		before := c.one(`select (select count(*) from shield_block)||' '||(select count(*) from audit)`)
		w := c.do(c.anna, path, form)
		if w.Code != http.StatusConflict {
			t.Errorf("%s again: got %d, want 409", path, w.Code)
		}
		wantText(t, w.Body.String(), says...)
		if after := c.one(`select (select count(*) from shield_block)||' '||(select count(*) from audit)`); after != before {
			t.Errorf("%s again: blocks and audit were %s, are %s", path, before, after)
		}
	}
	again("/case/"+refs[0]+"/reject", url.Values{"reason": {"only advertising"}}, "You have decided this already: anna", "only advertising", "Sending it again changed nothing.")
	blockable := slices.IndexFunc(refs[1:], func(ref string) bool {
		return strings.Contains(c.get(c.anna, "/case/"+ref), `action="/case/`+ref+`/confirm"`)
	})
	again("/case/"+refs[1+blockable]+"/confirm", url.Values{"scope": {""}, "reason": {"asks for the card"}}, "You have decided this already: anna", "asks for the card", "Sending it again changed nothing.")
	again("/appeal/A-2026-000001", url.Values{"decision": {"upheld"}, "reason": {"it was cleaned"}}, "is decided already")
}

func TestWhoIsSlowerSeesWhoDecided(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	c.post(c.dora, path+"/reject", url.Values{"reason": {"a lesson of theirs"}})
	for action, form := range map[string]url.Values{"confirm": {"scope": {"host"}, "reason": {"phishing"}}, "reject": {"reason": {"me too"}}} {
		w := c.do(c.anna, path+"/"+action, form)
		if w.Code != http.StatusConflict {
			t.Fatalf("%s after a colleague: got %d", action, w.Code)
		}
		wantText(t, w.Body.String(), "Decided meanwhile by dora, 2026-11-23 14:12 CET: a lesson of theirs", "changed nothing", "Next case")
	}
	live := c.get(c.anna, path+"/live?state=waiting")
	wantText(t, live, "Decided meanwhile by dora", "a lesson of theirs")
}

func TestWhoHasACaseOpenIsShown(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	if page := c.get(c.dora, path); strings.Contains(page, "Also open at") {
		t.Error("somebody alone is told of others")
	}
	wantText(t, c.get(c.anna, path), "Also open at dora")
	wantText(t, c.get(c.dora, path+"/live?state=waiting"), "Also open at anna")
	c.clock.Add(2 * presentFor)
	if page := c.get(c.dora, path+"/live?state=waiting"); strings.Contains(page, "anna") {
		t.Error("who went away is still there")
	}
}

// What came meanwhile is told, what a colleague decided is marked in its place;
// no row is added or taken away.
func TestQueueKeepsUpInPlace(t *testing.T) {
	c := newConsole(t)
	c.fill()
	page := c.get(c.anna, "/queue")
	since := regexp.MustCompile(`"since":"(\d+)"`).FindStringSubmatch(page)
	rows := regexp.MustCompile(`"rows":"([^"]+)"`).FindStringSubmatch(page)
	if since == nil || rows == nil {
		t.Fatalf("the queue does not ask what is new: %s", page)
	}
	ask := "/queue/fresh?" + url.Values{"since": {since[1]}, "rows": {rows[1]}}.Encode()
	if got := text(c.get(c.anna, ask)); got != "" {
		t.Errorf("nothing happened: got %q", got)
	}
	gone := c.caseOf("anchorbank-pay12.example")
	c.post(c.dora, "/case/"+gone+"/reject", url.Values{"reason": {"x"}})
	c.clock.Add(1)
	c.report(lure("Again", "https://anchorbank-pay99.example/in"))
	got := c.get(c.anna, ask)
	wantText(t, got, "1 new case: show it", "decided: rejected dora")
	if !strings.Contains(got, `id="state-`+gone+`" hx-swap-oob="true"`) {
		t.Errorf("the row of %s is not marked in its place: %s", gone, got)
	}
	if w := c.do(c.anna, "/queue/fresh?since=x", nil); w.Code != http.StatusBadRequest {
		t.Errorf("since=x: got %d", w.Code)
	}
}

func TestFiltersAreKeptPerPerson(t *testing.T) {
	c := newConsole(t)
	c.fill()
	from := "brand=Anchor+Bank"
	page := c.post(c.anna, "/queue/filters", url.Values{"from": {from}, "name": {"My <bank>"}})
	wantText(t, page, "My <bank>", "Forget “My <bank>”")
	if strings.Contains(c.get(c.dora, "/queue"), "My &lt;bank&gt;") {
		t.Error("another person has the filter too")
	}
	if w := c.do(c.anna, "/queue/filters", url.Values{"from": {from}, "name": {" "}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no name: got %d", w.Code)
	} else {
		wantText(t, w.Body.String(), "a filter needs a name")
	}
	c.post(c.anna, "/queue/filters", url.Values{"from": {"brand=Anchor+Bank&age=day"}, "name": {"My <bank>"}})
	page = c.get(c.anna, "/queue?age=day&brand=Anchor+Bank")
	forget := regexp.MustCompile(`action="(/queue/filters/[^"]+/forget)"`).FindStringSubmatch(page)
	if forget == nil || strings.Count(page, "My &lt;bank&gt;") != 2 {
		t.Fatalf("the filter was not replaced under its name:\n%s", page)
	}
	if c.post(c.dora, forget[1], url.Values{}); !strings.Contains(c.get(c.anna, "/queue"), "My &lt;bank&gt;") {
		t.Error("somebody else forgot it")
	}
	if c.post(c.anna, forget[1], url.Values{}); strings.Contains(c.get(c.anna, "/queue"), "My &lt;bank&gt;") {
		t.Error("it is not forgotten")
	}
	for i := range maxFilters {
		c.post(c.anna, "/queue/filters", url.Values{"from": {from}, "name": {string(rune('a' + i))}})
	}
	if w := c.do(c.anna, "/queue/filters", url.Values{"from": {from}, "name": {"one more"}}); w.Code != http.StatusConflict {
		t.Errorf("filter %d: got %d", maxFilters+1, w.Code)
	}
}

func TestSeveralCasesAreDecidedEachByItself(t *testing.T) {
	c := newConsole(t)
	c.fill()
	good, page, tenant, wide := c.caseOf("login.anchorbank-pay7.example"), c.caseOf("https://pages.example/someone/login"), c.caseOf("evil-anchorbank.shops.example"), c.caseOf("anchorbank-pay12.example")
	pick := url.Values{"do": {"block"}, "case": {good, page, tenant, wide}}
	preview := c.get(c.anna, "/queue/decide?"+pick.Encode())
	wantText(t, preview, "Block 4 cases", "Nothing has happened yet.", "Block, host", "is no name that DNS can block", "Block 3 cases")
	if strings.Contains(preview, `value="`+page+`" checked`) {
		t.Error("what the guards refuse is ticked")
	}
	wantText(t, c.get(c.anna, "/queue?state=decided"), "1 case") // the preview changed nothing

	w := c.do(c.anna, "/queue/decide", pick)
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("no reason: got %d", w.Code)
	}
	wantText(t, w.Body.String(), "a block needs a reason")

	c.post(c.dora, "/case/"+wide+"/reject", url.Values{"reason": {"ours"}})
	pick.Set("reason", "one campaign")
	w = c.do(c.anna, "/queue/decide", pick)
	if w.Code != http.StatusOK {
		t.Fatalf("several: got %d", w.Code)
	}
	wantText(t, w.Body.String(), "2 of 4 decided.", "blocked B-2026-", "decided already: dora", "is no name that DNS can block")
	wantText(t, c.get(c.anna, "/case/"+good), "decided: blocked", "one campaign")
	w = c.do(c.anna, "/queue/decide", pick) // a reload does nothing twice
	wantText(t, w.Body.String(), "0 of 4 decided.", "decided already: anna")

	pick = url.Values{"do": {"reject"}, "all": {"1"}, "from": {"scope=none"}}
	wantText(t, c.get(c.anna, "/queue/decide?"+pick.Encode()), "Reject 1 case", "rejected")
	if w := c.do(c.victor, "/queue/decide?"+pick.Encode(), nil); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: got %d", w.Code)
	}
	if w := c.do(c.anna, "/queue/decide?do=nothing", nil); w.Code != http.StatusBadRequest {
		t.Errorf("do=nothing: got %d", w.Code)
	}
}

func TestTwoCasesBesideEachOther(t *testing.T) {
	c := newConsole(t)
	c.fill()
	page := c.get(c.anna, "/case/"+c.caseOf("login.anchorbank-pay7.example")+"/beside/"+c.caseOf("anchorbank-pay12.example"))
	wantText(t, page, "login.anchorbank-pay7.example", "anchorbank-pay12.example", "both")
	if n := strings.Count(page, "<iframe sandbox"); n != 2 {
		t.Errorf("%d mails in sandboxed frames, want 2", n)
	}
}

// The reader's language says what a guard said, with the name it is about.
func TestGuardsSpeakTheReadersLanguage(t *testing.T) {
	c := newConsole(t)
	c.fill()
	path := "/case/" + c.caseOf("login.anchorbank-pay7.example")
	for lang, want := range map[bolwerk.Lang][]string{
		bolwerk.NL: {"niemand weet hoe oud", "een blokkering duurt hoogstens 14 dagen", "neem een kortere tijd"},
		bolwerk.FR: {"personne ne sait quel âge", "un blocage dure au plus 14 jours", "prenez une durée plus courte"},
		bolwerk.DE: {"niemand weiß, wie alt", "eine Sperre dauert höchstens 14 Tage", "wählen Sie eine kürzere Zeit"},
	} {
		w := c.do(c.anna, path+"/confirm", url.Values{"scope": {"host"}, "for": {"800h"}, "reason": {"x"}}, "Accept-Language", string(lang))
		wantText(t, w.Body.String(), want...)
	}
}
