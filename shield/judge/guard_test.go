package judge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/lists"
)

func person(id string, roles ...Role) Person {
	return Person{ID: id, Roles: roles, Session: true, AccountSince: now.AddDate(0, -6, 0), RoleSince: now.AddDate(0, -6, 0)}
}

// calm is a proposal and a context to which no guard objects: one analyst, one
// host, thirteen days, every list loaded.
func calm(t testing.TB) (Proposal, Context) {
	return Proposal{Name: d("login.evil.example"), Scope: bolwerk.ScopeHost, Until: now.AddDate(0, 0, 13), Class: "phishing"},
		Context{
			Now: now, Limits: DefaultLimits(), Suffixes: psl, Platforms: platforms(t),
			Never:     NewNeverBlock(NeverRow{Name: d("operator.example"), Below: true}),
			Popular:   lists.Popularity{list(t, lists.Popular, 10_000, "top.example", "www.top2.example"), list(t, lists.Popular, 100_000, "middle.example"), list(t, lists.Popular, 1_000_000, "rare.example")},
			KnownGood: []*lists.Set{list(t, lists.KnownGood, 0, "good.example"), list(t, lists.KnownGood, 0, "good.too.example")},
			AgeKnown:  true,
			First:     person("anna", Analyst),
			Reporters: []string{"rik"},
		}
}

// approve lets somebody approve the proposal as it is.
func approve(p *Proposal, c *Context, by Person) { c.Second = &Approval{by, p.Digest()} }

func TestCheck_calm(t *testing.T) {
	p, c := calm(t)
	if got := Check(p, c); len(got) > 0 {
		t.Fatalf("one analyst, one host: %+v", got)
	}
	p.Scope, p.Name = bolwerk.ScopeRegistrable, d("evil.example")
	approve(&p, &c, person("olga", DutyOfficer))
	if got := Check(p, c); len(got) > 0 {
		t.Fatalf("a registrable domain by an analyst and a duty officer: %+v", got)
	}
	c.First, c.Second.By = c.Second.By, c.First
	if got := Check(p, c); len(got) > 0 {
		t.Fatalf("the other way round: %+v", got)
	}
	if err := Refusal(nil); err != nil {
		t.Fatal(err)
	}
}

// ablation has for each rule a case that only it refuses: with every rule on it
// is the one objection, and with only that rule off there is none.
var ablation = []struct {
	rule   string
	effect Effect
	change func(p *Proposal, c *Context)
}{
	{"scope", Refuse, func(p *Proposal, c *Context) { p.Scope = bolwerk.ScopeURLOnly }},
	{"platform", Refuse, func(p *Proposal, c *Context) { p.Name = d("docs.example") }},
	{"length", Refuse, func(p *Proposal, c *Context) {
		p.Name = d(strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example")
	}},
	{"suffix", Refuse, func(p *Proposal, c *Context) { p.Name = d("co.za") }},
	{"never_block", Refuse, func(p *Proposal, c *Context) { p.Name = d("www.operator.example") }},
	{"known_good", Refuse, func(p *Proposal, c *Context) { p.Name = d("good.example") }},
	{"known_good", Refuse, func(p *Proposal, c *Context) { p.Name = d("good.too.example") }}, // of the second list
	{"popular_wide", Refuse, func(p *Proposal, c *Context) {
		p.Name, p.Scope = d("top2.example"), bolwerk.ScopeRegistrable
		approve(p, c, person("olga", DutyOfficer))
	}},
	{"popular", NeedsTwoPeople, func(p *Proposal, c *Context) { p.Name = d("login.middle.example") }},
	{"unknown_age", NeedsTwoPeople, func(p *Proposal, c *Context) {
		p.Name, p.Scope, c.AgeKnown = d("evil.example"), bolwerk.ScopeRegistrable, false
	}},
	// A subtree of the registrable domain is all of it, whatever it is called.
	{"wide", NeedsTwoPeople, func(p *Proposal, c *Context) { p.Name, p.Scope = d("evil.example"), bolwerk.ScopeSubtree }},
	{"past", Refuse, func(p *Proposal, c *Context) { p.Until = now }},
	{"longest", Refuse, func(p *Proposal, c *Context) { p.Until = now.AddDate(0, 0, 15) }},
	{"compromised", Refuse, func(p *Proposal, c *Context) { p.Compromised, p.Until = true, now.Add(25*time.Hour) }},
	{"cap", Refuse, func(p *Proposal, c *Context) { c.Since = now.AddDate(0, 0, -170) }},
	{"exempt", Refuse, func(p *Proposal, c *Context) {
		c.Exemptions = []Exemption{{Name: d("evil.example"), Scope: bolwerk.ScopeRegistrable, Reason: "appeal upheld"}}
	}},
	{"first_role", Refuse, func(p *Proposal, c *Context) { c.First = person("ad", Admin, Viewer) }},
	{"second_role", Refuse, func(p *Proposal, c *Context) {
		p.Name, p.Scope, c.First = d("evil.example"), bolwerk.ScopeRegistrable, person("olga", DutyOfficer)
		approve(p, c, person("ad", Admin))
	}},
	{"same_person", NeedsTwoPeople, func(p *Proposal, c *Context) {
		p.Name, p.Scope, c.First = d("evil.example"), bolwerk.ScopeRegistrable, person("olga", DutyOfficer)
		approve(p, c, c.First)
	}},
	{"reporter", NeedsTwoPeople, func(p *Proposal, c *Context) {
		p.Name, p.Scope = d("evil.example"), bolwerk.ScopeRegistrable
		approve(p, c, person("rik", DutyOfficer))
	}},
	{"duty_officer", NeedsDutyOfficer, func(p *Proposal, c *Context) {
		p.Name = d("top.example")
		approve(p, c, person("bert", Analyst))
	}},
	{"session", Refuse, func(p *Proposal, c *Context) {
		p.Name, p.Scope = d("evil.example"), bolwerk.ScopeRegistrable
		by := person("olga", DutyOfficer)
		by.Session = false
		approve(p, c, by)
	}},
	{"young_account", Refuse, func(p *Proposal, c *Context) {
		p.Name, p.Scope = d("evil.example"), bolwerk.ScopeRegistrable
		by := person("olga", DutyOfficer)
		by.RoleSince = now.Add(-23 * time.Hour)
		approve(p, c, by)
	}},
	{"digest", NeedsTwoPeople, func(p *Proposal, c *Context) {
		p.Name, p.Scope = d("evil.example"), bolwerk.ScopeRegistrable
		approve(p, c, person("olga", DutyOfficer))
		p.Until = p.Until.Add(-time.Hour)
	}},
	{"local", NeedsTwoPeople, func(p *Proposal, c *Context) { c.Asked.Busy = 7 }},
	{"collateral", NeedsTwoPeople, func(p *Proposal, c *Context) { c.Asked.Others = 21 }},
	{"old", NeedsTwoPeople, func(p *Proposal, c *Context) { c.Age = 400 * 24 * time.Hour }},
	{"auto_verdict", Refuse, func(p *Proposal, c *Context) { machine(p, c).Verdict = Suspicious }},
	{"auto_families", Refuse, func(p *Proposal, c *Context) { machine(p, c); c.Evidence = c.Evidence[:1] }},
	{"auto_basis", Refuse, func(p *Proposal, c *Context) {
		machine(p, c)
		c.Evidence[0] = Evidence{Family: FamilyMessage, Source: "dmarc", Tier: 2, Verdict: Malicious}
	}},
	{"auto_popular", Refuse, func(p *Proposal, c *Context) { machine(p, c); p.Name = d("login.rare.example") }},
	{"auto_old", Refuse, func(p *Proposal, c *Context) {
		machine(p, c)
		c.Evidence[0] = Evidence{Family: FamilyList, Source: "cert", Tier: 1, Verdict: Malicious}
		c.Age, p.Until = 400*24*time.Hour, now.Add(24*time.Hour)
	}},
	{"auto_flood", Refuse, func(p *Proposal, c *Context) { machine(p, c).Flooded = true }},
	{"brake_source", Refuse, func(p *Proposal, c *Context) { machine(p, c).Rate = Rate{Source: 100, Total: 100} }},
	{"brake_total", Refuse, func(p *Proposal, c *Context) { machine(p, c).Rate = Rate{Source: 1, Total: 300} }},
	{"auto_known_good", Refuse, func(p *Proposal, c *Context) { machine(p, c).KnownGood = 999 }},
	{"auto_long", Refuse, func(p *Proposal, c *Context) { machine(p, c); p.Until = now.Add(73 * time.Hour) }},
}

// machine lets a rule decide instead of a person; no guard objects to it.
func machine(p *Proposal, c *Context) *Machine {
	c.Evidence = []Evidence{
		{Family: FamilyContent, Source: "page", Tier: 2, Verdict: Malicious, Reason: "asks_password"},
		{Family: FamilyName, Source: "brands", Tier: 2, Verdict: Suspicious, Reason: "combosquat"},
	}
	c.Machine = &Machine{Verdict: Malicious, KnownGood: 1000}
	c.First, p.Until = Person{}, now.Add(72*time.Hour)
	return c.Machine
}

func TestCheck_ablation(t *testing.T) {
	have := map[string]bool{}
	for _, a := range ablation {
		have[a.rule] = true
		t.Run(a.rule, func(t *testing.T) {
			p, c := calm(t)
			a.change(&p, &c)
			got := Check(p, c)
			if len(got) != 1 || got[0].Rule != a.rule || got[0].Effect != a.effect {
				t.Fatalf("got %+v, want only %s: %s", got, a.rule, a.effect)
			}
			if got[0].Sentence == "" || got[0].Hint == "" {
				t.Errorf("an objection has a sentence and a hint: %+v", got[0])
			}
			if err := Refusal(got); !errors.Is(err, bolwerk.ErrForbidden) || !strings.Contains(err.Error(), a.rule) {
				t.Errorf("as an error: %v", err)
			}
			c.off = map[string]bool{a.rule: true}
			if got := Check(p, c); len(got) > 0 {
				t.Errorf("with only %s off: %+v, want nothing", a.rule, got)
			}
		})
	}
	var all []string
	for _, r := range slices.Concat(technicalRules, decisionRules, machineRules) {
		all = append(all, r.name)
	}
	for _, r := range approvalRules {
		all = append(all, r.name)
	}
	for _, name := range append(all, "digest") {
		if !have[name] {
			t.Errorf("rule %s has no case", name)
		}
	}
}

func TestCheck_orders(t *testing.T) {
	technical := []string{"scope", "platform", "length", "suffix", "never_block", "known_good"}
	for _, a := range ablation {
		p, c := calm(t)
		a.change(&p, &c)
		p.Order = "court.example"
		if got, want := len(Check(p, c)) > 0, slices.Contains(technical, a.rule); got != want {
			t.Errorf("an order against %s: refused %v, want %v: only the technical rails apply", a.rule, got, want)
		}
	}
	p, c := calm(t)
	p.Order, c.First, p.Until = "court.example", Person{}, now.AddDate(2, 0, 0)
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("an order needs nobody of ours: %+v", got)
	}
}

// TestCheck_unloaded: a list that is not there refuses nothing; `check` warns.
func TestCheck_unloaded(t *testing.T) {
	p, c := calm(t)
	c.Popular, c.KnownGood, c.Never = nil, nil, nil
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("without lists: %+v", got)
	}
}

func TestCheck_popularity(t *testing.T) {
	for _, c := range []struct {
		name  string
		scope bolwerk.Scope
		want  string
	}{
		{"rare.example", bolwerk.ScopeHost, ""},
		{"middle.example", bolwerk.ScopeHost, "popular"},
		{"top.example", bolwerk.ScopeHost, "popular"},
		{"top2.example", bolwerk.ScopeHost, "popular"}, // its www is taken too
		{"mail.top2.example", bolwerk.ScopeHost, ""},   // only www.top2.example is listed
		{"mail.top.example", bolwerk.ScopeHost, "popular"},
		{"x.mail.top.example", bolwerk.ScopeSubtree, "popular"},
		{"top.example", bolwerk.ScopeSubtree, "popular_wide popular wide"},
	} {
		p, ctx := calm(t)
		p.Name, p.Scope = d(c.name), c.scope
		var got []string
		for _, o := range Check(p, ctx) {
			got = append(got, o.Rule)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s %s: %q, want %q", c.scope, c.name, s, c.want)
		}
	}
}

// TestCheck_split: with a loaded suffix list it is known that strangers have
// names below somebody's domain, and all of it is never taken.
func TestCheck_split(t *testing.T) {
	own, err := suffix.Load(strings.NewReader("// ===BEGIN ICANN DOMAINS===\ncom\nuk\nco.uk\nio\n// ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\ngithub.io\n*.apps.hoster.example\n// ===END PRIVATE DOMAINS===\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, c := calm(t)
	c.Suffixes = own
	if s := DecideScope(worst(PlaceOf(d("x.hoster.example"), own, c.Platforms)), nil); s.Scope != bolwerk.ScopeHost || s.Reasons[0].Code != "split" {
		t.Errorf("x.hoster.example: got %+v, want its host", s)
	}
	p.Name, p.Scope = d("hoster.example"), bolwerk.ScopeRegistrable
	approve(&p, &c, person("olga", DutyOfficer))
	if got := Check(p, c); len(got) != 1 || got[0].Rule != "suffix" || got[0].Effect != Refuse {
		t.Errorf("all of hoster.example: got %+v, want it refused", got)
	}
	p.Scope, c.Second = bolwerk.ScopeHost, nil
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("its host alone: got %+v", got)
	}
}

func TestCheck_exemptionStandsUntilItIsEnded(t *testing.T) {
	p, c := calm(t)
	c.Exemptions = []Exemption{{Name: d("other.example"), Scope: bolwerk.ScopeSubtree, Reason: "x"}}
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("an exemption of another name: %+v", got)
	}
	// The clock is in doubt: nothing ends, and the zones still let the name pass.
	c.Exemptions = append(c.Exemptions, Exemption{Name: p.Name, Scope: bolwerk.ScopeHost, Until: now, Reason: "x"})
	if got := Check(p, c); len(got) != 1 || got[0].Guard != 16 {
		t.Errorf("an exemption past its end that is in force: %+v", got)
	}
}

func TestProposal_Digest(t *testing.T) {
	p, _ := calm(t)
	seen := map[string]bool{p.Digest(): true}
	for _, change := range []func(p *Proposal){
		func(p *Proposal) { p.Name = d("evil.example") }, func(p *Proposal) { p.Scope = bolwerk.ScopeSubtree },
		func(p *Proposal) { p.Until = p.Until.Add(time.Microsecond) }, func(p *Proposal) { p.Class = "malware" },
		func(p *Proposal) { p.Brand = "x" }, func(p *Proposal) { p.Order = "x" }, func(p *Proposal) { p.Compromised = true },
		func(p *Proposal) { p.Reasons = []Reason{{"a", "b"}} }, func(p *Proposal) { p.Versions = map[string]string{"a": "b"} },
	} {
		q := p
		change(&q)
		if seen[q.Digest()] {
			t.Errorf("%+v has a digest that another proposal has", q)
		}
		seen[q.Digest()] = true
	}
	q := p
	q.Until = q.Until.In(time.FixedZone("CET", 3600))
	if q.Digest() != p.Digest() {
		t.Error("the same moment in another zone has another digest")
	}
}

func TestPropose(t *testing.T) {
	s := ScopeDecision{Scope: bolwerk.ScopeHost, Name: d("evil.example"), Reasons: []Reason{{"host", "x"}}, For: ForPerson}
	p, ok := Propose(Verdict{Word: Malicious, Brand: "KPX", Reasons: []Reason{{"listed", "y"}}}, s, "phishing", false, now)
	if !ok || p.Until != now.Add(ForPerson) || len(p.Reasons) != 2 || p.Brand != "KPX" {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, w := range []Word{Clean, Inconclusive} {
		if _, ok := Propose(Verdict{Word: w}, s, "phishing", false, now); ok {
			t.Errorf("%s proposes a block", w)
		}
	}
	for _, none := range []ScopeDecision{{Refused: true}, {Scope: bolwerk.ScopeURLOnly, Name: d("docs.example")}} {
		if _, ok := Propose(Verdict{Word: Malicious}, none, "phishing", false, now); ok {
			t.Errorf("%+v is no DNS measure", none)
		}
	}
}

func TestCanary(t *testing.T) {
	p, c := calm(t)
	bad := p
	bad.Name, bad.Scope = d("good.example"), bolwerk.ScopeHost
	if taken, by, ok := Canary(slices.Values([]Proposal{p, bad}), c.KnownGood[0], c); !ok || taken != d("good.example") || by.Name != bad.Name {
		t.Errorf("got %s by %s, %v", taken, by.Name, ok)
	}
	if _, _, ok := Canary(slices.Values([]Proposal{p}), c.KnownGood[0], c); ok {
		t.Error("a block that takes no known-good name")
	}
}

// TestGuardsPage holds docs/understand/guards.md to the code: every rule is on
// the page and every rule on the page is in the code.
func TestGuardsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/understand/guards.md")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]int{"exempt_scope": 16, "exempt_past": 16, "exempt_tenants": 16, "exempt_long": 16, "digest": 7,
		"serial": 9, "adds": 9, "removes": 9, "publication_known_good": 10, "removal": 15}
	for _, r := range slices.Concat(technicalRules, decisionRules, machineRules) {
		code[r.name] = r.guard
	}
	for _, r := range approvalRules {
		code[r.name] = r.guard
	}
	for name, guard := range code {
		if !strings.Contains(string(text), fmt.Sprintf("| %d | `%s` |", guard, name)) {
			t.Errorf("the page lacks | %d | `%s` |", guard, name)
		}
	}
	rules, _, _ := strings.Cut(string(text), "## Every rule and its test")
	for line := range strings.Lines(rules) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.Contains(cells[2], "`") {
			if name := strings.Trim(cells[2], " `"); code[name] == 0 && name != "scope" && name != "platform" && name != "length" {
				t.Errorf("the page has a rule %q that the code has not", name)
			}
		}
	}
}

// TestGuardsPage_every_rule_has_its_test holds the table of docs/understand/guards.md
// to the tests that there are: every rule of 1 to 23 has one, each that is named
// exists, and each that exists is named.
func TestGuardsPage_every_rule_has_its_test(t *testing.T) {
	text, err := os.ReadFile("../../docs/understand/guards.md")
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	fn := regexp.MustCompile(`(?m)^func (TestGuard\d\d_\w+)\(`)
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range fn.FindAllStringSubmatch(string(src), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Every rule and its test")
	named := map[string]bool{}
	of := map[int]int{}
	line := regexp.MustCompile(`(?m)^\| (\d+) .*$`)
	for _, m := range line.FindAllStringSubmatch(table, -1) {
		n, _ := strconv.Atoi(m[1])
		for _, name := range regexp.MustCompile("`(TestGuard\\d\\d_\\w+)`").FindAllStringSubmatch(m[0], -1) {
			named[name[1]] = true
			if !strings.HasPrefix(name[1], fmt.Sprintf("TestGuard%02d_", n)) || !exist[name[1]] {
				t.Errorf("rule %d names %s, which is no test of it", n, name[1])
			}
			of[n]++
		}
	}
	for n := 1; n <= 23; n++ {
		if of[n] == 0 {
			t.Errorf("rule %d has no test", n)
		}
	}
	for name := range exist {
		if !named[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
}
