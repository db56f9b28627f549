package judge

import (
	"cmp"
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// Exemption lets a name pass whatever is blocked. It wins over every block.
type Exemption struct {
	Name  bolwerk.Domain `json:"name"`
	Scope bolwerk.Scope  `json:"scope"`
	// Until is its end; zero is for ever.
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason"`
}

// InForce says whether it counts at now.
func (e Exemption) InForce(now time.Time) bool { return e.Until.IsZero() || now.Before(e.Until) }

// Covers says whether d passes by it.
func (e Exemption) Covers(d bolwerk.Domain, psl *suffix.List) bool {
	r, _ := psl.Registrable(e.Name)
	return e.Scope.Covers(e.Name, d, r == e.Name)
}

// CheckExemption lets the guards look at an exemption. Of the context it uses
// Now, Limits, Suffixes, Platforms, First, Second and Reporters; an approval is
// bound to digest.
func CheckExemption(e Exemption, digest string, c Context) []Objection {
	place := PlaceOf(e.Name, c.Suffixes, c.Platforms)
	var out []Objection
	run := func(guard int, name string, o *Objection) {
		if o != nil && !c.off[name] {
			o.Guard, o.Rule, o.Text = guard, name, cmp.Or(o.Text, name)
			out = append(out, *o)
		}
	}
	run(16, "exempt_scope", func() *Objection {
		if !e.Scope.DNS() || e.Reason == "" {
			return object(Refuse, "give a scope of DNS and a reason", "an exemption has a name, a scope and a reason")
		}
		return nil
	}())
	run(16, "exempt_past", func() *Objection {
		if !e.InForce(c.Now) {
			return object(Refuse, "give an end that is still to come", "the exemption would have ended already")
		}
		return nil
	}())
	run(16, "exempt_tenants", func() *Objection {
		if e.Scope == bolwerk.ScopeHost || e.Scope == bolwerk.ScopeURLOnly {
			return nil
		}
		if place.Registrable.IsZero() || place.Shared {
			return object(Refuse, "exempt the name with scope host, or one tenant", "it would let every tenant of %s pass, phishers too", e.Name)
		}
		return nil
	}())
	long := e.Until.IsZero() || e.Until.Sub(c.Now) > c.Limits.ExemptOne
	if c.Second == nil {
		run(7, "first_role", approvalRules[0].check(pair{first: c.First, action: Exempt}))
		if long {
			run(16, "exempt_long", object(NeedsTwoPeople, "take a shorter time, or a second person approves, one of the two a duty officer",
				"one person exempts for %d hours at most", int(c.Limits.ExemptOne.Hours())))
		}
		return out
	}
	if c.Second.Digest != digest {
		run(7, "digest", object(NeedsTwoPeople, "show the second person the exemption as it is now", "the exemption changed after it was approved"))
	}
	for _, r := range approvalRules {
		if r.name != "duty_officer" || long {
			run(r.guard, r.name, r.check(pair{c.First, c.Second.By, ExemptWide, c.Now, c.Reporters}))
		}
	}
	return out
}
