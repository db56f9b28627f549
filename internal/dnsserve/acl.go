package dnsserve

import (
	"net/netip"
	"slices"

	"bolwerk"
)

// acl is the set of addresses that may ask, as ranges that do not overlap, in
// order.
type acl []addrRange

type addrRange struct{ first, last netip.Addr } // as 16 octets

func newACL(prefixes []string) (acl, error) {
	var a acl
	for _, s := range prefixes {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, bolwerk.Invalid("dns: %q: want a prefix, such as 192.0.2.0/24", s)
		}
		p = p.Masked()
		b := p.Addr().As16()
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		first := netip.AddrFrom16(b)
		for i := bits; i < 128; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		a = append(a, addrRange{first, netip.AddrFrom16(b)})
	}
	slices.SortFunc(a, func(x, y addrRange) int { return x.first.Compare(y.first) })
	out := a[:0]
	for _, r := range a {
		if n := len(out); n > 0 && !out[n-1].last.Less(r.first) {
			if out[n-1].last.Less(r.last) {
				out[n-1].last = r.last
			}
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// has takes an address of 16 octets, IPv4 mapped.
func (a acl) has(ip [16]byte) bool {
	x := netip.AddrFrom16(ip)
	lo, hi := 0, len(a)
	for lo < hi {
		if m := (lo + hi) / 2; a[m].last.Less(x) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(a) && !x.Less(a[lo].first)
}
