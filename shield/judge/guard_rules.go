package judge

import (
	"time"

	"bolwerk"
)

// technicalRules hold for everybody and for orders too.
var technicalRules = []rule[given]{
	{0, "scope", func(g given) *Objection {
		switch {
		case !g.Scope.DNS():
			return object(Refuse, "report the page to its platform and to the browsers' lists", "scope %s never enters DNS", g.Scope)
		case g.Scope == bolwerk.ScopeRegistrable && g.Name != g.place.Owner():
			return object(Refuse, "name "+g.place.Owner().String(), "%s is not the registrable domain", g.Name).as("scope_owner")
		}
		return nil
	}},
	{0, "platform", func(g given) *Objection {
		if g.place.Shared {
			return object(Refuse, "name the tenant, or report the page to the platform",
				"strangers share %s (%s): a block would hit them all", g.Name, g.place.Platform.Kind)
		}
		return nil
	}},
	{0, "length", func(g given) *Objection {
		// A name has at most 255 octets (RFC 1035 section 2.3.4): the text, a
		// length octet for the first label, and the root's.
		zone := g.Zone.String()
		if zone == "" {
			zone = "b.rpz"
		}
		front := 0
		if _, www := NamesTaken(g.place, g.Scope); www {
			front = len("www.")
		}
		if g.Scope == bolwerk.ScopeSubtree || g.Scope == bolwerk.ScopeRegistrable {
			front = len("*.")
		}
		if n := front + len(g.Name.String()) + len(".") + len(zone) + 2; n > 255 {
			return object(Refuse, "block a shorter name above it", "with zone %s the name has %d octets, and 255 fit", zone, n)
		}
		return nil
	}},
	{1, "suffix", func(g given) *Objection {
		if g.place.Registrable.IsZero() && !g.place.Shared {
			return object(Refuse, "name what was registered below it", "%s is a public suffix: a block would take everybody below it", g.Name)
		}
		if g.Scope != bolwerk.ScopeHost && g.Suffixes.Splits(g.Name) {
			return object(Refuse, "take scope host, or name one tenant", "a public suffix stands below %s: a block would take the strangers on it", g.Name).as("suffix_below")
		}
		return nil
	}},
	{1, "never_block", func(g given) *Objection {
		if g.Never == nil {
			return nil
		}
		if row, ok := g.Never.Taken(g.place, g.Scope); ok {
			return object(Refuse, "nobody can block it; tell its owner", "it would take %s, which is on the never-block list (%s)", row.Name, row.Why)
		}
		return nil
	}},
	{10, "known_good", func(g given) *Objection {
		_, www := NamesTaken(g.place, g.Scope)
		for _, good := range g.KnownGood {
			if d, ok := good.Taken(g.Name, g.Scope, www); ok {
				return object(Refuse, "take a narrower scope, or take the name off the known-good set", "it would take %s of the known-good set", d)
			}
		}
		return nil
	}},
}

// decisionRules hold for what our own people decide.
var decisionRules = []rule[given]{
	{2, "popular_wide", func(g given) *Objection {
		if g.Scope != bolwerk.ScopeSubtree && g.Scope != bolwerk.ScopeRegistrable {
			return nil
		}
		if d, rank, ok := g.Popular.Best(g.Name, g.Scope, false); ok && rank <= g.Limits.PopularNever {
			return object(Refuse, "take scope host", "it would take %s, one of the %d most used names, with all below", d, rank)
		}
		return nil
	}},
	{2, "popular", func(g given) *Objection {
		if g.Second != nil {
			return nil
		}
		_, www := NamesTaken(g.place, g.Scope)
		d, rank, ok := g.Popular.Best(g.Name, g.Scope, www)
		// A host of a popular site is popular too: the lists name what was
		// registered. A tenant of a platform is his own.
		if owner := g.place.Owner(); !owner.IsZero() {
			if r, listed := g.Popular.Rank(owner); listed && (!ok || r < rank) {
				d, rank, ok = owner, r, true
			}
		}
		if ok && rank <= g.Limits.PopularTwo {
			return object(NeedsTwoPeople, "a second person approves, one of the two a duty officer", "%s is one of the %d most used names", d, rank)
		}
		return nil
	}},
	{3, "local", func(g given) *Objection {
		if g.Second == nil && g.Asked.Busy >= g.Limits.LocalDays {
			return object(NeedsTwoPeople, "a second person approves: our own customers use it every day",
				"on %d of the 14 days before the first report it was asked for %d times or more", g.Asked.Busy, g.Limits.LocalQueries)
		}
		return nil
	}},
	{10, "collateral", func(g given) *Objection {
		if g.Second == nil && g.Asked.Others > g.Limits.CollateralNames {
			return object(NeedsTwoPeople, "take a narrower scope, or a second person approves",
				"it would take %d other names that customers asked for", g.Asked.Others)
		}
		return nil
	}},
	{4, "old", func(g given) *Objection {
		if g.Second == nil && g.old() && !SeenOnPage(g.Evidence) && (g.Scope != bolwerk.ScopeHost || g.Until.Sub(g.Now) > g.Limits.Compromised) {
			return object(NeedsTwoPeople, "take scope host for 24 hours, or a second person approves",
				"%s is %d days old and nothing was seen on its page: it may be somebody's own", g.place.Registrable, days(g.Age))
		}
		return nil
	}},
	{4, "unknown_age", func(g given) *Objection {
		if g.Second == nil && wide(g.place, g.Scope) && !g.AgeKnown {
			return object(NeedsTwoPeople, "take scope host, or a second person approves",
				"nobody knows how old %s is: all of it may be somebody's", g.Name)
		}
		return nil
	}},
	{7, "wide", func(g given) *Objection {
		if g.Second == nil && wide(g.place, g.Scope) && g.AgeKnown {
			return object(NeedsTwoPeople, "take scope host, or a second person approves, one of the two a duty officer",
				"it takes the whole registrable domain %s", g.Name)
		}
		return nil
	}},
	{12, "past", func(g given) *Objection {
		if !g.Until.After(g.Now) {
			return object(Refuse, "give an end that is still to come", "a block has an end, and this one lies at %s", g.Until.UTC().Format(time.RFC3339))
		}
		return nil
	}},
	{12, "longest", func(g given) *Objection {
		if !g.Compromised && g.Until.Sub(g.Now) > g.Limits.Longest {
			return object(Refuse, "take a shorter time; before its end a person confirms again", "a block is for %d days at most", days(g.Limits.Longest))
		}
		return nil
	}},
	{12, "compromised", func(g given) *Objection {
		if g.Compromised && g.Until.Sub(g.Now) > g.Limits.Compromised {
			return object(Refuse, "take a shorter time; look again before its end", "a site that was broken into is blocked for %d hours at most", int(g.Limits.Compromised.Hours()))
		}
		return nil
	}},
	{12, "cap", func(g given) *Objection {
		if !g.Since.IsZero() && g.Until.Sub(g.Since) > g.Limits.Cap {
			return object(Refuse, "let it end; a new report opens a new case", "with its renewals it would be blocked for more than %d days", days(g.Limits.Cap))
		}
		return nil
	}},
	{16, "exempt", func(g given) *Objection {
		for _, e := range g.Exemptions {
			if e.Covers(g.Name, g.Suffixes) {
				return object(Refuse, "end the exemption first", "%s is exempt: the block would do nothing (%s)", e.Name, e.Reason)
			}
		}
		return nil
	}},
}

// old says that the registrable domain has been somebody's for more than a year.
// A tenant of a platform is not as old as the platform.
func (g given) old() bool { return g.AgeKnown && g.Age > Old && g.place.Tenant.IsZero() }
