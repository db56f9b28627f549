package shield

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// A look-alike on a host that strangers share is shown by its page; what names the
// reporter in its address stays with us.
func TestABrandOwnerSeesNoReporterInAnAddress(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://pages.example/anchorbank-login/r1@home.example?mail=r1@home.example&t=cjFAaG9tZS5leGFtcGxl"))
	c.owner("bea", "Anchor Bank")
	bea := c.session("bea")
	list := c.get(bea, "/brand/lookalikes?format=csv")
	if !strings.Contains(list, "pages.example/anchorbank-login") {
		t.Fatalf("it is not there: %s", list)
	}
	ref := strings.Split(strings.Split(list, "\n")[1], ",")[0]
	for _, page := range []string{list, c.get(bea, "/brand"), c.get(bea, "/brand/lookalikes"), c.get(bea, "/brand/case/"+ref)} {
		for _, secret := range []string{"home.example", "home%2Eexample", "r1@", "r1%40", "cjFAaG9tZS5leGFtcGxl"} {
			if strings.Contains(page, secret) {
				t.Errorf("%q is on the page: %s", secret, text(page))
			}
		}
	}
}

// Two brands give one name: neither learns of the other's, and it is nobody's until
// a person has found out whose it is.
func TestTwoBrandsGiveOneDomain(t *testing.T) {
	s := newShield(t)
	bea, inga, anna := s.owner("bea", "Anchor Bank"), s.owner("inga", "Rabobank"), Decider(s.person("anna", account.Analyst))
	one, err := s.GiveDomain(t.Context(), bea, "Anchor Bank", "savings-port.example", "ours")
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.GiveDomain(t.Context(), inga, "Rabobank", "savings-port.example", "ours")
	if err != nil {
		t.Fatalf("it told one brand of the other: %v", err)
	}
	if _, err := s.AdoptDomain(t.Context(), anna, one.ID, "called them back"); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "Rabobank") {
		t.Errorf("got %v", err)
	}
	if err := s.RefuseDomain(t.Context(), anna, two.ID, "not in the register"); err != nil {
		t.Fatal(err)
	}
	if out, err := s.AdoptDomain(t.Context(), anna, one.ID, "called them back"); err != nil || out.State != "adopted" {
		t.Fatalf("got %s %v", out.State, err)
	}
	if _, err := s.GiveDomain(t.Context(), inga, "Rabobank", "savings-port.example", "ours"); !errors.Is(err, bolwerk.ErrConflict) || strings.Contains(err.Error(), "Anchor") {
		t.Errorf("got %v", err)
	}
}

// Whoever loses the brand or the account loses the sight of it at once, also in a
// session that goes on; and everything that was done for the brand stays in the
// audit trail under that person.
func TestABrandOwnerWhoLeaves(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	who := c.owner("bea", "Anchor Bank")
	bea, ref := c.session("bea"), c.caseOf("anchorbank-login.example")
	c.post(bea, "/brand/case/"+ref, url.Values{"says": {"imitates"}})
	d, err := c.GiveDomain(t.Context(), who, "Anchor Bank", "anchorbank-cards.example", "our card service")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.TakeBackDomain(t.Context(), who, d.ID, "not ours after all"); err != nil {
		t.Fatal(err)
	}
	if err := c.accounts.SetBrands(t.Context(), bolwerk.Socket(), "bea", []string{"Rabobank"}, "moved"); err != nil {
		t.Fatal(err)
	}
	if w := c.do(bea, "/brand/case/"+ref, nil); w.Code != http.StatusNotFound {
		t.Errorf("the brand is taken away: got %d", w.Code)
	}
	if w := c.do(bea, "/brand/case/"+ref, url.Values{"says": {"ours"}, "reason": {"still there"}}); w.Code != http.StatusNotFound {
		t.Errorf("an answer without the brand: got %d", w.Code)
	}
	if err := c.accounts.Disable(t.Context(), bolwerk.Socket(), "bea", "left"); err != nil {
		t.Fatal(err)
	}
	if w := c.do(bea, "/brand", nil); w.Code == http.StatusOK {
		t.Error("a disabled account looks on")
	}
	done := map[string]bool{}
	c.read(func(tx *store.Tx) error {
		all, err := audit.List(tx, "", 200)
		for _, e := range all {
			if e.Actor == who.Actor() {
				done[e.Action] = true
			}
		}
		return err
	})
	for _, action := range []string{"shield.owner.answer", "shield.domain.give", "shield.domain.end"} {
		if !done[action] {
			t.Errorf("%s is not in the audit trail: %v", action, done)
		}
	}
}

// Whatever the brand says, as often as it says it: nothing is published, and the
// rule that decides by itself finds nothing that it may decide on.
func TestABrandOwnersWordBlocksNothing(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	bea, other := s.owner("bea", "Anchor Bank"), s.owner("ben", "Anchor Bank")
	ref := s.caseOf("anchorbank-login.example")
	count := func() (n int64) {
		s.read(func(tx *store.Tx) error { return tx.Row(`select count(*) from shield_block`).Scan(&n) })
		return n
	}
	for range 5 {
		s.clock.Add(time.Minute)
		s.says(bea, ref, judge.Imitates, "")
		s.says(other, ref, judge.Imitates, "")
	}
	if n := count(); n != 0 {
		t.Errorf("%d blocks", n)
	}
	if v := s.view("anchorbank-login.example"); v.Proposal != nil || !v.State.Open() {
		t.Errorf("got %s %+v", v.State, v.Proposal)
	}
	if said := s.evidence("anchorbank-login.example", judge.FamilyOwner); len(said) != 1 {
		t.Errorf("two people of one brand are one source, not %d", len(said))
	}
	// Nor does it free one.
	out, err := s.Confirm(t.Context(), Decider(s.person("anna", account.Analyst)), Confirm{Case: ref, Scope: bolwerk.ScopeHost, Reason: "asks for the card"})
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Add(time.Minute)
	s.says(bea, ref, judge.Ours, "our own page, really")
	if b := s.blockOf("anchorbank-login.example"); b.Ref != out.Block.Ref || b.State != InForce {
		t.Errorf("the brand freed it: %s", b.State)
	}
}
