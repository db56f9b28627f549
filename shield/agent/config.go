package agent

import (
	"errors"
	"net/netip"
	"os"
	"strings"

	"bolwerk"
)

// Config is the agent's part of the configuration.
type Config struct {
	// Resolver is what runs beside the agent: bind, unbound, pdns or dnsdist.
	Resolver string `toml:"resolver"`
	// Ask is where that resolver answers this machine, address:port. The agent asks
	// there what is in force, and tells it of changes there.
	Ask string `toml:"ask"`
	// Listen is where BIND, Unbound or PowerDNS transfers the policy zones from: a
	// loopback address and a port.
	Listen string `toml:"listen"`
	// Folder is where the files for dnsdist lie; empty is dnsdist in the agent's own.
	Folder string `toml:"folder"`
	// Wipe is a command that takes names out of the resolver's caches; the names
	// are put behind it. Empty with pdns is rec_control wipe-cache; BIND, Unbound
	// and dnsdist look at the policy before the cache and need none.
	Wipe []string `toml:"wipe"`
	// Dnstap is where the resolver's dnstap comes in: the path of a socket that the
	// agent makes, or a loopback address:port; empty: none.
	Dnstap string `toml:"dnstap"`
	// Protobuf is the same for the messages of PowerDNS: a loopback address:port.
	Protobuf string `toml:"protobuf"`
	// Log is the file in which BIND or Unbound writes what its policy zones
	// answered; empty: none.
	Log string `toml:"log"`
}

// The resolvers.
const (
	Bind     = "bind"
	Unbound  = "unbound"
	PowerDNS = "pdns"
	DNSDist  = "dnsdist"
)

// DefaultConfig lacks the resolver.
func DefaultConfig() Config {
	return Config{Ask: "127.0.0.1:53", Listen: "127.0.0.1:5302"}
}

// Validate tells every problem at once. Without a resolver there is no agent, and
// nothing to say.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	switch c.Resolver {
	case "", Bind, Unbound, PowerDNS, DNSDist:
	default:
		bad("resolver %q: want bind, unbound, pdns or dnsdist", c.Resolver)
	}
	if _, err := netip.ParseAddrPort(c.Ask); err != nil {
		bad("ask %q: want address:port", c.Ask)
	}
	for _, v := range []struct{ key, addr string }{{"listen", c.Listen}, {"dnstap", c.Dnstap}, {"protobuf", c.Protobuf}} {
		if v.addr == "" && v.key != "listen" || v.key == "dnstap" && isPath(v.addr) {
			continue
		}
		if a, err := netip.ParseAddrPort(v.addr); err != nil || !a.Addr().IsLoopback() {
			bad("%s %q: want a loopback address and a port, such as 127.0.0.1:5302", v.key, v.addr)
		}
	}
	sources := 0
	for _, s := range []string{c.Dnstap, c.Protobuf, c.Log} {
		if s != "" {
			sources++
		}
	}
	if sources > 1 {
		bad("dnstap, protobuf, log: each answer would be counted more than once; keep one of them")
	}
	if len(c.Wipe) > 0 && !strings.HasPrefix(c.Wipe[0], "/") {
		bad("wipe %q: want the whole path of a program", c.Wipe[0])
	}
	if c.Log != "" {
		if st, err := os.Stat(c.Log); err == nil && st.IsDir() {
			bad("log %s: is a folder", c.Log)
		}
	}
	return errors.Join(problems...)
}

func isPath(s string) bool { return strings.HasPrefix(s, "/") }

// wipe is the command and how a name is written behind it.
func (c Config) wipe() (command []string, suffix string, several bool) {
	if c.Resolver == PowerDNS {
		if len(c.Wipe) == 0 {
			return []string{"/usr/bin/rec_control", "wipe-cache"}, "$", true
		}
		return c.Wipe, "$", true
	}
	return c.Wipe, "", false
}
