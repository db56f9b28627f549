package edge

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"bolwerk"
	copies "bolwerk/internal/copy"
)

// again is the edge after a restart, before the copy has come.
func again(t *testing.T, e *Edge) *Edge {
	t.Helper()
	n, err := New(e.cfg, e.dir, 2, e.clock, e.handIn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func remove(e *Edge, id string) error {
	return e.Apply(copies.Head{Epoch: 1, Serial: 9}, []copies.Entry{{ID: id, Version: 2, Removed: true}})
}

// An edge that starts blocks from its first question what it blocked before it
// ended, with the same reference and terms, and nothing that was withdrawn.
func TestRecall(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e,
		rule("B-2026-000001", "one.example", nil),
		rule("B-2026-000002", "two.example", func(r *Rule) { r.Ground, r.By, r.Scope = ByOrder, "court", bolwerk.ScopeSubtree }),
		rule("E-2026-000001", "ok.two.example", func(r *Rule) { r.Pass = true }))
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 6}, []copies.Entry{rule("X-3", "three.example", nil).Entry("id9", 1)}); err != nil {
		t.Fatal(err)
	}
	if err := remove(e, "id0"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second restart before the copy came changes nothing
		want := e
		e = again(t, e)
		for name, b := range map[string]bool{"one.example": false, "two.example": true, "a.two.example": true, "ok.two.example": false, "three.example": true} {
			if got := blocked(e, name); got != b {
				t.Errorf("%s: blocked %v after the restart, want %v", name, got, b)
			}
			x, y := e.Explain(bolwerk.MustDomain(name)), want.Explain(bolwerk.MustDomain(name))
			if (x.Rule == nil) != (y.Rule == nil) || x.Rule != nil && *x.Rule != *y.Rule {
				t.Errorf("%s: got %+v, want %+v", name, x.Rule, y.Rule)
			}
		}
	}
	reset(t, e, rule("B-2026-000004", "four.example", nil))
	if e = again(t, e); blocked(e, "two.example") || !blocked(e, "four.example") {
		t.Error("the last copy does not serve after a restart")
	}
}

// The end of the changes is torn by a crash: what is whole before it counts.
func TestRecall_torn_changes(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "one.example", nil), rule("B-2", "two.example", nil))
	if err := remove(e, "id0"); err != nil {
		t.Fatal(err)
	}
	whole := e.recall.size
	if err := remove(e, "id1"); err != nil {
		t.Fatal(err)
	}
	path := e.recall.path(e.recall.number, "changes")
	for size := e.recall.size - 1; size >= whole; size-- {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if n := again(t, e); blocked(n, "one.example") || !blocked(n, "two.example") {
			t.Fatalf("cut at %d: the whole change is lost, or half a change counts", size)
		}
	}
}

// A withdrawal that cannot be written down takes the snapshot with it.
func TestRecall_forgets_what_it_cannot_keep(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "one.example", nil))
	e.recall.changes.Close() // as a disk that fails
	if err := remove(e, "id0"); err != nil {
		t.Fatal(err)
	}
	if blocked(e, "one.example") || blocked(again(t, e), "one.example") {
		t.Error("a withdrawn name is blocked")
	}
	if left, _ := filepath.Glob(filepath.Join(e.dir, recallName+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A snapshot that is damaged, or was another's, serves nothing and stops nobody.
func TestRecall_damaged(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "one.example", nil))
	path := e.recall.path(e.recall.number, "snapshot")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 5, len(b) / 2, len(b) - 1} {
		if err := os.WriteFile(path, b[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if n := again(t, e); blocked(n, "one.example") || n.Rules() != 0 {
			t.Errorf("a cut snapshot serves %d names", n.Rules())
		}
	}
}
