package desk

import (
	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// People is where changes of people wait for a second administrator, as
// account.Proposals: the same rows, digests and rules as for a block.
type People struct{}

// Propose lays a change before a second administrator.
func (People) Propose(tx *store.Tx, action string, body any, by bolwerk.Actor, reason, need string) (account.Proposal, error) {
	p, err := Propose(tx, "", action, body, by, reason, need)
	return people(p), err
}

// Find gives a proposal by its id.
func (People) Find(tx *store.Tx, id string) (account.Proposal, error) {
	p, err := FindProposal(tx, id)
	return people(p), err
}

// Open lists what waits, oldest first, at most 200.
func (People) Open(tx *store.Tx, actions ...string) (out []account.Proposal, err error) {
	for _, action := range actions {
		all, err := store.List(tx, readProposal, `select `+proposalColumns+` from desk_proposal where state='open' and action=$1 order by at limit 200`, action)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			out = append(out, people(p))
		}
	}
	return out, nil
}

// End closes a proposal: approved, or with an empty digest dropped.
func (People) End(tx *store.Tx, p account.Proposal, digest string, by bolwerk.Actor) error {
	x, err := FindProposal(tx, p.ID)
	if err != nil {
		return err
	}
	if digest != "" {
		return Approve(tx, x, digest, by)
	}
	n, err := tx.Exec(`update desk_proposal set state='void' where id=$1 and state='open'`, x.ID)
	if err == nil && n == 0 {
		err = bolwerk.Conflict("the proposal is %s", x.State)
	}
	return err
}

func people(p Proposal) account.Proposal {
	return account.Proposal{ID: p.ID, Action: p.Action, Digest: p.Digest, State: p.State, Body: p.Body, By: p.Actor, Reason: p.Reason, Need: p.Need, At: p.At}
}
