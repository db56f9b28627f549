package shield

import (
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"

	"bolwerk"
)

// What is asked outside may answer after the decision. The answer is kept with the
// case and shown with its time, and stands in its trail. The decision stays, but for
// what a rule blocked and would not have: that is a person's then.

// ByAnswer is the cause of a suspension by what was answered after a rule had decided.
const ByAnswer Cause = "answer"

// byLookup is who tells what a registry or the DNS answered.
var byLookup = bolwerk.Rule("look-up")

// toldLate tells a case that is decided what was answered about its name since.
func (s *Shield) toldLate(tx *store.Tx, caseID string, evidence []judge.Evidence) error {
	if caseID == "" {
		return nil
	}
	c, err := desk.FindCase(tx, caseID)
	if err != nil || c.State != desk.Decided {
		return err
	}
	for _, e := range evidence {
		if e.Verdict != judge.Failed {
			audit.Append(tx, byLookup, "shield.case.told", c.Ref, e.Detail, map[string]string{"source": e.Source, "reason": e.Reason})
		}
	}
	var id string
	if err := tx.Row(`select block from shield_case where id=$1`, caseID).Scan(&id); err != nil || id == "" {
		return err
	}
	b, err := findBlock(tx, id)
	if err != nil || b.State != InForce || !b.Machine || b.CaseID != caseID {
		return err
	}
	p := plan{Subject: c.Subject, Proposal: judge.Proposal{Name: b.Name, Scope: b.Scope, Until: b.Until, Class: b.Class, Brand: b.Brand, Compromised: b.Compromised}}
	guards, err := s.contextOf(tx, p.Proposal, p.Subject)
	if err != nil {
		return err
	}
	for _, o := range judge.CheckAge(p.Proposal, guards) {
		return s.suspend(tx, b, byLookup, ByAnswer, "answered after a rule had decided: "+o.Sentence)
	}
	return nil
}
