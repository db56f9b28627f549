package quarantine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// About is the case that a wish is for, as the desk knows it.
type About struct {
	CaseID string
	Class  reading.Class
	Who    session.Identity
	One    bool  // every answer that it rests on has exactly one candidate, who is certain
	Solid  int64 // events that a named source told and no forged address explains
	Feed   string
}

// Wish is what is asked for.
type Wish struct {
	Profile enforce.Profile `json:"profile" enum:"leaky,strict"`
	// Days is how long it lasts at most; 0 for leaky: LeakyDays.
	Days int `json:"days,omitempty" minimum:"0" maximum:"30" doc:"for how long at most; leaky: 14 where absent"`
	Why  Why `json:"why"`
}

// LeakyDays is how long a leaky quarantine lasts where nobody says it.
const LeakyDays = 14

const maxWords = 500 // octets of each part of the record

func (w *Wish) tidy(most int) error {
	for _, s := range []*string{&w.Why.Threat, &w.Why.Necessity, &w.Why.Proportion, &w.Why.Legal} {
		if *s = strings.TrimSpace(*s); len(*s) > maxWords {
			return bolwerk.Invalid("a text of %d octets: at most %d are kept", len(*s), maxWords)
		}
	}
	if w.Profile != enforce.Leaky {
		return nil // strict brings along its own legal reference and end
	}
	w.Why.Legal = cmp.Or(w.Why.Legal, DefaultLegal)
	w.Days = cmp.Or(w.Days, min(LeakyDays, most))
	return nil
}

// Ask asks for a quarantine: by a rule, or by a person where who is not nil. What the
// guards refuse is an error for a person, and nothing for a rule; what they hold back
// waits as Requested. ok says that it is decided.
func (d *Desk) Ask(tx *store.Tx, who *account.Person, a About, w Wish) (q Row, ok bool, err error) {
	if err := w.tidy(d.cfg.MaxDays); err != nil {
		return q, false, err
	}
	by, automatic := rules, who == nil
	if who != nil {
		if !who.May(account.Decide) {
			return q, false, bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", who.Role), "ask an analyst or a duty officer")
		}
		by = who.Actor()
	}
	until := tx.Now().Add(time.Duration(w.Days) * 24 * time.Hour)
	f, err := d.facts(tx, Facts{Automatic: automatic, Profile: w.Profile, Until: until, Why: w.Why, Who: a.Who, One: a.One, Solid: a.Solid}, a.CaseID, "")
	if err != nil {
		return q, false, err
	}
	said := Check(f)
	for _, r := range said {
		tx.After(func() { d.count.refused.WithLabelValues(r.Guard).Inc() })
	}
	if hard := slices.DeleteFunc(slices.Clone(said), func(r Refusal) bool { return r.Wait }); len(hard) > 0 {
		if automatic {
			return Row{Waits: codes(hard)}, false, nil
		}
		return q, false, refused(hard)
	}
	if q, err = d.insert(tx, a, w, until, by, automatic, f, codes(said)); err != nil {
		return q, false, err
	}
	audit.Append(tx, by, "abuse.quarantine.ask", q.Ref, "", map[string]any{"profile": w.Profile, "until": until.UTC().Format(time.RFC3339), "legal": w.Why.Legal, "waits": q.Waits})
	if len(said) > 0 {
		return q, false, nil
	}
	return q, true, d.begin(tx, &q, by)
}

func codes(all []Refusal) (out []string) {
	for _, r := range all {
		out = append(out, r.Guard)
	}
	return out
}

func (d *Desk) insert(tx *store.Tx, a About, w Wish, until time.Time, by bolwerk.Actor, automatic bool, f Facts, waits []string) (q Row, err error) {
	kept := d.p.Keys.Kept()
	mark, err := kept.Mark(markWho, a.Who.Who())
	if err != nil {
		return q, err
	}
	plain, err := json.Marshal(a.Who)
	if err != nil {
		return q, err
	}
	sealed, err := kept.Seal(SealedWho, plain)
	if err != nil {
		return q, err
	}
	left, err := d.selfLeft(tx, a.Who, a.Class)
	if err != nil {
		return q, err
	}
	ref, err := desk.Number(tx, "Q")
	if err != nil {
		return q, err
	}
	now := tx.Now()
	q = Row{ID: bolwerk.NewID(now), Ref: ref, CaseID: a.CaseID, Class: a.Class, Feed: a.Feed, Profile: w.Profile, State: Requested, Waits: waits, Automatic: automatic, Needy: f.Flags.Vulnerable,
		AskedBy: by, Why: w.Why, AskedAt: now, Until: until, ReviewAt: now.Add(until.Sub(now) / 2), SelfLeft: left, mark: mark, sealed: sealed}
	h := sha256.New()
	for _, s := range []string{"quarantine", q.ID, string(q.Profile), until.UTC().Format(time.RFC3339), w.Why.Threat, w.Why.Necessity, w.Why.Proportion, w.Why.Legal} {
		h.Write(append([]byte(s), 0))
	}
	q.Digest = hex.EncodeToString(h.Sum(nil))
	_, err = tx.Exec(`insert into abuse_quarantine(`+columns+`) values($1,$2,$3,$4,$5,$6,$7,$8,'requested',$9,$10,$11,$12,'',$13,$14,$15,$16,$17,$18,0,0,$19,$20,0,0,'','','',0,0,$21,0,0)`,
		q.ID, q.Ref, q.CaseID, mark, sealed, string(q.Class), q.Feed, string(q.Profile), strings.Join(waits, ","), automatic, q.Needy, by.String(), q.Digest,
		w.Why.Threat, w.Why.Necessity, w.Why.Proportion, w.Why.Legal, tx.NowMicros(), store.Micros(until), store.Micros(q.ReviewAt), left)
	return q, err
}

// selfLeft is how often a subscriber may still end a quarantine of a class alone.
func (d *Desk) selfLeft(tx *store.Tx, who session.Identity, class reading.Class) (int, error) {
	marks, err := d.p.Keys.Kept().Marks(markWho, who.Who())
	if err != nil || len(marks) == 0 {
		return d.cfg.SelfReleases, err
	}
	in, args := store.In(3, marks)
	var n int
	err = tx.Row(`select count(*) from abuse_quarantine where class=$1 and ended_at>$2 and mechanism='self' and mark in (`+in+`)`, append([]any{string(class), store.Micros(tx.Now().AddDate(-1, 0, 0))}, args...)...).Scan(&n)
	return max(d.cfg.SelfReleases-n, 0), err
}

// begin decides a quarantine that no guard holds back.
func (d *Desk) begin(tx *store.Tx, q *Row, by bolwerk.Actor) error {
	if d.cfg.Mode == "shadow" {
		q.Waits = []string{"shadow"}
		if _, err := tx.Exec(`update abuse_quarantine set why='shadow' where id=$1`, q.ID); err != nil {
			return err
		}
		if err := d.p.Cases.Happened(tx, *q, "shadow", string(q.Profile), by, ""); err != nil {
			return err
		}
		return d.step(tx, q, Drop{}, by, nil)
	}
	if err := d.step(tx, q, Approve{}, by, nil); err != nil {
		return err
	}
	return d.meet(tx, q, by)
}

// again asks the guards about one that waits, and begins it where they let it.
func (d *Desk) again(tx *store.Tx, q *Row, second string, by bolwerk.Actor) (ok bool, said []Refusal, err error) {
	who, err := d.identity(*q)
	if err != nil {
		return false, nil, err
	}
	// What the case rests on was looked at when it was asked for.
	f, err := d.facts(tx, Facts{Automatic: q.Automatic, Second: second != "", Profile: q.Profile, Until: q.Until, Why: q.Why, Who: who, One: true, Solid: 1}, q.CaseID, q.ID)
	if err != nil {
		return false, nil, err
	}
	said = Check(f)
	if waits := codes(said); !slices.Equal(waits, q.Waits) {
		if q.Waits = waits; len(waits) > 0 {
			if _, err := tx.Exec(`update abuse_quarantine set why=$1 where id=$2`, strings.Join(waits, ","), q.ID); err != nil {
				return false, said, err
			}
		}
	}
	if slices.ContainsFunc(said, func(r Refusal) bool { return !r.Wait }) {
		return false, said, d.step(tx, q, Drop{}, by, nil)
	}
	if len(said) > 0 {
		return false, said, nil
	}
	return true, nil, d.begin(tx, q, by)
}

// Approve is the second person's: exactly what was asked for is done.
func (d *Desk) Approve(ctx context.Context, who account.Person, id, digest string) (q Row, err error) {
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := who.MayApprove(tx.Now()); err != nil {
			return err
		}
		if q, err = load(tx, id); err != nil {
			return err
		}
		first := account.Person{}
		switch {
		case !who.May(account.Decide):
			return bolwerk.Forbidden("the role %s may not do this", who.Role)
		case q.State != Requested || !slices.Contains(q.Waits, "second"):
			return bolwerk.Conflict("%s waits for no second person", q.Ref)
		case q.Digest != digest:
			return bolwerk.WithHint(bolwerk.Conflict("the wish has changed since you saw it"), "look at it again and approve what stands there now")
		case q.AskedBy == who.Actor():
			return bolwerk.WithHint(bolwerk.Forbidden("you asked for this yourself"), "a second person must approve it")
		}
		if !who.May(account.Lead) {
			if first, err = account.ByID(tx, q.AskedBy.Ref()); err != nil || !first.May(account.Lead) {
				return bolwerk.WithHint(bolwerk.Forbidden("one of the two must be a duty officer"), "ask a duty officer to approve it")
			}
		}
		q.SecondBy = who.Actor().String()
		if _, err := tx.Exec(`update abuse_quarantine set second_by=$1 where id=$2`, q.SecondBy, q.ID); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.approve", q.Ref, "", map[string]string{"digest": digest})
		_, said, err := d.again(tx, &q, q.SecondBy, who.Actor())
		if hard := slices.DeleteFunc(said, func(r Refusal) bool { return r.Wait }); err == nil && len(hard) > 0 {
			return refused(hard)
		}
		return err
	})
	return q, err
}

// why writes a person's reason into the history of the case, where it is sealed and goes
// with the case: the audit trail keeps no words about a subscriber.
func (d *Desk) why(tx *store.Tx, q Row, by bolwerk.Actor, reason string) error {
	return d.p.Cases.Happened(tx, q, "note", "", by, reason)
}

// Decline ends a wish that was not decided.
func (d *Desk) Decline(ctx context.Context, who account.Person, id, reason string) (q Row, err error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxWords {
		return q, bolwerk.Invalid("a decision needs a reason in words, of at most %d octets", maxWords)
	}
	if !who.May(account.Decide) {
		return q, bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if q, err = load(tx, id); err != nil {
			return err
		}
		if q.State != Requested {
			return bolwerk.WithHint(bolwerk.Conflict("%s is %s", q.Ref, q.State), "release it instead")
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.decline", q.Ref, "", nil)
		if err := d.why(tx, q, who.Actor(), reason); err != nil {
			return err
		}
		return d.step(tx, &q, Drop{}, who.Actor(), nil)
	})
	return q, err
}
