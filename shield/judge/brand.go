package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// Brands is the operator's list of imitated brands, made ready for looking names
// up. It never changes.
type Brands struct {
	all   []brand
	owner map[bolwerk.Domain]int // of each own domain, as a place in all
}

type brand struct {
	Brand
	tokens  []token
	labels  []string // first labels of the brand's registrable domains
	display []string // as words makes them
}

type token struct {
	text         string
	skel         string // as skeleton makes it
	word         bool   // a word of a language: counts beside something else only
	close, sound string // squeezed; its consonants
}

// NewBrands checks the configuration and makes it ready.
func NewBrands(psl *suffix.List, list ...Brand) (*Brands, error) {
	b := &Brands{owner: map[bolwerk.Domain]int{}}
	var errs []error
	for _, c := range list {
		bad := func(format string, a ...any) {
			errs = append(errs, bolwerk.Invalid("brand %q: "+format, append([]any{c.Name}, a...)...))
		}
		if c.Name == "" {
			bad("it has no name")
		}
		if len(c.Domains) == 0 {
			bad("it has no domain of its own: every name of it would look like an imitation")
		}
		one := brand{Brand: c}
		for _, d := range c.Domains {
			r, ok := psl.Registrable(d)
			if !ok {
				bad("domain %s is a public suffix", d)
				continue
			}
			// Of a domain below the registrable one (bank.com.be, where com.be is
			// no suffix) the registrable label is not the brand's.
			if label, _, _ := strings.Cut(r.String(), "."); r == d {
				one.labels = append(one.labels, label)
			}
		}
		for _, icon := range c.Icons {
			if len(icon) != 64 || strings.Trim(strings.ToLower(icon), "0123456789abcdef") != "" {
				bad("icon %q: want the SHA-256 of a picture, 64 digits in hex", icon)
			}
		}
		tokens := c.Tokens
		if len(tokens) == 0 && len(c.Words) == 0 {
			if tokens = one.labels; len(tokens) == 0 && len(c.Domains) > 0 {
				bad("it has no token, and no domain to take one from")
			}
		}
		least := 3
		for i, w := range slices.Concat(tokens, c.Words) {
			w = strings.ToLower(w)
			if i >= len(tokens) {
				least = 2
			}
			if len(w) < least || len(w) > 63 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				bad("token %q: want %d to 63 letters, digits and hyphens", w, least)
				continue
			}
			one.tokens = append(one.tokens, token{w, skeleton(w), i >= len(tokens), squeeze(w), consonants(w)})
		}
		if len(one.Display) == 0 {
			one.Display = []string{c.Name}
		}
		for _, d := range one.Display {
			if w := words(d); w != "" {
				one.display = append(one.display, w)
			}
		}
		for _, d := range slices.Concat(c.Domains, c.Top) {
			if _, ok := b.owner[d]; !ok {
				b.owner[d] = len(b.all)
			}
		}
		b.all = append(b.all, one)
	}
	return b, errors.Join(errs...)
}

// Owner is the brand that has d among its own names, or empty.
func (b *Brands) Owner(d bolwerk.Domain) string {
	if b == nil {
		return ""
	}
	for ; !d.IsZero(); d = d.Parent() {
		if i, ok := b.owner[d]; ok {
			return b.all[i].Name
		}
	}
	return ""
}

// Likeness is one way in which a name looks like a brand.
type Likeness struct {
	Brand string
	Token string // as configured
	Kind  string // a stable code: idn_skeleton, tld_swap, combosquat, swapped, typo, brand_subdomain, near_brand
	Text  string // for people
	// Sure says that it counts by itself: not where the brand may have names that
	// its list lacks, and nothing else is against this one.
	Sure bool
}

// strong says that chance is nearly excluded.
func (l Likeness) strong() bool { return l.Kind == "idn_skeleton" }

// Look finds which brands the name looks like, at most one way for each: the
// label that its owner chose with other letters (idn_skeleton), the brand's own
// label under another suffix (tld_swap), the brand in it (combosquat), with
// digits for letters (swapped), one edit away (typo), the brand in the labels in
// front of a foreign domain (brand_subdomain), or something that is only near a
// brand in a name that has something else against it (near_brand). A brand's own
// names never look like any brand.
func (b *Brands) Look(p Place) []Likeness {
	owner := p.Owner()
	if b == nil || owner.IsZero() || b.Owner(p.Name) != "" {
		return nil
	}
	n := shape(p)
	shown := b.within(n.front)
	var found []Likeness
	for i := range b.all {
		if l, ok := b.all[i].look(n, p, shown[i]); ok {
			found = append(found, l)
		}
	}
	return found
}

// within finds brands' own names in the labels in front of a foreign domain.
func (b *Brands) within(front string) map[int]bolwerk.Domain {
	if front == "" {
		return nil
	}
	labels := strings.Split(front, ".")
	labels = labels[max(0, len(labels)-8):]
	var found map[int]bolwerk.Domain
	for i := range labels {
		for j := i + 2; j <= min(len(labels), i+4); j++ {
			d, err := bolwerk.ParseDomain(strings.Join(labels[i:j], "."))
			if err != nil {
				continue
			}
			if at, ok := b.owner[d]; ok {
				if found == nil {
					found = map[int]bolwerk.Domain{}
				}
				found[at] = d
			}
		}
	}
	return found
}

// named is a name taken apart once for all brands.
type named struct {
	label   string   // the label that the owner chose; empty for a platform's own name
	text    string   // the same in U-labels
	skel    string   // its skeleton
	foreign bool     // it has letters beyond ASCII
	parts   []string // the label at its hyphens
	front   string   // everything before the owner's name, without the dot
	traits  traits
	// plain and close are the label with digits read as letters, without hyphens
	// and without letters that stand twice; words of traits are cut out of close.
	plain, close string
	sound        string   // its consonants
	pieces       []string // what may be a brand with a slip in it
}

func shape(p Place) named {
	var n named
	owner := p.Owner().String()
	if !p.Shared { // nobody chose a platform's own label to deceive
		n.label, _, _ = strings.Cut(owner, ".")
	}
	n.text = unicodeLabel(n.label)
	n.foreign = n.text != n.label
	n.skel = skeleton(n.text)
	n.parts = strings.FieldsFunc(n.label, func(r rune) bool { return r == '-' || r == '_' })
	if full := p.Name.String(); len(full) > len(owner) {
		n.front = full[:len(full)-len(owner)-1]
	}
	n.traits = traitsOf(p, n)
	n.plain = squeeze(zeros.Replace(n.label))
	n.close, n.sound = n.plain, consonants(n.label)
	for _, w := range n.traits.words {
		n.close = strings.Replace(n.close, squeeze(w), "", 1)
	}
	n.pieces = []string{n.close}
	if s := strings.TrimRight(n.close, "0123456789"); s != n.close { // put behind it to make it new
		n.pieces = append(n.pieces, s)
	}
	if len(n.parts) > 1 {
		for _, part := range n.parts {
			n.pieces = append(n.pieces, squeeze(part))
		}
	}
	return n
}

// squeeze leaves out hyphens and letters that repeat the one before.
func squeeze(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && (len(b) == 0 || b[len(b)-1] != c) {
			b = append(b, c)
		}
	}
	return string(b)
}

func (b *brand) look(n named, p Place, shown bolwerk.Domain) (Likeness, bool) {
	is := func(t, kind, format string, a ...any) (Likeness, bool) {
		sure := !b.partial || n.traits.others() || kind == "idn_skeleton" || kind == "brand_subdomain"
		switch {
		case kind == "typo" && !n.traits.others():
			// A brand's own names that the list lacks have no slip in them, and a
			// short word is soon a letter away from another.
			sure = len(t) >= 9
		case kind == "swapped":
			sure = true
		case kind == "tld_swap" && n.traits.handle:
			sure = false // who has the handle of a brand is likely the brand
		}
		return Likeness{b.Name, t, kind, fmt.Sprintf(format, a...), sure}, true
	}
	if slices.Contains(b.Everywhere, n.label) && b.everywhere(n.label, p) {
		return Likeness{}, false
	}
	others := n.traits.others()
	// A word of a language counts only as a part of its own.
	has := func(label string, t token) bool {
		if t.word {
			return others && holds(label, t.text, false) && slices.Contains(strings.FieldsFunc(label, notLetter), t.text)
		}
		return holds(label, t.text, others)
	}
	if n.foreign {
		for _, t := range b.tokens {
			if (!t.word || len(t.text) >= 5) && holds(n.skel, t.skel, others) {
				return is(t.text, "idn_skeleton", "%s reads as %s, written with other letters", n.text, t.text)
			}
		}
	} else if n.label != "" {
		for _, l := range b.labels {
			if n.label == l && b.isToken(l, others) {
				return is(l, "tld_swap", "%s is %s's own label under another suffix", p.Owner(), b.Name)
			}
		}
		for _, t := range b.tokens {
			if has(n.label, t) {
				return is(t.text, "combosquat", "%s has %s in it and is not %s's", p.Owner(), t.text, b.Name)
			}
		}
		for _, t := range b.tokens {
			if len(t.text) >= 5 && !t.word && !strings.Contains(n.label, t.text) && holds(n.skel, t.skel, others) {
				return is(t.text, "swapped", "%s reads as %s with characters swapped", n.label, t.text)
			}
		}
		for _, t := range b.tokens {
			if t.word && len(t.text) >= 7 {
				for _, part := range n.parts {
					if alike(part, t.text) {
						return is(t.text, "swapped", "%s reads as %s with characters swapped", part, t.text)
					}
				}
			}
			if len(t.text) < 6 || t.word {
				continue
			}
			for _, part := range n.parts {
				// A shorter part is too often a word of its own: cloud, of icloud.
				if len(part) >= 6 && oneEdit(part, t.text) || len(t.text) >= 13 && len(part) >= 11 && fewEdits(part, t.text, 3) {
					return is(t.text, "typo", "%s is a slip away from %s", part, t.text)
				}
			}
			if len(n.parts) > 1 && oneEdit(n.label, t.text) {
				return is(t.text, "typo", "%s is a slip away from %s", n.label, t.text)
			}
		}
	}
	if n.front != "" {
		if !shown.IsZero() {
			return is(shown.String(), "brand_subdomain", "%s stands in front of the foreign domain %s", shown, p.Owner())
		}
		for label := range strings.SplitSeq(n.front, ".") {
			for _, t := range b.tokens {
				if has(label, t) {
					return is(t.text, "brand_subdomain", "%s stands in front of the foreign domain %s", t.text, p.Owner())
				}
			}
		}
	}
	if others && !n.foreign && n.label != "" {
		for _, t := range b.tokens {
			if !t.word && len(t.text) >= 5 && near(n, t) {
				return is(t.text, "near_brand", "%s is near %s", n.label, t.text)
			}
		}
	}
	return Likeness{}, false
}

// everywhere says that a label is one that the brand has under most countries'
// suffixes, and the name is in a country or under one of the oldest suffixes.
func (b *brand) everywhere(label string, p Place) bool {
	if p.Section != suffix.ICANN || !slices.Contains(b.Everywhere, label) {
		return false
	}
	last := p.Suffix.String()[strings.LastIndexByte(p.Suffix.String(), '.')+1:]
	return len(last) == 2 || last == "com" || last == "net" || last == "org"
}

// isToken says that the brand's own label tells it from others: it is one of its
// tokens, and no word where nothing else counts.
func (b *brand) isToken(label string, others bool) bool {
	for _, t := range b.tokens {
		if t.text == label {
			return others || !t.word
		}
	}
	return false
}

// near says that a label is within reach of a token for somebody who reads fast:
// the token in it once hyphens and doubled letters are gone, or what is left of
// it without its other words one edit away, two for 9 letters and more.
func near(n named, tok token) bool {
	t := tok.close
	if len(t) >= 6 && strings.Contains(n.plain, t) {
		return true
	}
	if n.traits.tenant && nearSound(n, tok) {
		return true
	}
	if len(t) < 5 || len(n.close) < len(t)-2 {
		return false
	}
	return slices.ContainsFunc(n.pieces, func(s string) bool {
		return len(t) >= 6 && oneEdit(s, t) || len(t) >= 9 && twoEdits(s, t)
	})
}

// holds says that label has the token in it so that a reader sees it: a token of
// 7 letters or more anywhere, of 5 or 6 with an end, a hyphen or a digit on its
// left (apple-id, not pineapples), a shorter one with them on both sides
// (kpn-betaal, not shopping). In a name with something else against it such a
// limit on the right will do too (mijnbpost).
func holds(label, token string, others bool) bool {
	if token == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(label[from:], token)
		if i < 0 {
			return false
		}
		i += from
		left := i == 0 || edge(label[i-1])
		right := i+len(token) == len(label) || edge(label[i+len(token)])
		switch {
		case len(token) >= 7, len(token) >= 5 && (left || right && others), left && right:
			return true
		}
		from = i + 1
	}
}

func notLetter(r rune) bool { return r == '-' || r == '_' || r >= '0' && r <= '9' }

func edge(c byte) bool { return c == '-' || c == '_' || c >= '0' && c <= '9' }

// oneEdit says that a and b differ by exactly one insertion, deletion,
// substitution or swap of neighbours (Damerau-Levenshtein distance 1).
func oneEdit(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > 1 || a == b {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) > len(b) {
		return a[i+1:] == b[i:]
	}
	return a[i+1:] == b[i+1:] ||
		i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// nearSound says that a tenant's label has the consonants of a token in their
// order, with those of "login" beside them where they are few: vowels are what
// is changed when the right name is taken.
func nearSound(n named, tok token) bool {
	t := tok.sound
	if len(t) >= 5 {
		return strings.Contains(n.sound, t)
	}
	if len(t) < 3 || len(tok.text) < 6 {
		return false
	}
	rest, found := strings.CutPrefix(n.sound, t) // the brand first, then "login", as they do
	if !found {
		rest, found = strings.CutSuffix(n.sound, t)
	}
	return found && strings.Contains(rest, "lgn") || strings.Contains(n.sound, t+"lgn") || strings.Contains(n.sound, "lgn"+t)
}

// consonants are those of a label, none twice in a row.
func consonants(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' && strings.IndexByte("aeiouy", c) < 0 && (len(b) == 0 || b[len(b)-1] != c) {
			b = append(b, c)
		}
	}
	return string(b)
}

// alike says that a and b are of one length and differ only in letters that
// look alike in small print: i, l and j, o and 0.
func alike(a, b string) bool {
	return a != b && len(a) == len(b) && prints.Replace(a) == prints.Replace(b)
}

var prints = strings.NewReplacer("i", "l", "j", "l", "1", "l", "0", "o")

func twoEdits(a, b string) bool { return fewEdits(a, b, 2) }

// fewEdits says that a and b differ by at most most insertions, deletions or
// substitutions; both begin with the same letter.
func fewEdits(a, b string, most int) bool {
	if a == "" || b == "" || a[0] != b[0] || len(a)-len(b) > most || len(b)-len(a) > most || len(a) > 40 {
		return false
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before := row[0]
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := before
			if a[i-1] != b[j-1] {
				cost = 1 + min(before, row[j], row[j-1])
			}
			before, row[j] = row[j], cost
			least = min(least, cost)
		}
		if least > most {
			return false
		}
	}
	return row[len(b)] <= most
}
