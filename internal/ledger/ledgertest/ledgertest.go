// Package ledgertest makes a transparency log for tests.
package ledgertest

import (
	"path/filepath"
	"testing"

	"bolwerk/internal/clock"
	"bolwerk/internal/ledger"
	"bolwerk/internal/store"
)

// New makes the log of a store, with a key of its own.
func New(t testing.TB, db *store.DB, c clock.Clock) *ledger.Desk {
	t.Helper()
	key, err := ledger.OpenKey(filepath.Join(t.TempDir(), "log.key"), "shield.bolwerk.example/log")
	if err != nil {
		t.Fatal(err)
	}
	return ledger.New(db, key, c)
}
