package shield

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"bolwerk/internal/account"
)

// A session that ends in the middle of a decision loses nothing and decides
// nothing: after the log-in the case stands there again with what was entered.
func TestASessionThatEndsInADecisionLosesNothing(t *testing.T) {
	c := newConsole(t)
	c.fill()
	c.accounts.Use(account.DefaultConfig(), c.vault)
	door := account.NewDoor(c.accounts, c.pages.frame)
	people, err := account.NewPages(door)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	people.Routes(mux)
	c.pages.Routes(mux, door)
	c.handler = c.pages.frame.Handler(mux)

	ref := c.caseOf("login.anchorbank-pay7.example")
	again := func(path string, form url.Values, referer string) string {
		w := c.do("", path, form, "Referer", referer)
		held := regexp.MustCompile(`name="held" value="([^"]+)"`).FindStringSubmatch(w.Body.String())
		if held == nil {
			t.Fatalf("%s: the form is not kept: %d %s", path, w.Code, text(w.Body.String()))
		}
		w = c.do("", "/login", url.Values{"login": {"anna"}, "password": {"seven quiet lamps 41"}, "held": {held[1]}})
		if w.Code != http.StatusSeeOther {
			t.Fatalf("log-in: got %d %s", w.Code, text(w.Body.String()))
		}
		me, to := w.Result().Cookies()[0], w.Header().Get("Location")
		cookie := me.Name + "=" + me.Value
		if w = c.do(cookie, to, nil); w.Code == http.StatusSeeOther { // the address of a form leads to its case
			w = c.do(cookie, w.Header().Get("Location"), nil)
		}
		if w.Code != http.StatusOK {
			t.Fatalf("GET %s: got %d", to, w.Code)
		}
		return w.Body.String()
	}
	wantHeld := func(page string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(page, p) {
				t.Errorf("the page lacks %s", p)
			}
		}
	}
	form := url.Values{"scope": {"subtree"}, "for": {"72h"}, "class": {"scam"}, "compromised": {"1"}, "quick": {"false shop"}, "reason": {`said "this" <here>`}, "from": {"brand=Anchor+Bank"}}
	for _, referer := range []string{"http://console.harbour.example/case/" + ref + "?from=brand%3DAnchor%2BBank", "http://console.harbour.example/case/" + ref + "/confirm", ""} {
		page := again("/case/"+ref+"/confirm", form, referer)
		wantHeld(page, `value="said &#34;this&#34; &lt;here&gt;"`, `<option value="72h" selected>`, `<option value="scam" selected>`, `name="compromised" value="1" checked`,
			`value="false shop" data-nth checked`, `name="from" value="brand=Anchor&#43;Bank"`, `value="subtree" required checked`)
	}
	page := again("/case/"+ref+"/reject", url.Values{"reason": {"kept too"}}, "")
	wantHeld(page, `id="reject-reason" name="reason" value="kept too"`, `id="confirm-reason" name="reason" value=""`)
	several := url.Values{"do": {"block"}, "case": {ref}, "reason": {"one campaign"}}
	page = again("/queue/decide", several, "http://console.harbour.example/queue/decide?do=block&case="+ref)
	wantHeld(page, `value="one campaign"`, `value="`+ref+`" checked`)
	wantText(t, c.get(c.anna, "/case/"+ref), "waits", "What will happen")
}
