package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"bolwerk"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
)

// Proposal is exactly what somebody wants done. An approval is bound to its
// digest: a changed proposal voids what was approved.
type Proposal struct {
	ID     string          `json:"id"`
	CaseID string          `json:"case,omitempty"`
	Action string          `json:"action"`
	Body   json.RawMessage `json:"body"`
	Digest string          `json:"digest"`
	State  string          `json:"state"`
	Actor  bolwerk.Actor   `json:"actor"`
	Reason string          `json:"reason"`
	Need   string          `json:"need"` // why a second person is needed
	At     time.Time       `json:"at"`
}

// DigestOf is the digest that approvals of action and body are bound to.
func DigestOf(action string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(action))
	h.Write([]byte{0})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// Propose keeps what actor wants done until a second person has approved it.
// An older open proposal of the same case is void from now on.
func Propose(tx *store.Tx, caseID, action string, body any, actor bolwerk.Actor, reason, need string) (Proposal, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return Proposal{}, err
	}
	p := Proposal{ID: bolwerk.NewID(tx.Now()), CaseID: caseID, Action: action, Body: b, Digest: DigestOf(action, b), State: "open", Actor: actor, Reason: reason, Need: need, At: tx.Now()}
	if caseID != "" {
		if _, err := tx.Exec(`update desk_proposal set state='void' where case_id=$1 and state='open'`, caseID); err != nil {
			return p, err
		}
	}
	_, err = tx.Exec(`insert into desk_proposal(id,case_id,action,body,digest,state,actor,reason,need,at) values($1,$2,$3,$4,$5,'open',$6,$7,$8,$9)`,
		p.ID, p.CaseID, p.Action, string(p.Body), p.Digest, actor.String(), reason, need, tx.NowMicros())
	if err != nil {
		return p, err
	}
	return p, job.Add(tx, SecondJob, p.ID, p.ID, tx.Now())
}

const proposalColumns = `id,case_id,action,body,digest,state,actor,reason,need,at`

func readProposal(scan func(...any) error) (p Proposal, err error) {
	var body, actor string
	var at int64
	if err := scan(&p.ID, &p.CaseID, &p.Action, &body, &p.Digest, &p.State, &actor, &p.Reason, &p.Need, &at); err != nil {
		return p, err
	}
	p.Body, p.At = json.RawMessage(body), store.Time(at)
	p.Actor, err = bolwerk.ParseActor(actor)
	return p, err
}

// OpenProposal gives the proposal of a case that waits for a second person.
func OpenProposal(tx *store.Tx, caseID string) (Proposal, error) {
	p, err := readProposal(tx.Row(`select `+proposalColumns+` from desk_proposal where case_id=$1 and state='open'`, caseID).Scan)
	if store.None(err) {
		return p, bolwerk.NotFound("nothing waits for a second person here")
	}
	return p, err
}

// FindProposal gives a proposal by its id.
func FindProposal(tx *store.Tx, id string) (Proposal, error) {
	p, err := readProposal(tx.Row(`select `+proposalColumns+` from desk_proposal where id=$1`, id).Scan)
	if store.None(err) {
		return p, bolwerk.NotFound("no proposal %q", id)
	}
	return p, err
}

// decisions are the proposals about blocks and lists: what waits for a second
// administrator is on the page of people, what waits for a second pair of eyes on a
// subscriber's data on that of the privacy officer.
const decisions = `state='open' and action not like 'account.%' and action not like 'privacy.%'`

// OpenProposals lists the decisions that wait for a second person, oldest first,
// from the one behind the proposal of the id after.
func OpenProposals(tx *store.Tx, after string, limit int) ([]Proposal, error) {
	var at int64
	if after != "" {
		p, err := FindProposal(tx, after)
		if err != nil {
			return nil, err
		}
		at = store.Micros(p.At)
	}
	return store.List(tx, readProposal, `select `+proposalColumns+` from desk_proposal where `+decisions+` and (at,id)>($1,$2) order by at, id limit $3`, at, after, limit)
}

// CountProposals counts the decisions that wait for a second person.
func CountProposals(tx *store.Tx) (Counted, error) {
	return Count(tx, "desk_proposal", Where{SQL: decisions})
}

// Approve records that actor approves exactly the proposal with digest, and
// ends it. The proposer cannot approve.
func Approve(tx *store.Tx, p Proposal, digest string, actor bolwerk.Actor) error {
	switch {
	case p.State != "open":
		return bolwerk.Conflict("the proposal is %s", p.State)
	case p.Digest != digest:
		return bolwerk.WithHint(bolwerk.Conflict("the proposal has changed since you saw it"), "look at it again and approve what stands there now")
	case p.Actor == actor:
		return bolwerk.WithHint(bolwerk.Forbidden("you proposed this yourself"), "a second person must approve it")
	}
	n, err := tx.Exec(`update desk_proposal set state='done' where id=$1 and state='open'`, p.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return bolwerk.Conflict("the proposal was decided meanwhile")
	}
	_, err = tx.Exec(`insert into desk_approval(proposal,digest,actor,at) values($1,$2,$3,$4)`, p.ID, digest, actor.String(), tx.NowMicros())
	return err
}

// Decline ends a proposal without doing it.
func Decline(tx *store.Tx, p Proposal) error {
	n, err := tx.Exec(`update desk_proposal set state='void' where id=$1 and state='open'`, p.ID)
	if err == nil && n == 0 {
		err = bolwerk.Conflict("the proposal was decided meanwhile")
	}
	return err
}

// Void ends the open proposals of a case without doing them.
func Void(tx *store.Tx, caseID string) error {
	_, err := tx.Exec(`update desk_proposal set state='void' where case_id=$1 and state='open'`, caseID)
	return err
}
