package judge

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
)

func TestMay(t *testing.T) {
	// The table of the rights: who may begin what.
	table := map[Action]string{
		Look: "viewer analyst duty_officer admin", Reject: "analyst duty_officer", Withdraw: "analyst duty_officer",
		Confirm: "analyst duty_officer", ConfirmWide: "analyst duty_officer", Exempt: "analyst duty_officer", ExemptWide: "analyst duty_officer",
		EditNever: "analyst duty_officer", Release: "analyst duty_officer", AdoptDomain: "analyst duty_officer", AdoptWide: "analyst duty_officer", Settings: "admin", AssignRole: "admin", "fly": "",
	}
	for a, want := range table {
		for _, r := range []Role{Viewer, Analyst, DutyOfficer, Admin} {
			err := May(person("x", r), a)
			if got := err == nil; got != slices.Contains(strings.Fields(want), string(r)) {
				t.Errorf("%s may %s: %v", r, a, err)
			}
			if err != nil && !errors.Is(err, bolwerk.ErrForbidden) {
				t.Errorf("%s may %s: %v is not of the kind forbidden", r, a, err)
			}
		}
		if May(person("", Admin, DutyOfficer), a) == nil || May(person("x"), a) == nil {
			t.Errorf("nobody may %s", a)
		}
	}
	if !NeedsTwo(ConfirmWide) || !NeedsTwo(EditNever) || !NeedsTwo(AdoptWide) || NeedsTwo(AdoptDomain) || NeedsTwo(Withdraw) || NeedsTwo(Confirm) {
		t.Error("which actions need two people")
	}
}

func TestMayApprove(t *testing.T) {
	anna, olga := person("anna", Analyst), person("olga", DutyOfficer)
	young := person("young", DutyOfficer)
	young.AccountSince = now.Add(-time.Hour)
	founding := young
	founding.Founding = true
	token := person("token", DutyOfficer)
	token.Session = false
	for _, c := range []struct {
		first, second Person
		a             Action
		want          string
	}{
		{anna, olga, EditNever, ""}, {olga, anna, EditNever, ""}, {anna, founding, Release, ""},
		{token, anna, ConfirmWide, ""}, // the first may use a token
		{anna, token, ConfirmWide, "session"},
		{anna, person("bert", Analyst), EditNever, "duty_officer"},
		{olga, olga, ConfirmWide, "same_person"},
		{anna, young, ConfirmWide, "young_account"},
		{anna, person("ad", Admin), ConfirmWide, "second_role"},
		{person("ad", Admin), person("eva", Admin), AssignRole, ""},
		{person("ad", Admin), olga, AssignRole, "second_role"},
	} {
		err := MayApprove(c.first, c.second, c.a, now)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %s then %s: %v, want %q", c.a, c.first.ID, c.second.ID, err, c.want)
		}
	}
}

func TestCheckExemption(t *testing.T) {
	day := now.Add(24 * time.Hour)
	for _, c := range []struct {
		rule   string // the one objection, or empty
		e      Exemption
		second *Person
	}{
		{"", Exemption{d("shop.example"), bolwerk.ScopeRegistrable, day, "appeal"}, nil},
		{"", Exemption{d("shop.example"), bolwerk.ScopeRegistrable, time.Time{}, "appeal"}, new(person("olga", DutyOfficer))},
		{"", Exemption{d("docs.example"), bolwerk.ScopeHost, day, "a feed of an issuer has it"}, nil},
		{"", Exemption{d("shop.github.io"), bolwerk.ScopeSubtree, day, "appeal"}, nil},
		{"exempt_scope", Exemption{d("shop.example"), bolwerk.ScopeHost, day, ""}, nil},
		{"exempt_past", Exemption{d("shop.example"), bolwerk.ScopeHost, now, "appeal"}, nil},
		{"exempt_tenants", Exemption{d("pages.example"), bolwerk.ScopeSubtree, day, "appeal"}, nil},
		{"exempt_tenants", Exemption{d("github.io"), bolwerk.ScopeSubtree, day, "appeal"}, nil},
		{"exempt_tenants", Exemption{d("co.uk"), bolwerk.ScopeSubtree, day, "appeal"}, nil},
		{"exempt_long", Exemption{d("shop.example"), bolwerk.ScopeHost, day.Add(time.Second), "appeal"}, nil},
		{"exempt_long", Exemption{d("shop.example"), bolwerk.ScopeHost, time.Time{}, "appeal"}, nil},
		{"duty_officer", Exemption{d("shop.example"), bolwerk.ScopeHost, time.Time{}, "appeal"}, new(person("bert", Analyst))},
		{"same_person", Exemption{d("shop.example"), bolwerk.ScopeHost, day, "appeal"}, new(person("anna", Analyst))},
	} {
		_, ctx := calm(t)
		if c.second != nil {
			ctx.Second = &Approval{*c.second, "digest"}
		}
		got := CheckExemption(c.e, "digest", ctx)
		if c.rule == "" && len(got) > 0 || c.rule != "" && (len(got) != 1 || got[0].Rule != c.rule) {
			t.Errorf("%+v: %+v, want %q", c.e, got, c.rule)
		}
		ctx.off = map[string]bool{c.rule: true}
		if got := CheckExemption(c.e, "digest", ctx); len(got) > 0 {
			t.Errorf("%+v with only %s off: %+v", c.e, c.rule, got)
		}
	}
}

func TestCheckPublication(t *testing.T) {
	for _, c := range []struct {
		rule   string
		effect Effect
		p      Publication
	}{
		{"", "", Publication{Size: 0, Added: 2000, Serial: 1}}, // the first
		{"", "", Publication{Size: 3, Added: 2, Removed: 2, Serial: 2, Last: 1}},
		{"", "", Publication{Size: 100_000, Added: 9_999, Removed: 19_999, Serial: 2, Last: 1}},
		{"", "", Publication{Size: 1000, Added: 501, Removed: 900, Serial: 2, Last: 1, Released: true}},
		// Guard 15: one that only removes is never held up, not even when all goes.
		{"", "", Publication{Size: 1000, Removed: 1000, Serial: 2, Last: 1, Taken: d("good.example")}},
		{"adds", Hold, Publication{Size: 1000, Added: 501, Serial: 2, Last: 1}},
		{"removes", Hold, Publication{Size: 1000, Added: 1, Removed: 201, Serial: 2, Last: 1}},
		{"serial", Refuse, Publication{Size: 10, Removed: 1, Serial: 1, Last: 1}},
		{"publication_known_good", Refuse, Publication{Size: 10, Added: 1, Serial: 2, Last: 1, Taken: d("good.example"), Released: true}},
	} {
		got := CheckPublication(c.p, DefaultLimits())
		if c.rule == "" && len(got) > 0 || c.rule != "" && (len(got) != 1 || got[0].Rule != c.rule || got[0].Effect != c.effect) {
			t.Errorf("%+v: %+v, want %q", c.p, got, c.rule)
		}
		c.p.off = map[string]bool{c.rule: true}
		if got := CheckPublication(c.p, DefaultLimits()); len(got) > 0 {
			t.Errorf("%+v with only %s off: %+v", c.p, c.rule, got)
		}
	}
	// Guard 15 gives way to nothing: without it this publication would wait.
	p := Publication{Size: 1000, Removed: 1000, Serial: 2, Last: 1, off: map[string]bool{"removal": true}}
	if got := CheckPublication(p, DefaultLimits()); len(got) != 1 || got[0].Rule != "removes" {
		t.Errorf("without guard 15: %+v, want it held", got)
	}
}
