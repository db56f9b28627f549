package kit

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"

	"bolwerk"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

// Bounds of a page.
const (
	maxToken    = 1 << 20
	maxRequests = 1000
	maxParts    = 200 // scripts and styles that stand in the page itself
)

// PageOf makes of a capture what rules look at. Without a browser the requests
// are those that the page's source would make one ask for.
func PageOf(b *capture.Bundle) *Page {
	p := &Page{HTML: string(b.Of(capture.HTML)), DOM: string(b.Of(capture.DOM)), Requests: append([]string(nil), b.Requests...)}
	if p.DOM == "" {
		p.DOM = p.HTML
	}
	if p.HTML == "" {
		p.HTML = p.DOM
	}
	if at, err := url.Parse(b.Final()); err == nil {
		p.Hostname = strings.ToLower(at.Hostname())
		p.walk(p.DOM, at)
	}
	for _, part := range b.Parts {
		switch part.Kind {
		case capture.Script:
			p.JS = append(p.JS, string(b.Data[part.SHA256]))
		case capture.Style:
			p.CSS = append(p.CSS, string(b.Data[part.SHA256]))
		}
		if part.URL != "" {
			p.ask(part.URL)
		}
	}
	for i, h := range b.Hops {
		p.ask(h.URL)
		for _, f := range h.Header {
			if strings.EqualFold(f.Name, "Set-Cookie") {
				c, _, _ := strings.Cut(f.Value, ";")
				p.Cookies = append(p.Cookies, c)
			}
			if i == len(b.Hops)-1 {
				p.Headers = append(p.Headers, f.Name+": "+f.Value)
			}
		}
	}
	return p
}

func (p *Page) ask(u string) {
	if len(p.Requests) < maxRequests && len(u) <= 2048 {
		p.Requests = append(p.Requests, u)
	}
}

// walk finds title, scripts, styles and what the page loads.
func (p *Page) walk(src string, at *url.URL) {
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(maxToken)
	into, seen := "", map[string]bool{}
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			switch {
			case into == "title" && !seen["title"]:
				p.Title, seen["title"] = strings.TrimSpace(string(z.Text())), true
			case into == "script" && len(p.JS) < maxParts:
				p.JS = append(p.JS, string(z.Text()))
			case into == "style" && len(p.CSS) < maxParts:
				p.CSS = append(p.CSS, string(z.Text()))
			}
		case html.EndTagToken:
			into = ""
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			into = string(name)
			loads := into == "img" || into == "script" || into == "iframe" || into == "source" || into == "video" || into == "audio" || into == "embed" || into == "input"
			for more {
				var k, v []byte
				k, v, more = z.TagAttr()
				key, value := string(k), string(v)
				wanted := loads && key == "src" || into == "link" && key == "href" || into == "object" && key == "data" || key == "poster" || key == "background"
				if into == "base" && key == "href" {
					if u, err := at.Parse(value); err == nil {
						at = u
					}
				}
				if wanted && value != "" && len(value) <= 2048 && !strings.HasPrefix(value, "data:") && !seen[value] && len(seen) < maxRequests {
					seen[value] = true
					if u, err := at.Parse(value); err == nil {
						p.ask(u.String())
					}
				}
			}
		}
	}
}

// Source is the source of the evidence of a kind of set: two rules that know one
// page have looked at the same thing and do not confirm each other.
const Source = "kits"

// Look asks the sets about a capture. A rule that knows a kit by what only it has
// (tag kit) is malicious of tier 2. One that knows what kits of a sort do with
// their visitors (tag flow) is suspicious of tier 2: it has looked at the same
// title and the same fields as the analysis of the page, and must not confirm it.
// One that knows a trick which others use too is suspicious of tier 3. On a
// brand's own host rules say nothing: the kit is a copy of it.
func Look(b *capture.Bundle, brands *judge.Brands, sets ...*Set) (hits []Hit, out []judge.Evidence) {
	if b.Failed != "" || b.Of(capture.HTML) == nil && b.Of(capture.DOM) == nil {
		return nil, nil
	}
	page := PageOf(b)
	host, _ := bolwerk.ParseDomain(page.Hostname)
	if brands.Owner(host) != "" {
		return nil, nil
	}
	for _, s := range sets {
		for _, h := range s.Match(page) {
			hits = append(hits, h)
			e := judge.Evidence{Family: judge.FamilyKit, Source: Source, Tier: 3, Verdict: judge.Suspicious, Reason: h.ID(), ListVersion: s.Version(),
				Detail: fmt.Sprintf("the rule %s knows it: %s", h.ID(), h.Rule.Title)}
			switch {
			case h.Rule.Kit():
				e.Tier, e.Verdict = 2, judge.Malicious
			case h.Rule.Flow():
				e.Tier = 2
			}
			for i, ref := range h.Rule.References {
				if i < 2 {
					e.Detail += " " + ref
				}
			}
			for _, t := range h.Rule.Targets() {
				if e.Brand = brands.ByToken(t); e.Brand != "" {
					break
				}
			}
			out = append(out, e)
		}
	}
	return hits, out
}

// ID names the rule and its set.
func (h Hit) ID() string { return h.Set + "/" + h.Rule.ID }
