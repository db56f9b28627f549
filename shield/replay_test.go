package shield

import (
	"reflect"
	"testing"

	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// TestReplay: the kept evidence and the rules of then give the kept verdict to the
// byte; what changed since is named; and a verdict or evidence that somebody
// touched does not pass.
func TestReplay(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-over.example/in"))
	id := s.caseOf("anchorbank-over.example")
	replay := func() Replayed {
		t.Helper()
		r, err := s.Replay(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	change := func(sql string) {
		t.Helper()
		if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(sql); return err }); err != nil {
			t.Fatal(err)
		}
	}
	r := replay()
	if r.State != "same" || len(r.Changed) != 0 || r.Was.Ruleset != judge.Ruleset || r.At.IsZero() || len(r.Was.Reasons) == 0 {
		t.Fatalf("replayed %+v", r)
	}
	if !reflect.DeepEqual(r.Was, r.Again) || !reflect.DeepEqual(r.Was, r.Is) {
		t.Errorf("was %+v, again %+v, is %+v", r.Was, r.Again, r.Is)
	}
	// The world goes on: the verdict stands, and what came is named.
	change(`insert into shield_evidence(observable,family,source,reason,tier,verdict,detail,brand,version,at) select id,'list','partner','listed',1,'malicious','','','v2',1 from shield_observable`)
	if r = replay(); r.State != "different" || !reflect.DeepEqual(r.Was, r.Again) || len(r.Changed) != 1 || r.Changed[0].How != "came" || r.Changed[0].Is.Source != "partner" || r.Is.Word != judge.Malicious {
		t.Errorf("with a new listing: %+v", r)
	}
	change(`delete from shield_evidence where reason='listed'`)
	change(`update shield_evidence set detail='something else' where source='brands'`)
	if r = replay(); r.State != "different" || len(r.Changed) == 0 || r.Changed[0].How != "changed" {
		t.Errorf("with other words: %+v", r)
	}
	change(`update shield_verdict set ruleset='1999.1'`)
	if r = replay(); r.State != "unknown_rules" {
		t.Errorf("by rules that are gone: %+v", r)
	}
	change(`update shield_verdict set ruleset='` + judge.Ruleset + `', evidence='[]'`)
	if r = replay(); r.State != "broken" {
		t.Errorf("with evidence taken away: %+v", r)
	}
}
