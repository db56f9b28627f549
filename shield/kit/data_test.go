package kit

import (
	"os"
	"path/filepath"
	"testing"
)

// iok loads the public rules, where they are.
func iok(t testing.TB) *Set {
	t.Helper()
	dir := os.Getenv("BOLWERK_DATA")
	if dir == "" {
		t.Skip("BOLWERK_DATA is not set: the public rules are not here")
	}
	set, err := LoadFolder("iok", filepath.Join(dir, "iok"))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestEveryPublicRuleLoads(t *testing.T) {
	set := iok(t)
	if set.Len() != 177 {
		t.Errorf("got %d rules, want 177", set.Len())
	}
	kits := 0
	for _, r := range set.Rules() {
		if r.Kit() {
			kits++
		}
	}
	t.Logf("%d rules, %d of them know a kit", set.Len(), kits)
}
