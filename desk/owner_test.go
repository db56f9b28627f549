package desk_test

import (
	"errors"
	"slices"
	"testing"

	"bolwerk"
	"bolwerk/internal/account"
)

// Somebody of a bank is invited by one administrator and sees nothing until a
// second has approved for which brands it answers. It is a viewer at no moment.
func TestABrandOwnerTakesTwoAdministrators(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	p.OfBrands([]string{"Anchor Bank", "Gull Post", "Mooring ID"})
	ilse, omar := p.in("ilse"), p.in("omar")
	if _, _, err := p.InviteOwner(ctx, ilse.Actor(), "bea", []string{"Nobody's Bank"}); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a brand that is not protected: %v", err)
	}
	code, waits, err := p.InviteOwner(ctx, ilse.Actor(), "bea", []string{"anchor bank"})
	if err != nil || !waits {
		t.Fatalf("got waits %v, %v", waits, err)
	}
	pass, err := p.Accept(ctx, code, password, here)
	if err != nil {
		t.Fatal(err)
	}
	look := func() account.Person {
		t.Helper()
		me, err := p.Session(ctx, pass.Session.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return me
	}
	if me := look(); me.Role != account.BrandOwner || len(me.Brands) != 0 {
		t.Errorf("before the second administrator: %+v", me)
	}
	x := p.open()[0]
	if _, _, err := p.ApproveChange(ctx, ilse, x.ID, x.Digest); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the first one approved it too: %v", err)
	}
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); err != nil {
		t.Fatal(err)
	}
	me := look()
	if !slices.Equal(me.Brands, []string{"Anchor Bank"}) {
		t.Errorf("got %q", me.Brands)
	}
	for _, r := range []account.Right{account.Look, account.Decide, account.Lead, account.Administer, account.Fetch} {
		if me.May(r) {
			t.Errorf("a brand owner has right %d", r)
		}
	}
	if !me.May(account.OwnBrand) || me.MayReport() || me.MayApprove(p.clock.Now()) == nil {
		t.Error("a brand owner sees its brands, reports nothing and approves nothing")
	}
	// Another brand takes two again, fewer hold at once.
	if done, err := p.ProposeBrands(ctx, ilse, "bea", []string{"Anchor Bank", "Gull Post"}, "they merged"); err != nil || done {
		t.Fatalf("got %v %v", done, err)
	}
	x = p.open()[0]
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); err != nil || !slices.Equal(look().Brands, []string{"Anchor Bank", "Gull Post"}) {
		t.Fatalf("got %v, %q", err, look().Brands)
	}
	if done, err := p.ProposeBrands(ctx, ilse, "bea", []string{"Gull Post"}, "they split"); err != nil || !done || !slices.Equal(look().Brands, []string{"Gull Post"}) {
		t.Errorf("got %v %v, %q", done, err, look().Brands)
	}
	// None of our own people becomes one, and it becomes one of us by two only.
	if err := p.SetBrands(ctx, bolwerk.Socket(), "anna", []string{"Gull Post"}, "why not"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("an analyst: %v", err)
	}
	if done, err := p.ProposeRole(ctx, ilse, "bea", account.Viewer, "hired"); err != nil || done {
		t.Fatalf("got %v %v", done, err)
	}
	x = p.open()[0]
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); err != nil || len(look().Brands) != 0 || look().Role != account.Viewer {
		t.Errorf("got %v, %+v", err, look())
	}
}

// A brand owner's token may do what it may, and no token of others may.
func TestABrandOwnersToken(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	p.OfBrands([]string{"Anchor Bank"})
	if _, _, err := p.InviteOwner(ctx, bolwerk.Socket(), "bea", []string{"Anchor Bank"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		login string
		scope account.Scope
		ok    bool
	}{{"bea", account.BrandScope, true}, {"bea", account.Read, false}, {"bea", account.Feed, false}, {"bea", account.Report, false}, {"bea", account.DecideScope, false}, {"bea", account.Administrate, false},
		{"anna", account.BrandScope, false}, {"anna", account.Report, true}} {
		_, _, err := p.CreateToken(ctx, bolwerk.Socket(), account.NewAPIToken{Login: c.login, Name: "x", Scopes: []account.Scope{c.scope}, Days: 1})
		if (err == nil) != c.ok {
			t.Errorf("%s with %s: %v", c.login, c.scope, err)
		}
	}
}
