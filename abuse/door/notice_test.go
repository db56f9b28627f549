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
	return code
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
	for lang, want := range map[bolwerk.Lang]string{bolwerk.NL: "Wat er gezien is", bolwerk.FR: "Ce qui a été vu", bolwerk.DE: "Was gesehen wurde", bolwerk.EN: "What was seen"} {
		if w := s.do("GET", "/notice?lang="+string(lang), "", ""); w.Code != 200 || strings.Contains(w.Body.String(), "<script") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the form: %d %v", lang, w.Code, w.Header())
		}
		status, body := s.post(string(lang), url.Values{"code": {strings.ToLower(code.Reveal())}})
		if status != 200 || !strings.Contains(body, want) || !strings.Contains(body, "UDP 53") || !strings.Contains(body, "AB-2026-000001") || strings.Contains(body, "<script") {
			t.Errorf("%s: got %d\n%s", lang, status, body)
		}
		if strings.Count(body, `value="done"`) != 3 {
			t.Errorf("%s: %d steps, want 3", lang, strings.Count(body, `value="done"`))
		}
	}
	if len(s.said) != 1 || s.said[0].What != "seen" || s.said[0].Code != code.Hash() {
		t.Errorf("looks of one hour are handed in as %+v", s.said)
	}
	// A step, a question, a statement; the same form again has one effect.
	for range 2 {
		status, body := s.post("nl", url.Values{"code": {code.Reveal()}, "do": {"done"}, "step": {"open-2"}, "once": {"a"}})
		if status != 200 || strings.Count(body, `value="undone"`) != 1 {
			t.Errorf("a step: %d\n%s", status, body)
		}
		if status, body = s.post("nl", url.Values{"code": {code.Reveal()}, "do": {"help"}, "text": {"Hoe?"}, "contact": {"0470"}, "once": {"b"}}); status != 200 || !strings.Contains(body, "Wij hebben uw vraag") {
			t.Errorf("a question: %d\n%s", status, body)
		}
		if status, body = s.post("nl", url.Values{"code": {code.Reveal()}, "do": {"statement"}, "text": {"<b>weg</b>"}, "once": {"c"}}); status != 200 || !strings.Contains(body, "Wij hebben uw bericht") {
			t.Errorf("a statement: %d\n%s", status, body)
		}
	}
	if len(s.said) != 4 || s.said[1].Step != "open-2" || s.said[2].Contact != "0470" || s.said[3].Text != "<b>weg</b>" {
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
		"a step of another": {url.Values{"code": {code.Reveal()}, "do": {"done"}, "step": {"spam-1"}}, 422},
		"an empty question": {url.Values{"code": {code.Reveal()}, "do": {"help"}, "text": {"  "}}, 422},
		"a long statement":  {url.Values{"code": {code.Reveal()}, "do": {"statement"}, "text": {strings.Repeat("x", MaxSaid+1)}}, 422},
		"something else":    {url.Values{"code": {code.Reveal()}, "do": {"release-all"}}, 422},
	} {
		if status, body := s.post("en", c.v); status != c.want {
			t.Errorf("%s: got %d, want %d\n%s", name, status, c.want, body)
		}
	}
	if len(s.said) != 0 {
		t.Errorf("handed in %+v", s.said)
	}
	s.full = true
	if status, body := s.post("en", url.Values{"code": {code.Reveal()}, "do": {"statement"}, "text": {"hello"}}); status != 503 || !strings.Contains(body, "hello") {
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
