package shield

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bolwerk"
)

// What evidence saw is stored in English. A page says it in its reader's language:
// every format that evidence is made with is known, read from the source so that a
// new one cannot be forgotten.
func TestEvidenceIsToldInEveryLanguage(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	formats := detailFormats(t)
	if len(formats) < 60 {
		t.Errorf("only %d formats were found in the source: the test no longer sees them", len(formats))
	}
	verb := regexp.MustCompile(`%[.\d]*[a-z]`)
	closing := regexp.MustCompile(`(\S)%s$`) // a registrar, where it is known
	for _, format := range formats {
		said := verb.ReplaceAllString(closing.ReplaceAllString(format, "$1, at %s"), "x1")
		for _, lang := range bolwerk.Langs() {
			if told := texts.Seen(lang, said); lang != bolwerk.EN && (told == said || strings.Count(told, "x1") != strings.Count(said, "x1")) {
				t.Errorf("%s: %q is told as %q: texts/evidence.toml lacks it", lang, said, told)
			}
		}
	}
	for said, want := range map[string]string{
		"the page shows itself as Merelbank (title, logo), stands on evil.example and asks for password, card": "de pagina doet zich voor als Merelbank (titel, logo), staat op evil.example en vraagt wachtwoord, betaalkaart",
		"evil.example was registered 3 days ago (2026-11-23), at Registrar B.V.; Delft":                        "evil.example is 3 dagen geleden geregistreerd (2026-11-23), bij Registrar B.V.; Delft",
		"its sender's name: a word with a long number, where names cost next to nothing (.top)":                "de naam van de afzender: een woord met een lang getal, waar namen bijna niets kosten (.top)",
		"it speaks of Bank, and neither the sender nor the link a.example is Bank's; it says click; log in":    "hij spreekt van Bank, en noch de afzender noch de link a.example is van Bank; er staat: click; log in",
	} {
		if got := texts.Seen(bolwerk.NL, said); got != want {
			t.Errorf("%s: told as %s, want %s", said, got, want)
		}
	}
}

// detailFormats are the formats of what evidence tells.
func detailFormats(t *testing.T) (all []string) {
	t.Helper()
	seen := map[string]bool{"": true, "%s": true, "%.60s": true}
	take := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, _ := strconv.Unquote(l.Value); !seen[s] && strings.Contains(s, " ") {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	for _, where := range []string{"judge/*.go", "content/*.go", "kit/look.go", "enrich.go", "asked.go"} {
		names, err := filepath.Glob(where)
		if err != nil || len(names) == 0 {
			t.Fatalf("files of %s: %d, %v", where, len(names), err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr: // say(..., format, ...), is(token, kind, format, ...)
					if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "say" || id.Name == "is") {
						for _, a := range n.Args {
							take(a)
						}
					}
				case *ast.KeyValueExpr: // Detail: fmt.Sprintf(format, ...)
					if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Detail" {
						takeCall(n.Value, take)
					}
				case *ast.AssignStmt: // e.Reason, e.Detail = reason, fmt.Sprintf(format, ...)
					for i, l := range n.Lhs {
						if sel, ok := l.(*ast.SelectorExpr); ok && sel.Sel.Name == "Detail" && i < len(n.Rhs) && n.Tok == token.ASSIGN {
							take(n.Rhs[i])
							takeCall(n.Rhs[i], take)
						}
					}
				}
				return true
			})
		}
	}
	return all
}

// takeCall takes the format of fmt.Sprintf.
func takeCall(e ast.Expr, take func(ast.Expr)) {
	if c, ok := e.(*ast.CallExpr); ok && len(c.Args) > 0 {
		take(c.Args[0])
	}
}
