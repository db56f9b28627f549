package dnsserve

import (
	"encoding/binary"
	"errors"
)

// A kept reply is what a resolver answered, in the form in which it lies in the
// cache and from which every asker's answer is made:
//
//	rcode and AD 1+1 | answers, authorities, additionals 3x2 | count of TTLs 2 |
//	length of the OPT's options 2 | places of TTLs 2 each | options | sections
//
// The sections are the octets behind the question, so their compression pointers
// stay right: the question has the same length for every asker. The OPT record
// is taken out.
const keptHeader = 12

var errReply = errors.New("the resolver's answer does not fit the question")

// keep checks a resolver's answer to the question and makes a kept reply of it.
// question is the question section as it was sent. ttl is how long it may live, in
// seconds; 0 is not at all.
func keep(dst, msg []byte, id uint16, question []byte) (kept []byte, ttl uint32, negative bool, err error) {
	end := headerLen + len(question)
	if len(msg) < end || binary.BigEndian.Uint16(msg) != id || msg[2]&0xf8 != 0x80 ||
		binary.BigEndian.Uint16(msg[4:]) != 1 || !sameQuestion(msg[headerLen:end], question) {
		return nil, 0, false, errReply
	}
	counts := [3]int{}
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(msg[6+2*i:]))
	}
	ttl = 1 << 31
	rcode := uint16(msg[3] & 0xf)
	var options []byte
	var ttls [512]uint16
	n, p, cut, soa := 0, end, len(msg), false
	for section, count := range counts {
		for range count {
			if cut < len(msg) {
				return nil, 0, false, errReply // something behind the OPT record
			}
			l := skipName(msg[p:])
			if l < 0 || p+l+10 > len(msg) {
				return nil, 0, false, errReply
			}
			if name := question[:len(question)-4]; l == len(name) && sameQuestion(msg[p:p+l], name) {
				lower(msg[p : p+l]) // our capitals are nobody else's business
			}
			r := msg[p+l:]
			typ, t, length := binary.BigEndian.Uint16(r), binary.BigEndian.Uint32(r[4:]), int(binary.BigEndian.Uint16(r[8:]))
			if p+l+10+length > len(msg) {
				return nil, 0, false, errReply
			}
			next := p + l + 10 + length
			if typ == typeOPT {
				if section != 2 || msg[p] != 0 || next != len(msg) {
					return nil, 0, false, errReply
				}
				cut = p
				rcode |= uint16(r[4]) << 4
				options = ede(r[10 : 10+length])
				counts[2]--
				p = next
				continue
			}
			if n == len(ttls) || p+l+4 > 0xffff {
				return nil, 0, false, errReply
			}
			ttls[n] = uint16(p + l + 4)
			n++
			if t > 1<<31-1 {
				t = 0 // RFC 2181 section 8
			}
			ttl = min(ttl, t)
			if typ == TypeSOA && section == 1 && length >= 22 {
				ttl = min(ttl, binary.BigEndian.Uint32(r[10+length-4:])) // RFC 2308 section 5
				soa = true
			}
			p = next
		}
	}
	if p != len(msg) {
		return nil, 0, false, errReply
	}
	negative = rcode == NXDomain || counts[0] == 0
	if rcode != Success && rcode != NXDomain || negative && !soa || n == 0 || msg[2]&2 != 0 {
		ttl = 0
	}
	if rcode > 15 {
		rcode = ServFail
	}
	var h [keptHeader]byte
	h[0], h[1] = byte(rcode)|msg[2]&2<<6, msg[3]&0x20
	for i, c := range counts {
		binary.BigEndian.PutUint16(h[2+2*i:], uint16(c))
	}
	binary.BigEndian.PutUint16(h[8:], uint16(n))
	binary.BigEndian.PutUint16(h[10:], uint16(len(options)))
	kept = append(dst, h[:]...)
	for _, at := range ttls[:n] {
		kept = binary.BigEndian.AppendUint16(kept, at)
	}
	kept = append(kept, options...)
	return append(kept, msg[end:cut]...), ttl, negative, nil
}

// truncated says that the resolver's answer had the TC bit.
func truncated(kept []byte) bool { return kept[0]&0x80 != 0 }

// ede takes the first extended DNS error out of the options of an OPT record:
// the only option that is not between a resolver and its own asker.
func ede(o []byte) []byte {
	for len(o) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(o[2:]))
		if n > len(o) {
			return nil
		}
		if binary.BigEndian.Uint16(o) == optEDE && n >= 6 {
			return o[:n]
		}
		o = o[n:]
	}
	return nil
}

// lower takes the capitals out of a name in wire format.
func lower(name []byte) {
	for i, c := range name {
		if c-'A' < 26 { // a length is below 64
			name[i] |= 0x20
		}
	}
}

func sameQuestion(a, b []byte) bool {
	for i := range a {
		x, y := a[i], b[i]
		if x-'A' < 26 {
			x |= 0x20
		}
		if y-'A' < 26 {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}

// staleAnswer is the option that says that an answer's time is over (RFC 8914
// section 4.4).
var staleAnswer = []byte{0, optEDE, 0, 2, 0, 3}

// reply makes the answer from a kept reply that is age seconds old. out has room
// for limit octets at least. A stale one gets a TTL of its own.
func (q *Question) reply(out []byte, limit int, kept []byte, age uint32, stale bool) int {
	n := q.begin(out, kept[0]&0xf)
	if q.ad || q.DO { // RFC 6840 section 5.8
		out[3] |= kept[1]
	}
	ttls := int(binary.BigEndian.Uint16(kept[8:]))
	options := kept[keptHeader+2*ttls:][:binary.BigEndian.Uint16(kept[10:])]
	sections := kept[keptHeader+2*ttls+len(options):]
	if stale {
		options = staleAnswer
	}
	reserve := 0
	if q.EDNS {
		reserve = 11
	}
	if n+len(sections)+reserve > limit || truncated(kept) {
		out[2] |= 2
		return q.opt(out, n, limit, 0, nil)
	}
	copy(out[6:headerLen], kept[2:8])
	n += copy(out[n:], sections)
	for i := range ttls {
		at := int(binary.BigEndian.Uint16(kept[keptHeader+2*i:]))
		t := binary.BigEndian.Uint32(out[at:])
		if stale {
			t = staleTTL
		} else if t > 1<<31-1 || t < age {
			t = 0
		} else {
			t -= age
		}
		binary.BigEndian.PutUint32(out[at:], t)
	}
	return q.opt(out, n, limit, 0, options)
}

// cacheKey adds what an answer depends on: name, type, the asker's DO, CD and
// AD bits, and whether addresses are made up for him.
func (q *Question) cacheKey(b []byte) []byte {
	f := byte(0)
	if q.DO {
		f |= 1
	}
	if q.cd {
		f |= 2
	}
	if q.ad {
		f |= 4
	}
	if q.synth {
		f |= 8
	}
	b = append(b, q.Name...)
	return append(b, byte(q.Type>>8), byte(q.Type), f)
}
