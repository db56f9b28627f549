package abuse

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

// The way of a line through the pages: asked for on the case, shown, released.
func TestPagesOfAQuarantine(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "honeypot.json", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	words, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := web.New(web.Site{Name: "console", Config: web.DefaultConfig(), Texts: []*web.Texts{words}, Clock: h.clock, Log: h.log, Places: Places()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPages(h.Desk, frame)
	if err != nil {
		t.Fatal(err)
	}
	get := func(fn func(http.ResponseWriter, *http.Request, account.Person) error, path, id string, form url.Values) string {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		if form != nil {
			r = httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.SetPathValue("id", id)
		w := httptest.NewRecorder()
		if err := fn(w, r, agent); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return w.Body.String()
	}
	page := get(p.casePage, "/abuse/case/"+ref, ref, nil)
	for _, want := range []string{"Put this line into quarantine", "Playbook", "tell the customer"} {
		if !strings.Contains(page, want) {
			t.Errorf("the case page does not say %q", want)
		}
	}
	ask := url.Values{"profile": {"leaky"}, "days": {"14"}, "threat": {"attacks"}, "necessity": {"mail does nothing"}, "proportion": {"only what harms"}}
	get(func(w http.ResponseWriter, r *http.Request, who account.Person) error {
		return p.decide(w, r, who, "ask")
	}, "/abuse/case/"+ref+"/ask", ref, ask)
	q := h.text(`select ref from abuse_quarantine`)
	if page := get(p.quarantines, "/abuse/quarantines?state=any", "", nil); !strings.Contains(page, q) {
		t.Error("the list does not show it")
	}
	if page := get(p.quarantine, "/abuse/quarantine/"+q, q, nil); !strings.Contains(page, "shadow") {
		t.Error("its page does not say why nothing is done")
	}
	get(func(w http.ResponseWriter, r *http.Request, who account.Person) error {
		return p.decide(w, r, who, "steer")
	}, "/abuse/case/"+ref+"/steer", ref, url.Values{"do": {"stop"}, "text": {"I call them"}})
	if page := get(p.casePage, "/abuse/case/"+ref, ref, nil); !strings.Contains(page, "taken over by a person") {
		t.Error("the case does not say that a person has taken over")
	}
}
