package bolwerk

import "strings"

// Domain is a host name in lower-case A-labels (RFC 5890 section 2.3.2.1)
// without the final dot, at most 253 octets, labels of 1 to 63 octets from
// letters, digits, hyphen and underscore. The zero Domain is no name.
// Names with other letters are converted first (package internal/idn).
type Domain struct{ name string }

// ParseDomain reads a name of A-labels. It lowers the case and takes one final
// dot off. It refuses IP addresses: a name whose last label is all digits.
func ParseDomain(s string) (Domain, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if name == "" {
		return Domain{}, Invalid("a name is empty")
	}
	if len(name) > 253 {
		return Domain{}, Invalid("name of %d octets: at most 253 are allowed", len(name))
	}
	start, last := 0, ""
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '.' {
			c := name[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return Domain{}, Invalid("name %q: character %q is not allowed", s, rune(c))
			}
			continue
		}
		if n := i - start; n == 0 || n > 63 {
			return Domain{}, Invalid("name %q: a label has %d octets, 1 to 63 are allowed", s, n)
		}
		last = name[start:i]
		start = i + 1
	}
	if strings.Trim(last, "0123456789") == "" {
		return Domain{}, Invalid("%q is an address, not a name", s)
	}
	return Domain{name}, nil
}

// MustDomain is ParseDomain for names known at compile time; it panics.
func MustDomain(s string) Domain {
	d, err := ParseDomain(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (d Domain) String() string { return d.name }

// IsZero says that d is no name.
func (d Domain) IsZero() bool { return d.name == "" }

// Parent is the name without its first label; zero above a single label.
func (d Domain) Parent() Domain {
	if i := strings.IndexByte(d.name, '.'); i >= 0 {
		return Domain{d.name[i+1:]}
	}
	return Domain{}
}

// Below says whether d is p or lies below p.
func (d Domain) Below(p Domain) bool {
	if p.name == "" {
		return false
	}
	return d.name == p.name || strings.HasSuffix(d.name, "."+p.name)
}

// Labels is the number of labels; 0 for the zero Domain.
func (d Domain) Labels() int {
	if d.name == "" {
		return 0
	}
	return strings.Count(d.name, ".") + 1
}

// MarshalText writes the name.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.name), nil }

// UnmarshalText reads a name; empty text is the zero Domain.
func (d *Domain) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Domain{}
		return nil
	}
	v, err := ParseDomain(string(b))
	if err == nil {
		*d = v
	}
	return err
}
