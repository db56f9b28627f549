package judge

import (
	"fmt"

	"bolwerk"
)

// FamilyOwner is what the owner of an imitated brand says of a name. It has an
// interest: its word puts a case before a person sooner, and is none of the kinds
// of evidence that a rule counts.
const FamilyOwner Family = "owner"

// Says is what a brand's owner says of a name that looks like the brand.
type Says string

// The answers.
const (
	Imitates  Says = "imitates"  // it passes itself off as the brand
	Ours      Says = "ours"      // it is the brand's own
	Unrelated Says = "unrelated" // somebody else's, a critic's, a parody: no imitation
)

// SaysAll are the answers in the order in which a form shows them.
func SaysAll() []Says { return []Says{Imitates, Ours, Unrelated} }

// ParseSays reads an answer.
func ParseSays(s string) (Says, error) {
	switch v := Says(s); v {
	case Imitates, Ours, Unrelated:
		return v, nil
	}
	return "", bolwerk.Invalid("answer %q: want imitates, ours or unrelated", s)
}

// OwnerEvidence is what an answer tells. That a name imitates the brand is
// suspicious of tier 2, and context only where many people use the name: so it
// raises a name to suspicious and to nothing more, whatever else there is. That it
// does not is shown and clears nothing: it is of tier 3.
func OwnerEvidence(brand string, says Says, reason string, popular bool) Evidence {
	e := Evidence{Family: FamilyOwner, Source: brand, Tier: 3, Verdict: Clean, Reason: "owner_" + string(says), Brand: brand}
	what := "it is no imitation"
	switch says {
	case Imitates:
		e.Tier, e.Verdict, what = 2, Suspicious, "it imitates the brand"
		if popular {
			e.Tier = 3
		}
	case Ours:
		what = "it is the brand's own"
	}
	e.Detail = fmt.Sprintf("%s says: %s", brand, what)
	if reason != "" {
		e.Detail += " (" + reason + ")"
	}
	return e
}
