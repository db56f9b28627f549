package abuse

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/abuse/inform"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

// The pages of what subscribers are told, in every language: the list with the text, what
// would be sent, and the words.
func TestPagesOfMessages(t *testing.T) {
	h := open(t)
	e := annas
	h.told(e)
	id, ref, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.tell(inform.Letter{Case: id, Kind: inform.Quarantined, Who: anna, Channels: []string{"letter"}})
	h.doJobs()
	words, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.DefaultConfig()
	cfg.URL, cfg.Hosts = "http://console.example", []string{"console.example"}
	frame, err := web.New(web.Site{Name: "console", Console: true, Config: cfg, Texts: []*web.Texts{words}, Clock: h.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := frame.Pages(pageFiles, "pages")
	if err != nil {
		t.Fatal(err)
	}
	pages := &Pages{d: h.Desk, frame: frame, pages: p}
	mux := http.NewServeMux()
	me := agent
	pages.informRoutes(func(pattern string, right account.Right, fn func(http.ResponseWriter, *http.Request, account.Person) error) {
		mux.Handle(pattern, frame.Do(func(w http.ResponseWriter, r *http.Request) error {
			if !me.May(right) {
				return bolwerk.Forbidden("no")
			}
			return fn(w, r, me)
		}))
	})
	do := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://console.example"+path, strings.NewReader(form.Encode()))
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	get := func(path string, want ...string) string {
		t.Helper()
		w := do("GET", path, nil)
		for _, s := range want {
			if w.Code != 200 || !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: %d without %q\n%s", path, w.Code, s, w.Body)
			}
		}
		return w.Body.String()
	}
	body := get("/abuse/case/"+ref+"/messages", "Un appareil sur votre ligne", "/letter", ref)
	_, rest, _ := strings.Cut(body, "/abuse/message/")
	letter, _, _ := strings.Cut(rest, `"`)
	if w := do("GET", "/abuse/message/"+letter, nil); w.Code != 200 || w.Header().Get("Content-Type") != "application/pdf" || !strings.HasPrefix(w.Body.String(), "%PDF-1.7") {
		t.Errorf("the letter: %d %v", w.Code, w.Header())
	}
	me.Role = account.Viewer // who may not decide learns that somebody was told, and not what
	if seen := get("/abuse/case/"+ref+"/messages", ref); strings.Contains(seen, "Un appareil sur votre ligne") || strings.Contains(seen, "/letter") {
		t.Errorf("a viewer sees what a message says:\n%s", seen)
	}
	if w := do("GET", "/abuse/message/"+letter, nil); w.Code != http.StatusForbidden {
		t.Errorf("a letter for a viewer: %d", w.Code)
	}
	me = agent
	if code := codeIn.FindString(h.mails.sent[0].Body); code == "" || strings.Contains(body, code) {
		t.Errorf("the page has the code %q", code)
	}
	for _, lang := range bolwerk.Langs() {
		get("/abuse/notices?kind=reminded&group=spam&in="+string(lang), "XXXX-XXXX-XXXX", "/ 306")
	}
	w := do("POST", "/abuse/case/"+ref+"/messages", url.Values{"kind": {"reminded"}, "channel": {"mail"}, "do": {"show"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "XXXX-XXXX-XXXX") || len(h.mails.sent) != 1 {
		t.Errorf("shown: %d, %d mails\n%s", w.Code, len(h.mails.sent), w.Body)
	}
	if w := do("POST", "/abuse/case/"+ref+"/messages", url.Values{"kind": {"reminded"}, "channel": {"mail"}, "do": {"send"}}); w.Code != 303 {
		t.Errorf("sent: %d\n%s", w.Code, w.Body)
	}
	h.doJobs()
	if len(h.mails.sent) != 2 {
		t.Errorf("%d mails, want 2", len(h.mails.sent))
	}
	if w := do("POST", "/abuse/case/"+ref+"/messages", url.Values{"kind": {"sold"}, "do": {"send"}}); w.Code != 422 {
		t.Errorf("a kind that is none: %d", w.Code)
	}
}
