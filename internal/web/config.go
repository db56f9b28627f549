package web

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones must load on a machine without the package tzdata

	"bolwerk"
	"bolwerk/internal/brand"
)

// Config is a site's part of the configuration.
type Config struct {
	// URL is the address that people type: scheme, host and port, no path.
	URL string `toml:"url"`
	// Hosts are further names that browsers may call us by, without port. A
	// request for any other name is answered with 421, so that a page of a
	// stranger cannot reach us under its own name (DNS rebinding).
	Hosts []string `toml:"hosts"`
	// Languages are those that the site speaks, the first when a browser asks
	// for none of them.
	Languages []bolwerk.Lang `toml:"languages"`
	// Zone is an IANA name such as Europe/Brussels: where times are told.
	Zone string `toml:"zone"`
	// TrustedProxies are the addresses of our own proxies. Only what they say
	// in X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `toml:"trusted_proxies"`
	// MaxBody bounds a request's body in bytes where a page does not allow more.
	MaxBody int64 `toml:"max_body"`
	// Brand is the operator's name and look, and Subs are those that the site has
	// under other names; the whole configuration has them.
	Brand brand.Brand `toml:"-"`
	Subs  []brand.Sub `toml:"-"`
}

// DefaultConfig is good for a first run on one's own machine.
func DefaultConfig() Config {
	return Config{
		URL:       "http://localhost:8080",
		Languages: bolwerk.Langs(),
		Zone:      "Europe/Brussels",
		MaxBody:   1 << 20, // a form is a few kilobytes
		Brand:     brand.Brand{Name: "Bolwerk"},
	}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		bad("url %q: want http://host or https://host, without path", c.URL)
	}
	for _, h := range c.Hosts {
		if hostOnly(h) == "" || strings.ContainsAny(h, "/*@ ") {
			bad("hosts: %q is not a host name", h)
		}
	}
	if len(c.Languages) == 0 {
		bad("languages: name at least one of nl, fr, de, en")
	}
	for _, l := range c.Languages {
		if !slices.Contains(bolwerk.Langs(), l) {
			bad("languages: %q is not one of nl, fr, de, en", l)
		}
	}
	if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "" {
		bad("zone %q: not a time zone such as Europe/Brussels", c.Zone)
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() || p.Bits() == 0 {
			bad("trusted_proxies: %q would trust everybody", p)
		}
	}
	if c.MaxBody < 64<<10 {
		bad("max_body = %d: at least %d", c.MaxBody, 64<<10)
	}
	if strings.TrimSpace(c.Brand.Name) == "" {
		bad("brand.name: is empty")
	}
	return errors.Join(problems...)
}

// hostOnly is a Host header without its port, in lower case, without brackets
// and final dot; empty when there is no host in it.
func hostOnly(h string) string {
	if host, _, err := net.SplitHostPort(h); err == nil {
		h = host
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(h, "[]")), ".")
}
