package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

func TestMigrateDoesEachStepOnce(t *testing.T) {
	db := open(t)
	if err := db.Write(t.Context(), store.Decision, add("a")); err != nil {
		t.Fatal(err)
	}
	more := lines()
	more.Steps = append(more.Steps, `alter table line add column note text not null default ''; -- keep tech: what else`)
	for range 2 {
		if err := db.Migrate(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	want(t, db, "a")
	if err := db.Read(t.Context(), func(tx *store.Tx) error { var s string; return tx.Row(`select note from line`).Scan(&s) }); err != nil {
		t.Errorf("the second step: %v", err)
	}
	if err := db.Migrate(t.Context(), lines()); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a program older than its store: got %v, want a refusal", err)
	}
}

func TestMigrateDoesAllOrNothing(t *testing.T) {
	db := open(t)
	good := store.Schema{Name: "good", Steps: []string{"create table good (\n  name text not null -- keep tech: which\n);"}}
	bad := store.Schema{Name: "bad", Steps: []string{"create table bad (\n  name text not null -- keep tech: which\n);", "create tabel worse;"}}
	if err := db.Migrate(t.Context(), good, bad); err == nil || !strings.Contains(err.Error(), "schema bad step 2") {
		t.Fatalf("got %v, want the step that failed", err)
	}
	if err := db.Read(t.Context(), func(tx *store.Tx) error { var n int; return tx.Row(`select count(*) from good`).Scan(&n) }); err == nil {
		t.Error("half of a migration stays")
	}
	if err := db.Migrate(t.Context(), good); err != nil {
		t.Error(err)
	}
}

func TestTwoDesksMigrateAtOnce(t *testing.T) {
	url := storetest.URL(t)
	a, b := storetest.OpenAt(t, url, clock.NewFake(start)), storetest.OpenAt(t, url, clock.NewFake(start))
	var all sync.WaitGroup
	for _, db := range []*store.DB{a, b, a, b} {
		all.Go(func() {
			if err := db.Migrate(t.Context(), lines()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want(t, a)
}

func TestCheckSQLRefusesWhatDoesNotRunAlikeOrHasNoRetention(t *testing.T) {
	for step, word := range map[string]string{
		"create table a (\n  x text not null, -- keep tech: what it is\n  y bigint -- keep log: when\n);": "",
		"create table a (\n  x text primary key,\n  y bigint -- keep log: when\n);":                       "column x has no retention class",
		"create table a (x text primary key, y bigint); -- keep tech: both":                               "one column a line",
		"create table a (x text primary key); -- keep tech: the one":                                      "one column a line",
		"create table a ( -- keep tech: the table\n  x text, y text -- keep tech: two\n);":                "one column a line",
		"create table a (\n  x text -- keep forever: it is nice\n);":                                      `class "forever" is not known`,
		"create table a (\n  x text -- keep tech:\n);":                                                    "no retention class",
		"create table a (\n  x text -- keep tech: \n);":                                                   "no retention class",
		"alter table a add column y text not null default '';":                                            "column y has no retention class",
		"create table a (\n  x timestamptz -- keep tech: when\n);":                                        "timestamp",
		"create table a (\n  x jsonb -- keep tech: what\n);":                                              "jsonb",
		"create table a (\n  x blob, -- keep tech: what\n);":                                              "blob",
		"create table a (\n  id serial primary key -- keep tech: name\n);":                                "serial",
		"create table a (\n  id integer primary key autoincrement -- keep tech: name\n);":                 "integer",
		"create table a (\n  x varchar(20) -- keep tech: what\n);":                                        "varchar",
		"create table a (\n  x float -- keep tech: what\n);":                                              "no type that both engines have",
		"create table a (\n  x -- keep tech: what\n);":                                                    "no type that both engines have",
		"update a set at=now();":                          "now(",
		"delete from a where at < $1 - interval '1 day';": "interval",
		"select x::text from a;":                          "::",
		"select x from a where id=$1 for update;":         "for update",
		"select datetime('now');":                         "datetime(",
		"create index a_x on a(x);":                       "",
		"create unique index a_x on a(x) where y>0;":      "",
		"create table a (\n  x text, -- keep tech: what\n  unique (x),\n  check (x <> '')\n);": "",
	} {
		err := store.CheckSQL(step)
		if (err == nil) != (word == "") || err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%s\n\tgot %v, want %q", step, err, word)
		}
	}
}

func TestTheStoreIsForItsOwnerAlone(t *testing.T) {
	sqliteOnly(t)
	path := filepath.Join(t.TempDir(), "100% ours?", "desk #1", "store.db")
	db := storetest.OpenAt(t, path, clock.NewFake(start), lines())
	if err := db.Write(t.Context(), store.Decision, add("a")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		st, err := os.Stat(path + suffix)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("store.db%s: %v %v, want 0600", suffix, st.Mode(), err)
		}
	}
}

func TestACopyOfTheStoreIsWhole(t *testing.T) {
	sqliteOnly(t)
	db := open(t)
	if err := db.Write(t.Context(), store.Decision, add("a")); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "it's a copy.db")
	if err := db.VacuumInto(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(to); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v %v, want 0600", st.Mode(), err)
	}
	if err := db.VacuumInto(t.Context(), to); err == nil {
		t.Error("a copy was written over another file")
	}
	want(t, storetest.OpenAt(t, to, clock.NewFake(start), lines()), "a")
}

func TestAPasswordIsNeverInTheConfigurationOrAnError(t *testing.T) {
	with := store.Config{URL: "postgres://desk:hunter2@db.example/bolwerk"}
	if err := with.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want a refusal without the password", err)
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("hun/ter:2@%\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Config{URL: "postgres://desk@127.0.0.1:1/bolwerk", PasswordFile: secret}, clock.NewFake(start))
	if err == nil || strings.Contains(err.Error(), "hun") {
		t.Errorf("got %v, want an error without the password", err)
	}
}
