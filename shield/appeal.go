package shield

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/fact"
	"bolwerk/shield/judge"
)

// DecideAppeal ends an appeal: upheld withdraws the block.
func (s *Shield) DecideAppeal(ctx context.Context, who judge.Person, id string, uphold bool, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return bolwerk.Invalid("a decision on an appeal needs a reason")
	}
	if err := judge.May(who, judge.Withdraw); err != nil {
		return err
	}
	by := bolwerk.Person(who.ID)
	lane := store.Decision
	if uphold {
		lane = store.WayBack
	}
	return s.db.Write(ctx, lane, func(tx *store.Tx) error {
		a, err := desk.FindAppeal(tx, s.vault, id)
		if err != nil {
			return err
		}
		b, err := findBlock(tx, a.Object)
		if a.Object == "" {
			err = bolwerk.ErrNotFound
		}
		switch {
		case errors.Is(err, bolwerk.ErrNotFound):
			if uphold {
				return bolwerk.Conflict("appeal %s is about nothing that is blocked", a.Ref)
			}
		case err != nil:
			return err
		case !uphold && (b.Actor == by || b.Second == by):
			return bolwerk.WithHint(bolwerk.Forbidden("you decided this block yourself"), "a colleague must decide to reject the appeal; anybody may uphold it")
		case uphold && b.OrderID != "":
			return bolwerk.WithHint(bolwerk.Forbidden("%s is an order of %s: it is theirs to lift", b.Ref, b.By), "pass the appeal on to the issuer")
		case uphold && b.State == InForce:
			if err := s.end(tx, b, Withdrawn, by, string(OnAppeal), reason); err != nil {
				return err
			}
			if err := s.closeCase(tx, b); err != nil {
				return err
			}
		}
		word := "rejected"
		if uphold {
			word = "upheld"
		}
		audit.Append(tx, by, "shield.appeal."+word, a.Ref, reason, map[string]string{"block": a.Object, "name": a.Subject})
		return s.decideAppeal(tx, a, word, reason, by)
	})
}

// decideAppeal records the decision and shows it to who holds the receipt.
func (s *Shield) decideAppeal(tx *store.Tx, a desk.Appeal, word, reason string, by bolwerk.Actor) error {
	if err := desk.DecideAppeal(tx, a, word, reason, by); err != nil {
		return fmt.Errorf("appeal %s: %w", a.Ref, err)
	}
	s.facts.Append(tx, by, fact.AppealDecided, a.ID, struct{}{})
	s.publishAppeal(tx, a, word)
	return nil
}
