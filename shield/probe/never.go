package probe

import (
	"math"
	"net/url"
	"regexp"
	"strings"

	"bolwerk"
)

// What is never asked for. A visit must not do something in somebody's name: take
// a reporter off a list, confirm an address, or open a personal link at the site
// of a brand that was drawn into a mail.
var (
	leaves = regexp.MustCompile(`(?i)(^|[^a-z])(un-?subscri(be|ption)|opt-?out|uitschrijven|afmelden|abmelden|abbestellen|austragen|se-?desabonner|se-?desinscrire|desinscription|desabonnement)([^a-z]|$)`)
	does   = regexp.MustCompile(`(?i)(^|[^a-z])(confirm(ation|er)?|bevestig(en)?|bestaetigen|activat(e|ion)|verify-?e?-?mail|validate|magic-?link|password-?reset|reset-?password|one-?time)([^a-z]|$)`)
)

// Never says why a page is not to be visited; "" where it may. brand says that
// the host is a known brand's own.
func Never(u *url.URL, brand bool) string {
	if leaves.MatchString(u.Path) || leaves.MatchString(u.RawQuery) {
		return "it looks like a link that takes somebody off a list"
	}
	if !Personal(u) {
		return ""
	}
	switch {
	case brand:
		return "it looks like somebody's personal link at a brand's own site"
	case does.MatchString(u.Path) || does.MatchString(u.RawQuery):
		return "it looks like a link that confirms something for one person"
	}
	return ""
}

// Personal says that an address has something in it that only one person was
// given: a long opaque value, or a mail address.
func Personal(u *url.URL) bool {
	for seg := range strings.SplitSeq(u.Path, "/") {
		if opaque(seg) {
			return true
		}
	}
	q, _ := url.ParseQuery(u.RawQuery)
	for key, values := range q {
		if opaque(key) {
			return true
		}
		for _, v := range values {
			if opaque(v) || strings.Contains(v, "@") {
				return true
			}
		}
	}
	return false
}

// opaque says that no person would have written s: at least 16 characters of a
// token's alphabet, digits and letters mixed, as many different ones as chance
// gives. "uw-pakket-is-onderweg-2026" is none.
func opaque(s string) bool {
	if len(s) < 16 {
		return false
	}
	var count [128]int
	digits, letters, turns := 0, 0, 0
	was := 0
	for i := range len(s) {
		c := s[i]
		kind := 0
		switch {
		case c >= '0' && c <= '9':
			digits++
			kind = 1
		case c >= 'a' && c <= 'z':
			letters++
			kind = 2
		case c >= 'A' && c <= 'Z':
			letters++
			kind = 3
		case strings.IndexByte("-_=.~+/%", c) >= 0:
			kind = was
		default:
			return false
		}
		if kind != was {
			turns++
		}
		was = kind
		count[c]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return digits > 0 && letters > 0 && turns >= 4 && bits > 2.8
}

// brandOf says whether a host is, or stands below, one of names.
func brandOf(host string, names map[string]bool) bool {
	d, err := bolwerk.ParseDomain(host)
	if err != nil {
		return false
	}
	for ; !d.IsZero(); d = d.Parent() {
		if names[d.String()] {
			return true
		}
	}
	return false
}
