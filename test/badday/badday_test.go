// Package badday lives through bad days with the real program: a restore, a full
// disk, strangers who send what nobody should, keys that must open nothing,
// names and addresses that must appear nowhere.
package badday

import (
	"database/sql"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"bolwerk/test/live"
)

func TestMain(m *testing.M) { live.Main(m) }

// long skips a story that takes more than a moment.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a story with the real program: not with -short")
	}
}

// until waits for something that must come true.
func until(t *testing.T, what string, d time.Duration, fn func() (bool, error)) {
	t.Helper()
	if err := live.Until(d, fn); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// blocked waits until the edge blocks a name, or does not.
func blocked(t *testing.T, s *live.Site, name string, want bool) {
	t.Helper()
	until(t, name, 10*time.Second, func() (bool, error) {
		got, err := s.Blocked(name)
		return got == want, err
	})
}

// block places a block and gives its id.
func block(t *testing.T, s *live.Site, name string) string {
	t.Helper()
	id, err := s.Block(name, "")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// open opens the desk's database while the desk is down.
func open(t *testing.T, s *live.Site) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Store())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
