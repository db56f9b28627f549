package reading

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// page is what an HTML text holds: its text as a reader sees it, and its links
// with their place in that text.
type page struct {
	text  string
	links []link
	// taken are the spans of text that are the text of a link: names in them are
	// what the link shows, not links of their own.
	taken [][2]int
	cut   bool // a bound was reached
	calls []call
}

// call is a link that opens another program: mailto:, tel:.
type call struct {
	raw string
	at  int
}

type link struct {
	raw  string
	role Role
	how  string // "href", "img:src": goes into Via behind "text/html:"
	text string
	at   int // place in page.text
}

// maxLinks bounds the links of one page before they are made unique.
const maxLinks = 20 * MaxURLs

// parser walks the tokens of a page. It keeps no tree: strangers choose the depth.
type parser struct {
	page
	b      strings.Builder
	space  bool   // white space is due before the next word
	base   string // of <base href>
	anchor int    // index in links of the open <a>, or -1
	from   int    // where its text begins
	raw    string // element whose text is not shown: style, script, title
	nested bool   // inside a conditional comment, a data: URI or a script's text
	files  bool   // a file that a browser opens: its scripts run
	tlds   []string
}

// parsePage reads HTML as mail programs show it. It follows no link and loads
// nothing.
func parsePage(src string, tlds []string) page { return parse(src, false, tlds) }

// parse reads HTML; browser says that scripts in it run, tlds is Option.TLDs.
func parse(src string, browser bool, tlds []string) page {
	p := parser{anchor: -1, files: browser, tlds: tlds}
	p.walk(src)
	p.closeLink()
	p.text = p.b.String()
	return p.page
}

func (p *parser) walk(src string) {
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(maxToken)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() == html.ErrBufferExceeded {
				p.cut = true
			}
			return
		case html.TextToken:
			switch p.raw {
			case "":
				p.show(string(z.Text()))
			case "style":
				p.css(string(z.Text()))
			case "script":
				if p.files {
					p.script(string(z.Text()), "script")
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			p.end(string(name))
		case html.CommentToken:
			// <!--[if mso]> ... <![endif]-->: Outlook reads what is inside.
			if t := z.Text(); !p.nested && bytes.HasPrefix(bytes.TrimSpace(t), []byte("[if")) {
				p.conditional(string(t))
			}
		case html.DoctypeToken:
			p.quotedURLs(string(z.Text()), Namespace, "doctype")
		}
		if len(p.links) >= maxLinks || p.b.Len() > MaxTextBytes {
			p.cut = true
			return
		}
	}
}

// conditional reads the inside of a conditional comment for its links; its text
// is shown by Outlook only and mostly the same again.
func (p *parser) conditional(t string) {
	_, inside, ok := strings.Cut(t, "]>")
	if !ok {
		return
	}
	in := parser{anchor: -1, nested: true, base: p.base, files: p.files, tlds: p.tlds}
	in.walk(inside)
	in.closeLink()
	for _, l := range in.links {
		l.at = p.b.Len()
		p.links = append(p.links, l)
	}
}

// breaking are the elements that begin a new line of text.
var breaking = map[string]bool{"br": true, "p": true, "div": true, "tr": true, "li": true, "ul": true, "ol": true, "table": true,
	"h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true, "hr": true, "blockquote": true, "pre": true,
	"center": true, "section": true, "article": true, "header": true, "footer": true, "form": true, "body": true, "option": true}

type attributes map[string]string

func (p *parser) start(z *html.Tokenizer) {
	tag, more := z.TagName()
	name := string(tag)
	var at attributes
	for n := 0; more && n < 200; n++ {
		var k, v []byte
		k, v, more = z.TagAttr()
		if at == nil {
			at = attributes{}
		}
		// Of two with one name the tokenizer gives the first, as browsers take it.
		at[string(k)] = string(v)
	}
	p.layout(name)
	switch name {
	case "style", "script", "title", "noembed", "xmp", "template":
		p.raw = name
	case "meta":
		if strings.EqualFold(strings.TrimSpace(at["http-equiv"]), "refresh") {
			if u := refreshURL(at["content"]); u != "" {
				p.link(u, Lure, "meta:refresh")
			}
		}
	case "base":
		if href := at["href"]; href != "" {
			p.link(href, Lure, "base:href")
			if p.base == "" {
				p.base = href
			}
		}
	}
	// In a fixed order: what comes out must not depend on the map.
	for _, key := range sortedKeys(at) {
		p.attribute(name, key, at[key], at)
	}
}

func sortedKeys(at attributes) []string {
	keys := make([]string, 0, len(at))
	for k := range at {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// attribute adds the links of one attribute.
func (p *parser) attribute(tag, key, v string, at attributes) {
	if strings.HasPrefix(key, "xmlns") {
		p.link(v, Namespace, "xmlns")
		return
	}
	if i := strings.IndexByte(key, ':'); i >= 0 {
		key = key[i+1:] // xlink:href, v:src
	}
	switch key {
	case "href":
		switch tag {
		case "base":
		case "link":
			p.link(v, Style, "link:href")
		case "a":
			p.closeLink()
			if p.link(v, Lure, "href") {
				p.anchor, p.from = len(p.links)-1, p.b.Len()
			}
		case "image", "use": // SVG
			p.link(v, Image, tag+":href")
		default: // area, v:roundrect and what else has one
			if p.link(v, Lure, tag+":href") {
				p.links[len(p.links)-1].text = strings.TrimSpace(shorten(at["alt"], MaxLinkText))
			}
		}
	case "action", "formaction":
		p.link(v, Form, key)
	case "src":
		role := Image
		switch tag {
		case "iframe", "frame", "embed":
			role = Frame
		case "script":
			role = Script
		case "img", "image", "input":
			if tiny(at) {
				role = Tracking
			}
		}
		p.link(v, role, tag+":src")
	case "data":
		if tag == "object" {
			p.link(v, Frame, "object:data")
		}
	case "srcdoc":
		if !p.nested {
			p.conditional("]>" + v)
		}
	case "background", "poster", "lowsrc", "dynsrc":
		p.link(v, Image, key)
	case "srcset", "imagesrcset":
		for part := range strings.SplitSeq(v, ", ") {
			if f := strings.Fields(part); len(f) > 0 {
				p.link(strings.TrimRight(f[0], ","), Image, "srcset")
			}
		}
	case "ping":
		for f := range strings.FieldsSeq(v) {
			p.link(f, Tracking, "ping")
		}
	case "cite", "longdesc", "profile", "codebase", "classid", "manifest":
		p.link(v, Style, key)
	case "style":
		p.css(v)
	default:
		switch {
		case !strings.HasPrefix(key, "on"):
		case p.files:
			p.script(v, key)
		case key == "onclick" || key == "onload" || key == "onmousedown" || key == "onsubmit":
			p.quotedURLs(v, Lure, key)
		}
	}
}

// link adds one URL, made absolute. It says whether it is one for the web.
func (p *parser) link(raw string, role Role, how string) bool {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= 0x20 || invisible(r) })
	if raw == "" || raw[0] == '#' || len(p.links) >= maxLinks {
		return false
	}
	if i := strings.IndexAny(raw, ":/?#"); i > 0 && raw[i] == ':' && !portTail(raw[i:]) {
		scheme := strings.ToLower(stripBreaks(raw[:i]))
		switch scheme {
		case "http", "https", "ftp":
		case "data":
			p.dataURI(raw)
			return false
		case "hxxp", "hxxps":
			raw = strings.Replace(scheme, "xx", "tt", 1) + raw[i:]
		default: // mailto, tel, cid, javascript
			if len(p.calls) < maxOthers {
				p.calls = append(p.calls, call{raw, p.b.Len()})
			}
			if scheme == "javascript" {
				p.quotedURLs(raw, Lure, "javascript")
			}
			return false
		}
	} else if raw = p.absolute(raw); raw == "" {
		return false
	}
	p.links = append(p.links, link{raw: raw, role: role, how: how, at: p.b.Len()})
	return true
}

func stripBreaks(s string) string {
	return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
}

// absolute makes a URL of a relative one: by <base>, of "//host/path", and of
// "www.host/path", which mail programs take for a name.
func (p *parser) absolute(raw string) string {
	slashed := strings.ReplaceAll(raw, `\`, "/")
	if strings.HasPrefix(slashed, "//") {
		return "https:" + slashed
	}
	host, tail := slashed, ""
	if i := strings.IndexAny(slashed, "/?#"); i >= 0 {
		host, tail = slashed[:i], slashed[i:]
	}
	if strings.HasPrefix(strings.ToLower(host), "www.") || p.base == "" && bareHost(strings.TrimRight(host, "."), tail, p.tlds) {
		return "http://" + raw
	}
	if p.base == "" {
		return ""
	}
	b, err := url.Parse(strings.TrimSpace(p.base))
	if err != nil || !b.IsAbs() {
		return ""
	}
	r, err := url.Parse(stripBreaks(slashed))
	if err != nil {
		return ""
	}
	return b.ResolveReference(r).String()
}

// dataURI reads a page that stands in a data: URI, one level deep.
func (p *parser) dataURI(raw string) {
	if p.nested || len(raw) > maxDataURI {
		return
	}
	kind, body, ok := strings.Cut(raw[len("data:"):], ",")
	kind = strings.ToLower(kind)
	if !ok || !(strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml") || strings.HasPrefix(kind, "image/svg") || strings.Contains(kind, "javascript")) {
		return
	}
	body = unescape(body)
	if strings.Contains(kind, ";base64") {
		body = string(base64Tolerant([]byte(body)))
	}
	if strings.Contains(kind, "javascript") {
		if p.files {
			p.script(toUTF8([]byte(body), ""), "data:script")
		}
		return
	}
	in := parser{anchor: -1, nested: true, files: p.files, tlds: p.tlds}
	in.walk(clean(toUTF8([]byte(body), "")))
	in.closeLink()
	for _, l := range in.links {
		l.at, l.how = p.b.Len(), "data:"+l.how
		p.links = append(p.links, l)
	}
}

// refreshURL takes the target out of "5; url=https://..".
func refreshURL(v string) string {
	for i := 0; i+4 <= len(v); i++ {
		if !strings.EqualFold(v[i:i+3], "url") {
			continue
		}
		if u, ok := strings.CutPrefix(strings.TrimSpace(v[i+3:]), "="); ok {
			return strings.Trim(u, " '\"")
		}
	}
	_, u, _ := strings.Cut(v, ";")
	return strings.Trim(u, " '\"")
}

// css adds the url() of a style, and what it imports.
func (p *parser) css(s string) {
	for n := 0; n < 1000; n++ {
		i := strings.Index(s, "url(")
		j := importAt(s)
		if j >= 0 && (i < 0 || j < i) { // @import "x"; @import url(x) is the other case
			s = s[j+len("@import"):]
			t := strings.TrimLeft(s, " \t\r\n")
			if t != "" && (t[0] == '"' || t[0] == '\'') {
				if end := strings.IndexByte(t[1:min(len(t), MaxURLBytes)], t[0]); end >= 0 {
					p.link(t[1:1+end], Style, "css:import")
				}
			}
			continue
		}
		if i < 0 {
			return
		}
		s = s[i+4:]
		end := strings.IndexByte(s[:min(len(s), MaxURLBytes)], ')')
		if end < 0 {
			return
		}
		p.link(strings.Trim(s[:end], " \t\r\n'\""), Image, "css:url")
		s = s[end:]
	}
}

func importAt(s string) int {
	if !strings.Contains(s, "@") {
		return -1
	}
	return strings.Index(s, "@import")
}

// quotedURLs adds the absolute URLs within a piece of program text.
func (p *parser) quotedURLs(s string, role Role, how string) {
	for n := 0; n < 100; n++ {
		i := schemeAt(s)
		if i < 0 {
			return
		}
		s = s[i:]
		end := strings.IndexAny(s, "'\"`<> \t\r\n;)")
		if end < 0 {
			end = len(s)
		}
		p.links = append(p.links, link{raw: s[:end], role: role, how: how, at: p.b.Len()})
		s = s[end:]
	}
}

// tiny says that a picture is there to be counted, not to be seen.
func tiny(at attributes) bool {
	one := func(v string) bool {
		v = strings.TrimSuffix(strings.TrimSpace(v), "px")
		return v == "0" || v == "1"
	}
	if one(at["width"]) || one(at["height"]) {
		return true
	}
	style := strings.ToLower(strings.ReplaceAll(at["style"], " ", ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "width:1px") ||
		strings.Contains(style, "width:0") || strings.Contains(style, "visibility:hidden")
}

func (p *parser) layout(name string) {
	switch {
	case breaking[name]:
		p.newline()
	case name == "td" || name == "th":
		p.space = true
	}
}

func (p *parser) end(name string) {
	if name == p.raw {
		p.raw = ""
	}
	if name == "a" {
		p.closeLink()
	}
	p.layout(name)
}

func (p *parser) closeLink() {
	if p.anchor < 0 {
		return
	}
	l := &p.links[p.anchor]
	to := p.b.Len()
	l.text = strings.TrimSpace(shorten(p.b.String()[p.from:], MaxLinkText))
	if leaves(l.text) {
		l.role = Unsubscribe
	}
	p.taken = append(p.taken, [2]int{p.from, to})
	p.anchor = -1
}

func (p *parser) newline() {
	p.space = false
	if n := p.b.Len(); n > 0 && p.b.String()[n-1] != '\n' {
		p.b.WriteByte('\n')
	}
}

// show adds text with white space closed up and invisible characters left out.
func (p *parser) show(s string) {
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			p.space = true
			continue
		case invisible(r):
			continue
		}
		if p.space {
			if n := p.b.Len(); n > 0 && p.b.String()[n-1] != '\n' {
				p.b.WriteByte(' ')
			}
			p.space = false
		}
		p.b.WriteRune(r)
		if p.b.Len() > MaxTextBytes {
			return
		}
	}
}
