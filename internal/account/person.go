package account

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bolwerk"
)

// Role is what a person does at the desk.
type Role string

// The roles. They are not a ladder: an administrator takes no decisions about
// names, and a privacy officer sees no case.
const (
	Viewer         Role = "viewer"
	Analyst        Role = "analyst"
	DutyOfficer    Role = "duty_officer"
	Administrator  Role = "admin"
	PrivacyOfficer Role = "privacy_officer"
)

// BrandOwner is somebody of a brand that phishers imitate: no colleague. It sees
// what looks like its brands, says what it knows of it, and decides nothing.
const BrandOwner Role = "brand_owner"

// Roles are the roles of our own people in the order in which a form shows them.
func Roles() []Role { return []Role{Viewer, Analyst, DutyOfficer, PrivacyOfficer, Administrator} }

// ParseRole reads a role; a hyphen or a space may stand for the underscore.
func ParseRole(s string) (Role, error) {
	r := Role(strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(strings.TrimSpace(s))))
	if !slices.Contains(Roles(), r) {
		return "", bolwerk.Invalid("role %q: want viewer, analyst, duty_officer, privacy_officer or admin", clip(s))
	}
	return r, nil
}

// Right is one line of the table of rights in docs.
type Right int

// The rights.
const (
	Look        Right = iota // see everything but people's identities
	Decide                   // reject, withdraw, confirm and exempt within one person's bounds
	Lead                     // be the duty officer of a decision that needs two people
	Administer               // people, hosts, lists, settings
	Fetch                    // fetch what is in force as a file
	OwnBrand                 // see what looks like its own brands, and answer
	Oversee                  // see who looked at which subscriber, give and hold what is kept of one, ask for its erasure
	Countersign              // be the second person of what Oversee asks for
)

var rights = map[Role][]Right{
	Viewer:         {Look, Fetch},
	Analyst:        {Look, Decide, Fetch},
	DutyOfficer:    {Look, Decide, Lead, Fetch, Countersign},
	Administrator:  {Look, Administer, Fetch},
	BrandOwner:     {OwnBrand},
	PrivacyOfficer: {Oversee, Countersign},
}

// Scope is what a token may do, within what its person may do.
type Scope string

// The scopes.
const (
	Read         Scope = "read"    // look
	Report       Scope = "report"  // hand in reports
	DecideScope  Scope = "decide"  // decide for its person; never approve
	Administrate Scope = "admin"   // people, hosts, lists, settings
	Feed         Scope = "feed"    // fetch what is in force as a file, and nothing else
	BrandScope   Scope = "brand"   // see what looks like its own brands, and answer
	PrivacyScope Scope = "privacy" // what a privacy officer does, but for approving
)

// Scopes are all scopes in the order in which a form shows them.
func Scopes() []Scope {
	return []Scope{Read, Report, DecideScope, Administrate, Feed, BrandScope, PrivacyScope}
}

// ParseScopes reads scopes by commas or spaces. At least one is needed.
func ParseScopes(s string) ([]Scope, error) {
	var out []Scope
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		v := Scope(strings.ToLower(w))
		if !slices.Contains(Scopes(), v) {
			return nil, bolwerk.Invalid("scope %q: want read, report, decide, admin, feed, brand or privacy", clip(w))
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, bolwerk.Invalid("a token without a scope may do nothing: want read, report, decide, admin, feed, brand or privacy")
	}
	return out, nil
}

func joinScopes(scopes []Scope) string {
	s := make([]string, len(scopes))
	for i, v := range scopes {
		s[i] = string(v)
	}
	return strings.Join(s, ",")
}

// By is how a person showed who it is.
type By string

// The ways in.
const (
	BySession By = "session"
	ByToken   By = "token"
)

// State is how an account stands.
type State string

// The states.
const (
	Invited  State = "invited"  // has no password yet
	Active   State = "active"   // may log in
	Disabled State = "disabled" // may not; it is kept for the audit trail
)

// Person is somebody of the desk, as an account or behind a request.
type Person struct {
	ID        string    `json:"id"`
	Login     string    `json:"login"`
	Role      Role      `json:"role"`
	RoleSince time.Time `json:"role_since"`
	MadeAt    time.Time `json:"made_at"`
	Exempt    bool      `json:"exempt"` // from the age that approving needs
	State     State     `json:"state"`
	SeenAt    time.Time `json:"seen_at,omitzero"` // last log-in; zero is never

	// Brands are those that a brand owner answers for; empty for everybody else.
	Brands []string `json:"brands,omitempty"`

	Mail   string `json:"mail,omitempty"`   // where to tell it that something waits
	Issuer string `json:"issuer,omitempty"` // log-in provider that answers for it; empty for an account of our own
	// GlassUntil is the end of a break-glass account, GlassOpened when its seal
	// was broken; both are zero for everybody else.
	GlassUntil  time.Time `json:"glass_until,omitzero"`
	GlassOpened time.Time `json:"glass_opened,omitzero"`
	subject     string    // what Issuer calls it; for insert only

	// The rest is set behind a request only.
	By      By        `json:"-"`
	Scopes  []Scope   `json:"-"` // of the token; empty in a session
	Session string    `json:"-"` // id of the session; empty with a token
	Proved  time.Time `json:"-"` // when it last showed who it is in this session
	Setup   bool      `json:"-"` // may do nothing but set a password or a passkey
	Glass   Glass     `json:"-"` // the break-glass account that is in use now
}

// Glass names a break-glass account that is in use.
type Glass struct {
	Login string
	Until time.Time
}

// Actor is how decisions name the person.
func (p Person) Actor() bolwerk.Actor { return bolwerk.Person(p.ID) }

// May says whether the person may do this, in the way it came in.
func (p Person) May(r Right) bool {
	if p.State != Active || p.Setup || !slices.Contains(rights[p.Role], r) {
		return false
	}
	if p.By != ByToken {
		return true
	}
	switch r {
	case Look:
		return slices.Contains(p.Scopes, Read)
	case Decide, Lead:
		return slices.Contains(p.Scopes, DecideScope)
	case Administer:
		return slices.Contains(p.Scopes, Administrate)
	case Fetch:
		return slices.Contains(p.Scopes, Feed) || slices.Contains(p.Scopes, Read)
	case OwnBrand:
		return slices.Contains(p.Scopes, BrandScope)
	case Oversee:
		return slices.Contains(p.Scopes, PrivacyScope)
	}
	return false
}

// MayReport says whether the person may hand in reports by the API.
func (p Person) MayReport() bool {
	return p.State == Active && p.Role != BrandOwner && p.Role != PrivacyOfficer && (p.By != ByToken || slices.Contains(p.Scopes, Report))
}

// Seasoned is how old an account and its role must be before it may approve, so
// that whoever takes over one account cannot make the second person too.
const Seasoned = 24 * time.Hour

// ProofLife is how old a proof of who somebody is may be when it approves: a
// passkey or a password, shown in this session.
const ProofLife = 5 * time.Minute

// Fresh says that the person has shown who it is within ProofLife. Where it has
// not, Door.AskProof asks for it.
func (p Person) Fresh(now time.Time) bool {
	return p.By == BySession && !p.Setup && now.Sub(p.Proved) < ProofLife
}

// MayApprove says why this person may not be the second one of a decision at
// now; nil when it may. Who proposed it is the caller's to compare.
func (p Person) MayApprove(now time.Time) error {
	from := p.ApprovesFrom()
	switch {
	case p.By != BySession:
		return bolwerk.WithHint(bolwerk.Forbidden("an approval is given in a session, not with a token"), "log in to the console")
	case !p.May(Decide) && !p.May(Administer) && !p.May(Countersign):
		return bolwerk.Forbidden("the role %s approves nothing", p.Role)
	case now.Before(from):
		return bolwerk.WithHint(bolwerk.Forbidden("this account or its role is younger than 24 hours and may not approve yet"),
			fmt.Sprintf("it may from %s UTC; ask somebody else until then", from.UTC().Format("2006-01-02 15:04")))
	case !p.Fresh(now):
		return bolwerk.WithHint(bolwerk.Forbidden("an approval needs your passkey or your password, shown within the last 5 minutes"), "show again who you are at /proof, then approve")
	}
	return nil
}

// ParseLogin reads a log-in name: 2 to 40 lower-case letters, digits and . _ -,
// a letter or digit first.
func ParseLogin(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	ok := len(s) >= 2 && len(s) <= 40 && !strings.ContainsRune("._-", rune(s[0]))
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return "", bolwerk.Invalid("log-in name %q: want 2 to 40 letters a to z, digits and . _ -, a letter or digit first", clip(s))
	}
	return s, nil
}

// clip keeps a stranger's text short in a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// ApprovesFrom is when account and role are old enough to approve; zero where
// the account is exempt.
func (p Person) ApprovesFrom() time.Time {
	from := p.MadeAt
	if p.RoleSince.After(from) {
		from = p.RoleSince
	}
	if p.Exempt {
		return time.Time{}
	}
	return from.Add(Seasoned)
}
