package shield

import (
	"time"

	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// judgeWith keeps evidence beside what there is, and judges anew.
func (s *Shield) judgeWith(tx *store.Tx, observable string, evidence []judge.Evidence) error {
	for _, e := range evidence {
		if _, err := tx.Exec(`insert into shield_evidence(observable,family,source,reason,tier,verdict,detail,brand,version,at) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)
			on conflict(observable,family,source,reason) do nothing`,
			observable, string(e.Family), e.Source, e.Reason, int(e.Tier), string(e.Verdict), e.Detail, e.Brand, e.ListVersion, tx.NowMicros()); err != nil {
			return err
		}
	}
	v, err := s.assess(tx, observable)
	if err != nil {
		return err
	}
	return rejudge(tx, observable, v)
}

// rejudge brings the case about an observable up to what it is judged now.
func rejudge(tx *store.Tx, observable string, v judge.Verdict) error {
	var caseID, brand, says string
	var reporters, first int64
	err := tx.Row(`update shield_case set verdict=$2, brand=case when $3<>'' then $3 else brand end
		where id=(select case_id from shield_observable where id=$1) returning id,brand,owner_says,reporters,first_seen`, observable, string(v.Word), v.Brand).Scan(&caseID, &brand, &says, &reporters, &first)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := desk.FindCase(tx, caseID)
	if err != nil || !c.State.Open() {
		return err
	}
	p, why := rankOf(v.Word, int(reporters), brand, judge.Says(says), tx.Now().Sub(store.Time(first)))
	return desk.Prioritise(tx, caseID, p, why.String())
}

// ownerSays is the code of a name of which the brand's owner says that it is an
// imitation.
const ownerSays = "owner_says"

// rankOf says how early a case is looked at, and why.
func rankOf(word judge.Word, reporters int, brand string, says judge.Says, sinceFirst time.Duration) (int64, firstReasons) {
	p, why := int64(judge.Priority(reporters, brand != "", sinceFirst)), firstReasons{"reported"}
	switch word {
	case judge.Malicious:
		p, why = p+300, firstReasons{"malicious"}
	case judge.Suspicious:
		p, why = p+200, firstReasons{"suspicious"}
	case judge.Inconclusive:
		why = firstReasons{"inconclusive"}
	}
	if brand != "" {
		why = append(why, "imitates")
	}
	if says == judge.Imitates { // before all others of the same verdict: that adds 48 at most
		p, why = p+50, append(why, ownerSays)
	}
	return p, why
}
