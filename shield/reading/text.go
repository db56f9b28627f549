package reading

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"bolwerk"
	"bolwerk/internal/idn"
)

func icann(tld string) bool {
	s, ok := publicsuffix.PublicSuffix(tld)
	return ok && s == tld
}

// clean makes valid UTF-8 without NUL and without the characters that are there
// only to break up words: zero-width spaces and joiners, soft hyphens, word
// joiners, byte order marks, bidi marks.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexFunc(s, invisible) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, s)
}

func invisible(r rune) bool {
	switch {
	case r == 0, r == 0xad, r == 0x34f, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	}
	return false
}

// scanText adds the URLs that stand in a text: with a scheme, with "www.", and
// bare names whose last label is a top-level domain.
func (c *collector) scanText(s string, role Role, via []string) {
	s, fanged := refang(s)
	c.scan(s, fanged, role, via)
}

func (c *collector) scan(s string, fanged []int, role Role, via []string) {
	for start := 0; start < len(s); {
		// Words are what stands between white space and quotes.
		i := start + strings.IndexFunc(s[start:], wordRune)
		if i < start {
			return
		}
		end := len(s)
		if j := strings.IndexFunc(s[i:], breaks); j >= 0 {
			end = i + j
		}
		start = end
		word := s[i:end]
		if !strings.ContainsAny(word, ".:") {
			continue
		}
		if p := schemeAt(word); p >= 0 {
			// What stands before the scheme may be a name of its own, or "Link:".
			if p > 0 {
				c.bare(word[:p], i, fanged, role, via)
			}
			// A URL in angle brackets may go on in the next lines (RFC 3986, appendix C).
			if at := i + p; at > 0 && s[at-1] == '<' {
				if folded, to := unfold(s, at); to > end {
					c.addText(folded, at, to, fanged, role, via)
					start = to
					continue
				}
			}
			for p >= 0 {
				next := schemeAt(word[p+4:])
				stop := len(word)
				// Two URLs without a space between: "http://a/http://b" is one, but
				// "http://a/,http://b" and "http://ahttp://b" are two.
				if next >= 0 && separates(word, p, p+4+next) {
					stop = p + 4 + next
				}
				c.addText(trimURL(word[p:stop]), i+p, i+stop, fanged, role, via)
				if stop == len(word) {
					break
				}
				p = stop
			}
			continue
		}
		c.bare(word, i, fanged, role, via)
	}
}

// separates says that a scheme in the middle of a word begins a URL of its own.
func separates(word string, from, at int) bool {
	switch word[at-1] {
	case ',', ';', '|', ')', ']':
		return !strings.Contains(word[from:at], "?")
	}
	head := word[from:at]
	i := strings.Index(head, "://")
	return i >= 0 && !strings.ContainsAny(head[i+3:], "/?#")
}

// schemeAt finds "http://", "https://" or "ftp://" in any case; slashes may be
// backslashes.
func schemeAt(w string) int {
	for i := 0; i+6 < len(w); {
		j := strings.IndexByte(w[i:], ':')
		if j < 0 {
			return -1
		}
		j += i
		if j+2 < len(w) && (w[j+1] == '/' || w[j+1] == '\\') && (w[j+2] == '/' || w[j+2] == '\\') {
			for _, s := range []string{"https", "http", "ftp"} {
				if j >= len(s) && strings.EqualFold(w[j-len(s):j], s) {
					return j - len(s)
				}
			}
		}
		i = j + 1
	}
	return -1
}

// unfold reads a URL in angle brackets across line ends; to is behind it, 0
// where there is no closing bracket near.
func unfold(s string, at int) (string, int) {
	rest := shorten(s[at:], 4096)
	close := strings.IndexByte(rest, '>')
	if close < 0 || strings.IndexByte(rest[:close], '<') >= 0 || strings.Contains(rest[:close], "\n\n") {
		return "", 0
	}
	// A space within a line is no line end: then this is no folded URL.
	var b strings.Builder
	for line := range strings.Lines(rest[:close]) {
		l := strings.TrimRight(line, "\r\n")
		l = strings.Trim(l, " \t")
		if strings.ContainsAny(l, " \t\"") {
			return "", 0
		}
		b.WriteString(l)
	}
	return b.String(), at + close
}

// addText adds a URL that spans s[from:to] of the refanged text.
func (c *collector) addText(u string, from, to int, fanged []int, role Role, via []string) {
	if i, ok := slices.BinarySearch(fanged, from); ok || i < len(fanged) && fanged[i] < to {
		via = append(slices.Clone(via), "defanged")
	}
	c.add(u, role, via, "")
}

// bare adds names without a scheme that stand in a word.
func (c *collector) bare(word string, at int, fanged []int, role Role, via []string) {
	for off := 0; off < len(word); {
		i := strings.IndexFunc(word[off:], hostRune)
		if i < 0 {
			return
		}
		i += off
		j := i
		for j < len(word) {
			r, n := utf8.DecodeRuneInString(word[j:])
			if !hostRune(r) {
				break
			}
			j += n
		}
		off = j
		if off == i {
			off++
		}
		if i > 0 && (word[i-1] == '@' || word[i-1] == '/' || word[i-1] == '=') || j < len(word) && word[j] == '@' {
			continue // an address of mail, a path, a parameter
		}
		host := strings.TrimRight(word[i:j], ".-")
		tail := ""
		if len(host) == j-i {
			tail = trimURL(word[j:])
		}
		if tail != "" && !strings.ContainsAny(tail[:1], "/?:#") {
			tail = ""
		}
		if tail != "" && tail[0] == ':' && !portTail(tail) {
			tail = ""
		}
		host = strings.TrimLeft(host, ".-")
		if !bareHost(host, tail, c.seen.tlds) {
			continue
		}
		to := at + i + len(host) + len(tail)
		c.addText("http://"+host+tail, at+i, to, fanged, role, append(slices.Clone(via), "bare"))
		off = max(off, j+len(tail))
	}
}

// portTail says that a tail begins with a port: ":8080/x".
func portTail(t string) bool {
	n := len(t) - len(strings.TrimLeft(t[1:], "0123456789")) - 1
	return n > 0 && n <= 5 && (len(t) == n+1 || strings.IndexByte("/?#", t[n+1]) >= 0)
}

// bareHost says that text without a scheme is meant as a link. A path makes it
// sure; without one, file names ("invoice.zip", "main.rs") and sentences without
// a space ("done.So") are no links.
func bareHost(host, tail string, tlds []string) bool {
	n := strings.Count(host, ".")
	if n == 0 || n > 20 || len(host) > 253*4 {
		return false
	}
	if strings.Trim(host, "0123456789.") == "" {
		// An address needs a path: "1.2.3.4" alone is a version or a section.
		_, isAddress, ok := address(host)
		return isAddress && ok && n == 3 && len(tail) > 0 && (tail[0] == '/' || tail[0] == ':')
	}
	d, err := idn.Parse(host)
	if err != nil || !knownTLD(d, tlds) {
		return false
	}
	if tail != "" || n >= 2 && strings.HasPrefix(strings.ToLower(host), "www.") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	rest := host[:len(host)-len(last)]
	if n == 1 && (len(rest) == 2 || strings.Trim(rest, "0123456789.") == "") {
		return false // "1.Click", "v.do"
	}
	if r, _ := utf8.DecodeRuneInString(last); unicode.IsUpper(r) && strings.ToUpper(rest) != rest {
		return false
	}
	return n >= 2 || !fileEnding[strings.ToLower(last)]
}

// fileEnding are top-level domains that end file names more often than links.
var fileEnding = map[string]bool{"zip": true, "mov": true, "md": true, "rs": true, "sh": true, "py": true, "ps": true, "pm": true}

func hostRune(r rune) bool {
	return r == '.' || r == '-' || r == '_' || r == '。' || r == '．' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' && r < utf8.RuneSelf ||
		r >= 0xc0 && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r))
}

func wordRune(r rune) bool { return !breaks(r) }

// breaks end a URL in text: white space, controls, quotes, angle brackets.
func breaks(r rune) bool {
	switch r {
	case '<', '>', '"', '`', '“', '”', '„', '«', '»', '‘', '’', '｡', '、', '，', '「', '」', '）', '（', utf8.RuneError:
		return true
	}
	return r <= 0x20 || r == 0x7f || r >= 0x80 && unicode.IsSpace(r) || r >= 0x80 && r < 0xa0
}

// trimURL takes off what ends a sentence, and brackets that were opened before
// the URL.
func trimURL(u string) string {
	for u != "" {
		switch last := u[len(u)-1]; last {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '|', '\\', '^':
		case ')', ']', '}':
			open := map[byte]string{')': "(", ']': "[", '}': "{"}[last]
			if strings.Count(u, open) >= strings.Count(u, string(last)) {
				return u
			}
		default:
			return u
		}
		u = u[:len(u)-1]
	}
	return u
}

func hasSpace(s string) bool { return strings.IndexFunc(strings.TrimSpace(s), unicode.IsSpace) >= 0 }

func withScheme(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, ':'); i > 0 && !strings.ContainsAny(s[:i], "./?#") && !portTail(s[i:]) {
		return s
	}
	return "http://" + strings.TrimLeft(s, "/")
}

// excerpt is the beginning of a text with runs of blank lines closed up.
func excerpt(s string) string {
	var b strings.Builder
	blank := 0
	for line := range strings.Lines(shorten(s, 4*MaxExcerpt)) {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if line == "" {
			blank++
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
			if blank > 0 {
				b.WriteByte('\n')
			}
		}
		blank = 0
		b.WriteString(line)
		if b.Len() > MaxExcerpt {
			break
		}
	}
	return shorten(b.String(), MaxExcerpt)
}

// frequent are short words that are frequent in one language and rare in the
// other three.
var frequent = map[string]bolwerk.Lang{
	"het": "nl", "een": "nl", "uw": "nl", "voor": "nl", "niet": "nl", "van": "nl", "wij": "nl", "ons": "nl", "bij": "nl", "je": "nl", "u": "nl", "deze": "nl", "naar": "nl", "geachte": "nl",
	"le": "fr", "les": "fr", "vous": "fr", "votre": "fr", "pour": "fr", "une": "fr", "et": "fr", "nous": "fr", "est": "fr", "sur": "fr", "pas": "fr", "avec": "fr", "bonjour": "fr",
	"der": "de", "und": "de", "ihr": "de", "sie": "de", "ihre": "de", "das": "de", "nicht": "de", "für": "de", "ist": "de", "mit": "de", "wir": "de", "ein": "de", "ihren": "de", "bitte": "de",
	"the": "en", "your": "en", "you": "en", "and": "en", "to": "en", "is": "en", "of": "en", "for": "en", "this": "en", "have": "en", "please": "en", "with": "en",
}

// guess counts frequent words; the winner needs three, and half more than the next.
func guess(s string) bolwerk.Lang {
	count := map[bolwerk.Lang]int{}
	for w := range strings.FieldsFuncSeq(strings.ToLower(shorten(s, 2*MaxExcerpt)), func(r rune) bool { return !unicode.IsLetter(r) }) {
		if l, ok := frequent[w]; ok {
			count[l]++
		}
	}
	var best bolwerk.Lang
	second := 0
	for _, l := range bolwerk.Langs() {
		switch n := count[l]; {
		case best == "" || n > count[best]:
			second = count[best]
			best = l
		case n > second:
			second = n
		}
	}
	if count[best] < 3 || count[best]*2 < second*3 {
		return ""
	}
	return best
}
