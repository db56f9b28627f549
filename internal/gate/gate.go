// Package gate keeps what the desk fetches and tells away from its own network:
// an address is checked when it is dialed, after the name was resolved.
package gate

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"bolwerk"
)

// Gate lets connections out to public addresses, and to those that are allowed
// by name of their network.
type Gate struct{ allow, refuse []netip.Prefix }

// New makes a gate; allow are networks of our own that may be dialed too.
func New(allow []netip.Prefix) *Gate { return &Gate{allow: allow} }

// Refuse shuts the gate for public networks too, such as the operator's own for
// management. What is allowed by name stays allowed.
func (g *Gate) Refuse(networks []netip.Prefix) *Gate { g.refuse = networks; return g }

// global is what of IPv6 is given out to anybody (RFC 4291 section 2.4 and the
// registry of IANA). All that carries an IPv4 address inside lies outside of it
// or in the list below: IPv4-compatible, IPv4-translated, NAT64, 6to4, Teredo.
var global = netip.MustParsePrefix("2000::/3")

// Networks that are not the Internet, beside those that netip knows.
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network, RFC 1122
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),     // IETF protocol assignments, RFC 6890
	netip.MustParsePrefix("168.63.129.16/32"), // inside of a cloud: its own services to a machine
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation, RFC 5737
	netip.MustParsePrefix("192.88.99.0/24"),   // relays of 6to4, RFC 7526
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation, RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation, RFC 5737
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, RFC 1112
	netip.MustParsePrefix("64:ff9b::/96"),     // NAT64: leads to any IPv4 address, RFC 6052
	netip.MustParsePrefix("64:ff9b:1::/48"),   // NAT64 of the network, RFC 8215
	netip.MustParsePrefix("100::/64"),         // discard, RFC 6666
	netip.MustParsePrefix("2001::/23"),        // IETF protocol assignments, Teredo too, RFC 2928
	netip.MustParsePrefix("2001:db8::/32"),    // documentation, RFC 3849
	netip.MustParsePrefix("2002::/16"),        // 6to4: leads to any IPv4 address, RFC 3056
	netip.MustParsePrefix("3fff::/20"),        // documentation, RFC 9637
	netip.MustParsePrefix("fec0::/10"),        // site-local, RFC 3879
}

// Allowed says that an address is one of those that were allowed by name.
func (g *Gate) Allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Check refuses an address that is neither public nor allowed.
func (g *Gate) Check(a netip.Addr) error {
	if g.Allowed(a) {
		return nil
	}
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global.Contains(a) || slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return bolwerk.Forbidden("%s is no address of the public Internet", a)
	}
	if slices.ContainsFunc(g.refuse, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return bolwerk.Forbidden("%s is in a network that is not to be reached from here", a)
	}
	return nil
}

// Control is for a net.Dialer: it checks the address that is dialed, after every
// resolution and before a packet goes out.
func (g *Gate) Control(_, to string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(to)
	if err != nil {
		return bolwerk.Forbidden("%s is no address", to)
	}
	return g.Check(a.Addr())
}

// DialContext dials as net.Dialer does; each address that a name resolves to is
// checked before a packet goes out.
func (g *Gate) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, Control: g.Control}
	return d.DialContext(ctx, network, address)
}

// Client is an HTTP client behind the gate. It follows no redirect and uses no
// proxy: both would lead around it.
func (g *Gate) Client(timeout time.Duration) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext, t.Proxy = g.DialContext, nil
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Transport: t, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
