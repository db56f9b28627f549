// Package lists loads the lists that the operator gives to the shield: feeds of
// bad names, allow lists, popularity lists, known-good names. It reads plain
// lines, CSV, hosts files and RPZ zones into compact sets, and holds back a file
// that looks cut, poisoned or foreign. Where a file comes from is not its
// business: it is given a reader.
package lists

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// Kind says what a list is for, which decides the guards it loads under.
type Kind string

// The kinds of list.
const (
	Feed      Kind = "feed"       // names that somebody calls bad: evidence, never a decision
	Allow     Kind = "allow"      // names that are known to be right
	Popular   Kind = "popular"    // names that many people use
	KnownGood Kind = "known_good" // names that must resolve through every publication
)

// Format says how a file is written.
type Format string

// The formats. In each, a line that is empty or begins with # is skipped (in
// RPZ, with ;), and an address of a page is understood where a name may stand.
const (
	Plain Format = "plain" // one name a line; a leading dot, "*." or "||" is taken off
	CSV   Format = "csv"   // one field of each line; double quotes as in RFC 4180, no line break inside them
	Hosts Format = "hosts" // an address, then names
	RPZ   Format = "rpz"   // a zone in master file format, one record a line
)

// Source is one list as the operator configures it.
type Source struct {
	// Name stands in reasons and alarms.
	Name string `toml:"name"`
	// Kind is feed, allow, popular or known_good; Format is plain, csv, hosts or rpz.
	Kind   Kind   `toml:"kind"`
	Format Format `toml:"format"`
	// Field is the CSV field of the name, from 1; 0 is 1. Separator is its
	// separator; 0 is a comma.
	Field     int    `toml:"field"`
	Separator string `toml:"separator"`
	// Ranked says that the order of a popularity list is its rank. Otherwise
	// every name of it is taken to be within Top (0: the number of its names).
	Ranked bool `toml:"ranked"`
	Top    int  `toml:"top"`
	// MustHave are names without which the file is not this list.
	MustHave []bolwerk.Domain `toml:"must_have"`
	// MustNotHave are names with which it is not, besides the large public
	// suffixes (com, be, co.uk), which no feed and no allow list may have.
	MustNotHave []bolwerk.Domain `toml:"must_not_have"`
	// Jump is the largest difference in names to the version in use, as a part
	// of one; 0 is 0.5.
	Jump float64 `toml:"jump"`
}

// DefaultJump is the difference in size that holds a new version back. Feeds of
// phishing names turn over by 10 to 30 % a day; a cut or poisoned file differs
// by more than half.
const DefaultJump = 0.50

// jumpFloor is the number of names below which a jump says nothing: a list that
// goes from 3 names to 6 is no accident.
const jumpFloor = 100

// Validate says what is wrong with the configuration of the list.
func (s Source) Validate() error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, bolwerk.Invalid("list %q: "+format, append([]any{s.Name}, a...)...))
	}
	if s.Name == "" {
		bad("it has no name")
	}
	switch s.Kind {
	case Feed, Allow, Popular, KnownGood:
	default:
		bad("kind %q: want feed, allow, popular or known_good", s.Kind)
	}
	switch s.Format {
	case Plain, CSV, Hosts, RPZ:
	default:
		bad("format %q: want plain, csv, hosts or rpz", s.Format)
	}
	if s.Field < 0 || s.Field > 100 {
		bad("field %d: want 1 to 100", s.Field)
	}
	if len(s.Separator) > 1 {
		bad("separator %q: want one character", s.Separator)
	}
	if s.Top < 0 {
		bad("top %d: want 0 or more", s.Top)
	}
	if s.Jump < 0 || s.Jump > 100 {
		bad("jump %g: want a part of one, such as 0.5", s.Jump)
	}
	return errors.Join(errs...)
}

// Held is the error of a file that was read and is held back. The version in
// use stays. A person who has looked may use the Candidate.
type Held struct {
	Candidate *Set
	Why       []string // lower case, no full stop
}

func (h *Held) Error() string {
	return fmt.Sprintf("list %s held back: %s", h.Candidate.name, strings.Join(h.Why, "; "))
}

// Unwrap makes it a conflict.
func (h *Held) Unwrap() error { return bolwerk.ErrConflict }

// Load reads a new version of the list from r. inUse is the version in use, or
// nil. It returns what to use from now on: the new version, or inUse with an
// error that says why: bolwerk.ErrInvalid where the file cannot be read, *Held
// where it can and looks wrong.
func Load(r io.Reader, source Source, inUse *Set, psl *suffix.List) (*Set, error) {
	next, sentinel, err := read(r, source, psl)
	if err != nil {
		return inUse, err
	}
	if why := doubts(next, sentinel, source, inUse); len(why) > 0 {
		return inUse, &Held{next, why}
	}
	return next, nil
}

// doubts are the guards of a list.
func doubts(next *Set, sentinel bolwerk.Domain, source Source, inUse *Set) (why []string) {
	if next.Len() == 0 && len(next.urls) == 0 {
		if inUse.Len() > 0 || next.Count.Lines > 0 {
			why = append(why, doubt("%d lines and no name in them", next.Count.Lines))
		}
		return why
	}
	// Popularity lists have suffixes in them by nature; they are taken out.
	if !sentinel.IsZero() && source.Kind != Popular {
		why = append(why, doubt("it has %s, a public suffix", sentinel))
	}
	for _, d := range source.MustHave {
		if !next.Has(d) {
			why = append(why, doubt("it lacks %s, which it must have", d))
		}
	}
	for _, d := range source.MustNotHave {
		if next.Has(d) {
			why = append(why, doubt("it has %s, which it must not have", d))
		}
	}
	if bad := next.Count.Bad; bad > 10 && bad > next.Count.Lines/2 {
		why = append(why, doubt("%d of %d lines have no name in them", bad, next.Count.Lines))
	}
	limit := source.Jump
	if limit == 0 {
		limit = DefaultJump
	}
	was, is := inUse.size(), next.size()
	if was >= jumpFloor || is >= jumpFloor && was > 0 {
		if d := float64(is-was) / float64(was); d > limit || d < -limit {
			why = append(why, doubt("%d entries after %d is a jump of %+.0f %%", is, was, 100*d))
		}
	}
	return why
}

// doubt is one of them, as it is kept: a page says it in its reader's language.
func doubt(format string, a ...any) string { return fmt.Sprintf(format, a...) }

func (s *Set) size() int {
	if s == nil {
		return 0
	}
	return len(s.flags) + len(s.urls)
}
