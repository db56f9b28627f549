package judge

import (
	"errors"
	"fmt"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// Brands is the operator's list of imitated brands, made ready for looking names
// up. It never changes.
type Brands struct{ all []brand }

type brand struct {
	Brand
	tokens []token
	labels []string // first labels of the brand's registrable domains
}

type token struct {
	text string
	skel string // as skeleton makes it
}

// NewBrands checks the configuration and makes it ready.
func NewBrands(psl *suffix.List, list ...Brand) (*Brands, error) {
	b := &Brands{}
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
		words := c.Tokens
		if len(words) == 0 {
			if words = one.labels; len(words) == 0 && len(c.Domains) > 0 {
				bad("it has no token, and no domain to take one from")
			}
		}
		for _, w := range words {
			w = strings.ToLower(w)
			if len(w) < 3 || len(w) > 63 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				bad("token %q: want 3 to 63 letters, digits and hyphens", w)
				continue
			}
			one.tokens = append(one.tokens, token{w, skeleton(w)})
		}
		if len(one.Display) == 0 {
			one.Display = []string{c.Name}
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
	for i := range b.all {
		if b.all[i].owns(d) {
			return b.all[i].Name
		}
	}
	return ""
}

func (b *brand) owns(d bolwerk.Domain) bool {
	for _, own := range b.Domains {
		if d.Below(own) {
			return true
		}
	}
	return false
}

// Likeness is one way in which a name looks like a brand.
type Likeness struct {
	Brand string
	Token string // as configured
	Kind  string // a stable code: idn_skeleton, tld_swap, combosquat, swapped, typo, brand_subdomain
	Text  string // for people
}

// strong says that chance is nearly excluded.
func (l Likeness) strong() bool { return l.Kind == "idn_skeleton" }

// Look finds which brands the name looks like, at most one way for each: the
// label that its owner chose with other letters (idn_skeleton), the brand's own
// label under another suffix (tld_swap), the brand in it (combosquat), with
// digits for letters (swapped), one edit away (typo), or the brand in the labels
// in front of a foreign domain (brand_subdomain). A brand's own names never look
// like any brand.
func (b *Brands) Look(p Place) []Likeness {
	owner := p.Owner()
	if b == nil || owner.IsZero() || b.Owner(p.Name) != "" {
		return nil
	}
	n := shape(p)
	var found []Likeness
	for i := range b.all {
		if l, ok := b.all[i].look(n, p); ok {
			found = append(found, l)
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
	return n
}

func (b *brand) look(n named, p Place) (Likeness, bool) {
	is := func(t, kind, format string, a ...any) (Likeness, bool) {
		return Likeness{b.Name, t, kind, fmt.Sprintf(format, a...)}, true
	}
	if n.foreign {
		for _, t := range b.tokens {
			if holds(n.skel, t.skel) {
				return is(t.text, "idn_skeleton", "%s reads as %s, written with other letters", n.text, t.text)
			}
		}
	} else {
		for _, l := range b.labels {
			if n.label == l {
				return is(l, "tld_swap", "%s is %s's own label under another suffix", p.Owner(), b.Name)
			}
		}
		for _, t := range b.tokens {
			if holds(n.label, t.text) {
				return is(t.text, "combosquat", "%s has %s in it and is not %s's", p.Owner(), t.text, b.Name)
			}
		}
		for _, t := range b.tokens {
			if len(t.text) >= 5 && holds(n.skel, t.skel) {
				return is(t.text, "swapped", "%s reads as %s with characters swapped", n.label, t.text)
			}
		}
		for _, t := range b.tokens {
			if len(t.text) < 6 {
				continue
			}
			for _, part := range n.parts {
				// A shorter part is too often a word of its own: cloud, of icloud.
				if len(part) >= 6 && oneEdit(part, t.text) {
					return is(t.text, "typo", "%s is one letter away from %s", part, t.text)
				}
			}
			if len(n.parts) > 1 && oneEdit(n.label, t.text) {
				return is(t.text, "typo", "%s is one letter away from %s", n.label, t.text)
			}
		}
	}
	if n.front == "" {
		return Likeness{}, false
	}
	for _, own := range b.Domains {
		if strings.Contains("."+n.front+".", "."+own.String()+".") {
			return is(own.String(), "brand_subdomain", "%s stands in front of the foreign domain %s", own, p.Owner())
		}
	}
	for label := range strings.SplitSeq(n.front, ".") {
		for _, t := range b.tokens {
			if holds(label, t.text) {
				return is(t.text, "brand_subdomain", "%s stands in front of the foreign domain %s", t.text, p.Owner())
			}
		}
	}
	return Likeness{}, false
}

// holds says that label has the token in it so that a reader sees it: a token of
// 7 letters or more anywhere, of 5 or 6 with an end, a hyphen or a digit on one
// side (apple-id, not pineapples), a shorter one with them on both (kpn-betaal,
// not shopping).
func holds(label, token string) bool {
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
		case len(token) >= 7, len(token) >= 5 && (left || right), left && right:
			return true
		}
		from = i + 1
	}
}

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
