package shield

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
)

const goodKit = "title: Heron kit\ntags: [kit]\ndetection:\n  a:\n    html|contains: heron-token-77\n  condition: a\n"

func pageAt(at, page string) *capture.Bundle {
	b := &capture.Bundle{Capture: capture.Capture{V: 1, URL: at, Profile: capture.Desktop, At: start, Hops: []capture.Hop{{URL: at, Status: 200}}}}
	b.Put(capture.Part{Kind: capture.HTML, URL: at, Status: 200}, []byte(page))
	return b
}

func TestKitRules_of_the_operator_are_loaded_and_read_again(t *testing.T) {
	s := newShield(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("heron.yml", goodKit)
	write("bad.yml", "title: no detection\n")
	s.guard.cfg.KitRules = dir
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	rules := s.guard.rules()
	_, hits, all := rules.look(pageAt("https://x.example/", "<p>heron-token-77"))
	if len(hits) != 1 || hits[0].ID() != "kit_rules/heron" || all[len(all)-1].Family != judge.FamilyKit || all[len(all)-1].ListVersion != rules.versions[kitRules] {
		t.Errorf("got %v, %v", hits, all)
	}
	var state, why string
	row := func() {
		t.Helper()
		if err := s.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`select state,why from shield_list where name=$1`, kitRules).Scan(&state, &why)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if row(); state != "loaded" || !strings.Contains(why, "bad.yml") {
		t.Errorf("got %s: %q", state, why)
	}
	if got := s.guard.cfg.Warnings(); !strings.Contains(strings.Join(got, "\n"), "shield.kit_rules: bad.yml: it has no detection: the rule is left out") {
		t.Errorf("check does not name the rule: %q", got)
	}
	// A folder that is gone leaves the rules as they were, and says so.
	before := folderStamp(dir)
	write("heron.yml", goodKit+"# more\n")
	if folderStamp(dir) == before {
		t.Error("a changed file is not seen")
	}
	s.guard.cfg.KitRules = dir + "-gone"
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, hits, _ := s.guard.rules().look(pageAt("https://x.example/", "<p>heron-token-77")); len(hits) != 1 {
		t.Errorf("got %v", hits)
	}
	if row(); state != "failed" {
		t.Errorf("got %s", state)
	}
}
