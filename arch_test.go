package bolwerk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"bolwerk/internal/store"
)

// The rules of the house, held by tests. docs/understand/architecture.md says
// what they are for.

// pack is what `go list` knows of a package.
type pack struct {
	ImportPath, Dir, Name string
	GoFiles, CgoFiles     []string
	IgnoredGoFiles        []string
	Imports               []string
	Standard              bool
	Error                 *struct{ Err string }
}

var list = sync.OnceValues(func() (map[string]*pack, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,Name,GoFiles,CgoFiles,IgnoredGoFiles,Imports,Standard,Error", "./...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are built
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	all := map[string]*pack{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pack)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
})

// packages gives all packages, with what they import, and the names of ours.
func packages(t *testing.T) (all map[string]*pack, ours []string) {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if isOurs(path) {
			ours = append(ours, path)
		}
	}
	if len(ours) < 20 {
		t.Fatalf("go list named %d packages of ours", len(ours))
	}
	return all, ours
}

func isOurs(path string) bool { return path == "bolwerk" || strings.HasPrefix(path, "bolwerk/") }

// The floors, from the bottom.
const (
	language = iota
	ground
	sharedDesk
	capability
	demo
	app
	cli
	command
	outside // tests, load programs and the generator of the lists: may import all
)

var floorNames = []string{"the language (package bolwerk)", "the ground (internal)", "the shared floor (desk)", "a capability", "the demo world (internal/demo)", "internal/app", "internal/cli", "a command (cmd)", "a test or a tool"}

func floor(path string) int {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, "bolwerk"), "/")
	switch top, rest, _ := strings.Cut(rel, "/"); top {
	case "":
		return language
	case "internal":
		switch first, _, _ := strings.Cut(rest, "/"); first {
		case "demo":
			return demo
		case "app":
			return app
		case "cli":
			return cli
		}
		return ground
	case "desk":
		return sharedDesk
	case "cmd":
		return command
	case "docs":
		if rest == "" {
			return ground // the texts themselves
		}
		return outside
	case "test", "bench":
		return outside
	}
	return capability
}

// capabilityOf is the folder of a capability; "" elsewhere.
func capabilityOf(path string) string {
	if floor(path) != capability {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "bolwerk/"), "/")
	return name
}

func TestArrowsPointDown(t *testing.T) {
	all, ours := packages(t)
	for _, from := range ours {
		for _, to := range all[from].Imports {
			if !isOurs(to) {
				if from == "bolwerk" && strings.Contains(strings.Split(to, "/")[0], ".") {
					t.Errorf("package bolwerk imports %s: the language uses the standard library only; move what needs the module to a package of internal/", to)
				}
				continue
			}
			a, b := floor(from), floor(to)
			if a < b {
				t.Errorf("%s imports %s: %s must not know %s. Let the lower one declare what it asks for as a small interface and internal/app pass the value in, or tell a fact", from, to, floorNames[a], floorNames[b])
			}
			ca, cb := capabilityOf(from), capabilityOf(to)
			if ca != "" && cb != "" && ca != cb && to != "bolwerk/"+cb+"/fact" {
				t.Errorf("%s imports %s: capabilities do not know each other. Hear its facts (package bolwerk/%s/fact), or move what both share to desk/", from, to, cb)
			}
		}
	}
}

// What runs in front of strangers and customers: a role's file in internal/app,
// and the parts of a capability that the file builds.
var outerFiles = []string{"intake.go", "edge.go", "probe.go", "agent.go", "relay.go"}
var outerParts = []string{"edge", "agent", "zones", "door", "reading", "fact", "probe", "capture"}

func TestOuterRolesNeverReachTheDatabase(t *testing.T) {
	all, ours := packages(t)
	check := func(what string, imports []string) {
		t.Helper()
		for _, path := range imports {
			if way := reach(all, path, "database/sql", map[string]bool{}); way != nil {
				t.Errorf("%s reaches the database: %s. Only the desk may: move what the outer role needs into a package that does not import the store", what, strings.Join(way, " -> "))
			}
		}
	}
	built := all["bolwerk/internal/app"]
	for _, name := range outerFiles {
		if built == nil || !slices.Contains(built.GoFiles, name) {
			continue // a role comes with its issue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(built.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		var imports []string
		for _, i := range file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			imports = append(imports, path)
		}
		check("internal/app/"+name, imports)
	}
	for _, path := range ours {
		if c := capabilityOf(path); c != "" && slices.Contains(outerParts, strings.TrimPrefix(path, "bolwerk/"+c+"/")) {
			check(path, []string{path})
		}
	}
}

// reach gives the imports from a package to another, or nil.
func reach(all map[string]*pack, from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	if seen[from] || all[from] == nil {
		return nil
	}
	seen[from] = true
	for _, next := range all[from].Imports {
		if way := reach(all, next, to, seen); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}

// What other files of internal/app use is compiled into the same program, so
// the file may not call it either: a name from a file that knows the store.
func TestOuterRolesUseNothingOfTheDesksFile(t *testing.T) {
	all, _ := packages(t)
	built := all["bolwerk/internal/app"]
	if built == nil {
		t.Skip("internal/app is not there")
	}
	fset := token.NewFileSet()
	owner := map[string]string{} // package-level name -> the file that declares it
	files := map[string]*ast.File{}
	for _, name := range built.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(built.Dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
		for _, d := range f.Decls {
			for _, id := range declared(d) {
				owner[id] = name
			}
		}
	}
	knowsStore := map[string]bool{}
	for name, f := range files {
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			knowsStore[name] = knowsStore[name] || path == "bolwerk/internal/store"
		}
	}
	delete(knowsStore, "config.go") // holds the settings of every role
	for _, name := range outerFiles {
		if files[name] == nil {
			continue
		}
		used := func(id *ast.Ident) {
			if id.Name != "_" && id.Obj == nil && knowsStore[owner[id.Name]] { // not declared in this file
				t.Errorf("internal/app/%s:%d uses %s of %s, which knows the store: an outer role is built without it", name, fset.Position(id.Pos()).Line, id.Name, owner[id.Name])
			}
		}
		var look func(n ast.Node) bool
		look = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr: // x.Name: only x may be a name of the package
				ast.Inspect(n.X, look)
				return false
			case *ast.KeyValueExpr: // Field: value
				ast.Inspect(n.Value, look)
				return false
			case *ast.Ident:
				used(n)
			}
			return true
		}
		for _, d := range files[name].Decls {
			ast.Inspect(d, look)
		}
	}
}

func declared(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// source calls fn for each of our Go files that is built, tests left out.
func source(t *testing.T, fn func(p *pack, rel string, fset *token.FileSet, f *ast.File)) {
	t.Helper()
	all, ours := packages(t)
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range ours {
		p := all[path]
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			rel, _ := filepath.Rel(root, filepath.Join(p.Dir, name))
			fn(p, rel, fset, f)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said, built := map[string]string{}, map[string]bool{}
	source(t, func(p *pack, rel string, _ *token.FileSet, f *ast.File) {
		built[p.ImportPath] = true
		if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
			if said[p.ImportPath] != "" {
				t.Errorf("%s and %s both open package %s: keep one", said[p.ImportPath], rel, p.ImportPath)
			}
			said[p.ImportPath] = rel
		}
	})
	for path := range built {
		if said[path] == "" {
			t.Errorf("package %s has no comment: say in one or two sentences above its package clause what it is for", path)
		}
		if last := path[strings.LastIndexByte(path, '/')+1:]; slices.Contains([]string{"util", "utils", "helper", "helpers", "common", "models", "manager", "misc"}, last) {
			t.Errorf("package %s: a folder is a capability or a piece of ground, never a kind of code; name it after what it is for", path)
		}
	}
}

// Methods that an interface of the standard library names promise what it says.
var known = strings.Fields("String Error Unwrap Is GoString Format LogValue MarshalText UnmarshalText AppendText MarshalJSON UnmarshalJSON MarshalBinary UnmarshalBinary MarshalTOML UnmarshalTOML ServeHTTP Read Write Close Len Less Swap Now Addr Accept")

func TestEveryExportedNameSaysWhatItPromises(t *testing.T) {
	source(t, func(p *pack, rel string, fset *token.FileSet, f *ast.File) {
		if p.Name == "main" {
			return
		}
		line := func(pos token.Pos) int { return fset.Position(pos).Line }
		covered := 0 // the last line of what a comment covers: it goes on for lines that follow without a gap
		for _, d := range f.Decls {
			var doc *ast.CommentGroup
			switch d := d.(type) {
			case *ast.FuncDecl:
				doc = d.Doc
			case *ast.GenDecl:
				doc = d.Doc
			}
			has := doc != nil || line(d.Pos()) == covered+1
			if has {
				covered = line(d.End())
			}
			for _, id := range undocumented(d, has) {
				t.Errorf("%s:%d: %s has no comment: say in a sentence what it promises (units, limits, what nil and zero mean)", rel, line(id.Pos()), id.Name)
			}
		}
	})
}

// undocumented gives the exported names of a declaration without a comment.
func undocumented(d ast.Decl, has bool) (ids []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if has || !d.Name.IsExported() || d.Recv != nil && (slices.Contains(known, d.Name.Name) || !exportedReceiver(d.Recv)) {
			return nil
		}
		return []*ast.Ident{d.Name}
	case *ast.GenDecl:
		if has {
			return nil
		}
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
					ids = append(ids, s.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && s.Doc == nil && s.Comment == nil {
						ids = append(ids, n)
					}
				}
			}
		}
	}
	return ids
}

func exportedReceiver(r *ast.FieldList) bool {
	typ := r.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func TestEveryCapabilityHasItsREADME(t *testing.T) {
	_, ours := packages(t)
	for _, path := range ours {
		if c := capabilityOf(path); c != "" && path == "bolwerk/"+c {
			b, err := os.ReadFile(filepath.Join(c, "README.md"))
			if err != nil {
				t.Errorf("%s has no README.md: say what it does, its settings, an example, metrics, facts", c)
				continue
			}
			for _, part := range []string{"## Settings", "## Example", "## Metrics", "## Facts"} {
				if !bytes.Contains(b, []byte("\n"+part)) {
					t.Errorf("%s/README.md has no part %q", c, part)
				}
			}
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	source(t, func(_ *pack, rel string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s:%d: func init: make what it makes in New, or in a sync.OnceValue", rel, fset.Position(fn.Pos()).Line)
			}
		}
		for _, g := range f.Comments {
			if s := g.Text(); regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`).MatchString(s) && !regexp.MustCompile(`TODO\(#\d+\)`).MatchString(s) {
				t.Errorf("%s:%d: name the issue, TODO(#123), or do it", rel, fset.Position(g.Pos()).Line)
			}
		}
	})
}

// One SQL text serves both engines.
func TestSQLRunsAlikeOnBothEngines(t *testing.T) {
	sql := regexp.MustCompile(`(?is)^\s*(select|insert into|update \w+ set|delete from|create (table|unique index|index)|alter table|drop) `)
	texts := 0
	source(t, func(p *pack, rel string, fset *token.FileSet, f *ast.File) {
		if floor(p.ImportPath) == outside || strings.HasPrefix(p.ImportPath, "bolwerk/internal/store") {
			return // the store itself knows the engines
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if s, err := strconv.Unquote(lit.Value); err == nil && sql.MatchString(s) {
				texts++
				if err := store.CheckSQL(s); err != nil {
					t.Errorf("%s:%d: %v", rel, fset.Position(lit.Pos()).Line, err)
				}
			}
			return true
		})
	})
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".sql" {
			return err
		}
		texts++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := store.CheckSQL(string(b)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || texts < 50 {
		t.Errorf("found %d texts of SQL (%v)", texts, err)
	}
}
