package bolwerk

import "strings"

// Actor is who or what did something: "person:<account id>", "host:<name>",
// "rule:<name>", "order:<issuer>", "job:<kind>", "socket:admin". It carries a
// reference, never a person's name.
type Actor struct{ kind, ref string }

// Person, Host, Rule, Issuer, Task and Socket make an Actor.
func Person(id string) Actor   { return Actor{"person", id} }
func Host(name string) Actor   { return Actor{"host", name} }
func Rule(name string) Actor   { return Actor{"rule", name} }
func Issuer(name string) Actor { return Actor{"order", name} }
func Task(kind string) Actor   { return Actor{"job", kind} }
func Socket() Actor            { return Actor{"socket", "admin"} }

// ParseActor reads what String wrote.
func ParseActor(s string) (Actor, error) {
	k, r, ok := strings.Cut(s, ":")
	if !ok || k == "" || r == "" {
		return Actor{}, Invalid("actor %q: want kind:reference", s)
	}
	return Actor{k, r}, nil
}

// Kind is the part before the colon, Ref the part behind it.
func (a Actor) Kind() string { return a.kind }
func (a Actor) Ref() string  { return a.ref }

// IsPerson says that a human decided.
func (a Actor) IsPerson() bool { return a.kind == "person" }

func (a Actor) String() string {
	if a.kind == "" {
		return ""
	}
	return a.kind + ":" + a.ref
}

// MarshalText writes kind:reference.
func (a Actor) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads kind:reference; empty text is the zero Actor.
func (a *Actor) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*a = Actor{}
		return nil
	}
	*a, err = ParseActor(string(b))
	return err
}

// Lang is a language of the pages that the public sees.
type Lang string

// The four languages, in the order in which a switch shows them.
const (
	NL Lang = "nl"
	FR Lang = "fr"
	DE Lang = "de"
	EN Lang = "en"
)

// Langs are all languages in the order of a switch.
func Langs() []Lang { return []Lang{NL, FR, DE, EN} }

// Scope says how much of the name space a block takes.
type Scope string

// The scopes. URLOnly never enters DNS.
const (
	ScopeHost        Scope = "host"        // the name; www. too where the name is a registrable domain
	ScopeSubtree     Scope = "subtree"     // the name and all below
	ScopeRegistrable Scope = "registrable" // the registrable domain and all below
	ScopeURLOnly     Scope = "url_only"    // not a DNS measure
)

// ParseScope reads a scope.
func ParseScope(s string) (Scope, error) {
	switch v := Scope(s); v {
	case ScopeHost, ScopeSubtree, ScopeRegistrable, ScopeURLOnly:
		return v, nil
	}
	return "", Invalid("scope %q: want host, subtree, registrable or url_only", s)
}

// DNS says whether the scope is a DNS measure at all.
func (s Scope) DNS() bool { return s != ScopeURLOnly && s != "" }

// Covers says whether a block of name with scope s catches q.
// wwwToo is set where name is a registrable domain and s is host.
func (s Scope) Covers(name, q Domain, wwwToo bool) bool {
	switch s {
	case ScopeHost:
		return q == name || wwwToo && q.name == "www."+name.name
	case ScopeSubtree, ScopeRegistrable:
		return q.Below(name)
	}
	return false
}
