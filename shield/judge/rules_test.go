package judge

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"bolwerk"
)

// TestVerdictRules holds Judge to the sentences that it was written from, each by
// its own words. Where we are stricter the sentence says so.
func TestVerdictRules(t *testing.T) {
	e := func(f Family, source string, tier Tier, w Word) Evidence {
		return Evidence{Family: f, Source: source, Tier: tier, Verdict: w, Reason: source}
	}
	list := func(source string, tier Tier, w Word) Evidence { return e(FamilyList, source, tier, w) }
	for _, c := range []struct {
		sentence string
		ev       []Evidence
		want     Word
	}{
		{"inconclusive if no source of tier 1 or 2 answered", []Evidence{list("a", 3, Clean)}, Inconclusive},
		{"that is checked first: many of tier 3 change nothing", []Evidence{list("a", 3, Malicious), list("b", 3, Malicious), list("c", 3, Malicious)}, Inconclusive},
		{"no data is no answer", []Evidence{list("a", 1, NoData), list("b", 2, NoData)}, Inconclusive},
		{"a failure is no answer", []Evidence{list("a", 1, Failed)}, Inconclusive},
		{"malicious if tier 1 says so", []Evidence{list("a", 1, Malicious)}, Malicious},
		{"malicious if two of tier 2 say so", []Evidence{list("a", 2, Malicious), list("b", 2, Malicious)}, Malicious},
		{"stricter: not if both are the name", []Evidence{e(FamilyName, "a", 2, Malicious), e(FamilyName, "b", 2, Malicious)}, Suspicious},
		{"stricter: no blended share, one of tier 2 against nobody is suspicious", []Evidence{list("a", 2, Malicious)}, Suspicious},
		{"safe if tier 1 says clean and nobody flags", []Evidence{list("a", 1, Clean), list("b", 2, NoData)}, Clean},
		{"not safe if tier 2 flags", []Evidence{list("a", 1, Clean), list("b", 2, Suspicious)}, Suspicious},
		{"not safe if tier 3 says malicious", []Evidence{list("a", 1, Clean), list("b", 3, Malicious)}, Suspicious},
		{"else suspicious", []Evidence{list("a", 2, Clean), list("b", 2, Malicious)}, Suspicious},
		{"evidence of tier 3 beside an answer is suspicious at most", []Evidence{list("a", 2, Clean), list("b", 3, Malicious), list("c", 3, Malicious)}, Suspicious},
		{"stricter: tier 1 against itself is a contradiction for a person", []Evidence{list("a", 1, Clean), list("b", 1, Malicious)}, Inconclusive},
		{"a failure never counts as clean", []Evidence{list("a", 2, NoData), list("b", 1, Failed)}, Inconclusive},
	} {
		v := Judge(c.ev)
		if v.Word != c.want {
			t.Errorf("%s: got %s, want %s", c.sentence, v.Word, c.want)
		}
		// Every rule that fired adds a line, and so does every failure that decided.
		for _, x := range c.ev {
			if fired := x.Verdict == Malicious || x.Verdict == Suspicious || x.Verdict == Failed; fired && !slices.ContainsFunc(v.Reasons, func(r Reason) bool { return r.Code == x.Source }) {
				t.Errorf("%s: %s has no line of its own in %v", c.sentence, x.Source, v.Reasons)
			}
		}
	}
}

// TestLabelled is the regression set: what each of its names and mails is judged
// to be is fixed in the file, and changes only with it.
func TestLabelled(t *testing.T) {
	b, err := NewBrands(psl, append(KnownBrands(),
		Brand{Name: "Merelbank", Tokens: []string{"merelbank"}, Domains: []bolwerk.Domain{d("merelbank.example")}})...)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/labelled.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n, seen := 0, map[Word]int{}
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != 6 {
			t.Fatalf("%d columns: %s", len(c), line)
		}
		n++
		p := PlaceOf(d(c[2]), psl, platforms(t))
		m := Message{Name: c[3], Subject: c[5], Links: []Link{{Text: "", Target: p.Name}}}
		if c[4] != "" {
			m.From = d(c[4])
		}
		ev := NameEvidence(p, b)
		if c[3]+c[4]+c[5] != "" {
			ev = append(ev, MessageEvidence(m, p, b, []string{"mx.operator.example"}, psl)...)
		}
		v := Judge(ev)
		var why []string
		for _, e := range ev {
			if e.Tier <= 2 && (e.Verdict == Suspicious || e.Verdict == Malicious || e.Verdict == Clean) {
				why = append(why, e.Reason)
			}
		}
		slices.Sort(why)
		if got := strings.Join(why, ","); string(v.Word) != c[0] || got != c[1] {
			t.Errorf("%s %q %s %q: %s (%s), labelled %s (%s)", c[2], c[3], c[4], c[5], v.Word, got, c[0], c[1])
		}
		seen[v.Word]++
	}
	if n < 60 || seen[Malicious] > 0 {
		t.Errorf("%d samples, %v: a name and a mail without proof never make malicious", n, seen)
	}
}

// TestKnownBrands holds the compiled files to their rules.
func TestKnownBrands(t *testing.T) {
	list := KnownBrands(Brand{Name: "paypal", Tokens: []string{"paypal"}, Domains: []bolwerk.Domain{d("paypal.example")}})
	b, err := NewBrands(psl, list...)
	if err != nil {
		t.Fatal(err)
	}
	if b.Owner(d("www.paypal.example")) != "paypal" || b.Owner(d("paypal.com")) == "PayPal" {
		t.Error("a row of the operator's replaces the compiled one")
	}
	known, _ := NewBrands(psl, KnownBrands()...)
	for own, brand := range map[string]string{"login.microsoftonline.com": "Microsoft", "www.kbc.be": "KBC", "mijn.ing.nl": "ING", "track.bpost.be": "bpost", "www.kpn.com": "KPN"} {
		if got := known.Owner(d(own)); got != brand {
			t.Errorf("%s is %q's, want %s", own, got, brand)
		}
	}
	// A stranger's page on a brand's own platform is not the brand's.
	pf := platforms(t)
	for _, page := range []string{"docs.google.com", "sites.google.com", "storage.googleapis.com", "forms.office.com", "onedrive.live.com"} {
		for _, e := range NameEvidence(PlaceOf(d(page), psl, pf), known) {
			if e.Verdict == Clean {
				t.Errorf("%s is clean: %s", page, e.Detail)
			}
		}
	}
	seen := map[string]bool{}
	for _, x := range coreBrands() {
		if seen[strings.ToLower(x.Name)] {
			t.Errorf("%s is there twice", x.Name)
		}
		seen[strings.ToLower(x.Name)] = true
		if len(x.Domains) == 0 || len(x.Display) == 0 || x.Display[0] == "" {
			t.Errorf("%s: domains %v, names %v", x.Name, x.Domains, x.Display)
		}
	}
	for line := range strings.Lines(pressureText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && strings.Count(line, "*") > 1 {
			t.Errorf("%q has more than one gap", line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) && line[0] != '#' {
			t.Errorf("%q has accents: phrases are compared without", line)
		}
	}
}

func FuzzMessage(f *testing.F) {
	b, err := NewBrands(psl, KnownBrands()...)
	if err != nil {
		f.Fatal(err)
	}
	pf := platforms(f)
	f.Add("Example Bank", "Uw rekening is geblokkeerd", "klik hier binnen 24 uur", "shop.example", "evil.example")
	f.Add("a@b.example", "\u200bx\u200b\u00ad", "account \u0301 * suspended", "gmail.com", "bit.ly")
	f.Fuzz(func(t *testing.T, name, subject, text, from, link string) {
		to, err := bolwerk.ParseDomain(link)
		if err != nil {
			return
		}
		sender, _ := bolwerk.ParseDomain(from)
		m := Message{From: sender, Name: name, Subject: subject, Text: text, Head: true, Local: name, ID: subject, Return: to, Signed: []bolwerk.Domain{to}, Links: []Link{{Text: text, Target: to}}}
		p := PlaceOf(to, psl, pf)
		ev := append(NameEvidence(p, b), MessageEvidence(m, p, b, nil, psl)...)
		if v := Judge(ev); v.Word == Malicious {
			t.Fatalf("words and a name alone made %s malicious: %v", to, v.Reasons)
		}
	})
}

// TestDerived: where a page leads to is evidence of tier 2 that only raises, to
// suspicious at most; nothing that it says clears anybody.
func TestDerived(t *testing.T) {
	leads := Evidence{Family: FamilyContent, Source: "landing", Tier: 2, Verdict: Suspicious, Reason: "leads_to"}
	own := Evidence{Family: FamilyName, Source: "brands", Tier: 1, Verdict: Clean, Reason: "own_name"}
	listed := Evidence{Family: FamilyList, Source: "feed", Tier: 1, Verdict: Malicious, Reason: "listed"}
	kit := Evidence{Family: FamilyKit, Source: "iok", Tier: 2, Verdict: Malicious, Reason: "kit"}
	for _, c := range []struct {
		of   []Evidence
		want Word
	}{{nil, Suspicious}, {[]Evidence{own}, Suspicious}, {[]Evidence{kit}, Suspicious}, {[]Evidence{listed}, Malicious}} {
		if v := Judge(append(slices.Clone(c.of), leads)); v.Word != c.want {
			t.Errorf("with %v it is %s, want %s", c.of, v.Word, c.want)
		}
	}
}

// TestRulesets: the rules of before judge by their own name, to the same word and
// reasons.
func TestRulesets(t *testing.T) {
	ev := NameEvidence(place(t, "paypal-verify-account.top"), mustKnown(t))
	now := Judge(ev)
	for _, version := range []string{"2026.1", "2026.2"} {
		was, known := JudgeBy(version, ev)
		if !known || was.Ruleset != version || was.Word != now.Word || !slices.Equal(was.Reasons, now.Reasons) {
			t.Errorf("%v: %+v, now %+v", known, was, now)
		}
	}
	if _, known := JudgeBy("1999.1", ev); known {
		t.Error("rules that never were are known")
	}
}

func mustKnown(t *testing.T) *Brands {
	t.Helper()
	b, err := NewBrands(psl, KnownBrands()...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
