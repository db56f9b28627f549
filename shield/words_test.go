package shield

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bolwerk"
)

// Every code of the judge and of the guards has its sentence in every language.
// The codes are read from the source, so that a new one cannot be forgotten.
func TestEveryCodeHasItsSentence(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	codes := codesOf(t)
	for kind, least := range map[string]int{"rule": 30, "why": 20, "scopewhy": 10} {
		if len(codes[kind]) < least {
			t.Errorf("only %d codes of %s were found in the source: the test no longer sees them", len(codes[kind]), kind)
		}
		for _, code := range slices.Sorted(maps.Keys(codes[kind])) {
			keys := []string{"shield." + kind + "." + code}
			if kind == "rule" {
				keys = append(keys, "shield.advice."+code)
			}
			for _, key := range keys {
				for _, lang := range bolwerk.Langs() {
					if texts.T(lang, key) == key {
						t.Errorf("%s: no text %q", lang, key)
					}
				}
			}
		}
	}
}

// codesOf reads the package judge: rules of guards, their further sentences,
// reasons of evidence and of scopes.
func codesOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	codes := map[string]map[string]bool{"rule": {}, "why": {}, "scopewhy": {}}
	var names []string
	for _, where := range []string{"judge/*.go", "content/*.go", "*.go"} { // who writes evidence
		more, err := filepath.Glob(where)
		if err != nil || len(more) == 0 {
			t.Fatalf("files of %s: %d, %v", where, len(more), err)
		}
		names = append(names, more...)
	}
	text := func(e ast.Expr) string {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			s, _ := strconv.Unquote(l.Value)
			return s
		}
		return ""
	}
	add := func(kind string, args []ast.Expr, at int) {
		if at < len(args) && text(args[at]) != "" {
			codes[kind][text(args[at])] = true
		}
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
			case *ast.CompositeLit: // {2, "popular", func ...} and {"not_listed", ...}
				if len(n.Elts) == 3 {
					if _, isFunc := n.Elts[2].(*ast.FuncLit); isFunc {
						add("rule", n.Elts, 1)
					}
				}
				kind := n.Type
				if sel, ok := kind.(*ast.SelectorExpr); ok {
					kind = sel.Sel
				}
				if id, ok := kind.(*ast.Ident); ok && id.Name == "Evidence" {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == "Reason" {
							add("why", []ast.Expr{kv.Value}, 0)
						}
					}
				}
				if at, ok := n.Type.(*ast.ArrayType); ok {
					if id, ok := at.Elt.(*ast.Ident); ok && id.Name == "Reason" {
						for _, e := range n.Elts {
							if c, ok := e.(*ast.CompositeLit); ok {
								add("scopewhy", c.Elts, 0)
							}
						}
					}
				}
			case *ast.AssignStmt: // e.Reason, e.Detail = "listed_platform", ...
				for i, l := range n.Lhs {
					if sel, ok := l.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reason" && i < len(n.Rhs) {
						add("why", n.Rhs, i)
					}
				}
			case *ast.CallExpr:
				switch fn := n.Fun.(type) {
				case *ast.Ident:
					switch fn.Name {
					case "run":
						add("rule", n.Args, 1)
					case "because":
						add("scopewhy", n.Args, 2)
					case "is":
						add("why", n.Args, 1)
					case "say": // with or without a tier
						add("why", n.Args, 2)
						add("why", n.Args, 3)
					}
				case *ast.SelectorExpr:
					if fn.Sel.Name == "as" {
						add("rule", n.Args, 0)
					}
				}
			}
			return true
		})
	}
	return codes
}
