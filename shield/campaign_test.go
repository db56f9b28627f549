package shield

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/capture"
)

func (s *testShield) one(query string, args ...any) (out string) {
	s.t.Helper()
	if err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		var v any
		err := tx.Row(query, args...).Scan(&v)
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		out = fmt.Sprint(v)
		return err
	}); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return out
}

// campaignOfName gives campaign and keys by which the case of a name is in it.
func (s *testShield) campaignOfName(name string) (ref, by string) {
	s.t.Helper()
	id := s.caseID(name)
	return s.one(`select coalesce((select k.ref from shield_campaign k where k.id=c.campaign),'') from shield_case c where c.id=$1`, id),
		s.one(`select joined from shield_case where id=$1`, id)
}

func (s *testShield) caseID(name string) string {
	s.t.Helper()
	return s.one(`select id from desk_case where ref=$1`, s.caseOf(name))
}

func (s *testShield) saw(name string, b *capture.Bundle) {
	s.t.Helper()
	rules := s.guard.rules()
	out := s.look(b)
	facts, hits := out.Facts, out.Hits
	id := s.caseID(name)
	if err := s.db.Write(s.t.Context(), store.Intake, func(tx *store.Tx) error { return s.sawPage(tx, rules, id, b, facts, hits) }); err != nil {
		s.t.Fatal(err)
	}
}

func TestCampaign_two_keys_put_cases_together(t *testing.T) {
	s := newShield(t)
	// Of another brand word, or of none: the shape of the address and the brand.
	s.report(lure("Your card is stopped", "https://one.anchorbank-a.example/secure/77/unlock.php?id=1&t=2"))
	s.report(lure("Letter about something else entirely", "https://two.anchorbank-b.example/secure/12/unlock.php?t=9&id=8"))
	a, _ := s.campaignOfName("one.anchorbank-a.example")
	b, by := s.campaignOfName("two.anchorbank-b.example")
	if a == "" || a != b || by != "K5 K9" {
		t.Errorf("got %s and %s by %q", a, b, by)
	}
	// The brand and the language alone join nothing.
	s.report(lure("Words of their own kind here", "https://three.anchorbank-c.example/other/road/entirely"))
	if c, by := s.campaignOfName("three.anchorbank-c.example"); c == a {
		t.Errorf("the brand alone joined it, by %q", by)
	}
}

func TestCampaign_of_no_brand_begins_with_its_second_case(t *testing.T) {
	s := newShield(t)
	text := func(n int) string { return fmt.Sprintf("Parcel %d for you waits at the depot, pay the fee today", n) }
	s.report(text(7) + " https://first-depot.example/track/9/pay-here.html")
	if ref, _ := s.campaignOfName("first-depot.example"); ref != "" {
		t.Errorf("one case is the campaign %s", ref)
	}
	s.report(text(12) + " https://other-road.example/track/8/pay-here.html")
	a, _ := s.campaignOfName("first-depot.example")
	b, by := s.campaignOfName("other-road.example")
	if a == "" || a != b || by != "K5 K8" {
		t.Fatalf("got %q and %q by %q", a, b, by)
	}
	if got := s.one(`select cases||' '||reports from shield_campaign where ref=$1`, a); got != "2 2" {
		t.Errorf("it counts %s", got)
	}
	if got := s.one(`select count(*) from shield_key where is_case`); got != "0" {
		t.Errorf("%s keys are still held by cases", got)
	}
}

// kitSite is a page of one kit.
func kitSite(at, victim string) *capture.Bundle {
	var b strings.Builder
	b.WriteString(`<html lang=en><title>Sign in</title>`)
	for i := range 30 {
		fmt.Fprintf(&b, `<div class="row"><p class="t%d">%s</p></div>`, i, victim)
	}
	c := pageAt(at, b.String()+`<form action="/gate/step2.php"><input name="cardnumber"><input name="otp"></form>`)
	c.Put(capture.Part{Kind: capture.Script, URL: at + "kit.js", Status: 200}, []byte("steal()"))
	c.Hops[0].Names = []string{"first-depot.example", "fresh-depot.example", "*.more-depot.example", "www.anchorbank.example"}
	return c
}

func TestCampaign_pages_of_one_kit_put_cases_together(t *testing.T) {
	s := newShield(t)
	s.report("One text with words of its own about money https://first-depot.example/a")
	s.report("Quite another story is told in this message https://other-road.example/b")
	s.saw("first-depot.example", kitSite("https://first-depot.example/", "Jan"))
	if ref, _ := s.campaignOfName("first-depot.example"); ref != "" {
		t.Errorf("one case is the campaign %s", ref)
	}
	s.saw("other-road.example", kitSite("https://other-road.example/", "Eva"))
	a, _ := s.campaignOfName("first-depot.example")
	b, by := s.campaignOfName("other-road.example")
	if a == "" || a != b || !strings.Contains(by, "K2") || !strings.Contains(by, "K3") {
		t.Fatalf("got %q and %q by %q", a, b, by)
	}
	// What its pages ask for is proposed with its cases, and for the warning page.
	v, err := s.Campaign(t.Context(), a)
	if err != nil || v.AskedFor != aid.Of(aid.Card, aid.OTP) {
		t.Errorf("it asks for %s, %v", v.AskedFor, err)
	}
	if c, err := s.Case(t.Context(), s.caseOf("first-depot.example")); err != nil || c.AskedFor != aid.Of(aid.Card, aid.OTP) {
		t.Errorf("the case proposes %s, %v", c.AskedFor, err)
	}
	// Names of its certificate are proposed, but no brand's own and none that is known.
	var names []string
	for _, n := range v.Siblings {
		names = append(names, n.Name.String())
	}
	if got := strings.Join(names, " "); got != "fresh-depot.example more-depot.example" {
		t.Errorf("siblings: %s", got)
	}
	// A page that asks for nothing is like every other one, and joins nothing.
	s.report("Nothing to be seen here any more, it is parked https://third-road.example/c")
	parked := pageAt("https://third-road.example/", strings.Repeat(`<div class="row"><p class="t1">x</p></div>`, 40))
	s.saw("third-road.example", parked)
	s.report("Parked as well, with other words around it here https://fourth-road.example/d")
	s.saw("fourth-road.example", parked)
	if ref, by := s.campaignOfName("fourth-road.example"); ref != "" {
		t.Errorf("a parked page is of %s by %q", ref, by)
	}
}

// TestSiblings_of_form_and_landing: where a member's page led its visitors, and where
// its form sends, is proposed with what it is; a brand's own name never.
func TestSiblings_of_form_and_landing(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-unlock1.example/a"))
	b := pageAt("https://landing-here.example/", `<html lang=en><title>Anchor Bank</title><form action="https://collects-it.example/x"><input name="cardnumber"><input name="otp"></form>`)
	first := b.Hops[0]
	first.URL = "https://leads-on.example/go"
	b.Hops = append([]capture.Hop{first, {URL: "https://www.anchorbank.example/"}}, b.Hops...)
	s.saw("anchorbank-unlock1.example", b)
	id, _ := s.campaignOfName("anchorbank-unlock1.example")
	v, err := s.Campaign(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range v.Siblings {
		got[b.Name.String()] = b.Why
	}
	if len(got) != 3 || got["collects-it.example"] != "form" || got["leads-on.example"] != "landing" || got["landing-here.example"] != "landing" {
		t.Errorf("got %v", got)
	}
}

func TestCampaign_ends_and_comes_back(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-pay7.example/in"))
	state := func() (CampaignState, time.Time) {
		t.Helper()
		v, err := s.Campaign(t.Context(), "K-2026-000001")
		if err != nil {
			t.Fatal(err)
		}
		return v.State, v.ReopenedAt
	}
	want := func(w CampaignState) {
		t.Helper()
		if got, _ := state(); got != w {
			t.Errorf("got %s, want %s", got, w)
		}
	}
	want(Forming)
	s.clock.Add(73 * time.Hour)
	want(Quiet)
	// A hit says that it lives, though nobody reports it.
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		return growCampaign(tx, s.campaignID("K-2026-000001"), tx.Now(), grew{dns: 1})
	}); err != nil {
		t.Fatal(err)
	}
	want(Forming)
	s.clock.Add(31 * 24 * time.Hour)
	want(Ended)
	if _, at := state(); !at.IsZero() {
		t.Errorf("reopened at %s", at)
	}
	s.report(lure("Your card is stopped", "https://anchorbank-pay8.example/in"))
	want(Forming)
	if _, at := state(); at.IsZero() {
		t.Error("it came back and does not say so")
	}
}

func (s *testShield) campaignID(ref string) string {
	return s.one(`select id from shield_campaign where ref=$1`, ref)
}

func TestMerge_keeps_figures_and_references(t *testing.T) {
	s := newShield(t)
	for i, u := range []string{"anchorbank-pay7", "anchorbank-pay8", "anchorbank-desk1", "anchorbank-desk2"} {
		s.report(lure(strings.Repeat("w", i+1), "https://"+u+".example/in"))
	}
	a, _ := s.campaignOfName("anchorbank-pay7.example")
	b, _ := s.campaignOfName("anchorbank-desk1.example")
	if a == b {
		t.Fatal("one campaign from the start")
	}
	sums := func() string {
		return s.one(`select sum(cases)||' '||sum(reports)||' '||sum(blocks)||' '||sum(dns) from shield_campaign`) + " / " +
			s.one(`select sum(cases)||' '||sum(reports)||' '||sum(blocks)||' '||sum(dns) from shield_campaign_hour`) + " / " + s.one(`select count(*) from shield_case where campaign<>''`)
	}
	before := sums()
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.MergeCampaigns(t.Context(), who, b, a, " "); err == nil {
		t.Error("no reason is asked for")
	}
	if _, err := s.MergeCampaigns(t.Context(), who, a, a, "x"); err == nil {
		t.Error("merged into itself")
	}
	m, err := s.Merging(t.Context(), b, a)
	if err != nil || m.Result.Cases != 4 || m.Result.Reports != 4 || len(m.Shared) == 0 {
		t.Errorf("preview: %+v, %v", m, err)
	}
	if sums() != before {
		t.Error("the preview changed something")
	}
	for range 2 { // twice is once
		out, err := s.MergeCampaigns(t.Context(), who, b, a, "the same texts")
		if err != nil || out.Cases != 4 || out.Ref != a {
			t.Fatalf("got %+v, %v", out, err)
		}
		if got := sums(); got != before {
			t.Errorf("figures: got %s, before %s", got, before)
		}
	}
	if got := s.one(`select count(*) from audit where action='shield.campaign.merge'`); got != "1" {
		t.Errorf("%s entries in the trail", got)
	}
	// The old number leads to the new one, and what comes by its keys goes there.
	if v, err := s.Campaign(t.Context(), b); err != nil || v.MergedInto != a {
		t.Errorf("got %q, %v", v.MergedInto, err)
	}
	s.report(lure("wwwww", "https://anchorbank-desk3.example/in"))
	if ref, _ := s.campaignOfName("anchorbank-desk3.example"); ref != a {
		t.Errorf("the next of its make went to %s", ref)
	}
	if rows, err := s.Campaigns(t.Context(), CampaignFilter{}); err != nil || len(rows) != 1 || rows[0].Cases != 5 {
		t.Errorf("got %+v, %v", rows, err)
	}
	if _, err := s.MergeCampaigns(t.Context(), who, a, b, "back"); err == nil || !strings.Contains(err.Error(), "was merged into") {
		t.Errorf("into one that ended: %v", err)
	}
	viewer := Decider(s.person("vera", account.Viewer))
	if _, err := s.MergeCampaigns(t.Context(), viewer, a, b, "x"); err == nil {
		t.Error("a viewer merges")
	}
}

func TestSiblings_leave_out_what_is_nobodys_to_block(t *testing.T) {
	s := newShield(t)
	rules := s.guard.rules()
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		for _, n := range []string{"www.anchorbank.example", "busy.example", "x.example", "x.example", "com"} {
			d, err := bolwerk.ParseDomain(n)
			if err != nil {
				return err
			}
			if err := proposeSibling(tx, rules, "k", d, "certificate", "y.example"); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := s.one(`select count(*)||' '||min(name) from shield_sibling`); got != "1 x.example" {
		t.Errorf("got %s", got)
	}
}

func TestMergePage(t *testing.T) {
	c := newConsole(t)
	for i, u := range []string{"anchorbank-pay7", "anchorbank-pay8", "anchorbank-desk1"} {
		c.report(lure(strings.Repeat("w", i+1), "https://"+u+".example/in"))
	}
	rows, err := c.Campaigns(t.Context(), CampaignFilter{})
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %+v, %v", rows, err)
	}
	// One script in both makes.
	for _, r := range rows {
		c.put(`insert into shield_key(key,holder,is_case,strong,full_hash,at) values('K2|step|77',$1,false,true,'',1)`, r.ID)
	}
	a, b := rows[1].Ref, rows[0].Ref
	page := c.get(c.anna, "/campaign/"+a)
	wantText(t, page, "What holds it together", "shape of the name (enough by itself)", "Shares more than the brand", "Compare and merge: "+b)
	wantText(t, c.get(c.anna, "/campaign/"+a+"/merge?from="+b), "Merge "+b+" into "+a, "Together", "In common: ")
	if w := c.do(c.anna, "/campaign/"+a+"/merge", url.Values{"from": {b}, "reason": {" "}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: got %d", w.Code)
	}
	c.post(c.anna, "/campaign/"+a+"/merge", url.Values{"from": {b}, "reason": {"one make"}})
	wantText(t, c.get(c.anna, "/campaign/"+a+"?done=merged"), "Merged. The cases of both are here now.", "Cases 3")
	if w := c.do(c.anna, "/campaign/"+b, nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/campaign/"+a {
		t.Errorf("the old number: got %d to %s", w.Code, w.Header().Get("Location"))
	}
	if got := c.get(c.anna, "/queue?campaign="+b+"&state=waiting"); !strings.Contains(got, "anchorbank-pay7") {
		t.Error("the queue of the old number is empty")
	}
}
