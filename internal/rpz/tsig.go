package rpz

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"time"

	"bolwerk"

	"github.com/miekg/dns"
)

const fudge = 300 // seconds; RFC 8945 section 10

// key is a TSIG key ready for use.
type key struct {
	name      string // lower case, with final dot
	algorithm string
	secret    []byte
	wireName  []byte
	wireAlg   []byte
}

func (k *key) mac() hash.Hash {
	switch k.algorithm {
	case dns.HmacSHA384:
		return hmac.New(sha512.New384, k.secret)
	case dns.HmacSHA512:
		return hmac.New(sha512.New, k.secret)
	}
	return hmac.New(sha256.New, k.secret)
}

// keyring are the keys by name. It verifies for package dns.
type keyring map[string]*key

func newKeyring(keys []Key) (keyring, error) {
	ring := keyring{}
	for _, k := range keys {
		name, err := bolwerk.ParseDomain(k.Name)
		if err != nil || name.String() != k.Name {
			return nil, bolwerk.Invalid("key %q: its name is a domain name in lower case", k.Name)
		}
		alg, ok := algorithm(k.Algorithm)
		if !ok {
			return nil, bolwerk.Invalid("key %s: algorithm %q: want hmac-sha256, hmac-sha384 or hmac-sha512", k.Name, k.Algorithm)
		}
		raw, err := k.raw()
		if err != nil {
			return nil, err
		}
		ring[k.Name+"."] = &key{
			name: k.Name + ".", algorithm: alg, secret: raw, wireName: appendName(nil, name),
			wireAlg: appendName(nil, bolwerk.MustDomain(alg)),
		}
	}
	return ring, nil
}

// Generate signs for package dns (NOTIFY).
func (r keyring) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	k := r[dns.CanonicalName(t.Hdr.Name)]
	if k == nil || dns.CanonicalName(t.Algorithm) != k.algorithm {
		return nil, dns.ErrSecret
	}
	h := k.mac()
	h.Write(msg)
	return h.Sum(nil), nil
}

// Verify checks for package dns. A cut MAC (RFC 8945 section 5.2.2.1) is refused.
func (r keyring) Verify(msg []byte, t *dns.TSIG) error {
	want, err := r.Generate(msg, t)
	if err != nil {
		return err
	}
	if got, err := hex.DecodeString(t.MAC); err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

// check verifies the signature of a request. It returns the signer for the
// answer, nil where the request is not signed; and the TSIG error of RFC 8945
// section 5.2, 0 where all is well. ok is false where the message is malformed.
func (r keyring) check(req []byte, m *dns.Msg, now func() time.Time) (s *signer, tsigErr uint16, ok bool) {
	var t *dns.TSIG
	for i, rr := range m.Extra {
		if v, is := rr.(*dns.TSIG); is {
			if i != len(m.Extra)-1 {
				return nil, 0, false
			}
			t = v
		}
	}
	if t == nil {
		return nil, 0, true
	}
	s = &signer{now: now, first: true, origID: t.OrigId}
	s.prior, _ = hex.DecodeString(t.MAC)
	// Verifying strips the signature in place: give it a copy.
	err := dns.TsigVerifyWithProvider(append([]byte(nil), req...), r, "", false)
	s.key = r[dns.CanonicalName(t.Hdr.Name)]
	switch {
	case err == nil:
		return s, 0, true
	case errors.Is(err, dns.ErrTime):
		s.code, s.signed = dns.RcodeBadTime, t.TimeSigned
	case s.key == nil || errors.Is(err, dns.ErrSecret):
		s.code, s.key = dns.RcodeBadKey, unsigned(t)
	case errors.Is(err, dns.ErrSig):
		s.code, s.key = dns.RcodeBadSig, unsigned(t)
	default:
		return nil, 0, false
	}
	return s, s.code, true
}

// unsigned stands for the key of a request that we cannot answer signed; its
// names are echoed.
func unsigned(t *dns.TSIG) *key {
	k := &key{}
	if n, err := bolwerk.ParseDomain(t.Hdr.Name); err == nil {
		k.wireName = appendName(nil, n)
	} else {
		k.wireName = []byte{0}
	}
	if n, err := bolwerk.ParseDomain(t.Algorithm); err == nil {
		k.wireAlg = appendName(nil, n)
	} else {
		k.wireAlg = []byte{0}
	}
	return k
}

// signer signs the messages of one answer; each MAC covers the one before (RFC
// 8945 section 5.3.1). We sign by hand, because package dns can only sign what
// it has packed itself, and packing 4 million records through it takes ten
// times as long; its verifier and those of BIND and PowerDNS check us.
type signer struct {
	key    *key
	now    func() time.Time
	prior  []byte
	first  bool
	origID uint16
	code   uint16 // TSIG error
	signed uint64 // of a request with a bad time: its time is echoed
}

// room is what sign adds at most.
func (s *signer) room() int { return len(s.key.wireName) + len(s.key.wireAlg) + 10 + 16 + 64 + 6 }

// sign appends the TSIG record to msg, whose additional count it raises.
func (s *signer) sign(msg []byte) []byte {
	at := uint64(s.now().Unix())
	var other []byte
	if s.code == dns.RcodeBadTime { // RFC 8945 section 5.2.3: the client's time, and ours beside it
		other = appendTime(nil, at)
		at = s.signed
	}
	var mac []byte
	if s.code == 0 || s.code == dns.RcodeBadTime {
		h := s.key.mac()
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s.prior))))
		h.Write(s.prior)
		// The original ID takes the place of the message's; they are equal here
		// unless a forwarder changed the request's.
		h.Write(binary.BigEndian.AppendUint16(nil, s.origID))
		h.Write(msg[2:])
		var vars []byte
		if s.first {
			vars = append(vars, s.key.wireName...)
			vars = append(vars, 0, dns.ClassANY, 0, 0, 0, 0)
			vars = append(vars, s.key.wireAlg...)
		}
		vars = appendTime(vars, at)
		vars = binary.BigEndian.AppendUint16(vars, fudge)
		if s.first {
			vars = binary.BigEndian.AppendUint16(vars, s.code)
			vars = binary.BigEndian.AppendUint16(vars, uint16(len(other)))
			vars = append(vars, other...)
		}
		h.Write(vars)
		mac = h.Sum(nil)
		s.prior, s.first = mac, false
	}
	msg = append(msg, s.key.wireName...)
	msg = binary.BigEndian.AppendUint16(msg, dns.TypeTSIG)
	msg = append(msg, 0, dns.ClassANY, 0, 0, 0, 0)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(s.key.wireAlg)+16+len(mac)+len(other)))
	msg = append(msg, s.key.wireAlg...)
	msg = appendTime(msg, at)
	msg = binary.BigEndian.AppendUint16(msg, fudge)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(mac)))
	msg = append(msg, mac...)
	msg = binary.BigEndian.AppendUint16(msg, s.origID)
	msg = binary.BigEndian.AppendUint16(msg, s.code)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(other)))
	msg = append(msg, other...)
	binary.BigEndian.PutUint16(msg[10:], binary.BigEndian.Uint16(msg[10:])+1)
	return msg
}

// appendTime adds the 48 bits of a TSIG time.
func appendTime(b []byte, t uint64) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t>>32))
	return binary.BigEndian.AppendUint32(b, uint32(t))
}
