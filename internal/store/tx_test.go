package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

func TestWhatIsCollectedComesLastAndTogether(t *testing.T) {
	db := open(t)
	var order []string
	note := func(tx *store.Tx, items []any) error { order = append(order, fmt.Sprint(items...)); return nil }
	err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		tx.Collect("audit", "a1", note)
		tx.Collect("copy", "c1", func(tx *store.Tx, items []any) error {
			tx.Collect("audit", "a3", note) // behind the one that has gone
			tx.Collect("fact", "f2", note)  // with the one that is to come
			return note(tx, items)
		})
		tx.Collect("fact", "f1", note)
		tx.Collect("audit", "a2", note)
		order = append(order, "work")
		tx.After(func() { order = append(order, "told") })
		return nil
	})
	if want := []string{"work", "a1a2", "c1", "f1f2", "a3", "told"}; err != nil || !slices.Equal(order, want) {
		t.Errorf("got %q (%v), want %q", order, err, want)
	}
}

func TestNobodyIsToldOfWhatWasUndone(t *testing.T) {
	db := open(t)
	refused := errors.New("refused")
	for _, lane := range []store.Lane{store.Decision, store.Intake} {
		err := db.Write(t.Context(), lane, func(tx *store.Tx) error {
			tx.After(func() { t.Error("told") })
			tx.Collect("x", 1, func(*store.Tx, []any) error { return refused })
			return add("a")(tx)
		})
		if !errors.Is(err, refused) {
			t.Errorf("lane %d: got %v, want %v", lane, err, refused)
		}
		err = db.Write(t.Context(), lane, func(tx *store.Tx) error {
			tx.After(func() { t.Error("told") })
			tx.Collect("x", 1, func(*store.Tx, []any) error { panic("a bug") })
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("lane %d: got %v, want the bug named", lane, err)
		}
	}
	want(t, db)
}

// What was tried and failed is undone with all that it collected; the rest stays.
func TestWhatWasTriedInVainIsUndoneAlone(t *testing.T) {
	db := open(t)
	for _, lane := range []store.Lane{store.Decision, store.Intake} {
		told := ""
		err := db.Write(t.Context(), lane, func(tx *store.Tx) error {
			for _, c := range []struct {
				name string
				fail error
			}{{fmt.Sprint(lane, "good"), nil}, {fmt.Sprint(lane, "bad"), errors.New("refused")}} {
				failed, err := tx.Try(func(tx *store.Tx) error {
					tx.After(func() { told += c.name })
					tx.Collect("x", 1, func(*store.Tx, []any) error { told += "collected "; return nil })
					if err := add(c.name)(tx); err != nil {
						return err
					}
					if c.fail != nil { // a statement that fails spoils no more than what was tried
						_, c.fail = tx.Exec("select nothing from nowhere")
					}
					return c.fail
				})
				if err != nil || (failed != nil) != (c.fail != nil) {
					t.Errorf("%s: failed with %v, error %v", c.name, failed, err)
				}
			}
			return nil
		})
		if want := "collected " + fmt.Sprint(lane, "good"); err != nil || told != want {
			t.Errorf("told %q, want %q: %v", told, want, err)
		}
	}
	want(t, db, fmt.Sprint(store.Decision, "good"), fmt.Sprint(store.Intake, "good"))
}

func TestAReadSeesOneMomentAndWritesNothing(t *testing.T) {
	db := open(t)
	if err := db.Write(t.Context(), store.Decision, add("a")); err != nil {
		t.Fatal(err)
	}
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		var before, after int
		if err := tx.Row(`select count(*) from line`).Scan(&before); err != nil {
			return err
		}
		if err := db.Write(t.Context(), store.Decision, add("b")); err != nil {
			return err
		}
		if err := tx.Row(`select count(*) from line`).Scan(&after); err != nil {
			return err
		}
		if before != 1 || after != 1 {
			t.Errorf("a read saw %d rows, then %d", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Read(t.Context(), add("c")); err == nil {
		t.Error("a read wrote a row")
	}
	want(t, db, "a", "b")
}

func TestValuesComeBackAsTheyWent(t *testing.T) {
	db := storetest.Open(t, clock.NewFake(start), store.Schema{Name: "values", Steps: []string{`create table v (
  t text not null,    -- keep tech: text
  n bigint not null,  -- keep tech: number
  b boolean not null, -- keep tech: yes or no
  x bytea not null    -- keep tech: bytes
);`}})
	text, bytes_ := "één ‘naam’ ' \" ; -- \u202e 名", []byte{0, 255, 0, '\n'}
	err := db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into v(t,n,b,x) values($1,$2,$3,$4)`, text, int64(1)<<62, true, bytes_)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Read(t.Context(), func(tx *store.Tx) error {
		var s string
		var n int64
		var b bool
		var x []byte
		if err := tx.Row(`select t,n,b,x from v where b=$1`, true).Scan(&s, &n, &b, &x); err != nil {
			return err
		}
		if s != text || n != 1<<62 || !b || !bytes.Equal(x, bytes_) {
			t.Errorf("got %q %d %t %v", s, n, b, x)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTextsThatNoEngineKeepsAlikeAreMadeAlike(t *testing.T) {
	db := open(t)
	hostile, kept := "a\x00b\xff\xfec\ufffd", "a\ufffdb\ufffdc\ufffd"
	args := []any{hostile}
	err := db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into line(name,n) values($1,1)`, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if args[0] != hostile {
		t.Error("the caller's own text was changed")
	}
	want(t, db, kept)
	err = db.Read(t.Context(), func(tx *store.Tx) error {
		var n int
		return tx.Row(`select n from line where name=$1`, hostile).Scan(&n)
	})
	if err != nil {
		t.Errorf("find it again: %v", err)
	}
	if got := store.Text(hostile); got != kept || store.Text(kept) != kept {
		t.Errorf("Text: got %q, want %q", got, kept)
	}
}
