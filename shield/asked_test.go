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

// What a site asks for can be said when a name is blocked by hand, and changed
// while the block is in force: by one person, with an entry in the audit trail, and
// the edges get a new version at once.
func TestAskedFor_changes_while_a_block_is_in_force(t *testing.T) {
	c := newConsole(t)
	c.post(c.anna, "/block-a-name", url.Values{"name": {"pay.harbour-parcel.example"}, "reason": {"seen by the desk"}, "scope": {"host"}, "asks": {"1"}, "asked_for": {"iban"}})
	if got := c.rule("B-2026-000001").AskedFor; got != aid.Of(aid.IBAN) {
		t.Fatalf("got %s", got)
	}
	was := c.entry("B-2026-000001")
	c.post(c.anna, "/block/B-2026-000001/asked", url.Values{"asks": {"1"}, "asked_for": {"card", "id"}})
	if got := c.rule("B-2026-000001").AskedFor; got != aid.Of(aid.Card, aid.ID) {
		t.Errorf("got %s", got)
	}
	is := c.entry("B-2026-000001")
	if is.version != was.version+1 || !strings.Contains(is.body, `"asked_for":["card","id"]`) {
		t.Errorf("edges have %+v after %+v", is, was)
	}
	wantText(t, c.get(c.anna, "/block/B-2026-000001"), "card or PIN, identity document", "shield.block.asked_for")
	if w := c.do(c.victor, "/block/B-2026-000001/asked", url.Values{"asks": {"1"}}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: %d", w.Code)
	}
	if w := c.do(c.anna, "/block/B-2026-000001/asked", url.Values{"asked_for": {"shoe"}}); w.Code != http.StatusBadRequest {
		t.Errorf("an unknown kind: %d", w.Code)
	}
	c.post(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"error"}, "reason": {"wrong name"}})
	if w := c.do(c.anna, "/block/B-2026-000001/asked", url.Values{"asks": {"1"}}); w.Code != http.StatusConflict {
		t.Errorf("a block that is over: %d", w.Code)
	}
}

// A campaign's page changes it for all blocks of the campaign that are in force.
func TestAskedFor_of_a_campaign(t *testing.T) {
	c := newConsole(t)
	for _, site := range []string{"pay7", "pay12"} {
		name := "login.anchorbank-" + site + ".example"
		c.report(lure("Your card is stopped", "https://"+name+"/in"))
		c.post(c.anna, "/case/"+c.caseOf(name)+"/confirm", url.Values{"scope": {""}, "reason": {"asks for the PIN"}})
	}
	var ref string
	if err := c.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select ref from shield_campaign`).Scan(&ref) }); err != nil {
		t.Fatal(err)
	}
	wantText(t, c.get(c.anna, "/campaign/"+ref), "not known")
	c.post(c.anna, "/campaign/"+ref+"/asked", url.Values{"asks": {"1"}, "asked_for": {"password"}})
	for _, block := range []string{"B-2026-000001", "B-2026-000002"} {
		if got := c.rule(block).AskedFor; got != aid.Of(aid.Password) || !strings.Contains(c.entry(block).body, `"asked_for":["password"]`) {
			t.Errorf("%s: %s, edges have %s", block, got, c.entry(block).body)
		}
	}
	wantText(t, c.get(c.anna, "/audit?q="+ref), "shield.campaign.asked_for")
	if w := c.do(c.victor, "/campaign/"+ref+"/asked", url.Values{"asks": {"1"}}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: %d", w.Code)
	}
}

type entryOf struct {
	version int64
	body    string
}

// entry is what edges get of a block.
func (s *testShield) entry(ref string) (e entryOf) {
	s.t.Helper()
	if err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		var body []byte
		err := tx.Row(`select e.version,e.body from copy_entry e join shield_block b on b.id=e.id where e.copy=$1 and b.ref=$2`, CopyBlocks, ref).Scan(&e.version, &body)
		e.body = string(body)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return e
}
