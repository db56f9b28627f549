package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"bolwerk/internal/store/storetest"
	"bolwerk/test/live"
)

func TestMain(m *testing.M) { live.Main(m) }

// One installation of three processes on PostgreSQL: a block, a kill, and a
// database that is brought back to an older day by its own means.
func TestAnInstallationOnPostgreSQL(t *testing.T) {
	dsn := os.Getenv(storetest.Env)
	if dsn == "" {
		t.Skip(storetest.Env + " is not set: make pg starts a PostgreSQL")
	}
	url := storetest.URL(t)
	s := live.Apart(t, "", fmt.Sprintf("[store]\nurl = '%s'\n", url), nil)
	s.Found()
	block := func(name string) string {
		t.Helper()
		id, err := s.Block(name, "block "+name)
		if err != nil {
			t.Fatal(err)
		}
		stands(t, s, name, true)
		return id
	}
	before := block("before.example")
	receipt, err := s.Report("http://reported.example/login")
	if err != nil {
		t.Fatal(err)
	}

	s.Kill("desk")
	s.MustStart("desk")
	if id := block("before.example"); id != before {
		t.Errorf("the same request after a kill made %s, want %s", id, before)
	}
	if err := live.Until(20*time.Second, func() (bool, error) {
		state, err := s.Receipt(receipt)
		return state != "" && state != "received", err
	}); err != nil {
		t.Errorf("the report is not read: %v", err)
	}

	// The older day: before.example is in force, after.example unknown.
	dump := filepath.Join(t.TempDir(), "dump.sql")
	schema := regexp.MustCompile(`t_[a-z0-9]+`).FindString(url)
	tool(t, "pg_dump", "--dbname", dsn, "--schema", schema, "--file", dump)
	if err := s.Withdraw(before, "withdraw"); err != nil {
		t.Fatal(err)
	}
	stands(t, s, "before.example", false)
	block("after.example")
	// The edge has it durably once it answers; the older day comes back.
	if err := s.Stop("desk"); err != nil {
		t.Fatal(err)
	}
	tool(t, "psql", "--dbname", dsn, "--quiet", "-v", "ON_ERROR_STOP=1", "-c", "drop schema "+schema+" cascade", "-f", dump)
	desk := filepath.Join(s.Dir, "desk.toml")
	s.MustRun("restore", "--prepared", "--config", desk)
	s.MustStart("desk")
	if err := live.Until(30*time.Second, func() (bool, error) {
		var r struct{ State string }
		out, err := s.Run("restore", "--show", "--json", "--config", desk)
		if err == nil {
			err = json.Unmarshal([]byte(out), &r)
		}
		return r.State == "held", err
	}); err != nil {
		t.Fatalf("the restore is not reconciled: %v", err)
	}
	stands(t, s, "before.example", false)
	stands(t, s, "after.example", true)
	s.MustRun("restore", "--release", "--config", desk)
	stands(t, s, "before.example", false)
	stands(t, s, "after.example", true)
	s.MustRun("audit", "verify", "--data", s.Data("desk"))
}

// stands waits until the edge blocks a name, or lets it pass.
func stands(t *testing.T, s *live.Site, name string, blocked bool) {
	t.Helper()
	if err := live.Until(30*time.Second, func() (bool, error) {
		got, err := s.Blocked(name)
		return got == blocked, err
	}); err != nil {
		t.Errorf("%s: blocked is not %t: %v", name, blocked, err)
	}
}

// tool runs a program of PostgreSQL's.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(all) == 0 {
		t.Fatalf("%s is not installed (Debian: postgresql-client)", name)
	}
	if out, err := exec.Command(slices.Max(all), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
