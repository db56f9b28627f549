package lookup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
)

// Answers are what the DNS says of a name.
type Answers struct {
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Servers   []string     `json:"servers,omitempty"` // of the registrable domain
	Missing   bool         `json:"missing,omitempty"` // there is no such name (NXDOMAIN)
}

// Resolve asks a resolver for the addresses of a name, and for the name servers
// of its registrable domain.
func Resolve(ctx context.Context, resolver netip.AddrPort, name, registrable bolwerk.Domain) (a Answers, err error) {
	for _, q := range []struct {
		name bolwerk.Domain
		kind uint16
	}{{name, dns.TypeA}, {name, dns.TypeAAAA}, {registrable, dns.TypeNS}} {
		if q.name.IsZero() {
			continue
		}
		r, err := ask(ctx, resolver, q.name, q.kind)
		if err != nil {
			return a, err
		}
		switch r.Rcode {
		case dns.RcodeSuccess:
		case dns.RcodeNameError:
			a.Missing = a.Missing || q.name == name
		default:
			return a, fmt.Errorf("dns: %s answered %s", resolver, dns.RcodeToString[r.Rcode])
		}
		for _, rr := range r.Answer {
			switch rr := rr.(type) {
			case *dns.A:
				a.add(rr.A.To4())
			case *dns.AAAA:
				a.add(rr.AAAA)
			case *dns.NS:
				if d, err := bolwerk.ParseDomain(strings.TrimSuffix(rr.Ns, ".")); err == nil && len(a.Servers) < maxListed {
					a.Servers = append(a.Servers, d.String())
				}
			}
		}
	}
	slices.Sort(a.Servers)
	a.Servers = slices.Compact(a.Servers)
	slices.SortFunc(a.Addresses, netip.Addr.Compare)
	return a, nil
}

func (a *Answers) add(ip []byte) {
	if addr, ok := netip.AddrFromSlice(ip); ok && len(a.Addresses) < maxListed {
		a.Addresses = append(a.Addresses, addr)
	}
}

// ask asks once by UDP, again by TCP where the answer did not fit.
func ask(ctx context.Context, resolver netip.AddrPort, name bolwerk.Domain, kind uint16) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name.String()+".", kind)
	m.SetEdns0(1232, false)
	c := dns.Client{Timeout: 5 * time.Second}
	r, _, err := c.ExchangeContext(ctx, m, resolver.String())
	if err == nil && r.Truncated {
		c.Net = "tcp"
		r, _, err = c.ExchangeContext(ctx, m, resolver.String())
	}
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	if len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, m.Question[0].Name) {
		return nil, errors.New("dns: an answer to another question")
	}
	return r, nil
}
