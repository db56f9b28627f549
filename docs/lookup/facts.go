package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// facts lists what the capabilities tell, from their fact packages.
func facts(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "*", "fact", "*.go"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	var b strings.Builder
	b.WriteString(`
# Facts

What the capabilities tell each other, past tense, in the transaction that made
it true. The envelope of each: id, sequence, subject, version of the body, what
it is about, who or what did it, time. Facts carry references, never personal
data.
`)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return "", err
		}
		capability := filepath.Base(filepath.Dir(filepath.Dir(file)))
		fmt.Fprintf(&b, "\n## %s\n\n| subject | |\n|---|---|\n", capability)
		var bodies strings.Builder
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					lit, ok := s.Values[0].(*ast.BasicLit)
					if !ok {
						return "", fmt.Errorf("%s: %s is no text", file, s.Names[0].Name)
					}
					subject, err := strconv.Unquote(lit.Value)
					if err != nil {
						return "", err
					}
					fmt.Fprintf(&b, "| `%s` | %s |\n", subject, oneLine(s.Comment.Text()))
				case *ast.TypeSpec:
					st, ok := s.Type.(*ast.StructType)
					if !ok {
						continue
					}
					var parts []string
					for _, fl := range st.Fields.List {
						tag, err := strconv.Unquote(fl.Tag.Value)
						if err != nil {
							return "", err
						}
						key, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
						part := "`" + key + "`"
						if c := oneLine(fl.Comment.Text()); c != "" {
							part += " (" + c + ")"
						}
						parts = append(parts, part)
					}
					fmt.Fprintf(&bodies, "\n**%s** %s Keys: %s.\n", s.Name.Name, oneLine(strings.TrimPrefix(g.Doc.Text(), s.Name.Name+" ")), strings.Join(parts, ", "))
				}
			}
		}
		b.WriteString(bodies.String())
	}
	return b.String(), nil
}
