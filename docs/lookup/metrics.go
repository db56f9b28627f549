package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// metric is one family of figures, as the code declares it.
type metric struct {
	name, help, file string
	labels           []string
}

// metrics lists every metric, from where it is declared.
func metrics(root string) (string, error) {
	all := map[string]metric{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && path != root || rel == "test" || rel == "bench" || rel == "docs" || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, m := range declared(f) {
			m.file = filepath.ToSlash(filepath.Dir(rel))
			if m.help == "" {
				return fmt.Errorf("%s: metric %s has no help", rel, m.name)
			}
			all[m.name] = m
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`
# Metrics

In the Prometheus text format at ` + "`http://METRICS/metrics`" + `, where METRICS is
` + "`metrics.listen`" + `. Every metric also has the label ` + "`role`" + `. ` + "`/healthz`" + ` beside it answers
"ok" while the process runs. The figures of the Go runtime and of the process
(` + "`go_`, `process_`" + `) are there too.

| metric | labels | | package |
|---|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, strings.Join(m.labels, ", "), cell(m.help), m.file)
	}
	return b.String(), nil
}

// known is what a file says that its metrics are made of.
type known struct {
	texts  map[string]string   // local texts that a help is read from
	labels map[string][]string // local sets of labels
	makers map[string]maker    // local functions that make a metric of their first two parameters
}

type maker struct {
	prefix string // set before the first
	labels []string
}

func (k known) read(f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || len(a.Lhs) != 1 || len(a.Rhs) != 1 {
			return true
		}
		id, ok := a.Lhs[0].(*ast.Ident)
		if !ok {
			return true
		}
		if s, ok := text(a.Rhs[0], nil); ok {
			k.texts[id.Name] = s
		}
		if l := k.names(a.Rhs[0]); l != nil {
			k.labels[id.Name] = l
		}
		if fn, ok := a.Rhs[0].(*ast.FuncLit); ok {
			k.makers[id.Name] = k.maker(fn)
		}
		return true
	})
}

func (k known) maker(fn *ast.FuncLit) (m maker) {
	ast.Inspect(fn, func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		switch key, _ := kv.Key.(*ast.Ident); {
		case key == nil:
		case key.Name == "Name":
			if sum, ok := kv.Value.(*ast.BinaryExpr); ok {
				m.prefix, _ = text(sum.X, nil)
			}
		case key.Name == "ConstLabels":
			m.labels = k.names(kv.Value)
		}
		return true
	})
	return m
}

// declared finds the metrics of a file: options with Name and Help, calls with a
// name and a help text one behind the other, and calls of a local maker.
func declared(f *ast.File) (all []metric) {
	k := known{map[string]string{}, map[string][]string{}, map[string]maker{}}
	k.read(f)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if m := k.options(n); m.name != "" {
				all = add(all, m)
			}
		case *ast.CallExpr:
			if m := k.call(n); m.name != "" {
				all = add(all, m)
			}
		}
		return true
	})
	return all
}

// options reads Opts{Name, Help, ConstLabels}.
func (k known) options(lit *ast.CompositeLit) (m metric) {
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch key, _ := kv.Key.(*ast.Ident); {
		case key == nil:
		case key.Name == "Name":
			m.name, _ = text(kv.Value, nil)
		case key.Name == "Help":
			m.help, _ = text(kv.Value, k.texts)
		case key.Name == "ConstLabels":
			m.labels = k.names(kv.Value)
		}
	}
	if !strings.HasPrefix(m.name, "bolwerk_") || m.help == "" {
		return metric{}
	}
	return m
}

// call reads NewCounterVec(Opts{...}, labels) and maker(name, help, labels...).
func (k known) call(n *ast.CallExpr) (m metric) {
	if len(n.Args) < 2 {
		return m
	}
	if lit, ok := n.Args[0].(*ast.CompositeLit); ok {
		if m = k.options(lit); m.name != "" {
			m.labels = append(m.labels, k.names(n.Args[1])...)
		}
		return m
	}
	var mk maker
	if id, ok := n.Fun.(*ast.Ident); ok {
		mk = k.makers[id.Name]
	}
	at := 0 // of the name: something may stand before it
	for at < len(n.Args)-2 && !isText(n.Args[at]) {
		at++
	}
	first, _ := text(n.Args[at], nil)
	m.name, m.labels = mk.prefix+first, slices.Clone(mk.labels)
	m.help, _ = text(n.Args[at+1], k.texts)
	if !strings.HasPrefix(m.name, "bolwerk_") || !strings.Contains(m.help, " ") {
		return metric{}
	}
	for _, a := range n.Args[at+2:] {
		if s, ok := text(a, nil); ok && mk.prefix != "" {
			m.labels = append(m.labels, s)
		} else {
			m.labels = append(m.labels, k.names(a)...)
		}
	}
	return m
}

// add keeps one of each name, with all labels.
func add(all []metric, m metric) []metric {
	for i := range all {
		if all[i].name == m.name {
			for _, l := range m.labels {
				if !slices.Contains(all[i].labels, l) {
					all[i].labels = append(all[i].labels, l)
				}
			}
			return all
		}
	}
	return append(all, m)
}

// names are the texts in a list, the keys in a map of labels, or a local of them.
func (k known) names(e ast.Expr) (names []string) {
	if id, ok := e.(*ast.Ident); ok {
		return k.labels[id.Name]
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			e = kv.Key
		}
		if s, ok := text(e, nil); ok {
			names = append(names, s)
		}
	}
	return names
}

func isText(e ast.Expr) bool { _, ok := text(e, nil); return ok }

func text(e ast.Expr, known map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.Ident:
		s, ok := known[e.Name]
		return s, ok
	}
	return "", false
}
