package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"text/template/parse"
	"time"

	"bolwerk"
)

//go:embed pages/*.html
var ownPages embed.FS

// Pages are the templates of one package over the layout of the house. All are
// read and checked at the start; what is kept of a page in a brand and language
// is made when it is first asked for: forty pages in four languages are 60 MB,
// and most people read one.
type Pages struct {
	f    *Frame
	made map[version]func() (*template.Template, error)
}

// version is a page in one brand and one language.
type version struct {
	look int
	lang bolwerk.Lang
	name string
}

// Pages reads dir/*.html. Each file is a page, named by the file without
// ".html", and defines the blocks "title" and "main", and "head" where it needs
// it; files that begin with "_" are parts that all pages of dir may use. In
// them stand, for the reader's language:
//
//	{{t "key" args...}}   the text
//	{{say "key" other}}   the text where there is one, else the other;
//	{{tell "key" args other}} the same with a list of arguments
//	{{n 1204}}            a whole number
//	{{time .At}}          a time; {{stamp .At}} the same without its element
//	{{age .At}}           how long ago
//	{{asset "x.css"}}     the path of a static file
//
// The data of the page is .Data. A text or file that is not there is an error.
func (f *Frame) Pages(fsys fs.FS, dir string) (*Pages, error) {
	p := &Pages{f: f, made: map[version]func() (*template.Template, error){}}
	base, err := template.New("layout").Funcs(f.funcs(f.looks[0], f.site.Config.Languages[0])).Option("missingkey=zero").ParseFS(ownPages, "pages/_layout.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(fsys, dir+"/*.html")
	if err != nil {
		return nil, err
	}
	var pages []string
	for _, name := range files {
		switch file := path.Base(name); {
		case !strings.HasPrefix(file, "_"):
			pages = append(pages, name)
		case file != "_layout.html":
			if base, err = base.ParseFS(fsys, name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range pages {
		t, err := over(base, fsys, name)
		if err == nil {
			err = f.checkPage(t)
		}
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		for i, l := range f.looks {
			for _, lang := range f.site.Config.Languages {
				p.made[version{i, lang, strings.TrimSuffix(path.Base(name), ".html")}] = sync.OnceValues(func() (*template.Template, error) {
					t, err := over(base, fsys, name)
					if err != nil {
						return nil, err
					}
					return t.Funcs(f.funcs(l, lang)), nil
				})
			}
		}
	}
	return p, nil
}

// over is a page over its layout and parts. It leaves base as it was.
func over(base *template.Template, fsys fs.FS, name string) (*template.Template, error) {
	t, err := base.Clone()
	if err != nil {
		return nil, err
	}
	return t.ParseFS(fsys, name)
}

func (f *Frame) funcs(l *look, lang bolwerk.Lang) template.FuncMap {
	return template.FuncMap{
		"t": func(key string, args ...any) string { return l.texts.T(lang, key, args...) },
		"say": func(key, other string) string {
			if l.texts.Has(key) {
				return l.texts.T(lang, key)
			}
			return other
		},
		"tell": func(key string, args []string, other string) string {
			if !l.texts.Has(key) {
				return other
			}
			list := make([]any, len(args))
			for i, a := range args {
				list[i] = a
			}
			return l.texts.T(lang, key, list...)
		},
		"told":     func(said string) string { return l.texts.Told(lang, said) },
		"seen":     func(said string) string { return l.texts.Seen(lang, said) },
		"sentence": Sentence,
		"advice":   func(hint string) string { return l.texts.Advice(lang, hint) },
		"n":        func(n any) string { return show(lang, n) },
		"time":     func(at time.Time) template.HTML { return f.timeTag(l.texts, lang, at) },
		"stamp":    func(at time.Time) string { return Stamp(at, f.zone) },
		"age":      func(at time.Time) string { return Span(f.site.Clock.Now().Sub(at)) },
		"asset":    func(name string) string { return l.paths[name] },
	}
}

// checkPage looks for texts and files that a page names and that are not there.
func (f *Frame) checkPage(t *template.Template) error {
	for _, part := range t.Templates() {
		if part.Tree == nil {
			continue
		}
		if err := f.checkNode(part.Tree.Root); err != nil {
			return err
		}
	}
	return nil
}

func (f *Frame) checkNode(n parse.Node) error {
	var inside []parse.Node
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			inside = n.Nodes
		}
	case *parse.ActionNode:
		inside = []parse.Node{n.Pipe}
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				inside = append(inside, c)
			}
		}
	case *parse.CommandNode:
		if err := f.checkCall(n); err != nil {
			return err
		}
		inside = n.Args
	case *parse.IfNode:
		inside = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.RangeNode:
		inside = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.WithNode:
		inside = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.TemplateNode:
		inside = []parse.Node{n.Pipe}
	}
	for _, i := range inside {
		if err := f.checkNode(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *Frame) checkCall(c *parse.CommandNode) error {
	if len(c.Args) < 2 {
		return nil
	}
	fn, isFn := c.Args[0].(*parse.IdentifierNode)
	arg, isText := c.Args[1].(*parse.StringNode)
	switch {
	case !isFn || !isText:
	case fn.Ident == "t" && !f.texts.Has(arg.Text):
		return fmt.Errorf("there is no text %q", arg.Text)
	case fn.Ident == "asset" && f.paths[arg.Text] == "":
		return fmt.Errorf("there is no file %q", arg.Text)
	}
	return nil
}

// view is what the layout is given.
type view struct {
	Lang    bolwerk.Lang
	Langs   []langLink
	Brand   string
	Logo    string
	Legal   string
	Console bool
	Who     *Who
	Places  []placeLink
	Search  string // where a search leads
	Sought  string // what was searched for
	Path    string
	Data    any
}

type langLink struct {
	Lang bolwerk.Lang
	Name string
	Href string
	Here bool
}

type placeLink struct {
	Path, Text string
	Here       bool
}

// find gives a page in the brand and the language of the request, or in the
// site's first language.
func (p *Pages) find(r *http.Request, name string) (*template.Template, *look, bolwerk.Lang, error) {
	lang, l := recordOf(r).lang, p.f.look(r)
	page := p.made[version{l.number, lang, name}]
	if page == nil {
		lang = p.f.site.Config.Languages[0]
		page = p.made[version{l.number, lang, name}]
	}
	if page == nil {
		return nil, nil, lang, fmt.Errorf("there is no page %q", name)
	}
	t, err := page()
	return t, l, lang, err
}

// Render answers with a page. Nothing is written when it returns an error.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, name string, data any) error {
	t, l, lang, err := p.find(r, name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", p.f.view(r, l, lang, data)); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(lang))
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a broken connection is all that can go wrong
	return nil
}

// Fragment answers with one block of a page, for a page that fills itself up: it
// is given .Lang and .Data as the page is. Nothing is written when it returns an
// error.
func (p *Pages) Fragment(w http.ResponseWriter, r *http.Request, name, block string, data any) error {
	t, _, lang, err := p.find(r, name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, block, view{Lang: lang, Console: p.f.site.Console, Path: r.URL.Path, Data: data}); err != nil {
		return fmt.Errorf("page %s, %s: %w", name, block, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(lang))
	_, _ = b.WriteTo(w) // a broken connection is all that can go wrong
	return nil
}

var langNames = map[bolwerk.Lang]string{bolwerk.NL: "Nederlands", bolwerk.FR: "Français", bolwerk.DE: "Deutsch", bolwerk.EN: "English"}

func (f *Frame) view(r *http.Request, l *look, lang bolwerk.Lang, data any) view {
	v := view{Lang: lang, Brand: l.brand.Name, Logo: l.paths["logo"], Legal: l.brand.Legal[string(lang)], Console: f.site.Console, Path: r.URL.Path, Search: f.site.Search, Data: data}
	if v.Search != "" && v.Path == v.Search {
		v.Sought = r.URL.Query().Get("q")
	}
	if f.site.Who != nil {
		v.Who = f.site.Who(r)
	}
	// A switch leads to a page that can be had by GET: the answer to a form may not.
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		for _, l := range f.site.Config.Languages {
			q := r.URL.Query()
			q.Set("lang", string(l))
			v.Langs = append(v.Langs, langLink{l, langNames[l], "?" + q.Encode(), l == lang})
		}
	}
	if v.Who == nil {
		return v
	}
	longest, here := "", ""
	for _, p := range f.site.Places {
		for _, path := range append([]string{p.Path}, p.Also...) {
			if below(r.URL.Path, path) && len(path) > len(longest) {
				longest, here = path, p.Path
			}
		}
	}
	for _, p := range f.site.Places {
		if p.For == nil || p.For(v.Who) {
			v.Places = append(v.Places, placeLink{p.Path, l.texts.T(lang, p.Text), p.Path == here})
		}
	}
	return v
}

func below(path, place string) bool {
	return path == place || place != "/" && strings.HasPrefix(path, place+"/")
}
