// Package mail is the operator's post room: the SMTP door through which
// reports come in, the rules for who may be answered, and the two ways out
// (a relay, or a folder of files).
//
// It knows no report and no case. What comes in is bytes with an envelope;
// what goes out is text that the caller wrote.
package mail

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/idn"
)

// Address is a mailbox: a dot-atom (RFC 5322 section 3.2.3, with the letters of
// RFC 6531) of at most 64 octets at a Domain. Quoted local parts and address
// literals are refused: nobody reports from one, and they are how filters are
// walked around. The zero Address is none; as a sender it is the null path <>.
type Address struct {
	local  string
	domain bolwerk.Domain
}

// ParseAddress reads local@domain. The domain may hold U-labels; it is kept as
// A-labels. The local part keeps its case.
func ParseAddress(s string) (Address, error) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || len(s) > 320 {
		return Address{}, bolwerk.Invalid("mail address: want name@domain of at most 320 octets")
	}
	local := s[:at]
	if !dotAtom(local) || len(local) > 64 {
		return Address{}, bolwerk.Invalid("mail address: the part before the @ is not a plain name of at most 64 octets")
	}
	domain, err := parseDomain(s[at+1:])
	if err != nil {
		return Address{}, bolwerk.Invalid("mail address: the part behind the @ is not a domain")
	}
	return Address{local, domain}, nil
}

// MustAddress is ParseAddress for addresses known at compile time; it panics.
func MustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// Local is the part before the @, Domain the part behind it.
func (a Address) Local() string          { return a.local }
func (a Address) Domain() bolwerk.Domain { return a.domain }

// IsZero says that there is no address.
func (a Address) IsZero() bool { return a.local == "" }

// ASCII says that the address needs no SMTPUTF8.
func (a Address) ASCII() bool { return ascii(a.local) }

func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.local + "@" + a.domain.String()
}

// Key is the same for all spellings that reach one person: lower case, without
// the +tag. It is what "one mail a sender a day" counts by.
func (a Address) Key() string {
	local, _, _ := strings.Cut(a.local, "+")
	if local == "" {
		local = a.local
	}
	return strings.ToLower(local) + "@" + a.domain.String()
}

// Same says that both are one mailbox of ours: case does not matter, a +tag does.
func (a Address) Same(b Address) bool {
	return a.domain == b.domain && strings.EqualFold(a.local, b.local)
}

// MarshalText writes local@domain.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads an address; empty text is the zero Address.
func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	v, err := ParseAddress(string(b))
	if err == nil {
		*a = v
	}
	return err
}

func parseDomain(s string) (bolwerk.Domain, error) {
	if len(s) > 253 {
		return bolwerk.Domain{}, bolwerk.Invalid("domain of %d octets", len(s))
	}
	if !ascii(s) {
		return idn.Parse(s)
	}
	return bolwerk.ParseDomain(s)
}

func dotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r):
		case r > unicode.MaxASCII && unicode.IsPrint(r):
		default:
			return false
		}
	}
	return true
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] > unicode.MaxASCII {
			return false
		}
	}
	return true
}

// Network is what is kept of a client's address for quotas and logs: its /24,
// or its /48 in IPv6.
func Network(a netip.Addr) netip.Prefix {
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // fails for the zero Addr only: the zero Prefix then
	return p
}
