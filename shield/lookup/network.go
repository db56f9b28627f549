package lookup

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"slices"

	"bolwerk"
)

// Network is what a registry of addresses says of the network around one.
type Network struct {
	Handle string   `json:"handle,omitempty"`
	Name   string   `json:"name,omitempty"`
	Abuse  []string `json:"abuse,omitempty"` // mail addresses of its abuse contacts
	From   string   `json:"from"`            // the RDAP server that answered
}

// Networks says which RDAP server answers for an address: IANA's ipv4.json and
// ipv6.json (RFC 9224 section 5).
type Networks []networkServer

type networkServer struct {
	prefix netip.Prefix
	base   string
}

// ParseNetworks reads one of the files. Only https servers are taken; the first
// of a service counts.
func ParseNetworks(r io.Reader) (Networks, error) {
	var out Networks
	err := services(r, func(prefix, base string) {
		if p, err := netip.ParsePrefix(prefix); err == nil {
			out = append(out, networkServer{p.Masked(), base})
		}
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, bolwerk.Invalid("an RDAP bootstrap file of addresses without a server")
	}
	return out, nil
}

// Server gives the server for an address: that of the longest prefix.
func (n Networks) Server(a netip.Addr) (base string, ok bool) {
	a, longest := a.Unmap(), -1
	for _, s := range n {
		if s.prefix.Contains(a) && s.prefix.Bits() > longest {
			base, longest, ok = s.base, s.prefix.Bits(), true
		}
	}
	return base, ok
}

// AskNetwork asks the registry of an address whose network it is in (RFC 9082
// section 3.1.1). The client bounds the time.
func (n Networks) AskNetwork(ctx context.Context, client *http.Client, a netip.Addr) (Network, error) {
	base, ok := n.Server(a)
	if !ok {
		return Network{}, ErrNoServer
	}
	body, err := get(ctx, client, base+"/ip/"+a.Unmap().String())
	if err != nil {
		return Network{}, err
	}
	out, err := ParseNetwork(body, a)
	out.From = base
	return out, err
}

// ParseNetwork reads an answer of class "ip network" (RFC 9083 section 5.4) that
// must be about the address.
func ParseNetwork(b []byte, about netip.Addr) (n Network, err error) {
	if len(b) > maxAnswer {
		return n, bolwerk.Invalid("an RDAP answer of more than %d octets", maxAnswer)
	}
	var a struct {
		Class    string   `json:"objectClassName"`
		Handle   string   `json:"handle"`
		Name     string   `json:"name"`
		Start    string   `json:"startAddress"`
		End      string   `json:"endAddress"`
		Entities []entity `json:"entities"`
	}
	if err := json.Unmarshal(b, &a); err != nil || a.Class != "ip network" {
		return n, bolwerk.Invalid("not an RDAP answer about a network")
	}
	start, err := netip.ParseAddr(a.Start)
	if err != nil {
		return n, bolwerk.Invalid("an RDAP answer about a network without a beginning")
	}
	end, err := netip.ParseAddr(a.End)
	about = about.Unmap()
	if err != nil || start.BitLen() != about.BitLen() || about.Less(start) || end.Less(about) {
		return n, bolwerk.Invalid("an RDAP answer about another network than that of %s", about)
	}
	n.Handle, n.Name = line(a.Handle), line(a.Name)
	var r Registration
	left := maxEntities
	r.parties(a.Entities, &left, 3)
	slices.Sort(r.Abuse)
	n.Abuse = slices.Compact(r.Abuse)
	return n, nil
}
