package abuse

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"bolwerk"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// Quarantines are those of the desk's cases.
func (d *Desk) Quarantines() *quarantine.Desk { return d.quarantines }

// cases are the desk's cases as quarantines see them.
type cases struct{ d *Desk }

// Evidence is what was seen of a case, without a word about who told it.
func (c cases) Evidence(tx *store.Tx, caseID string) (seen []garden.Seen, family, device string, err error) {
	a, err := c.d.About(tx, caseID)
	if err != nil {
		return nil, "", "", err
	}
	return a.Seen, a.Family, a.Device, nil
}

// plainName is a name of malware that a page may show: a report's words are a stranger's.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,39}$`)

// Happened writes what became of a quarantine into the history of its case, and tells
// the subscriber.
func (c cases) Happened(tx *store.Tx, q quarantine.Row, what, code string, by bolwerk.Actor, text string) error {
	kind, note := map[string]inform.Kind{"quarantined": inform.Quarantined, "released": inform.Released}[what], what
	if what == "shadow" {
		note, code = "step", "shadow"
	}
	if q.Mechanism == quarantine.ByMistake && what == "released" {
		kind = inform.Mistaken
	}
	if err := c.d.note(tx, q.CaseID, note, by, code, text); err != nil || kind == "" {
		return err
	}
	subject := map[string]string{"quarantined": fact.QuarantineBegun, "released": fact.QuarantineEnded}[what]
	c.d.p.Facts.Append(tx, by, subject, q.ID, fact.Quarantine{Ref: q.Ref, Case: q.CaseID, Class: string(q.Class), Profile: string(q.Profile), Why: string(q.Mechanism)})
	l := inform.Letter{Case: q.CaseID, Quarantine: q.ID, Kind: kind, Until: q.Until, By: by}
	switch {
	case what != "released":
		return c.d.tell(tx, l)
	case q.Mechanism == quarantine.ByRestore:
		return nil // who was let out long ago was told then: a person looks at it
	}
	failed, err := tx.Try(func(tx *store.Tx) error { return c.d.tell(tx, l) })
	if failed == nil || err != nil {
		return err
	}
	// The way back is never held up by a letter.
	c.d.log.Error("a line is let out of quarantine, and its subscriber is not told", "alarm", true, "quarantine", q.Ref, "err", failed)
	return c.d.note(tx, q.CaseID, "step", by, "nobody_told:"+string(kind), "")
}

// Shown tells the public site what the holders of the case's codes see now.
func (c cases) Shown(tx *store.Tx, caseID string) error {
	if c.d.inform == nil {
		return nil
	}
	return c.d.inform.Changed(tx, caseID)
}

// Tested is what a test of the case's line asks for, and what the last one found.
func (c cases) Tested(tx *store.Tx, caseID string) (garden.Tested, error) {
	return c.d.Tested(tx, caseID)
}

// AskTest has the case's line tested.
func (c cases) AskTest(tx *store.Tx, caseID string, by bolwerk.Actor) error {
	return c.d.AskTest(tx, caseID, by)
}

// tell tells the subscriber of a case. Where nobody can, the case says so.
func (d *Desk) tell(tx *store.Tx, l inform.Letter) (err error) {
	if d.inform == nil {
		return d.note(tx, l.Case, "step", l.By, "nobody_told:"+string(l.Kind), "")
	}
	if l.Who, l.Class, err = d.whoseCase(tx, l.Case); err != nil {
		return err
	}
	return d.inform.Tell(tx, l)
}

// flags are what is known of a customer beside the line.
func (d *Desk) flags(tx *store.Tx, who session.Identity) (f quarantine.Flags, err error) {
	if d.p.Contacts == nil {
		return f, nil
	}
	c, err := d.p.Contacts.Flags(tx, who)
	return quarantine.Flags{Never: c.Never, Vulnerable: c.Vulnerable, Business: c.Business, Reseller: c.Reseller}, err
}

// about is a case as a wish for a quarantine names it.
func (d *Desk) about(tx *store.Tx, caseID string) (a quarantine.About, err error) {
	a.CaseID = caseID
	if a.Who, a.Class, err = d.whoseCase(tx, caseID); err != nil {
		return a, err
	}
	if err := tx.Row(`select named from abuse_case where id=$1`, caseID).Scan(&a.Solid); err != nil {
		return a, err
	}
	answers, err := d.p.Who.PinnedOf(tx, caseID)
	if err != nil {
		return a, err
	}
	a.One = len(answers) > 0
	for _, x := range answers {
		c, ok := x.Act()
		a.One = a.One && ok && c.Who() == a.Who.Who()
	}
	err = tx.Row(`select case when r.feed<>'' then r.feed else r.format end from abuse_event e join abuse_report r on r.id=e.report where e.case_id=$1 order by case when r.named then 0 else 1 end, e.spoofable, e.at limit 1`, caseID).Scan(&a.Feed)
	if store.None(err) {
		err = nil
	}
	return a, err
}

// whoseCase is the subscriber and the class of a case.
func (d *Desk) whoseCase(tx *store.Tx, caseID string) (who session.Identity, class reading.Class, err error) {
	var sealed []byte
	if err := tx.Row(`select who_sealed,class from abuse_case where id=$1`, caseID).Scan(&sealed, (*string)(&class)); err != nil {
		return who, class, err
	}
	plain, err := d.p.Sessions.Kept().Open(SealedWho, sealed)
	if err != nil {
		return who, class, err
	}
	return who, class, json.Unmarshal(plain, &who)
}

// AskQuarantine asks, for a person, for a quarantine of a case's line. decided is false
// where it waits for a second person or for the brake.
func (d *Desk) AskQuarantine(ctx context.Context, who account.Person, caseID string, w quarantine.Wish) (q quarantine.Row, decided bool, err error) {
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		c, err := findCase(tx, caseID)
		if err != nil {
			return err
		}
		if until, err := d.caseExempt(tx, c.ID); err != nil {
			return err
		} else if !until.IsZero() {
			return bolwerk.WithHint(bolwerk.Conflict("this line is left alone until %s", until.UTC().Format(time.DateOnly)), "end the exemption first")
		}
		a, err := d.about(tx, c.ID)
		if err != nil {
			return err
		}
		q, decided, err = d.quarantines.Ask(tx, &who, a, w)
		return err
	})
	return q, decided, err
}

// caseEnded ends what a case holds when it is closed.
func (d *Desk) caseEnded(tx *store.Tx, caseID string, how quarantine.Mechanism, by bolwerk.Actor) error {
	if _, err := tx.Exec(`update abuse_play set state='ended', due_at=0 where case_id=$1`, caseID); err != nil {
		return err
	}
	return d.quarantines.End(tx, caseID, how, by)
}
