package door

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	copies "bolwerk/internal/copy"
)

// published gives the site a notice, and its code.
func (s *stand) published(t *testing.T, n Notice) CaseCode {
	t.Helper()
	code := NewCaseCode()
	s.publish(t, code, n)
	return code
}

// publish tells the site what the holder of a code sees.
func (s *stand) publish(t *testing.T, code CaseCode, n Notice) {
	t.Helper()
	body, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var r rest
	if err := s.Beside(&r).Apply(copies.Head{}, []copies.Entry{{ID: NoticeEntry + code.Hash(), Version: 1, Body: body, Until: noon.AddDate(0, 2, 0).UnixMicro()}, {ID: "r:x", Version: 1, Body: []byte(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	if len(r.ids) != 1 || r.ids[0] != "r:x" {
		t.Fatalf("the other sink got %q", r.ids)
	}
}

func resolver() Notice {
	return Notice{Guest: garden.Guest{Case: "AB-2026-000001", Class: "vulnerable/ddos-amplifier", State: "open", Since: noon.Add(-time.Hour), Seen: []garden.Seen{{At: noon.Add(-5 * time.Hour), What: "UDP 53"}}}}
}

func (s *stand) post(lang string, v url.Values) (int, string) {
	w := s.do("POST", "/notice?lang="+lang, formType, v.Encode())
	return w.Code, w.Body.String()
}

func TestNotice(t *testing.T) {
	s := site(t)
	if err := s.Beside(&rest{}).Reset(copies.Head{}, func(func(copies.Entry) bool) {}); err != nil {
		t.Fatal(err)
	}
	code := s.published(t, resolver())
	for lang, want := range map[bolwerk.Lang]string{bolwerk.NL: "Dit gaat over uw lijn", bolwerk.FR: "Il s’agit de votre ligne", bolwerk.DE: "Es geht um Ihren Anschluss", bolwerk.EN: "This is about your line"} {
		if w := s.do("GET", "/notice?lang="+string(lang), "", ""); w.Code != 200 || strings.Contains(w.Body.String(), "<script") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the form: %d %v", lang, w.Code, w.Header())
		}
		status, body := s.post(string(lang), url.Values{"code": {strings.ToLower(code.Reveal())}})
		if status != 200 || !strings.Contains(body, want) || !strings.Contains(body, "UDP 53") || !strings.Contains(body, "AB-2026-000001") || strings.Contains(body, "<script") {
			t.Errorf("%s: got %d\n%s", lang, status, body)
		}
		if strings.Count(body, `value="done"`) != len(garden.Amplifier.Steps()) || strings.Contains(body, `value="release"`) {
			t.Errorf("%s: %d steps, want those of the plan", lang, strings.Count(body, `value="done"`))
		}
	}
	if len(s.said) != 1 || s.said[0].What != "seen" || s.said[0].Code != code.Hash() {
		t.Errorf("looks of one hour are handed in as %+v", s.said)
	}
	// A step, a question, a statement; the same form again has one effect.
	for again := range 3 {
		if again == 2 {
			s.restart(t)
			if err := s.Beside(&rest{}).Reset(copies.Head{}, func(func(copies.Entry) bool) {}); err != nil {
				t.Fatal(err)
			}
			s.publish(t, code, resolver())
		}
		status, body := s.post("nl", url.Values{"code": {code.Reveal()}, "what": {"done"}, "step": {"s_close"}, "once": {"a"}})
		if status != 200 || strings.Count(body, `value="undone"`) != 1 {
			t.Errorf("a step: %d\n%s", status, body)
		}
		if status, body = s.post("nl", url.Values{"code": {code.Reveal()}, "what": {"help"}, "text": {"Hoe?"}, "contact": {"0470"}, "once": {"b"}}); status != 200 || !strings.Contains(body, "We hebben uw vraag") {
			t.Errorf("a question: %d\n%s", status, body)
		}
		if status, body = s.post("nl", url.Values{"code": {code.Reveal()}, "what": {"statement"}, "text": {"<b>weg</b>"}, "once": {"c"}}); status != 200 || !strings.Contains(body, "Wij hebben uw bericht") {
			t.Errorf("a statement: %d\n%s", status, body)
		}
	}
	if len(s.said) != 4 || s.said[1].Step != "s_close" || s.said[2].Contact != "0470" || s.said[3].Text != "<b>weg</b>" {
		t.Errorf("handed in %+v", s.said)
	}
}

// Whose line has an open service has it tested with the code of the notice alone.
func TestNoticeTestsTheLine(t *testing.T) {
	s := site(t)
	n := resolver()
	code := s.published(t, n)
	test := func() (int, string) {
		return s.post("nl", url.Values{"code": {code.Reveal()}, "what": {"test"}, "once": {"a"}})
	}
	if status, body := test(); status != 409 || strings.Contains(body, `value="test"`) {
		t.Errorf("lines that are not tested: %d", status)
	}
	n.Tests = []string{"UDP 53"}
	code = s.published(t, n)
	if status, body := s.post("nl", url.Values{"code": {code.Reveal()}}); status != 200 || !strings.Contains(body, `value="test"`) {
		t.Errorf("the button is not there: %d\n%s", status, body)
	}
	if status, body := test(); status != 200 || !strings.Contains(body, "We testen uw lijn nu") || strings.Contains(body, `value="test"`) {
		t.Errorf("a test: %d\n%s", status, body)
	}
	if last := s.said[len(s.said)-1]; last.What != "test" || last.Code != code.Hash() {
		t.Errorf("handed in %+v", last)
	}
	n.Test, n.TestAt = garden.TestQuiet, noon.Add(-time.Minute)
	code = s.published(t, n)
	if status, body := s.post("nl", url.Values{"code": {code.Reveal()}}); status != 200 || !strings.Contains(body, "we zien het niet meer") || strings.Contains(body, "houdt het nu tegen") || strings.Contains(body, `value="test"`) {
		t.Errorf("a test of a minute ago: %d\n%s", status, body)
	}
}

// A line in quarantine is let out at the site as at the edge: once the steps are ticked,
// and as often as the guest may.
func TestNoticeOfAQuarantine(t *testing.T) {
	s := site(t)
	n := resolver()
	n.Guest.Ref, n.Guest.State, n.Guest.SelfLeft, n.Guest.Until = "Q-2026-000001", "active", 1, noon.AddDate(0, 0, 30)
	code := s.published(t, n)
	form := func(v ...string) (int, string) {
		q := url.Values{"code": {code.Reveal()}, "once": {strings.Join(v, "")}, "what": {v[0]}}
		if len(v) > 1 {
			q.Set("step", v[1])
		}
		return s.post("nl", q)
	}
	if status, body := form("release"); status != 409 || !strings.Contains(body, "De toestand van uw lijn is intussen anders") {
		t.Errorf("release before the steps: %d\n%s", status, body)
	}
	for i, id := range garden.Amplifier.Steps() {
		status, body := form("done", id) // the page shows each tick, before the desk has told it back
		if status != 200 || strings.Count(body, `value="undone"`) != i+1 {
			t.Fatalf("step %s: %d\n%s", id, status, body)
		}
	}
	status, body := s.post("nl", url.Values{"code": {code.Reveal()}})
	if status != 200 || !strings.Contains(body, `value="release"`) || !strings.Contains(body, "veilige omgeving") || strings.Contains(body, "notice?code") {
		t.Errorf("all is done: %d\n%s", status, body)
	}
	if status, body = form("release"); status != 200 || !strings.Contains(body, "We hebben uw vraag") {
		t.Errorf("release: %d\n%s", status, body)
	}
	last := s.said[len(s.said)-1]
	if last.What != "release" || last.Code != code.Hash() {
		t.Errorf("handed in %+v", last)
	}
	n.Guest.SelfLeft, n.Guest.Done = 0, garden.Amplifier.Steps()
	code = s.published(t, n)
	if status, body := s.post("nl", url.Values{"code": {code.Reveal()}}); status != 200 || strings.Contains(body, `value="release"`) || !strings.Contains(body, "<details open>") {
		t.Errorf("who may not alone: %d\n%s", status, body)
	}
	if status, _ := form("release"); status != 409 {
		t.Errorf("release by who may not alone: %d", status)
	}
}

// A case that takes no more is said before anything is acknowledged. The way out of a
// quarantine stays open.
func TestAFullNoticeIsRefused(t *testing.T) {
	s := site(t)
	n := resolver()
	n.Full = true
	code := s.published(t, n)
	for what, v := range map[string]url.Values{"statement": {"text": {"hello"}}, "help": {"text": {"hello"}}, "done": {"step": {garden.Amplifier.Steps()[0]}}} {
		v["code"], v["what"] = []string{code.Reveal()}, []string{what}
		status, body := s.post("en", v)
		if status != 429 || !strings.Contains(body, "all us") || what != "done" && !strings.Contains(body, "hello") {
			t.Errorf("%s: %d; what was typed must stay\n%s", what, status, body)
		}
	}
	if len(s.said) != 0 {
		t.Errorf("handed in %+v", s.said)
	}
	n.Guest.Ref, n.Guest.State, n.Guest.SelfLeft, n.Guest.Done = "Q-2026-000001", "active", 1, garden.Amplifier.Steps()
	code = s.published(t, n)
	for _, what := range []string{"help", "release"} {
		if status, body := s.post("en", url.Values{"code": {code.Reveal()}, "what": {what}, "text": {"hello"}}); status != 200 {
			t.Errorf("%s out of a quarantine: %d\n%s", what, status, body)
		}
	}
	if len(s.said) != 2 {
		t.Errorf("handed in %+v", s.said)
	}
}

func TestNoticeRefuses(t *testing.T) {
	s := site(t)
	code := s.published(t, resolver())
	other := NewCaseCode()
	for name, c := range map[string]struct {
		v    url.Values
		want int
	}{
		"nothing":           {url.Values{}, 422},
		"a typing error":    {url.Values{"code": {strings.Replace(code.Reveal(), code.Reveal()[:1], "Ä", 1)}}, 422},
		"another's code":    {url.Values{"code": {other.Reveal()}}, 404},
		"a step of another": {url.Values{"code": {code.Reveal()}, "what": {"done"}, "step": {"w_scan"}}, 422},
		"an empty question": {url.Values{"code": {code.Reveal()}, "what": {"help"}, "text": {"  "}}, 422},
		"a long statement":  {url.Values{"code": {code.Reveal()}, "what": {"statement"}, "text": {strings.Repeat("x", MaxSaid+1)}}, 422},
		"something else":    {url.Values{"code": {code.Reveal()}, "what": {"release-all"}}, 422},
	} {
		if status, body := s.post("en", c.v); status != c.want {
			t.Errorf("%s: got %d, want %d\n%s", name, status, c.want, body)
		}
	}
	if len(s.said) != 0 {
		t.Errorf("handed in %+v", s.said)
	}
	s.full = true
	if status, body := s.post("en", url.Values{"code": {code.Reveal()}, "what": {"statement"}, "text": {"hello"}}); status != 503 || !strings.Contains(body, "hello") {
		t.Errorf("a full spool: %d; what was typed must stay\n%s", status, body)
	}
	if status, _ := s.post("en", url.Values{"code": {code.Reveal()}}); status != 200 {
		t.Errorf("a look with a full spool: %d", status)
	}
	s.clock.Add(70 * 24 * time.Hour)
	if status, _ := s.post("en", url.Values{"code": {code.Reveal()}}); status != 404 {
		t.Errorf("a code that is over: %d", status)
	}
	n := 0
	for status := 0; status != 429 && n < 2*codesPerHour; n++ {
		status, _ = s.post("en", url.Values{"code": {"x"}})
	}
	if n > codesPerHour {
		t.Errorf("%d codes were tried from one network", n)
	}
}
