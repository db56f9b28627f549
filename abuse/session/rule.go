package session

import (
	"encoding/binary"
	"net/netip"
	"time"

	"bolwerk"
)

// NATRule is a translator whose blocks of ports follow from a calculation, so that it
// logs none of them (RFC 7422): the inside addresses fill one outside address after
// the other, each with one block, in order.
type NATRule struct {
	// Name is the translator's, in answers.
	Name string `toml:"name"`
	// InsideFirst to InsideLast are the customers' own addresses, IPv4.
	InsideFirst netip.Addr `toml:"inside_first"`
	InsideLast  netip.Addr `toml:"inside_last"`
	// OutsideFirst to OutsideLast are the addresses that the world sees.
	OutsideFirst netip.Addr `toml:"outside_first"`
	OutsideLast  netip.Addr `toml:"outside_last"`
	// Reserved is how many ports from 0 on are given to nobody; mostly 1024.
	Reserved int `toml:"reserved"`
	// Dynamic is how many blocks of each outside address are kept for who needs more:
	// whose those are only a log tells.
	Dynamic int `toml:"dynamic"`
	// From and Until are since when and until when the translator is set so; without
	// them, always.
	From  time.Time `toml:"from"`
	Until time.Time `toml:"until"`
}

// maxInside bounds a rule; one for more is written as several.
const maxInside = 1 << 20

func number(a netip.Addr) int64 { b := a.As4(); return int64(binary.BigEndian.Uint32(b[:])) }

func addrOf(n int64) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// Validate says what is wrong with r.
func (r NATRule) Validate() error {
	for _, a := range []netip.Addr{r.InsideFirst, r.InsideLast, r.OutsideFirst, r.OutsideLast} {
		if !a.Is4() {
			return bolwerk.Invalid("nat_rule %s: inside_first, inside_last, outside_first and outside_last: want IPv4 addresses", r.Name)
		}
	}
	switch {
	case r.Name == "" || len(r.Name) > MaxName:
		return bolwerk.Invalid("nat_rule: name: want 1 to %d octets", MaxName)
	case r.InsideLast.Less(r.InsideFirst) || r.OutsideLast.Less(r.OutsideFirst):
		return bolwerk.Invalid("nat_rule %s: the last address is before the first", r.Name)
	case r.inside() > maxInside || r.outside() > r.inside():
		return bolwerk.Invalid("nat_rule %s: %d inside and %d outside addresses: want at most %d inside, and no more outside", r.Name, r.inside(), r.outside(), maxInside)
	case r.Reserved < 0 || r.Reserved > 65534 || r.Dynamic < 0 || r.Dynamic > 65534:
		return bolwerk.Invalid("nat_rule %s: reserved %d, dynamic %d: want 0 to 65534", r.Name, r.Reserved, r.Dynamic)
	case r.block() < 1 || r.users()+int64(r.Dynamic) < 2:
		return bolwerk.Invalid("nat_rule %s: %d customers and %d blocks more share each outside address: want a block of at least one port each, and at least two of them", r.Name, r.users(), r.Dynamic)
	case !r.Until.IsZero() && !r.Until.After(r.From):
		return bolwerk.Invalid("nat_rule %s: until is not after from", r.Name)
	}
	return nil
}

func (r NATRule) inside() int64  { return number(r.InsideLast) - number(r.InsideFirst) + 1 }
func (r NATRule) outside() int64 { return number(r.OutsideLast) - number(r.OutsideFirst) + 1 }

// users is how many share an outside address; the last one may have fewer.
func (r NATRule) users() int64 { return (r.inside() + r.outside() - 1) / r.outside() }

// block is how many ports each has.
func (r NATRule) block() int64 { return (65536 - int64(r.Reserved)) / (r.users() + int64(r.Dynamic)) }

// Outside is what an inside address is translated to.
func (r NATRule) Outside(inside netip.Addr) (netip.Addr, Ports, bool) {
	if !inside.Is4() || inside.Less(r.InsideFirst) || r.InsideLast.Less(inside) {
		return netip.Addr{}, Ports{}, false
	}
	n := number(inside) - number(r.InsideFirst)
	first := int64(r.Reserved) + n%r.users()*r.block()
	return addrOf(number(r.OutsideFirst) + n/r.users()), Ports{uint16(first), uint16(first + r.block() - 1)}, true
}

// Held is what r says of an outside address: the one block that has the port; all
// blocks, at most most, where no port is known; none where the port is reserved or of
// a dynamic block.
func (r NATRule) Held(outside netip.Addr, port uint16, most int) (out []Held) {
	if !outside.Is4() || outside.Less(r.OutsideFirst) || r.OutsideLast.Less(outside) {
		return nil
	}
	first := number(r.InsideFirst) + (number(outside)-number(r.OutsideFirst))*r.users()
	from, to := int64(0), min(r.users(), int64(most))
	if port != 0 {
		if int(port) < r.Reserved {
			return nil
		}
		if from = (int64(port) - int64(r.Reserved)) / r.block(); from >= r.users() {
			return nil
		}
		to = from + 1
	}
	for n := from; n < to && first+n <= number(r.InsideLast); n++ {
		inside := addrOf(first + n)
		_, ports, _ := r.Outside(inside)
		start := r.From
		if start.IsZero() {
			start = firstTime
		}
		out = append(out, Held{NAS: r.Name, Session: inside.String(), Source: Rule, Prefix: netip.PrefixFrom(outside, 32), Ports: ports, Inside: inside,
			Start: start.UTC(), Seen: start.UTC(), Until: r.Until.UTC(), Ended: Fixed})
	}
	return out
}
