package shield

import (
	"context"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// busyWithdrawals is how many withdrawals one person may make in an hour before
// the duty officer is alarmed. Nothing waits for that.
const busyWithdrawals = 20

// Withdraw takes a block or an exemption out of force. No guard is asked.
func (s *Shield) Withdraw(ctx context.Context, who judge.Person, id string, cause Cause, reason string) (Outcome, error) {
	if strings.TrimSpace(reason) == "" {
		return Outcome{}, bolwerk.WithHint(bolwerk.Invalid("a withdrawal needs a reason"), "say why in a few words")
	}
	if err := judge.May(who, judge.Withdraw); err != nil {
		return Outcome{}, err
	}
	out := Outcome{State: "withdrawn"}
	var recent int64
	err := s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		b, err := findBlock(tx, id)
		if err != nil {
			return err
		}
		if b.State != InForce {
			return bolwerk.Conflict("%s (%s) is %s already", b.Ref, b.Name, b.State)
		}
		if b.OrderID != "" {
			return bolwerk.WithHint(bolwerk.Forbidden("%s is an order of %s: it is theirs to lift", b.Ref, b.By), "add an exemption if the order is plainly wrong, and tell the issuer")
		}
		by := bolwerk.Person(who.ID)
		if err := s.end(tx, b, Withdrawn, by, string(cause), reason); err != nil {
			return err
		}
		if err := s.closeCase(tx, b); err != nil {
			return err
		}
		action := "shield.block.withdraw"
		if b.Pass {
			action = "shield.exemption.remove"
		}
		audit.Append(tx, by, action, b.Ref, reason, map[string]any{"name": b.Name, "cause": cause})
		out.Case, out.Block = b.CaseID, &b
		return tx.Row(`select count(*) from shield_block where state<>'in_force' and ended_by=$1 and ended_at>$2`, by.String(), store.Micros(tx.Now().Add(-time.Hour))).Scan(&recent)
	})
	if err == nil {
		s.count.withdrawn.WithLabelValues(string(cause)).Inc()
		if recent > busyWithdrawals && recent%busyWithdrawals == 1 { // not at each one: people stop reading
			s.log.Error("many withdrawals by one person", "alarm", true, "person", who.ID, "in_an_hour", recent)
		}
		err = s.reload(ctx, out.Block.ID, &out)
	}
	return out, err
}
