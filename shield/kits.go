package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bolwerk/internal/store"
	"bolwerk/internal/suffix"
	"bolwerk/shield/judge"
	"bolwerk/shield/kit"
	"bolwerk/shield/seen"
)

// kitRules is how the operator's rules are called among the lists and in evidence.
const kitRules = "kit_rules"

// question is what a reader is asked with each capture: the operator's brands,
// rules for kits and suffix list go along, because it has no files of its own.
func question(brands []judge.Brand, kits *kit.Set, psl *suffix.List) (json.RawMessage, error) {
	return json.Marshal(seen.Ask{Brands: brands, Set: kitRules, Kits: kits.Files(), Suffixes: psl.Text()})
}

// loadKits reads our own rules and those of the operator's folder. A rule that
// cannot be read is left out and named; a folder that cannot be read leaves the
// rules as they were.
func (g *guard) loadKits(ctx context.Context, db *store.DB) {
	if g.cfg.KitRules == "" {
		return
	}
	set, err := kit.LoadFolder(kitRules, g.cfg.KitRules)
	state, why := "loaded", ""
	switch {
	case set == nil:
		state, why = "failed", err.Error()
	case set.Len() == 0:
		state, why = "failed", "the folder has no rule that can be read"
	default:
		g.kits = set
	}
	if err != nil {
		why = err.Error()
		g.log.Error("rules for kits left out", "alarm", true, "folder", g.cfg.KitRules, "err", err)
	}
	err = db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		return recordList(tx, kitRules, g.kits.Version(), g.kits.Len(), state, why[:min(len(why), 2000)])
	})
	if err != nil && ctx.Err() == nil {
		g.log.Error("state of a list not recorded", "list", kitRules, "err", err)
	}
}

// folderStamp changes when a file of a folder does.
func folderStamp(dir string) string {
	if dir == "" {
		return ""
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s\n", e.Name(), fileStamp(filepath.Join(dir, e.Name())))
	}
	return b.String()
}

// kitWarnings names every rule of the folder that cannot be read, for "check".
func (c Config) kitWarnings() (out []string) {
	if c.KitRules == "" {
		return nil
	}
	set, err := kit.LoadFolder(kitRules, c.KitRules)
	var many interface{ Unwrap() []error }
	switch {
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			out = append(out, fmt.Sprintf("shield.kit_rules: %s: the rule is left out", e))
		}
	case err != nil:
		out = append(out, fmt.Sprintf("shield.kit_rules: %s", err))
	case set.Len() == 0:
		out = append(out, fmt.Sprintf("shield.kit_rules: %s has no rule: want files that end in .yml", c.KitRules))
	}
	return out
}
