// Package idn stands between names as people write and see them (U-labels) and
// names as the DNS has them (A-labels, bolwerk.Domain).
package idn

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"bolwerk"
)

// lookup converts as browsers do: UTS #46, non-transitional (the sharp s stays
// itself), with the Bidi rule and joiner checks, and without the rules of RFC 5891
// that names in the wild break: underscores, hyphens in places three and four.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
	idna.CheckJoiners(true),
	idna.BidiRule(),
)

// maxText bounds what is given to the conversion: 253 characters of a name, each
// at most four octets, with room for what the mapping takes away.
const maxText = 2048

// Parse reads a name in U-labels, A-labels or a mixture, in any case and with
// full-width or ideographic full stops. A name of ASCII is taken as the DNS has
// it, even when its xn-- labels decode to nothing. The error is of the kind
// bolwerk.ErrInvalid.
func Parse(text string) (bolwerk.Domain, error) {
	if len(text) > maxText {
		return bolwerk.Domain{}, bolwerk.Invalid("name of %d octets: at most 253 are allowed", len(text))
	}
	if ascii(text) {
		return bolwerk.ParseDomain(text)
	}
	if !utf8.ValidString(text) {
		return bolwerk.Domain{}, bolwerk.Invalid("name %q is not UTF-8", text)
	}
	a, err := lookup.ToASCII(text)
	if err != nil {
		return bolwerk.Domain{}, bolwerk.Invalid("name %q: no internationalised name (UTS #46)", text)
	}
	return bolwerk.ParseDomain(a)
}

// Show is the name for people's eyes: U-labels where they say the same as the
// A-labels, which is checked by converting back, and A-labels elsewhere.
// Characters that turn or hide text are escaped.
func Show(d bolwerk.Domain) string {
	name := d.String()
	if !strings.Contains(name, "xn--") {
		return name
	}
	labels := strings.Split(name, ".")
	for i, l := range labels {
		if !strings.HasPrefix(l, "xn--") {
			continue
		}
		u, err := lookup.ToUnicode(l)
		if err != nil || strings.ContainsRune(u, '.') {
			continue
		}
		if back, err := lookup.ToASCII(u); err == nil && back == l {
			labels[i] = Escape(u)
		}
	}
	shown := strings.Join(labels, ".")
	// An empty xn-- label beside them would be lost where somebody types it over.
	if back, err := Parse(shown); err == nil && back != d {
		return name
	}
	return shown
}

// Escape writes text so that it fits one line of a terminal or log and shows
// what it holds: control and format characters (bidi overrides, zero-width
// joiners, tags), line and paragraph separators, private-use and broken octets
// become \u{..} or \x{..}; a backslash stays itself.
func Escape(text string) string {
	i := strings.IndexFunc(text, hidden)
	if i < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x{%02x}`, text[i])
		case hidden(r):
			fmt.Fprintf(&b, `\u{%04x}`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// EscapeLines is Escape for text of more lines: they stay, and a tab is four spaces.
func EscapeLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = Escape(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// hidden says that a character does not show as itself: categories Cc, Cf, Co,
// Zl, Zp, and the fillers that render as nothing.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < 0x20
	}
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x3164, 0xffa0, 0x2800:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
