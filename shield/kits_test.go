package shield

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
	"bolwerk/shield/seen"
)

const goodKit = "title: Heron kit\ntags: [kit]\ndetection:\n  a:\n    html|contains: heron-token-77\n  condition: a\n"

func pageAt(at, page string) *capture.Bundle {
	b := &capture.Bundle{Capture: capture.Capture{V: 1, URL: at, Profile: capture.Desktop, At: start, Hops: []capture.Hop{{URL: at, Status: 200}}}}
	b.Put(capture.Part{Kind: capture.HTML, URL: at, Status: 200}, []byte(page))
	return b
}

// look has a reader child tell what a capture shows, as it is done with one that a
// probe handed in.
func (s *testShield) look(b *capture.Bundle) seen.Seen {
	s.t.Helper()
	raw, err := b.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.readCapture(s.t.Context(), raw)
	if err != nil || out.Wrong != "" {
		s.t.Fatalf("%v, %s", err, out.Wrong)
	}
	return out
}

// TestKitRules_of_the_operator_know_what_a_probe_saw: a rule in the folder is
// evidence on the case of the page, and a rule that comes later knows the page when
// the case is judged again out of its captures.
func TestKitRules_of_the_operator_know_what_a_probe_saw(t *testing.T) {
	s := newShield(t)
	dir := t.TempDir()
	file := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.guard.cfg.KitRules = dir
	file("heron.yml", goodKit)
	const at = "https://secure-login7.example/pas"
	s.report(lure("Card", at))
	task := s.give()[at]
	s.handIn(task, answered(at, 200), "<p>heron-token-77 other-token-12")
	s.handIn(task, as(answered(at, 200), capture.Phone, bolwerk.FR), "<p>heron-token-77 other-token-12")
	c, err := s.Case(t.Context(), s.caseOf("secure-login7.example"))
	if err != nil || !says(c, "kit_rules/heron") {
		t.Fatalf("%v: %+v", err, c.Evidence)
	}
	file("second.yml", strings.NewReplacer("Heron", "Second", "heron-token-77", "other-token-12").Replace(goodKit))
	r, err := s.Replay(t.Context(), c.ID)
	if err != nil || r.State != "different" || len(r.Pages) != 2 || r.Pages[0].State != "different" || len(r.Changed) == 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	came := 0
	for _, e := range r.Changed {
		if e.How == "came" && e.Is.Reason == "kit_rules/second" {
			came++
		}
	}
	if came != 1 {
		t.Errorf("the new rule says nothing: %+v", r.Changed)
	}
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
	version := s.guard.rules().versions[kitRules]
	seen := s.look(pageAt("https://x.example/", "<p>heron-token-77"))
	if all := seen.Evidence; len(seen.Hits) != 1 || seen.Hits[0].ID() != "kit_rules/heron" || all[len(all)-1].Family != judge.FamilyKit || all[len(all)-1].ListVersion != version {
		t.Errorf("got %v, %v", seen.Hits, all)
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
	if seen := s.look(pageAt("https://x.example/", "<p>heron-token-77")); len(seen.Hits) != 1 {
		t.Errorf("got %v", seen.Hits)
	}
	if row(); state != "failed" {
		t.Errorf("got %s", state)
	}
}
