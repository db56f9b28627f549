package quarantine

import (
	"context"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// What a test of a line found.
const (
	TestAsked   = "asked"   // it is under way
	TestOpen    = "open"    // the service still answers
	TestQuiet   = "quiet"   // nothing answered
	TestOffline = "offline" // nobody is on line, or no address is the line's alone
	TestFailed  = "failed"  // we could not ask
)

// askTest has the line tested, where that can be.
func (d *Desk) askTest(tx *store.Tx, q *Row, by bolwerk.Actor) error {
	if d.p.Tests == nil || !q.State.Holds() {
		return bolwerk.Conflict("%s: lines are not tested here", q.Ref)
	}
	what, err := d.p.Tests(tx, q.CaseID)
	switch {
	case err != nil:
		return err
	case len(what) == 0:
		return bolwerk.WithHint(bolwerk.Conflict("%s: what was seen cannot be tested from outside", q.Ref), "look whether feeds still tell of the line")
	case !q.TestAt.IsZero() && tx.Now().Sub(q.TestAt) < garden.TestEvery:
		return bolwerk.Conflict("%s was tested less than %d minutes ago", q.Ref, garden.TestEvery/time.Minute)
	}
	q.Test, q.TestAt = TestAsked, tx.Now()
	if _, err := tx.Exec(`update abuse_quarantine set test=$1, test_at=$2 where id=$3`, q.Test, tx.NowMicros(), q.ID); err != nil {
		return err
	}
	return d.hold(tx, q)
}

// Test has a line tested because a person wants it.
func (d *Desk) Test(ctx context.Context, who account.Person, id string) (q Row, err error) {
	if !who.May(account.Decide) {
		return q, bolwerk.Forbidden("the role %s may not do this", who.Role)
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if q, err = load(tx, id); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.quarantine.test", q.Ref, "", nil)
		return d.askTest(tx, &q, who.Actor())
	})
	return q, err
}

// Testing is a line whose test was asked for.
type Testing struct {
	ID, CaseID string
	Who        session.Identity
}

// ToTest are lines whose test was asked for, at most 20.
func (d *Desk) ToTest(ctx context.Context) (out []Testing, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		all, err := store.List(tx, read, `select `+columns+` from abuse_quarantine where test='asked' and state in `+holdsSQL+` order by test_at limit 20`)
		for _, q := range all {
			who, err := d.identity(q)
			if err != nil {
				return err
			}
			out = append(out, Testing{q.ID, q.CaseID, who})
		}
		return err
	})
	return out, err
}

// Tested says what a test found, in one of the words above.
func (d *Desk) Tested(ctx context.Context, id, found string) error {
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		q, err := load(tx, id)
		if err != nil {
			return err
		}
		if q.Test != TestAsked {
			return nil
		}
		q.Test, q.TestAt = found, tx.Now()
		if _, err := tx.Exec(`update abuse_quarantine set test=$1, test_at=$2 where id=$3`, found, tx.NowMicros(), q.ID); err != nil {
			return err
		}
		if err := d.p.Cases.Happened(tx, q, "tested", found, rules, ""); err != nil {
			return err
		}
		return d.hold(tx, &q)
	})
}
