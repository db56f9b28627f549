package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// A read whose caller leaves ends early, and spoils no read after it.
func TestRead_caller_leaves(t *testing.T) {
	db := storetest.Open(t, clock.New())
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := db.Read(ctx, func(tx *store.Tx) error {
			var n int64
			return tx.Row(`with recursive c(x) as (select 1 union all select x+1 from c where x<100000000) select count(*) from c`).Scan(&n)
		})
		cancel()
		if err == nil {
			t.Fatal("the read went on to its end")
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			var n int64
			if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select 1`).Scan(&n) }); err != nil || n != 1 {
				t.Errorf("got %d, %v, want 1", n, err)
			}
		})
	}
	all.Wait()
}

// A write whose caller leaves is done or not done, and spoils no write after it.
func TestWrite_caller_leaves(t *testing.T) {
	db := storetest.Open(t, clock.New(), store.Schema{Name: "left", Steps: []string{"create table left_note (\n  n bigint not null -- keep tech: a number\n);"}})
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into left_note(n) values($1)`, i)
			return err
		})
	}
	if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into left_note(n) values($1)`, 1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
