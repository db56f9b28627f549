package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Replayed is a verdict made again: from the evidence that was kept with it, by
// the rules that made it, which gives the same to the byte; and from what is
// known today, with what has changed since.
type Replayed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// State is same where both agree with what was decided on; different where
	// today's evidence or rules say something else; broken where the kept evidence
	// does not give the kept verdict; unknown_rules where this program has not the
	// rules that made it.
	State string        `json:"state" enum:"same,different,broken,unknown_rules"`
	At    time.Time     `json:"at,omitzero" doc:"when the verdict was made"`
	Was   judge.Verdict `json:"was" doc:"as it was kept"`
	Again judge.Verdict `json:"again" doc:"made again from the evidence and by the rules of then"`
	Is    judge.Verdict `json:"is" doc:"made of what is known today, by today's rules"`
	// Changed is what came, went or says something else since.
	Changed []EvidenceChange `json:"changed"`
}

// EvidenceChange is one piece of evidence that is not what it was.
type EvidenceChange struct {
	How string          `json:"how" enum:"came,went,changed"`
	Was *judge.Evidence `json:"was,omitempty"`
	Is  *judge.Evidence `json:"is,omitempty"`
}

// Replay judges a case again.
func (s *Shield) Replay(ctx context.Context, id string) (r Replayed, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, id)
		if err != nil {
			return err
		}
		r, err = replay(tx, c)
		return err
	})
	return r, err
}

func replay(tx *store.Tx, c desk.Case) (r Replayed, err error) {
	r = Replayed{ID: c.ID, Name: c.Subject, State: "same", Changed: []EvidenceChange{}}
	var observable, word, reasons, kept string
	var at int64
	if err := tx.Row(`select observable from shield_case where id=$1`, c.ID).Scan(&observable); err != nil {
		return r, err
	}
	now, err := evidenceOf(tx, observable)
	if err != nil {
		return r, err
	}
	r.Is = judge.Judge(now)
	err = tx.Row(`select verdict,why,reasons,brand,ruleset,evidence,at from shield_verdict where observable=$1 order by at desc, id desc limit 1`, observable).
		Scan(&word, &r.Was.Because, &reasons, &r.Was.Brand, &r.Was.Ruleset, &kept, &at)
	if store.None(err) { // nobody has judged it: a name that a person blocked
		r.Was, r.Again = r.Is, r.Is
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Was.Word, r.At = judge.Word(word), store.Time(at)
	if err := json.Unmarshal([]byte(reasons), &r.Was.Reasons); err != nil {
		return r, err
	}
	var then []judge.Evidence
	if err := json.Unmarshal([]byte(kept), &then); err != nil {
		return r, err
	}
	r.Changed = changes(then, now)
	var known bool
	if r.Again, known = judge.JudgeBy(r.Was.Ruleset, then); !known {
		r.State = "unknown_rules"
		return r, nil
	}
	same := func(a, b judge.Verdict) bool {
		x, errA := json.Marshal(a)
		y, errB := json.Marshal(b)
		return errA == nil && errB == nil && bytes.Equal(x, y)
	}
	switch {
	case !same(r.Was, r.Again):
		r.State = "broken"
	case !same(r.Was, r.Is):
		r.State = "different"
	}
	return r, nil
}

// changes compares two lists of evidence by who says what kind of thing.
func changes(then, now []judge.Evidence) (out []EvidenceChange) {
	out = []EvidenceChange{}
	at := func(list []judge.Evidence, e judge.Evidence) int {
		return slices.IndexFunc(list, func(x judge.Evidence) bool {
			return x.Family == e.Family && x.Source == e.Source && x.Reason == e.Reason
		})
	}
	for _, e := range then {
		switch i := at(now, e); {
		case i < 0:
			out = append(out, EvidenceChange{How: "went", Was: &e})
		case now[i] != e:
			out = append(out, EvidenceChange{How: "changed", Was: &e, Is: &now[i]})
		}
	}
	for _, e := range now {
		if at(then, e) < 0 {
			out = append(out, EvidenceChange{How: "came", Is: &e})
		}
	}
	return out
}
