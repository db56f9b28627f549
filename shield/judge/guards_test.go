package judge

import (
	"slices"
	"testing"
	"time"
)

// guardOf is the number of a rule's guard.
func guardOf(rule string) int {
	for _, r := range slices.Concat(technicalRules, decisionRules, machineRules) {
		if r.name == rule {
			return r.guard
		}
	}
	return 7
}

// ablate tells of each rule of a guard what only it refuses: with every rule on it
// is the one objection, with only it off there is none.
func ablate(t *testing.T, guard int) {
	t.Helper()
	found := false
	for _, a := range ablation {
		if guardOf(a.rule) != guard {
			continue
		}
		found = true
		t.Run(a.rule, func(t *testing.T) {
			p, c := calm(t)
			a.change(&p, &c)
			if got := Check(p, c); len(got) != 1 || got[0].Rule != a.rule || got[0].Guard != guard {
				t.Errorf("got %+v, want only %s of guard %d", got, a.rule, guard)
			}
			c.off = map[string]bool{a.rule: true}
			if got := Check(p, c); len(got) > 0 {
				t.Errorf("with only %s off: %+v", a.rule, got)
			}
		})
	}
	if !found {
		t.Errorf("guard %d has no rule", guard)
	}
}

func TestGuard01_never_block(t *testing.T)      { ablate(t, 1) }
func TestGuard02_popularity(t *testing.T)       { ablate(t, 2) }
func TestGuard03_local_popularity(t *testing.T) { ablate(t, 3) }
func TestGuard04_old_domain(t *testing.T)       { ablate(t, 4) }
func TestGuard05_evidence(t *testing.T)         { ablate(t, 5) }
func TestGuard06_report_poisoning(t *testing.T) { ablate(t, 6) }
func TestGuard07_four_eyes(t *testing.T)        { ablate(t, 7) }
func TestGuard08_rate_brake(t *testing.T)       { ablate(t, 8) }
func TestGuard10_canary(t *testing.T)           { ablate(t, 10) }
func TestGuard12_validity(t *testing.T)         { ablate(t, 12) }
func TestGuard16_exemptions(t *testing.T)       { ablate(t, 16) }

// TestGuard04_a_page_that_was_seen: what somebody saw on its page overrules the age
// of the domain.
func TestGuard04_a_page_that_was_seen(t *testing.T) {
	p, c := calm(t)
	machine(&p, &c)
	c.Age = 400 * 24 * time.Hour
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("seen on its page: %+v", got)
	}
	// A tenant is not as old as his platform.
	p, c = calm(t)
	p.Name, c.Age = d("x.shops.example"), 4000*24*time.Hour
	if c.Platforms, _ = NewPlatforms(Platform{Name: d("shops.example"), Kind: TenantSubdomain}); c.Platforms == nil {
		t.Fatal("no platforms")
	}
	if got := Check(p, c); len(got) > 0 {
		t.Errorf("a tenant of an old platform: %+v", got)
	}
}

// TestGuard05_never: what alone never makes a block without a person.
func TestGuard05_never(t *testing.T) {
	ev := func(f Family, s string, tier Tier, w Word) Evidence {
		return Evidence{Family: f, Source: s, Tier: tier, Verdict: w}
	}
	for name, evidence := range map[string][]Evidence{
		"nothing":                         nil,
		"people who report it":            {ev(FamilyCrowd, "reports", 1, Malicious), ev(FamilyCrowd, "others", 1, Malicious)},
		"people and its name":             {ev(FamilyCrowd, "reports", 1, Malicious), ev(FamilyName, "brands", 2, Malicious)},
		"its name and its mail":           {ev(FamilyName, "brands", 2, Malicious), ev(FamilyMessage, "dmarc", 2, Malicious)},
		"two lists":                       {ev(FamilyList, "a", 1, Malicious), ev(FamilyList, "b", 1, Malicious)},
		"a list of tier 2 and its name":   {ev(FamilyList, "a", 2, Malicious), ev(FamilyName, "brands", 2, Malicious)},
		"a visit that failed, its name":   {ev(FamilyContent, "page", 2, Failed), ev(FamilyName, "brands", 2, Malicious)},
		"a page, and context of tier 3":   {ev(FamilyContent, "page", 2, Malicious), ev(FamilyName, "scripts", 3, Suspicious)},
		"a page that is only suspicious":  {ev(FamilyContent, "page", 2, Suspicious), ev(FamilyName, "brands", 2, Malicious)},
		"a page, and a list without data": {ev(FamilyContent, "page", 2, Malicious), ev(FamilyList, "a", 1, NoData)},
	} {
		p, c := calm(t)
		machine(&p, &c)
		c.Evidence = evidence
		if len(Check(p, c)) == 0 {
			t.Errorf("%s: blocked without a person", name)
		}
	}
	for name, evidence := range map[string][]Evidence{
		"a page and its name":             {ev(FamilyContent, "page", 2, Malicious), ev(FamilyName, "brands", 2, Suspicious)},
		"a kit and its mail":              {ev(FamilyKit, "kits", 2, Malicious), ev(FamilyMessage, "dmarc", 2, Malicious)},
		"a list of tier 1 and its name":   {ev(FamilyList, "cert", 1, Malicious), ev(FamilyName, "brands", 2, Suspicious)},
		"a page, a name and many reports": {ev(FamilyContent, "page", 2, Malicious), ev(FamilyName, "brands", 2, Suspicious), ev(FamilyCrowd, "reports", 3, Malicious)},
	} {
		p, c := calm(t)
		machine(&p, &c)
		c.Evidence = evidence
		if got := Check(p, c); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestMachine_leaves_to_people: whatever asks for a second person is never decided
// by a rule.
func TestMachine_leaves_to_people(t *testing.T) {
	for _, a := range ablation {
		if a.effect != NeedsTwoPeople && a.effect != NeedsDutyOfficer || guardOf(a.rule) == 7 && a.rule != "wide" {
			continue
		}
		p, c := calm(t)
		a.change(&p, &c)
		machine(&p, &c)
		if a.rule == "old" {
			continue // the page was seen here; auto_old has the rest
		}
		if len(Check(p, c)) == 0 {
			t.Errorf("%s: a rule decides what asks for two people", a.rule)
		}
	}
}

// TestGuard08_per_source_first: many throw-away names of one hoster, or a list that
// has gone mad, slow down themselves and nobody else.
func TestGuard08_per_source_first(t *testing.T) {
	list := []Evidence{{Family: FamilyList, Source: "cert", Tier: 1, Verdict: Malicious}}
	for _, c := range []struct {
		name     string
		evidence []Evidence
		want     string
	}{
		{"a.evil.example", list, "list:cert"},
		{"a.evil.example", nil, "domain:evil.example"},
		{"b.evil.example", nil, "domain:evil.example"},
		{"evil.example", nil, "suffix:example"},
	} {
		if got := Source(PlaceOf(d(c.name), psl, platforms(t)), c.evidence); got != c.want {
			t.Errorf("%s: source %s, want %s", c.name, got, c.want)
		}
	}
	l := DefaultLimits()
	for _, c := range []struct {
		rate Rate
		want bool
	}{
		{Rate{Total: 299}, false},
		{Rate{Total: 300}, true},
		{Rate{Hour: 19}, false}, // a quiet desk may have a busy hour
		{Rate{Hour: 20}, true},  // and nothing in 14 days is no licence
		{Rate{Hour: 49, Past: []int{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}}, false},
		{Rate{Hour: 50, Past: []int{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}}, true},
		{Rate{Hour: 50, Past: []int{1000, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}}, true}, // one wild day moves no median
	} {
		if got := c.rate.Braked(l); got != c.want {
			t.Errorf("%+v: braked %v, want %v", c.rate, got, c.want)
		}
	}
}

// TestGuard09_delta: what a publication may add and remove, and that one which only
// removes is never asked.
func TestGuard09_delta(t *testing.T) {
	base := Publication{Size: 10_000, Added: 1, Serial: 8, Last: 7}
	for _, c := range []struct {
		rule   string
		change func(*Publication)
	}{
		{"serial", func(p *Publication) { p.Serial = 7 }},
		{"adds", func(p *Publication) { p.Added = 1001 }},
		{"removes", func(p *Publication) { p.Removed = 2001 }},
	} {
		p := base
		c.change(&p)
		if got := CheckPublication(p, DefaultLimits()); len(got) != 1 || got[0].Rule != c.rule || got[0].Guard != 9 {
			t.Errorf("%s: got %+v", c.rule, got)
		}
		p.off = map[string]bool{c.rule: true}
		if got := CheckPublication(p, DefaultLimits()); len(got) > 0 {
			t.Errorf("with only %s off: %+v", c.rule, got)
		}
	}
	for size, added := range map[int]int{10_000: 1000, 100: 500} {
		if got := CheckPublication(Publication{Size: size, Added: added, Serial: 8, Last: 7}, DefaultLimits()); len(got) > 0 {
			t.Errorf("%d added to %d: %+v", added, size, got)
		}
	}
}

// TestGuard15_removals_go: a publication that only removes passes guards 9 and 10,
// and none of the rules of rate or delta is asked.
func TestGuard15_removals_go(t *testing.T) {
	p := Publication{Size: 10_000, Removed: 10_000, Serial: 8, Last: 7, Taken: d("good.example")}
	if got := CheckPublication(p, DefaultLimits()); len(got) > 0 {
		t.Errorf("everything is withdrawn: %+v", got)
	}
	p.off = map[string]bool{"removal": true}
	if got := CheckPublication(p, DefaultLimits()); len(got) == 0 {
		t.Error("with only removal off nothing refuses: the rule is not what lets it pass")
	}
}

func TestGuard11_tripwire(t *testing.T) {
	l := DefaultLimits()
	for name, c := range map[string]struct {
		trip Trip
		want Tripped
	}{
		"two edges, used before":       {Trip{Before: 51, Hits: []int64{1501, 500}}, TripSuspend},
		"one edge":                     {Trip{Before: 51, Hits: []int64{100_000}}, TripAlert},
		"one edge, a few at another":   {Trip{Before: 51, Hits: []int64{100_000, 499}}, TripAlert},
		"a fresh name":                 {Trip{Before: 50, Hits: []int64{100_000, 100_000}}, TripAlert},
		"few hits":                     {Trip{Before: 51, Hits: []int64{1500, 500}}, TripNone},
		"a person has confirmed it":    {Trip{Human: true, Before: 51, Hits: []int64{100_000, 100_000}}, TripNone},
		"an authority has ordered it":  {Trip{Order: true, Before: 51, Hits: []int64{100_000, 100_000}}, TripNone},
		"three edges, the first small": {Trip{Before: 51, Hits: []int64{1, 1000, 1000}}, TripSuspend},
	} {
		if got := Tripwire(c.trip, l); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestGuard13_recheck(t *testing.T) {
	if NextLook(0) != time.Hour || NextLook(1) != 6*time.Hour || NextLook(2) != 24*time.Hour || NextLook(40) != 24*time.Hour {
		t.Error("an hour, six hours, a day, then daily")
	}
	at := func(hours int, live Live, profiles int) Sight {
		return Sight{At: now.Add(time.Duration(hours) * time.Hour), Live: live, Profiles: profiles}
	}
	l := DefaultLimits()
	for name, c := range map[string]struct {
		sights []Sight
		hits   int64
		want   bool
	}{
		"three over 48 hours":      {[]Sight{at(0, LiveOnline, 2), at(1, LiveOffline, 2), at(25, LiveParked, 2), at(49, LiveBenign, 2)}, 4, true},
		"47 hours":                 {[]Sight{at(1, LiveOffline, 2), at(25, LiveOffline, 2), at(48, LiveOffline, 2)}, 0, false},
		"two looks":                {[]Sight{at(0, LiveOffline, 2), at(60, LiveOffline, 2)}, 0, false},
		"still visited":            {[]Sight{at(1, LiveOffline, 2), at(25, LiveOffline, 2), at(49, LiveOffline, 2)}, 5, false},
		"one visitor only":         {[]Sight{at(1, LiveOffline, 1), at(25, LiveOffline, 1), at(49, LiveOffline, 1)}, 0, false},
		"it hid once":              {[]Sight{at(1, LiveOffline, 2), at(25, LiveCloaked, 2), at(49, LiveOffline, 2), at(73, LiveOffline, 2)}, 0, false},
		"it hides":                 {[]Sight{at(1, LiveCloaked, 2), at(25, LiveCloaked, 2), at(49, LiveCloaked, 2)}, 0, false},
		"nobody could look":        {[]Sight{at(1, LiveUnseen, 2), at(25, LiveUnseen, 2), at(49, LiveUnseen, 2)}, 0, false},
		"came back at the end":     {[]Sight{at(1, LiveOffline, 2), at(25, LiveOffline, 2), at(49, LiveOffline, 2), at(73, LiveOnline, 2)}, 0, false},
		"nothing was looked at":    {nil, 0, false},
		"three more after it hid":  {[]Sight{at(0, LiveCloaked, 2), at(1, LiveOffline, 2), at(25, LiveOffline, 2), at(50, LiveOffline, 2)}, 0, true},
		"long ago and never since": {[]Sight{at(0, LiveOffline, 2), at(1, LiveOffline, 2), at(2, LiveOffline, 2)}, 0, false},
	} {
		if got := Quiet(c.sights, c.hits, l); got != c.want {
			t.Errorf("%s: quiet %v, want %v", name, got, c.want)
		}
	}
	same := Sight{Live: LiveOnline, Hash: "abc"}
	if !Rearm("abc", same) || Rearm("abd", same) || Rearm("", Sight{Live: LiveOnline}) || Rearm("abc", Sight{Live: LiveParked, Hash: "abc"}) {
		t.Error("only what is back as it was is blocked again at once")
	}
}

// TestGuard12_extension: only live evidence extends, only where people still come,
// and never beyond the cap.
func TestGuard12_extension(t *testing.T) {
	l := DefaultLimits()
	live := []Sight{{At: now.Add(-time.Hour), Live: LiveOnline, Profiles: 2}}
	since := now.AddDate(0, 0, -10)
	if got := Renewal(live, 5, ForMachine, since, now, l); !got.Equal(now.Add(ForMachine)) {
		t.Errorf("live and visited: %s", got)
	}
	for name, got := range map[string]time.Time{
		"nobody comes":            Renewal(live, 4, ForMachine, since, now, l),
		"nobody looked":           Renewal(nil, 100, ForMachine, since, now, l),
		"it hides":                Renewal([]Sight{{At: now.Add(-time.Hour), Live: LiveCloaked, Profiles: 2}}, 100, ForMachine, since, now, l),
		"seen a day ago":          Renewal([]Sight{{At: now.Add(-24 * time.Hour), Live: LiveOnline, Profiles: 2}}, 100, ForMachine, since, now, l),
		"gone since":              Renewal([]Sight{live[0], {At: now, Live: LiveOffline, Profiles: 2}}, 100, ForMachine, since, now, l),
		"half a year is over":     Renewal(live, 100, ForMachine, now.AddDate(0, 0, -180), now, l),
		"the cap in half an hour": Renewal(live, 100, ForMachine, now.Add(-l.Cap+30*time.Minute), now, l),
	} {
		if !got.IsZero() {
			t.Errorf("%s: extended to %s", name, got)
		}
	}
	if got, want := Renewal(live, 100, ForPerson, now.Add(-l.Cap+time.Hour), now, l), now.Add(time.Hour); !got.Equal(want) {
		t.Errorf("near the cap: %s, want %s", got, want)
	}
}

// TestGuard14_no_evidence: what an appeal against an automatic block is suspended
// on. A page that hides from us is never "nothing there".
func TestGuard14_no_evidence(t *testing.T) {
	for live, want := range map[Live]bool{LiveOffline: true, LiveParked: true, LiveBenign: true, LiveOnline: false, LiveCloaked: false, LiveUnseen: false} {
		if got := NoEvidence([]Sight{{At: now, Live: live, Profiles: 2}}, now); got != want {
			t.Errorf("%s: %v, want %v", live, got, want)
		}
	}
	if NoEvidence([]Sight{{At: now, Live: LiveOffline, Profiles: 1}}, now) || NoEvidence(nil, now) ||
		NoEvidence([]Sight{{At: now.Add(-time.Minute), Live: LiveOffline, Profiles: 2}}, now) {
		t.Error("one visitor, nobody, or a look from before the appeal is not enough")
	}
}

// TestGuard10_candidate: the candidate publication is tried on every name of the
// known-good set, and one that it takes is enough.
func TestGuard10_candidate(t *testing.T) {
	p := Publication{Size: 10, Added: 1, Serial: 2, Last: 1, Taken: d("good.example")}
	if got := CheckPublication(p, DefaultLimits()); len(got) != 1 || got[0].Rule != "publication_known_good" {
		t.Errorf("got %+v", got)
	}
	p.off = map[string]bool{"publication_known_good": true}
	if got := CheckPublication(p, DefaultLimits()); len(got) > 0 {
		t.Errorf("with only publication_known_good off: %+v", got)
	}
}
