package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

func lines() store.Schema {
	return store.Schema{Name: "lines", Steps: []string{`create table line (
  name text primary key, -- keep tech: which
  n bigint not null      -- keep tech: how many
);`}}
}

func open(t *testing.T) *store.DB {
	t.Helper()
	return storetest.Open(t, clock.NewFake(start), lines())
}

func add(name string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into line(name,n) values($1,1)`, name)
		return err
	}
}

func names(t *testing.T, db *store.DB) (all []string) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
		all, err = store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, `select name from line order by name`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func want(t *testing.T, db *store.DB, names_ ...string) {
	t.Helper()
	if got := names(t, db); !slices.Equal(got, names_) {
		t.Errorf("rows %q, want %q", got, names_)
	}
}

// A writer that is held is a write of the intake lane that waits for free.
func hold(t *testing.T, db *store.DB) (free func()) {
	t.Helper()
	running, wait, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.Write(context.Background(), store.Intake, func(*store.Tx) error {
			close(running)
			<-wait
			return nil
		})
	}()
	<-running
	return func() {
		close(wait)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// queued waits until n writes stand in the line.
func queued(t *testing.T, db *store.DB, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); db.Waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d writes stand in the line, want %d", db.Waiting(), n)
		}
	}
}

// sqliteOnly is for what the one writer of SQLite does: PostgreSQL has many.
func sqliteOnly(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("the one writer is SQLite's")
	}
}

// bubble opens a SQLite store inside a bubble of synctest.
func bubble(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	sqliteOnly(t)
	path := filepath.Join(t.TempDir(), "store.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(context.Background(), store.Config{URL: path}, clock.New())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Migrate(context.Background(), lines()); err != nil {
			t.Fatal(err)
		}
		fn(t, db)
	})
}

func TestAWriteThatReturnedIsThereForAnother(t *testing.T) {
	for _, lane := range []store.Lane{store.Decision, store.Intake} {
		url := storetest.URL(t)
		a, b := storetest.OpenAt(t, url, clock.NewFake(start), lines()), storetest.OpenAt(t, url, clock.NewFake(start))
		if err := a.Write(t.Context(), lane, add("x")); err != nil {
			t.Fatal(err)
		}
		want(t, b, "x")
	}
}

func TestADecisionGoesBeforeEverythingThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		free := hold(t, db)
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		write := func(lane store.Lane, name string) {
			all.Go(func() {
				err := db.Write(context.Background(), lane, func(*store.Tx) error {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, name)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		for range 250 {
			write(store.Intake, "intake")
		}
		synctest.Wait()
		write(store.Decision, "decision")
		synctest.Wait()
		free()
		all.Wait()
		if order[0] != "decision" || len(order) != 251 {
			t.Errorf("the decision was number %d of %d", slices.Index(order, "decision")+1, len(order))
		}
	})
}

func TestADecisionWaitsForOneBatchAtMost(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		free := hold(t, db)
		var all sync.WaitGroup
		done, before := 0, -1
		for i := range 350 {
			all.Go(func() {
				if err := db.Write(context.Background(), store.Intake, func(*store.Tx) error {
					if i == 0 {
						// In the middle of a batch a decision comes.
						all.Go(func() {
							if err := db.Write(context.Background(), store.Decision, func(*store.Tx) error { before = done; return nil }); err != nil {
								t.Error(err)
							}
						})
						time.Sleep(time.Millisecond) // until it stands in line
					}
					done++
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // in this order
		}
		free()
		all.Wait()
		if before > 100 || done != 350 {
			t.Errorf("%d writes went before the decision, want 100 at most", before)
		}
	})
}

func TestADecisionDoesNotWaitForIntakeOnPostgreSQL(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("PostgreSQL has many writers")
	}
	db := open(t)
	free := hold(t, db)
	if err := db.Write(t.Context(), store.Decision, add("decision")); err != nil {
		t.Error(err)
	}
	free()
	want(t, db, "decision")
}

func TestABatchHasAnEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // each write
		most  int           // writes in one transaction
	}{
		{"100 rows", 0, 100},
		{"20 ms", 7 * time.Millisecond, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *store.DB) {
				free := hold(t, db)
				var all sync.WaitGroup
				commits := 0 // of the batches that each write saw before its own
				batch := map[int]int{}
				for range 230 {
					all.Go(func() {
						mine := -1
						if err := db.Write(context.Background(), store.Intake, func(tx *store.Tx) error {
							time.Sleep(c.takes)
							mine = commits
							batch[mine]++
							tx.Collect("commit", 0, func(*store.Tx, []any) error { commits++; return nil })
							return nil
						}); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				free()
				all.Wait()
				sum, largest := 0, 0
				for _, n := range batch {
					sum, largest = sum+n, max(largest, n)
				}
				if sum != 230 || largest != c.most {
					t.Errorf("%d writes, the largest batch had %d, want 230 and %d", sum, largest, c.most)
				}
			})
		})
	}
}

func TestAWriteThatFailsUndoesItselfOnly(t *testing.T) {
	db := open(t)
	free := hold(t, db)
	results := map[string]chan error{}
	told := map[string]bool{}
	var mu sync.Mutex
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		result := make(chan error, 1)
		results[name] = result
		go func() {
			result <- db.Write(context.Background(), store.Intake, func(tx *store.Tx) error {
				tx.After(func() { mu.Lock(); told[name] = true; mu.Unlock() })
				if err := add(name)(tx); err != nil {
					return err
				}
				switch name {
				case "b":
					return errors.New("b is refused")
				case "c":
					panic("c has a bug")
				case "d":
					return add("d")(tx) // twice: against the primary key
				}
				return nil
			})
		}()
	}
	queued(t, db, 5)
	free()
	for name, text := range map[string]string{"a": "", "b": "b is refused", "c": "c has a bug", "d": "onstraint", "e": ""} {
		err := <-results[name]
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q", name, err, text)
		}
	}
	want(t, db, "a", "e")
	if len(told) != 2 || !told["a"] || !told["e"] {
		t.Errorf("told of %v, want a and e", told)
	}
	if err := db.Write(t.Context(), store.Decision, func(*store.Tx) error { panic("a bug") }); err == nil {
		t.Error("a decision that panics was taken for done")
	}
	if err := db.Write(t.Context(), store.Decision, add("f")); err != nil {
		t.Errorf("the next decision: %v", err)
	}
}

// What is collected is written at the end. Where that fails the writes it came
// from are undone, and nobody else's.
func TestACollectedItemThatFailsUndoesItsOwnWriteOnly(t *testing.T) {
	db := open(t)
	free := hold(t, db)
	results := map[string]chan error{}
	for i, name := range []string{"a", "bad", "c"} {
		result := make(chan error, 1)
		results[name] = result
		go func() {
			result <- db.Write(context.Background(), store.Intake, func(tx *store.Tx) error {
				tx.Collect("end", name, func(tx *store.Tx, items []any) error {
					if slices.Contains(items, any("bad")) {
						return errors.New("a bad item")
					}
					return nil
				})
				return add(fmt.Sprint(i))(tx)
			})
		}()
	}
	queued(t, db, 3)
	free()
	for name, ch := range results {
		if err := <-ch; (err != nil) != (name == "bad") {
			t.Errorf("%s: %v", name, err)
		}
	}
	want(t, db, "0", "2")
}

func TestACallerWhoLeavesWritesNothing(t *testing.T) {
	for _, lane := range []store.Lane{store.Decision, store.Intake} {
		db := open(t)
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := db.Write(gone, lane, add("a")); !errors.Is(err, context.Canceled) {
			t.Errorf("lane %d: got %v, want %v", lane, err, context.Canceled)
		}
		ctx, leave := context.WithCancel(t.Context())
		err := db.Write(ctx, lane, func(tx *store.Tx) error {
			leave()
			return add("b")(tx)
		})
		if got := len(names(t, db)); (got == 1) != (err == nil) {
			t.Errorf("lane %d: %d rows are there, but the caller got %v", lane, got, err)
		}
		if err := db.Write(t.Context(), lane, add("c")); err != nil {
			t.Errorf("lane %d: the next write: %v", lane, err)
		}
	}
}

func TestACallerWhoLeavesTheLineWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		for _, lane := range []store.Lane{store.Decision, store.Intake} {
			free := hold(t, db)
			ctx, leave := context.WithCancel(context.Background())
			got := make(chan error, 1)
			go func() { got <- db.Write(ctx, lane, add("a")) }()
			synctest.Wait()
			leave()
			synctest.Wait()
			free()
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("lane %d: got %v, want %v", lane, err, context.Canceled)
			}
		}
		want(t, db)
	})
}

func TestCloseFinishesWhatRunsAndRefusesTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, db *store.DB) {
		wait := make(chan struct{})
		running := make(chan error, 1)
		go func() {
			running <- db.Write(context.Background(), store.Decision, func(tx *store.Tx) error { <-wait; return add("running")(tx) })
		}()
		synctest.Wait()
		var all sync.WaitGroup
		var mu sync.Mutex
		done, refused := []string{"running"}, 0
		for i := range 150 {
			all.Go(func() {
				name := fmt.Sprintf("waits-%03d", i)
				err := db.Write(context.Background(), store.Lane(i%2), add(name))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done = append(done, name)
				case errors.Is(err, store.ErrClosed):
					refused++
				default:
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		close(wait)
		if err := <-running; err != nil {
			t.Errorf("the write that ran: %v", err)
		}
		all.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := db.Write(context.Background(), store.Decision, add("late")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("a decision after the end: got %v, want %v", err, store.ErrClosed)
		}
		if err := db.Write(context.Background(), store.Intake, add("late")); !errors.Is(err, store.ErrClosed) {
			t.Errorf("a write after the end: got %v, want %v", err, store.ErrClosed)
		}
		if len(done)+refused != 151 {
			t.Errorf("%d done and %d refused of 151", len(done), refused)
		}
		again, err := store.Open(context.Background(), store.Config{URL: db.Path()}, clock.New())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		slices.Sort(done)
		want(t, again, done...)
	})
}

func TestCloseOnPostgreSQLWaitsForWhatRuns(t *testing.T) {
	db := open(t)
	free := hold(t, db)
	decided := make(chan error, 1)
	inside := make(chan struct{})
	if storetest.Postgres() {
		go func() {
			decided <- db.Write(context.Background(), store.Decision, func(tx *store.Tx) error {
				close(inside)
				time.Sleep(20 * time.Millisecond) // Close comes meanwhile
				return add("decision")(tx)
			})
		}()
		<-inside
	} else {
		decided <- nil
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	free()
	if err := <-decided; err != nil {
		t.Errorf("a decision that ran when the store was closed: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestTwoDesksThatCrossEachOtherBothGetThrough(t *testing.T) {
	url := storetest.URL(t)
	a, b := storetest.OpenAt(t, url, clock.NewFake(start), lines()), storetest.OpenAt(t, url, clock.NewFake(start))
	for _, name := range []string{"x", "y"} {
		if err := a.Write(t.Context(), store.Decision, add(name)); err != nil {
			t.Fatal(err)
		}
	}
	bump := func(db *store.DB, lane store.Lane, first, second string) error {
		return db.Write(t.Context(), lane, func(tx *store.Tx) error {
			for _, name := range []string{first, second} {
				if _, err := tx.Exec(`update line set n=n+1 where name=$1`, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var all sync.WaitGroup
	const rounds = 15
	for i, db := range []*store.DB{a, b} {
		for _, lane := range []store.Lane{store.Decision, store.Intake} {
			all.Go(func() {
				for range rounds {
					err := bump(db, lane, []string{"x", "y"}[i], []string{"y", "x"}[i])
					if err != nil {
						t.Errorf("desk %d, lane %d: %v", i, lane, err)
					}
				}
			})
		}
	}
	all.Wait()
	var x, y int
	if err := a.Read(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.Row(`select n from line where name='x'`).Scan(&x), tx.Row(`select n from line where name='y'`).Scan(&y))
	}); err != nil {
		t.Fatal(err)
	}
	if x != 4*rounds+1 || y != x {
		t.Errorf("counted %d and %d, want %d", x, y, 4*rounds+1)
	}
}
