package judge

import (
	"cmp"
	"iter"

	"bolwerk"
	"bolwerk/shield/lists"
)

// Publication is a serial that is about to go out, as the guards see it.
type Publication struct {
	Size           int // entries in force before it
	Added, Removed int
	// Serial and Last are what it would be and the highest ever delivered, both
	// of the present epoch.
	Serial, Last int64
	// Taken is a name of the known-good set that it would block; zero without.
	Taken bolwerk.Domain
	// Released says that two people looked at it (MayApprove, Release).
	Released bool

	off map[string]bool
}

// CheckPublication lets the guards look at a publication. One that only removes
// is never held up (guard 15): the way back is never blocked.
func CheckPublication(p Publication, l Limits) (out []Objection) {
	run := func(guard int, name string, o *Objection) {
		if o != nil && !p.off[name] {
			o.Guard, o.Rule, o.Text = guard, name, cmp.Or(o.Text, name)
			out = append(out, *o)
		}
	}
	if p.Serial <= p.Last {
		run(9, "serial", object(Refuse, "raise the serial above it", "serial %d does not follow %d: resolvers would not take it", p.Serial, p.Last))
	}
	if p.Added == 0 && !p.off["removal"] {
		return out // guard 15
	}
	if !p.Taken.IsZero() {
		run(10, "publication_known_good", object(Refuse, "withdraw the block that takes it", "it would block %s of the known-good set", p.Taken))
	}
	if p.Released {
		return out
	}
	if p.Size > 0 && p.Added > l.AddMin && float64(p.Added) > l.AddPart*float64(p.Size) {
		run(9, "adds", object(Hold, "two people look and release it", "it adds %d entries to %d", p.Added, p.Size))
	}
	if p.Removed > l.RemoveMin && float64(p.Removed) > l.RemovePart*float64(p.Size) {
		run(9, "removes", object(Hold, "two people look and release it", "it removes %d of %d entries together with additions", p.Removed, p.Size))
	}
	return out
}

// Canary is the first name of the known-good set that one of the blocks takes,
// and the block; ok is false where none does. A publication asks it about every
// entry it would add, the desk at start-up and at each new known-good set about all.
func Canary(blocks iter.Seq[Proposal], good *lists.Set, c Context) (taken bolwerk.Domain, by Proposal, ok bool) {
	for p := range blocks {
		_, www := NamesTaken(PlaceOf(p.Name, c.Suffixes, c.Platforms), p.Scope)
		if d, hit := good.Taken(p.Name, p.Scope, www); hit {
			return d, p, true
		}
	}
	return bolwerk.Domain{}, Proposal{}, false
}
