package shield

import (
	"context"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Decline ends a proposal that waits for a second person without doing it; its
// proposer may take it back so too. Its case waits for a decision again.
func (s *Shield) Decline(ctx context.Context, who judge.Person, id, reason string) (p desk.Proposal, err error) {
	if strings.TrimSpace(reason) == "" {
		return p, bolwerk.WithHint(bolwerk.Invalid("to decline a proposal needs a reason"), "say in a few words what is wrong with it")
	}
	if err := judge.May(who, judge.Reject); err != nil {
		return p, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if p, err = desk.FindProposal(tx, id); err != nil {
			return err
		}
		if p.Action != actionBlock && p.Action != actionExempt && p.Action != actionDomain {
			return bolwerk.NotFound("no proposal %q", id) // of another capability
		}
		if err := desk.Decline(tx, p); err != nil {
			return err
		}
		if p.Action == actionDomain {
			if err := declineDomain(tx, p); err != nil {
				return err
			}
		}
		if p.State = "void"; p.CaseID != "" {
			c, err := desk.FindCase(tx, p.CaseID)
			if err != nil {
				return err
			}
			if c.State == desk.Second {
				if err := desk.SetCase(tx, c, desk.Second, desk.Waiting, ""); err != nil {
					return err
				}
			}
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.proposal.decline", p.ID, reason, map[string]string{"action": p.Action, "case": p.CaseID, "digest": p.Digest})
		return nil
	})
	return p, err
}
