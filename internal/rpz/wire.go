package rpz

import (
	"encoding/binary"
	"time"

	"bolwerk"

	"github.com/miekg/dns"
)

const (
	headerLen  = 12
	maxMessage = 32 << 10 // octets of a transfer message: few signatures, small buffers
	maxRecord  = 1100     // no record of ours is longer: SOA with three names of 255
)

// stream writes one answer as one or more messages. Every owner ends in a
// pointer to the zone's name in the question, so that packing is copying; each
// message repeats the question for it.
type stream struct {
	send     func([]byte) error // the buffer is ours again afterwards
	id       uint16
	bits     uint16 // flags of the header
	question []byte
	apex     int // octet of the message at which the zone's name stands
	signer   *signer
	edns     bool
	limit    int // octets of a message; a single message beyond it is cut (TC)
	single   bool

	buf       []byte
	answers   uint16
	authority uint16
	messages  int
	octets    int
}

const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
)

func (s *stream) begin() {
	s.buf = append(s.buf[:0], make([]byte, headerLen)...)
	s.buf = append(s.buf, s.question...)
	s.answers, s.authority = 0, 0
}

// room makes room for one more record.
func (s *stream) room() error {
	if s.buf == nil {
		s.begin()
		return nil
	}
	need := maxRecord
	if s.signer != nil {
		need += s.signer.room()
	}
	if s.single || len(s.buf)+need <= s.limit {
		return nil
	}
	return s.flush()
}

// flush sends the message that stands.
func (s *stream) flush() error {
	if s.buf == nil {
		s.begin()
	}
	reserve := 0
	if s.signer != nil {
		reserve = s.signer.room()
	}
	bits := s.bits
	if s.single && len(s.buf)+reserve+11 > s.limit {
		s.begin()
		bits |= flagTC
	}
	b := s.buf
	binary.BigEndian.PutUint16(b[0:], s.id)
	binary.BigEndian.PutUint16(b[2:], bits|flagQR)
	if len(s.question) > 0 {
		binary.BigEndian.PutUint16(b[4:], 1)
	}
	binary.BigEndian.PutUint16(b[6:], s.answers)
	binary.BigEndian.PutUint16(b[8:], s.authority)
	if s.edns && s.messages == 0 {
		b = append(b, 0, 0, byte(dns.TypeOPT), 1232>>8, 1232&0xff, 0, 0, 0, 0, 0, 0)
		binary.BigEndian.PutUint16(b[10:], 1)
	}
	if s.signer != nil {
		b = s.signer.sign(b)
	}
	s.messages++
	s.octets += len(b)
	err := s.send(b)
	s.buf = b
	s.begin()
	return err
}

// rr adds a record of the zone: owner labels, then type, TTL and rdata as made
// by tail.
func (s *stream) rr(name bolwerk.Domain, below bool, tail []byte) error {
	if err := s.room(); err != nil {
		return err
	}
	if below {
		s.buf = append(s.buf, 1, '*')
	}
	s.buf = appendLabels(s.buf, name)
	s.buf = binary.BigEndian.AppendUint16(s.buf, 0xc000|uint16(s.apex))
	s.buf = append(s.buf, tail...)
	s.answers++
	return nil
}

// tail is a record behind its owner.
func tail(typ uint16, ttl uint32, rdata []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, typ)
	b = append(b, 0, dns.ClassINET)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rdata)))
	return append(b, rdata...)
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// soa is the tail of the SOA record with serial.
func (z *zone) soa(serial uint32) []byte {
	b := append([]byte(nil), z.names...)
	for _, v := range []uint32{serial, seconds(z.cfg.Refresh), seconds(z.cfg.Retry), seconds(z.cfg.Expire), seconds(z.cfg.TTL)} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return tail(dns.TypeSOA, seconds(z.cfg.TTL), b)
}

// ns is the tail of the NS record, which a zone must have to be loaded.
func (z *zone) ns() []byte {
	name := "localhost"
	if z.fixed != nil {
		name = "invalid" // RFC 9432 section 4.1
	}
	return tail(dns.TypeNS, seconds(z.cfg.TTL), appendName(nil, bolwerk.MustDomain(name)))
}
