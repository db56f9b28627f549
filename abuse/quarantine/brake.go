package quarantine

import (
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// Facts are what the guards look at before a line is put into quarantine. None of them
// looks at a release: the way back is never held up.
type Facts struct {
	Now       time.Time
	Mode      string
	Automatic bool // a rule asks, no person
	Second    bool // a second person has approved it
	Profile   enforce.Profile
	Until     time.Time
	MaxDays   int
	Why       Why
	CaseOpen  bool
	Already   bool // the case has one that is not over
	Other     bool // the subscriber is in one of another case, or on the way out of it
	Who       session.Identity
	Leased    bool // leases alone say where the line is: accounting knows no session of it
	One       bool // every answer that the case rests on has exactly one candidate, who is certain
	Solid     int64
	Flags     Flags
	Listed    bool // on a list of the configuration
	Today     int  // automatic ones that began within the last day
	LastHour  int
	Median    float64 // a day, of the last 14
	Staffed   bool    // somebody answers the telephone
	Brake     BrakeConfig
	Suspect   bool // the clock
	Restoring bool // a restore waits for a person
	NAS       []string
	Proved    bool // each of these has shown that it releases
}

// Guard is one reason not to.
type Guard struct {
	Name string
	// Wait says that time or a person may change it: the wish is kept. Otherwise it is
	// refused.
	Wait bool
	// Says is why not, or "".
	Says func(f Facts) string
}

func when(cond bool, why string) string {
	if cond {
		return why
	}
	return ""
}

// Guards are all of them, in the order in which they are told.
func Guards() []Guard {
	return []Guard{
		{"mode", false, func(f Facts) string { return when(f.Mode == "off", "quarantines are switched off") }},
		{"case", false, func(f Facts) string { return when(!f.CaseOpen, "the case is closed") }},
		{"already", false, func(f Facts) string { return when(f.Already, "the line is in quarantine for this case already") }},
		{"named", false, func(f Facts) string {
			return when(f.Who.Subscriber == "", "accounting names no subscriber of this line: its sessions cannot be found")
		}},
		{"lease", false, func(f Facts) string {
			return when(f.Leased, "only leases say where this line is, and accounting nothing: it cannot be put into quarantine")
		}},
		{"never", false, func(f Facts) string {
			return when(f.Listed || f.Flags.Never, "this subscriber is on the list of those who are never put into quarantine")
		}},
		{"reseller", false, func(f Facts) string {
			return when(f.Who.Reseller || f.Flags.Reseller, "customers of a reseller are behind this line: reports go to the reseller")
		}},
		{"vulnerable", false, func(f Facts) string {
			return when(f.Flags.Vulnerable && (f.Automatic || f.Profile == enforce.Strict), "a vulnerable customer: only a person may ask, and only for leaky")
		}},
		{"business", false, func(f Facts) string {
			return when(f.Flags.Business && (f.Automatic || f.Profile == enforce.Strict), "a business line: only a person may ask, and only for leaky")
		}},
		{"profile", false, func(f Facts) string {
			return when(f.Profile != enforce.Leaky && f.Profile != enforce.Strict, "want leaky or strict")
		}},
		{"until", false, func(f Facts) string {
			return when(!f.Until.After(f.Now) || f.Until.After(f.Now.Add(time.Duration(f.MaxDays)*24*time.Hour)), "a quarantine needs an end, within the longest time that is allowed")
		}},
		{"why", false, func(f Facts) string {
			return when(f.Why.Threat == "" || f.Why.Necessity == "" || f.Why.Proportion == "" || f.Why.Legal == "", "the record needs the threat, why nothing milder does, why it is not too much, and the legal reference")
		}},
		{"ground", false, func(f Facts) string {
			return when(f.Profile == enforce.Strict && (f.Why.Legal == DefaultLegal || f.Automatic), "strict needs a person, and a legal reference of its own")
		}},
		{"one", false, func(f Facts) string {
			return when(f.Automatic && !f.One, "not certain whose line it is: a person has to look")
		}},
		{"solid", false, func(f Facts) string {
			return when(f.Automatic && f.Solid < 1, "no named source tells of it, or a forged address may be behind all of it: a person has to look")
		}},
		{"other", true, func(f Facts) string {
			return when(f.Other, "the line is in quarantine for another case: it waits until that one is over")
		}},
		{"second", true, func(f Facts) string {
			return when(f.Profile == enforce.Strict && !f.Second, "strict waits for a second person")
		}},
		{"rate", true, func(f Facts) string {
			return when(f.Automatic && f.Today >= max(f.Brake.Floor, int(f.Brake.Factor*f.Median)), "far more today than on other days")
		}},
		{"budget", true, func(f Facts) string {
			most := f.Brake.OutsideHours
			if f.Staffed {
				most = f.Brake.PerHour
			}
			return when(f.Automatic && f.LastHour >= most, "as many this hour as the helpdesk can answer")
		}},
		{"canary", true, func(f Facts) string {
			return when(len(f.NAS) > 0 && !f.Proved, "no line of ours has shown yet that its access server releases")
		}},
		{"clock", true, func(f Facts) string { return when(f.Suspect, "the clock of the desk jumped") }},
		{"restore", true, func(f Facts) string {
			return when(f.Restoring, "the desk was brought back to an older day, and a person has still to look: bolwerk restore --show")
		}},
	}
}

// Refusal is what a guard said.
type Refusal struct {
	Guard string `json:"guard"`
	Says  string `json:"says"`
	Wait  bool   `json:"wait"`
}

// Check asks the guards, all but those named.
func Check(f Facts, off ...string) (out []Refusal) {
	for _, g := range Guards() {
		if slices.Contains(off, g.Name) {
			continue
		}
		if says := g.Says(f); says != "" {
			out = append(out, Refusal{g.Name, says, g.Wait})
		}
	}
	return out
}

// facts are what is known now for a wish. What it brings along is filled in already.
func (d *Desk) facts(tx *store.Tx, f Facts, caseID, own string) (Facts, error) {
	f.Now, f.Mode, f.MaxDays, f.Brake, f.Suspect = tx.Now(), d.cfg.Mode, d.cfg.MaxDays, d.cfg.Brake, d.p.Clock.Suspect()
	f.Staffed = d.cfg.Brake.staffed(tx.Now().In(d.p.Zone))
	if err := turn(tx); err != nil {
		return f, err
	}
	var open, more int64
	if err := tx.Row(`select (select count(*) from desk_case where id=$1 and state in ('gathering','waiting','second')), (select count(*) from abuse_quarantine where case_id=$1 and id<>$2 and state not in ('released','dropped'))`, caseID, own).Scan(&open, &more); err != nil {
		return f, err
	}
	f.CaseOpen, f.Already = open > 0, more > 0
	others, err := d.others(tx, f.Who, own, inside)
	if err != nil {
		return f, err
	}
	f.Other = len(others) > 0 && !f.Already
	if d.p.Restoring != nil {
		if f.Restoring, err = d.p.Restoring(tx); err != nil {
			return f, err
		}
	}
	if d.p.Flags != nil {
		if f.Flags, err = d.p.Flags(tx, f.Who); err != nil {
			return f, err
		}
	}
	held, err := d.p.Who.Now(tx, f.Who.Subscriber)
	if err != nil {
		return f, err
	}
	if f.Listed, err = d.listed(tx, f.Who, caseID); err != nil {
		return f, err
	}
	f.Proved = true
	for _, h := range held {
		if h.Source != session.Radius {
			continue
		}
		if !slices.Contains(f.NAS, h.NAS) {
			f.NAS = append(f.NAS, h.NAS)
			f.Proved = f.Proved && d.p.Proved != nil && d.p.Proved(h.NAS)
		}
	}
	if len(f.NAS) == 0 {
		more, err := d.p.Who.Lasting(tx, f.Who.Subscriber)
		if err != nil {
			return f, err
		}
		f.Leased = slices.ContainsFunc(more, func(h session.Held) bool { return h.Source == session.Lease })
	}
	if !f.Automatic {
		return f, nil
	}
	return f, d.pace(tx, &f)
}

// pace is how many automatic ones began: within the hour, the day, and on the median of
// the last 14 days.
func (d *Desk) pace(tx *store.Tx, f *Facts) error {
	now := tx.Now()
	days := make([]int, 14)
	return orNil(tx.Each(`select start_at from abuse_quarantine where start_at>$1 and automatic`, []any{store.Micros(now.Add(-15 * 24 * time.Hour))}, func(scan func(...any) error) error {
		var at int64
		if err := scan(&at); err != nil {
			return err
		}
		age := now.Sub(store.Time(at))
		if age < time.Hour {
			f.LastHour++
		}
		if age < 24*time.Hour {
			f.Today++
		} else if n := int(age/(24*time.Hour)) - 1; n < len(days) {
			days[n]++
		}
		return nil
	}), func() {
		slices.Sort(days)
		f.Median = float64(days[6]+days[7]) / 2
	})
}

func orNil(err error, then func()) error {
	if err == nil {
		then()
	}
	return err
}

// refused is what the guards say to a person.
func refused(all []Refusal) error {
	var says []string
	for _, r := range all {
		says = append(says, r.Says)
	}
	return bolwerk.Conflict("%s", strings.Join(says, "; "))
}
