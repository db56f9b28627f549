package kit

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
)

// node is a part of a condition: a search, "not", "and", "or", or "N of" some.
type node struct {
	op    string   // search, not, and, or, of
	names []string // search: one; of: those that count
	least int      // of: how many have to hold
	kids  []node
}

func (n *node) holds(r *Rule, p *Page) bool {
	switch n.op {
	case "search":
		return r.search(n.names[0], p)
	case "not":
		return !n.kids[0].holds(r, p)
	case "and":
		for i := range n.kids {
			if !n.kids[i].holds(r, p) {
				return false
			}
		}
		return true
	case "or":
		for i := range n.kids {
			if n.kids[i].holds(r, p) {
				return true
			}
		}
		return false
	}
	hits := 0
	for i, name := range n.names {
		if r.search(name, p) {
			hits++
		}
		if hits >= n.least {
			return true
		}
		if hits+len(n.names)-i-1 < n.least {
			return false
		}
	}
	return false
}

// cost is about how long a part takes: parts of a page that are short, then
// texts, then expressions. What "and" and "or" join has no order of its own: what
// is cheap is asked first, so that most rules never run an expression.
func (n *node) cost(r *Rule) (sum int) {
	for _, name := range n.names {
		for _, t := range r.searches[name] {
			switch {
			case t.field == "title" || t.field == "hostname" || t.field == "cookies":
				sum++
			case t.how == "re":
				sum += 50 * len(t.re)
			default:
				sum += 2 + len(t.text)
			}
		}
	}
	for i := range n.kids {
		sum += n.kids[i].cost(r)
	}
	return sum
}

func (n *node) order(r *Rule) {
	for i := range n.kids {
		n.kids[i].order(r)
	}
	slices.SortStableFunc(n.kids, func(a, b node) int { return cmp.Compare(a.cost(r), b.cost(r)) })
}

// search says that all lines of a search hold.
func (r *Rule) search(name string, p *Page) bool {
	all := r.searches[name]
	for i := range all {
		if !all[i].holds(p) {
			return false
		}
	}
	return true
}

// parseCondition reads a condition: searches with and, or, not and brackets, "1
// of them", "all of x*".
func parseCondition(text string, names []string) (node, error) {
	if len(text) > 2000 {
		return node{}, bolwerk.Invalid("a condition of %d octets: at most 2000", len(text))
	}
	c := &condition{names: names, words: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))}
	if len(c.words) == 0 {
		return node{}, bolwerk.Invalid("it has no condition")
	}
	n, err := c.or()
	if err != nil {
		return node{}, err
	}
	if len(c.words) > 0 {
		return node{}, bolwerk.Invalid("condition: %q is not understood there", c.words[0])
	}
	return n, nil
}

type condition struct {
	words []string
	names []string
	depth int
}

func (c *condition) next(word string) bool {
	if len(c.words) > 0 && strings.EqualFold(c.words[0], word) {
		c.words = c.words[1:]
		return true
	}
	return false
}

func (c *condition) or() (node, error)  { return c.chain("or", c.and) }
func (c *condition) and() (node, error) { return c.chain("and", c.not) }

func (c *condition) chain(op string, each func() (node, error)) (node, error) {
	n, err := each()
	if err != nil {
		return n, err
	}
	all := []node{n}
	for c.next(op) {
		if n, err = each(); err != nil {
			return n, err
		}
		all = append(all, n)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return node{op: op, kids: all}, nil
}

func (c *condition) not() (node, error) {
	if c.depth++; c.depth > maxNested {
		return node{}, bolwerk.Invalid("condition: more than %d within each other", maxNested)
	}
	defer func() { c.depth-- }()
	if c.next("not") {
		n, err := c.not()
		return node{op: "not", kids: []node{n}}, err
	}
	if c.next("(") {
		n, err := c.or()
		if err == nil && !c.next(")") {
			err = bolwerk.Invalid("condition: a bracket is not closed")
		}
		return n, err
	}
	if len(c.words) == 0 {
		return node{}, bolwerk.Invalid("condition: it ends in the middle")
	}
	word := c.words[0]
	c.words = c.words[1:]
	if len(c.words) > 0 && strings.EqualFold(c.words[0], "of") {
		c.words = c.words[1:]
		return c.of(word)
	}
	for _, name := range c.names {
		if name == word {
			return node{op: "search", names: []string{name}}, nil
		}
	}
	return node{}, bolwerk.Invalid("condition: no search is named %q", word)
}

func (c *condition) of(count string) (node, error) {
	if len(c.words) == 0 {
		return node{}, bolwerk.Invalid("condition: %q of what", count)
	}
	what := c.words[0]
	c.words = c.words[1:]
	n := node{op: "of"}
	for _, name := range c.names {
		prefix, star := strings.CutSuffix(what, "*")
		if what == "them" || name == what || star && strings.HasPrefix(name, prefix) {
			n.names = append(n.names, name)
		}
	}
	if n.least = len(n.names); !strings.EqualFold(count, "all") {
		least, err := strconv.Atoi(count)
		if err != nil || least < 1 || least > len(n.names) {
			return n, bolwerk.Invalid("condition: %s of %s, which are %d", count, what, len(n.names))
		}
		n.least = least
	}
	if len(n.names) == 0 {
		return n, bolwerk.Invalid("condition: no search is named %q", what)
	}
	return n, nil
}
