package judge

import (
	"bufio"
	_ "embed"
	"strings"

	"bolwerk"
)

//go:embed neverblock.txt
var neverText string

// NeverRow is a name that no block may take.
type NeverRow struct {
	Name bolwerk.Domain `toml:"name"`
	// Below protects all names below it too.
	Below bool `toml:"below"`
	// Why is shown with the refusal.
	Why string `toml:"why"`
}

// NeverBlock is the never-block list: the compiled core, which nobody changes
// while the program runs, and the operator's rows.
type NeverBlock struct {
	at    map[bolwerk.Domain]NeverRow
	above map[bolwerk.Domain]NeverRow // a row at or below this name
}

// NewNeverBlock joins the compiled core with the operator's rows: his own and
// his partners' names, resolvers, warning page, appeal page. A row can add to
// the core and never take from it.
func NewNeverBlock(rows ...NeverRow) *NeverBlock {
	n := &NeverBlock{at: map[bolwerk.Domain]NeverRow{}, above: map[bolwerk.Domain]NeverRow{}}
	for _, r := range append(coreNever(), rows...) {
		if r.Name.IsZero() {
			continue
		}
		if r.Why == "" {
			r.Why = "the operator's own list"
		}
		if before, ok := n.at[r.Name]; ok && (before.Below || !r.Below) {
			continue
		}
		n.at[r.Name] = r
		for d := r.Name; !d.IsZero(); d = d.Parent() {
			if _, ok := n.above[d]; !ok {
				n.above[d] = r
			}
		}
	}
	return n
}

// Len is the number of rows.
func (n *NeverBlock) Len() int { return len(n.at) }

// All yields the rows in no order; the known-good set is made of them too.
func (n *NeverBlock) All(yield func(NeverRow) bool) {
	for _, r := range n.at {
		if !yield(r) {
			return
		}
	}
}

// Taken is a row that a block of name with scope would take: the name (or its
// www) is one or stands below a protected one, or a wider block stands above one.
func (n *NeverBlock) Taken(p Place, scope bolwerk.Scope) (NeverRow, bool) {
	names, _ := NamesTaken(p, scope)
	for _, d := range names {
		for at := d; !at.IsZero(); at = at.Parent() {
			if r, ok := n.at[at]; ok && (r.Below || at == d) {
				return r, true
			}
		}
	}
	if scope == bolwerk.ScopeSubtree || scope == bolwerk.ScopeRegistrable {
		if r, ok := n.above[p.Name]; ok {
			return r, true
		}
	}
	return NeverRow{}, false
}

// coreNever reads the compiled file, which the tests hold to be right.
func coreNever() (rows []NeverRow) {
	why := ""
	lines := bufio.NewScanner(strings.NewReader(neverText))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			why = strings.Trim(line, "[]")
		default:
			word, name, _ := strings.Cut(line, " ")
			rows = append(rows, NeverRow{bolwerk.MustDomain(name), word == "below", why})
		}
	}
	return rows
}
