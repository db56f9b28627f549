package content

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/judge"
)

// page is what one walk over the tokens finds.
type page struct {
	base      *url.URL
	title     string
	lang      string
	siteName  string
	logos     []string
	rights    []string // lines with a copyright sign
	loads     []string // absolute addresses of pictures, scripts and styles
	forms     []form
	labels    map[string]string // of for=
	shingles  shingles
	approvals [2]bool // the page offers itsme, DigiD
	cut       bool

	open  int // index in forms of the open one; 0 is for fields in none
	label string
	since string // text since the last field, which labels the next one
	into  string // whose text is read now: title, label, or an element that is not shown
	count int    // fields
}

type form struct {
	action string
	said   bool // it has an action
	fields []field
}

type field struct {
	kind, auto, name, id string
	words                string // all that says what belongs in it
}

const maxToken = 1 << 20

// walk reads a page once. main says that it is the page, not a frame of it.
func walk(src []byte, base string, main bool) *page {
	p := &page{labels: map[string]string{}, forms: []form{{}}}
	p.base, _ = url.Parse(base)
	if p.base == nil {
		p.base = &url.URL{}
	}
	z := html.NewTokenizer(strings.NewReader(strings.ToValidUTF8(string(src), "�")))
	z.SetMaxBuf(maxToken)
	for {
		switch z.Next() {
		case html.ErrorToken:
			p.cut = z.Err() == html.ErrBufferExceeded
			return p
		case html.TextToken:
			p.text(string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := string(name)
			attrs := map[string]string{}
			var names []string
			for more && len(names) < 64 {
				var k, v []byte
				k, v, more = z.TagAttr()
				if _, ok := attrs[string(k)]; !ok {
					attrs[string(k)] = string(v)
					names = append(names, string(k))
				}
			}
			p.shingles.add(tag, names, attrs)
			p.start(tag, attrs)
		case html.EndTagToken:
			name, _ := z.TagName()
			p.end(string(name))
		}
	}
}

func (p *page) text(s string) {
	switch p.into {
	case "title":
		p.title = clip(p.title + " " + s)
	case "label":
		p.labels[p.label] = clip(p.labels[p.label] + " " + s)
		p.since = tail(p.since + " " + s)
	case "":
		if s = strings.TrimSpace(s); s == "" {
			return
		}
		p.since = tail(p.since + " " + s)
		if low := strings.ToLower(s); len(p.rights) < 10 && (strings.Contains(s, "©") || strings.Contains(low, "copyright")) {
			p.rights = append(p.rights, clip(s))
		}
	}
}

// tail keeps the end of what stands before a field.
func tail(s string) string {
	if len(s) > maxText {
		s = s[len(s)-maxText:]
	}
	return s
}

func (p *page) start(tag string, a map[string]string) {
	switch tag {
	case "html":
		if l := strings.ToLower(a["lang"]); len(l) >= 2 && p.lang == "" {
			p.lang = l[:2]
		}
	case "title":
		if p.title == "" {
			p.into = "title"
		}
	case "script", "style", "template", "noscript":
		if tag != "noscript" {
			p.into = tag
		}
		p.load(a["src"])
	case "base":
		if u, err := p.base.Parse(a["href"]); err == nil && a["href"] != "" {
			p.base = u
		}
	case "meta":
		if strings.EqualFold(a["property"], "og:site_name") || strings.EqualFold(a["name"], "application-name") {
			p.siteName = clip(a["content"])
		}
	case "link":
		if rel := strings.ToLower(a["rel"]); strings.Contains(rel, "icon") || strings.Contains(rel, "stylesheet") {
			p.load(a["href"])
		}
	case "img", "image", "svg", "source":
		p.load(a["src"])
		p.load(a["xlink:href"])
		about := a["alt"] + " " + a["title"] + " " + a["aria-label"]
		if low := strings.ToLower(about + " " + a["class"] + " " + a["id"] + " " + a["src"]); strings.Contains(low, "logo") && len(p.logos) < 20 {
			p.logos = append(p.logos, clip(about))
		}
	case "label":
		if f := a["for"]; f != "" && len(p.labels) < maxFields {
			p.into, p.label = "label", f
		}
	case "form":
		if len(p.forms) <= maxForms {
			action, said := a["action"]
			p.forms = append(p.forms, form{action: strings.TrimSpace(action), said: said && strings.TrimSpace(action) != ""})
			p.open = len(p.forms) - 1
		}
	case "input", "select", "textarea":
		p.field(tag, a)
	case "button":
		// The button's formaction wins over the form's action when it is pressed.
		if f := strings.TrimSpace(a["formaction"]); f != "" && p.open > 0 {
			p.forms[p.open].action, p.forms[p.open].said = f, true
		}
	}
	if tag == "a" || tag == "button" || tag == "img" || tag == "input" {
		p.offers(a["class"] + " " + a["id"] + " " + a["alt"] + " " + a["href"] + " " + a["value"])
	}
}

// offers sees a button that begins an approval.
func (p *page) offers(s string) {
	low := strings.ToLower(s)
	for i, w := range []string{"itsme", "digid"} {
		p.approvals[i] = p.approvals[i] || strings.Contains(low, w)
	}
}

func (p *page) field(tag string, a map[string]string) {
	kind := strings.ToLower(a["type"])
	if tag != "input" {
		kind = tag
	}
	switch kind {
	case "hidden", "submit", "button", "image", "reset", "checkbox", "radio", "search", "range", "color":
		return
	}
	if p.count++; p.count > maxFields {
		p.cut = true
		return
	}
	f := field{kind: kind, auto: strings.ToLower(a["autocomplete"]), name: clip(a["name"]), id: a["id"]}
	// Only the end of the text in front labels a field, and only up to the field before.
	f.words = strings.Join([]string{a["name"], a["id"], a["placeholder"], a["aria-label"], a["title"], lastWords(p.since, 8)}, " . ")
	p.since = ""
	p.forms[p.open].fields = append(p.forms[p.open].fields, f)
}

func lastWords(s string, n int) string {
	w := strings.Fields(s)
	return strings.Join(w[max(0, len(w)-n):], " ")
}

func (p *page) end(tag string) {
	switch tag {
	case "form":
		p.open = 0
	case p.into:
		p.into = ""
	}
}

func (p *page) load(raw string) {
	if raw == "" || strings.HasPrefix(raw, "data:") || len(raw) > 2048 || len(p.loads) >= 500 {
		return
	}
	if u, err := p.base.Parse(raw); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		p.loads = append(p.loads, u.String())
	}
}

// sensitive are the forms that ask for something. at is the address of the page
// that visitors see.
func (p *page) sensitive(at *url.URL, psl *suffix.List) (out []Form) {
	for i, f := range p.forms {
		one := Form{Loose: i == 0}
		action := at.String()
		if f.said {
			if u, err := p.base.Parse(f.action); err == nil {
				action = u.String()
			} else {
				action = "invalid:" + f.action
			}
		}
		for _, in := range f.fields {
			a := in.asks(p.labels[in.id])
			if a == "" {
				continue
			}
			if !slices.Contains(one.Asks, a) {
				one.Asks = append(one.Asks, a)
			}
			if name := in.name; name != "" && len(one.Fields) < 5 {
				one.Fields = append(one.Fields, name)
			}
		}
		if len(f.fields) > 0 && i > 0 || len(one.Asks) > 0 {
			for j, a := range []Ask{Itsme, DigiD} {
				if p.approvals[j] && len(f.fields) > 0 && !slices.Contains(one.Asks, a) {
					one.Asks = append(one.Asks, a)
				}
			}
		}
		if len(one.Asks) == 0 {
			continue
		}
		u, err := url.Parse(action)
		if err != nil {
			u = &url.URL{Scheme: "invalid"}
		}
		if len(action) > 1000 {
			action = action[:1000]
		}
		one.Action = strings.ToValidUTF8(action, "")
		switch u.Scheme {
		case "http":
			one.Plain = true
			one.Off = foreign(psl, at.Hostname(), u.Hostname())
		case "https":
			one.Off = foreign(psl, at.Hostname(), u.Hostname())
		case "mailto":
			one.Off = true
		}
		out = append(out, one)
	}
	return out
}

// foreign says that two hosts have different owners.
func foreign(psl *suffix.List, a, b string) bool {
	if strings.EqualFold(a, b) {
		return false
	}
	x, err := bolwerk.ParseDomain(a)
	y, err2 := bolwerk.ParseDomain(b)
	if err != nil || err2 != nil {
		return true
	}
	rx, ok := psl.Registrable(x)
	ry, ok2 := psl.Registrable(y)
	return !ok || !ok2 || rx != ry
}

// marks are the ways in which the page shows itself as a brand.
func (p *page) marks(brands *judge.Brands) (out []Mark) {
	add := func(where, text string) {
		if brand := brands.Shown(text); brand != "" {
			out = append(out, Mark{brand, where, text})
		}
	}
	add("title", p.title)
	add("site_name", p.siteName)
	for _, t := range p.logos {
		add("logo", t)
	}
	for _, t := range p.rights {
		add("copyright", t)
	}
	seen := map[string]bool{}
	for _, u := range p.loads {
		if brand := brands.Owner(hostOf(u)); brand != "" && !seen[brand] {
			seen[brand] = true
			out = append(out, Mark{brand, "assets", clip(u)})
		}
	}
	return out
}
