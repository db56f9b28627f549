package main

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"bolwerk/shield/judge"
)

// group counts the names of one kind.
type group struct {
	n      int
	by     map[string]int // reasons of tier 2 and better, each name once per reason
	sets   map[string]int // all reasons of a name together
	hit    int
	bad    int // malicious
	sample map[string][]string
}

func newGroup() *group {
	return &group{by: map[string]int{}, sets: map[string]int{}, sample: map[string][]string{}}
}

func (g *group) add(b *bench, p judge.Place, show int) {
	g.n++
	ev := judge.NameEvidence(p, b.brands)
	v := judge.Judge(ev)
	if v.Word == judge.Malicious {
		g.bad++
	}
	if !against(v) {
		if show > 0 && g.n%max(1, 97) == 0 && len(g.sample["-"]) < show {
			g.sample["-"] = append(g.sample["-"], p.Name.String())
		}
		return
	}
	g.hit++
	set := map[string]bool{}
	for _, e := range ev {
		if e.Tier <= 2 && (e.Verdict == judge.Suspicious || e.Verdict == judge.Malicious) {
			set[e.Reason] = true
			if len(g.sample[e.Reason]) < show {
				g.sample[e.Reason] = append(g.sample[e.Reason], p.Name.String()+" "+e.Brand)
			}
		}
	}
	for r := range set {
		g.by[r]++
	}
	g.sets[strings.Join(slices.Sorted(maps.Keys(set)), " ")]++
}

// names is the evidence of the name alone: how many phishing hosts and how many
// popular names it makes suspicious, reason after reason, the surest first.
func (b *bench) names() error {
	kinds := []string{"all", "own domain", "tenant", "a brand's own", "like a brand's"}
	groups := map[string]*group{}
	at := func(set, half, kind string) *group {
		k := set + "|" + half + "|" + kind
		if groups[k] == nil {
			groups[k] = newGroup()
		}
		return groups[k]
	}
	for _, set := range []struct{ name, file string }{{"phish", "urls/phish_hosts.txt.gz"}, {"popular", "lists/tranco10k.txt.gz"}, {"popular", "lists/cloudflare-top100k_half_a.txt.gz"}} {
		seen := map[string]bool{}
		err := b.hosts(set.file, func(p judge.Place) {
			if seen[p.Name.String()] {
				return
			}
			seen[p.Name.String()] = true
			half, show := heldBack, 0
			if tuned(p) {
				half, show = inView, b.show
			} else if b.tune {
				return
			}
			at(set.name, half, "all").add(b, p, show)
			switch {
			case !p.Tenant.IsZero():
				at(set.name, half, "tenant").add(b, p, 0)
			case !p.Shared:
				at(set.name, half, "own domain").add(b, p, 0)
			}
			if b.brands.Owner(p.Name) != "" {
				at(set.name, half, "a brand's own").add(b, p, 0)
			} else if len(b.brands.Look(p)) > 0 {
				at(set.name, half, "like a brand's").add(b, p, 0)
			}
		})
		if err != nil {
			return err
		}
	}
	for _, half := range []string{inView, heldBack} {
		fmt.Printf("half %s:\n", half)
		for _, set := range []string{"phish", "popular"} {
			for _, kind := range kinds {
				g := at(set, half, kind)
				fmt.Printf("  %-8s %-14s %7d names, suspicious %6d (%s), malicious %d\n", set, kind, g.n, g.hit, share(g.hit, g.n), g.bad)
			}
		}
	}
	// The order is that of the half that rules are tuned on; the figures are the other's.
	phish, popular := at("phish", inView, "all"), at("popular", inView, "all")
	order := slices.Collect(maps.Keys(phish.by))
	wrong := func(r string) float64 {
		return (float64(popular.by[r]) + 0.5) / float64(popular.n) / (float64(phish.by[r]) / float64(phish.n))
	}
	sort.Slice(order, func(i, j int) bool { return wrong(order[i]) < wrong(order[j]) })
	fmt.Printf("curve: reason after reason, in the order of the half tuned on, figures of the half held back\n")
	fmt.Printf("  %-16s %10s %10s %12s %12s\n", "and with", "alone", "popular", "recall", "false")
	if figures := heldBack; !b.tune {
		phish, popular = at("phish", figures, "all"), at("popular", figures, "all")
	}
	taken := map[string]bool{}
	for _, r := range order {
		taken[r] = true
		fmt.Printf("  %-16s %10d %10d %12s %12s\n", r, phish.by[r], popular.by[r], share(count(phish, taken), phish.n), share(count(popular, taken), popular.n))
	}
	if b.show > 0 {
		for _, set := range []string{"popular", "phish"} {
			g := at(set, inView, "all")
			for _, r := range append(order, "-") {
				fmt.Printf("%s %s: %s\n", set, r, strings.Join(g.sample[r], ", "))
			}
		}
	}
	return nil
}

// count is how many names have one of the reasons.
func count(g *group, taken map[string]bool) (n int) {
	for set, c := range g.sets {
		if slices.ContainsFunc(strings.Fields(set), func(r string) bool { return taken[r] }) {
			n += c
		}
	}
	return n
}
