package shield

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// owner makes somebody of some brands.
func (s *testShield) owner(login string, brands ...string) account.Person {
	s.t.Helper()
	s.accounts.OfBrands(s.cfg.BrandNames())
	s.person(login, account.BrandOwner)
	if err := s.accounts.SetBrands(s.t.Context(), bolwerk.Socket(), login, brands, "works there"); err != nil {
		s.t.Fatal(err)
	}
	p, err := s.accounts.ByLogin(s.t.Context(), login)
	if err != nil {
		s.t.Fatal(err)
	}
	p.By = account.BySession
	return p
}

// near puts a name of a new certificate in the list.
func (s *testShield) near(name, brand string) {
	s.put(`insert into shield_certificate(name,brand,kind,issuer,log,nth,at,looked) values($1,$2,'combosquat','An issuer','log',1,$3,0)`, name, brand, store.Micros(s.clock.Now()))
}

func (s *testShield) says(who account.Person, ref string, says judge.Says, reason string) {
	s.t.Helper()
	if _, err := s.Answer(s.t.Context(), who, OwnerAnswer{Case: ref, Says: says, Reason: reason}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testShield) view(name string) CaseView {
	s.t.Helper()
	v, err := s.Case(s.t.Context(), s.caseOf(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// Somebody of a bank sees the names that look like the bank, and neither a
// reporter, nor our own people, nor another brand.
func TestABrandOwnerSeesItsOwnBrandAndNothingElse(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	c.report(strings.ReplaceAll(strings.ReplaceAll(lure("Uw pas", "https://rabobank-inloggen.example/x"), "Anchor Bank", "Rabobank"), "anchorbank.example", "rabobank.nl"))
	ours, theirs := c.caseOf("anchorbank-login.example"), c.caseOf("rabobank-inloggen.example")
	c.near("anchorbank-help.example", "Anchor Bank")
	c.near("rabobank-hulp.example", "Rabobank")
	if b := c.view("rabobank-inloggen.example").Brand; b != "Rabobank" {
		t.Fatalf("the other case is of %q", b)
	}
	c.owner("bea", "Anchor Bank")
	bea := c.session("bea")
	for _, path := range []string{"/brand", "/brand/lookalikes", "/brand/lookalikes?format=csv", "/brand?brand=Rabobank", "/brand/lookalikes?brand=Rabobank&format=csv", "/brand/case/" + ours, "/brand/certificate/anchorbank-help.example"} {
		page := c.get(bea, path)
		for _, secret := range []string{"rabobank", "Rabobank", "home.example", "Reporter 1", "Your card is stopped", "mailer.example", "anna", "/queue", "/case/" + ours + "\"><span", `action="/search"`} {
			if strings.Contains(path, secret) {
				continue // the address is in the page's own links
			}
			if strings.Contains(strings.ReplaceAll(page, "/brand/case/", ""), secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
	if page := c.get(bea, "/brand"); !strings.Contains(text(page), "anchorbank-login.example") || !strings.Contains(text(page), "anchorbank-help.example") {
		t.Errorf("its own names are not there: %s", text(page))
	}
	for _, path := range []string{"/brand/case/" + theirs, "/brand/case/C-2026-999999", "/brand/certificate/rabobank-hulp.example", "/brand/certificate/nothing.example", "/brand/picture/none"} {
		if w := c.do(bea, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: got %d, want 404", path, w.Code)
		}
	}
	for _, path := range []string{"/brand/case/" + theirs, "/brand/certificate/rabobank-hulp.example", "/brand/domains/none/end"} {
		if w := c.do(bea, path, url.Values{"says": {"imitates"}, "why": {"it is not ours"}}); w.Code != http.StatusNotFound {
			t.Errorf("POST %s: got %d, want 404", path, w.Code)
		}
	}
	if w := c.do(bea, "/brand/domains", url.Values{"brand": {"Rabobank"}, "name": {"rabo-extra.example"}, "why": {"it is ours"}}); w.Code != http.StatusNotFound {
		t.Errorf("a domain of another brand: got %d", w.Code)
	}
	// Without a brand there is nothing to see.
	c.person("new", account.BrandOwner)
	if page := c.get(c.session("new"), "/brand"); strings.Contains(page, "anchorbank") || !strings.Contains(text(page), "No brand has been approved") {
		t.Errorf("nobody's: %s", text(page))
	}
}

// Every page that is not for brand owners is shut for them, and theirs for others.
func TestABrandOwnerPassesItsOwnDoorsOnly(t *testing.T) {
	c := newConsole(t)
	c.owner("bea", "Anchor Bank")
	bea := c.session("bea")
	source, err := os.ReadFile("pages.go")
	if err != nil {
		t.Fatal(err)
	}
	fill := regexp.MustCompile(`\{[^}]*\}`)
	found := 0
	for _, m := range regexp.MustCompile(`\b(look|decide|add|owner)\("((?:GET|POST) )?(/[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		found++
		path := fill.ReplaceAllString(strings.ReplaceAll(m[3], "{$}", ""), "none")
		var form url.Values
		if m[1] == "decide" || m[2] == "POST " {
			form = url.Values{"x": {"y"}}
		}
		w, other := c.do(bea, path, form), c.do(c.dora, path, form)
		switch {
		case path == "/":
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != OwnerHome {
				t.Errorf("the first page: got %d %s", w.Code, w.Header().Get("Location"))
			}
		case m[1] == "owner":
			if w.Code == http.StatusForbidden || other.Code != http.StatusForbidden {
				t.Errorf("%s: got %d, for a duty officer %d", path, w.Code, other.Code)
			}
		case w.Code != http.StatusForbidden:
			t.Errorf("%s %s: got %d, want 403", m[2], path, w.Code)
		}
	}
	if found < 40 {
		t.Errorf("only %d routes found", found)
	}
}

// A confirmation is evidence with a tier and a name, raises the case in the queue,
// and decides nothing.
func TestABrandOwnerConfirms(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	bea := s.owner("bea", "Anchor Bank")
	before := s.view("anchorbank-login.example")
	s.clock.Add(time.Minute)
	s.says(bea, before.Ref, judge.Imitates, "")
	v := s.view("anchorbank-login.example")
	said := s.evidence("anchorbank-login.example", judge.FamilyOwner)
	if len(said) != 1 || said[0].Tier != 2 || said[0].Verdict != judge.Suspicious || said[0].Source != "Anchor Bank" {
		t.Errorf("evidence: %+v", said)
	}
	if v.Priority != before.Priority+50 || !strings.Contains(v.WhyFirst, ownerSays) {
		t.Errorf("priority %d (%s), before %d", v.Priority, v.WhyFirst, before.Priority)
	}
	if v.State != desk.Waiting || v.Verdict != before.Verdict || v.Placed != nil || v.Proposal != nil {
		t.Errorf("it decided: %s %s", v.State, v.Verdict)
	}
	if v.Replay != "same" {
		t.Errorf("replay: %s", v.Replay)
	}
	r, err := s.Replay(t.Context(), v.Ref)
	if err != nil || r.State != "same" || len(r.Changed) != 0 {
		t.Errorf("replay: %+v %v", r, err)
	}
	s.read(func(tx *store.Tx) error {
		all, err := audit.List(tx, v.Ref, 10)
		if err == nil && !slices.ContainsFunc(all, func(e audit.Entry) bool { return e.Action == "shield.owner.answer" && e.Actor == bea.Actor() }) {
			t.Errorf("audit: %+v", all)
		}
		return err
	})
	// The next report keeps it first.
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	if v := s.view("anchorbank-login.example"); !strings.Contains(v.WhyFirst, ownerSays) {
		t.Errorf("after a report: %s", v.WhyFirst)
	}
	// Another answer stands in its place, and takes the haste away.
	s.clock.Add(time.Minute)
	s.says(bea, v.Ref, judge.Unrelated, "a newspaper that writes about us")
	said = s.evidence("anchorbank-login.example", judge.FamilyOwner)
	if len(said) != 1 || said[0].Verdict != judge.Clean || said[0].Tier != 3 || said[0].Reason != "owner_unrelated" {
		t.Errorf("evidence: %+v", said)
	}
	if v := s.view("anchorbank-login.example"); strings.Contains(v.WhyFirst, ownerSays) || v.Verdict != before.Verdict || v.State != desk.Waiting {
		t.Errorf("a rejection cleared it: %s %s %s", v.WhyFirst, v.Verdict, v.State)
	}
}

// Neither of the two who approve is somebody of a brand.
func TestABrandOwnerApprovesNothing(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	bea := s.owner("bea", "Anchor Bank")
	ref := s.caseOf("anchorbank-login.example")
	s.says(bea, ref, judge.Imitates, "")
	if _, err := s.Confirm(t.Context(), Decider(bea), Confirm{Case: ref, Reason: "it imitates us"}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a brand owner confirmed: %v", err)
	}
	if _, err := s.Reject(t.Context(), Decider(bea), ref, "it is ours"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a brand owner rejected: %v", err)
	}
	anna := Decider(s.person("anna", account.Analyst))
	out, err := s.Confirm(t.Context(), anna, Confirm{Case: ref, Scope: bolwerk.ScopeRegistrable, Reason: "the bank confirms it"})
	if err != nil || out.State != "second" {
		t.Fatalf("got %s %v: an analyst and a brand owner are not two", out.State, err)
	}
	if _, err := s.Approve(t.Context(), Decider(bea), out.Proposal.ID, out.Proposal.Digest); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a brand owner approved: %v", err)
	}
	if err := bea.MayApprove(s.clock.Now()); err == nil {
		t.Error("a brand owner may approve")
	}
}

// A new name of a certificate becomes a case when its brand says so, and only then.
func TestABrandOwnerConfirmsACertificate(t *testing.T) {
	s := newShield(t)
	bea := s.owner("bea", "Anchor Bank")
	s.near("anchorbank-help.example", "Anchor Bank")
	s.near("anchorbank-fans.example", "Anchor Bank")
	answer := func(name string, says judge.Says, reason string) (string, error) {
		return s.Answer(t.Context(), bea, OwnerAnswer{Name: bolwerk.MustDomain(name), Says: says, Reason: reason})
	}
	if _, err := answer("anchorbank-fans.example", judge.Unrelated, ""); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a rejection without a reason: %v", err)
	}
	if ref, err := answer("anchorbank-fans.example", judge.Unrelated, "our customers' club"); err != nil || ref != "" {
		t.Errorf("got %q %v: nothing is to be decided about it", ref, err)
	}
	ref, err := answer("anchorbank-help.example", judge.Imitates, "")
	if err != nil || ref == "" {
		t.Fatalf("got %q %v", ref, err)
	}
	v := s.view("anchorbank-help.example")
	if v.State != desk.Waiting || v.Verdict != string(judge.Suspicious) || v.Brand != "Anchor Bank" || v.Reports != 0 || v.Replay != "same" {
		t.Errorf("got %s %s %s %d %s", v.State, v.Verdict, v.Brand, v.Reports, v.Replay)
	}
	near, _, err := s.OwnNears(t.Context(), bea, OwnFilter{})
	if err != nil || len(near) != 0 {
		t.Errorf("still waits: %v %v", near, err)
	}
	if _, err := answer("busy.example", judge.Imitates, ""); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("a name that looks like nothing: %v", err)
	}
}

// One person answers so often in an hour and not more.
func TestABrandOwnerIsBraked(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	bea, ref := s.owner("bea", "Anchor Bank"), s.caseOf("anchorbank-login.example")
	for range ownerAnswers {
		s.says(bea, ref, judge.Imitates, "")
	}
	_, err := s.Answer(t.Context(), bea, OwnerAnswer{Case: ref, Says: judge.Imitates})
	if x := web.Explain(err); x.Status != http.StatusTooManyRequests || x.After < 1 {
		t.Errorf("got %+v", x)
	}
	s.clock.Add(time.Hour + time.Second)
	s.says(bea, ref, judge.Imitates, "")
}

// A real domain counts once a person of ours has taken it over, and no longer when
// it is taken back. What was reported of it is judged anew each time.
func TestABrandsRealDomain(t *testing.T) {
	s := newShield(t)
	const mine = "anchorbank-cards.example"
	s.report(lure("Your card is stopped", "https://"+mine+"/x"))
	s.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	bea, anna := s.owner("bea", "Anchor Bank"), Decider(s.person("anna", account.Analyst))
	give := func(name string) (OwnDomain, error) {
		return s.GiveDomain(t.Context(), bea, "Anchor Bank", name, "our card service, see our imprint")
	}
	for _, name := range []string{"example", "x.shops.example", "pages.example", "anchorbank.example", "www.anchorbank.example", "not a name"} {
		if _, err := give(name); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	d, err := give(mine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := give(mine); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	if v := s.view(mine); v.Verdict != "suspicious" {
		t.Fatalf("before anybody looked: %s", v.Verdict)
	}
	if _, err := s.AdoptDomain(t.Context(), Decider(bea), d.ID, "it is ours"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the brand owner took it over: %v", err)
	}
	// Its case is open and suspicious: two people.
	out, err := s.AdoptDomain(t.Context(), anna, d.ID, "called the bank back")
	if err != nil || out.State != "second" {
		t.Fatalf("got %s %v", out.State, err)
	}
	dora := Decider(s.person("dora", account.DutyOfficer))
	if _, err := s.Approve(t.Context(), anna, out.Proposal.ID, out.Proposal.Digest); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the same person twice: %v", err)
	}
	if out, err = s.Approve(t.Context(), dora, out.Proposal.ID, out.Proposal.Digest); err != nil || out.State != "adopted" || !out.Domain.ReviewAt.Equal(s.clock.Now().Add(reviewAfter)) {
		t.Fatalf("got %+v %v", out, err)
	}
	if v := s.view(mine); v.Verdict == "suspicious" && slices.ContainsFunc(v.Evidence, func(e judge.Evidence) bool {
		return e.Family == judge.FamilyName && e.Verdict != judge.Clean && e.Verdict != judge.NoData
	}) {
		t.Errorf("after it: %s %+v", v.Verdict, v.Evidence)
	}
	if own := s.guard.rules().brands.Owner(bolwerk.MustDomain("pay." + mine)); own != "Anchor Bank" {
		t.Errorf("owner %q", own)
	}
	if _, err := s.Confirm(t.Context(), anna, Confirm{Name: bolwerk.MustDomain(mine), Reason: "x"}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("it can be blocked: %v", err)
	}
	if v := s.guard.rules().versions[givenList]; v == "" {
		t.Error("decisions do not say which domains were given")
	}
	// A look-alike stays one.
	if v := s.view("anchorbank-login.example"); v.Verdict != "suspicious" {
		t.Errorf("another name: %s", v.Verdict)
	}
	if err := s.TakeBackDomain(t.Context(), bea, d.ID, "we let it lapse"); err != nil {
		t.Fatal(err)
	}
	if own := s.guard.rules().brands.Owner(bolwerk.MustDomain(mine)); own != "" {
		t.Errorf("taken back, and still %q's", own)
	}
	if v := s.view(mine); v.Verdict != "suspicious" {
		t.Errorf("taken back: %s", v.Verdict)
	}
}

// A name that many use takes two; one that nobody knows takes one.
func TestARealDomainThatManyUseTakesTwo(t *testing.T) {
	s := newShield(t)
	bea, anna := s.owner("bea", "Anchor Bank"), Decider(s.person("anna", account.Analyst))
	for name, want := range map[string]string{"busy.example": "second", "quiet.example": "adopted"} {
		d, err := s.GiveDomain(t.Context(), bea, "Anchor Bank", name, "ours")
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.AdoptDomain(t.Context(), anna, d.ID, "called the bank back")
		if err != nil || out.State != want {
			t.Errorf("%s: got %s %v, want %s", name, out.State, err, want)
		}
		if want != "second" {
			continue
		}
		if _, err := s.Decline(t.Context(), anna, out.Proposal.ID, "not theirs"); err != nil {
			t.Fatal(err)
		}
		if err := s.RefuseDomain(t.Context(), anna, d.ID, "not theirs"); err != nil {
			t.Error(err)
		}
	}
}

// Taking over a domain of which names are blocked ends these blocks, and exactly
// those that the two have seen.
func TestARealDomainEndsItsBlocks(t *testing.T) {
	s := newShield(t)
	const mine = "anchorbank-cards.example"
	s.report(lure("Your card is stopped", "https://pay."+mine+"/x"))
	anna, dora := Decider(s.person("anna", account.Analyst)), Decider(s.person("dora", account.DutyOfficer))
	out, err := s.Confirm(t.Context(), anna, Confirm{Case: s.caseOf("pay." + mine), Scope: bolwerk.ScopeHost, Reason: "asks for the card"})
	if err != nil || out.State != "blocked" {
		t.Fatalf("got %s %v", out.State, err)
	}
	block := out.Block.Ref
	bea := s.owner("bea", "Anchor Bank")
	d, err := s.GiveDomain(t.Context(), bea, "Anchor Bank", mine, "our card service")
	if err != nil {
		t.Fatal(err)
	}
	out, err = s.AdoptDomain(t.Context(), anna, d.ID, "called the bank back")
	if err != nil || out.State != "second" {
		t.Fatalf("got %s %v: it un-blocks", out.State, err)
	}
	if b := s.blockOf("pay." + mine); b.State != InForce {
		t.Errorf("it ended before the second person: %s", b.State)
	}
	more, err := s.Confirm(t.Context(), anna, Confirm{Name: bolwerk.MustDomain("www." + mine), Scope: bolwerk.ScopeHost, Reason: "this one too"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Approve(t.Context(), dora, out.Proposal.ID, out.Proposal.Digest); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("another block came meanwhile: %v", err)
	}
	if _, err := s.Withdraw(t.Context(), anna, more.Block.Ref, ByMistake, "wrong name"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Approve(t.Context(), dora, out.Proposal.ID, out.Proposal.Digest); err != nil {
		t.Fatal(err)
	}
	if b := s.blockOf("pay." + mine); b.State != Withdrawn || b.Ref != block {
		t.Errorf("%s is %s", b.Ref, b.State)
	}
}

// The pages of both sides, by their forms.
func TestBrandOwnersByForms(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	c.near("anchorbank-help.example", "Anchor Bank")
	c.owner("bea", "Anchor Bank")
	bea, ref := c.session("bea"), c.caseOf("anchorbank-login.example")
	if w := c.do(bea, "/brand/case/"+ref, url.Values{"says": {"unrelated"}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(text(w.Body.String()), "say why in 3 to 500 letters") {
		t.Errorf("a rejection without a reason: %d %s", w.Code, text(w.Body.String()))
	}
	if page := text(c.post(bea, "/brand/case/"+ref, url.Values{"says": {"imitates"}, "reason": {"<b>they ring our customers</b>"}})); !strings.Contains(page, "your answer is with the case") || !strings.Contains(page, "anchorbank-help.example") {
		t.Errorf("afterwards: %s", page)
	}
	if page := c.get(c.anna, "/case/"+ref); !strings.Contains(page, "&lt;b&gt;they ring our customers") || !strings.Contains(text(page), "What the brand says") || !strings.Contains(text(page), "bea") {
		t.Error("the analyst does not see what was said, and by whom")
	}
	if page := text(c.get(c.anna, "/queue")); !strings.Contains(page, "the brand confirms") {
		t.Errorf("queue: %s", page)
	}
	c.post(bea, "/brand/certificate/anchorbank-help.example", url.Values{"says": {"ours"}, "reason": {"our help desk"}})
	if page := text(c.get(bea, "/brand")); !strings.Contains(page, "Nothing waits for your answer") {
		t.Errorf("still waits: %s", page)
	}
	if w := c.do(bea, "/brand/domains", url.Values{"brand": {"Anchor Bank"}, "name": {"example"}, "why": {"all of it"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a suffix: %d", w.Code)
	}
	c.post(bea, "/brand/domains", url.Values{"brand": {"Anchor Bank"}, "name": {"Anchorbank-Help.example"}, "why": {"our help desk, see the imprint"}})
	page := c.get(c.anna, "/brands")
	id := regexp.MustCompile(`action="/brands/domains/([^"]+)"`).FindStringSubmatch(page)
	if id == nil || !strings.Contains(text(page), "our help desk, see the imprint") || !strings.Contains(text(page), "they ring our customers") {
		t.Fatalf("our side: %s", text(page))
	}
	if w := c.do(c.anna, "/brands/domains/"+id[1], url.Values{"do": {"adopt"}}); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: %d", w.Code)
	}
	if page := text(c.post(c.anna, "/brands/domains/"+id[1], url.Values{"do": {"adopt"}, "reason": {"called them back"}})); !strings.Contains(page, "counts as the brand") {
		t.Errorf("taken over: %s", page)
	}
	if page := text(c.get(bea, "/brand")); !strings.Contains(page, "counts as real") || strings.Contains(page, "called them back") {
		t.Errorf("the brand's page: %s", page)
	}
	rows, err := csv.NewReader(strings.NewReader(c.get(bea, "/brand/lookalikes?format=csv"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != ref || rows[1][4] != "imitates" {
		t.Errorf("CSV: %v %v", rows, err)
	}
	for _, lang := range []string{"nl", "fr", "de"} {
		for who, paths := range map[string][]string{bea: {"/brand", "/brand/lookalikes", "/brand/case/" + ref}, c.anna: {"/brands", "/case/" + ref}} {
			for _, path := range paths {
				if w := c.do(who, path, nil, "Accept-Language", lang); w.Code != http.StatusOK {
					t.Errorf("%s in %s: %d", path, lang, w.Code)
				}
			}
		}
	}
}

// Once a block is there, the brand sees when, how fast and what for.
func TestABrandSeesWhatWasPrevented(t *testing.T) {
	c := newConsole(t)
	c.report(lure("Your card is stopped", "https://anchorbank-login.example/x"))
	c.clock.Add(20 * time.Minute)
	bea := c.owner("bea", "Anchor Bank")
	c.post(c.anna, "/case/"+c.caseOf("anchorbank-login.example")+"/confirm", url.Values{"scope": {"host"}, "reason": {"asks for the card"}})
	ref := c.blockOf("anchorbank-login.example").Ref
	n, err := c.OwnFigures(t.Context(), bea, OwnFilter{})
	if err != nil || n.InForce != 1 || n.Blocked != 1 || n.Visits != 0 || n.Half < 20*time.Minute || n.Half > 21*time.Minute {
		t.Errorf("got %+v %v", n, err)
	}
	c.hits(fmt.Sprintf(`{"boot":"b","bucket":"2026-11-23T13:20:00Z","counts":[{"block":%q,"dns_hits":90,"page_views":3,"tls_attempts":1}]}`, ref))
	if n, err = c.OwnFigures(t.Context(), bea, OwnFilter{}); err != nil || n.Visits != 0 {
		t.Errorf("four visits are told: %+v %v", n, err)
	}
	c.hits(fmt.Sprintf(`{"boot":"b","bucket":"2026-11-23T13:25:00Z","counts":[{"block":%q,"dns_hits":900,"page_views":30,"tls_attempts":12}]}`, ref))
	if n, err = c.OwnFigures(t.Context(), bea, OwnFilter{}); err != nil || n.Visits != 46 {
		t.Errorf("got %+v %v", n, err)
	}
	page := text(c.get(c.session("bea"), "/brand"))
	if strings.Contains(page, "asks for the card") || strings.Contains(page, "900") || !strings.Contains(page, "blocked") {
		t.Errorf("the brand's page: %s", page)
	}
}
