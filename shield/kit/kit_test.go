package kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

func mustParse(t testing.TB, detection string) *Rule {
	t.Helper()
	r, err := Parse("x", []byte("title: x\ndetection:\n"+detection))
	if err != nil {
		t.Fatalf("%v\n%s", err, detection)
	}
	return r
}

func TestAFieldIsComparedAsTheModifierSays(t *testing.T) {
	p := &Page{Title: "Log in", Hostname: "a.example", HTML: "<b>One</b> two", DOM: "dom", JS: []string{"var a", "var b"}, CSS: []string{".c{}"},
		Cookies: []string{"PHPSESSID=1"}, Headers: []string{"X-Powered-By: PHP"}, Requests: []string{"https://a.example/x.js", "https://a.example/y.css"}}
	for in, want := range map[string]bool{
		`title: Log in`:                          true,
		`title: Log`:                             false,
		`title: log in`:                          false,
		`hostname: A.example`:                    true,
		`hostname|endswith: .example`:            true,
		`html|contains: "<b>One</b>"`:            true,
		`html|contains: [nine, two]`:             true,
		`html|contains|all: [nine, two]`:         false,
		`html|all|contains: [One, two]`:          true,
		`js|contains|all: [var a, var b]`:        true,
		`js: var b`:                              true,
		`js|startswith: var c`:                   false,
		`cookies|startswith: PHPSESSID=`:         true,
		`headers|contains: "X-Powered-By: PHP"`:  true,
		`requests|endswith|all: [/x.js, /y.css]`: true,
		`requests|endswith|all: [/x.js, /z.css]`: false,
		`requests|endswith: [/z.css, /x.js]`:     true,
		`html|re: 'On[a-e]'`:                     true,
		`html|re|all: ['On[a-e]', 'tw[a-e]']`:    false,
		`dom|contains: One`:                      false,
		`css|contains: .c`:                       true,
		"html|contains: One\n    title: Log in":  true,
		"html|contains: One\n    title: Log out": false,
	} {
		if got := mustParse(t, "  s:\n    "+in+"\n  condition: s\n").cond.holds(mustParse(t, "  s:\n    "+in+"\n  condition: s\n"), p); got != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
}

func TestAConditionIsRead(t *testing.T) {
	// a, b1 and b2 hold; c and d1 do not.
	p := &Page{Title: "t"}
	search := func(name, text string) string { return "  " + name + ":\n    title: " + text + "\n" }
	base := search("a", "t") + search("b1", "t") + search("b2", "t") + search("c", "x") + search("d1", "x")
	for in, want := range map[string]bool{
		"a": true, "c": false, "not c": true, "not not a": true, "a and c": false, "a or c": true,
		"c or a and c": false, "a or c and c": true, "(a or c) and c": false, "not (c or d1)": true, "not c and a": true,
		"a AND NOT c": true, "1 of them": true, "all of them": false, "3 of them": true, "4 of them": false,
		"all of b*": true, "1 of d*": false, "a and (1 of b*)": true, "a and(1 of d* or b1)": true, "all of a": true,
	} {
		r := mustParse(t, base+"  condition: "+in+"\n")
		if got := r.cond.holds(r, p); got != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
	for in, why := range map[string]string{
		"": "no condition", "e": `no search is named "e"`, "a and": "ends in the middle", "a b1": `"b1" is not understood`, "(a": "bracket", "a)": "not understood",
		"9 of them": "which are 5", "1 of z*": "which are 0", "all of z*": "no search", "x of them": "x of them", "1 of": "of what", strings.Repeat("(", 50) + "a" + strings.Repeat(")", 50): "within each other",
		strings.Repeat("a and ", 500) + "a": "at most 2000",
	} {
		_, err := Parse("x", []byte("title: x\ndetection:\n"+base+"  condition: '"+in+"'\n"))
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.40s: got %v, want %q", in, err, why)
		}
	}
}

func TestAWrongRuleIsNamed(t *testing.T) {
	for in, why := range map[string]string{
		"":                        "no title",
		"\xff":                    "not UTF-8",
		"title: [":                "not the YAML",
		"title: x":                "no detection",
		"title: x\ndetection: no": "no detection",
		"title: x\ndetection:\n  a:\n    body|contains: x\n  condition: a":           `line 4: field "body"`,
		"title: x\ndetection:\n  a:\n    html|base64: x\n  condition: a":             `modifier "base64"`,
		"title: x\ndetection:\n  a:\n    html|contains|re: x\n  condition: a":        `modifier "re"`,
		"title: x\ndetection:\n  a:\n    html|contains: ''\n  condition: a":          "a text of 1 to",
		"title: x\ndetection:\n  a:\n    html|contains: []\n  condition: a":          "0 texts",
		"title: x\ndetection:\n  a:\n    html|contains: {b: c}\n  condition: a":      "0 texts",
		"title: x\ndetection:\n  a:\n    html|re: '(?=x)'\n  condition: a":           "RE2",
		"title: x\ndetection:\n  a:\n    html|re: '(a{1000}){1000}'\n  condition: a": "RE2",
		"title: x\ndetection:\n  a: []\n  condition: a":                              "no fields",
		"title: x\ndetection:\n  a:\n    title: x\n  condition: [a]":                 "no text",
		"title: x\n# " + strings.Repeat("x", MaxFile):                                "more than",
	} {
		if _, err := Parse("x", []byte(in)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.60q: got %v, want %q", in, err, why)
		}
	}
}

func TestAFolderLoadsWhatCanBeRead(t *testing.T) {
	good := []byte("title: x\ndetection:\n  a:\n    title: x\n  condition: a\n")
	dir := fstest.MapFS{"a.yml": {Data: good}, "b.yaml": {Data: good}, "bad.yml": {Data: []byte("title: x")}, "README.txt": {Data: good}, "sub/c.yml": {Data: good}}
	set, err := Load("test", dir)
	if set.Len() != 2 || err == nil || !strings.Contains(err.Error(), "bad.yml: it has no detection") {
		t.Errorf("got %d rules, %v", set.Len(), err)
	}
	delete(dir, "bad.yml")
	before := set.Version()
	if set, err = Load("test", dir); err != nil || set.Version() != before {
		t.Errorf("got %v, version %s then %s", err, before, set.Version())
	}
	dir["a.yml"] = &fstest.MapFile{Data: append([]byte("# changed\n"), good...)}
	if set, _ = Load("test", dir); set.Version() == before {
		t.Error("a changed rule leaves the version as it was")
	}
	dir["b.yml"] = &fstest.MapFile{Data: good}
	if _, err = Load("test", dir); err == nil || !strings.Contains(err.Error(), "in b.yaml already") {
		t.Errorf("the same id twice: got %v", err)
	}
	if _, err := LoadFolder("test", "/nowhere/at/all"); err == nil {
		t.Error("a folder that is not there loads")
	}
}

func TestAHitIsEvidenceWithItsReferences(t *testing.T) {
	brands, err := judge.NewBrands(suffix.Builtin(), judge.Brand{Name: "Merel Bank", Tokens: []string{"merel-bank"}, Domains: []bolwerk.Domain{bolwerk.MustDomain("merelbank.example")}})
	if err != nil {
		t.Fatal(err)
	}
	dir := fstest.MapFS{
		"k.yml": {Data: []byte("title: Merel kit\nreferences: [https://r.example/1]\ntags: [kit, target.merel_bank]\ndetection:\n  a:\n    title: Merel\n    cookies: s=1\n    headers|contains: 'Server: kit'\n    requests|endswith: /l.png\n    js|contains|all: [inline, fetched]\n    css|contains: '.c'\n  condition: a\n")},
		"t.yml": {Data: []byte("title: a trick\ntags: [cloaking]\ndetection:\n  a:\n    title: Merel\n  condition: a\n")},
	}
	set, err := Load("public", dir)
	if err != nil {
		t.Fatal(err)
	}
	look := func(at string) (out []string) {
		b := &capture.Bundle{Capture: capture.Capture{V: 1, URL: at, Hops: []capture.Hop{{URL: at, Status: 200, Header: []capture.Field{{Name: "Server", Value: "kit"}, {Name: "Set-Cookie", Value: "s=1; Path=/"}}}}}}
		b.Put(capture.Part{Kind: capture.HTML, URL: at}, []byte(`<title> Merel </title><style>.c{}</style><script>inline</script><img src="i/l.png">`))
		b.Put(capture.Part{Kind: capture.Script, URL: at + "s.js"}, []byte(`fetched`))
		_, all := Look(b, brands, set, nil)
		for _, e := range all {
			out = append(out, fmt.Sprintf("%s %s %s/%d %s %v", e.Source, e.Reason, e.Verdict, e.Tier, e.Brand, strings.Contains(e.Detail, "https://r.example/1") && e.ListVersion == set.Version()))
		}
		return out
	}
	if got, want := look("https://x.example/"), []string{"kits public/k malicious/2 Merel Bank true", "kits public/t suspicious/3  false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := look("https://www.merelbank.example/"); len(got) > 0 {
		t.Errorf("on the brand's own host: %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range []string{"title: x\ndetection:\n  a:\n    title: x\n  condition: a\n", "title: x\ndetection: &a\n  b: *a\n  condition: 1 of b*\n", "title: x\ndetection:\n  a:\n    html|re|all: [a, '(b']\n  condition: not (a)\n"} {
		f.Add([]byte(r))
	}
	entries, _ := own.ReadDir("rules")
	for _, e := range entries {
		text, _ := own.ReadFile("rules/" + e.Name())
		f.Add(text)
	}
	p := page("a.example", "x", "<b>x</b>", "var x")
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse("x", text)
		if err != nil {
			return
		}
		// What is read holds or not, the same twice, and asks for nothing unknown.
		if a, b := r.cond.holds(r, p), r.cond.holds(r, p); a != b {
			t.Error("not the same twice")
		}
		for _, f := range r.Fields() {
			if !slices.Contains(fields, f) {
				t.Errorf("field %q", f)
			}
		}
	})
}

// benchPage is a page of about n octets that no rule knows.
func benchPage(n int) *Page {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `<div class="row r%d"><a href="/page/%d?x=1">A link, <b>bold</b></a><form action="go"><input type="text" name="q"></form></div>`, i, i)
	}
	return page("shop.example", "A shop", b.String(), strings.Repeat("function f(a){return a+1}\n", n/100))
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{20_000, 200_000, 2_000_000} {
		p := benchPage(n)
		b.Run(fmt.Sprintf("own/%dk", n/1000), func(b *testing.B) {
			set := Own()
			for b.Loop() {
				set.Match(p)
			}
		})
		b.Run(fmt.Sprintf("public/%dk", n/1000), func(b *testing.B) {
			set := iok(b)
			for b.Loop() {
				set.Match(p)
			}
		})
	}
}
