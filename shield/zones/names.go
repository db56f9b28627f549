package zones

import (
	"iter"
	"slices"
	"strings"

	"bolwerk"
)

// A name that stands in a zone, and each name between it and the zone's end, hides
// what is at it and below it from a wildcard further up (RFC 4592 sections 2.2.2 and
// 3.3.1). With *.bad.example and login.a.bad.example in a zone, BIND would let
// a.bad.example and x.login.a.bad.example pass. So below a wide rule each of those
// names says what the wide rule says. Names of one label are no business of ours:
// nothing as wide as a whole top-level domain is published.

// names are the names that rules stand at, as far as others lie above them.
type names struct {
	under [2]map[bolwerk.Domain]int           // how many owners of exemptions, and of blocks, lie below a name
	deep  map[bolwerk.Domain][]bolwerk.Domain // names of three labels and more, by their last two
}

func newNames() names {
	return names{under: [2]map[bolwerk.Domain]int{{}, {}}, deep: map[bolwerk.Domain][]bolwerk.Domain{}}
}

// above are the names above one that have two labels or more, the nearest first.
func above(name bolwerk.Domain) iter.Seq[bolwerk.Domain] {
	return func(yield func(bolwerk.Domain) bool) {
		for a := name.Parent(); a.Labels() >= 2; a = a.Parent() {
			if !yield(a) {
				return
			}
		}
	}
}

// group is the name's last two labels; zero where it has no more.
func group(name bolwerk.Domain) (g bolwerk.Domain) {
	for a := range above(name) {
		g = a
	}
	return g
}

func (n *names) add(name bolwerk.Domain) {
	if g := group(name); !g.IsZero() {
		n.deep[g] = append(n.deep[g], name)
	}
}

func (n *names) remove(name bolwerk.Domain) {
	g := group(name)
	all := n.deep[g]
	if i := slices.Index(all, name); i >= 0 {
		all[i] = all[len(all)-1]
		if all = all[:len(all)-1]; len(all) == 0 {
			delete(n.deep, g)
		} else {
			n.deep[g] = all
		}
	}
}

func (n *names) count(pass bool, name bolwerk.Domain, by int) {
	m := n.under[class(pass)]
	for a := range above(name) {
		if m[a] += by; m[a] == 0 {
			delete(m, a)
		}
	}
}

func class(pass bool) int {
	if pass {
		return 0
	}
	return 1
}

// listed says that some rule stands at a name.
func (z *Zones) listed(name bolwerk.Domain) bool { return len(z.at[owner{name, false}]) > 0 }

// near are the owners at which a rule may change what is said: its own, those
// between them and wider rules, and where it is a wide one those of the names below.
func (z *Zones) near(r *rule) iter.Seq[owner] {
	return func(yield func(owner) bool) {
		both := func(name bolwerk.Domain) bool { return yield(owner{name, false}) && yield(owner{name, true}) }
		for _, o := range owners(r) {
			if !both(o.name) {
				return
			}
			for a := range above(o.name) {
				if !both(a) {
					return
				}
			}
		}
		if !r.below {
			return
		}
		g := group(r.name)
		if g.IsZero() {
			g = r.name
		}
		for _, name := range z.deep[g] {
			if !strings.HasSuffix(name.String(), "."+r.name.String()) {
				continue
			}
			for a := name; a != r.name; a = a.Parent() {
				if !both(a) {
					return
				}
			}
		}
	}
}

// filled is the rule that speaks at an owner which has none of its own in a zone:
// the wide rule above it whose wildcard a name in the zone hides. In p.rpz it may be
// a block: where one stands below what passes only until a withdrawn wide block is
// gone everywhere, it says so there.
func (z *Zones) filled(zone bolwerk.Domain, o owner) *rule {
	pass := zone == Pass
	var wide *rule
	undo := pass
	for a := o.name.Parent(); !a.IsZero(); a = a.Parent() {
		w := z.best(zone, owner{a, true})
		if w == nil {
			continue
		}
		if wide == nil {
			wide = w
		}
		if !pass {
			break
		}
		undo = undo && z.undone(owner{a, true})
	}
	if wide == nil {
		return nil
	}
	if undo {
		if b := z.best(Block, o); b != nil {
			return b
		}
	}
	stands := z.under[class(pass)][o.name] > 0 || z.best(zone, owner{o.name, false}) != nil || z.best(zone, owner{o.name, true}) != nil
	if !stands && undo {
		stands = z.under[1][o.name] > 0 || z.best(Block, owner{o.name, false}) != nil || z.best(Block, owner{o.name, true}) != nil
	}
	if !stands {
		return nil
	}
	return wide
}

// undone says that nothing but ended blocks makes an owner pass.
func (z *Zones) undone(o owner) bool {
	return !slices.ContainsFunc(z.at[o], func(r *rule) bool { return r.pass && !r.undo })
}
