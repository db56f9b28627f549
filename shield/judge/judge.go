// Package judge decides what a reported name is and how much of it may be
// blocked: evidence, verdict, scope and the guard rails. Everything in it is a
// pure function of what it is given (the lists as they are loaded, the facts of
// the report, the people who decide), so that a case can be judged again and
// gives the same answer. Rules only propose: nothing is published without a
// person or an order.
package judge

import "bolwerk"

// Ruleset names this version of the rules. A verdict and a proposal store it.
const Ruleset = "2026.3"

// Word is what evidence or a verdict says.
type Word string

// The words. NoData and Failed are for evidence only, Inconclusive for verdicts
// only. NoData and Failed are shown and never count as clean.
const (
	Malicious    Word = "malicious"
	Suspicious   Word = "suspicious"
	Clean        Word = "clean"
	Inconclusive Word = "inconclusive"
	NoData       Word = "no_data"
	Failed       Word = "failed"
)

// Family groups evidence that comes from one way of looking. Two pieces of one
// family do not confirm each other where independence is asked for.
type Family string

// The families of this release.
const (
	FamilyName    Family = "name"    // what the name itself tells
	FamilyList    Family = "list"    // the operator's feeds and allow lists
	FamilyMessage Family = "message" // the mail that the name came in
	FamilyContent Family = "content" // what the page shows and asks for
	FamilyKit     Family = "kit"     // rules that know a phishing kit
	FamilyCrowd   Family = "crowd"   // how many people reported it: priority only
	// FamilyRegistration is what registry and DNS say of its domain, and
	// FamilyCertificate what certificate transparency logs have of it.
	FamilyRegistration Family = "registration"
	FamilyCertificate  Family = "certificate"
	// FamilyUse is how much the name is asked for at the operator's resolvers. It
	// is shown and guards (guard 3), and never says anything of a verdict.
	FamilyUse Family = "use"
)

// Tier says how much a source is trusted: 1 authoritative, 2 strong, 3 context.
type Tier int

// Evidence is one thing that one source says about one name.
type Evidence struct {
	Family  Family `json:"family"`
	Source  string `json:"source"`
	Tier    Tier   `json:"tier"`
	Verdict Word   `json:"verdict"`
	// Reason is a stable code ("combosquat"); Detail says what was seen, for a
	// person, and may hold text of strangers.
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
	Brand  string `json:"brand,omitempty"`
	// ListVersion is the version of the list that was asked.
	ListVersion string `json:"list_version,omitempty"`
}

// Reason is one line of why: a stable code and a sentence for people.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Brand is a name that phishers imitate, as the operator configures it.
type Brand struct {
	// Name is shown to people: "Example Bank".
	Name string `toml:"name"`
	// Tokens are how the brand appears in host names: letters, digits and
	// hyphens, at least 3 characters. Empty: the first label of each domain.
	Tokens []string `toml:"tokens"`
	// Words are such tokens that are words of a language too, or too short to
	// tell (orange, ups): they count only in a name that has something else
	// against it.
	Words []string `toml:"words"`
	// Domains are the brand's own; they and all below never look like it.
	Domains []bolwerk.Domain `toml:"domains"`
	// Everywhere are labels that the brand has under most countries' suffixes: a
	// name that is such a label there is neither its own nor an imitation.
	Everywhere []string `toml:"everywhere"`
	// Top are top-level domains that are the brand's.
	Top []bolwerk.Domain `toml:"-"`
	// Display are the names under which the brand sends mail. Empty: Name.
	Display []string `toml:"display"`
	// partial says that Domains lacks some: likeness alone is context then.
	partial bool
	// Icons are the SHA-256 of the icons of the brand's own site, in hex: a page
	// elsewhere that has one shows itself as the brand.
	Icons []string `toml:"icons"`
}
