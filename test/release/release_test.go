// Package release opens what each release has left behind: its configuration and
// its store. "make keep-release VERSION=1.2.3" adds one, once, when it is made;
// what stands there is never changed.
package release

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"bolwerk/internal/app"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

// Before the first release there is only version 0: the configuration that the
// package brings. Its tables still change in place, so no store of it is kept.
const unreleased = "0"

func TestEveryReleaseIsUnderstood(t *testing.T) {
	versions, err := os.ReadDir("testdata")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no releases: %v", err)
	}
	for _, v := range versions {
		t.Run(v.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", v.Name())
			cfg, err := app.Read(filepath.Join(dir, "bolwerk.toml"))
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				t.Errorf("the configuration of %s: %v", v.Name(), err)
			}
			kept := filepath.Join(dir, "store.db.gz")
			if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) && v.Name() == unreleased {
				return
			}
			db := open(t, kept)
			n, err := audit.Verify(t.Context(), db, nil)
			if err != nil || n == 0 {
				t.Errorf("the audit trail of %s: %d entries, %v", v.Name(), n, err)
			}
		})
	}
}

// open brings the store of a release up to date.
func open(t *testing.T, kept string) *store.DB {
	t.Helper()
	f, err := os.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bolwerk.db")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, z); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: path}, clock.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context(), app.Schemas()...); err != nil {
		t.Fatal(err)
	}
	return db
}
