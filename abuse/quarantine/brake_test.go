package quarantine

import (
	"strconv"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Each guard refuses what it is for, and what it refuses passes when only it is off.
func TestEachGuard(t *testing.T) {
	good := Facts{Now: noon, Mode: "on", Automatic: true, Profile: enforce.Leaky, Until: noon.Add(14 * 24 * time.Hour), MaxDays: 30, Why: why, CaseOpen: true, Who: session.Identity{Subscriber: "anna"},
		One: true, Solid: 1, Today: 5, LastHour: 1, Median: 4, Staffed: true, Brake: DefaultConfig().Brake, NAS: []string{"bng1"}, Proved: true}
	if said := Check(good); len(said) > 0 {
		t.Fatalf("what nothing speaks against is refused: %+v", said)
	}
	strict := func(f *Facts) {
		f.Automatic, f.Second, f.Profile, f.Why.Legal = false, true, enforce.Strict, "decision 2026/14"
	}
	bad := map[string][]func(*Facts){
		"mode":       {func(f *Facts) { f.Mode = "off" }},
		"case":       {func(f *Facts) { f.CaseOpen = false }},
		"already":    {func(f *Facts) { f.Already = true }},
		"other":      {func(f *Facts) { f.Other = true }, func(f *Facts) { f.Automatic, f.Other = false, true }},
		"named":      {func(f *Facts) { f.Who.Subscriber = "" }},
		"lease":      {func(f *Facts) { f.Leased = true }, func(f *Facts) { f.Automatic, f.Leased = false, true }},
		"never":      {func(f *Facts) { f.Listed = true }, func(f *Facts) { f.Flags.Never = true }, func(f *Facts) { f.Automatic, f.Listed = false, true }},
		"reseller":   {func(f *Facts) { f.Who.Reseller = true }, func(f *Facts) { f.Flags.Reseller = true }},
		"vulnerable": {func(f *Facts) { f.Flags.Vulnerable = true }, func(f *Facts) { strict(f); f.Flags.Vulnerable = true }},
		"business":   {func(f *Facts) { f.Flags.Business = true }, func(f *Facts) { strict(f); f.Flags.Business = true }},
		"profile":    {func(f *Facts) { f.Profile = enforce.Normal }},
		"until":      {func(f *Facts) { f.Until = noon }, func(f *Facts) { f.Until = time.Time{} }, func(f *Facts) { f.Until = noon.Add(31 * 24 * time.Hour) }},
		"why":        {func(f *Facts) { f.Why.Threat = "" }, func(f *Facts) { f.Why.Necessity = "" }, func(f *Facts) { f.Why.Proportion = "" }, func(f *Facts) { f.Why.Legal = "" }},
		"ground":     {func(f *Facts) { strict(f); f.Why.Legal = DefaultLegal }, func(f *Facts) { strict(f); f.Automatic = true }},
		"one":        {func(f *Facts) { f.One = false }},
		"solid":      {func(f *Facts) { f.Solid = 0 }},
		"second":     {func(f *Facts) { strict(f); f.Second = false }},
		"rate":       {func(f *Facts) { f.Today = 20 }, func(f *Facts) { f.Today, f.Median = 300, 100 }},
		"budget":     {func(f *Facts) { f.LastHour = 60 }, func(f *Facts) { f.LastHour, f.Staffed = 10, false }},
		"canary":     {func(f *Facts) { f.Proved = false }},
		"clock":      {func(f *Facts) { f.Suspect = true }},
		"restore":    {func(f *Facts) { f.Restoring = true }, func(f *Facts) { f.Automatic, f.Restoring = false, true }},
	}
	for _, g := range Guards() {
		if len(bad[g.Name]) == 0 {
			t.Errorf("guard %s is not tried", g.Name)
		}
		for i, change := range bad[g.Name] {
			f := good
			change(&f)
			said := Check(f)
			if len(said) != 1 || said[0].Guard != g.Name || said[0].Wait != g.Wait {
				t.Errorf("%s %d: refused by %+v", g.Name, i, said)
			}
			if said := Check(f, g.Name); len(said) != 0 {
				t.Errorf("%s %d: refused without it, too: %+v", g.Name, i, said)
			}
		}
	}
	// A person may do what only rules may not.
	person := good
	person.Automatic, person.One, person.Solid, person.Flags.Vulnerable, person.Flags.Business, person.Today, person.LastHour = false, false, 0, true, true, 9999, 9999
	if said := Check(person); len(said) > 0 {
		t.Errorf("a person may not ask for leaky: %+v", said)
	}
	person.Today, person.Automatic = 59, true // 3 times the median of 20, one less
	person.Flags, person.One, person.Solid, person.LastHour, person.Median = Flags{}, true, 1, 0, 20
	if said := Check(person); len(said) > 0 {
		t.Errorf("a day like others is held back: %+v", said)
	}
}

func TestHelpdeskHours(t *testing.T) {
	b := DefaultConfig().Brake
	for _, c := range []struct {
		at   string
		want bool
	}{{"2026-11-26T08:00", true}, {"2026-11-26T07:59", false}, {"2026-11-26T20:00", false}, {"2026-11-29T12:00", false}} { // a Thursday, a Sunday
		at, _ := time.Parse("2006-01-02T15:04", c.at)
		if b.staffed(at) != c.want {
			t.Errorf("staffed at %s: %v", c.at, !c.want)
		}
	}
	b.Open, b.Close = "", ""
	if !b.staffed(noon) {
		t.Error("a helpdesk without hours is closed")
	}
}

func TestPace(t *testing.T) {
	h := open(t, func(c *Config) { c.Brake.Floor, c.Brake.PerHour = 2, 100 })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.in("anna")
	h.clock.Add(time.Minute)
	h.in("bert")
	q, ok, err := h.ask(nil, h.about("carl"), leaky)
	if err != nil || ok || len(q.Waits) != 1 || q.Waits[0] != "rate" {
		t.Errorf("%v, %v, held back by %v", ok, err, q.Waits)
	}
	if _, ok, err := h.ask(&agent, h.about("dora"), leaky); err != nil || !ok {
		t.Errorf("a person is held back by the rate: %v, %v", ok, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	c := DefaultConfig()
	c.Mode, c.MaxDays, c.Brake.Open, c.Brake.Factor, c.Brake.Days, c.Never = "maybe", 31, "", 0, []string{"holiday"}, []string{""}
	if err := c.Validate(); err == nil {
		t.Error("nothing is wrong with it")
	}
}
