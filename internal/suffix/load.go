package suffix

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"bolwerk"

	"golang.org/x/net/idna"
)

// Bounds of a file. The list of 2026 has 10,200 rules in 330 kB; its longest
// line, a comment, is under 300 bytes.
const (
	maxBytes = 8 << 20
	maxLine  = 4096
	maxRules = 100_000
)

// Jump is by how much the number of rules may differ from the previous list,
// as a part of one. The list grew by about 5 % a year between 2019 and 2026; a
// cut or doubled file differs by more.
const Jump = 0.20

// mustHave are entries without which a file is not the list: one of each
// section, and one that a cut file would have lost.
var mustHave = []struct {
	name    string
	section Section
}{{"com", ICANN}, {"co.uk", ICANN}, {"github.io", Private}}

// Load reads a public suffix list from r and refuses what cannot be one: both
// section markers must be there and closed, com and co.uk must be rules of the
// ICANN section and github.io one of the private section, and no line may be a
// rule that the format does not know.
//
// previous is the list in use, or nil. When the number of rules differs from it
// by more than Jump the new list is held back with a conflict; a person who has
// looked loads it with previous nil. An error leaves previous as good as it was.
func Load(r io.Reader, previous *List) (*List, error) {
	l := &List{rules: map[string]kind{}, above: map[string]struct{}{}}
	var text strings.Builder
	in := io.TeeReader(io.LimitReader(r, maxBytes+1), &text)
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var section Section
	done := map[Section]bool{}
	read, n := 0, 0
	for lines.Scan() {
		n++
		read += len(lines.Bytes()) + 1
		line := strings.TrimSpace(lines.Text())
		if marker, ok := strings.CutPrefix(line, "// ==="); ok {
			var err error
			if section, err = mark(marker, section, done); err != nil {
				return nil, fmt.Errorf("suffix list line %d: %w", n, err)
			}
			continue
		}
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		// A rule ends at the first white space.
		if err := l.add(strings.Fields(line)[0], section); err != nil {
			return nil, fmt.Errorf("suffix list line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, bolwerk.Invalid("suffix list line %d: %v", n+1, err)
	}
	if read > maxBytes {
		return nil, bolwerk.Invalid("suffix list: more than %d bytes", maxBytes)
	}
	if !done[ICANN] || !done[Private] || section != "" {
		return nil, bolwerk.Invalid("suffix list: the ICANN or the private section is missing or not closed: the file is cut")
	}
	l.text = text.String()
	sum := sha256.Sum256([]byte(l.text))
	l.version = "sha256:" + hex.EncodeToString(sum[:])
	if err := l.guard(previous); err != nil {
		return nil, err
	}
	return l, nil
}

// mark follows the section markers; the result is the section that begins, or
// empty where one ends.
func mark(marker string, now Section, done map[Section]bool) (Section, error) {
	for s, word := range map[Section]string{ICANN: "ICANN DOMAINS===", Private: "PRIVATE DOMAINS==="} {
		switch marker {
		case "BEGIN " + word:
			if now != "" || done[s] {
				return "", bolwerk.Invalid("section %s begins inside or after another", s)
			}
			return s, nil
		case "END " + word:
			if now != s {
				return "", bolwerk.Invalid("section %s ends and was not open", s)
			}
			done[s] = true
			return "", nil
		}
	}
	return now, nil // another comment
}

// add takes one rule.
func (l *List) add(rule string, section Section) error {
	if section == "" {
		return bolwerk.Invalid("rule %.80q stands outside of both sections", rule)
	}
	if l.size++; l.size > maxRules {
		return bolwerk.Invalid("more than %d rules", maxRules)
	}
	k, p := normal, normalPrivate
	if name, ok := strings.CutPrefix(rule, "!"); ok {
		rule, k, p = name, exception, 0
	} else if name, ok := strings.CutPrefix(rule, "*."); ok {
		rule, k, p = name, wildcard, wildcardPrivate
	}
	ascii, err := idna.Punycode.ToASCII(strings.ToLower(rule))
	if err != nil {
		return bolwerk.Invalid("rule %.80q: %v", rule, err)
	}
	// ParseDomain refuses a "*" in any other place, which the format allows and
	// the list has never used.
	d, err := bolwerk.ParseDomain(ascii)
	if err != nil {
		return err
	}
	if k == exception && d.Labels() < 2 {
		return bolwerk.Invalid("exception %q has no label to take off", rule)
	}
	if section == Private {
		k |= p
	}
	l.rules[d.String()] |= k
	if k&exception == 0 {
		p := d
		if k&normal != 0 {
			p = d.Parent()
		}
		for ; p.Labels() > 1; p = p.Parent() {
			l.above[p.String()] = struct{}{}
		}
	}
	return nil
}

// guard holds back what a cut, poisoned or foreign file would bring.
func (l *List) guard(previous *List) error {
	for _, m := range mustHave {
		if s, section := l.Suffix(bolwerk.MustDomain(m.name)); s.String() != m.name || section != m.section {
			return bolwerk.Invalid("suffix list: %s is not a suffix of section %s in it: this is not the list, or it is cut", m.name, m.section)
		}
	}
	if previous == nil || previous.size == 0 {
		return nil
	}
	if d := float64(l.size-previous.size) / float64(previous.size); d > Jump || d < -Jump {
		return bolwerk.WithHint(
			bolwerk.Conflict("suffix list: %d rules after %d is a jump of %+.0f %%", l.size, previous.size, 100*d),
			"look at the file; when it is right, release it once")
	}
	return nil
}
