package main

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"bolwerk/internal/app"
)

// configuration lists every key of the configuration file, from the types that
// hold it, their comments, and their defaults.
func configuration(root string) (string, error) {
	c := &keys{root: root, comments: map[string]map[string]string{}}
	v := reflect.ValueOf(app.Default())
	if err := c.table("", v); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`
# Configuration

One file of [TOML](https://toml.io), the same on every machine of an
installation; each role reads what it needs. An unknown key is an error that
names it and its line. ` + "`bolwerk check FILE`" + ` tells every problem at once,
` + "`bolwerk config FILE`" + ` prints what is in force. A secret is never in the file:
it stands in a file of its own with mode 0600, which the configuration names.

Times are written as ` + "`90s`, `4h`, `14d`" + `. Where no default stands, it is empty.
` + "`[[name]]`" + ` begins one row of several.

An example that passes ` + "`bolwerk check`" + ` is in
[the guide to an installation](../do/install.md).
`)
	for _, t := range c.tables {
		if t.name == "" {
			b.WriteString("\n## Top of the file\n")
		} else {
			fmt.Fprintf(&b, "\n## %s\n", t.name)
		}
		if t.about != "" {
			fmt.Fprintf(&b, "\n%s\n", t.about)
		}
		b.WriteString("\n| key | is | default | |\n|---|---|---|---|\n")
		for _, k := range t.keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.kind, k.standard, cell(k.about))
		}
	}
	return b.String(), nil
}

type table struct {
	name, about string
	keys        []key
}

type key struct{ name, kind, standard, about string }

type keys struct {
	root     string
	tables   []table
	comments map[string]map[string]string // "package.Type" -> field -> comment; "" is the type's own
}

// table adds the keys of a struct, and the tables below it.
func (c *keys) table(name string, v reflect.Value) error {
	at := len(c.tables)
	about, err := c.about(v.Type(), "")
	if err != nil {
		return err
	}
	c.tables = append(c.tables, table{name: bracket(name), about: strings.TrimSpace(about)})
	var below []func() error
	if err := c.fields(at, name, v, &below); err != nil {
		return err
	}
	if len(c.tables[at].keys) == 0 {
		c.tables = slices.Delete(c.tables, at, at+1)
	}
	for _, fn := range below {
		if err := fn(); err != nil {
			return err
		}
	}
	return nil
}

func bracket(name string) string {
	switch {
	case name == "":
		return ""
	case strings.HasPrefix(name, "[["):
		return "`" + name + "`"
	}
	return "`[" + name + "]`"
}

func join(name, key string) string {
	name = strings.Trim(name, "[]")
	if name == "" {
		return key
	}
	return name + "." + key
}

func (c *keys) fields(at int, name string, v reflect.Value, below *[]func() error) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		fv := v.Field(i)
		if f.Anonymous && tag == "" {
			if err := c.fields(at, name, fv, below); err != nil {
				return err
			}
			continue
		}
		if tag == "" {
			return fmt.Errorf("%s.%s has no key: give it a toml tag, or \"-\"", v.Type(), f.Name)
		}
		switch {
		case isTable(f.Type):
			*below = append(*below, func() error { return c.table(join(name, tag), fv) })
			continue
		case f.Type.Kind() == reflect.Slice && isTable(f.Type.Elem()):
			*below = append(*below, func() error { return c.table("[["+join(name, tag)+"]]", reflect.New(f.Type.Elem()).Elem()) })
			continue
		}
		about, err := c.about(v.Type(), f.Name)
		if err != nil {
			return err
		}
		if about == "" {
			return fmt.Errorf("%s.%s has no comment: say what the key %s does", v.Type(), f.Name, join(name, tag))
		}
		about = inKeys(about, v.Type())
		for _, lead := range []string{"`" + tag + "` is ", "`" + tag + "` are "} {
			about = strings.TrimPrefix(about, lead)
		}
		k := key{name: tag, kind: kind(f.Type), standard: standard(fv), about: about}
		if strings.HasPrefix(name, "[[") && fv.IsZero() {
			k.standard = "" // a row is written as it is meant; nothing stands there before
		}
		c.tables[at].keys = append(c.tables[at].keys, k)
	}
	return nil
}

var textual = reflect.TypeFor[encoding.TextMarshaler]()

func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !t.Implements(textual) && !reflect.PointerTo(t).Implements(textual)
}

// kind says what may stand there, in words.
func kind(t reflect.Type) string {
	switch t.String() {
	case "bolwerk.Duration":
		return "time"
	case "mail.Address":
		return "mail address"
	case "bolwerk.Domain":
		return "name"
	case "netip.Prefix":
		return "network"
	case "netip.Addr":
		return "address"
	case "time.Time":
		return "moment"
	case "bolwerk.Lang":
		return "nl, fr, de or en"
	case "toml.LocalDate":
		return "date"
	case "shield.Days":
		return "days"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of " + kind(t.Elem())
	case reflect.Map:
		return kind(t.Elem()) + " by name"
	}
	return t.String()
}

// standard is the default as the file would have it.
func standard(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		var all []string
		for i := range v.Len() {
			all = append(all, strings.Trim(standard(v.Index(i)), "`"))
		}
		if len(all) == 0 {
			return ""
		}
		return "`[" + strings.Join(all, ", ") + "]`"
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil && len(b) > 0 && string(b) != "0s" {
			return "`\"" + string(b) + "\"`"
		}
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		if v.String() == "" {
			return ""
		}
		return "`\"" + v.String() + "\"`"
	case reflect.Map:
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// about is the comment of a field, or of the type where field is "".
func (c *keys) about(t reflect.Type, field string) (string, error) {
	id := t.PkgPath() + "." + t.Name()
	if c.comments[id] == nil {
		if err := c.read(t.PkgPath()); err != nil {
			return "", err
		}
	}
	text := c.comments[id][field]
	if field == "" {
		text = strings.TrimSpace(strings.TrimPrefix(text, t.Name()+" "))
		text = strings.TrimPrefix(text, "is ")
		if text != "" {
			text = strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text, nil
}

// read keeps the comments of a package's structs.
func (c *keys) read(pkg string) error {
	dir := filepath.Join(c.root, strings.TrimPrefix(strings.TrimPrefix(pkg, "bolwerk"), "/"))
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if filepath.Ext(n.Name()) != ".go" || strings.HasSuffix(n.Name(), "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(dir, n.Name()), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				ts, ok := s.(*ast.TypeSpec)
				if !ok {
					continue
				}
				st, ok := ts.Type.(*ast.StructType)
				if !ok {
					continue
				}
				c.comments[pkg+"."+ts.Name.Name] = fieldComments(fset, g.Doc.Text(), st)
			}
		}
	}
	return nil
}

// fieldComments gives the comment of each field. A comment above a field covers
// the fields that follow without a gap; one behind it covers that field only.
func fieldComments(fset *token.FileSet, doc string, st *ast.StructType) map[string]string {
	fields := map[string]string{"": oneLine(doc)}
	running, last := "", 0
	for _, fl := range st.Fields.List {
		begin := fset.Position(fl.Pos()).Line
		switch {
		case fl.Doc != nil:
			running = oneLine(fl.Doc.Text())
		case begin != last+1:
			running = ""
		}
		last = fset.Position(fl.End()).Line
		for _, n := range fl.Names {
			fields[n.Name] = running
			if fl.Doc == nil && fl.Comment != nil {
				fields[n.Name] = oneLine(fl.Comment.Text())
			}
		}
	}
	return fields
}

// inKeys writes the keys of t where a comment names its fields.
func inKeys(text string, t reflect.Type) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if f, ok := t.FieldByName(w); ok {
			if tag, _, _ := strings.Cut(f.Tag.Get("toml"), ","); tag != "" && tag != "-" {
				return "`" + tag + "`"
			}
		}
		return w
	})
}

var word = regexp.MustCompile(`\b[A-Z]\w+\b`)

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
