package shield

import (
	"time"

	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// ByRules is what rules that decide by themselves leave to people now.
type ByRules struct {
	// Trips are the blocks of rules that very many customers ran into and that no
	// person has decided about since, the most hit first.
	Trips []TripRow `json:"tripped"`
	// Braked counts the cases that waited for people in the last hour because rules
	// had decided too much at once, and still wait.
	Braked int64 `json:"braked"`
	// Paused says that rules are on and decide nothing, because fewer names are
	// known to be good than a candidate has to be tried on: KnownGood of Needed.
	Paused    bool `json:"rules_paused"`
	KnownGood int  `json:"known_good"`
	Needed    int  `json:"known_good_needed"`
}

// TripRow is a block on which the tripwire (guard 11) was pulled.
type TripRow struct {
	Block string        `json:"block"`
	Name  string        `json:"name"`
	Case  string        `json:"case,omitempty"`
	Did   judge.Tripped `json:"did" enum:"alert,suspend"`
	Hits  int64         `json:"hits_5m"`
}

// manyTrips bounds how many blocks are told one by one.
const manyTrips = 20

// byRules reads it.
func (s *Shield) byRules(tx *store.Tx) (n ByRules, err error) {
	n.KnownGood, n.Needed = s.guard.rules().canaries.Len(), s.limits().KnownGoodMin
	n.Paused = s.cfg.Automatic.acts() && n.KnownGood < n.Needed
	n.Trips, err = store.List(tx, func(scan func(...any) error) (t TripRow, err error) {
		err = scan(&t.Block, &t.Name, &t.Case, &t.Did, &t.Hits)
		return t, err
	}, `select b.ref,b.name,coalesce(c.ref,''),t.did,t.hits from shield_trip t join shield_block b on b.id=t.block left join desk_case c on c.id=b.case_id
		where t.did='alert' and b.state='in_force' and b.actor not like 'person:%' and b.second not like 'person:%' or t.did='suspend' and b.state='suspended' and c.state in ('waiting','second')
		order by t.hits desc, b.ref limit $1`, manyTrips)
	if err != nil {
		return n, err
	}
	err = tx.Row(`select count(*) from desk_case c join shield_auto a on a.case_id=c.id where c.capability='shield' and c.state='waiting' and a.mode='on' and a.at=0 and a.why like '%"brake%' and a.looked>$1`,
		store.Micros(tx.Now().Add(-time.Hour))).Scan(&n.Braked)
	return n, err
}
