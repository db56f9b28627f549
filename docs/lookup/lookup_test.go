package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bolwerk/internal/app"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheListsSayWhatTheCodeSays(t *testing.T) {
	for name, page := range pages {
		want, err := page(root(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(filepath.Join(root(t), "docs", "lookup", name))
		if err != nil || string(got) != made+want {
			t.Errorf("docs/lookup/%s is out of date (%v): run make docs and commit it", name, err)
		}
	}
}

// What the database really has is in the list: a column that the reading of the
// migrations missed would have no retention.
func TestEveryColumnOfTheDatabaseHasARetention(t *testing.T) {
	db := storetest.Open(t, clock.New(), app.Schemas()...)
	listed := map[string]bool{"schema_version.name": true, "schema_version.v": true, "schema_version.at": true} // the store's own
	for _, c := range store.Columns(app.Schemas()) {
		if listed[c.Table+"."+c.Name] {
			t.Errorf("%s.%s is listed twice", c.Table, c.Name)
		}
		if store.Keep[c.Class] == "" {
			t.Errorf("%s.%s: class %q is not known", c.Table, c.Name, c.Class)
		}
		listed[c.Table+"."+c.Name] = true
	}
	query := `select m.name, c.name from sqlite_master m, pragma_table_info(m.name) c where m.type='table'`
	if db.Postgres() {
		query = `select table_name, column_name from information_schema.columns where table_schema=current_schema()`
	}
	found := 0
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Each(query, nil, func(scan func(...any) error) error {
			var table, name string
			if err := scan(&table, &name); err != nil {
				return err
			}
			found++
			if !listed[table+"."+name] {
				t.Errorf("column %s.%s is in the database without a retention class", table, name)
			}
			return nil
		})
	})
	if err != nil || found != len(listed) {
		t.Errorf("%d columns in the database, %d listed (%v)", found, len(listed), err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// Every link between the documents leads somewhere, and no document is alone.
func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) {
	dir := root(t)
	linked := map[string]bool{}
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/README.md"} {
		more, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, more...)
	}
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			to := filepath.Join(filepath.Dir(doc), filepath.FromSlash(m[1]))
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", rel(dir, doc), m[1])
			}
			linked[to] = true
		}
	}
	for _, doc := range docs {
		if strings.HasPrefix(rel(dir, doc), "docs/") && !linked[doc] {
			t.Errorf("%s: no other document links to it", rel(dir, doc))
		}
	}
}

var tomlBlock = regexp.MustCompile("(?s)```toml( check)?\n(.*?)```")

// A piece of configuration in a document is one that the program takes.
func TestConfigurationInDocumentsIsTaken(t *testing.T) {
	dir := root(t)
	found, checked := 0, 0
	for _, pattern := range []string{"*.md", "docs/*/*.md", "*/README.md"} {
		docs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range docs {
			b, err := os.ReadFile(doc)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range tomlBlock.FindAllStringSubmatch(string(b), -1) {
				found++
				file := filepath.Join(t.TempDir(), "bolwerk.toml")
				if err := os.WriteFile(file, []byte(m[2]), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := app.Read(file); err != nil {
					t.Errorf("%s: %v\n%s", rel(dir, doc), err, m[2])
				}
				if m[1] == "" {
					continue
				}
				checked++
				var out strings.Builder
				if err := app.Check(file, &out); err != nil {
					t.Errorf("%s: bolwerk check: %v", rel(dir, doc), err)
				}
			}
		}
	}
	if found < 8 || checked < 1 {
		t.Errorf("%d pieces of configuration, %d whole ones", found, checked)
	}
}

func TestTheNoticeNamesEveryModuleOfTheProgram(t *testing.T) {
	notice, err := os.ReadFile(filepath.Join(root(t), "NOTICE"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/bolwerk")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	for _, m := range modules {
		if !strings.Contains(string(notice), m) {
			t.Errorf("the program contains %s: name it and its licence in NOTICE", m)
		}
	}
	if len(modules) < 20 {
		t.Errorf("%d modules", len(modules))
	}
}

func rel(dir, path string) string {
	r, _ := filepath.Rel(dir, path)
	return filepath.ToSlash(r)
}

// groff takes every manual page without a warning.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	if err := man(root(t), dir, "1.2.3", "2026-11-25"); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.[15]"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	for name, want := range map[string]string{"bolwerk.1": `.BR bolwerk\-case (1)`, "bolwerk-case.1": `\-\-reason`, "bolwerk.toml.5": ".BR listen_tls"} {
		if !strings.Contains(read(name), want) {
			t.Errorf("%s has no %q", name, want)
		}
	}
	if _, err := exec.LookPath("groff"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("groff is not installed: test/peers/install.sh installs it")
		}
		t.Skip("groff is not installed: the pages are not read")
	}
	out, err := exec.Command("groff", append([]string{"-man", "-ww", "-z", "-Tutf8", "-Kutf8"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
