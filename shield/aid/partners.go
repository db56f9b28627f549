package aid

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"bolwerk"
)

// Role is what a partner does for people.
type Role string

// The roles.
const (
	CardStop     Role = "card_stop"     // blocks payment cards
	Bank         Role = "bank"          // where people reach their bank's fraud desk
	DigitalID    Role = "digital_id"    // itsme, DigiD
	IdentityCard Role = "identity_card" // blocks identity documents
	Police       Role = "police"        // where a report is made
	VictimHelp   Role = "victim_help"   // somebody to talk to
	Assistance   Role = "assistance"    // the operator's own help or insurance
)

var roles = []Role{CardStop, Bank, DigitalID, IdentityCard, Police, VictimHelp, Assistance}

// helps says which roles help with a kind, in the order in which they are shown.
var helps = map[Kind][]Role{
	Card:     {CardStop, Bank},
	OTP:      {CardStop, Bank, DigitalID},
	Money:    {Bank, CardStop, Police, VictimHelp, Assistance},
	Remote:   {Assistance, Bank, Police},
	Password: {Assistance},
	IBAN:     {Bank},
	ID:       {IdentityCard, Police},
}

// Partner is somebody whom people can call.
type Partner struct {
	// Kind is card_stop, bank, digital_id (itsme, DigiD), identity_card, police,
	// victim_help or assistance (the operator's own help or insurance).
	Kind Role `toml:"kind"`
	// Name is what people know it by.
	Name string `toml:"name"`
	// Names are other names by language: nl, fr, de, en.
	Names map[string]string `toml:"names,omitempty"`
	// Country is shown behind the name where it is not the operator's: two letters.
	Country string `toml:"country,omitempty"`
	// Languages are those of the pages that show it; none is all.
	Languages []bolwerk.Lang `toml:"languages,omitempty"`
	// Phone is the number as people dial it in the country.
	Phone string `toml:"phone,omitempty"`
	// Abroad is the number as people dial it from elsewhere.
	Abroad string `toml:"abroad,omitempty"`
	// URL is its page; shown as text.
	URL string `toml:"url,omitempty"`
	// Hours are when somebody answers, by language.
	Hours map[string]string `toml:"hours,omitempty"`
	// Note is one sentence more, by language.
	Note map[string]string `toml:"note,omitempty"`
	// Reviewed is the day on which somebody last looked whether all of this is
	// still right, such as 2026-11-25.
	Reviewed toml.LocalDate `toml:"reviewed"`
	// ReviewAfter is how long that holds; empty is 180 days. From then on "check"
	// warns, and 30 days later the metric alarms. The partner stays on the pages.
	ReviewAfter bolwerk.Duration `toml:"review_after,omitempty"`
}

// Partners are an operator's.
type Partners []Partner

const (
	reviewAfter = 180 * 24 * time.Hour
	// Grace is how long after its date a review may be late before it is an alarm.
	Grace = 30 * 24 * time.Hour

	maxPartners = 40
)

// With is the operator's own partners, and those that we know of its country
// where it names none of that kind.
func (ps Partners) With(country string) Partners {
	out := slices.Clone(ps)
	for _, k := range known {
		if k.Country == country && !slices.ContainsFunc(ps, func(p Partner) bool { return p.Kind == k.Kind }) {
			out = append(out, k)
		}
	}
	for i := range out {
		if out[i].Country == country {
			out[i].Country = ""
		}
	}
	return out
}

// Validate tells every problem at once.
func (ps Partners) Validate() error {
	var problems []error
	if len(ps) > maxPartners {
		problems = append(problems, bolwerk.Invalid("partners: %d, at most %d", len(ps), maxPartners))
	}
	for i, p := range ps {
		p.validate(func(format string, a ...any) {
			problems = append(problems, bolwerk.Invalid("partners %d (%s): %s", i+1, p.Name, fmt.Sprintf(format, a...)))
		})
	}
	return errors.Join(problems...)
}

func (p Partner) validate(bad func(string, ...any)) {
	if !slices.Contains(roles, p.Kind) {
		bad("kind %q: want card_stop, bank, digital_id, identity_card, police, victim_help or assistance", p.Kind)
	}
	line := func(key, s string, most int) {
		if utf8.RuneCountInString(s) > most || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(s) {
			bad("%s: want one line of at most %d characters", key, most)
		}
	}
	if p.Name == "" {
		bad("name: is missing")
	}
	line("name", p.Name, 60)
	line("url", p.URL, 80)
	for key, n := range map[string]string{"phone": p.Phone, "abroad": p.Abroad} {
		line(key, n, 30)
		if dial(n) == "" && n != "" || strings.Trim(n, "0123456789 +()-./") != "" {
			bad("%s %q: want a number such as 078 170 170 or +32 78 170 170", key, n)
		}
	}
	if p.Phone == "" && p.URL == "" && len(p.Note) == 0 {
		bad("give a phone, a url or a note: there is nothing to tell people")
	}
	if p.Country != "" && !Country(p.Country) {
		bad("country %q: want two capitals such as BE", p.Country)
	}
	for _, l := range p.Languages {
		if !slices.Contains(bolwerk.Langs(), l) {
			bad("languages: %q is not one of nl, fr, de, en", l)
		}
	}
	for _, t := range []struct {
		key  string
		text map[string]string
		all  bool
		most int
	}{{"names", p.Names, false, 60}, {"hours", p.Hours, true, 60}, {"note", p.Note, true, 200}} {
		for l, s := range t.text {
			if !slices.Contains(bolwerk.Langs(), bolwerk.Lang(l)) {
				bad("%s: %q is not one of nl, fr, de, en", t.key, l)
			}
			line(t.key+"."+l, s, t.most)
		}
		for _, l := range bolwerk.Langs() {
			if t.all && len(t.text) > 0 && p.in(l) && t.text[string(l)] == "" {
				bad("%s: has no text in %s", t.key, l)
			}
		}
	}
	if p.Reviewed.Year == 0 {
		bad("reviewed: say on which day somebody last checked it, such as 2026-11-25")
	}
	if p.ReviewAfter < 0 {
		bad("review_after %s: want a length of time such as 180d", p.ReviewAfter)
	}
}

// Country says whether s is the code of a country: two capitals (ISO 3166-1).
func Country(s string) bool {
	return len(s) == 2 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// in says whether pages in l show the partner.
func (p Partner) in(l bolwerk.Lang) bool {
	return len(p.Languages) == 0 || slices.Contains(p.Languages, l)
}

// Day is the date of t in UTC, for Reviewed.
func Day(t time.Time) toml.LocalDate {
	y, m, d := t.UTC().Date()
	return toml.LocalDate{Year: y, Month: int(m), Day: d}
}

// Due is when the partner has to be looked at again.
func (p Partner) Due() time.Time {
	after := p.ReviewAfter.D()
	if after == 0 {
		after = reviewAfter
	}
	return p.Reviewed.AsTime(time.UTC).Add(after)
}

// Warnings say which partners have to be looked at again.
func (ps Partners) Warnings(now time.Time) (out []string) {
	for _, p := range ps {
		if late := now.Sub(p.Due()); late > 0 {
			out = append(out, fmt.Sprintf("partners: %s (%s) was last checked on %s: look whether its number is still right, then set reviewed", p.Name, p.Kind, p.Reviewed))
		}
	}
	return out
}

// Late are those that somebody has to look at again, by name.
func (ps Partners) Late(now time.Time) (names []string) {
	for _, p := range ps {
		if now.After(p.Due()) && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Line is a partner as a page shows it in one language.
type Line struct {
	Name, Phone, Abroad, URL, Hours, Note string
	// Dial is Phone as a telephone takes it: digits, and a plus in front.
	Dial string
}

// For are the partners that help with a kind, those to call first in front.
func (ps Partners) For(k Kind, l bolwerk.Lang) []Line { return ps.Of(l, helps[k]...) }

// Of are the partners of some roles, in the order of the roles.
func (ps Partners) Of(l bolwerk.Lang, want ...Role) (out []Line) {
	for _, r := range want {
		for _, p := range ps {
			if p.Kind != r || !p.in(l) {
				continue
			}
			n := Line{Name: p.Name, Phone: p.Phone, Abroad: p.Abroad, URL: p.URL, Hours: p.Hours[string(l)], Note: p.Note[string(l)], Dial: dial(p.Phone)}
			if other := p.Names[string(l)]; other != "" {
				n.Name = other
			}
			if p.Country != "" {
				n.Name += " (" + p.Country + ")"
			}
			out = append(out, n)
		}
	}
	return out
}

func dial(phone string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, phone)
}
