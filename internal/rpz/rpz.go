// Package rpz serves response policy zones (draft-vixie-dnsop-dns-rpz) to other
// people's resolvers: a primary with AXFR, IXFR, NOTIFY, TSIG and TLS that does work
// in proportion to a change, never to the zone; a reader of zones that others
// publish; and questions to a resolver about what it answers now.
//
// It is technology only: what is blocked, and why, is decided elsewhere.
package rpz

import (
	"net/netip"
	"strings"

	"bolwerk"

	"github.com/miekg/dns"
)

// Data is what a zone says about an owner, in the text form of a zone file:
// "CNAME .", "A 192.0.2.1". The text is canonical, so equal data are equal.
type Data string

// The policy actions (draft-vixie-dnsop-dns-rpz section 3).
const (
	Pass     Data = "CNAME rpz-passthru." // exempt: later zones are not asked
	NXDomain Data = "CNAME ."             // there is no such name
	NoData   Data = "CNAME *."            // the name is there, the type is not
	Drop     Data = "CNAME rpz-drop."     // no answer at all
	TCPOnly  Data = "CNAME rpz-tcp-only." // truncated over UDP
)

// Address is local data: A for an IPv4 address, AAAA for an IPv6 one.
func Address(a netip.Addr) Data {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Data("A " + a.String())
	}
	return Data("AAAA " + a.String())
}

// Alias is local data that sends the asker to another name.
func Alias(to bolwerk.Domain) Data { return Data("CNAME " + to.String() + ".") }

// Type is "A", "AAAA" or "CNAME".
func (d Data) Type() string {
	t, _, _ := strings.Cut(string(d), " ")
	return t
}

// Value is the text behind the type.
func (d Data) Value() string {
	_, v, _ := strings.Cut(string(d), " ")
	return v
}

// wire is the type and the rdata in wire form; it refuses what is not canonical.
func (d Data) wire() (uint16, []byte, error) {
	v := d.Value()
	switch d.Type() {
	case "A", "AAAA":
		a, err := netip.ParseAddr(v)
		if err != nil || Address(a) != d {
			return 0, nil, bolwerk.Invalid("data %.80q: not an address in its usual form", string(d))
		}
		if a.Is4() {
			return dns.TypeA, a.AsSlice(), nil
		}
		return dns.TypeAAAA, a.AsSlice(), nil
	case "CNAME":
		switch d {
		case NXDomain:
			return dns.TypeCNAME, []byte{0}, nil
		case NoData:
			return dns.TypeCNAME, []byte("\x01*\x00"), nil
		}
		to, err := bolwerk.ParseDomain(v)
		if err != nil || Alias(to) != d {
			return 0, nil, bolwerk.Invalid("data %.80q: the target is no name in lower case with a final dot", string(d))
		}
		return dns.TypeCNAME, appendName(nil, to), nil
	}
	return 0, nil, bolwerk.Invalid("data %.80q: want A, AAAA or CNAME", string(d))
}

// Record is one record of a policy zone. Its owner is Name, or with Below all
// names below Name (the wildcard): a subtree needs both.
type Record struct {
	Name  bolwerk.Domain `json:"name"`
	Below bool           `json:"below,omitempty"`
	Data  Data           `json:"data"`
}

// String is the record as a line of a zone file, relative to the zone.
func (r Record) String() string { return r.owner() + " " + string(r.Data) }

func (r Record) owner() string {
	if r.Below {
		return "*." + r.Name.String()
	}
	return r.Name.String()
}

// Change leads a zone to Serial in Epoch: Del is taken out, then Add put in.
type Change struct {
	Serial uint32   `json:"serial"`
	Epoch  int64    `json:"epoch"`
	Del    []Record `json:"del,omitempty"`
	Add    []Record `json:"add,omitempty"`
}

// Newer says that serial a comes after b (RFC 1982 section 3.2). Serials that
// are 2^31 apart have no order: neither is newer.
func Newer(a, b uint32) bool { return int32(a-b) > 0 }

// Fits says whether name, and the names below it, can be owners in zone: with
// the wildcard and the zone's name they have at most 255 octets (RFC 1035
// section 2.3.4), and no label makes it another kind of trigger.
func Fits(zone, name bolwerk.Domain) bool {
	const wildcard, wire = len("*."), 2 // the first length octet and the root
	if name.IsZero() || wildcard+len(name.String())+1+len(zone.String())+wire > 255 {
		return false
	}
	return trigger(name) == ""
}

// trigger is the label that makes an owner another trigger than a query name
// (draft-vixie-dnsop-dns-rpz section 4), or empty.
func trigger(name bolwerk.Domain) string {
	last := name.String()[strings.LastIndexByte(name.String(), '.')+1:]
	switch last {
	case "rpz-ip", "rpz-client-ip", "rpz-nsdname", "rpz-nsip":
		return last
	}
	return ""
}

// appendLabels adds name's labels without the root.
func appendLabels(b []byte, name bolwerk.Domain) []byte {
	s := name.String()
	for s != "" {
		label, rest, _ := strings.Cut(s, ".")
		b = append(b, byte(len(label)))
		b = append(b, label...)
		s = rest
	}
	return b
}

func appendName(b []byte, name bolwerk.Domain) []byte { return append(appendLabels(b, name), 0) }
