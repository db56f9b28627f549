package app

import (
	"slices"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// Every class of every table has a limit or goes with something, and what is too old
// is found.
func TestWhatIsKeptTooLongIsFound(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	c := clock.NewFake(now)
	db := storetest.Open(t, c, Schemas()...)
	state := func(table, class string) string {
		t.Helper()
		all, err := lookRetention(t.Context(), db, c, Schemas(), map[string]int{"session": 7, "contact": 400}, func(*store.Tx) ([]string, error) { return nil, nil })
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(r Retention) bool { return r.Table == table && r.Class == class })
		if i < 0 {
			t.Fatalf("%s of %s is not looked at", class, table)
		}
		for _, r := range all {
			if r.State == "" || r.State == "with" && r.With == "" || r.Keep == "" {
				t.Fatalf("%+v: nothing is said", r)
			}
		}
		return all[i].State
	}
	exec := func(q string, args ...any) {
		t.Helper()
		if err := db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { _, err := tx.Exec(q, args...); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if got := state("abuse_gap", "session"); got != "empty" {
		t.Errorf("nothing is kept: %s", got)
	}
	gap := func(nas string, ago time.Duration) {
		exec(`insert into abuse_gap(nas,from_at,to_at,why) values($1,$2,$2,'silent')`, nas, store.Micros(now.Add(-ago)))
	}
	gap("bng1", 7*day)
	if got := state("abuse_gap", "session"); got != "ok" {
		t.Errorf("a row of its last day: %s", got)
	}
	gap("bng2", 9*day)
	if got := state("abuse_gap", "session"); got != "over" {
		t.Errorf("a row of nine days ago: %s", got)
	}
	exec(`insert into abuse_event(id,report,nth,once,again,class,role,basis,spoofable,plain,at,time_kind,detail_sealed,state,why,found,case_id,due_at,asked) values($1,'r',0,'o',0,'c','','',false,false,0,'',$2,'aside','',0,'',0,0)`,
		bolwerk.NewID(now.Add(-40*day)), []byte("sealed"))
	if got := state("abuse_event", "body"); got != "over" {
		t.Errorf("the addresses of an event of 40 days ago: %s", got)
	}
	exec(`update abuse_event set detail_sealed=null`)
	if got := state("abuse_event", "body"); got != "empty" {
		t.Errorf("an event without its addresses: %s", got)
	}
}

// Each rule is of a table and class that there is.
func TestRulesOfRetentionAreOfTables(t *testing.T) {
	columns := store.Columns(Schemas())
	for _, r := range rules {
		if !slices.ContainsFunc(columns, func(c store.Column) bool { return c.Table == r.table && c.Class == r.class }) {
			t.Errorf("no column of class %s in %s", r.class, r.table)
		}
	}
}
