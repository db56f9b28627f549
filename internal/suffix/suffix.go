// Package suffix says where a registered name ends: which part of a name is a
// public suffix (com, co.uk, github.io) and which is the part that somebody
// registered. It answers from the list compiled into golang.org/x/net, or from
// a newer file of the operator in the format of https://publicsuffix.org/list/.
package suffix

import (
	"bolwerk"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Section is the part of the list that a suffix stands in.
type Section string

// The sections. Unknown is a last label that no rule names (".example"): it is
// not a private suffix, and a name below it is an ordinary registrable domain.
const (
	ICANN   Section = "icann"   // delegated by the root: com, co.uk
	Private Section = "private" // the owner of a domain lets strangers have names below it: github.io
	Unknown Section = "unknown"
)

// List is one version of the public suffix list. It never changes, so any
// number of goroutines may use it. The zero List is not useful: take Builtin or
// Load.
type List struct {
	rules   map[string]kind     // nil: the compiled list answers
	above   map[string]struct{} // names with two labels or more that have a suffix below them
	size    int
	text    string
	version string
}

// kind holds what rules exist at a name.
type kind uint8

const (
	normal          kind = 1 << iota // "name" is a suffix
	normalPrivate                    // ... of the private section
	wildcard                         // "*.name": every name one label below is a suffix
	wildcardPrivate                  //
	exception                        // "!name": not a suffix although a wildcard says so
)

// Builtin is the list compiled into golang.org/x/net. It is as old as our
// release; Version says from when.
func Builtin() *List { return &List{version: publicsuffix.List.String()} }

// Version names the list: the SHA-256 of a loaded file, or the git revision and
// date of the compiled one. Decisions store it.
func (l *List) Version() string { return l.version }

// Text is the file that the list was loaded from, for a process that has no files:
// Load of it gives the same list. It is empty for the compiled one.
func (l *List) Text() string { return l.text }

// Rules is the number of rules of a loaded list, 0 for the compiled one, which
// does not say.
func (l *List) Rules() int { return l.size }

// More are the top-level domains that the list has and the compiled one has not; nil
// where it is the compiled list.
func (l *List) More() (out []string) {
	for name, k := range l.rules {
		if strings.Contains(name, ".") || k&^(normalPrivate|wildcardPrivate|exception) == 0 || k&normalPrivate != 0 {
			continue
		}
		if s, icann := publicsuffix.PublicSuffix(name); !icann || s != name {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Suffix is the public suffix of d and the section of the rule that says so. By
// the algorithm of publicsuffix.org an exception wins over everything, else the
// rule with the most labels; without a rule it is the last label, Unknown. It
// may be d itself. The zero Domain has none.
func (l *List) Suffix(d bolwerk.Domain) (bolwerk.Domain, Section) {
	if d.IsZero() {
		return bolwerk.Domain{}, Unknown
	}
	if l.rules == nil {
		return builtin(d)
	}
	var found, last bolwerk.Domain
	section := Unknown
	for p := d; !p.IsZero(); p = p.Parent() {
		last = p
		k, up := l.rules[p.String()], p.Parent()
		if k&exception != 0 {
			// An exception stands for the rule without its first label; it is
			// of the section of the wildcard that it excepts from.
			return up, of(l.rules[up.String()]&wildcardPrivate != 0)
		}
		if !found.IsZero() {
			continue // a longer rule is known; only an exception could win now
		}
		if k&normal != 0 {
			found, section = p, of(k&normalPrivate != 0)
		} else if w := l.rules[up.String()]; !up.IsZero() && w&wildcard != 0 {
			found, section = p, of(w&wildcardPrivate != 0)
		}
	}
	if found.IsZero() {
		return last, Unknown
	}
	return found, section
}

// Registrable is the suffix of d and one label more: what somebody registered
// (evil.co.uk for login.evil.co.uk), or a tenant's name under a private suffix
// (evil.github.io). ok is false where d is itself a suffix or zero.
func (l *List) Registrable(d bolwerk.Domain) (_ bolwerk.Domain, ok bool) {
	s, _ := l.Suffix(d)
	if d.IsZero() || d == s {
		return bolwerk.Domain{}, false
	}
	for d.Labels() > s.Labels()+1 {
		d = d.Parent()
	}
	return d, true
}

// Is says whether d is itself a public suffix: a single label always is.
func (l *List) Is(d bolwerk.Domain) bool {
	s, _ := l.Suffix(d)
	return !d.IsZero() && s == d
}

// Splits says that a suffix stands below d, so that names below d belong to
// strangers although d itself is somebody's (example.com with *.cdn.example.com).
// Only a loaded list can tell; the compiled one cannot be read through and says
// false. It says nothing of suffixes of one label.
func (l *List) Splits(d bolwerk.Domain) bool {
	_, ok := l.above[d.String()]
	return ok
}

func of(private bool) Section {
	if private {
		return Private
	}
	return ICANN
}

func builtin(d bolwerk.Domain) (bolwerk.Domain, Section) {
	text, below := publicsuffix.PublicSuffix(d.String())
	s := d
	for len(s.String()) > len(text) {
		s = s.Parent()
	}
	// Asked for the suffix itself: for a name below it the library reports the
	// flag of the deepest node that it touched, which may be another rule's.
	_, icann := publicsuffix.PublicSuffix(text)
	switch {
	case s.Labels() > 1 && !icann:
		return s, Private
	case icann || below: // below alone: www.ck, where only "*.ck" and "!www.ck" are rules
		return s, ICANN
	}
	return s, Unknown
}
