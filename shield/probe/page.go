package probe

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"bolwerk/shield/capture"
)

// Bounds of what is taken from a page. It is read token by token, never as a
// tree: strangers choose how deep it is.
const (
	maxTokens = 200_000
	maxTag    = 256 << 10 // octets of one tag or text
	maxRefs   = 200
	// soon is how many seconds a page may wait before it goes on and still counts
	// as a redirect; after that it was shown.
	soon = 5
	// small is how large a page may be that only sends on by a script.
	small = 16 << 10
)

// ref is a file that a page names.
type ref struct {
	kind capture.Kind
	url  string
}

// links is what a page names without running anything.
type links struct {
	refs []ref
	meta string // where meta refresh leads soon
	js   string // where its only script leads
	form bool   // it asks for something
}

// location is how a script sends a visitor on, with an address that stands there.
var location = regexp.MustCompile(`(?:^|[^\w.])(?:(?:window|document|self|top|parent)\s*\.\s*)*location\s*(?:\.\s*href\s*)?(?:=\s*|\.\s*(?:replace|assign)\s*\(\s*)(?:"([^"\\]{1,500})"|'([^'\\]{1,500})'|` + "`([^`\\\\$]{1,500})`" + `)`)

// linksOf reads a page. base is where it stands.
func linksOf(base place, page []byte) (l links) {
	z := html.NewTokenizer(bytes.NewReader(page))
	z.SetMaxBuf(maxTag)
	add := func(k capture.Kind, at string) {
		if len(l.refs) == maxRefs || at == "" {
			return
		}
		if p, err := base.join(at); err == nil {
			l.refs = append(l.refs, ref{k, p.String()})
		}
	}
	based, script, noscript := false, false, false
	var code strings.Builder
	for range maxTokens {
		switch z.Next() {
		case html.ErrorToken:
			return l.settle(page, code.String())
		case html.TextToken:
			if script && code.Len() < small {
				code.Write(z.Text())
				code.WriteByte('\n')
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			switch atom.Lookup(name) {
			case atom.Script:
				script = false
			case atom.Noscript:
				noscript = false
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, more := z.TagName()
			a := atom.Lookup(tag)
			attr := map[string]string{}
			for more && len(attr) < 40 {
				var k, v []byte
				k, v, more = z.TagAttr()
				if _, twice := attr[string(k)]; !twice {
					attr[string(k)] = string(v)
				}
			}
			switch a {
			case atom.Base:
				if p, err := base.join(attr["href"]); err == nil && !based && attr["href"] != "" {
					base, based = p, true
				}
			case atom.Script:
				script = true
				add(capture.Script, attr["src"])
			case atom.Noscript:
				noscript = true
			case atom.Iframe, atom.Frame:
				add(capture.Frame, attr["src"])
			case atom.Form, atom.Input, atom.Textarea, atom.Select:
				l.form = l.form || a != atom.Input || !strings.EqualFold(attr["type"], "hidden")
			case atom.Link:
				for rel := range strings.FieldsSeq(strings.ToLower(attr["rel"])) {
					if rel == "stylesheet" {
						add(capture.Style, attr["href"])
						break
					}
					if rel == "icon" || rel == "apple-touch-icon" {
						add(capture.Icon, attr["href"])
						break
					}
				}
			case atom.Meta:
				if strings.EqualFold(strings.TrimSpace(attr["http-equiv"]), "refresh") && !noscript && l.meta == "" {
					l.meta = refresh(attr["content"])
				}
			}
		}
	}
	return l.settle(page, code.String())
}

// settle decides about a script that leads on: a page that does nothing else.
func (l links) settle(page []byte, code string) links {
	if len(page) <= small && !l.form {
		if m := location.FindStringSubmatch(code); m != nil {
			l.js = m[1] + m[2] + m[3]
		}
	}
	return l
}

// refresh reads the value of a Refresh header or meta tag: where it leads, "" for
// nowhere or not soon.
func refresh(v string) string {
	v = strings.TrimSpace(v)
	i := strings.IndexFunc(v, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		return ""
	}
	if n, err := strconv.ParseFloat(v[:i], 64); i > 0 && (err != nil || n > soon) {
		return ""
	}
	v = strings.TrimLeft(v[i:], " \t\r\n;,")
	if len(v) > 3 && strings.EqualFold(v[:3], "url") {
		if rest := strings.TrimSpace(v[3:]); strings.HasPrefix(rest, "=") {
			v = strings.TrimSpace(rest[1:])
		}
	}
	if len(v) > 1 && (v[0] == '"' || v[0] == '\'') {
		v = v[1:]
		if j := strings.IndexAny(v, `"'`); j >= 0 {
			v = v[:j]
		}
	}
	return v
}
