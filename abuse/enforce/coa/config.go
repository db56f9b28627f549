package coa

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
)

// Config is an access server that takes changes of sessions by RADIUS (RFC 5176).
type Config struct {
	// Name is the access server's in accounting: its NAS-Identifier, or its address.
	Name string `toml:"name"`
	// Address is where it listens, address:port: 3799, or 1700 as some have it.
	Address string `toml:"address"`
	// SecretFile holds the shared secret on its first line, mode 0600; at least 8 octets.
	SecretFile string `toml:"secret_file"`
	// Attributes says how it names a profile: standard (Filter-Id), nokia, juniper,
	// cisco, mikrotik or huawei.
	Attributes string `toml:"attributes"`
	// Normal, Leaky and Strict are the profiles' names there. Normal is needed where a
	// filter is replaced by another; juniper and cisco take a service away instead.
	Normal string `toml:"normal"`
	Leaky  string `toml:"leaky"`
	Strict string `toml:"strict"`
	// Keys name the session beside its Acct-Session-Id, which is always sent: user,
	// class, calling, port, address. At least one of the first four: an address alone
	// names whoever has it by then. Some servers refuse a key that others need.
	Keys []string `toml:"keys"`
	// Pace is how many changes a second it is sent; a tenth of it at once after a pause.
	Pace int `toml:"pace"`
	// Timeout is how long an answer to one try may take; Tries how often the same
	// packet is sent.
	Timeout bolwerk.Duration `toml:"timeout"`
	Tries   int              `toml:"tries"`
	// Unsigned takes answers without a Message-Authenticator, of servers that send none.
	// The answer's own authenticator is checked always.
	Unsigned bool `toml:"unsigned"`
	// Disconnect ends a session whose way back to normal is refused: it logs in again.
	// A telephone call on the line breaks off.
	Disconnect bool `toml:"disconnect"`
	// Canary is the user of a session of the operator's own at this server. A profile
	// is used here only after it was put on this session, and taken off again.
	Canary string `toml:"canary"`
	// CanaryLook is a page (http) behind the canary's line or at the server that answers
	// with the profile in force: normal, leaky or strict. Empty: accounting or the
	// acknowledgement has to do.
	CanaryLook string `toml:"canary_look"`
}

// DefaultConfig is what most servers can do.
func DefaultConfig() Config {
	return Config{Attributes: "standard", Keys: []string{"user"}, Pace: 20, Timeout: bolwerk.Duration(2 * time.Second), Tries: 3}
}

// Settled is c with the defaults where nothing is said.
func (c Config) Settled() Config {
	d := DefaultConfig()
	if c.Attributes == "" {
		c.Attributes = d.Attributes
	}
	if len(c.Keys) == 0 {
		c.Keys = d.Keys
	}
	if c.Pace == 0 {
		c.Pace = d.Pace
	}
	if c.Timeout == 0 {
		c.Timeout = d.Timeout
	}
	if c.Tries == 0 {
		c.Tries = d.Tries
	}
	if c.Normal == "" {
		c.Normal = dialects[c.Attributes].normal
	}
	return c
}

// Validate says what is wrong with c, as Settled gave it.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, bolwerk.Invalid(format, args...)) }
	d, known := dialects[c.Attributes]
	switch {
	case c.Name == "":
		bad("name: want the access server's name in accounting")
	case !known:
		bad("attributes %q: want standard, nokia, juniper, cisco, mikrotik or huawei", c.Attributes)
	case d.replaces && c.Normal == "":
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("normal: the name of the profile without restriction is needed"), "without it nobody could be released here"))
	}
	if a, err := netip.ParseAddrPort(c.Address); err != nil || a.Port() == 0 {
		bad("address %q: want address:port, such as 192.0.2.1:3799", c.Address)
	}
	if c.SecretFile == "" {
		bad("secret_file is needed")
	}
	if c.Leaky == "" && c.Strict == "" {
		bad("leaky or strict: the name of a profile at the server is needed")
	}
	for _, n := range []string{c.Normal, c.Leaky, c.Strict} {
		if len(n) > maxName {
			bad("a profile's name of %d octets: at most %d", len(n), maxName)
		}
	}
	if !slices.ContainsFunc(c.Keys, func(k string) bool { return k != "address" }) {
		bad("keys: one of user, class, calling, port is needed: an address alone names whoever has it by then")
	}
	for _, k := range c.Keys {
		if !slices.Contains([]string{"user", "class", "calling", "port", "address"}, k) {
			bad("keys: %q: want user, class, calling, port or address", k)
		}
	}
	if c.Pace < 1 || c.Pace > 1000 {
		bad("pace %d: want 1 to 1000 a second", c.Pace)
	}
	if c.Timeout.D() < 50*time.Millisecond || c.Timeout.D() > 30*time.Second || c.Tries < 1 || c.Tries > 10 {
		bad("timeout %s, tries %d: want 50ms to 30s, 1 to 10", c.Timeout, c.Tries)
	}
	if c.Canary == "" {
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("canary is needed: nobody is put into a profile that was never seen to be taken off"), "name a user of your own whose line is at this server"))
	}
	return errors.Join(errs...)
}

// named is the name of a profile at the server; empty where it has none.
func (c Config) named(p enforce.Profile) string {
	switch p {
	case enforce.Leaky:
		return c.Leaky
	case enforce.Strict:
		return c.Strict
	}
	return c.Normal
}

// Told is the profile that filters of accounting tell of: normal where there are some,
// and none is of a profile; false where there are none.
func (c Config) Told(filters []string) (enforce.Profile, bool) {
	for _, p := range []enforce.Profile{enforce.Strict, enforce.Leaky} {
		if n := c.named(p); n != "" && slices.Contains(filters, n) {
			return p, true
		}
	}
	return enforce.Normal, len(filters) > 0
}
