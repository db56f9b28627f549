package edge

import (
	"errors"
	"net"
	"net/netip"
	"net/url"

	"bolwerk"
)

// Config is the safe environment of an edge.
type Config struct {
	// Listen is host:port of the page, plain HTTP; empty: this edge has none, and lines in
	// quarantine are answered as others are.
	Listen string `toml:"listen"`
	// ListenTLS is host:port of the same over TLS, which programs need that ask by RFC
	// 8908; empty: none. CertFile and KeyFile are its certificate with its chain and
	// its key in PEM; renewed files are taken up by themselves.
	ListenTLS string `toml:"listen_tls"`
	CertFile  string `toml:"cert_file"`
	KeyFile   string `toml:"key_file"`
	// URL is where guests reach the page, such as http://safe.isp.example. Its name has
	// Addresses for them.
	URL string `toml:"url"`
	// Addresses are those of the page, IPv4 and IPv6, as guests reach them.
	Addresses []netip.Addr `toml:"addresses"`
	// Allow are names of the operator's own that resolve, with all below, also in the
	// strict garden: the portal, webmail, telephone. The emergency list is always there.
	Allow []string `toml:"allow"`
	// Conns bounds the open connections of each listener.
	Conns int `toml:"connections"`
}

// DefaultConfig has no garden.
func DefaultConfig() Config { return Config{Conns: 1024} }

// Validate tells every problem at once.
func (c Config) Validate() error {
	if c.Listen == "" {
		if c.ListenTLS != "" || c.URL != "" || len(c.Addresses) > 0 {
			return bolwerk.WithHint(bolwerk.Invalid("listen is empty"), "say where the page listens, such as 127.0.0.1:8084, or take the other keys away")
		}
		return nil
	}
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, bolwerk.Invalid(format, a...)) }
	for _, l := range []string{c.Listen, c.ListenTLS} {
		if _, _, err := net.SplitHostPort(l); err != nil && l != "" {
			bad("listen %q: want host:port", l)
		}
	}
	if (c.ListenTLS == "") != (c.CertFile == "") || (c.CertFile == "") != (c.KeyFile == "") {
		bad("listen_tls, cert_file and key_file belong together")
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		bad("url %q: want one such as http://safe.isp.example", c.URL)
	} else if u.Scheme == "https" && c.ListenTLS == "" {
		bad("url %q: it needs listen_tls", c.URL)
	}
	if len(c.Addresses) == 0 || len(c.Addresses) > 8 {
		bad("addresses: want 1 to 8 at which guests reach the page")
	}
	for _, a := range c.Addresses {
		if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			bad("addresses: %s: want an address that guests reach", a)
		}
	}
	for _, n := range c.Allow {
		if _, err := bolwerk.ParseDomain(n); err != nil {
			bad("allow: %v", err)
		}
	}
	if c.Conns < 1 {
		bad("connections: want at least 1")
	}
	return errors.Join(errs...)
}
