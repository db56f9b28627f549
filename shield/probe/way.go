package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/proxy"

	"bolwerk"
	"bolwerk/internal/gate"
)

// out is the way out of one profile: it resolves by the probe's own resolver,
// checks every address, and dials the address that was checked, never a name.
type out struct {
	gate    *gate.Gate
	resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	way     Way
}

const (
	dialFor     = 4 * time.Second // for one address
	dialTries   = 3               // addresses of one name
	resolveFor  = 5 * time.Second
	maxResolved = 20 // addresses looked at
)

// resolver asks the servers of the configuration, or those of the machine.
func resolver(servers []string) func(ctx context.Context, name string) ([]netip.Addr, error) {
	r := &net.Resolver{PreferGo: true}
	if len(servers) > 0 {
		var mu sync.Mutex
		n := 0
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			mu.Lock()
			server := servers[n%len(servers)] // a question that fails goes to the next
			n++
			mu.Unlock()
			return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, server)
		}
	}
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		ctx, cancel := context.WithTimeout(ctx, resolveFor)
		defer cancel()
		return r.LookupNetIP(ctx, "ip", name+".") // no search list
	}
}

// addresses are those of a place that may be dialed. Where a name has both kinds
// the forbidden ones are left out; where it has no other, it is refused.
func (o *out) addresses(ctx context.Context, p place) ([]netip.Addr, error) {
	all := []netip.Addr{p.addr}
	if p.name != "" {
		var err error
		if all, err = o.resolve(ctx, p.name); err != nil {
			return nil, &failure{dnsFailed, err}
		}
	}
	var ok []netip.Addr
	var no error
	for _, a := range all[:min(len(all), maxResolved)] {
		a = a.Unmap().WithZone("")
		if err := o.gate.Check(a); err != nil {
			no = err
		} else if !slices.Contains(ok, a) {
			ok = append(ok, a)
		}
	}
	if len(ok) == 0 && no != nil {
		return nil, &failure{refused, fmt.Errorf("%s leads to %w", p.host(), no)}
	}
	if len(ok) == 0 {
		return nil, &failure{dnsFailed, errors.New("the name has no address")}
	}
	slices.SortStableFunc(ok, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() }) // IPv4 first: nothing waits for a network without IPv6
	return ok[:min(len(ok), dialTries)], nil
}

// dial connects to the first address that answers.
func (o *out) dial(ctx context.Context, p place) (net.Conn, netip.Addr, error) {
	to, err := o.addresses(ctx, p)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	for _, a := range to {
		var c net.Conn
		if c, err = o.dialOne(ctx, netip.AddrPortFrom(a, p.port)); err == nil {
			return c, a, nil
		}
		if errors.Is(err, bolwerk.ErrForbidden) {
			return nil, a, &failure{refused, err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, to[0], &failure{connectFailed, err}
}

func (o *out) dialOne(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	// The gate was asked when the name was resolved, and is once more here, where
	// the packet goes out.
	if err := o.gate.Check(to.Addr()); err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: dialFor}
	if o.way.Proxy == "" {
		for _, s := range o.way.Source {
			if s.Is4() == to.Addr().Is4() {
				d.LocalAddr = &net.TCPAddr{IP: s.AsSlice()}
			}
		}
		d.Control = o.gate.Control
		return d.DialContext(ctx, "tcp", to.String())
	}
	u, err := url.Parse(o.way.Proxy)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	socks, err := proxy.SOCKS5("tcp", u.Host, nil, d)
	if err != nil {
		return nil, err
	}
	return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", to.String())
}
