package door

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"bolwerk"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
)

//go:embed guides/*.toml
var guideFiles embed.FS

// guides are the pages of /learn, in the order of its list. Their texts are
// "guide.NAME".
var guides = []string{"phishing", "helpdesk", "shop", "call", "password", "owner"}

// doc is a text of several paragraphs. In the files it is written like this:
//
//	# Title
//	The lead.
//	## A part
//	- a point
//	1. a step
//	[partners]            behind a step: whom to call
//	[mail] what is drawn  a message as people see it, with | lines,
//	| From: somebody (1)  (1) for a mark and > for a button,
//	+ what the mark says  and what each mark means
//	=> /path A link
type doc struct {
	Title, Lead string
	Parts       []docPart
}

type docPart struct {
	Head   string
	Blocks []docBlock
}

// docBlock is a paragraph, a list, a link or a drawn message.
type docBlock struct {
	Kind  string // p, ul, ol, link, draw
	Items []docItem
	Text  string // of a paragraph, a link, or what is drawn
	Path  string // of a link
	Look  string // of what is drawn: mail, sms, call, address
	Lines []docLine
}

type docItem struct {
	Text     string
	Partners bool // whom to call stands below
}

// docLine is a line of a drawn message.
type docLine struct {
	Button bool
	Parts  []docMark
}

// docMark is a piece of a line, or the number of a mark.
type docMark struct{ Text, Mark string }

var marked = regexp.MustCompile(`\((\d)\)`)

// parseDoc reads a text; what does not fit the form is an error.
func parseDoc(s string) (doc, error) {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	title, ok := strings.CutPrefix(lines[0], "# ")
	if !ok {
		return doc{}, fmt.Errorf("begins with %q, not with a title", lines[0])
	}
	d := doc{Title: title, Parts: []docPart{{}}}
	for _, line := range lines[1:] {
		part := &d.Parts[len(d.Parts)-1]
		switch {
		case strings.HasPrefix(line, "## "):
			d.Parts = append(d.Parts, docPart{Head: line[3:]})
		case d.Lead == "" && len(d.Parts) == 1 && len(part.Blocks) == 0 && !strings.ContainsAny(line[:1], "-[=|+0123456789"):
			d.Lead = line
		default:
			if err := part.add(line); err != nil {
				return doc{}, err
			}
		}
	}
	if len(d.Parts[0].Blocks) == 0 {
		d.Parts = d.Parts[1:]
	}
	return d, nil
}

var step = regexp.MustCompile(`^\d\. `)

// add takes one line in: it goes on with the last block, or begins another.
func (p *docPart) add(line string) error {
	var last *docBlock
	if n := len(p.Blocks); n > 0 {
		last = &p.Blocks[n-1]
	}
	is := func(kind string) bool { return last != nil && last.Kind == kind }
	item := func(kind, text string) {
		if !is(kind) {
			p.Blocks = append(p.Blocks, docBlock{Kind: kind})
			last = &p.Blocks[len(p.Blocks)-1]
		}
		last.Items = append(last.Items, docItem{Text: text})
	}
	switch {
	case strings.HasPrefix(line, "- "):
		item("ul", line[2:])
	case step.MatchString(line):
		item("ol", line[3:])
	case line == "[partners]" && last != nil && len(last.Items) > 0:
		last.Items[len(last.Items)-1].Partners = true
	case strings.HasPrefix(line, "=> "):
		path, text, _ := strings.Cut(line[3:], " ")
		p.Blocks = append(p.Blocks, docBlock{Kind: "link", Path: path, Text: text})
	case strings.HasPrefix(line, "["):
		look, text, ok := strings.Cut(line[1:], "] ")
		if !ok {
			return fmt.Errorf("%q is nothing that can be drawn", line)
		}
		p.Blocks = append(p.Blocks, docBlock{Kind: "draw", Look: look, Text: text})
	case strings.HasPrefix(line, "| ") && is("draw"):
		last.Lines = append(last.Lines, drawn(line[2:]))
	case strings.HasPrefix(line, "+ ") && is("draw"):
		last.Items = append(last.Items, docItem{Text: line[2:]})
	case strings.ContainsAny(line[:min(1, len(line))], "|+[=#") || line == "":
		return fmt.Errorf("%q stands where it means nothing", line)
	default:
		p.Blocks = append(p.Blocks, docBlock{Kind: "p", Text: line})
	}
	return nil
}

func drawn(s string) (l docLine) {
	s, l.Button = strings.CutPrefix(s, "> ")
	for s != "" {
		at := marked.FindStringSubmatchIndex(s)
		if at == nil {
			l.Parts = append(l.Parts, docMark{Text: s})
			break
		}
		l.Parts = append(l.Parts, docMark{Text: s[:at[0]]}, docMark{Mark: s[at[2]:at[3]]})
		s = s[at[1]:]
	}
	return l
}

// docs are all texts of that form, by language and name.
type docs map[bolwerk.Lang]map[string]doc

// readDocs reads them once: they are the same for everybody.
func readDocs(texts *web.Texts) (docs, error) {
	names := append([]string{}, guides...)
	names = append(names, "aid")
	for _, k := range aid.Kinds() {
		names = append(names, "aid."+string(k))
	}
	all := docs{}
	for _, lang := range bolwerk.Langs() {
		all[lang] = map[string]doc{}
		for _, name := range names {
			d, err := parseDoc(texts.T(lang, "guide."+name))
			if err != nil {
				return nil, fmt.Errorf("text guide.%s in %s: %w", name, lang, err)
			}
			all[lang][name] = d
		}
	}
	return all, nil
}

type learnPage struct {
	page
	Guides []guideLink
}

type guideLink struct {
	Path string
	doc
}

func (d *Door) learn(w http.ResponseWriter, r *http.Request) error {
	p := learnPage{page: d.page(r)}
	for _, name := range guides {
		p.Guides = append(p.Guides, guideLink{"/learn/" + name, d.docs[web.Lang(r)][name]})
	}
	return d.pages.Render(w, r, http.StatusOK, "learn", p)
}

type guidePage struct {
	page
	Doc doc
}

func (d *Door) guide(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("guide")
	got, ok := d.docs[web.Lang(r)][name]
	if !ok || strings.HasPrefix(name, "aid") {
		return bolwerk.NotFound("there is no page %.40q", name)
	}
	return d.pages.Render(w, r, http.StatusOK, "guide", guidePage{page: d.page(r), Doc: got})
}

type aidPage struct {
	page
	Doc   doc
	Kinds []aidKind
}

// aidKind is what to do for one kind of data that was given away.
type aidKind struct {
	Kind aid.Kind
	doc
	Call []call
}

// call is a partner with a number that a telephone can take from the page.
type call struct {
	aid.Line
	Href template.URL
}

func (d *Door) firstAid(w http.ResponseWriter, r *http.Request) error {
	lang := web.Lang(r)
	return d.pages.Render(w, r, http.StatusOK, "aid", aidPage{page: d.page(r), Doc: d.docs[lang]["aid"], Kinds: d.kinds(lang)})
}

func (d *Door) kinds(lang bolwerk.Lang) (out []aidKind) {
	for _, k := range aid.Kinds() {
		kind := aidKind{Kind: k, doc: d.docs[lang]["aid."+string(k)]}
		for _, l := range d.cfg.Partners.For(k, lang) {
			c := call{Line: l}
			if l.Dial != "" {
				c.Href = template.URL("tel:" + l.Dial) // digits, and a plus in front
			}
			kind.Call = append(kind.Call, c)
		}
		out = append(out, kind)
	}
	return out
}

// block is a block of a text with what it needs of the page around it.
type block struct {
	page
	docBlock
	Call []call
}

// Block gives a template a block and whom to call.
func (p page) Block(b docBlock, call []call) block { return block{p, b, call} }
