package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"bolwerk"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/kea"
	"bolwerk/abuse/enforce/rest"
)

// Config is the access network, as the desk reaches it.
type Config struct {
	// Listen is host:port where the AAA servers ask at each login which profile a
	// subscriber has, over HTTP; empty: they do not. An address of this machine alone,
	// or with the certificates below.
	Listen string `toml:"listen"`
	// TokenFile holds what they show, as password or bearer token, on its first line;
	// mode 0600, at least 16 octets.
	TokenFile string `toml:"token_file"`
	// CertFile and KeyFile are the certificate of Listen, ClientCAFile whose
	// certificates the AAA servers show. Needed where Listen is not of this machine alone.
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`
	ClientCAFile string `toml:"client_ca_file"`
	// NAS are access servers that take changes by RADIUS.
	NAS []coa.Config `toml:"nas"`
	// HTTP are policy managers that take changes by the HTTP contract.
	HTTP []rest.Config `toml:"http"`
	// Kea are DHCP servers.
	Kea []kea.Config `toml:"kea"`
}

const shortest = 16 // octets of a token

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Listen != "" {
		host, _, err := net.SplitHostPort(c.Listen)
		a, aerr := netip.ParseAddr(host)
		if err != nil {
			errs = append(errs, bolwerk.Invalid("listen %q: want host:port", c.Listen))
		} else if (aerr != nil || !a.IsLoopback()) && host != "localhost" && (c.CertFile == "" || c.KeyFile == "" || c.ClientCAFile == "") {
			errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("listen %q: others can reach it: cert_file, key_file and client_ca_file are needed", c.Listen), "or listen at 127.0.0.1, beside the AAA server"))
		}
		if c.TokenFile == "" {
			errs = append(errs, bolwerk.Invalid("token_file is needed with listen"))
		}
	}
	names := map[string]bool{}
	add := func(kind, name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", kind, name, err))
		}
		if names[name] {
			errs = append(errs, bolwerk.Invalid("%s %s: a name that is taken", kind, name))
		}
		names[name] = true
	}
	for _, n := range c.NAS {
		add("nas", n.Name, n.Settled().Validate())
	}
	for _, h := range c.HTTP {
		add("http", h.Name, h.Settled().Validate())
		for _, s := range h.AccessServers {
			add("http "+h.Name+": access server", s, nil)
		}
	}
	for _, k := range c.Kea {
		add("kea", k.Name, k.Settled().Validate())
	}
	return errors.Join(errs...)
}

// Warnings are what a person should look at, though everything works.
func (c Config) Warnings() []string {
	var none []string
	for _, n := range c.NAS {
		if !n.Settled().Timer() {
			none = append(none, n.Name)
		}
	}
	for _, k := range c.Kea {
		none = append(none, k.Name)
	}
	if len(none) == 0 {
		return nil
	}
	return []string{"abuse.enforce: " + strings.Join(none, ", ") + ": without a timer of its own: while no desk is there, lines stay in quarantine there past their end; run two desks"}
}

// SecretFiles are the files with secrets that c names, by setting.
func (c Config) SecretFiles() map[string]string {
	out := map[string]string{"token_file": c.TokenFile, "key_file": c.KeyFile}
	for _, n := range c.NAS {
		out["nas "+n.Name+": secret_file"] = n.SecretFile
	}
	for _, h := range c.HTTP {
		out["http "+h.Name+": token_file"], out["http "+h.Name+": key_file"] = h.TokenFile, h.KeyFile
	}
	for _, k := range c.Kea {
		out["kea "+k.Name+": token_file"] = k.TokenFile
	}
	return out
}
