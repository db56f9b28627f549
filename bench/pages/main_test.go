package main

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/clock"
)

// The store that is measured is one that the program can read: every list,
// search and page is there, with something in it.
func TestEverythingThatIsMeasuredIsThere(t *testing.T) {
	dir := t.TempDir()
	c := clock.New()
	db, err := open(t.Context(), filepath.Join(dir, "store.db"), c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	z := sizes{reports: 600, cases: 400, blocks: 200, campaigns: 10, orders: 100, appeals: 60, hits: 400, audit: 100}
	f := &filler{db: db, z: z, now: c.Now().Truncate(time.Hour)}
	if err := f.fill(context.Background(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t.Context(), db, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists(z, f.names) {
		w := s.get(l.paths[0])
		if w.Code != http.StatusOK {
			t.Errorf("%s: GET %s: got %d", l.what, l.paths[0], w.Code)
		}
		if (l.what == "GET /blocks" || l.what == "GET /block/") && !strings.Contains(w.Body.String(), "B-2026-") {
			t.Errorf("%s: no block is there", l.what)
		}
	}
}
