package wrap

import (
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Truth is where a mail leads, in the opinion of this package: the standard
// library's strict parsers take the mail apart, and patterns find the links.
type Truth struct {
	// Landing is the address that most links of the mail lead to, the first of
	// equals; empty where the mail has none. All are the addresses that a person
	// can click on. Both are in the form of Key.
	Landing string
	All     []string
}

var (
	element  = regexp.MustCompile(`(?is)<(a|area|form|v:roundrect)\b((?:[^>"']|"[^"]*"|'[^']*')*)>(.*?)(?:</(?:a|form|v:roundrect)\s*>|<a\b|$)`)
	target   = regexp.MustCompile(`(?is)\b(?:href|action)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)`)
	picture  = regexp.MustCompile(`(?is)<img\b[^>]*?\ssrc\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)`)
	comment  = regexp.MustCompile(`(?s)<!--.*?-->`)
	inText   = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'()\[\]]+`)
	leaving  = regexp.MustCompile(`(?i)unsubscri|opt.?out|afmeld|uitschrijv|désabonn|desabonn|abmeld|abbestell|list-manage|preferences|desinscri|désinscri|remove`)
	trailing = ".,;:!?*|"
)

// Find gives the truth of a parsed mail.
func (m Mail) Find() Truth {
	if t := strings.TrimSpace(m.Text); strings.HasPrefix(t, "<") && strings.HasSuffix(t, ">") {
		m.HTML, m.Text = m.HTML+t, "" // a page, whatever its type says
	}
	found := links(m.HTML)
	if len(found) == 0 {
		for _, u := range inText.FindAllString(m.Text, -1) {
			found = append(found, strings.TrimRight(u, trailing))
		}
	}
	if len(found) == 0 {
		for _, u := range inText.FindAllString(plain(m.HTML), -1) {
			found = append(found, strings.TrimRight(u, trailing))
		}
	}
	for _, f := range m.Files {
		if len(found) == 0 && strings.Contains(f.Type, "html") {
			found = links(string(f.Data))
		}
	}
	// A picture's address in the plain text leads nowhere.
	shown := map[string]bool{}
	for _, p := range picture.FindAllStringSubmatch(m.HTML, -1) {
		shown[Key(html.UnescapeString(strings.Trim(p[1], `"'`)))] = true
	}
	found = slices.DeleteFunc(found, func(u string) bool { return shown[Key(u)] })
	var t Truth
	times := map[string]int{}
	for _, u := range found {
		k := Key(u)
		if k == "" {
			continue
		}
		if times[k]++; times[k] == 1 {
			t.All = append(t.All, k)
		}
	}
	for _, k := range t.All {
		if t.Landing == "" || times[k] > times[t.Landing] {
			t.Landing = k
		}
	}
	if len(t.All) == 0 && len(m.Mails) > 0 {
		return m.Mails[0].Find()
	}
	return t
}

// links are the targets of a page, without those for leaving a list.
func links(page string) (out []string) {
	page = comment.ReplaceAllString(page, "")
	base := ""
	for _, e := range element.FindAllStringSubmatch(page, -1) {
		a := target.FindStringSubmatch(e[2])
		if a == nil {
			continue
		}
		u := html.UnescapeString(strings.Trim(a[1], `"'`))
		u = strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "", "\t", "").Replace(u))
		if !strings.HasPrefix(strings.ToLower(u), "http") || leaving.MatchString(u) || leaving.MatchString(htmlTag.ReplaceAllString(e[3], " ")) {
			continue
		}
		out = append(out, base+u)
	}
	return out
}

// Key is what two writings of one address have in common: host and path, and the
// query where it has one, decoded, in lower case.
func Key(u string) string {
	p, err := url.Parse(strings.TrimSpace(u))
	if err != nil || p.Host == "" {
		return ""
	}
	path := p.Path
	if path == "" {
		path = "/"
	}
	query, err := url.QueryUnescape(p.RawQuery)
	if err != nil {
		query = p.RawQuery
	}
	host := strings.TrimSuffix(p.Hostname(), ".")
	if a, err := idna.New(idna.MapForLookup()).ToASCII(host); err == nil {
		host = a
	}
	return strings.ToLower(host + path + "?" + query)
}

// Lacks says that none of the addresses is the one with this key.
func Lacks(urls []string, key string) bool {
	return !slices.ContainsFunc(urls, func(u string) bool { return Key(u) == key })
}
