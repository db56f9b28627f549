package judge

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"bolwerk"
)

//go:embed lures.txt
var lureText string

// lures are the compiled words: what names say to look trustworthy, and where a
// name costs next to nothing.
type lures struct {
	short, middle map[string]bool // up to 3 letters, 4 and 5
	long          []string
	soft          map[string]bool // those of them that good names say too
	suffixes      map[string]bool
	notFree       map[bolwerk.Domain]bool
	assigned      map[bolwerk.Domain]bool
	handles       map[bolwerk.Domain]bool
}

var lureList = sync.OnceValue(func() *lures {
	l := &lures{map[string]bool{}, map[string]bool{}, nil, map[string]bool{}, map[string]bool{},
		map[bolwerk.Domain]bool{}, map[bolwerk.Domain]bool{}, map[bolwerk.Domain]bool{}}
	seen := map[string]bool{}
	section := ""
	for line := range strings.Lines(lureText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			continue
		}
		for w := range strings.FieldsSeq(line) {
			switch {
			case section == "suffixes":
				l.suffixes[w] = true
			case section == "not-free":
				l.notFree[bolwerk.MustDomain(w)] = true
			case section == "named-by-platform":
				l.assigned[bolwerk.MustDomain(w)] = true
			case section == "handles":
				l.handles[bolwerk.MustDomain(w)] = true
			case seen[w]:
				continue
			case len(w) <= 3:
				l.short[w] = true
			case len(w) <= 5:
				l.middle[w] = true
			default:
				l.long = append(l.long, w)
			}
			if section == "soft" {
				l.soft[w] = true
			}
			seen[w] = true
		}
	}
	return l
})

// traits are what a name has about it that good names seldom have. None says
// much alone; two together do.
type traits struct {
	// cheap says that the name costs next to nothing: a label on a platform that
	// gives them away, or a suffix that does. place is which.
	cheap, tenant bool
	place         string
	words         []string // what it says to look trustworthy, at most three
	hard          bool     // one of them is said by few good names
	// number is a long number at a word, as in "case-10093821"; made says that a
	// label looks made up by a machine; chain is three hyphens and more.
	number, made, chain bool
	// handle says that the platform's tenants have the handles of people.
	handle bool
	// filed is a label that says a hard word with a number of seven digits and
	// more, as in "verification-center-10093821"; server is a label that is an
	// address of the Internet, as who hires out servers names them.
	filed, server string
	// shown is a foreign address that the name begins with, as in
	// "shop.com-track.example".
	shown string
}

// lureEvidence is what a name's traits tell: two of them together are suspicious
// and of tier 2, one alone is context.
func lureEvidence(p Place, brands *Brands) (out []Evidence) {
	if brands.Owner(p.Name) != "" {
		return nil
	}
	t := traitsOf(p, shape(p))
	say := func(tier Tier, source string, w Word, reason, format string, a ...any) {
		out = append(out, Evidence{Family: FamilyName, Source: source, Tier: tier, Verdict: w,
			Reason: reason, Detail: fmt.Sprintf(format, a...)})
	}
	cheap := func() string {
		if p.Tenant.IsZero() {
			return "where names cost next to nothing (." + t.place + ")"
		}
		return "on " + t.place + ", which gives names away"
	}
	switch {
	case t.server != "":
		say(2, "lures", Suspicious, "server_name", "the label %s is a server's address: nobody gave it a name", t.server)
	case t.shown != "":
		say(2, "lures", Suspicious, "shown_address", "%s begins as if it were %s", p.Name, t.shown)
	case t.tenant && len(t.words) > 1, t.cheap && t.hard:
		say(2, "lures", Suspicious, "lure_words", "it says %s and stands %s", strings.Join(t.words, ", "), cheap())
	case t.cheap && t.number:
		say(2, "lures", Suspicious, "numbered", "a word with a long number, %s", cheap())
	case t.filed != "":
		say(2, "lures", Suspicious, "numbered", "the label %s puts a long number at a word to be trusted", t.filed)
	case t.tenant && t.made:
		say(2, "lures", Suspicious, "made_up", "a label that looks made by a machine, %s", cheap())
	case t.cheap && t.chain:
		say(2, "lures", Suspicious, "hyphen_chain", "words chained with hyphens, %s", cheap())
	case len(t.words) >= 2 && t.hard && (t.chain || t.number):
		say(2, "lures", Suspicious, "lure_words", "it says %s, chained or numbered", strings.Join(t.words, ", "))
	case len(t.words) > 0:
		say(3, "lures", Suspicious, "lure_words", "it says %s", strings.Join(t.words, ", "))
	}
	return out
}

// others says that something besides a brand's word is against the name.
func (t traits) others() bool {
	return t.cheap || t.hard || len(t.words) > 1 || t.number || t.chain || t.made || t.shown != ""
}

func traitsOf(p Place, n named) (t traits) {
	l := lureList()
	if p.Shared || p.Owner().IsZero() {
		return t
	}
	switch {
	case !p.Tenant.IsZero():
		t.cheap = !l.notFree[p.Platform.Name] && !registryLike(p.Platform.Name)
		t.tenant, t.place = t.cheap, p.Platform.Name.String()
		t.handle = l.handles[p.Platform.Name]
	case l.suffixes[p.Suffix.String()]:
		t.cheap, t.place = true, p.Suffix.String()
	}
	labels := []string{n.label}
	if n.front != "" {
		labels = append(strings.Split(n.front, "."), n.label)
	}
	for i, label := range labels {
		if label == "www" || i < len(labels)-5 {
			continue // five labels are enough for every trick
		}
		read := digits.Replace(zeros.Replace(label))
		before := len(t.words)
		t.words = l.find(t.words, label)
		if read != label {
			t.words = l.find(t.words, read)
		}
		t.number = t.number || longNumber(label)
		t.chain = t.chain || strings.Count(label, "-") >= 3 || strings.Contains(label, "--") && !strings.HasPrefix(label, "xn--")
		if t.filed == "" && len(label) <= 63 && l.files(label, t.words[before:]) {
			t.filed = label
		}
		if !l.assigned[p.Platform.Name] {
			t.made = t.made || madeUp(label, t.handle)
		}
		if t.server == "" && addressed(label) {
			t.server = label
		}
		if shown := strings.HasPrefix(label, "com-") || strings.HasPrefix(label, "net-") || strings.HasPrefix(label, "org-") || strings.HasPrefix(label, "gov-") ||
			i < len(labels)-1 && inner[label]; shown && i > 0 && labels[i-1] != "www" && t.shown == "" {
			t.shown = labels[i-1] + "." + label[:min(3, len(label))]
		}
	}
	for _, w := range t.words {
		t.hard = t.hard || !l.soft[w]
	}
	return t
}

var zeros = strings.NewReplacer("0", "o", "1", "l")

// inner are suffixes that nobody uses as a label in the middle of a name.
var inner = map[string]bool{"com": true, "net": true, "org": true, "gov": true}

// registryLike says that a private suffix is run as a registry (co.no, org.ru):
// names below it are bought.
func registryLike(d bolwerk.Domain) bool {
	first, rest, _ := strings.Cut(d.String(), ".")
	switch first {
	case "co", "com", "org", "net", "gov", "edu", "ac", "gen", "or", "go":
		return len(rest) == 2
	}
	return false
}

// find adds the lure words of a label, at most three in all.
func (l *lures) find(have []string, label string) []string {
	add := func(w string) {
		for _, h := range have {
			if strings.Contains(h, w) || strings.Contains(w, h) {
				return
			}
		}
		have = append(have, w)
	}
	for _, w := range l.long {
		if len(have) == 3 {
			return have
		}
		if strings.Contains(label, w) {
			add(w)
		}
	}
	for part := range strings.FieldsFuncSeq(label, notLetter) {
		if len(have) >= 3 {
			return have
		}
		if l.short[part] || l.middle[part] {
			add(part)
			continue
		}
		for n := 4; n <= 5 && n < len(part); n++ {
			if l.middle[part[:n]] {
				add(part[:n])
				break
			}
			if l.middle[part[len(part)-n:]] {
				add(part[len(part)-n:])
				break
			}
		}
	}
	return have
}

// longNumber says that a label has a word and at least five digits in a row.
func longNumber(label string) bool {
	letters := 0
	for i := range len(label) {
		if c := label[i]; c >= 'a' && c <= 'z' {
			letters++
		}
	}
	return letters >= 2 && digitRun(label) >= 5
}

// files says that a label puts a number at a word as a file has it: seven digits
// at one that good names seldom say, ten at any.
func (l *lures) files(label string, words []string) bool {
	n := digitRun(label)
	return len(words) > 0 && (n >= 10 || n >= 7 && slices.ContainsFunc(words, func(w string) bool { return !l.soft[w] }))
}

// digitRun is how many digits stand together at most.
func digitRun(label string) (longest int) {
	run := 0
	for i := range len(label) {
		if c := label[i]; c >= '0' && c <= '9' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return longest
}

// addressed says that a label is an IPv4 address with hyphens, alone or behind a
// word: "103-52-115-55", "ip-13-40-137-193".
func addressed(label string) bool {
	parts := strings.Split(label, "-")
	if len(parts) < 4 || len(parts) > 6 {
		return false
	}
	for i := 0; i+4 <= len(parts); i++ {
		if _, err := netip.ParseAddr(strings.Join(parts[i:i+4], ".")); err == nil {
			return true
		}
	}
	return false
}

// madeUp says that a machine chose a label: letters and digits mixed again and
// again, or letters that nobody can pronounce. A handle may be short of vowels.
func madeUp(label string, handle bool) bool {
	if strings.HasPrefix(label, "xn--") {
		return false
	}
	mixes, mute := 3, 6
	if handle {
		mixes, mute = 4, 8
	}
	for part := range strings.SplitSeq(label, "-") {
		if len(part) < 6 {
			continue
		}
		changes, letters, vowels, run, longest := 0, 0, 0, 0, 0
		for i := range len(part) {
			c := part[i]
			digit := c >= '0' && c <= '9'
			if i > 0 && digit != (part[i-1] >= '0' && part[i-1] <= '9') {
				changes++
			}
			if digit {
				run = 0
				continue
			}
			letters++
			if strings.IndexByte("aeiouy", c) >= 0 {
				vowels++
				run = 0
			} else {
				run++
				longest = max(longest, run)
			}
		}
		if changes >= mixes || longest >= mute || !handle && letters >= 7 && vowels*6 < letters {
			return true
		}
	}
	return false
}
