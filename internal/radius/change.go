package radius

import (
	"crypto/hmac"
	"crypto/md5" // what the protocol has
	"encoding/binary"
	"errors"
	"strconv"
	"time"
)

// Change is a CoA-Request or Disconnect-Request (RFC 5176), signed with a
// Message-Authenticator (section 3.4) and dated with an Event-Timestamp, so that it
// cannot be played back later (section 6.3). What is sent again must be the same
// octets: the other side knows it by its identifier and authenticator.
func Change(code, id byte, at time.Time, attrs []Attribute, secret []byte) []byte {
	return ask(code, id, append([]Attribute{Whole(EventTimestamp, uint32(at.Unix()))}, attrs...), true, secret)
}

// Why an answer to a Change is dropped.
var (
	ErrOther    = errors.New("it answers something else")
	ErrForged   = errors.New("its authenticator does not fit the secret")
	ErrUnsigned = errors.New("it has no Message-Authenticator")
)

// Changed reads the answer to a request of Change: ACK or NAK, of the same kind and
// identifier, made by who knows the secret. An answer without a
// Message-Authenticator is ErrUnsigned; the packet is given with it, because its
// authenticator did fit.
func Changed(b, request, secret []byte) (*Packet, error) {
	p, err := Parse(b)
	switch {
	case err != nil:
		return nil, err
	case p.Code != request[0]+1 && p.Code != request[0]+2, p.ID != request[1]:
		return nil, ErrOther
	case !p.answers(request, secret):
		return nil, ErrForged
	case p.auth == 0:
		return p, ErrUnsigned
	case !hmac.Equal(p.raw[p.auth:p.auth+md5.Size], messageAuth(p.raw, p.auth, request[4:headerSize], secret)):
		return nil, ErrForged
	}
	return p, nil
}

// Reply answers p with an ACK or NAK of RFC 5176, with the Proxy-States of p and,
// where signed, a Message-Authenticator.
func (p *Packet) Reply(code byte, attrs []Attribute, signed bool, secret []byte) []byte {
	var all []Attribute
	if signed {
		all = append(all, Attribute{MessageAuthenticator, make([]byte, md5.Size)})
	}
	all = append(all, attrs...)
	for _, a := range p.Attributes {
		if a.Type == ProxyState {
			all = append(all, a)
		}
	}
	b := write(code, p.ID, all)
	copy(b[4:headerSize], p.Authenticator[:])
	if signed {
		copy(b[headerSize+2:], messageAuth(b, headerSize+2, p.Authenticator[:], secret))
	}
	return seal(b, secret)
}

// Whole is an attribute whose value is a number.
func Whole(typ byte, n uint32) Attribute {
	return Attribute{typ, binary.BigEndian.AppendUint32(nil, n)}
}

// maxVendorValue is what is left of an attribute once it names vendor, type and length.
const maxVendorValue = maxValue - 6

// Vendor is an attribute of a vendor (RFC 2865, section 5.26), by its private
// enterprise number. Values longer than 247 octets are cut.
func Vendor(vendor uint32, typ byte, value []byte) Attribute {
	value = value[:min(len(value), maxVendorValue)]
	v := append(binary.BigEndian.AppendUint32(nil, vendor), typ, byte(len(value)+2))
	return Attribute{VendorSpecific, append(v, value...)}
}

// Vendors are the values of a vendor's attribute, in their order. What is not
// written as RFC 2865 recommends is passed over.
func (p *Packet) Vendors(vendor uint32, typ byte) (out [][]byte) {
	for _, a := range p.Attributes {
		if a.Type != VendorSpecific || len(a.Value) < 6 || binary.BigEndian.Uint32(a.Value) != vendor {
			continue
		}
		for v := a.Value[4:]; len(v) >= 2 && int(v[1]) >= 2 && int(v[1]) <= len(v); v = v[v[1]:] {
			if v[0] == typ {
				out = append(out, v[2:v[1]])
			}
		}
	}
	return out
}

// Values of Error-Cause (RFC 5176, section 3.5) that are acted on by number.
const (
	CauseMissingAttribute           = 402
	CauseInvalidRequest             = 404
	CauseAdministrativelyProhibited = 501
	CauseProxyRequestNotRoutable    = 502
	CauseSessionContextNotFound     = 503
	CauseOtherProxyProcessingError  = 505
	CauseResourcesUnavailable       = 506
)

var causes = map[uint32]string{
	201: "residual session context removed", 202: "invalid EAP packet",
	401: "unsupported attribute", 402: "missing attribute", 403: "NAS identification mismatch", 404: "invalid request",
	405: "unsupported service", 406: "unsupported extension", 407: "invalid attribute value",
	501: "administratively prohibited", 502: "request not routable (proxy)", 503: "session context not found",
	504: "session context not removable", 505: "other proxy processing error", 506: "resources unavailable",
	507: "request initiated", 508: "multiple session selection unsupported",
}

// Cause is a value of Error-Cause in words, with its number.
func Cause(n uint32) string {
	if s := causes[n]; s != "" {
		return strconv.FormatUint(uint64(n), 10) + " " + s
	}
	return strconv.FormatUint(uint64(n), 10)
}
