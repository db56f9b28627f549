package shield

import (
	"strings"
	"testing"

	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// TestUseIsShownAndNeverWeighed: how much a name was asked for here stands beside
// the evidence, says when nobody counted, and changes no verdict and no replay.
func TestUseIsShownAndNeverWeighed(t *testing.T) {
	s := newShield(t)
	s.report(lure("Your card is stopped", "https://anchorbank-over.example/in"))
	id := s.caseOf("anchorbank-over.example")
	use := func() judge.Evidence {
		t.Helper()
		c, err := s.Case(t.Context(), id)
		if err != nil || c.Replay != "same" || c.Verdict != string(judge.Suspicious) {
			t.Fatalf("%v: replay %s, verdict %s", err, c.Replay, c.Verdict)
		}
		var found []judge.Evidence
		for _, e := range c.Evidence {
			if e.Family == judge.FamilyUse {
				found = append(found, e)
			}
		}
		if len(found) != 1 || found[0].Verdict != judge.NoData {
			t.Fatalf("use: %+v", found)
		}
		return found[0]
	}
	count := func(name string, n int) {
		t.Helper()
		if err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into shield_asked(name,registrable,day,edge,boot,n) values($1,$1,$2,'edge1','b',$3)`, name, dayOf(tx.Now())-3, n)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if e := use(); e.Reason != "use_unknown" {
		t.Errorf("without counts: %+v", e)
	}
	count("other.example", 9)
	if e := use(); e.Reason != "not_used_here" {
		t.Errorf("with counts of others: %+v", e)
	}
	count("anchorbank-over.example", 700)
	if e := use(); e.Reason != "used_here" || !strings.Contains(e.Detail, "700 times") {
		t.Errorf("with counts: %+v", e)
	}
}
