package judge

import (
	"slices"
	"time"

	"bolwerk"
)

// Machine is what the guards look at where a rule decides instead of a person.
type Machine struct {
	Verdict Word
	// Flooded says that very many reports of a name came in one hour (guard 6):
	// somebody may want it gone.
	Flooded bool
	// Rate is how much was decided without a person lately.
	Rate Rate
	// KnownGood is how many names a candidate publication is tried on.
	KnownGood int
}

// MachineLimits are the numbers of the guards for what is decided without a
// person, and of what is measured before it.
type MachineLimits struct {
	Automatic       time.Duration `toml:"automatic"`        // from now to the end of an automatic block
	LocalQueries    int           `toml:"local_queries"`    // a day, of one name, that make it used here
	LocalDays       int           `toml:"local_days"`       // of 14
	CollateralNames int           `toml:"collateral_names"` // other names that a block may take
	FloodReports    int           `toml:"flood_reports"`    // of one name in an hour
	BrakeSource     int           `toml:"brake_source"`     // automatic blocks of one source in ten minutes
	BrakeTotal      int           `toml:"brake_total"`      // of all
	BrakeTimes      float64       `toml:"brake_times"`      // the median of that hour
	BrakeFloor      int           `toml:"brake_floor"`      // in an hour: below it the median is not asked
	KnownGoodMin    int           `toml:"known_good_min"`   // names that a candidate is tried on
	TripBefore      int           `toml:"trip_before"`      // queries a day before the first report
	TripHits        int64         `toml:"trip_hits"`        // in five minutes, at all edges
	TripSecond      int64         `toml:"trip_second"`      // of them at a second edge
	QuietHits       int64         `toml:"quiet_hits"`       // a day, below which a block is quiet
}

func defaultMachineLimits() MachineLimits {
	return MachineLimits{Automatic: ForMachine, LocalQueries: 500, LocalDays: 7, CollateralNames: 20, FloodReports: 20,
		BrakeSource: 100, BrakeTotal: 300, BrakeTimes: 5, BrakeFloor: 20, KnownGoodMin: 1000,
		TripBefore: 50, TripHits: 2000, TripSecond: 500, QuietHits: 5}
}

// ForMachine is how long an automatic block is in force (guard 12).
const ForMachine = 72 * time.Hour

// Asked is how much names were asked for, counted per name and day, never per
// customer.
type Asked struct {
	// Busy counts the days, of the 14 before the first report, on which the name
	// was asked for at least Limits.LocalQueries times.
	Busy int `json:"busy_days"`
	// Before is the median of queries a day before the first report; days without
	// any count as none.
	Before int64 `json:"before_a_day"`
	// Others counts the other names that the block would take and that somebody
	// asked for in those days; Queries are all queries that it would have taken.
	Others  int   `json:"other_names"`
	Queries int64 `json:"queries"`
}

// Against are the families that speak against a name, in their order: what is
// malicious, or suspicious by a source of tier 1 or 2. How many people reported
// it is none of them, nor what the owner of the imitated brand says.
func Against(evidence []Evidence) (families []Family) {
	for _, e := range evidence {
		if e.Family == FamilyCrowd || e.Family == FamilyOwner || e.Verdict != Malicious && (e.Verdict != Suspicious || e.Tier > 2) {
			continue
		}
		if !slices.Contains(families, e.Family) {
			families = append(families, e.Family)
		}
	}
	slices.Sort(families)
	return families
}

// SeenOnPage says that somebody looked: content or kit evidence speaks against
// the name, beside evidence of another family.
func SeenOnPage(evidence []Evidence) bool {
	families := Against(evidence)
	return len(families) >= 2 && (slices.Contains(families, FamilyContent) || slices.Contains(families, FamilyKit))
}

// Basis is the evidence on which a rule may decide: content or kit, or a list of
// tier 1, that says malicious. ok is false without any.
func Basis(evidence []Evidence) (e Evidence, ok bool) {
	for _, e := range evidence {
		if e.Verdict == Malicious && (e.Family == FamilyContent || e.Family == FamilyKit || e.Family == FamilyList && e.Tier == 1) {
			return e, true
		}
	}
	return Evidence{}, false
}

// Source is what an automatic decision goes back to: the list, or else whoever
// gives out the names. Many throw-away names of one hoster, or one list that has
// gone mad, slow down themselves and nobody else.
func Source(p Place, evidence []Evidence) string {
	if e, ok := Basis(evidence); ok && e.Family == FamilyList {
		return "list:" + e.Source
	}
	switch {
	case !p.Tenant.IsZero():
		return "platform:" + p.Platform.Name.String()
	case !p.Registrable.IsZero() && p.Registrable != p.Name:
		return "domain:" + p.Registrable.String()
	}
	return "suffix:" + p.Suffix.String()
}

// machineRules hold for what nobody looked at. All of them leave the case to a
// person: that is what their refusal means.
var machineRules = []rule[given]{
	{5, "auto_verdict", func(g given) *Objection {
		if g.Machine.Verdict != Malicious {
			return object(Refuse, "a person decides", "a rule decides on a malicious verdict only")
		}
		return nil
	}},
	{5, "auto_families", func(g given) *Objection {
		if n := len(Against(g.Evidence)); n < 2 {
			return object(Refuse, "a person decides", "%d independent kinds of evidence speak against it: a rule wants two", n)
		}
		return nil
	}},
	{5, "auto_basis", func(g given) *Objection {
		if _, ok := Basis(g.Evidence); !ok {
			return object(Refuse, "a person looks at the page", "nothing was seen on its page and no list of tier 1 has it")
		}
		return nil
	}},
	{2, "auto_popular", func(g given) *Objection {
		_, www := NamesTaken(g.place, g.Scope)
		d, rank, ok := g.Popular.Best(g.Name, g.Scope, www)
		if owner := g.place.Owner(); !ok && !owner.IsZero() {
			rank, ok = g.Popular.Rank(owner)
			d = owner
		}
		if ok && rank > g.Limits.PopularTwo { // below it guard 2 asks for two people already
			return object(Refuse, "a person decides", "%s is one of the %d most used names", d, rank)
		}
		return nil
	}},
	{4, "auto_old", func(g given) *Objection {
		if g.old() && !SeenOnPage(g.Evidence) {
			return object(Refuse, "a person looks at the page", "%s is %d days old and nothing was seen on its page", g.place.Registrable, days(g.Age))
		}
		return nil
	}},
	{6, "auto_flood", func(g given) *Objection {
		if g.Machine.Flooded {
			return object(Refuse, "a person decides", "so many reports came in one hour that somebody may want it gone")
		}
		return nil
	}},
	{8, "brake_source", func(g given) *Objection {
		if n := g.Machine.Rate.Source; n >= g.Limits.BrakeSource {
			return object(Refuse, "look at the source; its names wait for people meanwhile", "%d names of the same source were blocked in ten minutes", n)
		}
		return nil
	}},
	{8, "brake_total", func(g given) *Objection {
		hint := "look at what was blocked; new names wait for people meanwhile"
		if r := g.Machine.Rate; r.Total >= g.Limits.BrakeTotal {
			return object(Refuse, hint, "%d names were blocked without a person in ten minutes", r.Total)
		} else if r.Braked(g.Limits) {
			return object(Refuse, hint, "%d names were blocked without a person in an hour: many times what is usual at this time", r.Hour).as("brake_hour")
		}
		return nil
	}},
	{10, "auto_known_good", func(g given) *Objection {
		if n := g.Machine.KnownGood; n < g.Limits.KnownGoodMin {
			return object(Refuse, "load a known-good list or a ranked popularity list", "a candidate can be tried on %d known-good names: %d are needed", n, g.Limits.KnownGoodMin)
		}
		return nil
	}},
	{12, "auto_long", func(g given) *Objection {
		if g.Until.Sub(g.Now) > g.Limits.Automatic {
			return object(Refuse, "take a shorter time; a person may confirm it for longer", "without a person a block is for %d hours at most", int(g.Limits.Automatic.Hours()))
		}
		return nil
	}},
}

// Rate is how much was decided without a person before now.
type Rate struct {
	Source int // of the same source in the last ten minutes
	Total  int // in the last ten minutes
	Hour   int // in the last hour
	// Past are the counts of the same hour of the 14 days before; missing days
	// are none.
	Past []int
}

// Braked says that the brake for everything is on. It is asked about additions
// only.
func (r Rate) Braked(l Limits) bool {
	return r.Total >= l.BrakeTotal || r.Hour >= l.BrakeFloor && float64(r.Hour) >= l.BrakeTimes*median(r.Past)
}

// median is that of 14 days.
func median(past []int) float64 {
	days := make([]int, 14)
	copy(days, past[:min(len(past), 14)])
	slices.Sort(days)
	return float64(days[6]+days[7]) / 2
}

// Trip is what a block is hit with, for the tripwire (guard 11).
type Trip struct {
	// Human says that a person has confirmed the block, Order that an authority
	// ordered it.
	Human, Order bool
	Before       int64   // queries a day before the first report
	Hits         []int64 // in the same five minutes, at each edge
}

// Tripped is what the tripwire does.
type Tripped string

// What a tripwire does: nothing, call a person, or suspend the block and call.
const (
	TripNone    Tripped = ""
	TripAlert   Tripped = "alert"
	TripSuspend Tripped = "suspend"
)

// Tripwire suspends what a rule blocked where very many customers run into it
// that used the name before anybody reported it. One edge is not enough: who asks
// one resolver often for his own name must not open it. A fresh name with many
// visitors is a campaign that works: people are called, nothing is opened. What a
// person confirmed or an authority ordered is not touched.
func Tripwire(t Trip, l Limits) Tripped {
	var all, most, second int64
	for _, n := range t.Hits {
		all += n
		switch {
		case n > most:
			most, second = n, most
		case n > second:
			second = n
		}
	}
	switch {
	case t.Order || all <= l.TripHits:
		return TripNone
	case t.Human:
		return TripNone
	case t.Before > int64(l.TripBefore) && second >= l.TripSecond:
		return TripSuspend
	}
	return TripAlert
}

// Mode says what the rules do by themselves.
type Mode string

// The modes. In shadow rules decide and only record it.
const (
	Off    Mode = "off"
	Shadow Mode = "shadow"
	On     Mode = "on"
)

// ProposeMachine is what a rule would block of a case: never longer than
// ForMachine.
func ProposeMachine(name bolwerk.Domain, scope bolwerk.Scope, class, brand string, compromised bool, reasons []Reason, versions map[string]string, now time.Time) Proposal {
	length := ForMachine
	if compromised {
		length = ForCompromised
	}
	return Proposal{Name: name, Scope: scope, Until: now.Add(length).UTC().Truncate(time.Microsecond), Class: class, Brand: brand,
		Compromised: compromised, Reasons: reasons, Versions: versions}
}
