package shield

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Effect is what a block would take, as far as anybody here knows: counted of the
// whole lists, and of the names that customers asked for. It is shown before a
// person decides; what of it is too much is for the guards.
type Effect struct {
	// Popular and KnownGood count the names of those lists that it would take; nil
	// where no such list is loaded.
	Popular   *int `json:"popular_names,omitempty" doc:"names of the popularity lists that it would take; absent where none is loaded"`
	KnownGood *int `json:"known_good_names,omitempty" doc:"names of the known-good lists that it would take; absent where none is loaded"`
	// Asked is how much it was asked for; nil where no edge handed in counts of
	// those days.
	Asked *judge.Asked `json:"asked,omitempty" doc:"what was asked for of it in the 14 days before the first report, without clients; absent where nobody counted"`
	// Names are the best known of what it would take beside the name itself.
	Names []Caught `json:"names,omitempty" doc:"up to five of the other names that it would take, the best known first, each with how it is known"`
}

// Caught is a name that a block would take, and how it is known.
type Caught struct {
	Name bolwerk.Domain `json:"name"`
	List string         `json:"list" doc:"known_good, popular or asked"`
}

// How a name that a block would take is known; text "shield.effect.by."+it.
const (
	caughtGood    = "known_good"
	caughtPopular = "popular"
	caughtAsked   = "asked"
)

// Count is a count for a page.
func (Effect) Count(n *int) int { return *n }

// someNames is how many of the names that a block would take are named.
const someNames = 5

// effectOf is what a plan would take; guards are what its guards look at. Of a
// public suffix nothing is counted: the guards refuse it, and half the lists may
// be below it.
func (s *Shield) effectOf(tx *store.Tx, p plan, guards judge.Context) (*Effect, error) {
	r := s.guard.rules()
	if r.psl.Is(p.Name) {
		return nil, nil
	}
	_, www := judge.NamesTaken(r.place(p.Name), p.Scope)
	rank := map[bolwerk.Domain]int{}
	e := &Effect{}
	if len(r.popular) > 0 {
		for _, set := range r.popular {
			for d, at := range set.Caught(p.Name, p.Scope, www) {
				if was, there := rank[d]; !there || at < was {
					rank[d] = at
				}
			}
		}
		n := len(rank)
		e.Popular = &n
	}
	if len(r.good) > 0 {
		good := map[bolwerk.Domain]bool{}
		for _, set := range r.good {
			for d := range set.Caught(p.Name, p.Scope, www) {
				good[d], rank[d] = true, -1 // before those that are popular
			}
		}
		n := len(good)
		e.KnownGood = &n
	}
	_, first, err := sighted(tx, p.Subject)
	if err != nil {
		return nil, err
	}
	counted, err := countedBefore(tx, first)
	if err != nil {
		return nil, err
	}
	if counted {
		e.Asked = &guards.Asked
	}
	delete(rank, p.Name)
	if guards.Asked.Others > 0 {
		names, err := mostAsked(tx, p.Name, r.place(p.Name), first)
		if err != nil {
			return nil, err
		}
		for i, d := range names { // behind those of the lists
			if _, there := rank[d]; !there {
				rank[d] = math.MaxInt32 + i
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(rank), func(a, b bolwerk.Domain) int {
		return cmp.Or(cmp.Compare(rank[a], rank[b]), cmp.Compare(a.String(), b.String()))
	})
	for _, d := range names[:min(len(names), someNames)] {
		list := caughtPopular
		switch {
		case rank[d] < 0:
			list = caughtGood
		case rank[d] >= math.MaxInt32:
			list = caughtAsked
		}
		e.Names = append(e.Names, Caught{d, list})
	}
	return e, nil
}

// mostAsked are the names below one that were asked for most in the 14 days
// before first.
func mostAsked(tx *store.Tx, name bolwerk.Domain, place judge.Place, first time.Time) ([]bolwerk.Domain, error) {
	to := dayOf(first)
	return store.List(tx, func(scan func(...any) error) (d bolwerk.Domain, err error) {
		var text string
		if err = scan(&text); err == nil {
			d, err = bolwerk.ParseDomain(text)
		}
		return d, err
	}, `select name from shield_asked where registrable=$1 and day>=$2 and day<$3 and name<>$4 and name like $5 escape '\' group by name order by sum(n) desc, name limit $6`,
		place.Registrable.String(), to-askedDays, to, "www."+name.String(), "%."+desk.EscapeLike(name.String()), someNames)
}
