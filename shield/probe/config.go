package probe

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"bolwerk"
	"bolwerk/shield/capture"
)

// Config is the probe's part of the configuration.
type Config struct {
	// Resolver are DNS servers, address:port, that the probe asks; empty: those of
	// the machine. The operator's own blocks would stand in its way: name others.
	Resolver []string `toml:"resolver"`
	// Refuse are networks that are never visited beside all that is not public, such
	// as the operator's own for management.
	Refuse []netip.Prefix `toml:"refuse"`
	// Allow are networks that are visited though they are not public: for a
	// laboratory.
	Allow []netip.Prefix `toml:"allow"`
	// AtOnce is how many pages are visited at the same time.
	AtOnce int `toml:"at_once"`
	// PerSecond is how many requests go out in a second, to all hosts together; one
	// host gets one a second.
	PerSecond int `toml:"per_second"`
	// Desktop and Phone are the way out of each profile.
	Desktop Way `toml:"desktop"`
	Phone   Way `toml:"phone"`
	// Browser is the path of the Chromium that runs the scripts of pages: empty is
	// the one that is found in PATH, "off" is none.
	Browser string `toml:"browser"`
	// Roots is a file of certificates, PEM, that are believed beside those of the
	// machine: for a laboratory.
	Roots string `toml:"roots"`
}

// Way is the way out of a profile.
type Way struct {
	// Off leaves this profile to another probe.
	Off bool `toml:"off"`
	// Proxy is a SOCKS5 proxy, as socks5://address:port; it is given addresses that
	// were checked, never names. Empty: none.
	Proxy string `toml:"proxy"`
	// Source are the addresses that requests go out from, at most one of IPv4 and
	// one of IPv6; empty: the system chooses.
	Source []netip.Addr `toml:"source"`
	// Agent is the User-Agent; empty: that of a browser of today.
	Agent string `toml:"agent"`
}

// DefaultConfig is good enough for a first run.
func DefaultConfig() Config { return Config{AtOnce: 4, PerSecond: 10} }

// way gives the way out of a profile.
func (c Config) way(p capture.Profile) Way {
	if p == capture.Phone {
		return c.Phone
	}
	return c.Desktop
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for _, r := range c.Resolver {
		if _, err := netip.ParseAddrPort(r); err != nil {
			bad("resolver %q: want address:port", r)
		}
	}
	if c.AtOnce < 1 || c.AtOnce > 64 {
		bad("at_once %d: want 1 to 64", c.AtOnce)
	}
	if c.PerSecond < 1 || c.PerSecond > 1000 {
		bad("per_second %d: want 1 to 1000", c.PerSecond)
	}
	for name, w := range map[string]Way{"desktop": c.Desktop, "phone": c.Phone} {
		if w.Proxy != "" {
			u, err := url.Parse(w.Proxy)
			if err != nil || u.Scheme != "socks5" || u.User != nil || strings.Trim(u.Path, "/") != "" {
				bad("%s.proxy %q: want socks5://address:port", name, w.Proxy)
			} else if _, err := netip.ParseAddrPort(u.Host); err != nil {
				bad("%s.proxy %q: want socks5://address:port", name, w.Proxy)
			}
		}
		four, six := 0, 0
		for _, a := range w.Source {
			if a.Is4() {
				four++
			} else {
				six++
			}
		}
		if four > 1 || six > 1 {
			bad("%s.source: want at most one address of IPv4 and one of IPv6", name)
		}
		if strings.ContainsAny(w.Agent, "\r\n\x00") || len(w.Agent) > 300 {
			bad("%s.agent: want one line of at most 300 characters", name)
		}
	}
	return errors.Join(errs...)
}

// Authorities are those that are believed; nil is those of the machine.
func (c Config) Authorities() (*x509.CertPool, error) {
	if c.Roots == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Roots)
	if err != nil {
		return nil, fmt.Errorf("probe.roots: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, bolwerk.Invalid("probe.roots: %s holds no certificate in PEM", c.Roots)
	}
	return pool, nil
}
