package suffix

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
)

// small is a list with one of each kind of rule.
const small = `// a comment
// ===BEGIN ICANN DOMAINS===
com
uk
co.uk
ck
*.ck
!www.ck
jp
*.kobe.jp
!city.kobe.jp
公司.cn
cn  trailing words are no part of the rule
// ===END ICANN DOMAINS===
// ===BEGIN PRIVATE DOMAINS===
github.io
*.compute.example.com
blob.example.com
// ===END PRIVATE DOMAINS===
`

func load(t testing.TB, text string) *List {
	t.Helper()
	l, err := Load(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSuffix(t *testing.T) {
	own := load(t, small)
	for _, c := range []struct {
		name, suffix string
		section      Section
		registrable  string
	}{
		{"a.b.example.com", "com", ICANN, "example.com"},
		{"com", "com", ICANN, ""},
		{"login.evil.co.uk", "co.uk", ICANN, "evil.co.uk"},
		{"co.uk", "co.uk", ICANN, ""},
		{"x.evil.github.io", "github.io", Private, "evil.github.io"},
		{"github.io", "github.io", Private, ""},
		// A wildcard takes exactly one label; an exception takes it back.
		{"a.b.ck", "b.ck", ICANN, "a.b.ck"},
		{"b.ck", "b.ck", ICANN, ""},
		{"www.ck", "ck", ICANN, "www.ck"},
		{"x.www.ck", "ck", ICANN, "www.ck"},
		{"x.city.kobe.jp", "kobe.jp", ICANN, "city.kobe.jp"},
		{"x.y.kobe.jp", "y.kobe.jp", ICANN, "x.y.kobe.jp"},
		{"kobe.jp", "jp", ICANN, "kobe.jp"},
		{"a.eu-1.compute.example.com", "eu-1.compute.example.com", Private, "a.eu-1.compute.example.com"},
		{"compute.example.com", "com", ICANN, "example.com"},
		{"x.blob.example.com", "blob.example.com", Private, "x.blob.example.com"},
		{"a.xn--55qx5d.cn", "xn--55qx5d.cn", ICANN, "a.xn--55qx5d.cn"},
		// A suffix that no list knows is not private.
		{"bank.example", "example", Unknown, "bank.example"},
		{"www.bank.example", "example", Unknown, "bank.example"},
		{"example", "example", Unknown, ""},
	} {
		d := bolwerk.MustDomain(c.name)
		s, section := own.Suffix(d)
		if s.String() != c.suffix || section != c.section {
			t.Errorf("Suffix(%s) = %s, %s; want %s, %s", c.name, s, section, c.suffix, c.section)
		}
		if r, ok := own.Registrable(d); r.String() != c.registrable || ok != (c.registrable != "") {
			t.Errorf("Registrable(%s) = %q, %v; want %q", c.name, r, ok, c.registrable)
		}
		if got, want := own.Is(d), c.registrable == ""; got != want {
			t.Errorf("Is(%s) = %v, want %v", c.name, got, want)
		}
	}
}

func TestSplits(t *testing.T) {
	own := load(t, small)
	for name, want := range map[string]bool{"example.com": true, "compute.example.com": true, "blob.example.com": false, "kobe.jp": true, "github.io": false, "other.com": false, "com": false} {
		if got := own.Splits(bolwerk.MustDomain(name)); got != want {
			t.Errorf("Splits(%s) = %v, want %v", name, got, want)
		}
	}
	if Builtin().Splits(bolwerk.MustDomain("example.com")) {
		t.Error("the compiled list cannot know")
	}
}

func TestBuiltin(t *testing.T) {
	l := Builtin()
	for _, c := range []struct {
		name, suffix string
		section      Section
	}{
		{"login.evil.co.uk", "co.uk", ICANN},
		{"x.evil.github.io", "github.io", Private},
		{"www.bank.example", "example", Unknown},
		{"b.ck", "b.ck", ICANN},
		{"www.ck", "ck", ICANN},
		// The deepest node that the library touches here belongs to a private
		// rule; the suffix is com all the same.
		{"a.b.c.amazonaws.com", "com", ICANN},
	} {
		if s, section := l.Suffix(bolwerk.MustDomain(c.name)); s.String() != c.suffix || section != c.section {
			t.Errorf("Suffix(%s) = %s, %s; want %s, %s", c.name, s, section, c.suffix, c.section)
		}
	}
	if s, section := l.Suffix(bolwerk.Domain{}); !s.IsZero() || section != Unknown {
		t.Errorf("Suffix of no name = %q, %s", s, section)
	}
	if _, ok := l.Registrable(bolwerk.Domain{}); ok || l.Is(bolwerk.Domain{}) {
		t.Error("no name has a registrable domain or is a suffix")
	}
	if !strings.Contains(l.Version(), "publicsuffix.org") {
		t.Errorf("version %q does not name the list", l.Version())
	}
}

func TestLoad_refuses(t *testing.T) {
	for _, c := range []struct{ name, from, to, says string }{
		{"cut before the private section", small[strings.Index(small, "// ===BEGIN PRIVATE"):], "", "cut"},
		{"cut inside the private section", "// ===END PRIVATE DOMAINS===\n", "", "cut"},
		{"com is gone", "com\nuk\n", "uk\n", "com is not"},
		{"co.uk is gone", "co.uk\n", "", "co.uk is not"},
		{"github.io is gone", "github.io\n", "", "github.io is not"},
		{"com by an exception only", "com\nuk\n", "!x.com\nuk\n", "com is not"},
		{"a rule for everything", "jp\n", "*\n", "not allowed"},
		{"a wildcard in the middle", "jp\n", "a.*.jp\n", "not allowed"},
		{"an exception of one label", "jp\n", "!jp\n", "no label"},
		{"a rule outside of the sections", "// a comment\n", "evil.example\n", "outside"},
		{"a section twice", "// ===BEGIN PRIVATE", "// ===BEGIN ICANN", "begins"},
		{"a long line", "jp\n", strings.Repeat("j", maxLine) + "\n", "too long"},
		{"a page instead of the file", small, "<html><body>sign in</body></html>", "outside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(strings.Replace(small, c.from, c.to, 1)), nil)
			if !errors.Is(err, bolwerk.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a refusal that says %q", err, c.says)
			}
		})
	}
	endless := io.MultiReader(strings.NewReader("// ===BEGIN ICANN DOMAINS===\n"), &repeat{"// nothing\n", 0})
	if _, err := Load(endless, nil); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("an endless file: got %v", err)
	}
}

// repeat is an endless file.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func TestLoad_holdsBackAJump(t *testing.T) {
	before := load(t, small)
	var more strings.Builder
	for i := range before.Rules() {
		fmt.Fprintf(&more, "s%d.example\n", i)
	}
	grown := strings.Replace(small, "// ===END PRIVATE", more.String()+"// ===END PRIVATE", 1)
	if _, err := Load(strings.NewReader(grown), before); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("twice the rules: got %v, want a conflict", err)
	}
	if _, err := Load(strings.NewReader(small), load(t, grown)); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("half the rules: got %v, want a conflict", err)
	}
	if _, err := Load(strings.NewReader(grown), nil); err != nil {
		t.Errorf("released by a person: %v", err)
	}
	if l, err := Load(strings.NewReader(small), before); err != nil || l.Version() != before.Version() {
		t.Errorf("the same file: %v, or another version", err)
	}
}

// TestDifferential compares our matcher on a list of 2023 with the compiled one
// of 2026 over 193,743 hosts of phishing pages. They may differ only where a
// rule was added or taken out in between, so every difference must be gone when
// the rule that the other side used is given to our matcher too.
func TestDifferential(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("BOLWERK_DATA is not set: no list and no hosts to compare with")
	}
	text, err := os.ReadFile(filepath.Join(data, "lists", "public_suffix_list_2023-02-09.dat"))
	if err != nil {
		t.Skip(err)
	}
	old, now := load(t, string(text)), Builtin()
	hosts, same := 0, 0
	older, newer := map[string]int{}, map[string]int{}
	eachLine(t, filepath.Join(data, "urls", "phish_hosts.txt.gz"), func(line string) {
		d, err := bolwerk.ParseDomain(line)
		if err != nil {
			return // an address
		}
		hosts++
		a, as := old.Suffix(d)
		b, bs := now.Suffix(d)
		switch {
		case a == b && as == bs:
			same++
		case a.Labels() < b.Labels():
			newer[b.String()]++ // a rule that came
		default:
			older[a.String()]++ // a rule that went, or moved
		}
	})
	t.Logf("%d names, %d the same (%.2f %%); under rules that came: %d names, %d suffixes; that went: %d names, %d suffixes",
		hosts, same, 100*float64(same)/float64(hosts), sum(newer), len(newer), sum(older), len(older))
	t.Logf("came: %v", newer)
	t.Logf("went: %v", older)
	for s := range newer {
		d := bolwerk.MustDomain(s)
		if old.rules[s]&normal != 0 || old.rules[d.Parent().String()]&wildcard != 0 {
			t.Errorf("%s is a rule of the old file, yet our matcher did not use it", s)
		}
	}
	for s := range older {
		d := bolwerk.MustDomain(s)
		if old.rules[s]&normal == 0 && old.rules[d.Parent().String()]&wildcard == 0 && d.Labels() > 1 {
			t.Errorf("%s is no rule of the old file, yet our matcher used it", s)
		}
		if got, _ := now.Suffix(d); got == d && d.Labels() > 1 {
			t.Errorf("%s is a rule of both lists and they differ", s)
		}
	}
	if same*100 < hosts*80 {
		t.Errorf("only %d of %d names agree", same, hosts)
	}
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

func eachLine(t testing.TB, path string, f func(string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		f(lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(small, "a.b.example.com")
	f.Add(small, "x.city.kobe.jp")
	f.Add("// ===BEGIN ICANN DOMAINS===\n*.\n!\n", "a")
	f.Add("\xff\xfe// ===BEGIN", "xn--.example")
	f.Fuzz(func(t *testing.T, text, name string) {
		d, err := bolwerk.ParseDomain(name)
		if err != nil {
			return
		}
		for _, l := range []*List{mustOrNil(text), Builtin()} {
			if l == nil {
				continue
			}
			s, section := l.Suffix(d)
			if s.IsZero() || !d.Below(s) {
				t.Fatalf("Suffix(%s) = %q: not above it", d, s)
			}
			if section == Unknown && s.Labels() != 1 {
				t.Fatalf("Suffix(%s) = %s: unknown with %d labels", d, s, s.Labels())
			}
			r, ok := l.Registrable(d)
			if ok && (!d.Below(r) || r.Parent() != s) || !ok && d != s {
				t.Fatalf("Registrable(%s) = %q, %v under suffix %s", d, r, ok, s)
			}
		}
	})
}

func mustOrNil(text string) *List {
	// Most texts lack the sections; give the fuzzer a way in.
	l, err := Load(strings.NewReader(small[:strings.Index(small, "jp\n")]+text+small[strings.Index(small, "jp\n"):]), nil)
	if err != nil {
		return nil
	}
	return l
}

func BenchmarkRegistrable(b *testing.B) {
	d := bolwerk.MustDomain("www.secure.login.evil.co.uk")
	for _, c := range []struct {
		name string
		l    *List
	}{{"compiled", Builtin()}, {"loaded", load(b, small)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.l.Registrable(d)
			}
		})
	}
}

func TestTextGivesTheSameListAgain(t *testing.T) {
	own := load(t, small)
	again := load(t, own.Text())
	if own.Text() != small || again.Version() != own.Version() || again.Rules() != own.Rules() {
		t.Errorf("got %s with %d rules, want %s with %d", again.Version(), again.Rules(), own.Version(), own.Rules())
	}
	if got := Builtin().Text(); got != "" {
		t.Errorf("the compiled list has a text of %d octets", len(got))
	}
}
