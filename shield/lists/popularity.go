package lists

import "bolwerk"

// Popularity looks a name up in several popularity lists and answers with the
// best rank. No list means that nothing is known to be popular.
type Popularity []*Set

// Rank is the best rank of d itself.
func (p Popularity) Rank(d bolwerk.Domain) (rank int, ok bool) {
	for _, s := range p {
		if r, found := s.Rank(d); found && (!ok || r < rank) {
			rank, ok = r, true
		}
	}
	return rank, ok
}

// Best is the most popular name that a block of name with scope would take.
func (p Popularity) Best(name bolwerk.Domain, scope bolwerk.Scope, www bool) (best bolwerk.Domain, rank int, ok bool) {
	for _, s := range p {
		if d, r, found := s.Best(name, scope, www); found && (!ok || r < rank) {
			best, rank, ok = d, r, true
		}
	}
	return best, rank, ok
}

// Len is the number of names in all lists, repetitions counted.
func (p Popularity) Len() (n int) {
	for _, s := range p {
		n += s.Len()
	}
	return n
}
