package rpz

import (
	"encoding/base64"
	"errors"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"bolwerk"

	"github.com/miekg/dns"
)

// Config says which zones are served, and to whom.
type Config struct {
	Zones       []Zone
	Secondaries []Secondary
	Keys        []Key
	// Server and Contact are the MNAME and RNAME of the SOA records. Nobody
	// needs to resolve them.
	Server  bolwerk.Domain
	Contact bolwerk.Domain
	// Catalog is the name of a zone that lists the zones (RFC 9432): who takes it
	// needs no word about each of them. Zero: none.
	Catalog bolwerk.Domain
	// JournalRecords bounds the records of past changes that are kept for IXFR,
	// per zone. A secondary that is further behind gets the whole zone.
	JournalRecords int
}

// Zone is one policy zone. Resolvers list the zones in the order given here.
type Zone struct {
	Name bolwerk.Domain
	// TTL is that of every answer made from the zone, in whole seconds.
	TTL time.Duration
	// Refresh, Retry and Expire are the timers of the SOA record. A resolver
	// that honours Expire lets the zone go when the primary is away for so long.
	Refresh, Retry, Expire time.Duration
	// Canary is a name whose TXT answer carries epoch and serial at every
	// resolver that uses the zone; zero: none. No record may cover it or what
	// lies below it. Its last label should sort after those of all names in the
	// zone (zz-canary): see Canary, the function.
	Canary bolwerk.Domain
}

// Secondary is a resolver that may transfer the zones. From or Key is needed;
// with both, both must hold.
type Secondary struct {
	Name string
	// Notify is where NOTIFY goes; not valid: it polls.
	Notify netip.AddrPort
	// From are the addresses it asks from: for resolvers without TSIG.
	From []netip.Prefix
	// Key is the name of the TSIG key that it signs with.
	Key string
	// Without are zones that it does not take: it is not told of them, and is not
	// behind with them.
	Without []bolwerk.Domain
	// Catalog says that it takes its zones from the catalog: it is told of that, too.
	Catalog bool
}

// Watched says that the secondary is a machine that is expected to keep up: it is
// told of news, has a key, or asks from single addresses. A range of addresses
// alone is leave to look at the zones, for whoever is there.
func (s Secondary) Watched() bool {
	return s.Notify.IsValid() || s.Key != "" || !slices.ContainsFunc(s.From, func(p netip.Prefix) bool { return !p.IsSingleIP() })
}

// Key is a TSIG key (RFC 8945).
type Key struct {
	Name      string         // a domain name, lower case, without final dot
	Algorithm string         // hmac-sha256, hmac-sha384 or hmac-sha512
	Secret    bolwerk.Secret // base64
}

// DefaultConfig has the three zones of the house without canaries, and nobody who
// may transfer them. Blocks outlive the primary by three days (a long weekend);
// exemptions by fourteen, so that they never end first.
func DefaultConfig() Config {
	const day = 24 * time.Hour
	zone := func(name string, expire time.Duration) Zone {
		return Zone{Name: bolwerk.MustDomain(name), TTL: time.Minute, Refresh: time.Minute, Retry: 15 * time.Second, Expire: expire}
	}
	return Config{
		Zones:          []Zone{zone("p.rpz", 14*day), zone("h.rpz", 3*day), zone("b.rpz", 3*day)},
		Server:         bolwerk.MustDomain("localhost"),
		Contact:        bolwerk.MustDomain("hostmaster.localhost"),
		JournalRecords: 500_000,
	}
}

// ReadKey reads the base64 secret of a key from a file that nobody but its
// owner may read.
func ReadKey(name, algorithm, path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Key{}, bolwerk.WithHint(bolwerk.Invalid("key file %s: others can read it (mode %04o)", path, info.Mode().Perm()), "chmod 600 "+path)
	}
	var b [1024]byte
	n, err := f.Read(b[:])
	if err != nil {
		return Key{}, err
	}
	k := Key{Name: name, Algorithm: algorithm, Secret: bolwerk.NewSecret(strings.TrimSpace(string(b[:n])))}
	_, err = k.raw()
	return k, err
}

// raw is the secret's octets.
func (k Key) raw() ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(k.Secret.Reveal())
	if err != nil {
		return nil, bolwerk.Invalid("key %s: the secret is not base64", k.Name)
	}
	if len(b) < 32 { // RFC 8945 section 8: at least as long as the digest
		return nil, bolwerk.Invalid("key %s: the secret has %d octets, at least 32 are needed", k.Name, len(b))
	}
	return b, nil
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, bolwerk.Invalid(format, a...)) }
	if c.Server.IsZero() || c.Contact.IsZero() {
		bad("rpz: server and contact are needed for the SOA record")
	}
	if len(c.Zones) == 0 {
		bad("rpz: no zones")
	}
	seen := map[bolwerk.Domain]bool{}
	for _, z := range c.Zones {
		if z.Name.IsZero() || seen[z.Name] {
			bad("rpz zone %q: no name, or there twice", z.Name)
		}
		seen[z.Name] = true
		if z.TTL < time.Second || z.Refresh < time.Second || z.Retry < time.Second || z.Expire <= z.Refresh+z.Retry {
			bad("rpz zone %s: ttl, refresh and retry are at least a second, expire more than refresh and retry together", z.Name)
		}
		if z.Expire > 10*365*24*time.Hour || z.TTL > 24*time.Hour {
			bad("rpz zone %s: expire is at most ten years, ttl at most a day", z.Name)
		}
		if !z.Canary.IsZero() {
			if !Fits(z.Name, Marker(z.Canary, State{math.MaxUint32, math.MinInt64})) {
				bad("rpz zone %s: canary name %s is too long or no query name", z.Name, z.Canary)
			}
			if seen[z.Canary] {
				bad("rpz zone %s: canary name %s is used twice", z.Name, z.Canary)
			}
			seen[z.Canary] = true
		}
	}
	for _, z := range c.Zones {
		if c.Catalog.Below(z.Name) || z.Name.Below(c.Catalog) {
			bad("rpz: catalog %s and zone %s: want names that lie beside each other", c.Catalog, z.Name)
		}
	}
	if !c.Catalog.IsZero() && len(c.Catalog.String()) > maxCatalog {
		bad("rpz: catalog %s: at most %d octets", c.Catalog, maxCatalog)
	}
	for i, z := range c.Zones {
		if i > 0 && z.Expire > c.Zones[i-1].Expire {
			bad("rpz zone %s: expires after %s, which is asked before it", z.Name, c.Zones[i-1].Name)
		}
	}
	keys := map[string]bool{}
	for _, k := range c.Keys {
		if _, err := newKeyring([]Key{k}); err != nil {
			errs = append(errs, err)
		}
		if keys[k.Name] {
			bad("key %s: there twice", k.Name)
		}
		keys[k.Name] = true
	}
	names := map[string]bool{}
	for _, s := range c.Secondaries {
		if s.Name == "" || names[s.Name] {
			bad("secondary %q: no name, or there twice", s.Name)
		}
		names[s.Name] = true
		if s.Key == "" && len(s.From) == 0 {
			bad("secondary %s: neither an address list nor a key: anybody could copy the zones", s.Name)
		}
		if s.Key != "" && !keys[s.Key] {
			bad("secondary %s: there is no key %q", s.Name, s.Key)
		}
		if s.Catalog && c.Catalog.IsZero() {
			bad("secondary %s: takes a catalog, and there is none", s.Name)
		}
	}
	if c.JournalRecords < 0 {
		bad("rpz: journal of %d records", c.JournalRecords)
	}
	return errors.Join(errs...)
}

// algorithms are the ones that RFC 8945 section 6 asks for or allows, from
// SHA-256 up.
func algorithm(name string) (string, bool) {
	switch fqdn := dns.CanonicalName(name); fqdn {
	case dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512:
		return fqdn, true
	}
	return "", false
}
