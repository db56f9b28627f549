package app

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/privacy"
	"bolwerk/shield"
)

// spoken are the packages whose refusals, hints and stored reasons stand on
// pages of the console; not the files that only a program or a terminal hears.
var (
	spoken  = []string{".", "desk", "shield", "shield/judge", "shield/lists", "internal/account", "internal/webhook", "internal/web", "privacy"}
	silent  = regexp.MustCompile(`(_test|^cli.*|^client|^api.*|^config|^admin|^replace|^demofile|^brand|^place|^ledger|^report|^intake|^guard|^duration)\.go$`)
	refuses = []string{"Invalid", "NotFound", "Conflict", "Forbidden"}
)

// Every sentence with which the desk refuses something on a page, and every
// reason that it stores in English, is there in every language. They are read
// from the source, so that a new one cannot be forgotten.
func TestEveryRefusalIsThereInEveryLanguage(t *testing.T) {
	all := spokenTexts(t)
	found := map[string]string{} // sentence -> where
	for _, dir := range spoken {
		sentencesOf(t, filepath.Join("../..", dir), found)
	}
	if len(found) < 120 {
		t.Errorf("only %d sentences were found in the source: the test no longer sees them", len(found))
	}
	for _, s := range slices.Sorted(maps.Keys(found)) {
		if !all.Knows(s) {
			t.Errorf("%s: %q is in no sentences.toml", found[s], s)
		}
	}
	// What stands in sentences.toml and is said by nothing any more goes.
	for _, s := range all.Sentences() {
		if found[s] == "" && strings.Contains(s, " ") && s != "analyst or duty_officer" {
			t.Errorf("sentences.toml has %q, which nothing says", s)
		}
	}
	// Each is found again with values in its places, as nothing but itself.
	for _, s := range all.Sentences() {
		said := fmt.Sprintf(s, samples(s)...)
		for _, lang := range bolwerk.Langs() {
			got := all.Told(lang, said)
			if lang != bolwerk.EN && got == said && strings.Contains(s, " ") && s != "analyst or duty_officer" {
				t.Errorf("%s: %q is told as it is", lang, said)
			}
			for i := range samples(s) {
				if !strings.Contains(got, strconv.Itoa(9000+i)) {
					t.Errorf("%s: %q became %q: value %d is lost", lang, said, got, i)
				}
			}
		}
	}
}

var verbs = regexp.MustCompile(`%\+?(?:\.\d+)?[a-zA-Z]`)

// bare is a sentence without words of its own, a command for the terminal, or
// what only the log hears.
func bare(s string) bool {
	return strings.HasPrefix(s, "bolwerk ") || strings.HasPrefix(s, "argon2id ") || strings.HasPrefix(s, "not an argon2id") || strings.HasPrefix(s, "actor ") ||
		slices.Contains([]string{"%s: %v", "url %q: %v", "zone %q: %v"}, s)
}

// samples are values for the places of a format of fmt.
func samples(format string) (out []any) {
	for i, v := range verbs.FindAllString(strings.ReplaceAll(format, "%%", ""), -1) {
		switch v[len(v)-1] {
		case 'd':
			out = append(out, 9000+i)
		case 'f', 'g':
			out = append(out, float64(9000+i))
		default:
			out = append(out, strconv.Itoa(9000+i))
		}
	}
	return out
}

// spokenTexts are the texts of the console's parts.
func spokenTexts(t *testing.T) *web.Texts {
	t.Helper()
	all, err := web.OwnTexts()
	for _, more := range []func() (*web.Texts, error){shield.Texts, account.Texts, privacy.Texts} {
		if err != nil {
			t.Fatal(err)
		}
		var part *web.Texts
		if part, err = more(); err == nil {
			all, err = all.With(part)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sentencesOf reads the sentences of a package's source.
func sentencesOf(t *testing.T, dir string, found map[string]string) {
	t.Helper()
	names, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("files of %s: %d, %v", dir, len(names), err)
	}
	for _, name := range names {
		if silent.MatchString(filepath.Base(name)) {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		add := func(e ast.Expr) {
			if c, ok := e.(*ast.CallExpr); ok && len(c.Args) > 0 { // fmt.Sprintf
				e = c.Args[0]
			}
			l, ok := e.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return
			}
			// A sentence that is nothing but another one is that one; a command is for the terminal.
			if s, _ := strconv.Unquote(l.Value); strings.ContainsAny(s, " ") && !bare(s) {
				found[s] = fset.Position(l.Pos()).String()
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) == 0 {
				return true
			}
			fn, pkg := "", ""
			switch f := c.Fun.(type) {
			case *ast.Ident:
				fn = f.Name
			case *ast.SelectorExpr:
				fn = f.Sel.Name
				if x, ok := f.X.(*ast.Ident); ok {
					pkg = x.Name
				}
			}
			switch {
			case slices.Contains(refuses, fn) && (pkg == "bolwerk" || pkg == ""):
				add(c.Args[0])
			case fn == "WithHint" && len(c.Args) > 1:
				add(c.Args[1])
				if !plainHint(c.Args[1]) {
					t.Errorf("%s: a hint is a text, fmt.Sprintf of one, or a command: no page can say any other in its reader's language", fset.Position(c.Pos()))
				}
			case fn == "heldFor" || fn == "doubt" || fn == "dropped": // stored, and shown later
				add(c.Args[0])
			}
			return true
		})
	}
}

// plainHint says that what a hint says is known to who reads the source.
func plainHint(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Sprintf"
	case *ast.BinaryExpr: // "bolwerk block explain " + name
		if l, ok := e.X.(*ast.BasicLit); ok {
			return strings.HasPrefix(l.Value, `"bolwerk `)
		}
		return plainHint(e.X)
	}
	return false
}
