package app

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

// exported makes a store with one row of each kind and exports it.
func exported(t *testing.T, personal bool) (Manifest, string) {
	t.Helper()
	cfg := Default()
	cfg.Data = t.TempDir()
	cfg.settle()
	if err := os.MkdirAll(filepath.Join(cfg.Data, "desk"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), cfg.Store, clock.New())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), Schemas()...); err != nil {
		t.Fatal(err)
	}
	v, err := keysOf(cfg, "columns", clock.New())
	if err != nil {
		t.Fatal(err)
	}
	blobs := blob.New(v)
	body, err := blobs.Seal([]byte("a letter of planted@reporter.example"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := v.Kept().Seal("shield.page", []byte("a capture"))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		if err := blobs.Put(tx, body); err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into shield_page(digest,size,month,body_sealed,at) values('d',9,'2026-11',$1,1)`, page); err != nil {
			return err
		}
		_, err := tx.Exec(`insert into desk_case(id,ref,capability,subject,state,outcome,priority,why_first,opened_at,touched_at,closed_at) values('c1','C-1','shield',$1,'waiting','',1,'',2,3,0)`, "a \"quoted\"\nname")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	o := ExportOptions{Dir: dir, Personal: personal, Version: "1.2.3", Begin: func(string, int64) (func(), func()) { return func() {}, func() {} }}
	m, err := Export(context.Background(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Export(context.Background(), cfg, o); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("into the same folder again: %v", err)
	}
	return m, dir
}

func TestAnExportHoldsEveryTableButNobody(t *testing.T) {
	m, dir := exported(t, false)
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil || !strings.Contains(string(b), exportFormat) {
		t.Fatalf("manifest: %v\n%s", err, b)
	}
	seen := map[string]bool{}
	for _, table := range m.Tables {
		seen[table.Name] = true
		for _, c := range table.Columns {
			if slices.Contains(personal, c.Class) || c.Class == "secret" {
				t.Errorf("%s.%s of class %s was exported", table.Name, c.Name, c.Class)
			}
		}
		if len(table.Columns) == 0 {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, table.File))
		if err != nil {
			t.Error(err)
		}
		if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != table.SHA256 || int64(strings.Count(string(file), "\n")) != table.Rows {
			t.Errorf("%s: not what the manifest says", table.File)
		}
		for sc := bufio.NewScanner(strings.NewReader(string(file))); sc.Scan(); {
			row := map[string]any{}
			if err := json.Unmarshal(sc.Bytes(), &row); err != nil || len(row) != len(table.Columns) {
				t.Errorf("%s: %v: %s", table.File, err, sc.Text())
			}
			if table.Name == "shield_page" && row["body_sealed"] != "a capture" {
				t.Errorf("a capture that is nobody's: %v", row)
			}
			if table.Name == "desk_case" && row["subject"] != "a \"quoted\"\nname" {
				t.Errorf("got %v", row)
			}
		}
	}
	for _, c := range store.Columns(Schemas()) {
		if !seen[c.Table] {
			t.Errorf("no table %s", c.Table)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "evidence")); err == nil {
		t.Error("bodies were exported without being asked for")
	}
}

func TestAnExportWithPersonalDataHoldsWhatPeopleSent(t *testing.T) {
	_, dir := exported(t, true)
	all, err := filepath.Glob(filepath.Join(dir, "evidence", "*", "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("evidence %q, %v", all, err)
	}
	if b, err := os.ReadFile(all[0]); err != nil || string(b) != "a letter of planted@reporter.example" {
		t.Errorf("got %q, %v", b, err)
	}
	if st, err := os.Stat(all[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// A sealed column that is new needs a word here: how it is opened, or that it is
// nobody's data.
func TestEverySealedColumnIsKnownToTheExport(t *testing.T) {
	codes := []string{"shield_report.token_sealed"}
	for _, c := range store.Columns(Schemas()) {
		name := c.Table + "." + c.Name
		if strings.HasSuffix(c.Name, "_sealed") && sealedFor[name] == "" && !slices.Contains(codes, name) {
			t.Errorf("%s: say in sealedFor for what it was sealed", name)
		}
	}
}
