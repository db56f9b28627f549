package edge

import (
	"net/netip"

	"bolwerk"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"
)

// The safe environment in the DNS: what a line in quarantine is answered. Blocks hold
// there as everywhere. What is answered otherwise than to others has a TTL that soon
// lets a freed line be as before.

// gardenTTL is that of answers to lines in quarantine, in seconds.
const gardenTTL = 15

// Garden is what lines in quarantine are answered.
type Garden struct {
	// Addresses are those of the page of the safe environment.
	Addresses []netip.Addr
	// Checks are the names that operating systems ask to see whether a page stands
	// before the Internet, and the page's own: they have Addresses.
	Checks []bolwerk.Domain
	// Allowed are names that resolve, with all below, also where the quarantine is strict.
	Allowed []bolwerk.Domain
}

// garden is a Garden as questions meet it: names in wire format.
type garden struct {
	addr4, addr6    []byte
	checks, allowed map[string]bool
}

// SetGarden has lines in quarantine answered by g. Call it before any question; without
// it they are answered as others are.
func (e *Edge) SetGarden(g Garden) {
	in := &garden{checks: map[string]bool{}, allowed: map[string]bool{}}
	for _, a := range g.Addresses {
		if a = a.Unmap(); a.Is4() {
			in.addr4 = append(in.addr4, a.AsSlice()...)
		} else {
			in.addr6 = append(in.addr6, a.AsSlice()...)
		}
	}
	for _, d := range g.Checks {
		in.checks[string(nameset.AppendWire(nil, d))] = true
	}
	for _, d := range append(g.Allowed, always...) {
		in.allowed[string(nameset.AppendWire(nil, d))] = true
	}
	e.garden = in
}

// always are names that are no way out: the resolver answers for them itself, or they
// are addresses written as names.
var always = []bolwerk.Domain{bolwerk.MustDomain("resolver.arpa"), bolwerk.MustDomain("ipv4only.arpa"), bolwerk.MustDomain("in-addr.arpa"), bolwerk.MustDomain("ip6.arpa")}

// bypasses are names by which programs ask whether they may use a resolver elsewhere: no
// such name keeps them with ours. Firefox asks the first
// (https://support.mozilla.org/kb/canary-domain-use-application-dnsnet), Apple's
// private relay the others (https://developer.apple.com/icloud/prepare-your-network-for-icloud-private-relay/).
var bypasses = map[string]bool{
	"\x13use-application-dns\x03net\x00":   true,
	"\x04mask\x06icloud\x03com\x00":        true,
	"\x07mask-h2\x06icloud\x03com\x00":     true,
	"\x08mask-api\x06icloud\x03com\x00":    true,
	"\x0dmask-canary\x06icloud\x03com\x00": true,
}

// allows says that a name resolves where the quarantine is strict.
func (g *garden) allows(name []byte) bool {
	for i := 0; i < len(name) && name[i] != 0; i += 1 + int(name[i]) {
		if g.allowed[string(name[i:])] {
			return true
		}
	}
	return len(name) <= 1 // the root
}

// guest answers a line in quarantine; false is what everybody is answered.
func (e *Edge) guest(q *dnsserve.Question) (dnsserve.Answer, bool) {
	g := e.garden
	if g == nil || e.views.gardens.Load() == 0 {
		return dnsserve.Answer{}, false
	}
	view := e.views.of(q.From, e.now.Load())
	if view != GardenLeaky && view != GardenStrict {
		return dnsserve.Answer{}, false
	}
	a := dnsserve.Answer{TTL: gardenTTL, EDE: edeBlocked}
	check := g.checks[string(q.Name)]
	switch {
	case bypasses[string(q.Name)]:
		a.Rcode = dnsserve.NXDomain
	case !check && (view == GardenLeaky || g.allows(q.Name)):
		return dnsserve.Answer{}, false
	case !check && q.Structured: // never a forged address
		a.Rcode = dnsserve.NXDomain
	case q.Type == dnsserve.TypeA:
		a.Addrs = g.addr4
	case q.Type == dnsserve.TypeAAAA:
		a.Addrs = g.addr6
	}
	if len(a.Addrs) > 0 {
		a.EDE = edeForged
	}
	if q.EDNS {
		a.Text = append(q.Scratch, "safe environment"...)
	}
	return a, true
}

// Doubtful says that what the copies say of lines may be out of date: then nobody is in
// quarantine.
func (e *Edge) Doubtful() bool { return e.views.doubt(e.now.Load()) }
