package shield

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
)

// Edges tell which names customers ask for most, with counts that are about
// right and without any customer. What a block would have taken is looked up
// here before it is placed.

const (
	askedDays = 14 // before the first report that are looked at
	askedKeep = 21 // that are kept: a report may be some days old when it is decided
)

// receiveAsked keeps what an edge counted on a day. The same again changes
// nothing; more of the same day stands instead of less.
func (s *Shield) receiveAsked(ctx context.Context, host string, body []byte) error {
	a, err := edge.DecodeAsked(body)
	if err != nil {
		return err
	}
	rules := s.guard.rules()
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		day := dayOf(a.Day)
		if today := dayOf(tx.Now()); day < today-askedKeep || day > today+1 {
			return nil // nobody asks about that any more
		}
		for _, n := range a.Names {
			if _, err := tx.Exec(`insert into shield_asked(name,registrable,day,edge,boot,n) values($1,$2,$3,$4,$5,$6)
				on conflict(name,day,edge,boot) do update set n=excluded.n where excluded.n>shield_asked.n`,
				n.Name.String(), rules.place(n.Name).Registrable.String(), day, host, a.Boot, int64(n.N)); err != nil {
				return err
			}
		}
		return nil
	})
}

// askedBefore is how much a name was asked for in the 14 days before the first
// report, and what else a block of it with scope would take.
func askedBefore(tx *store.Tx, name bolwerk.Domain, scope bolwerk.Scope, place judge.Place, first time.Time, l judge.Limits) (a judge.Asked, err error) {
	to := dayOf(first)
	from := to - askedDays
	www := "www." + name.String()
	perDay := make([]int64, askedDays)
	err = tx.Each(`select day,sum(n) from shield_asked where name in ($1,$2) and day>=$3 and day<$4 group by day`, []any{name.String(), www, from, to}, func(scan func(...any) error) error {
		var day, n int64
		if err := scan(&day, &n); err != nil {
			return err
		}
		perDay[day-from] = n
		a.Queries += n
		if n >= int64(l.LocalQueries) {
			a.Busy++
		}
		return nil
	})
	if err != nil {
		return a, err
	}
	slices.Sort(perDay)
	a.Before = (perDay[askedDays/2-1] + perDay[askedDays/2]) / 2
	if scope != bolwerk.ScopeSubtree && scope != bolwerk.ScopeRegistrable || place.Registrable.IsZero() {
		return a, nil
	}
	var others, queries int64
	err = tx.Row(`select count(distinct name),coalesce(sum(n),0) from shield_asked where registrable=$1 and day>=$2 and day<$3 and name<>$4 and name like $5 escape '\'`,
		place.Registrable.String(), from, to, www, "%."+desk.EscapeLike(name.String())).Scan(&others, &queries)
	a.Others, a.Queries = int(others), a.Queries+queries
	return a, err
}

// useOf is how much a name was asked for here before its first report, as a row to
// look at beside the evidence: no rule of verdicts reads it, and it is not kept
// with a verdict. It is a guard (3) where somebody blocks.
func useOf(tx *store.Tx, observable string, l judge.Limits) (e judge.Evidence, err error) {
	e = judge.Evidence{Family: judge.FamilyUse, Source: "resolvers", Tier: 3, Verdict: judge.NoData}
	var name string
	var seen int64
	if err := tx.Row(`select name,first_seen from shield_observable where id=$1`, observable).Scan(&name, &seen); err != nil {
		return e, err
	}
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return judge.Evidence{}, nil // an address has no counts
	}
	first := store.Time(seen)
	a, err := askedBefore(tx, d, bolwerk.ScopeHost, judge.Place{}, first, l)
	if err != nil {
		return e, err
	}
	if a.Queries > 0 {
		e.Reason, e.Detail = "used_here", fmt.Sprintf("asked for %d times in the %d days before the first report, %d on a usual day, and %d times or more on %d of them", a.Queries, askedDays, a.Before, l.LocalQueries, a.Busy)
		return e, nil
	}
	counted, err := countedBefore(tx, first)
	if e.Reason, e.Detail = "not_used_here", fmt.Sprintf("not among the names that were asked for most here in the %d days before the first report", askedDays); !counted {
		e.Reason, e.Detail = "use_unknown", "no edge handed in counts of those days"
	}
	return e, err
}

// countedBefore says that some edge handed in counts of the 14 days before first:
// without any, nothing is known.
func countedBefore(tx *store.Tx, first time.Time) (bool, error) {
	var n int
	err := tx.Row(`select count(*) from (select 1 from shield_asked where day>=$1 and day<$2 limit 1) x`, dayOf(first)-askedDays, dayOf(first)).Scan(&n)
	return n > 0, err
}

// forgetAsked drops the days that nobody asks about any more.
func forgetAsked(tx *store.Tx) error {
	_, err := tx.Exec(`delete from shield_asked where day<$1`, dayOf(tx.Now())-askedKeep)
	return err
}

// ageOf is how old a registrable domain is. A tenant of a platform has no age of
// his own.
func ageOf(tx *store.Tx, place judge.Place) (age time.Duration, known bool, err error) {
	if place.Registrable.IsZero() || !place.Tenant.IsZero() {
		return 0, false, nil
	}
	at, err := registered(tx, place.Registrable)
	return tx.Now().Sub(at), err == nil && !at.IsZero(), err
}
