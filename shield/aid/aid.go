// Package aid is first aid for people who gave something away: the kinds of
// data that phishers ask for, and the partners that people can call for each.
// The public site, the warning page and the desk share it; it knows no database.
package aid

import (
	"encoding/json"
	"slices"
	"strings"

	"bolwerk"
)

// Kind is what somebody may have given away.
type Kind string

// The kinds, in the order in which pages show them: what can still be saved by
// minutes comes first.
const (
	Card     Kind = "card"     // number of a payment card, or its PIN
	OTP      Kind = "otp"      // a one-time code, or an approval in itsme, DigiD or a bank's app
	Money    Kind = "money"    // money was paid
	Remote   Kind = "remote"   // a program was installed, or somebody was let onto the device
	Password Kind = "password" // of an account
	IBAN     Kind = "iban"     // number of a bank account
	ID       Kind = "id"       // an identity document, or a picture of one
)

var kinds = []Kind{Card, OTP, Money, Remote, Password, IBAN, ID}

// Kinds are all kinds in their order.
func Kinds() []Kind { return slices.Clone(kinds) }

// Set is a set of kinds. Its zero value is empty; it can be compared.
type Set uint8

// Of is the set of ks; unknown ones are left out.
func Of(ks ...Kind) (s Set) {
	for _, k := range ks {
		if i := slices.Index(kinds, k); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// ParseSet reads names of kinds; one that we do not know is an error.
func ParseSet(names []string) (s Set, err error) {
	for _, n := range names {
		one := Of(Kind(n))
		if one == 0 {
			return 0, bolwerk.Invalid("asked_for %.40q: want %s", n, strings.Join(Of(kinds...).Names(), ", "))
		}
		s |= one
	}
	return s, nil
}

// Has says whether k is in the set.
func (s Set) Has(k Kind) bool { return s&Of(k) != 0 }

// Kinds are those of the set, in their order.
func (s Set) Kinds() (out []Kind) {
	for i, k := range kinds {
		if s>>i&1 != 0 {
			out = append(out, k)
		}
	}
	return out
}

// Names are the kinds of the set as texts.
func (s Set) Names() []string {
	out := []string{}
	for _, k := range s.Kinds() {
		out = append(out, string(k))
	}
	return out
}

// String is the set as a column keeps it: "card,otp".
func (s Set) String() string { return strings.Join(s.Names(), ",") }

// Read reads what String wrote. Kinds that a later version knows are left out.
func Read(s string) (out Set) {
	for n := range strings.SplitSeq(s, ",") {
		out |= Of(Kind(n))
	}
	return out
}

// MarshalJSON writes a list of names.
func (s Set) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON reads a list of names. Kinds that a later version knows are left
// out: an older edge must not lose a block over one.
func (s *Set) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = 0
	for _, n := range names {
		*s |= Of(Kind(n))
	}
	return nil
}
