// Package storetest opens stores for tests: SQLite in a folder of the test, or
// a schema of its own in the PostgreSQL that BOLWERK_TEST_DSN names. A suite
// written with it runs on both engines without a word about either.
package storetest

import (
	"crypto/rand"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

// Env names the variable that holds the address of a PostgreSQL for tests.
const Env = "BOLWERK_TEST_DSN"

// Postgres says that the tests run on PostgreSQL.
func Postgres() bool { return os.Getenv(Env) != "" }

// Open opens a fresh store with the tables of schemas; it is closed and, on
// PostgreSQL, dropped when the test ends.
func Open(t testing.TB, c clock.Clock, schemas ...store.Schema) *store.DB {
	t.Helper()
	return OpenAt(t, URL(t), c, schemas...)
}

// OpenAt opens the store at an address of URL, which may be open already: two
// of them are two programs at one store.
func OpenAt(t testing.TB, url string, c clock.Clock, schemas ...store.Schema) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context(), schemas...); err != nil {
		t.Fatal(err)
	}
	return db
}

// URL is the address of a fresh, empty store. On PostgreSQL it is dropped when
// the test ends.
func URL(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(Env)
	if dsn == "" {
		return filepath.Join(t.TempDir(), "store.db")
	}
	pg, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := "t_" + strings.ToLower(rand.Text())
	if _, err := pg.Exec("create schema " + name); err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	t.Cleanup(func() {
		if _, err := pg.Exec("drop schema " + name + " cascade"); err != nil {
			t.Logf("drop the schema of the test: %v", err)
		}
		pg.Close()
	})
	sep := "?"
	if strings.Contains(dsn, "?") {
		sep = "&"
	}
	return dsn + sep + "search_path=" + name
}
