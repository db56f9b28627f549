package abuse

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/idem"
	"bolwerk/internal/web"
)

// Whose cases they are is asked with a reason, and stands in the ledger; without one
// nobody learns whether a neighbour has a case.
func TestWhoAsksForASubscribersCasesIsNoted(t *testing.T) {
	h := open(t)
	id, ref, _ := h.caseOfAnna()
	looks := func() int64 {
		return h.number(`select count(*) from abuse_asked where actor=$1`, agent.Actor().String())
	}
	for _, reason := range []string{"", " ", "x", strings.Repeat("x", 501)} {
		if _, err := h.CasesOf(t.Context(), agent.Actor(), CaseFilter{Subscriber: "anna"}, reason, ""); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("with the reason %.10q: %v", reason, err)
		}
	}
	if _, err := h.CasesOf(t.Context(), agent.Actor(), CaseFilter{}, "a call", ""); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("of nobody: %v", err)
	}
	if n := looks(); n != 0 {
		t.Errorf("%d looks are noted that were none", n)
	}
	for _, c := range []struct {
		f    CaseFilter
		want int
	}{{CaseFilter{Subscriber: "anna"}, 1}, {CaseFilter{Subscriber: "anna", State: "closed"}, 0}, {CaseFilter{Subscriber: "bert"}, 0}, {CaseFilter{Subscriber: "line of anna"}, 0}} {
		rows, err := h.CasesOf(t.Context(), agent.Actor(), c.f, " she calls ", id)
		if err != nil || len(rows) != c.want || c.want == 1 && rows[0].Ref != ref {
			t.Errorf("%+v: %+v, %v", c.f, rows, err)
		}
	}
	if n := looks(); n != 4 {
		t.Errorf("%d looks are noted, want 4", n)
	}
	all, err := h.Ledger(t.Context(), "anna")
	if err != nil || len(all) != 2 || all[0].By != agent.Actor() || all[0].Reason != "she calls" || all[0].Case != ref {
		t.Errorf("the ledger of anna: %+v, %v", all, err)
	}
	if all, err := h.Ledger(t.Context(), "bert"); err != nil || len(all) != 1 {
		t.Errorf("the ledger of bert, who has no case: %+v, %v", all, err)
	}
}

// The list of all cases takes no name, in the console and by the API.
func TestTheListOfCasesTakesNoName(t *testing.T) {
	h := open(t)
	_, ref, _ := h.caseOfAnna()
	x := api.New(http.NewServeMux(), &account.Door{}, &idem.Keeper{}, slog.New(slog.DiscardHandler))
	h.API(x)
	for _, p := range x.OpenAPI().Paths["/api/v1/abuse/cases"].Get.Parameters {
		if p.Name == "subscriber" {
			t.Error("the API lists the cases of a subscriber to who may look")
		}
	}
	body := x.OpenAPI().Components.Schemas.Map()["AbuseCasesOfBody"]
	if body == nil || body.Properties["subscriber"] == nil || body.Properties["class"] == nil || !slices.Equal(slices.Sorted(slices.Values(body.Required)), []string{"reason", "subscriber"}) {
		t.Errorf("who may decide asks with %+v", body)
	}
	words, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := web.New(web.Site{Name: "console", Console: true, Config: web.DefaultConfig(), Texts: []*web.Texts{words}, Clock: h.clock, Log: h.log})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := NewPages(h.Desk, frame)
	if err != nil {
		t.Fatal(err)
	}
	me := agent
	show := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		frame.Do(func(w http.ResponseWriter, r *http.Request) error {
			if method == "POST" {
				return pages.casesOf(w, r, me)
			}
			return pages.cases(w, r, me)
		}).ServeHTTP(w, r)
		return w
	}
	if w := show("GET", "/abuse?subscriber=bert", nil); !strings.Contains(w.Body.String(), ref) {
		t.Errorf("a name in the address says something of somebody:\n%s", w.Body)
	}
	for who, found := range map[string]bool{"anna": true, "bert": false} {
		w := show("POST", "/abuse", url.Values{"subscriber": {who}, "reason": {"she calls"}})
		if w.Code != 200 || strings.Contains(w.Body.String(), ref) != found || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v\n%s", who, w.Code, w.Header(), w.Body)
		}
	}
	if w := show("POST", "/abuse", url.Values{"subscriber": {"anna"}}); w.Code != 422 || strings.Contains(w.Body.String(), ref) || !strings.Contains(w.Body.String(), "needs a reason") {
		t.Errorf("without a reason: %d\n%s", w.Code, w.Body)
	}
	if all, err := h.Ledger(t.Context(), "anna"); err != nil || len(all) != 1 {
		t.Errorf("looks at anna: %+v, %v", all, err)
	}
	me.Role = account.Viewer
	if w := show("GET", "/abuse", nil); strings.Contains(w.Body.String(), `name="subscriber"`) {
		t.Error("who may not ask is shown the form")
	}
}
