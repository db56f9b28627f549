package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 123456000, time.UTC)

var anna = bolwerk.Person("anna")

// trail makes a trail of n entries; the last may have another reason.
func trail(t *testing.T, n int, last string) *store.DB {
	t.Helper()
	db := storetest.Open(t, clock.NewFake(start), audit.Schema())
	for i := range n {
		reason := fmt.Sprintf("reason %d", i+1)
		if i == n-1 && last != "" {
			reason = last
		}
		write(t, db, func(tx *store.Tx) error {
			audit.Append(tx, anna, "shield.block.confirm", fmt.Sprintf("case-%d", i%3), reason, map[string]int{"n": i})
			return nil
		})
	}
	return db
}

func write(t *testing.T, db *store.DB, fn func(*store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), store.Decision, fn); err != nil {
		t.Fatal(err)
	}
}

func sql(t *testing.T, db *store.DB, q string, args ...any) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error { _, err := tx.Exec(q, args...); return err })
}

func head(t *testing.T, db *store.DB) (h string) {
	t.Helper()
	if err := db.Read(t.Context(), func(tx *store.Tx) (err error) { h, err = audit.Head(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestATrailStandsAsItWasWritten(t *testing.T) {
	db := trail(t, 5, "naïve\x00 \xff \"reason\"")
	n, err := audit.Verify(t.Context(), db, []string{"0:", head(t, db)})
	if n != 5 || err != nil {
		t.Errorf("got %d entries and %v, want 5 that stand", n, err)
	}
	if err := db.Read(t.Context(), func(tx *store.Tx) error {
		about, err := audit.List(tx, "case-1", 10)
		if err != nil {
			return err
		}
		if len(about) != 2 || about[0].Seq != 2 || about[1].Seq != 5 || about[0].Actor != anna || !about[0].At.Equal(start) || about[0].Detail != `{"n":1}` {
			t.Errorf("about case-1: got %+v", about)
		}
		all, err := audit.Before(tx, "", 4, 2)
		if len(all) != 2 || all[0].Seq != 3 || all[1].Seq != 2 {
			t.Errorf("before 4: got %+v", all)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestAnEmptyTrailStands(t *testing.T) {
	db := trail(t, 0, "")
	if n, err := audit.Verify(t.Context(), db, []string{head(t, db)}); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestWhatWasUndoneLeavesNoGap(t *testing.T) {
	db := trail(t, 2, "")
	undone := errors.New("undone")
	err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, anna, "shield.block.confirm", "case-9", "never", nil)
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	write(t, db, func(tx *store.Tx) error {
		audit.Append(tx, anna, "one", "case-1", "first of two", nil)
		audit.Append(tx, anna, "two", "case-1", "second of two", nil)
		return nil
	})
	if n, err := audit.Verify(t.Context(), db, nil); n != 4 || err != nil {
		t.Errorf("got %d, %v, want 4 that stand", n, err)
	}
}

func TestAChangeIsFound(t *testing.T) {
	for _, c := range []struct{ name, sql, word string }{
		{"another reason", `update audit set reason='a better one' where seq=3`, "entry 3 was changed"},
		{"another person", `update audit set actor='person:bert' where seq=3`, "entry 3 was changed"},
		{"another time", `update audit set at=at-1 where seq=3`, "entry 3 was changed"},
		{"another detail", `update audit set detail='{}' where seq=3`, "entry 3 was changed"},
		{"an entry less", `delete from audit where seq=3`, "entry 3 is missing"},
		{"without its beginning", `delete from audit where seq<3`, "entry 1 is missing"},
		{"a hash of its own", `update audit set hash='0' where seq=3`, "entry 3 was changed"},
		{"another order", `update audit set prev=(select a.prev from audit a where a.seq=2) where seq=3`, "entry 3 does not follow entry 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := trail(t, 5, "")
			sql(t, db, c.sql)
			_, err := audit.Verify(t.Context(), db, nil)
			if !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("got %v, want %q", err, c.word)
			}
		})
	}
}

func TestATrailWrittenAnewIsFoundByWhatAHostHasSeen(t *testing.T) {
	seen := head(t, trail(t, 3, ""))
	anew := trail(t, 3, "another reason")
	if n, err := audit.Verify(t.Context(), anew, nil); n != 3 || err != nil {
		t.Fatalf("in itself it stands: %d, %v", n, err)
	}
	for name, c := range map[string]struct {
		db   *store.DB
		seen []string
		word string
	}{
		"written anew":          {anew, []string{seen}, "was rewritten"},
		"cut":                   {trail(t, 2, ""), []string{seen}, "it was cut"},
		"two hosts disagree":    {trail(t, 3, ""), []string{seen, "3:" + strings.Repeat("0", 64)}, "different audit entries 3"},
		"and in the other line": {trail(t, 3, ""), []string{"3:" + strings.Repeat("0", 64), seen}, "different audit entries 3"},
	} {
		if _, err := audit.Verify(t.Context(), c.db, c.seen); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %v, want %q", name, err, c.word)
		}
	}
	if n, err := audit.Verify(t.Context(), trail(t, 4, ""), []string{seen}); n != 4 || err != nil {
		t.Errorf("a trail that went on: %d, %v", n, err)
	}
}

func TestAHeadThatIsNoneIsRefused(t *testing.T) {
	db := trail(t, 1, "")
	for _, bad := range []string{"", "x", "1", "1:", "0:abc", "-1:abc", "1x:abc", ":abc"} {
		if _, err := audit.Verify(t.Context(), db, []string{bad}); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("%q: got %v, want %v", bad, err, bolwerk.ErrInvalid)
		}
	}
}

func TestTwoDesksWriteOneTrail(t *testing.T) {
	url := storetest.URL(t)
	desks := []*store.DB{storetest.OpenAt(t, url, clock.NewFake(start), audit.Schema()), storetest.OpenAt(t, url, clock.NewFake(start))}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			err := desks[i%2].Write(t.Context(), store.Lane(i/2%2), func(tx *store.Tx) error {
				audit.Append(tx, anna, "x", fmt.Sprint(i), "", nil)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := audit.Verify(t.Context(), desks[0], nil); n != 40 || err != nil {
		t.Errorf("got %d, %v, want 40 that stand", n, err)
	}
}
