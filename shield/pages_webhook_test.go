package shield

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
)

// An administrator adds a receiver, tests, pauses and removes it, having just shown
// who he is; nobody else sees the page.
func TestWebhooksFromAddToRemove(t *testing.T) {
	c := newConsole(t)
	c.person("ada", account.Administrator)
	ada := c.session("ada")
	var tests int
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tests++ }))
	defer to.Close()

	if page := c.get(c.anna, "/queue"); strings.Contains(page, "/webhooks") {
		t.Error("an analyst is led to the webhooks")
	}
	if w := c.do(c.anna, "/webhooks", nil); w.Code != http.StatusForbidden {
		t.Errorf("an analyst sees the webhooks: %d", w.Code)
	}
	wantText(t, c.get(ada, "/webhooks"), "Nobody is told yet.", "Add a webhook")

	add := url.Values{"url": {to.URL + "/in"}, "subject": {"shield.block.placed"}, "note": {"the SIEM <b>"}}
	refused := c.do(ada, "/webhooks", url.Values{"url": {"https://10.0.0.1/"}, "subject": {"shield.block.placed"}, "note": {"kept"}})
	if refused.Code != http.StatusForbidden || !strings.Contains(refused.Body.String(), `value="kept"`) {
		t.Errorf("an address of a private network: %d\n%s", refused.Code, text(refused.Body.String()))
	}
	page := c.do(ada, "/webhooks", add).Body.String()
	wantText(t, page, "It is shown this once", "the SIEM <b>", "1 webhook", "nothing yet")
	id := regexp.MustCompile(`/webhooks/([0-9a-f-]{36})`).FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("no link to the webhook:\n%s", page)
	}
	path := "/webhooks/" + id[1]
	wantText(t, c.do(ada, path+"/test", url.Values{}).Body.String(), "The receiver has taken the test.", "HTTP 200")
	if tests != 1 {
		t.Errorf("the receiver saw %d tests", tests)
	}
	c.do(ada, path+"/pause", url.Values{})
	wantText(t, c.get(ada, path), "paused", "Go on")
	c.do(ada, path+"/resume", url.Values{})
	wantText(t, c.get(ada, path), "Pause")
	for _, lang := range bolwerk.Langs() {
		for _, p := range []string{"/webhooks", path} {
			if w := c.do(ada, p, nil, "Accept-Language", string(lang)); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "shield.hook") && !strings.Contains(w.Body.String(), "/webhooks") {
				t.Errorf("%s in %s: %d", p, lang, w.Code)
			}
		}
	}

	// A while later it takes a new proof.
	c.clock.Add(6 * time.Minute)
	if page := c.get(ada, path); strings.Contains(page, path+"/remove") {
		t.Error("an old proof is offered a change")
	}
	if w := c.do(ada, path+"/remove", url.Values{}); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/proof?next=") {
		t.Errorf("an old proof changes it: %d %s", w.Code, w.Header().Get("Location"))
	}
	wantText(t, c.get(ada, path), "the SIEM")
	ada = c.session("ada")
	if w := c.do(ada, path+"/remove", url.Values{}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/webhooks" {
		t.Errorf("removing: %d %s", w.Code, w.Header().Get("Location"))
	}
	wantText(t, c.get(ada, "/webhooks"), "Nobody is told yet.")
}
