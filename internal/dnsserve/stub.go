package dnsserve

import (
	"slices"
	"sync/atomic"

	"bolwerk"
)

// Stub is zones with name servers or resolvers of their own, such as an
// operator's inner names.
type Stub struct {
	// Zones are names; each counts with all below, the longest one decides.
	Zones []string `toml:"zones"`
	// Upstream are who is asked for them, written as dns.upstream.
	Upstream []string `toml:"upstream"`
}

// group is resolvers that are asked for the same names.
type group struct {
	servers      atomic.Pointer[[]*resolver]
	asks, hedges atomic.Uint64
}

// stub is the group of one zone, which is in wire format.
type stub struct {
	zone []byte
	*group
}

func validateStubs(stubs []Stub) error {
	seen := map[string]bool{}
	for _, s := range stubs {
		if len(s.Zones) == 0 || len(s.Upstream) == 0 {
			return bolwerk.Invalid("dns: stub: want zones and upstream")
		}
		for _, z := range s.Zones {
			d, err := bolwerk.ParseDomain(z)
			if err != nil {
				return bolwerk.Invalid("dns: stub: zone %q: %v", z, err)
			}
			if seen[d.String()] {
				return bolwerk.Invalid("dns: stub: zone %s is there twice", d)
			}
			seen[d.String()] = true
		}
		if err := validateUpstream(s.Upstream); err != nil {
			return err
		}
	}
	return nil
}

func validateUpstream(servers []string) error {
	seen := map[string]bool{}
	for _, u := range servers {
		addr, _, _, err := parseUpstream(u)
		if err != nil {
			return err
		}
		if seen[addr] {
			return bolwerk.Invalid("dns: upstream %q is there twice", u)
		}
		seen[addr] = true
	}
	return nil
}

// newStubs has the longest zones first. make gives the resolver of a name.
func newStubs(stubs []Stub, make func(name string) *resolver) []stub {
	var out []stub
	for _, s := range stubs {
		var servers []*resolver
		for _, u := range s.Upstream {
			servers = append(servers, make(u))
		}
		g := &group{}
		g.servers.Store(&servers)
		for _, z := range s.Zones {
			out = append(out, stub{wireName(z), g})
		}
	}
	slices.SortStableFunc(out, func(a, b stub) int { return len(b.zone) - len(a.zone) })
	return out
}

// of is who is asked for the name.
func (u *upstream) of(name []byte) *group {
	stubs := u.stubs.Load()
	if stubs == nil {
		return &u.group
	}
	for _, s := range *stubs {
		if at := len(name) - len(s.zone); at >= 0 && string(name[at:]) == string(s.zone) && atLabel(name, at) {
			return s.group
		}
	}
	return &u.group
}

// all are the resolvers of every group, each once.
func (u *upstream) all() []*resolver {
	out := u.list()
	if stubs := u.stubs.Load(); stubs != nil {
		out = slices.Clone(out)
		for _, s := range *stubs {
			for _, r := range s.list() {
				if !slices.Contains(out, r) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}
