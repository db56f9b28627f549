package door

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
)

func writtenEntry(t testing.TB) copies.Entry {
	w := Warning{Ref: "W-2026-000001", Brand: "Merelbank", Since: start.Add(-time.Hour), Last: start.Add(-time.Hour), Until: start.Add(time.Hour), Names: []string{"help-desk.example"}}
	for _, lang := range bolwerk.Langs() {
		w.Texts = append(w.Texts, WarningText{lang, "Calls <b> " + string(lang), "Somebody calls you.\n\nHang up. " + string(lang)})
	}
	e := entry(t, WrittenEntry+"2026-000001", 1, w)
	e.Until = w.Until.UnixMicro()
	return e
}

// What a person warns of stands first, in the reader's language, on every page
// where somebody would look, and ends by itself.
func TestWarning_of_a_person(t *testing.T) {
	s := newSite(t, nil, nil)
	s.publish(t, warningEntry(t), writtenEntry(t))
	for _, lang := range bolwerk.Langs() {
		to := "?lang=" + string(lang)
		body := s.get("/warnings" + to).Body.String()
		own, other := strings.Index(body, "Hang up. "+string(lang)), strings.Index(body, `id="K-2026-000012"`)
		if own < 0 || other < own || strings.Contains(body, "Calls <b>") {
			t.Errorf("%s: got\n%s", lang, body)
		}
		if body := s.get("/" + to).Body.String(); !strings.Contains(body, "Calls &lt;b&gt; "+string(lang)) {
			t.Errorf("%s: not on the first page", lang)
		}
		var f feed
		if err := xml.Unmarshal(s.get("/warnings.atom"+to).Body.Bytes(), &f); err != nil || len(f.Entries) != 2 || f.Entries[0].Title != "Calls <b> "+string(lang) || !strings.Contains(f.Entries[0].Summary, "Hang up. "+string(lang)) {
			t.Errorf("%s: got %+v, %v", lang, f.Entries, err)
		}
	}
	// Beside the answer about a name: in full where it is about it.
	if body := s.get("/name?lang=en&q=www.help-desk.example").Body.String(); !strings.Contains(body, "Hang up. en") {
		t.Error("not beside the name that it is about")
	}
	if body := s.get("/name?lang=en&q=other.example").Body.String(); strings.Contains(body, "Hang up. en") || !strings.Contains(body, `href="/warnings?lang=en#W-2026-000001"`) {
		t.Error("beside another name: want the title alone")
	}
	var a WarningsAnswer
	if err := json.Unmarshal(s.get("/api/v1/warnings").Body.Bytes(), &a); err != nil || len(a.Warnings) != 2 || len(a.Warnings[0].Texts) != 4 || !a.Warnings[0].Until.Equal(start.Add(time.Hour)) {
		t.Errorf("got %+v %v", a, err)
	}
	s.clock.Add(time.Hour)
	for _, path := range []string{"/warnings", "/", "/warnings.atom", "/name?q=help-desk.example"} {
		if strings.Contains(s.get(path).Body.String(), "Hang up") || strings.Contains(s.get(path).Body.String(), "Calls &lt;b&gt;") {
			t.Errorf("%s: a warning that is over is shown", path)
		}
	}
}
