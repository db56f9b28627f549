package shield

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// A merge that was undone leaves both campaigns as they were, and what came between
// where it was counted; sums over all of them never change.
func TestUndoMerge_gives_back_what_went_over(t *testing.T) {
	s := newShield(t)
	for i, u := range []string{"anchorbank-pay7", "anchorbank-pay8", "anchorbank-desk1", "anchorbank-desk2", "anchorbank-send1", "anchorbank-send2"} {
		s.report(lure(strings.Repeat("w", i+1), "https://"+u+".example/in"))
	}
	a, _ := s.campaignOfName("anchorbank-pay7.example")
	b, _ := s.campaignOfName("anchorbank-desk1.example")
	c, _ := s.campaignOfName("anchorbank-send1.example")
	if a == b || b == c || a == c {
		t.Fatalf("%s %s %s: not three", a, b, c)
	}
	who := Decider(s.person("anna", account.Analyst))
	for _, name := range []string{"anchorbank-pay7.example", "anchorbank-desk1.example"} {
		if _, err := s.Confirm(t.Context(), who, Confirm{Case: s.caseOf(name), Reason: "seen"}); err != nil {
			t.Fatal(err)
		}
	}
	hit := func(name string, n int64) {
		t.Helper()
		s.put(`insert into shield_hit_total(block,campaign,dns,page,tls,first) select id,(select c.campaign from shield_case c where c.id=shield_block.case_id),$2,0,0,1 from shield_block where name=$1 on conflict(block) do update set dns=shield_hit_total.dns+excluded.dns`, name, n)
		if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
			var id string
			if err := tx.Row(`select h.campaign from shield_hit_total h join shield_block b on b.id=h.block where b.name=$1`, name).Scan(&id); err != nil {
				return err
			}
			return growCampaign(tx, id, tx.Now(), grew{dns: n})
		}); err != nil {
			t.Fatal(err)
		}
	}
	hit("anchorbank-desk1.example", 7)
	hit("anchorbank-pay7.example", 5)
	all := func() string {
		t.Helper()
		out := ""
		for _, q := range []string{
			`select k.ref||' '||k.cases||' '||k.reports||' '||k.blocks||' '||k.dns||' '||k.first_seen||' '||k.merged_into from shield_campaign k order by k.ref`,
			`select k.ref||' '||h.hour||' '||h.cases||' '||h.reports||' '||h.blocks||' '||h.dns from shield_campaign_hour h join shield_campaign k on k.id=h.campaign order by k.ref, h.hour`,
			`select k.ref||' '||x.key||' '||x.strong||' '||x.at from shield_key x join shield_campaign k on k.id=x.holder order by k.ref, x.key`,
			`select k.ref||' '||c.id from shield_case c join shield_campaign k on k.id=c.campaign order by k.ref, c.id`,
			`select k.ref||' '||h.dns from shield_hit_total h join shield_campaign k on k.id=h.campaign order by k.ref, h.dns`,
			`select k.ref||' '||n.name||' '||n.beside from shield_sibling n join shield_campaign k on k.id=n.campaign order by k.ref, n.name`,
		} {
			s.read(func(tx *store.Tx) error {
				rows, err := texts(tx, q)
				out += strings.Join(rows, "\n") + "\n\n"
				return err
			})
		}
		return out
	}
	sums := func() string {
		return s.one(`select sum(cases)||' '||sum(reports)||' '||sum(blocks)||' '||sum(dns) from shield_campaign`) + " / " +
			s.one(`select sum(cases)||' '||sum(reports)||' '||sum(blocks)||' '||sum(dns) from shield_campaign_hour`)
	}
	merge := func(from, into string) {
		t.Helper()
		if _, err := s.MergeCampaigns(t.Context(), who, from, into, "the same texts"); err != nil {
			t.Fatal(err)
		}
	}
	undo := func(from string) {
		t.Helper()
		if _, err := s.UndoMerge(t.Context(), who, from, "they are two"); err != nil {
			t.Fatal(err)
		}
	}
	s.put(`insert into shield_sibling(campaign,name,why,beside,at) select id,'next.example','certificate','x.example',5 from shield_campaign where ref=$1`, b)
	before, sum := all(), sums()

	merge(b, a)
	if v, err := s.Campaign(t.Context(), a); err != nil || len(v.Merged) != 1 || v.Merged[0].Ref != b || v.Merged[0].By != "anna" || v.Merged[0].Cases != 2 {
		t.Errorf("it does not say what was merged: %+v, %v", v.Merged, err)
	}
	undo(b)
	if got := all(); got != before {
		t.Errorf("after merge and undo:\n%s\nbefore:\n%s", got, before)
	}
	// A chain, undone from its end; and twice over.
	merge(b, a)
	merge(a, c)
	if v, err := s.Campaign(t.Context(), b); err != nil || v.MergedInto != c {
		t.Errorf("the first number leads to %q, %v", v.MergedInto, err)
	}
	if _, err := s.UndoMerge(t.Context(), who, b, "x"); err == nil || !strings.Contains(err.Error(), "by another campaign") {
		t.Errorf("the earlier merge is undone before the later: %v", err)
	}
	undo(a)
	if v, err := s.Campaign(t.Context(), b); err != nil || v.MergedInto != a {
		t.Errorf("the first number leads to %q, %v", v.MergedInto, err)
	}
	undo(b)
	if got := all(); got != before {
		t.Errorf("after a chain:\n%s\nbefore:\n%s", got, before)
	}
	if _, err := s.UndoMerge(t.Context(), who, b, "x"); err == nil {
		t.Error("undone twice")
	}
	// What came between stays where it was counted.
	merge(b, a)
	s.report(lure("wwwwwww", "https://anchorbank-desk3.example/in"))
	hit("anchorbank-desk1.example", 3)
	sum2 := sums()
	undo(b)
	if got := sums(); got != sum2 || got == sum {
		t.Errorf("sums: got %s, want %s", got, sum2)
	}
	if ref, _ := s.campaignOfName("anchorbank-desk3.example"); ref != a {
		t.Errorf("what came between went to %s", ref)
	}
	if ref, _ := s.campaignOfName("anchorbank-desk1.example"); ref != b {
		t.Errorf("its own went to %s", ref)
	}
	s.report(lure("wwwwwwww", "https://anchorbank-desk4.example/in"))
	if ref, _ := s.campaignOfName("anchorbank-desk4.example"); ref != b {
		t.Errorf("the next of its make went to %s", ref)
	}
	if _, err := s.UndoMerge(t.Context(), Decider(s.person("vera", account.Viewer)), b, "x"); err == nil {
		t.Error("a viewer undoes a merge")
	}
	if got := s.one(`select cast(count(*) as text) from audit where action='shield.campaign.undo_merge'`); got != "4" {
		t.Errorf("%s entries in the trail", got)
	}
	// And it is forgotten with its campaigns.
	s.clock.Add(3 * 366 * 24 * time.Hour)
	s.put(`delete from shield_case`)
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		_, err := forgetCampaigns(tx, store.Micros(tx.Now().Add(-366*24*time.Hour)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := s.one(`select (select count(*) from shield_campaign_moved)||' '||(select count(*) from shield_campaign_merge)`); got != "0 0" {
		t.Errorf("left behind: %s", got)
	}
}

func TestUndoMergePage(t *testing.T) {
	c := newConsole(t)
	for i, u := range []string{"anchorbank-pay7", "anchorbank-desk1"} {
		c.report(lure(strings.Repeat("w", i+1), "https://"+u+".example/in"))
	}
	a, _ := c.campaignOfName("anchorbank-pay7.example")
	b, _ := c.campaignOfName("anchorbank-desk1.example")
	c.post(c.anna, "/campaign/"+a+"/merge", url.Values{"from": {b}, "reason": {"one make"}})
	wantText(t, c.get(c.anna, "/campaign/"+a), "Merged into it", b, "one make", "Undo the merge", "1 case")
	if w := c.do(c.anna, "/campaign/"+b+"/undo-merge", url.Values{"reason": {""}}); w.Code != http.StatusBadRequest {
		t.Errorf("without a reason: %d", w.Code)
	}
	c.post(c.anna, "/campaign/"+b+"/undo-merge", url.Values{"reason": {"they are two"}})
	wantText(t, c.get(c.anna, "/campaign/"+b+"?done=unmerged"), "Taken out again.", "Cases 1")
}
