package account

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// Proposals keeps what waits for a second person, each with the digest that an
// approval is bound to. internal/app fills it with the desk's.
type Proposals interface {
	Propose(tx *store.Tx, action string, body any, by bolwerk.Actor, reason, need string) (Proposal, error)
	Find(tx *store.Tx, id string) (Proposal, error)
	// Open lists those whose action is one of ours, oldest first.
	Open(tx *store.Tx, actions ...string) ([]Proposal, error)
	// End closes one: approved by a second person, who saw this digest, or, with
	// an empty digest, dropped.
	End(tx *store.Tx, p Proposal, digest string, by bolwerk.Actor) error
}

// Proposal is a change of people that waits for a second administrator.
type Proposal struct {
	ID, Action, Digest, State string
	Body                      []byte
	By                        bolwerk.Actor
	Reason, Need              string
	At                        time.Time
}

// The changes of people that need two.
const (
	ActionRole  = "account.role"  // more rights for somebody
	ActionReset = "account.reset" // new log-in for somebody who approves
)

// Change is the body of such a proposal: exactly what would be done.
type Change struct {
	Person string `json:"person"`
	Login  string `json:"login"`
	From   Role   `json:"from,omitempty"`
	To     Role   `json:"to,omitempty"`
	// Brands are all that a brand owner would answer for.
	Brands []string `json:"brands,omitempty"`
}

// Second says where changes wait that one administrator may not make alone;
// before anything else is called. Without it there are none: the admin socket
// is then the only way to them.
func (s *Accounts) Second(p Proposals) { s.proposals = p }

// gains says that a role may something that the one before may not. Taking
// rights away needs nobody else.
func gains(from, to Role) bool {
	return slices.ContainsFunc(rights[to], func(r Right) bool { return !slices.Contains(rights[from], r) })
}

// approves says that a role may be the second person of something.
func approves(r Role) bool { return r == DutyOfficer || r == Administrator || r == PrivacyOfficer }

func errAlone() error {
	return bolwerk.WithHint(bolwerk.Forbidden("this change needs two people"), "bolwerk user role, on the desk's own machine")
}

// ProposeRole gives a person another role where that takes rights away, and
// otherwise lays it before a second administrator: ok says that it is done.
func (s *Accounts) ProposeRole(ctx context.Context, me Person, login string, role Role, reason string) (ok bool, err error) {
	if role, err = ParseRole(string(role)); err != nil {
		return false, err
	}
	p, err := s.ByLogin(ctx, login)
	if err != nil {
		return false, err
	}
	if !gains(p.Role, role) {
		return true, s.SetRole(ctx, me.Actor(), login, role, reason)
	}
	return false, s.change(ctx, me.Actor(), login, func(tx *store.Tx, p Person) error {
		return s.propose(tx, me, ActionRole, Change{Person: p.ID, Login: p.Login, From: p.Role, To: role}, reason, "a role with more rights: two people")
	})
}

func (s *Accounts) propose(tx *store.Tx, me Person, action string, c Change, reason, need string) error {
	if s.proposals == nil {
		return errAlone()
	}
	_, err := s.proposals.Propose(tx, action, c, me.Actor(), reason, need)
	return err
}

// ProposeReset is Reset by an administrator. For somebody who approves a second
// one must approve it: whoever gets the code becomes
// that person. The code is zero then.
func (s *Accounts) ProposeReset(ctx context.Context, me Person, login, reason string) (bolwerk.Token, error) {
	p, err := s.ByLogin(ctx, login)
	if err != nil {
		return bolwerk.Token{}, err
	}
	if !approves(p.Role) {
		return s.Reset(ctx, me.Actor(), login, reason)
	}
	return bolwerk.Token{}, s.change(ctx, me.Actor(), login, func(tx *store.Tx, p Person) error {
		return s.propose(tx, me, ActionReset, Change{Person: p.ID, Login: p.Login, From: p.Role}, reason, "a new log-in for somebody who approves: two people")
	})
}

// InviteBy is Invite by an administrator. The account is a viewer's until a
// second administrator has approved a role with more rights: waits says so.
func (s *Accounts) InviteBy(ctx context.Context, me Person, login string, role Role) (code bolwerk.Token, waits bool, err error) {
	if role, err = ParseRole(string(role)); err != nil {
		return code, false, err
	}
	if gains(Viewer, role) && s.proposals == nil {
		return code, false, errAlone()
	}
	if code, err = s.Invite(ctx, me.Actor(), login, Viewer); err != nil || !gains(Viewer, role) {
		return code, false, err
	}
	_, err = s.ProposeRole(ctx, me, login, role, "invited with this role")
	return code, true, err
}

// Waiting are the changes that wait for a second administrator.
func (s *Accounts) Waiting(ctx context.Context) (all []Proposal, err error) {
	if s.proposals == nil {
		return nil, nil
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err = s.proposals.Open(tx, ActionRole, ActionReset)
		return err
	})
	return all, err
}

// Proposed is one proposal about people, with what it would do.
func (s *Accounts) Proposed(ctx context.Context, id string) (p Proposal, c Change, err error) {
	if s.proposals == nil {
		return p, c, bolwerk.NotFound("no proposal %q", clip(id))
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		p, c, err = s.proposed(tx, id)
		return err
	})
	return p, c, err
}

func (s *Accounts) proposed(tx *store.Tx, id string) (p Proposal, c Change, err error) {
	if p, err = s.proposals.Find(tx, id); err != nil {
		return p, c, err
	}
	if p.Action != ActionRole && p.Action != ActionReset {
		return p, c, bolwerk.NotFound("no proposal %q about people", clip(id))
	}
	return p, c, json.Unmarshal(p.Body, &c)
}

// ApproveChange is the second administrator's: exactly what digest says is
// done. The code is that of a reset, otherwise zero.
func (s *Accounts) ApproveChange(ctx context.Context, me Person, id, digest string) (c Change, code bolwerk.Token, err error) {
	if s.proposals == nil {
		return c, code, errAlone()
	}
	if !me.May(Administer) {
		return c, code, refusal(me)
	}
	if err := me.MayApprove(s.clock.Now()); err != nil {
		return c, code, err
	}
	fresh := bolwerk.NewToken()
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var p Proposal
		if p, c, err = s.proposed(tx, id); err != nil {
			return err
		}
		if c.Person == me.ID {
			return bolwerk.WithHint(bolwerk.Forbidden("this is about your own account"), "another administrator must approve it")
		}
		if err := s.proposals.End(tx, p, digest, me.Actor()); err != nil {
			return err
		}
		about, err := ByID(tx, c.Person)
		if err != nil {
			return err
		}
		if about.Role != c.From || about.State == Disabled && p.Action == ActionRole {
			return bolwerk.WithHint(bolwerk.Conflict("%s has changed since this was proposed", c.Login), "propose it again")
		}
		if p.Action == ActionRole && c.To == BrandOwner {
			return s.setBrands(tx, me.Actor(), about, c.Brands, p.Reason, p.By)
		}
		if p.Action == ActionRole {
			return setRole(tx, me.Actor(), about, c.To, p.Reason, p.By)
		}
		return reset(tx, me.Actor(), about, fresh, p.Reason)
	})
	if err == nil && c.To == "" {
		code = fresh
	}
	return c, code, err
}

// DropChange ends a proposal about people without doing it; any administrator may.
func (s *Accounts) DropChange(ctx context.Context, me Person, id string) error {
	if s.proposals == nil || !me.May(Administer) {
		return refusal(me)
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		p, _, err := s.proposed(tx, id)
		if err != nil {
			return err
		}
		return s.proposals.End(tx, p, "", me.Actor())
	})
}
