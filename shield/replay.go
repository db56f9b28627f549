package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
	"bolwerk/shield/seen"
)

// Replayed is a verdict made again: from the evidence that was kept with it, by
// the rules that made it, which gives the same to the byte; and from what is
// known today, with what has changed since. The pages that it rests on are read
// again out of their captures.
type Replayed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// State is same where both agree with what was decided on; different where
	// today's evidence or rules say something else; broken where the kept evidence
	// does not give the kept verdict, or a capture not what was read out of it by the
	// same rules; unknown_rules where this program has not the
	// rules that made it.
	State string        `json:"state" enum:"same,different,broken,unknown_rules"`
	At    time.Time     `json:"at,omitzero" doc:"when the verdict was made"`
	Was   judge.Verdict `json:"was" doc:"as it was kept"`
	Again judge.Verdict `json:"again" doc:"made again from the evidence and by the rules of then"`
	Is    judge.Verdict `json:"is" doc:"made of what is known today, by today's rules"`
	// Changed is what came, went or says something else since.
	Changed []EvidenceChange `json:"changed"`
	// Pages are the looks that the verdict rests on, each read again.
	Pages []ReplayedPage `json:"pages"`
}

// ReplayedPage is a capture that was read again.
type ReplayedPage struct {
	ID      string          `json:"id"`
	Profile capture.Profile `json:"profile"`
	Lang    bolwerk.Lang    `json:"lang"`
	At      time.Time       `json:"at" doc:"when the page was looked at"`
	Bundle  string          `json:"sha256" doc:"of the capture"`
	// State is same where it gives the same to the byte; different where today's
	// rules, brands or rules for kits say something else; broken where the rules are
	// those of then and it says something else; gone where the capture is not kept.
	State string `json:"state" enum:"same,different,broken,gone"`
	Why   string `json:"why,omitempty"`
	By    string `json:"by" doc:"what it was read by now: names rules, brands and rules for kits"`
	// Changed is what the page says that it did not say then, and the other way round.
	Changed []EvidenceChange `json:"changed"`
}

// EvidenceChange is one piece of evidence that is not what it was.
type EvidenceChange struct {
	How string          `json:"how" enum:"came,went,changed"`
	Was *judge.Evidence `json:"was,omitempty"`
	Is  *judge.Evidence `json:"is,omitempty"`
}

// Replay judges a case again, and reads the pages again that it rests on.
func (s *Shield) Replay(ctx context.Context, id string) (r Replayed, err error) {
	var name string
	var looks []Visit
	var then, now []judge.Evidence
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, id)
		if err != nil {
			return err
		}
		if r, then, now, err = replay(tx, c); err != nil {
			return err
		}
		var observable string
		if err := tx.Row(`select o.id,o.name from shield_observable o join shield_case c on c.observable=o.id where c.id=$1`, c.ID).Scan(&observable, &name); err != nil {
			return err
		}
		all, err := visitsOf(tx, observable, 40)
		looks = restOn(all)
		return err
	})
	if err != nil {
		return r, err
	}
	for i := range looks {
		page, again, err := s.replayPage(ctx, looks[i])
		if err != nil {
			return r, err
		}
		if page.State != "gone" {
			looks[i].Seen, looks[i].State = again, "read"
			if again.Wrong != "" {
				looks[i].State = "unreadable"
			}
		}
		r.Pages = append(r.Pages, page)
	}
	if len(looks) == 0 {
		return r, nil
	}
	now = slices.DeleteFunc(now, ofPage)
	now = append(now, s.pageEvidence(name, looks)...)
	slices.SortFunc(now, inOrder)
	r.Is = judge.Judge(now)
	r.Changed = changes(then, now)
	broken := slices.ContainsFunc(r.Pages, func(p ReplayedPage) bool { return p.State == "broken" })
	switch {
	case r.State == "unknown_rules":
	case broken || !sameVerdict(r.Was, r.Again):
		r.State = "broken"
	case !sameWords(r.Was, r.Is):
		r.State = "different"
	default:
		r.State = "same"
	}
	return r, nil
}

// replayPage reads a capture again.
func (s *Shield) replayPage(ctx context.Context, v Visit) (p ReplayedPage, again seen.Seen, err error) {
	p = ReplayedPage{ID: v.ID, Profile: v.Profile, Lang: v.Lang, At: v.At, Bundle: v.Bundle, State: "same", Changed: []EvidenceChange{}}
	var raw []byte
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) { raw, err = s.readPage(tx, v.Bundle); return err })
	if err == nil {
		again, err = s.readCapture(ctx, raw)
	}
	var death *reading.Death
	switch {
	case errors.As(err, &death):
		again, err = seen.Seen{Wrong: "a reader died over it"}, nil
	case errors.Is(err, bolwerk.ErrNotFound):
		p.State, p.Why = "gone", err.Error()
		return p, again, nil
	case err != nil:
		return p, again, err
	}
	again.Picture = nil
	if again.Wrong != "" {
		again.Evidence = unreadable(again.Wrong)
	}
	p.By, p.Why, p.Changed = again.By, again.Wrong, changes(v.Seen.Evidence, again.Evidence)
	was := v.Seen
	mine := was.By == again.By
	was.By = again.By
	a, errA := json.Marshal(was)
	b, errB := json.Marshal(again)
	switch {
	case errA != nil || errB != nil:
		return p, again, errors.Join(errA, errB)
	case bytes.Equal(a, b):
	case mine:
		p.State = "broken"
	default:
		p.State = "different"
	}
	return p, again, nil
}

func sameVerdict(a, b judge.Verdict) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// replay judges again without its pages: from kept evidence only. then is what the
// verdict was made of, now what is known today.
func replay(tx *store.Tx, c desk.Case) (r Replayed, then, now []judge.Evidence, err error) {
	r = Replayed{ID: c.ID, Name: c.Subject, State: "same", Changed: []EvidenceChange{}, Pages: []ReplayedPage{}}
	var observable, word, reasons, kept string
	var at int64
	if err := tx.Row(`select observable from shield_case where id=$1`, c.ID).Scan(&observable); err != nil {
		return r, nil, nil, err
	}
	if now, err = evidenceOf(tx, observable); err != nil {
		return r, nil, nil, err
	}
	r.Is = judge.Judge(now)
	err = tx.Row(`select verdict,why,reasons,brand,ruleset,evidence,at from shield_verdict where observable=$1 order by at desc, id desc limit 1`, observable).
		Scan(&word, &r.Was.Because, &reasons, &r.Was.Brand, &r.Was.Ruleset, &kept, &at)
	if store.None(err) { // nobody has judged it: a name that a person blocked
		r.Was, r.Again, then = r.Is, r.Is, now
		return r, then, now, nil
	}
	if err != nil {
		return r, nil, nil, err
	}
	r.Was.Word, r.At = judge.Word(word), store.Time(at)
	if err := json.Unmarshal([]byte(reasons), &r.Was.Reasons); err != nil {
		return r, nil, nil, err
	}
	if err := json.Unmarshal([]byte(kept), &then); err != nil {
		return r, nil, nil, err
	}
	r.Changed = changes(then, now)
	var known bool
	if r.Again, known = judge.JudgeBy(r.Was.Ruleset, then); !known {
		r.State = "unknown_rules"
		return r, then, now, nil
	}
	switch {
	case !sameVerdict(r.Was, r.Again):
		r.State = "broken"
	case !sameWords(r.Was, r.Is):
		r.State = "different"
	}
	return r, then, now, nil
}

// sameWords is sameVerdict but for the name of the rules: a newer name alone says
// nothing else.
func sameWords(was, is judge.Verdict) bool {
	is.Ruleset = was.Ruleset
	return sameVerdict(was, is)
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
