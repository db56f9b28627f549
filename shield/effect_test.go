package shield

import (
	"testing"

	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/lists"
)

// TestWhatABlockWouldTake: before anybody confirms, each scope says exactly how many
// popular and known-good names it would take, and how much it was asked for; what
// nobody knows is said to be not known, never none.
func TestWhatABlockWouldTake(t *testing.T) {
	c := newConsole(t)
	name := "login.anchorbank-many.example"
	c.report(lure("Your card is stopped", "https://"+name+"/in"))
	page := "/case/" + c.caseOf(name)
	wantText(t, c.get(c.anna, page), "Catches – popular names: 0.", "No list of known-good names is loaded. Questions before the first report: not known.")

	c.file("popular.txt", "busy.example\nanchorbank-many.example\nwww.anchorbank-many.example\nshop.anchorbank-many.example\nanother-anchorbank-many.example\n")
	c.file("good.txt", "shop.anchorbank-many.example\npay.shop.anchorbank-many.example\ngood.example\n")
	c.cfg.Lists = append(c.cfg.Lists, ListConfig{Source: lists.Source{Name: "good", Kind: lists.KnownGood, Format: lists.Plain}, File: c.dir + "/good.txt"})
	c.guard.cfg.Lists = c.cfg.Lists
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.asks("edge1", "mail.anchorbank-many.example", 3, 400)
	c.asks("edge2", name, 2, 17)
	said := c.get(c.anna, page)
	wantText(t, said,
		"Catches – popular names: 0; known-good names: 0; questions in the 14 days before the first report: 34.",
		"popular names: 3; known-good names: 2; questions in the 14 days before the first report: 1,234; other names asked for: 2. Also caught: pay.shop.anchorbank-many.example (known good), shop.anchorbank-many.example (known good), www.anchorbank-many.example (popular), mail.anchorbank-many.example (asked for), login.anchorbank-many.example (asked for).")

	// A program that only asks is told the same.
	who := Decider(c.person("otto", account.DutyOfficer))
	out, err := c.Confirm(t.Context(), who, Confirm{Case: c.caseOf(name), Reason: "a copy", Dry: true})
	if err != nil || out.State != "would_wait" || out.Effect == nil || *out.Effect.Popular != 0 || *out.Effect.KnownGood != 0 || out.Effect.Asked.Queries != 34 {
		t.Errorf("%v: %+v", err, out)
	}
	c.read(func(tx *store.Tx) error {
		var n int
		err := tx.Row(`select count(*) from shield_block`).Scan(&n)
		if n != 0 {
			t.Errorf("%d blocks of looking", n)
		}
		return err
	})
}
