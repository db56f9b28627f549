// Package radius reads and writes RADIUS packets (RFC 2865), as far as accounting
// (RFC 2866, 2869, 3162, 4818, 6911) and changes of sessions (RFC 5176) need them,
// with their authenticators.
package radius

import (
	"crypto/hmac"
	"crypto/md5" // what the protocol has; who may send at all is decided by address too
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"bolwerk"
)

// The codes.
const (
	AccountingRequest  = 4
	AccountingResponse = 5
	DisconnectRequest  = 40
	DisconnectACK      = 41
	DisconnectNAK      = 42
	CoARequest         = 43
	CoAACK             = 44
	CoANAK             = 45
)

// Types of attributes.
const (
	UserName             = 1
	NASIPAddress         = 4
	FramedIPAddress      = 8
	FilterID             = 11
	Class                = 25
	VendorSpecific       = 26
	CallingStationID     = 31
	NASIdentifier        = 32
	ProxyState           = 33
	AcctStatusType       = 40
	AcctDelayTime        = 41
	AcctSessionID        = 44
	AcctSessionTime      = 46
	AcctMultiSessionID   = 50
	EventTimestamp       = 55
	MessageAuthenticator = 80
	NASPortID            = 87
	NASIPv6Address       = 95
	FramedIPv6Prefix     = 97
	ErrorCause           = 101
	DelegatedIPv6Prefix  = 123
	FramedIPv6Address    = 168
)

// Values of Acct-Status-Type.
const (
	StatusStart   = 1
	StatusStop    = 2
	StatusInterim = 3
	StatusOn      = 7
	StatusOff     = 8
)

const (
	headerSize = 20
	// MaxSize bounds a packet (RFC 2865, section 3).
	MaxSize  = 4096
	maxValue = 253
)

// Attribute is one attribute, its value as it came.
type Attribute struct {
	Type  byte
	Value []byte
}

// Packet is a packet. Parse's shares the memory of what was parsed.
type Packet struct {
	Code          byte
	ID            byte
	Authenticator [16]byte
	Attributes    []Attribute

	raw  []byte
	auth int // where the value of the Message-Authenticator is; 0: none
}

// Parse reads a packet. What follows its length is padding (RFC 2865, section 3).
func Parse(b []byte) (*Packet, error) {
	if len(b) < headerSize {
		return nil, bolwerk.Invalid("RADIUS: a packet of %d octets", len(b))
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size < headerSize || size > MaxSize || size > len(b) {
		return nil, bolwerk.Invalid("RADIUS: a packet of %d octets says it has %d", len(b), size)
	}
	p := &Packet{Code: b[0], ID: b[1], Authenticator: [16]byte(b[4:20]), raw: b[:size]}
	for at := headerSize; at < size; {
		if size-at < 2 || int(b[at+1]) < 2 || int(b[at+1]) > size-at {
			return nil, bolwerk.Invalid("RADIUS: attribute at %d is cut off", at)
		}
		a := Attribute{b[at], b[at+2 : at+int(b[at+1])]}
		if a.Type == MessageAuthenticator {
			if p.auth != 0 || len(a.Value) != md5.Size {
				return nil, bolwerk.Invalid("RADIUS: Message-Authenticator twice, or of %d octets", len(a.Value))
			}
			p.auth = at + 2
		}
		p.Attributes = append(p.Attributes, a)
		at += int(b[at+1])
	}
	return p, nil
}

// Verify says whether who sent a request of accounting or of RFC 5176 knows the
// secret: its authenticator fits (RFC 2866, section 3; RFC 5176, section 2.3), and its Message-Authenticator where it
// has one (RFC 2869, section 5.14).
func (p *Packet) Verify(secret []byte) bool {
	sum := md5.New()
	sum.Write(p.raw[:4])
	sum.Write(make([]byte, 16))
	sum.Write(p.raw[headerSize:])
	sum.Write(secret)
	if subtle.ConstantTimeCompare(sum.Sum(nil), p.Authenticator[:]) != 1 {
		return false
	}
	if p.auth == 0 {
		return true
	}
	return hmac.Equal(p.raw[p.auth:p.auth+md5.Size], messageAuth(p.raw, p.auth, make([]byte, 16), secret))
}

// messageAuth is the Message-Authenticator of a packet: over an authenticator of
// zeros in a request, as it is made before the packet's own (RFC 5176, section 3.4),
// and over that of the request in an answer.
func messageAuth(raw []byte, at int, authenticator, secret []byte) []byte {
	mac := hmac.New(md5.New, secret)
	mac.Write(raw[:4])
	mac.Write(authenticator)
	mac.Write(raw[headerSize:at])
	mac.Write(make([]byte, md5.Size))
	mac.Write(raw[at+md5.Size:])
	return mac.Sum(nil)
}

// Signed says whether the packet has a Message-Authenticator.
func (p *Packet) Signed() bool { return p.auth != 0 }

// Answer is the Accounting-Response to p: its Proxy-States in their order. It has no
// Message-Authenticator: RFC 2869 has none in accounting, and who reckons with one
// does not agree over which authenticator it is made.
func (p *Packet) Answer(secret []byte) []byte {
	var attrs []Attribute
	for _, a := range p.Attributes {
		if a.Type == ProxyState {
			attrs = append(attrs, a)
		}
	}
	b := write(AccountingResponse, p.ID, attrs)
	copy(b[4:headerSize], p.Authenticator[:])
	return seal(b, secret)
}

// Request is an Accounting-Request with its authenticator, and with a
// Message-Authenticator where signed. Values longer than 253 octets are cut.
func Request(id byte, attrs []Attribute, signed bool, secret []byte) []byte {
	return ask(AccountingRequest, id, attrs, signed, secret)
}

func ask(code, id byte, attrs []Attribute, signed bool, secret []byte) []byte {
	if signed {
		attrs = append([]Attribute{{MessageAuthenticator, make([]byte, md5.Size)}}, attrs...)
	}
	b := write(code, id, attrs)
	if signed {
		copy(b[headerSize+2:], messageAuth(b, headerSize+2, make([]byte, 16), secret))
	}
	return seal(b, secret)
}

// Answers says whether b answers the request.
func Answers(b, request, secret []byte) bool {
	p, err := Parse(b)
	return err == nil && p.Code == AccountingResponse && p.answers(request, secret)
}

// answers says whether p has the identifier of a request, and an authenticator over
// that of the request (RFC 2865, section 3).
func (p *Packet) answers(request, secret []byte) bool {
	if p.ID != request[1] {
		return false
	}
	sum := md5.New()
	sum.Write(p.raw[:4])
	sum.Write(request[4:headerSize])
	sum.Write(p.raw[headerSize:])
	sum.Write(secret)
	return subtle.ConstantTimeCompare(sum.Sum(nil), p.Authenticator[:]) == 1
}

func write(code, id byte, attrs []Attribute) []byte {
	b := make([]byte, headerSize, headerSize+64)
	b[0], b[1] = code, id
	for _, a := range attrs {
		v := a.Value[:min(len(a.Value), maxValue)]
		b = append(append(b, a.Type, byte(len(v)+2)), v...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// seal writes the authenticator over what stands in its place.
func seal(b, secret []byte) []byte {
	sum := md5.New()
	sum.Write(b)
	sum.Write(secret)
	copy(b[4:headerSize], sum.Sum(nil))
	return b
}

// Get is the first value of a type; nil where there is none.
func (p *Packet) Get(typ byte) []byte {
	for _, a := range p.Attributes {
		if a.Type == typ {
			return a.Value
		}
	}
	return nil
}

// Text is the first value of a type as a string.
func (p *Packet) Text(typ byte) string { return string(p.Get(typ)) }

// Number is the first value of a type as a number.
func (p *Packet) Number(typ byte) (uint32, bool) {
	v := p.Get(typ)
	if len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// Time is the first value of a type as a time in whole seconds.
func (p *Packet) Time(typ byte) (time.Time, bool) {
	n, ok := p.Number(typ)
	return time.Unix(int64(n), 0).UTC(), ok && n != 0
}

// Addr is the first value of a type as an address.
func (p *Packet) Addr(typ byte) (netip.Addr, bool) { return netip.AddrFromSlice(p.Get(typ)) }

// Prefixes are the addresses and prefixes that the session has. Framed-IP-Address of
// 0.0.0.0, 255.255.255.254 and 255.255.255.255 names none (RFC 2865, section 5.8).
func (p *Packet) Prefixes() (out []netip.Prefix) {
	for _, a := range p.Attributes {
		var n netip.Prefix
		switch a.Type {
		case FramedIPAddress:
			if len(a.Value) == 4 {
				if v := binary.BigEndian.Uint32(a.Value); v != 0 && v < 0xfffffffe {
					n = netip.PrefixFrom(netip.AddrFrom4([4]byte(a.Value)), 32)
				}
			}
		case FramedIPv6Address:
			if len(a.Value) == 16 {
				n = netip.PrefixFrom(netip.AddrFrom16([16]byte(a.Value)), 128)
			}
		case FramedIPv6Prefix, DelegatedIPv6Prefix:
			n = readPrefix(a.Value)
		}
		if n.IsValid() && n.Bits() > 0 && !n.Addr().Is4In6() {
			out = append(out, n)
		}
	}
	return out
}

// readPrefix reads an octet of nothing, the length, and as many octets of the prefix
// as there are (RFC 3162, section 2.3). Bits behind the length must be 0.
func readPrefix(v []byte) netip.Prefix {
	if len(v) < 2 || len(v) > 18 || v[1] > 128 || int(v[1]) > 8*(len(v)-2) {
		return netip.Prefix{}
	}
	var a [16]byte
	copy(a[:], v[2:])
	p := netip.PrefixFrom(netip.AddrFrom16(a), int(v[1]))
	if p != p.Masked() {
		return netip.Prefix{}
	}
	return p
}
