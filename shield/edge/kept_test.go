package edge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk"
)

// A kept page shows every visitor his own: the name that he typed, his language,
// his ticket.
func TestKept_pages_are_each_visitors_own(t *testing.T) {
	e, _, _ := testEdge(t, withRelease)
	reset(t, e, rule("B-2026-000150", "shop.example", func(r *Rule) {
		r.Until, r.Class, r.Suspicious, r.Scope = time.Time{}, "fake_shop", true, bolwerk.ScopeSubtree
	}), rule("B-2026-000151", "other.example", func(r *Rule) { r.Until = time.Time{} }))
	for range 2 {
		for _, name := range []string{"a.shop.example", "b.shop.example", "xn--bcher-kva.shop.example", "xn--mller-kva.shop.example", "other.example"} {
			body := get(e, name, "/?lang=en").Body.String()
			if !strings.Contains(body, name) || strings.Count(body, `class="host">`) > 2 || name != "other.example" && strings.Contains(body, "B-2026-000151") {
				t.Errorf("%s: got %s", name, body)
			}
			for _, m := range e.page.kept.marks {
				if strings.Contains(body, m) {
					t.Errorf("%s: a hole is left open", name)
				}
			}
		}
		if a, b := ticketOn(getFrom(e, home, "a.shop.example").Body.String()), ticketOn(getFrom(e, neighbour, "a.shop.example").Body.String()); a == b || a == "" || b == "" {
			t.Errorf("tickets %q and %q", a, b)
		}
		if ticketOn(getFrom(e, away, "a.shop.example").Body.String()) != "" {
			t.Error("a ticket of another line")
		}
	}
}

func TestKept_pages_are_bounded(t *testing.T) {
	e, _, _ := testEdge(t)
	var all []Rule
	for i := range maxKept + 100 {
		all = append(all, rule(fmt.Sprintf("B-2026-%06d", i), fmt.Sprintf("n%d.example", i), nil))
	}
	reset(t, e, all...)
	for i := range all {
		if body := get(e, fmt.Sprintf("n%d.example", i), "/").Body.String(); !strings.Contains(body, fmt.Sprintf("B-2026-%06d", i)) {
			t.Fatalf("%d: another block's page", i)
		}
	}
	if n := len(e.page.kept.pages); n > maxKept {
		t.Errorf("%d are kept, at most %d", n, maxKept)
	}
}
