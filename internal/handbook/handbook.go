// Package handbook serves the documents in the console: what is true of this
// version, without the Internet.
package handbook

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"bolwerk"
	"bolwerk/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

// Root is where the documents are served.
const Root = "/docs"

// Place is where the console shows them.
func Place() web.Place { return web.Place{Path: Root, Text: "web.help"} }

// Handbook is every document, as a page.
type Handbook struct {
	pages *web.Pages
	all   map[string]document // by file, "do/install.md"
}

type document struct {
	Title string
	Body  template.HTML
	First bool
}

// New renders the documents in files. Markup that is not Markdown is left out.
func New(frame *web.Frame, files fs.FS) (*Handbook, error) {
	pages, err := frame.Pages(pageFiles, "pages")
	if err != nil {
		return nil, err
	}
	h := &Handbook{pages: pages, all: map[string]document{}}
	err = fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		d, err := render(files, name, source)
		if err != nil {
			return fmt.Errorf("document %s: %w", name, err)
		}
		h.all[name] = d
		return nil
	})
	return h, err
}

// render makes a page of a document. Links to other documents lead to their
// pages; what a link names outside of them stays as its words.
func render(files fs.FS, name string, source []byte) (document, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	tree := md.Parser().Parse(text.NewReader(source))
	d := document{First: name == "README.md"}
	var out []ast.Node
	err := ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 && d.Title == "" {
				d.Title = words(n, source)
			}
		case *ast.Link:
			to := address(files, name, string(n.Destination))
			if to == "" {
				out = append(out, n)
			}
			n.Destination = []byte(to)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return d, err
	}
	for _, link := range out {
		parent := link.Parent()
		for c := link.FirstChild(); c != nil; {
			next := c.NextSibling()
			parent.InsertBefore(parent, link, c)
			c = next
		}
		parent.RemoveChild(parent, link)
	}
	var b bytes.Buffer
	if err := md.Renderer().Render(&b, source, tree); err != nil {
		return d, err
	}
	// goldmark escapes, and leaves markup of others out. What can be moved
	// sideways can be reached by keyboard.
	d.Body = template.HTML(strings.ReplaceAll(b.String(), "<pre>", `<pre tabindex="0">`))
	if d.Title == "" {
		d.Title = name
	}
	return d, nil
}

// words are the text of a node.
func words(n ast.Node, source []byte) string {
	var b strings.Builder
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// address is where a link in the document name leads here; empty: nowhere.
func address(files fs.FS, name, to string) string {
	if strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "#") {
		return to
	}
	file, fragment, _ := strings.Cut(to, "#")
	if fragment != "" {
		fragment = "#" + fragment
	}
	target := path.Join(path.Dir(name), file)
	if _, err := fs.Stat(files, target); err != nil || path.Ext(target) != ".md" {
		return ""
	}
	if target == "README.md" {
		return Root + fragment
	}
	return Root + "/" + strings.TrimSuffix(target, ".md") + fragment
}

// Routes adds the pages to the console's mux; let is who may look.
func (h *Handbook) Routes(mux *http.ServeMux, frame *web.Frame, let func(http.Handler) http.Handler) {
	page := let(frame.Do(h.page))
	mux.Handle("GET "+Root, page)
	mux.Handle("GET "+Root+"/{name...}", page)
}

func (h *Handbook) page(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if name == "" {
		name = "README"
	}
	d, ok := h.all[name+".md"]
	if !ok {
		return bolwerk.NotFound("there is no such document")
	}
	return h.pages.Render(w, r, http.StatusOK, "document", d)
}
