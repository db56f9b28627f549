package judge

import (
	"strings"
	"unicode"

	"go.mau.fi/util/confusable"
	"golang.org/x/net/idna"

	"bolwerk"
)

// digits are the swaps that readers do not notice and that are not in the
// Unicode table of confusables, which has 0 for o and 1 for l.
var digits = strings.NewReplacer("3", "e", "4", "a", "5", "s", "7", "t", "vv", "w")

// skeleton is a text in the form in which look-alikes are equal: the skeleton of
// UTS #39 section 4, in lower case, without accents, digits read as letters.
// Only skeletons compare with skeletons.
func skeleton(text string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, confusable.Skeleton(text))
	return digits.Replace(plain)
}

// unicodeLabel is an A-label in letters, or itself where it is none or does not
// say the same when it is converted back.
func unicodeLabel(label string) string {
	if !strings.HasPrefix(label, "xn--") {
		return label
	}
	text, err := idna.Punycode.ToUnicode(label)
	if err != nil {
		return label
	}
	if back, err := idna.Punycode.ToASCII(text); err != nil || back != label {
		return label
	}
	return text
}

// scripts that may stand together in one label (UTS #39 section 5.2, highly
// restrictive): each set is Latin with the scripts of one way of writing.
var together = []map[string]bool{
	{"Latin": true, "Han": true, "Hiragana": true, "Katakana": true},
	{"Latin": true, "Han": true, "Bopomofo": true},
	{"Latin": true, "Han": true, "Hangul": true},
}

// MixedScripts says that a label of d has letters of scripts that nobody writes
// together.
func MixedScripts(d bolwerk.Domain) bool {
	for label := range strings.SplitSeq(d.String(), ".") {
		if text := unicodeLabel(label); text != label && mixed(text) {
			return true
		}
	}
	return false
}

// mixed says that a label has letters of scripts that nobody writes together,
// such as Latin and Cyrillic.
func mixed(label string) bool {
	seen := map[string]bool{}
	for _, r := range label {
		if r < 0x80 {
			if unicode.IsLetter(r) {
				seen["Latin"] = true
			}
			continue
		}
		if unicode.Is(unicode.Common, r) || unicode.Is(unicode.Inherited, r) {
			continue
		}
		for name, table := range unicode.Scripts {
			if unicode.Is(table, r) {
				seen[name] = true
				break
			}
		}
	}
	if len(seen) < 2 {
		return false
	}
next:
	for _, set := range together {
		for name := range seen {
			if !set[name] {
				continue next
			}
		}
		return false
	}
	return true
}
