package judge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/lists"
)

// Proposal is a block that somebody or a rule proposes.
type Proposal struct {
	Name  bolwerk.Domain `json:"name"`
	Scope bolwerk.Scope  `json:"scope"`
	Until time.Time      `json:"until"`
	Class string         `json:"class"` // phishing, fake_shop, malware, scam
	Brand string         `json:"brand,omitempty"`
	// Order is the issuer of an order, empty for our own decision. Only the
	// technical rails apply to an order.
	Order       string   `json:"order,omitempty"`
	Compromised bool     `json:"compromised,omitempty"`
	Reasons     []Reason `json:"reasons"`
	// Versions are the lists that it was made with: name to version.
	Versions map[string]string `json:"versions,omitempty"`
}

// Digest is what an approval is bound to: a proposal that changed by one
// character has another.
func (p Proposal) Digest() string {
	p.Until = p.Until.UTC()
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a time of our own: cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Propose makes a proposal of a verdict and a scope decision. ok is false where
// the rules propose none: the verdict is not malicious or suspicious, or no DNS
// measure fits. A person may still confirm scope host.
func Propose(v Verdict, s ScopeDecision, class string, compromised bool, now time.Time) (_ Proposal, ok bool) {
	if v.Word != Malicious && v.Word != Suspicious || s.Refused || !s.Scope.DNS() {
		return Proposal{}, false
	}
	return Proposal{
		Name: s.Name, Scope: s.Scope, Until: now.Add(s.For).Truncate(time.Microsecond), Class: class, Brand: v.Brand,
		Compromised: compromised, Reasons: append(append([]Reason{}, s.Reasons...), v.Reasons...),
	}, true
}

// Effect is what an objection asks for.
type Effect string

// The effects. Refuse is for everybody, administrators too.
const (
	Refuse           Effect = "refuse"
	NeedsTwoPeople   Effect = "needs_two"
	NeedsDutyOfficer Effect = "needs_duty_officer"
	Hold             Effect = "hold" // a publication waits for two people
)

// Objection is one guard that is not content. docs/understand/guards.md lists
// them all.
type Objection struct {
	Guard    int    `json:"guard"`
	Rule     string `json:"rule"` // a stable code
	Effect   Effect `json:"effect"`
	Sentence string `json:"sentence"` // lower case, no full stop
	Hint     string `json:"hint"`
	// Text is which sentence it is, where a rule has several, and Args what stands
	// in it: for pages in other languages.
	Text string   `json:"-"`
	Args []string `json:"-"`
}

// Refusal is the objections as one error of the kind bolwerk.ErrForbidden, nil
// without any.
func Refusal(objections []Objection) error {
	if len(objections) == 0 {
		return nil
	}
	var what, hints []string
	for _, o := range objections {
		what = append(what, fmt.Sprintf("%s (guard %d, %s)", o.Sentence, o.Guard, o.Rule))
		if o.Hint != "" {
			hints = append(hints, o.Hint)
		}
	}
	return &refused{bolwerk.WithHint(bolwerk.Forbidden("%s", strings.Join(what, "; ")), strings.Join(hints, "; ")), objections}
}

// refused is a Refusal that still knows its objections.
type refused struct {
	error
	objections []Objection
}

func (r *refused) Unwrap() error { return r.error }

// Objections are those that an error of Refusal was made of; nil for any other.
func Objections(err error) []Objection {
	var r *refused
	if errors.As(err, &r) {
		return r.objections
	}
	return nil
}

// Approval is the second person's, bound to the digest of what he saw.
type Approval struct {
	By     Person
	Digest string
}

// Limits are the numbers of the guards.
type Limits struct {
	PopularNever int           `toml:"popular_never"` // ranks up to it are never taken wider than a host
	PopularTwo   int           `toml:"popular_two"`   // ranks up to it need two people
	Longest      time.Duration `toml:"longest"`       // from now to the end of a person's block
	Compromised  time.Duration `toml:"compromised"`   // the same for somebody's own site
	Cap          time.Duration `toml:"cap"`           // from the first day to the end, renewals included
	ExemptOne    time.Duration `toml:"exempt_one"`    // the longest exemption of one person
	AddPart      float64       `toml:"add_part"`      // of the entries, in one publication
	AddMin       int           `toml:"add_min"`       // additions that are always in order
	RemovePart   float64       `toml:"remove_part"`
	RemoveMin    int           `toml:"remove_min"`
	MachineLimits
}

// DefaultLimits are the numbers that docs/understand/guards.md gives reasons for.
func DefaultLimits() Limits {
	return Limits{
		PopularNever: 10_000, PopularTwo: 100_000,
		Longest: ForPerson, Compromised: ForCompromised, Cap: 180 * 24 * time.Hour, ExemptOne: 24 * time.Hour,
		AddPart: 0.10, AddMin: 500, RemovePart: 0.20, RemoveMin: 50,
		MachineLimits: defaultMachineLimits(),
	}
}

// Context is what the guards look at besides the proposal: the lists as they are
// loaded, and the people. A list that is not loaded refuses nothing; `check`
// warns of it.
type Context struct {
	Now       time.Time
	Limits    Limits
	Suffixes  *suffix.List
	Platforms *Platforms
	Never     *NeverBlock
	Popular   lists.Popularity
	KnownGood []*lists.Set
	// Exemptions that are in force: one whose end has passed is, while the desk's clock
	// is in doubt and ends nothing.
	Exemptions []Exemption
	// Zone is the longest zone that the name is published in: "b.rpz" where zero.
	Zone bolwerk.Domain
	// AgeKnown says that the age of the registrable domain was learned; Age is it.
	AgeKnown bool
	Age      time.Duration
	// Evidence is what is known of the name.
	Evidence []Evidence
	// Asked is how much the name was asked for before its first report, and what
	// else the block would take.
	Asked Asked
	// Machine is set where a rule decides instead of a person: then every guard
	// that asks for people leaves the case to them.
	Machine *Machine
	// Since is when the block first came into force; zero for a new one.
	Since time.Time
	// First is who confirms, Second who approved, if anybody did. Reporters are
	// the accounts of our own people that reported the name.
	First     Person
	Second    *Approval
	Reporters []string

	off map[string]bool // rules that an ablation test switches off
}

// rule is one guard rule.
type rule[C any] struct {
	guard int
	name  string
	check func(C) *Objection
}

func object(e Effect, hint, format string, a ...any) *Objection {
	o := &Objection{Effect: e, Hint: hint, Sentence: fmt.Sprintf(format, a...)}
	for _, arg := range a {
		o.Args = append(o.Args, fmt.Sprint(arg))
	}
	return o
}

// as names the sentence of an objection where its rule has several.
func (o *Objection) as(text string) *Objection {
	o.Text = text
	return o
}

// given is a proposal with all that is known of it.
type given struct {
	Proposal
	Context
	place Place
}

// Check lets every guard look at a proposal and at who decides it, and returns
// what they object; none means that it may be published. It runs when a person
// confirms, when a second approves, and again inside the publishing transaction.
// To an order only the technical rails apply: valid scope, never-block list,
// known-good set. Withdrawals have no guard: do not ask Check about one.
func Check(p Proposal, c Context) []Objection {
	g := given{p, c, PlaceOf(p.Name, c.Suffixes, c.Platforms)}
	var out []Objection
	run := func(guard int, name string, check func() *Objection) {
		if c.off[name] {
			return
		}
		if o := check(); o != nil {
			o.Guard, o.Rule, o.Text = guard, name, cmp.Or(o.Text, name)
			out = append(out, *o)
		}
	}
	for _, r := range technicalRules {
		run(r.guard, r.name, func() *Objection { return r.check(g) })
	}
	if p.Order != "" {
		return out
	}
	for _, r := range decisionRules {
		run(r.guard, r.name, func() *Objection { return r.check(g) })
	}
	if c.Machine != nil {
		for _, r := range machineRules {
			run(r.guard, r.name, func() *Objection { return r.check(g) })
		}
		return out
	}
	if c.Second == nil {
		run(7, "first_role", func() *Objection { return approvalRules[0].check(pair{first: c.First, action: Confirm}) })
		return out
	}
	run(7, "digest", func() *Objection {
		if c.Second.Digest != p.Digest() {
			return object(NeedsTwoPeople, "show the second person the proposal as it is now", "the proposal changed after it was approved")
		}
		return nil
	})
	action := Confirm
	if g.needsTwo() {
		action = ConfirmWide
	}
	for _, r := range approvalRules {
		if r.name == "duty_officer" && action == Confirm {
			continue // one person could have confirmed it alone
		}
		run(r.guard, r.name, func() *Objection { return r.check(pair{c.First, c.Second.By, action, c.Now, c.Reporters}) })
	}
	return out
}

// CheckRenewal lets the guards look at a block that rules are about to extend. What
// refuses everybody refuses this; where no person has confirmed the block, what asks
// for a second person leaves it to people too.
func CheckRenewal(p Proposal, c Context, machine bool) (out []Objection) {
	g := given{p, c, PlaceOf(p.Name, c.Suffixes, c.Platforms)}
	for _, rules := range [][]rule[given]{technicalRules, decisionRules} {
		for _, r := range rules {
			if o := r.check(g); o != nil && !c.off[r.name] && (machine || o.Effect == Refuse) {
				o.Guard, o.Rule, o.Text = r.guard, r.name, cmp.Or(o.Text, r.name)
				out = append(out, *o)
			}
		}
	}
	return out
}

// CheckAge lets the guards on age look again at a block of a rule, when the age of
// its domain has become known after the decision.
func CheckAge(p Proposal, c Context) (out []Objection) {
	if c.Machine == nil {
		c.Machine = &Machine{}
	}
	g := given{p, c, PlaceOf(p.Name, c.Suffixes, c.Platforms)}
	for _, rules := range [][]rule[given]{decisionRules, machineRules} {
		for _, r := range rules {
			if r.guard != 4 || c.off[r.name] {
				continue
			}
			if o := r.check(g); o != nil {
				o.Guard, o.Rule, o.Text = r.guard, r.name, cmp.Or(o.Text, r.name)
				out = append(out, *o)
			}
		}
	}
	return out
}

// needsTwo says that one of the rules that are on asks for a second person.
func (g given) needsTwo() bool {
	g.Second = nil
	for _, r := range decisionRules {
		if g.off[r.name] {
			continue
		}
		if o := r.check(g); o != nil && o.Effect == NeedsTwoPeople {
			return true
		}
	}
	return false
}
