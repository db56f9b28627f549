package judge

import (
	"bufio"
	_ "embed"
	"slices"
	"strings"
	"sync"

	"bolwerk"
)

//go:embed brands.txt
var brandText string

// KnownBrands is the compiled list of brands with the operator's rows, which
// win where both have a name.
func KnownBrands(rows ...Brand) []Brand {
	out := slices.Clone(rows)
	for _, b := range coreBrands() {
		if !slices.ContainsFunc(rows, func(r Brand) bool { return strings.EqualFold(r.Name, b.Name) }) {
			out = append(out, b)
		}
	}
	return out
}

// coreBrands reads the compiled file. It is ours: a mistake in it is found by
// the tests, so it panics.
var coreBrands = sync.OnceValue(func() (list []Brand) {
	lines := bufio.NewScanner(strings.NewReader(brandText))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		column := strings.Split(line, "|")
		if len(column) != 4 {
			panic("brands.txt: want four columns: " + line)
		}
		name, complete := strings.CutPrefix(strings.TrimSpace(column[0]), "!")
		b := Brand{Name: name, partial: !complete}
		for t := range strings.FieldsSeq(column[1]) {
			if w, ok := strings.CutPrefix(t, "~"); ok {
				b.Words = append(b.Words, w)
			} else {
				b.Tokens = append(b.Tokens, t)
			}
		}
		for d := range strings.FieldsSeq(column[2]) {
			if l, ok := strings.CutSuffix(d, ".*"); ok {
				b.Everywhere = append(b.Everywhere, l)
			} else if dom := bolwerk.MustDomain(d); dom.Labels() > 1 {
				b.Domains = append(b.Domains, dom)
			} else {
				b.Top = append(b.Top, dom)
			}
		}
		for d := range strings.SplitSeq(column[3], ";") {
			b.Display = append(b.Display, strings.TrimSpace(d))
		}
		list = append(list, b)
	}
	return list
})
