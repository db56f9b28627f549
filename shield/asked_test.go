package shield

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
)

// rule gives the rule that edges get for a block.
func (s *testShield) rule(ref string) (r edge.Rule) {
	s.t.Helper()
	if err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		b, err := findBlock(tx, ref)
		r = b.Rule()
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// What a person ticks on a case goes to the edges with the block, and to the
// next case of the campaign.
func TestAskedFor_goes_with_the_block_and_stays_with_the_campaign(t *testing.T) {
	c := newConsole(t)
	for _, site := range []string{"pay7", "pay12", "pay31"} {
		c.report(lure("Your card is stopped", "https://login.anchorbank-"+site+".example/in"))
	}
	first, second, third := c.caseOf("login.anchorbank-pay7.example"), c.caseOf("login.anchorbank-pay12.example"), c.caseOf("login.anchorbank-pay31.example")
	c.post(c.anna, "/case/"+first+"/confirm", url.Values{"scope": {""}, "reason": {"asks for the PIN"}, "asks": {"1"}, "asked_for": {"card", "otp"}})
	if got := c.rule("B-2026-000001").AskedFor; got != aid.Of(aid.Card, aid.OTP) {
		t.Errorf("got %s", got)
	}
	if v, err := c.Case(t.Context(), first); err != nil || c.rule("B-2026-000001").Suspicious != (v.Verdict == "suspicious") {
		t.Errorf("verdict %s, but the rule says %v (%v)", v.Verdict, c.rule("B-2026-000001").Suspicious, err)
	}
	if page := c.get(c.anna, "/block/B-2026-000001"); !strings.Contains(page, "card or PIN, code or approval") {
		t.Error("the block's page does not say what the site asks for")
	}
	if page := c.get(c.anna, "/case/"+second); !strings.Contains(page, `value="card" checked`) || strings.Contains(page, `value="id" checked`) {
		t.Error("the next case of the campaign does not begin with what is known")
	}
	// None ticked is an answer; no boxes at all, as from a program, is not.
	c.post(c.anna, "/case/"+second+"/confirm", url.Values{"scope": {""}, "reason": {"a copy"}, "asks": {"1"}})
	if got := c.rule("B-2026-000002").AskedFor; got != 0 {
		t.Errorf("got %s", got)
	}
	c.post(c.anna, "/case/"+third+"/confirm", url.Values{"scope": {""}, "reason": {"a copy"}})
	if got := c.rule("B-2026-000003").AskedFor; got != aid.Of(aid.Card, aid.OTP) {
		t.Errorf("got %s", got)
	}
}

func TestAskedFor_refuses_what_no_page_knows(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in"))
	if w := c.do(c.anna, "/case/"+c.caseOf("login.anchorbank-pay7.example")+"/confirm", url.Values{"scope": {""}, "reason": {"x"}, "asks": {"1"}, "asked_for": {"<shoe>"}}); w.Code == http.StatusSeeOther || strings.Contains(w.Body.String(), "<shoe>") {
		t.Errorf("got %d", w.Code)
	}
	if _, err := (Wish{AskedFor: []string{"shoe"}}).confirm(); err == nil {
		t.Error("the API takes it")
	}
	in, err := (Wish{AskedFor: []string{"id", "card"}}).confirm()
	if err != nil || in.AskedFor == nil || *in.AskedFor != aid.Of(aid.Card, aid.ID) {
		t.Errorf("got %v, %v", in.AskedFor, err)
	}
	if in, _ := (Wish{}).confirm(); in.AskedFor != nil {
		t.Error("absent is not the same as none")
	}
	b, _ := json.Marshal(edge.Rule{AskedFor: aid.Of(aid.ID)})
	if !strings.Contains(string(b), `"asked_for":["id"]`) {
		t.Errorf("got %s", b)
	}
}
