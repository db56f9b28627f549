package judge

import (
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/shield/lists"
)

// Ages at which a registrable domain counts as fresh or as old. 65 % of phishing
// domains are used within 5 days of their registration (Interisle, 2022).
const (
	Fresh = 30 * 24 * time.Hour
	Old   = 365 * 24 * time.Hour
)

// How long a proposed block is in force (guard 12).
const (
	ForPerson      = 14 * 24 * time.Hour
	ForCompromised = 24 * time.Hour // somebody's own site is behind it
)

// Target is what the scope decision is about.
type Target struct {
	Place Place
	// Address is set for an IP literal; Place is zero then.
	Address bool
	// Age is how long ago the registrable domain was registered. Without
	// AgeKnown it says nothing.
	Age      time.Duration
	AgeKnown bool
	// Compromised says that the site is somebody's own and was broken into.
	Compromised bool
	// OwnerMalicious says that the registrable domain itself was judged
	// malicious; MaliciousHosts counts the hosts below it that were.
	OwnerMalicious bool
	MaliciousHosts int
}

// ScopeDecision is how much of the name space a block would take.
type ScopeDecision struct {
	Scope bolwerk.Scope `json:"scope"`
	// Name is what the block is on: the host, or the tenant's label, or the
	// registrable domain. Zero where Refused or for an address.
	Name bolwerk.Domain `json:"name"`
	// Refused says that no measure fits: the host is a public suffix.
	Refused bool     `json:"refused,omitempty"`
	Reasons []Reason `json:"reasons"`
	// For is how long the block is proposed for.
	For time.Duration `json:"for"`
}

// DecideScope takes the first rule that fits. Unknown age never widens, and a
// name that many people use is never taken wider than its host.
func DecideScope(t Target, popular lists.Popularity) ScopeDecision {
	p := t.Place
	because := func(scope bolwerk.Scope, name bolwerk.Domain, code, format string, a ...any) ScopeDecision {
		d := ScopeDecision{Scope: scope, Name: name, Reasons: []Reason{{code, fmt.Sprintf(format, a...)}}, For: ForPerson}
		if t.Compromised || code == "old" {
			d.For = ForCompromised
		}
		if !scope.DNS() {
			d.For = 0
		}
		return d
	}
	switch {
	case t.Address:
		return because(bolwerk.ScopeURLOnly, bolwerk.Domain{}, "address", "an IP address is not a name: DNS cannot block it")
	case p.Shared:
		return because(bolwerk.ScopeURLOnly, p.Name, "platform", "strangers share %s (%s): only the address of the page is bad", p.Name, p.Platform.Kind)
	case p.Registrable.IsZero():
		return ScopeDecision{Refused: true, Reasons: []Reason{{"suffix", fmt.Sprintf("%s is a public suffix: a block would take everybody below it", p.Name)}}}
	case !p.Tenant.IsZero():
		if d, rank, ok := popular.Best(p.Tenant, bolwerk.ScopeSubtree, false); ok {
			return because(bolwerk.ScopeHost, p.Name, "popular", "%s is among the %d most used names: never wider than the host", d, rank)
		}
		return because(bolwerk.ScopeSubtree, p.Tenant, "tenant", "%s is one tenant of %s: his label and all below", p.Tenant, p.Platform.Name)
	case t.Compromised:
		return because(bolwerk.ScopeHost, p.Name, "compromised", "the site was broken into: only the host, for a short time")
	case t.AgeKnown && t.Age > Old:
		return because(bolwerk.ScopeHost, p.Name, "old", "%s is %d days old: only the host, for a short time", p.Registrable, days(t.Age))
	}
	if d, rank, ok := popular.Best(p.Registrable, bolwerk.ScopeRegistrable, false); ok {
		return because(bolwerk.ScopeHost, p.Name, "popular", "%s is among the %d most used names: never wider than the host", d, rank)
	}
	if p.Splits {
		return because(bolwerk.ScopeHost, p.Name, "split", "strangers have names below %s: never wider than the host", p.Registrable)
	}
	if t.AgeKnown && t.Age <= Fresh && (t.OwnerMalicious || t.MaliciousHosts >= 2) {
		return because(bolwerk.ScopeRegistrable, p.Registrable, "fresh", "%s is %d days old and was made for this: all of it", p.Registrable, days(t.Age))
	}
	return because(bolwerk.ScopeHost, p.Name, "host", "nothing says that more than the host is bad")
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

// NamesTaken are the names that a block takes: itself, and with scope host on a
// registrable domain "www." in front of it too. www says the latter. For the
// wider scopes all below is meant; url_only takes none.
func NamesTaken(p Place, scope bolwerk.Scope) (names []bolwerk.Domain, www bool) {
	if !scope.DNS() || p.Name.IsZero() {
		return nil, false
	}
	names = []bolwerk.Domain{p.Name}
	if scope == bolwerk.ScopeHost && p.Name == p.Registrable {
		// A name of more than 249 octets has no room for it.
		if w, err := bolwerk.ParseDomain("www." + p.Name.String()); err == nil {
			return append(names, w), true
		}
	}
	return names, false
}

// wide says that a block takes everything that one party has, whatever its scope
// is called: a subtree of the registrable domain is all of it.
func wide(p Place, scope bolwerk.Scope) bool {
	return scope == bolwerk.ScopeRegistrable || scope == bolwerk.ScopeSubtree && p.Tenant.IsZero() && p.Name == p.Registrable
}
