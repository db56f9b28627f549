package shield

import (
	"encoding/json"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/shield/fact"
	"bolwerk/shield/judge"
)

// gather links a report to an observable, judges it with all evidence that
// there is, and brings its case up to date. It returns the case, empty where
// none is needed.
func (s *Shield) gather(tx *store.Tx, rules *rules, report string, f found, quiet bool) (string, error) {
	o, err := s.observe(tx, f)
	if err != nil {
		return "", err
	}
	n, err := tx.Exec(`insert into shield_link(report,observable,role,via,nth,at) values($1,$2,$3,$4,$5,$6) on conflict(report,observable) do nothing`, report, o.id, f.role, f.via, o.reports, tx.NowMicros())
	if err != nil || n == 0 {
		return o.caseID, err
	}
	fresh := false
	for _, e := range f.evidence {
		n, err := tx.Exec(`insert into shield_evidence(observable,family,source,reason,tier,verdict,detail,brand,version,at) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)
			on conflict(observable,family,source,reason) do update set tier=excluded.tier, verdict=excluded.verdict, detail=excluded.detail, brand=excluded.brand, version=excluded.version, at=excluded.at
			where shield_evidence.verdict<>excluded.verdict or shield_evidence.version<>excluded.version`,
			o.id, string(e.Family), e.Source, e.Reason, int(e.Tier), string(e.Verdict), e.Detail, e.Brand, e.ListVersion, tx.NowMicros())
		if err != nil {
			return "", err
		}
		fresh = fresh || n > 0
	}
	v := judge.Verdict{Word: judge.Word(o.verdict)}
	if fresh || o.verdict == "" || tx.Now().Sub(o.assessed) > settled {
		if v, err = s.assess(tx, o.id); err != nil {
			return "", err
		}
	}
	return s.join(tx, rules, o, f, v, quiet)
}

type observable struct {
	id, caseID, verdict string
	first, assessed     time.Time
	reports             int64
}

// observe counts one more report of an observable.
func (s *Shield) observe(tx *store.Tx, f found) (o observable, err error) {
	var first, assessed int64
	err = tx.Row(`insert into shield_observable(id,kind,value,name,registrable,first_seen,last_seen,reports,case_id,verdict,assessed_at)
		values($1,$2,$3,$4,$5,$6,$6,1,'','',0)
		on conflict(value) do update set reports=shield_observable.reports+1, last_seen=excluded.last_seen
		returning id,case_id,verdict,first_seen,assessed_at,reports`,
		bolwerk.NewID(tx.Now()), f.kind, f.value, f.name.String(), f.place.Registrable.String(), tx.NowMicros()).
		Scan(&o.id, &o.caseID, &o.verdict, &first, &assessed, &o.reports)
	o.first, o.assessed = store.Time(first), store.Time(assessed)
	return o, err
}

// evidenceOf is all evidence about an observable.
func evidenceOf(tx *store.Tx, observable string) ([]judge.Evidence, error) {
	return store.List(tx, func(scan func(...any) error) (e judge.Evidence, err error) {
		var tier int
		err = scan(&e.Family, &e.Source, &e.Reason, &tier, &e.Verdict, &e.Detail, &e.Brand, &e.ListVersion)
		e.Tier = judge.Tier(tier)
		return e, err
	}, `select family,source,reason,tier,verdict,detail,brand,version from shield_evidence where observable=$1 order by family,source,reason`, observable)
}

// assess makes a verdict of all evidence and keeps it.
func (s *Shield) assess(tx *store.Tx, observable string) (judge.Verdict, error) {
	all, err := evidenceOf(tx, observable)
	if err != nil {
		return judge.Verdict{}, err
	}
	v := judge.Judge(all)
	reasons, err := json.Marshal(v.Reasons)
	if err != nil {
		return v, err
	}
	kept, err := json.Marshal(all)
	if err != nil {
		return v, err
	}
	if _, err := tx.Exec(`insert into shield_verdict(id,observable,verdict,why,reasons,class,brand,ruleset,evidence,at) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)`,
		bolwerk.NewID(tx.Now()), observable, string(v.Word), v.Because, string(reasons), "phishing", v.Brand, v.Ruleset, string(kept), tx.NowMicros()); err != nil {
		return v, err
	}
	_, err = tx.Exec(`update shield_observable set verdict=$1, assessed_at=$2 where id=$3`, string(v.Word), tx.NowMicros(), observable)
	s.count.verdicts.WithLabelValues(string(v.Word)).Inc()
	if err == nil && v.Word == judge.Malicious && s.cfg.Notices.early() {
		err = job.Add(tx, noticeMakeJob, "early/"+observable, "early/"+observable, tx.Now())
	}
	if err == nil && v.Word == judge.Malicious && s.cfg.Automatic.any() {
		_, err = tx.Exec(`insert into shield_auto_due(observable,at) values($1,$2) on conflict(observable) do nothing`, observable, tx.NowMicros())
		tx.After(func() { ring(s.alone) })
	}
	return v, err
}

// join brings the case about an observable up to date, or opens one.
func (s *Shield) join(tx *store.Tx, rules *rules, o observable, f found, v judge.Verdict, quiet bool) (string, error) {
	if o.caseID != "" {
		c, err := desk.FindCase(tx, o.caseID)
		if err != nil {
			return "", err
		}
		rejected := c.State == desk.Decided && c.Outcome == "rejected" && tx.Now().Sub(c.ClosedAt) > rejectedAt
		if c.State.Open() || c.State == desk.Decided && !rejected {
			if err := s.otherVisit(tx, rules, o, f); err != nil {
				return "", err
			}
			return c.ID, s.grow(tx, c, o, f, v, quiet)
		}
	}
	// Nothing is to be decided about a name that is known to be right, nor about
	// a popular one of which nothing bad is known.
	if v.Word == judge.Clean || v.Word == judge.Inconclusive && f.popular {
		return "", nil
	}
	c, fresh, err := desk.OpenCase(tx, Name, f.value)
	if err != nil {
		return "", err
	}
	if _, err := tx.Exec(`update shield_observable set case_id=$1 where id=$2`, c.ID, o.id); err != nil {
		return "", err
	}
	if !fresh {
		return c.ID, s.grow(tx, c, o, f, v, quiet)
	}
	if err := s.planLookup(tx, f); err != nil {
		return "", err
	}
	d, err := s.scopeOf(tx, rules, f.place, f.name.IsZero())
	if err != nil {
		return "", err
	}
	why, err := json.Marshal(d.Reasons)
	if err != nil {
		return "", err
	}
	title := v.Brand
	if title == "" {
		title = judge.TextTitle(f.lure)
	}
	campaign, by, err := s.joinCampaign(tx, c.ID, keysOf(rules, f, v), 0, v.Brand, title)
	if err != nil {
		return "", err
	}
	if _, err := tx.Exec(`insert into shield_case(id,observable,campaign,verdict,brand,class,target,scope,scope_why,reports,reporters,first_seen,block,channels,joined) values($1,$2,$3,$4,$5,'phishing',$6,$7,$8,0,0,$9,'','',$10)`,
		c.ID, o.id, campaign, string(v.Word), v.Brand, d.Name.String(), string(d.Scope), string(why), store.Micros(o.first), by); err != nil {
		return "", err
	}
	if err := growCampaign(tx, campaign, tx.Now(), grew{cases: 1}); err != nil {
		return "", err
	}
	if err := s.planVisit(tx, rules, o, f, v); err != nil {
		return "", err
	}
	if err := s.grow(tx, c, o, f, v, quiet); err != nil {
		return "", err
	}
	if err := s.tellCertificate(tx, o.id, f.name); err != nil {
		return "", err
	}
	// A block that is in force under another case, or by an order, answers this
	// one at once.
	if !f.name.IsZero() {
		covers, err := covering(tx, f.name)
		if err != nil {
			return "", err
		}
		if len(covers) > 0 && !covers[0].Pass {
			if err := desk.SetCase(tx, c, desk.Gathering, desk.Decided, "blocked"); err != nil {
				return "", err
			}
			if _, err := tx.Exec(`update shield_case set block=$1 where id=$2`, covers[0].ID, c.ID); err != nil {
				return "", err
			}
			return c.ID, growCampaign(tx, campaign, tx.Now(), grew{blocks: 1})
		}
	}
	s.facts.Append(tx, bolwerk.Rule("judge"), fact.CaseProposed, c.ID, struct{}{})
	return c.ID, desk.SetCase(tx, c, desk.Gathering, desk.Waiting, "")
}

// firstReasons are codes of why a case stands where it does in the queue, kept
// with it: "suspicious, imitates". Pages say them in their reader's language.
type firstReasons []string

// overQuota is the code of a report whose signing domain had used up its quota.
const overQuota = "over_quota"

func (f firstReasons) String() string { return strings.Join(f, ", ") }

// Reporters are counted anew at each of the first reports, then at every 16th:
// a campaign of thousands must not cost each of its reports a count.
const (
	countReporters = 32  // at each report up to this one
	reporterWindow = 200 // of the newest reports
)

// grow counts the report in the case and sets how early it is looked at. What
// people report never changes a verdict.
func (s *Shield) grow(tx *store.Tx, c desk.Case, o observable, f found, v judge.Verdict, quiet bool) error {
	count := `select count(distinct r.mark) from (select report from shield_link where observable=$1 order by at desc limit $2) l join shield_report r on r.id=l.report where r.mark<>''`
	args := []any{o.id, reporterWindow}
	if o.reports > countReporters && o.reports%16 != 0 {
		count, args = `select reporters from shield_case where id=$1`, []any{c.ID}
	}
	var reporters int64
	if err := tx.Row(count, args...).Scan(&reporters); err != nil {
		return err
	}
	word := v.Word
	if v.Ruleset == "" {
		word = judge.Word(o.verdict) // not judged anew
	}
	var brand, campaign, says string
	if err := tx.Row(`update shield_case set reports=$1, reporters=$2, verdict=$3, brand=case when $4<>'' then $4 else brand end,
		channels=case when channels='' then $6 when channels like $7 then channels else channels||$8 end where id=$5 returning brand,campaign,owner_says`,
		o.reports, reporters, string(word), v.Brand, c.ID, " "+f.channel+" ", "% "+f.channel+" %", f.channel+" ").Scan(&brand, &campaign, &says); err != nil {
		return err
	}
	if err := growCampaign(tx, campaign, tx.Now(), grew{reports: 1}); err != nil || !c.State.Open() {
		return err
	}
	p, why := rankOf(word, int(reporters), brand, judge.Says(says), tx.Now().Sub(o.first))
	if quiet {
		p, why = 0, append(why, overQuota)
	}
	return desk.Prioritise(tx, c.ID, p, why.String())
}
