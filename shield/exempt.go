package shield

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Exempt lets a name pass whatever is blocked.
type Exempt struct {
	Name   bolwerk.Domain
	Scope  bolwerk.Scope // empty: host
	Until  time.Time     // zero with For zero: for ever
	For    time.Duration
	Reason string
	Dry    bool // only asks what would come of it
}

type exemptPlan struct {
	judge.Exemption
	First judge.Person `json:"first"`
}

// Exempt adds an exemption, or lays it before a second person.
func (s *Shield) Exempt(ctx context.Context, who judge.Person, in Exempt) (Outcome, error) {
	if in.Scope == "" {
		in.Scope = bolwerk.ScopeHost
	}
	var out Outcome
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out = Outcome{}
		p := exemptPlan{judge.Exemption{Name: in.Name, Scope: in.Scope, Until: in.Until, Reason: strings.TrimSpace(in.Reason)}, who}
		if in.For > 0 {
			p.Until = tx.Now().Add(in.For).Truncate(time.Microsecond)
		}
		refuse, second := split(judge.CheckExemption(p.Exemption, "", s.context(tx, who, nil)))
		switch {
		case len(refuse) > 0:
			return judge.Refusal(refuse)
		case in.Dry:
			out = foreseen("would_exempt", Block{Pass: true, Name: p.Name, Scope: p.Scope, Until: p.Until}, second)
			return cmp.Or(s.mayPass(tx, p), errDry)
		case len(second) > 0:
			if err := cmp.Or(s.mayPass(tx, p), notTwice(tx, p)); err != nil {
				return err
			}
			return s.proposeSecond(tx, desk.Case{}, actionExempt, p, who, second, &out)
		}
		return s.exempt(tx, p, bolwerk.Person(who.ID), bolwerk.Actor{}, &out)
	})
	if errors.Is(err, errDry) {
		return out, nil
	}
	if err == nil && out.Block != nil {
		err = s.reload(ctx, out.Block.ID, &out)
	}
	return out, err
}

// notTwice refuses to lay before a second person what already lies there.
func notTwice(tx *store.Tx, p exemptPlan) error {
	for after := ""; ; {
		const some = 100
		open, err := desk.OpenProposals(tx, after, some)
		if err != nil {
			return err
		}
		for _, o := range open {
			var other exemptPlan
			if o.Action != actionExempt || json.Unmarshal(o.Body, &other) != nil || other.Name != p.Name || other.Scope != p.Scope {
				continue
			}
			return bolwerk.WithHint(bolwerk.Conflict("an exemption of %s waits for a second person already", p.Name), "approve or decline that one first: it is on the page of what waits for a second person")
		}
		if len(open) < some {
			return nil
		}
		after = open[some-1].ID
	}
}

func (s *Shield) approveExempt(tx *store.Tx, who judge.Person, p desk.Proposal, digest string, out *Outcome) error {
	var pl exemptPlan
	if err := json.Unmarshal(p.Body, &pl); err != nil {
		return err
	}
	if err := desk.Approve(tx, p, digest, bolwerk.Person(who.ID)); err != nil {
		return err
	}
	if bad := judge.CheckExemption(pl.Exemption, digest, s.context(tx, pl.First, &judge.Approval{By: who, Digest: digest})); len(bad) > 0 {
		return judge.Refusal(bad)
	}
	return s.exempt(tx, pl, p.Actor, bolwerk.Person(who.ID), out)
}

// mayPass refuses an exemption that is there already, or that no zone can hold.
func (s *Shield) mayPass(tx *store.Tx, p exemptPlan) error {
	var have int64
	if err := tx.Row(`select count(*) from shield_block where name=$1 and scope=$2 and state='in_force' and pass`, p.Name.String(), string(p.Scope)).Scan(&have); err != nil {
		return err
	}
	if have > 0 {
		return bolwerk.Conflict("%s is exempt already", p.Name)
	}
	if !rpz.Fits(PassZone, p.Name) {
		return bolwerk.Invalid("%s does not fit into the policy zone", p.Name)
	}
	return nil
}

func (s *Shield) exempt(tx *store.Tx, p exemptPlan, first, second bolwerk.Actor, out *Outcome) error {
	if err := s.mayPass(tx, p); err != nil {
		return err
	}
	_, www := judge.NamesTaken(s.guard.rules().place(p.Name), p.Scope)
	b, err := s.place(tx, Block{Pass: true, Name: p.Name, Scope: p.Scope, WWW: www, Reason: p.Reason, Actor: first, Second: second, Until: p.Until, By: s.cfg.Operator})
	if err != nil {
		return err
	}
	audit.Append(tx, lastOf(first, second), "shield.exemption.add", b.Ref, p.Reason, map[string]any{"name": p.Name, "scope": p.Scope, "until": p.Until, "first": first, "second": second})
	out.State, out.Block = "exempted", &b
	return nil
}
