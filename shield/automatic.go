package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
)

// AutoConfig says, for each class, what rules decide by themselves: "off",
// "shadow" (they decide, and it is only recorded) or "on" (they block for at most
// 72 hours).
type AutoConfig struct {
	// Phishing is what rules do with phishing.
	Phishing judge.Mode `toml:"phishing"`
	// Malware is what rules do with malware.
	Malware judge.Mode `toml:"malware"`
	// FakeShop is what rules do with fake shops.
	FakeShop judge.Mode `toml:"fake_shop"`
	// Scam is what rules do with scams.
	Scam judge.Mode `toml:"scam"`
	// InUse names the list, of shield.list, that the operator blocks by today:
	// what rules would have done is shown beside it.
	InUse string `toml:"in_use"`
}

func (c AutoConfig) validate(lists map[string]bool) error {
	var errs []error
	for _, m := range []struct {
		key  string
		mode judge.Mode
	}{{"phishing", c.Phishing}, {"malware", c.Malware}, {"fake_shop", c.FakeShop}, {"scam", c.Scam}} {
		switch m.mode {
		case judge.Off, judge.Shadow, judge.On, "":
		default:
			errs = append(errs, fmt.Errorf("shield.automatic.%s: %q: want off, shadow or on", m.key, m.mode))
		}
	}
	if c.InUse != "" && !lists[c.InUse] {
		errs = append(errs, fmt.Errorf("shield.automatic.in_use: no shield.list is named %q", c.InUse))
	}
	return errors.Join(errs...)
}

// of is the mode of a class; one that is not known is off.
func (c AutoConfig) of(class string) judge.Mode {
	mode := map[string]judge.Mode{"phishing": c.Phishing, "malware": c.Malware, "fake_shop": c.FakeShop, "scam": c.Scam}[class]
	if mode == "" {
		return judge.Off
	}
	return mode
}

// any says that rules do anything at all.
func (c AutoConfig) any() bool {
	for _, class := range autoClasses {
		if c.of(class) != judge.Off {
			return true
		}
	}
	return false
}

var autoClasses = []string{"phishing", "malware", "fake_shop", "scam"}

// byRules is who decided where no person did.
var byRules = bolwerk.Rule("automatic")

// decideAlone has rules look at the cases whose names were judged malicious, until
// ctx ends.
func (s *Shield) decideAlone(ctx context.Context) error {
	if !s.cfg.Automatic.any() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		if err := s.decideDue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("rules have not decided", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.alone:
		case <-tick.C:
		case <-minute.C:
			if err := s.lookInUse(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("the list in use today was not compared", "err", err)
			}
		}
	}
}

// decideDue looks at what is due.
func (s *Shield) decideDue(ctx context.Context) error {
	var due []string
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = texts(tx, `select observable from shield_auto_due order by at limit 200`)
		return err
	})
	if err != nil {
		return err
	}
	for _, observable := range due {
		if err := s.decideOne(ctx, observable); err != nil {
			return fmt.Errorf("decide by rule about %s: %w", observable, err)
		}
	}
	return nil
}

// decideOne has rules look at the case about an observable. The same guards look
// as for a person, and those for what nobody looked at; whatever one of them
// objects to is a person's. It is in one transaction with the block.
func (s *Shield) decideOne(ctx context.Context, observable string) error {
	lane := store.Intake
	if s.cfg.Automatic.acts() {
		lane = store.Decision
	}
	return s.db.Write(ctx, lane, func(tx *store.Tx) error {
		if _, err := tx.Exec(`delete from shield_auto_due where observable=$1`, observable); err != nil {
			return err
		}
		var caseID, target, scope, class, brand, verdict, asked string
		err := tx.Row(`select s.id,s.target,s.scope,s.class,s.brand,s.verdict,coalesce(k.asked_for,'') from shield_observable o join shield_case s on s.id=o.case_id left join shield_campaign k on k.id=s.campaign where o.id=$1`,
			observable).Scan(&caseID, &target, &scope, &class, &brand, &verdict, &asked)
		if store.None(err) {
			return nil
		}
		if err != nil {
			return err
		}
		mode := s.cfg.Automatic.of(class)
		c, err := desk.FindCase(tx, caseID)
		if err != nil || mode == judge.Off || c.State != desk.Waiting {
			return err // off, or a person has it already
		}
		var done int64 // what was suspended or decided by people before is theirs
		if err := tx.Row(`select count(*) from shield_block where case_id=$1`, caseID).Scan(&done); err != nil || done > 0 {
			return err
		}
		// What only a machine read in pictures is a guess: a person decides.
		var guess bool
		if err := tx.Row(`select exists(select 1 from shield_link where observable=$1) and not exists(select 1 from shield_link where observable=$1 and via not like '%> ocr%')`, observable).Scan(&guess); err != nil || guess {
			return err
		}
		p := plan{Subject: c.Subject, Reason: "rules: two independent kinds of evidence", Legal: s.cfg.Ground, Action: edge.Redirect, AskedFor: aid.Read(asked)}
		name, err := bolwerk.ParseDomain(target)
		if err != nil || !bolwerk.Scope(scope).DNS() {
			return s.recordAlone(tx, caseID, class, mode, "", []judge.Objection{{Guard: 0, Rule: "scope"}}, "")
		}
		p.Proposal = judge.ProposeMachine(name, bolwerk.Scope(scope), class, brand, false, nil, s.guard.rules().versions, tx.Now())
		guards, err := s.contextOf(tx, p.Proposal, p.Subject)
		if err != nil {
			return err
		}
		if guards.Machine, err = s.machineOf(tx, c, p, guards); err != nil {
			return err
		}
		source := judge.Source(s.guard.rules().place(name), guards.Evidence)
		objections := judge.Check(p.Proposal, guards)
		if err := s.mayPlace(tx, p); err != nil {
			if !errors.Is(err, bolwerk.ErrForbidden) && !errors.Is(err, bolwerk.ErrConflict) {
				return err
			}
			bad := judge.Objections(err)
			if len(bad) == 0 {
				bad = []judge.Objection{{Rule: "blocked_already"}}
			}
			objections = append(objections, bad...)
		}
		for _, o := range objections {
			if o.Guard == 8 || o.Guard == 9 {
				s.log.Error("rules stop deciding: too much at once", "alarm", true, "rule", o.Rule, "source", source)
			}
		}
		if len(objections) > 0 || mode == judge.Shadow {
			return s.recordAlone(tx, caseID, class, mode, source, objections, "")
		}
		b, err := s.block(tx, c, p, byRules, bolwerk.Actor{})
		if err != nil {
			return err
		}
		return s.recordAlone(tx, caseID, class, mode, source, nil, b.ID)
	})
}

// acts says that rules block by themselves for some class.
func (c AutoConfig) acts() bool {
	for _, class := range autoClasses {
		if c.of(class) == judge.On {
			return true
		}
	}
	return false
}

// recordAlone keeps what rules did or would have done with a case. When they first
// would have blocked it stays, whatever they think later.
func (s *Shield) recordAlone(tx *store.Tx, caseID, class string, mode judge.Mode, source string, objections []judge.Objection, block string) error {
	rules := []string{}
	for _, o := range objections {
		rules = append(rules, o.Rule)
	}
	why, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	at := int64(0)
	if len(objections) == 0 {
		at = tx.NowMicros()
	}
	n, err := tx.Exec(`insert into shield_auto(case_id,class,mode,source,why,at,looked,block) values($1,$2,$3,$4,$5,$6,$7,$8)
		on conflict(case_id) do update set mode=excluded.mode, source=excluded.source, why=excluded.why, at=excluded.at, looked=excluded.looked, block=excluded.block
		where shield_auto.at=0`, caseID, class, string(mode), source, string(why), at, tx.NowMicros(), block)
	if err == nil && n > 0 && at > 0 && mode == judge.Shadow {
		audit.Append(tx, byRules, "shield.case.shadow", caseID, "rules would have blocked it", nil)
	}
	return err
}

// machineOf is what the guards for rules look at.
func (s *Shield) machineOf(tx *store.Tx, c desk.Case, p plan, guards judge.Context) (*judge.Machine, error) {
	m := &judge.Machine{KnownGood: s.guard.rules().canaries.Len()}
	var observable string
	if err := tx.Row(`select observable,verdict from shield_case where id=$1`, c.ID).Scan(&observable, &m.Verdict); err != nil {
		return m, err
	}
	if guards.AgeKnown && guards.Age > judge.Old || guards.Asked.Before >= int64(guards.Limits.TripBefore) {
		flooded, err := floodedEver(tx, observable, guards.Limits.FloodReports)
		if err != nil {
			return m, err
		}
		m.Flooded = flooded
	}
	var err error
	m.Rate, err = s.rate(tx, s.cfg.Automatic.of(p.Class), judge.Source(s.guard.rules().place(p.Name), guards.Evidence))
	return m, err
}

// floodReports is how many of the newest reports are looked at for a flood.
const floodReports = 1000

// floodedEver says that n reports of an observable came within one hour.
func floodedEver(tx *store.Tx, observable string, n int) (bool, error) {
	at, err := store.List(tx, func(scan func(...any) error) (at int64, err error) { err = scan(&at); return at, err },
		`select at from shield_link where observable=$1 order by at desc limit $2`, observable, floodReports)
	for i := n - 1; i < len(at); i++ {
		if time.Duration(at[i-n+1]-at[i])*time.Microsecond <= time.Hour {
			return true, err
		}
	}
	return false, err
}

// rate is how much rules decided lately in a mode: in shadow, how much they would
// have.
func (s *Shield) rate(tx *store.Tx, mode judge.Mode, source string) (r judge.Rate, err error) {
	now, day := tx.Now(), 24*time.Hour.Microseconds()
	ten := store.Micros(now.Add(-10 * time.Minute))
	err = tx.Row(`select count(*),coalesce(sum(case when source=$3 then 1 else 0 end),0) from shield_auto where mode=$1 and at>$2`, string(mode), ten, source).Scan(&r.Total, &r.Source)
	if err != nil {
		return r, err
	}
	begin := store.Micros(now.Add(-time.Hour).AddDate(0, 0, -14))
	r.Past = make([]int, 14)
	err = tx.Each(`select (at-$2)/$3,count(*) from shield_auto where mode=$1 and at>$2 and (at-$2)%$3<=$4 group by (at-$2)/$3`, []any{string(mode), begin, day, time.Hour.Microseconds()}, func(scan func(...any) error) error {
		var nth int64
		var n int
		if err := scan(&nth, &n); err != nil {
			return err
		}
		if nth >= 0 && nth < 14 {
			r.Past[nth] = n
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	// What lies after now counts too: a clock that jumped back gives no new budget.
	err = tx.Row(`select count(*) from shield_auto where mode=$1 and at>$2`, string(mode), store.Micros(now.Add(-time.Hour))).Scan(&r.Hour)
	if err != nil || mode != judge.On {
		return r, err
	}
	// What came back and was blocked again has no record of its own: its case had
	// one already.
	var lately, hour int
	err = tx.Row(`select coalesce(sum(case when b.made_at>$3 then 1 else 0 end),0),count(*) from shield_block b where b.actor=$1 and b.made_at>$2
		and not exists(select 1 from shield_auto a where a.case_id=b.case_id and a.block=b.id)`, byRules.String(), store.Micros(now.Add(-time.Hour)), ten).Scan(&lately, &hour)
	r.Total, r.Hour = r.Total+lately, r.Hour+hour
	return r, err
}

// lookInUse notes when the list that is in use today had the names of open and
// lately decided cases first.
func (s *Shield) lookInUse(ctx context.Context) error {
	if s.cfg.Automatic.InUse == "" {
		return nil
	}
	rules := s.guard.rules()
	var feed *judge.Feed
	for i := range rules.feeds {
		if rules.feeds[i].Name == s.cfg.Automatic.InUse {
			feed = &rules.feeds[i]
		}
	}
	if feed == nil || feed.Set == nil {
		return nil
	}
	type row struct{ id, name string }
	var open []row
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		open, err = store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.id, &r.name); return r, err },
			`select c.id,c.subject from desk_case c where c.capability=$1 and c.opened_at>$2 and not exists (select 1 from shield_in_use u where u.case_id=c.id) order by c.opened_at desc limit 20000`,
			Name, store.Micros(tx.Now().AddDate(0, 0, -14)))
		return err
	})
	if err != nil {
		return err
	}
	var has []string
	for _, r := range open {
		d, err := bolwerk.ParseDomain(r.name)
		if err != nil {
			continue
		}
		place := rules.place(d)
		if entry, ok := feed.Set.Above(d); ok && !place.Shared && entry.Below(place.Owner()) {
			has = append(has, r.id)
		}
	}
	if len(has) == 0 {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, id := range has {
			if _, err := tx.Exec(`insert into shield_in_use(case_id,at) values($1,$2) on conflict(case_id) do nothing`, id, tx.NowMicros()); err != nil {
				return err
			}
		}
		return nil
	})
}
