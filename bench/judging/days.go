package main

import (
	"fmt"
	"maps"
	"slices"

	"bolwerk/shield/judge"
)

// days replays the feed by day, in shadow: of the hosts that are new on a day,
// how many would rules have caught before anybody reported them, knowing only the
// hosts of the days before. name: the name alone is suspicious. campaign: a host
// of the same brand and make was reported on one of the 30 days before. sibling:
// another host of the same owner was. Days before the 31st only teach.
func (b *bench) days() error {
	popular, err := b.popular()
	if err != nil {
		return err
	}
	const memory = 30
	type found struct{ n, name, campaign, sibling, any, blocked int }
	var sum, own, tenant found
	seen := map[string]bool{}
	owners, campaigns := map[string]int{}, map[string]int{} // last day
	var owner, made []string                                // of today, learned tonight
	day, number := "", 0
	wrong := map[string]bool{}
	perDay := []float64{}
	today := found{}
	night := func() {
		for _, o := range owner {
			owners[o] = number
		}
		for _, c := range made {
			campaigns[c] = number
		}
		owner, made = owner[:0], made[:0]
		if number > memory && today.n > 0 {
			perDay = append(perDay, float64(today.any)/float64(today.n))
		}
		today = found{}
	}
	add := func(f *found, name, campaign, sibling bool) {
		f.n++
		if name {
			f.name++
		}
		if campaign {
			f.campaign++
		}
		if sibling {
			f.sibling++
		}
		if name || campaign || sibling {
			f.any++
		}
	}
	err = b.feed(func(at, _ string, p judge.Place) {
		if at != day {
			night()
			day = at
			number++
		}
		if p.Name.IsZero() || p.Shared || p.Owner().IsZero() || seen[p.Name.String()] {
			return
		}
		seen[p.Name.String()] = true
		v := judge.Judge(judge.NameEvidence(p, b.brands))
		key := ""
		if v.Brand != "" {
			key = judge.CampaignKey(p, v.Brand, b.brands)
		}
		within := func(m map[string]int, k string) bool { last, ok := m[k]; return ok && number-last <= memory }
		name, campaign, sibling := against(v), key != "" && within(campaigns, key), within(owners, p.Owner().String())
		if number > memory {
			add(&sum, name, campaign, sibling)
			add(&today, name, campaign, sibling)
			if p.Tenant.IsZero() {
				add(&own, name, campaign, sibling)
			} else {
				add(&tenant, name, campaign, sibling)
			}
			// What automatic blocking may do: never by the name alone.
			if v.Word == judge.Malicious {
				if d := judge.DecideScope(judge.Target{Place: p}, popular); d.Scope.DNS() {
					sum.blocked++
				}
			}
		}
		owner = append(owner, p.Owner().String())
		if key != "" {
			made = append(made, key)
		}
	})
	if err != nil {
		return err
	}
	night()
	fmt.Printf("%d days, %d of them counted; new hosts below a name that one party has\n", number, number-memory)
	for _, g := range []struct {
		kind string
		f    found
	}{{"all", sum}, {"own domain", own}, {"tenant", tenant}} {
		f := g.f
		fmt.Printf("  %-11s %7d new hosts: by name %s, by campaign %s, by sibling %s, by one of them %s\n", g.kind, f.n, share(f.name, f.n), share(f.campaign, f.n), share(f.sibling, f.n), share(f.any, f.n))
	}
	slices.Sort(perDay)
	if len(perDay) > 0 {
		fmt.Printf("  a day: least %.1f %%, median %.1f %%, most %.1f %%\n", 100*perDay[0], 100*perDay[len(perDay)/2], 100*perDay[len(perDay)-1])
	}
	// Popular names, each with what all days have taught: the worst day.
	n, suspicious, sibling := 0, 0, 0
	for _, file := range []string{"lists/tranco10k.txt.gz", "lists/cloudflare-top100k_half_a.txt.gz"} {
		err := b.hosts(file, func(p judge.Place) {
			n++
			v := judge.Judge(judge.NameEvidence(p, b.brands))
			if against(v) {
				suspicious++
			}
			if !p.Shared && !p.Owner().IsZero() {
				if _, ok := owners[p.Owner().String()]; ok {
					sibling++
				}
			}
			if v.Word == judge.Malicious {
				wrong[p.Name.String()] = true
			}
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("  popular names: %d, suspicious by name %d (a person would see them only if somebody reported them), owner of a reported host %d, blocked without a person %d %v\n",
		n, suspicious, sibling, len(wrong), slices.Sorted(maps.Keys(wrong)))
	return nil
}
