package lists

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
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
)

var psl = suffix.Builtin()

func load(t testing.TB, text string, s Source) *Set {
	t.Helper()
	if s.Name == "" {
		s.Name = "test"
	}
	if s.Kind == "" {
		s.Kind = Feed
	}
	if s.Format == "" {
		s.Format = Plain
	}
	set, err := Load(strings.NewReader(text), s, nil, psl)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func names(s *Set) string {
	var all []string
	for d := range s.All {
		all = append(all, d.String())
	}
	return strings.Join(all, " ")
}

func TestLoad_formats(t *testing.T) {
	for _, c := range []struct {
		name   string
		source Source
		text   string
		want   string
		count  Count
	}{
		{"plain", Source{},
			"\ufeff# heading\n! heading\n\nEvil.Example.\n.dot.example\n*.star.example\n||adblock.example^\nbücher.example\nwith.example # why\nnot a name\n192.0.2.7\nevil.example\n",
			"adblock.example dot.example evil.example star.example with.example xn--bcher-kva.example",
			Count{Lines: 12, Names: 6, Bad: 2}},
		{"plain with pages and suffixes", Source{},
			"https://evil.example/a?b#c\nhttp://user@host.example:8080/\ngithub.io\nhttps://x.github.io/y\n",
			"evil.example host.example x.github.io",
			Count{Lines: 4, Names: 3, URLs: 2, Suffixes: 1}},
		{"csv", Source{Format: CSV, Field: 2},
			"id,name,why\n1,evil.example,x\n\"2, \"\"two\"\"\",\"worse.example\",y\n3\n4,\"open\n5,\"a\"b,c\n",
			"evil.example worse.example",
			Count{Lines: 6, Names: 2, Bad: 3}},
		{"csv with semicolons", Source{Format: CSV, Separator: ";"}, "evil.example;1\n", "evil.example", Count{Lines: 1, Names: 1}},
		{"hosts", Source{Format: Hosts},
			"127.0.0.1 localhost\n::1 localhost ip6-loopback\nfe80::1%lo0 localhost\n0.0.0.0 evil.example worse.example # why\nevil.example\n",
			"evil.example worse.example",
			Count{Lines: 5, Names: 2, Bad: 1}},
		{"rpz", Source{Format: RPZ},
			`$TTL 300
@ IN SOA ns.example. hostmaster.example. (
     2026010101 ; serial
     3600 600 86400 60 )
  IN NS ns.example.
$ORIGIN rpz.example.
evil.example CNAME .
*.evil.example 60 IN CNAME .
worse.example.rpz.example. IN CNAME *.
page.example 60 A 192.0.2.1
good.example CNAME rpz-passthru.
32.1.2.0.192.rpz-ip CNAME .
ns.evil.example.rpz-nsdname CNAME .
foreign.example. CNAME .
*.below.example CNAME .
`,
			"below.example evil.example page.example worse.example",
			Count{Lines: 15, Names: 4, Bad: 1, Passes: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := load(t, c.text, c.source)
			if got := names(s); got != c.want {
				t.Errorf("names %q, want %q", got, c.want)
			}
			if s.Count != c.count {
				t.Errorf("count %+v, want %+v", s.Count, c.count)
			}
			if !strings.HasPrefix(s.Version(), "sha256:") || len(s.Version()) != 71 {
				t.Errorf("version %q", s.Version())
			}
		})
	}
}

func TestSet_finds(t *testing.T) {
	s := load(t, "evil.example\nx.evil-site.example\nhttps://shared.example/Page?x=1\nhttps://root.example/\na.b.deep.example\n", Source{})
	d := bolwerk.MustDomain
	for name, want := range map[string]bool{"evil.example": true, "www.evil.example": false, "shared.example": false, "root.example": true, "deep.example": false} {
		if got := s.Has(d(name)); got != want {
			t.Errorf("Has(%s) = %v, want %v", name, got, want)
		}
	}
	if e, ok := s.Above(d("a.b.evil.example")); !ok || e != d("evil.example") {
		t.Errorf("Above = %s, %v", e, ok)
	}
	if _, ok := s.Above(d("x.shared.example")); ok {
		t.Error("a page on a host says nothing about names below the host")
	}
	for url, want := range map[string]bool{
		"http://SHARED.example/Page?x=1#top": true, "https://shared.example/page?x=1": false, "https://shared.example/": false,
	} {
		if got := s.HasURL(url); got != want {
			t.Errorf("HasURL(%s) = %v, want %v", url, got, want)
		}
	}
	if !s.HasURLOn(d("shared.example")) || s.HasURLOn(d("evil.example")) {
		t.Error("HasURLOn: want shared.example only")
	}
	for _, c := range []struct {
		name  string
		scope bolwerk.Scope
		www   bool
		want  string
	}{
		{"evil.example", bolwerk.ScopeHost, true, "evil.example"},
		{"deep.example", bolwerk.ScopeHost, true, ""},
		{"deep.example", bolwerk.ScopeSubtree, false, "a.b.deep.example"},
		// evil-site.example sorts between evil.example and what is below it.
		{"evil-site.example", bolwerk.ScopeRegistrable, false, "x.evil-site.example"},
		{"b.deep.example", bolwerk.ScopeSubtree, false, "a.b.deep.example"},
		{"eep.example", bolwerk.ScopeSubtree, false, ""},
		{"evil.example", bolwerk.ScopeURLOnly, false, "evil.example"},
	} {
		if got, ok := s.Taken(d(c.name), c.scope, c.www); got.String() != c.want || ok != (c.want != "") {
			t.Errorf("Taken(%s, %s) = %s, want %q", c.name, c.scope, got, c.want)
		}
	}
	var none *Set
	if _, ok := none.Taken(d("a.example"), bolwerk.ScopeSubtree, false); ok || none.Has(d("a.example")) || none.HasURL("x") || none.Len() != 0 {
		t.Error("a list that was never loaded has a name")
	}
}

func TestPopularity(t *testing.T) {
	ranked := load(t, "1,com\n2,popular.example\n3,www.other.example\n4,github.io\n5,popular.example\n", Source{Kind: Popular, Format: CSV, Field: 2, Ranked: true})
	if got := names(ranked); got != "www.other.example popular.example" && got != "popular.example www.other.example" {
		t.Errorf("names %q: suffixes are taken out", got)
	}
	flat := load(t, "www.other.example\nflat.example\n", Source{Kind: Popular, Top: 100_000})
	p := Popularity{ranked, flat, nil}
	d := bolwerk.MustDomain
	for name, want := range map[string]int{"popular.example": 1, "flat.example": 100_000, "www.other.example": 2, "no.example": 0} {
		if got, ok := p.Rank(d(name)); got != want || ok != (want > 0) {
			t.Errorf("Rank(%s) = %d, %v; want %d", name, got, ok, want)
		}
	}
	if best, r, ok := p.Best(d("other.example"), bolwerk.ScopeRegistrable, false); !ok || best != d("www.other.example") || r != 2 {
		t.Errorf("Best below other.example = %s, %d, %v", best, r, ok)
	}
	if _, _, ok := p.Best(d("other.example"), bolwerk.ScopeHost, false); ok {
		t.Error("a block of the host alone does not take www.other.example")
	}
	if best, _, ok := p.Best(d("other.example"), bolwerk.ScopeHost, true); !ok || best != d("www.other.example") {
		t.Errorf("with www it does: got %s", best)
	}
}

func TestLoad_holdsBack(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "n%d.example\n", i)
		}
		return b.String()
	}
	hundred := load(t, many(100), Source{})
	d := bolwerk.MustDomain
	for _, c := range []struct {
		name   string
		source Source
		text   string
		inUse  *Set
		why    string
	}{
		{"com in an allow list", Source{Kind: Allow}, "good.example\ncom\n", nil, "public suffix"},
		{"co.uk in a feed", Source{}, "evil.example\nco.uk\n", nil, "public suffix"},
		{"a name it must have is gone", Source{MustHave: []bolwerk.Domain{d("good.example")}}, "evil.example\n", nil, "lacks good.example"},
		{"a name it must not have", Source{MustNotHave: []bolwerk.Domain{d("good.example")}}, "good.example\n", nil, "must not have"},
		{"twice as long", Source{}, many(201), hundred, "jump of +101 %"},
		{"cut", Source{}, many(49), hundred, "jump of -51 %"},
		{"a tighter limit of its own", Source{Jump: 0.1}, many(120), hundred, "jump of +20 %"},
		{"empty after it was not", Source{}, "", hundred, "no name"},
		{"a page instead of the list", Source{}, strings.Repeat("<p>sign in</p>\n", 20) + "evil.example\n", nil, "20 of 21 lines"},
		{"not one name", Source{}, "<p>\n", nil, "no name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.source.Name, c.source.Format = "feed", Plain
			if c.source.Kind == "" {
				c.source.Kind = Feed
			}
			use, err := Load(strings.NewReader(c.text), c.source, c.inUse, psl)
			var held *Held
			if !errors.As(err, &held) || !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("got %v, want it held back because %q", err, c.why)
			}
			if use != c.inUse || held.Candidate == nil {
				t.Error("the version in use stays and the candidate is at hand")
			}
		})
	}
	t.Run("small lists may jump", func(t *testing.T) {
		if _, err := Load(strings.NewReader(many(9)), Source{Name: "own", Kind: Feed, Format: Plain}, load(t, many(3), Source{}), psl); err != nil {
			t.Error(err)
		}
	})
	t.Run("a private suffix is left out of a feed", func(t *testing.T) {
		if s := load(t, "github.io\nevil.example\n", Source{}); s.Has(d("github.io")) || s.Count.Suffixes != 1 {
			t.Error("github.io is nobody's name")
		}
	})
}

func TestLoad_bounds(t *testing.T) {
	inUse := load(t, "a.example\n", Source{})
	for name, r := range map[string]io.Reader{
		"long line": strings.NewReader(strings.Repeat("a", MaxLine+1)),
		"lines":     io.LimitReader(&repeat{text: "\n"}, MaxLines+2),
	} {
		use, err := Load(r, Source{Name: "x", Kind: Feed, Format: Plain}, inUse, psl)
		if !errors.Is(err, bolwerk.ErrInvalid) || use != inUse {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Load(io.MultiReader(strings.NewReader("b.example\n"), broken{}), Source{Name: "x", Kind: Feed, Format: Plain}, inUse, psl); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line that broke: got %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(b), nil
}

func TestSource_Validate(t *testing.T) {
	if err := (Source{Name: "x", Kind: Feed, Format: Plain}).Validate(); err != nil {
		t.Error(err)
	}
	err := Source{Field: -1, Separator: "ab", Top: -1, Jump: -1}.Validate()
	for _, want := range []string{"no name", "kind", "format", "field", "separator", "top", "jump"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"evil.example\n*.x.example\nhttps://a.example/b\n", "1,evil.example\n\"a\"\"b\",c.example\n",
		"0.0.0.0 evil.example\n", "$ORIGIN r.\n@ SOA a b 1 2 3 4 5\n*.a.example CNAME .\n", "\xff\x00..\n\"", "xn--.example\nbü.example",
	} {
		f.Add(s, uint8(len(s)))
	}
	formats := []Format{Plain, CSV, Hosts, RPZ}
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		s, err := Load(strings.NewReader(text), Source{Name: "f", Kind: Feed, Format: formats[n%4], Field: int(n / 64)}, nil, psl)
		if err != nil {
			var held *Held
			if !errors.As(err, &held) {
				return
			}
			s = held.Candidate
		}
		before := ""
		for d := range s.All {
			if k := turn(d.String()); k <= before {
				t.Fatalf("%q after %q: not sorted", k, before)
			} else {
				before = k
			}
			if _, ok := s.find(turn(d.String())); !ok {
				t.Fatalf("%s is in the set and is not found", d)
			}
			if !s.Has(d) && !s.HasURLOn(d) {
				t.Fatalf("%s is neither listed nor has a page listed", d)
			}
			if _, ok := s.Taken(d.Parent(), bolwerk.ScopeSubtree, false); !ok && !d.Parent().IsZero() {
				t.Fatalf("a block above %s does not take it", d)
			}
		}
	})
}

// TestRealLists loads the lists of the data folder and says what they cost.
func TestRealLists(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("BOLWERK_DATA is not set: no real lists")
	}
	for _, c := range []struct {
		file string
		s    Source
		min  int
	}{
		{"lists/tranco10k.txt.gz", Source{Kind: Popular, Top: 10_000}, 9_000},
		{"lists/cloudflare-top100k_half_a.txt.gz", Source{Kind: Popular, Top: 100_000}, 45_000},
		{"lists/bank-website.txt.gz", Source{Kind: Allow}, 2_000},
		{"lists/dynamic-dns.txt.gz", Source{Kind: Popular}, 30_000},
		{"urls/phish_hosts.txt.gz", Source{Kind: Feed}, 150_000},
	} {
		file, err := os.Open(filepath.Join(data, c.file))
		if err != nil {
			t.Skip(err)
		}
		z, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		c.s.Name, c.s.Format = filepath.Base(c.file), Plain
		start := time.Now()
		s, err := Load(z, c.s, nil, psl)
		file.Close()
		if err != nil {
			t.Logf("%s: %v", c.file, err)
			var held *Held
			if !errors.As(err, &held) {
				t.Fatal(err)
			}
			s = held.Candidate
		}
		t.Logf("%-40s %+v in %s, %.1f bytes a name", c.file, s.Count, time.Since(start).Round(time.Millisecond), float64(s.Bytes())/float64(s.Len()))
		if s.Len() < c.min {
			t.Errorf("%s: %d names, want %d", c.file, s.Len(), c.min)
		}
	}
}

func BenchmarkMillion(b *testing.B) {
	var text strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "login-%d.shop%d.example\n", i, i%5000)
	}
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			s := load(b, text.String(), Source{})
			b.ReportMetric(float64(s.Bytes())/float64(s.Len()), "bytes/name")
		}
	})
	s := load(b, text.String(), Source{})
	d, no := bolwerk.MustDomain("login-77.shop77.example"), bolwerk.MustDomain("www.login-77.shop77.example")
	b.Run("has", func(b *testing.B) {
		for b.Loop() {
			if !s.Has(d) || s.Has(no) {
				b.Fatal("wrong")
			}
		}
	})
}
