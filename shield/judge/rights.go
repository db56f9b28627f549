package judge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bolwerk"
)

// Role is what a person of the desk may do. Somebody can have several.
type Role string

// The roles. Admin is no decider: he looks after people, hosts and lists.
const (
	Viewer      Role = "viewer"
	Analyst     Role = "analyst"
	DutyOfficer Role = "duty_officer"
	Admin       Role = "admin"
)

// Person is who decides, as the guards need to know him.
type Person struct {
	ID    string // account id
	Roles []Role
	// Session says that he is logged in himself; false for a personal token.
	Session bool
	// AccountSince and RoleSince are when the account was made and when its
	// roles were last changed.
	AccountSince, RoleSince time.Time
	// Founding marks an account made over the admin socket before the first
	// publication: its age is not asked for.
	Founding bool
}

// Is says whether the person has one of the roles.
func (p Person) Is(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// Action is something that a person wants to do.
type Action string

// The actions. The Wide ones need two people: MayApprove.
const (
	Look        Action = "look"
	Reject      Action = "reject"
	Withdraw    Action = "withdraw"     // a block; never needs a second person
	Confirm     Action = "confirm"      // host or subtree, up to 14 days
	ConfirmWide Action = "confirm_wide" // registrable, and popular names
	Exempt      Action = "exempt"       // up to 24 h
	ExemptWide  Action = "exempt_wide"  // longer, or for ever
	EditNever   Action = "edit_never"   // the operator's rows of the never-block list
	Release     Action = "release"      // a publication or a list that was held back
	Settings    Action = "settings"     // people, hosts, lists, settings
	AssignRole  Action = "assign_role"
	ForgetName  Action = "forget_name"  // in the transparency log; cannot be undone
	Warn        Action = "warn"         // the public in one's own words, up to 14 days
	TellOutside Action = "tell_outside" // let the first notice to a recipient go, and with it all that follow
	AdoptDomain Action = "adopt_domain" // that a brand's owner gave as the brand's own
	AdoptWide   Action = "adopt_wide"   // one that many use, or under which something is blocked
)

// may is who may begin what.
var may = map[Action][]Role{
	Look:        {Viewer, Analyst, DutyOfficer, Admin},
	Reject:      {Analyst, DutyOfficer},
	Withdraw:    {Analyst, DutyOfficer},
	Confirm:     {Analyst, DutyOfficer},
	ConfirmWide: {Analyst, DutyOfficer},
	Exempt:      {Analyst, DutyOfficer},
	ExemptWide:  {Analyst, DutyOfficer},
	EditNever:   {Analyst, DutyOfficer},
	Release:     {Analyst, DutyOfficer},
	AdoptDomain: {Analyst, DutyOfficer},
	AdoptWide:   {Analyst, DutyOfficer},
	Settings:    {Admin},
	AssignRole:  {Admin},
	ForgetName:  {DutyOfficer},
	TellOutside: {DutyOfficer},
	Warn:        {Analyst, DutyOfficer}, // as for a block of 14 days, which warns by itself
}

// second is which of the two must be among the pair, for actions of two people.
var second = map[Action]Role{
	ConfirmWide: DutyOfficer, ExemptWide: DutyOfficer, EditNever: DutyOfficer, Release: DutyOfficer, AdoptWide: DutyOfficer,
	AssignRole: Admin,
}

// NeedsTwo says whether an action is for two different people.
func NeedsTwo(a Action) bool { _, two := second[a]; return two }

// May says whether a person may do a, or begin it where NeedsTwo. The error is
// of the kind bolwerk.ErrForbidden.
func May(p Person, a Action) error {
	roles, ok := may[a]
	if !ok {
		return bolwerk.Forbidden("%s is nothing that anybody may do", a)
	}
	if p.ID == "" || !p.Is(roles...) {
		return bolwerk.WithHint(bolwerk.Forbidden("%s: your roles do not allow it", a), fmt.Sprintf("ask a colleague who is %s", orRoles(roles)))
	}
	return nil
}

// MinAge is how old an account and its roles must be to approve. Who takes over
// an admin account cannot make himself a second person on the same day.
const MinAge = 24 * time.Hour

// MayApprove says whether two may do a together where second has approved what
// first began: two different people who may both act, one of them with the role
// that the action asks for, the second in a session of his own and with an
// account and roles of MinAge.
func MayApprove(first, secondPerson Person, a Action, now time.Time) error {
	var objections []Objection
	for _, r := range approvalRules {
		if o := r.check(pair{first, secondPerson, a, now, nil}); o != nil {
			o.Guard, o.Rule, o.Text = r.guard, r.name, cmp.Or(o.Text, r.name)
			objections = append(objections, *o)
		}
	}
	return Refusal(objections)
}

func orRoles(roles []Role) string {
	text := ""
	for i, r := range roles {
		switch {
		case i > 0 && i == len(roles)-1:
			text += " or "
		case i > 0:
			text += ", "
		}
		text += string(r)
	}
	return text
}

// pair is what the rules about two people look at.
type pair struct {
	first, second Person
	action        Action
	now           time.Time
	reporters     []string
}

// approvalRules are guard 7, four eyes.
var approvalRules = []rule[pair]{
	{7, "first_role", func(c pair) *Objection {
		if err := May(c.first, c.action); err != nil {
			return object(Refuse, "an analyst or a duty officer confirms", "%s", err)
		}
		return nil
	}},
	{7, "second_role", func(c pair) *Objection {
		if err := May(c.second, c.action); err != nil {
			return object(Refuse, "an analyst or a duty officer approves", "%s", err)
		}
		return nil
	}},
	{7, "same_person", func(c pair) *Objection {
		if c.first.ID != "" && c.first.ID == c.second.ID {
			return object(NeedsTwoPeople, "ask a colleague", "the approval is by the person who confirmed")
		}
		return nil
	}},
	{7, "reporter", func(c pair) *Objection {
		if slices.Contains(c.reporters, c.first.ID) || slices.Contains(c.reporters, c.second.ID) {
			return object(NeedsTwoPeople, "ask a colleague who did not report it", "one of the two reported the name")
		}
		return nil
	}},
	{7, "duty_officer", func(c pair) *Objection {
		role := second[c.action]
		if !c.first.Is(role) && !c.second.Is(role) {
			return object(NeedsDutyOfficer, "ask the "+string(role), "neither of the two is %s", role)
		}
		return nil
	}},
	{7, "session", func(c pair) *Objection {
		if !c.second.Session {
			return object(Refuse, "log in and approve there", "an approval is given in a session, never by a token")
		}
		return nil
	}},
	{7, "young_account", func(c pair) *Objection {
		if s := c.second; !s.Founding && (c.now.Sub(s.AccountSince) < MinAge || c.now.Sub(s.RoleSince) < MinAge) {
			return object(Refuse, "ask a colleague whose account is older", "the approver's account or role is younger than 24 hours")
		}
		return nil
	}},
}
