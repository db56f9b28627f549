package reading

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// collector gathers URLs and warnings of one report.
type collector struct {
	urls     []URL
	at       map[string]int // URL -> place in urls
	wanted   int
	noise    int
	said     map[string]int // warning -> times
	order    []string       // warnings in order
	text     int            // bytes of text taken so far
	left     int            // URLs left out by the bounds
	hostless int            // links whose host cannot exist
	others   []Other
	unpacked int  // bytes that came out of archives and the like
	seen     seen // what pictures and PDFs have taken so far
}

// room is how much of n bytes may still be unpacked.
func (c *collector) room(n int) int { return min(n, max(MaxUnpacked-c.unpacked, 0)) }

// add takes one raw link. It says whether it is an absolute URL at all.
func (c *collector) add(raw string, role Role, via []string, text string) bool {
	u, ok := Normalise(raw)
	if !ok {
		if webLike(raw) {
			c.hostless++
		}
		return false
	}
	text = shorten(text, MaxLinkText)
	if inner, by, ok := unwrapped(u); ok {
		for _, n := range u.Notes { // what was done to the wrapper's address was done to hide this one
			inner.note(n)
		}
		c.put(inner, role, append(slices.Clone(via), by...), text)
		role, text = Wrapper, ""
	}
	c.put(u, role, via, text)
	return true
}

// put takes one URL in normal form.
func (c *collector) put(u URL, role Role, via []string, text string) {
	u.Role, u.Via, u.Text = role, via, text
	if namespaceHosts[u.Host] && strings.HasPrefix(u.URL, "http:") {
		u.Role = Namespace
	}
	if i, ok := c.at[u.URL]; ok {
		c.merge(&c.urls[i], u)
		return
	}
	count, limit := &c.wanted, MaxURLs
	if u.Role.Noise() {
		count, limit = &c.noise, MaxNoise
	}
	if *count >= limit {
		c.left++
		return
	}
	*count++
	if c.at == nil {
		c.at = map[string]int{}
	}
	u.Via = slices.Clone(via)
	c.at[u.URL] = len(c.urls)
	c.urls = append(c.urls, u)
}

// merge keeps the better role, the first text and all derivations.
func (c *collector) merge(have *URL, u URL) {
	if u.Role.rank() < have.Role.rank() {
		if have.Role.Noise() && !u.Role.Noise() {
			c.noise--
			c.wanted++
		}
		have.Role = u.Role
	}
	if have.Text == "" {
		have.Text = u.Text
	}
	for _, v := range u.Via {
		if len(have.Via) < maxViaEntries && !slices.Contains(have.Via, v) {
			have.Via = append(have.Via, v)
		}
	}
	for _, n := range u.Notes {
		have.note(n)
	}
}

func (c *collector) warn(format string, a ...any) {
	s := fmt.Sprintf(format, a...)
	if c.said == nil {
		c.said = map[string]int{}
	}
	if c.said[s]++; c.said[s] == 1 {
		if len(c.order) >= MaxWarnings {
			delete(c.said, s)
			return
		}
		c.order = append(c.order, s)
	}
}

// clip takes a text's share of what one report may have, MaxTextBytes in all.
func (c *collector) clip(b []byte) []byte {
	if room := MaxTextBytes - c.text; len(b) > room {
		c.warn("more than %d bytes of text: the rest is not read", MaxTextBytes)
		b = b[:room]
	}
	c.text += len(b)
	return b
}

// promote makes lures of all URLs of one role, except those of a List-Unsubscribe
// field: nobody sees these.
func (c *collector) promote(from Role) {
	for i := range c.urls {
		if u := &c.urls[i]; u.Role == from && !slices.Contains(u.Via, viaListUnsubscribe) {
			u.Role = Lure
			c.wanted++
			c.noise--
		}
	}
}

// result completes r with what was gathered.
func (c *collector) result(r Result) Result {
	if c.left > 0 {
		c.warn("%d more URLs: left out", c.left)
	}
	if c.hostless > 0 {
		c.warn("%d links to hosts that cannot exist: left out", c.hostless)
	}
	// A mail whose only links say "unsubscribe" wants them followed.
	if c.wanted == 0 {
		c.promote(Unsubscribe)
	}
	r.Later, r.Pictures = c.seen.later, c.pictures(r.Kind)
	r.URLs = c.urls
	if r.URLs == nil {
		r.URLs = []URL{}
	}
	for _, u := range r.Wanted() {
		c.otherURL(u)
	}
	// Who wrote stands in the heads.
	r.Others = slices.DeleteFunc(c.others, func(o Other) bool {
		return o.Kind == EMail && (r.Outer != nil && o.Value == r.Outer.From || r.Inner != nil && o.Value == r.Inner.From)
	})
	r.Warnings = []string{}
	for _, s := range c.order {
		if n := c.said[s]; n > 1 {
			s = fmt.Sprintf("%s (%d times)", s, n)
		}
		r.Warnings = append(r.Warnings, s)
	}
	return r
}

// shorten cuts at n bytes without splitting a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func webLike(raw string) bool {
	s := strings.ToLower(strings.TrimSpace(shorten(raw, 16)))
	return strings.HasPrefix(s, "http:") || strings.HasPrefix(s, "https:")
}
