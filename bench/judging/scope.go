package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/shield/judge"
)

// feed is every link of the feed in its order, with the day on which it was
// first seen and where its host stands; a zero Place for an address or a host
// that no name can be.
func (b *bench) feed(each func(day, link string, p judge.Place)) error {
	places := map[string]judge.Place{}
	return b.lines("urls/openphish_2024-10_2026-02.tsv.gz", func(line string) error {
		at, link, ok := strings.Cut(line, "\t")
		if !ok || len(at) < 10 {
			return nil
		}
		host := ""
		if u, err := url.Parse(link); err == nil {
			host = strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		}
		p, known := places[host]
		if !known {
			if d, err := idn.Parse(host); err == nil && d.Labels() > 1 {
				p = judge.PlaceOf(d, b.psl, b.platforms)
			}
			places[host] = p
		}
		each(at[:10], link, p)
		return nil
	})
}

// kindOf is where a name stands, in a word.
func kindOf(p judge.Place) string {
	switch {
	case p.Name.IsZero():
		return "address or no name"
	case p.Shared:
		return string(p.Platform.Kind)
	case p.Registrable.IsZero():
		return "public suffix"
	case !p.Tenant.IsZero():
		return "tenant"
	case p.Name == p.Registrable || p.Name.String() == "www."+p.Registrable.String():
		return "registrable domain"
	}
	return "host below it"
}

// scope is what would be blocked of each link of the feed, once with nothing
// known of it and once with all that could widen a block.
func (b *bench) scope() error {
	popular, err := b.popular()
	if err != nil {
		return err
	}
	for _, worst := range []bool{false, true} {
		counts := map[string]map[string]int{}
		wrong := map[string]int{}
		n := 0
		err := b.feed(func(_, _ string, p judge.Place) {
			n++
			t := judge.Target{Place: p, Address: p.Name.IsZero()}
			if worst {
				t.AgeKnown, t.OwnerMalicious, t.MaliciousHosts = true, true, 9
			}
			d := judge.DecideScope(t, popular)
			scope := string(d.Scope)
			if d.Refused {
				scope = "refused"
			}
			kind := kindOf(p)
			if counts[kind] == nil {
				counts[kind] = map[string]int{}
			}
			counts[kind][scope]++
			if d.Refused || !d.Scope.DNS() {
				return
			}
			at := judge.PlaceOf(d.Name, b.psl, b.platforms)
			_, rank := popular.Rank(d.Name)
			switch wide := d.Scope != bolwerk.ScopeHost; {
			case b.psl.Is(d.Name):
				wrong["a public suffix"]++
			case at.Shared && at.Platform.Kind == judge.Shortener:
				wrong["a shortener"]++
			case at.Shared:
				wrong["a platform's own name"]++
			case wide && rank:
				wrong["a popular name with all below"]++
			}
			if rank && d.Name == at.Registrable {
				wrong["popular, host only: two people"]++
			}
		})
		if err != nil {
			return err
		}
		how := "age unknown"
		if worst {
			how = "fresh, owner malicious, nine malicious hosts"
		}
		fmt.Printf("%d links, %s\n", n, how)
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			var parts []string
			for _, s := range slices.Sorted(maps.Keys(counts[kind])) {
				parts = append(parts, fmt.Sprintf("%s %d", s, counts[kind][s]))
			}
			fmt.Printf("  %-20s %s\n", kind, strings.Join(parts, ", "))
		}
		fmt.Printf("  proposed on DNS: a public suffix %d, a shortener %d, a platform's own name %d, a popular name with all below %d; a popular registrable domain as host only, which takes two people, %d\n",
			wrong["a public suffix"], wrong["a shortener"], wrong["a platform's own name"], wrong["a popular name with all below"], wrong["popular, host only: two people"])
	}
	return nil
}
