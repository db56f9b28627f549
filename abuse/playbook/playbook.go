// Package playbook is what the abuse desk does about a class of cases by itself: after
// what has been seen, whom it informs, how long it waits, when it puts a line into
// quarantine, when it closes the case. It is pure: a book and what is known go in, the
// next thing to do and its time come out.
package playbook

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/reading"
)

// Do is what a step does.
type Do string

// What steps do.
const (
	Inform     Do = "inform"         // the subscriber is told
	Wait       Do = "wait"           // nothing, for a while
	Quarantine Do = "quarantine"     // the line goes into the safe environment
	CloseClean Do = "close_if_clean" // the case is closed once the line was not seen for some days
	Retest     Do = "retest"         // the line is tested, before it is closed; no book names it
)

// When says what has to be seen. Zero asks for nothing.
type When struct {
	// Events is how many events at least.
	Events int64 `toml:"events"`
	// Solid is how many of them at least that a named source told and that no forged
	// address explains.
	Solid int64 `toml:"solid"`
	// Reporters is how many different ones at least.
	Reporters int64 `toml:"reporters"`
	// Returned is how often at least it began again after it was closed.
	Returned int64 `toml:"returned"`
	// Again asks that a named source saw the line after the subscriber was told last, or
	// after the case began where nobody could be told; or that it is in quarantine.
	Again bool `toml:"again"`
}

// Step is one thing to do.
type Step struct {
	// Do is inform, wait, quarantine or close_if_clean.
	Do Do `toml:"do"`
	// After is how long after the step before; for the first, after the case met the
	// book's when.
	After bolwerk.Duration `toml:"after"`
	// When is what has to be seen for it; where it is not, the step is left out.
	When When `toml:"when"`
	// Channels are those by which the subscriber is informed: mail, sms, letter, app.
	// Empty: what the subscriber prefers.
	Channels []string `toml:"channels"`
	// Profile is what a quarantine lets through: leaky.
	Profile enforce.Profile `toml:"profile"`
	// Days is how long a quarantine lasts at most, 1 to 30.
	Days int `toml:"days"`
	// CleanDays is for how many days, on which the feeds were heard, the line is not
	// to be seen before the case is closed; twice as many where no feed tells of it.
	CleanDays int `toml:"clean_days"`
}

// Book is what is done about some classes.
type Book struct {
	// Name is its own, as cases show it.
	Name string `toml:"name"`
	// Classes are the classes it is for, such as malicious-code/infected-system, or
	// patterns of them, such as malicious-code/*. The first book that fits is taken.
	Classes []string `toml:"classes"`
	// When is what has to be seen before it begins.
	When When `toml:"when"`
	// Steps are done one after the other.
	Steps []Step `toml:"step"`
	// Threat is what others are protected from: of the record of its quarantines.
	Threat string `toml:"threat"`
	// Necessity is why nothing milder does.
	Necessity string `toml:"necessity"`
	// Proportion is why it is not more than that.
	Proportion string `toml:"proportion"`
}

const (
	maxSteps = 20
	maxBooks = 100
	maxAfter = 365 * 24 * time.Hour
)

// Channels are what a step may name.
func Channels() []string { return []string{"mail", "sms", "letter", "app"} }

// Check says everything that is wrong with books.
func Check(books []Book) error {
	var errs []error
	if len(books) > maxBooks {
		errs = append(errs, bolwerk.Invalid("%d playbooks: at most %d", len(books), maxBooks))
	}
	names := map[string]bool{}
	for i, b := range books {
		at := fmt.Sprintf("playbook %d", i+1)
		if b.Name != "" {
			at = "playbook " + b.Name
		}
		bad := func(ok bool, format string, args ...any) {
			if !ok {
				errs = append(errs, bolwerk.Invalid("%s: "+format, append([]any{at}, args...)...))
			}
		}
		bad(b.Name != "" && len(b.Name) <= 60 && !names[b.Name], "want a name of its own, of 1 to 60 octets")
		names[b.Name] = true
		bad(len(b.Classes) > 0, "want the classes that it is for")
		for _, c := range b.Classes {
			_, err := path.Match(c, "a/b")
			bad(err == nil && strings.Contains(c, "/"), "class %.60q: want one such as malicious-code/infected-system or malicious-code/*", c)
		}
		bad(b.When.sane(), "when: want numbers of 0 and more")
		bad(!b.When.Again, "when: again is for steps: before the first nobody was told")
		bad(len(b.Steps) > 0 && len(b.Steps) <= maxSteps, "%d steps: want 1 to %d", len(b.Steps), maxSteps)
		quarantines := false
		for n, s := range b.Steps {
			at := func(format string, args ...any) string {
				return fmt.Sprintf("step %d: ", n+1) + fmt.Sprintf(format, args...)
			}
			bad(slices.Contains([]Do{Inform, Wait, Quarantine, CloseClean}, s.Do), "%s", at("do %.20q: want inform, wait, quarantine or close_if_clean", s.Do))
			bad(s.After.D() >= 0 && s.After.D() <= maxAfter, "%s", at("after %s: want 0s to 365 days", s.After))
			bad(s.When.sane(), "%s", at("when: want numbers of 0 and more"))
			for _, c := range s.Channels {
				bad(slices.Contains(Channels(), c), "%s", at("channel %.20q: want mail, sms, letter or app", c))
			}
			bad(s.Do == Inform || len(s.Channels) == 0, "%s", at("only inform has channels"))
			bad(s.Do == CloseClean || s.CleanDays == 0, "%s", at("only close_if_clean has clean_days"))
			bad(s.Do != CloseClean || s.CleanDays >= 1 && s.CleanDays <= 90, "%s", at("clean_days %d: want 1 to 90", s.CleanDays))
			bad(s.Do == Quarantine || s.Profile == "" && s.Days == 0, "%s", at("only quarantine has a profile and days"))
			bad(s.Do != Quarantine || s.Profile == enforce.Leaky, "%s", at("profile %.20q: want leaky; strict is asked for by people", s.Profile))
			bad(s.Do != Quarantine || s.Days >= 1 && s.Days <= 30, "%s", at("days %d: want 1 to 30", s.Days))
			quarantines = quarantines || s.Do == Quarantine
		}
		bad(!quarantines || b.Threat != "" && b.Necessity != "" && b.Proportion != "", "a quarantine needs its record: threat, necessity, proportion")
		for _, s := range []string{b.Threat, b.Necessity, b.Proportion} {
			bad(len(s) <= 500, "a text of %d octets: at most 500", len(s))
		}
	}
	return errors.Join(errs...)
}

func (w When) sane() bool {
	return w.Events >= 0 && w.Solid >= 0 && w.Reporters >= 0 && w.Returned >= 0
}

// For is the first book for a class; false where there is none.
func For(books []Book, c reading.Class) (Book, bool) {
	for _, b := range books {
		for _, p := range b.Classes {
			if ok, err := path.Match(p, string(c)); ok && err == nil {
				return b, true
			}
		}
	}
	return Book{}, false
}

// Named is the book of that name.
func Named(books []Book, name string) (Book, bool) {
	i := slices.IndexFunc(books, func(b Book) bool { return b.Name == name })
	if i < 0 {
		return Book{}, false
	}
	return books[i], true
}

// Facts are what is known of a case.
type Facts struct {
	Events, Solid, Reporters, Returned int64
	Held                               bool // its line is in quarantine, or on its way there
	Again                              bool // a named source saw it after the subscriber was told last
	Clean                              int  // full days on which it was not seen, and would have been
	Test                               Test // of the line
}

// Test is where a test of the line stands.
type Test string

// Where it stands.
const (
	TestNone  Test = ""      // it cannot be tested, or a test of today found nothing that is open
	TestDue   Test = "due"   // it can be, and was not today
	TestAsked Test = "asked" // it is under way
	TestOpen  Test = "open"  // a test of today found a service that is open yet
)

// Met says that enough was seen.
func (w When) Met(f Facts) bool {
	return f.Events >= w.Events && f.Solid >= w.Solid && f.Reporters >= w.Reporters && f.Returned >= w.Returned && (!w.Again || f.Again || f.Held)
}

// Place is how far a case is in its book.
type Place struct {
	Step int       // the one that is next; len(Steps) is the end
	Due  time.Time // when
}

// Begin is the place of a case that meets the book now.
func Begin(b Book, now time.Time) Place { return Place{0, now.Add(b.Steps[0].After.D())} }

// again is how often a step that waits for something is looked at.
const again = time.Hour

// tested is how long a test is waited for before it is looked at.
const tested = time.Minute

// Act is what is to be done now.
type Act struct {
	Step  Step
	N     int  // of the step, from 0
	Do    Do   // "": nothing
	Left  bool // the step was left out: not enough was seen
	Place Place
	End   bool // the book is at its end
}

// Next is what is to be done at a place. Before its time nothing is, and the place
// stays.
func Next(b Book, p Place, f Facts, now time.Time) Act {
	if p.Step >= len(b.Steps) {
		return Act{Place: p, End: true}
	}
	if now.Before(p.Due) {
		return Act{Place: p}
	}
	s := b.Steps[p.Step]
	a := Act{Step: s, N: p.Step, Place: Place{p.Step + 1, now}}
	if a.Place.Step < len(b.Steps) {
		a.Place.Due = now.Add(b.Steps[a.Place.Step].After.D())
	} else {
		a.End = true
	}
	switch {
	case !s.When.Met(f), s.Do == Quarantine && f.Held:
		a.Left = true
	case s.Do == CloseClean && f.Clean < s.CleanDays:
		return Act{Step: s, N: p.Step, Place: Place{p.Step, now.Add(again)}} // not yet
	case s.Do == CloseClean && f.Test == TestDue:
		return Act{Step: s, N: p.Step, Do: Retest, Place: Place{p.Step, now.Add(tested)}}
	case s.Do == CloseClean && f.Test == TestAsked:
		return Act{Step: s, N: p.Step, Place: Place{p.Step, now.Add(tested)}}
	case s.Do == CloseClean && f.Test == TestOpen: // feeds do not see it, we do
		return Act{Step: s, N: p.Step, Place: Place{p.Step, now.Add(again)}}
	default:
		a.Do = s.Do
	}
	return a
}
