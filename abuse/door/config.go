package door

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"bolwerk"
)

// Config is where accounting comes in.
type Config struct {
	// Listen is host:port, UDP, mostly port 1813; empty: no accounting is taken. It
	// stands in the management network: a copy of what the AAA servers get.
	Listen string `toml:"listen"`
	// Clients are the AAA servers and access servers that may send.
	Clients []Client `toml:"client"`
	// Subscriber is the attribute that names the subscriber: user_name, class (what the
	// AAA server says in Class, as printable text) or calling_station_id.
	Subscriber string `toml:"subscriber"`
}

// Client is who may send, with the secret that both know.
type Client struct {
	// Name is for people and metrics.
	Name string `toml:"name"`
	// From are the addresses that it sends from.
	From []netip.Prefix `toml:"from"`
	// SecretFile holds the shared secret on its first line, mode 0600; at least 8 octets.
	SecretFile string `toml:"secret_file"`
}

// DefaultConfig takes no accounting.
func DefaultConfig() Config { return Config{Subscriber: "user_name"} }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if _, ok := subscribers[c.Subscriber]; !ok {
		errs = append(errs, bolwerk.Invalid("subscriber %q: want user_name, class or calling_station_id", c.Subscriber))
	}
	if c.Listen == "" {
		return errors.Join(errs...)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, bolwerk.Invalid("listen %q: want host:port", c.Listen))
	}
	if len(c.Clients) == 0 {
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("client: nobody may send"), "name each AAA server with its addresses and a secret_file"))
	}
	names := map[string]bool{}
	for i, cl := range c.Clients {
		switch {
		case cl.Name == "" || names[cl.Name]:
			errs = append(errs, bolwerk.Invalid("client %d: name %q: want one of its own", i+1, cl.Name))
		case len(cl.From) == 0 || cl.SecretFile == "":
			errs = append(errs, bolwerk.Invalid("client %s: from and secret_file are needed", cl.Name))
		}
		names[cl.Name] = true
		for _, p := range cl.From {
			for _, o := range c.Clients[:i] {
				for _, q := range o.From {
					if p.Overlaps(q) {
						errs = append(errs, fmt.Errorf("client %s: %w", cl.Name, bolwerk.Invalid("%s overlaps with %s of %s", p, q, o.Name)))
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}
