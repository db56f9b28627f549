package dnsserve

import (
	"encoding/binary"
	"net/netip"
)

// Record types and response codes that this package acts on.
const (
	TypeA     = 1
	TypeNS    = 2
	TypeSOA   = 6
	TypeMX    = 15
	TypeTXT   = 16
	TypeAAAA  = 28
	typeOPT   = 41
	typeANY   = 255
	ClassIN   = 1
	Success   = 0
	formErr   = 1
	ServFail  = 2
	NXDomain  = 3
	notImp    = 4
	Refused   = 5
	badVers   = 16
	optEDE    = 15   // RFC 8914
	maxUDP    = 1232 // what fits every path (DNS flag day 2020); also what we tell resolvers
	headerLen = 12
)

// Question is one question. It and what it points to live until the policy
// returns.
type Question struct {
	// Name is in wire format, lower case, with its final zero.
	Name  []byte
	Type  uint16
	Class uint16
	EDNS  bool
	DO    bool // the asker wants DNSSEC records (RFC 3225)
	// Structured says that the asker reads structured errors.
	Structured bool
	// Worker is which worker asks, from 0 to Config.WorkerCount()-1: no two
	// goroutines ask with the same one at a time. -1 is any other goroutine.
	Worker int
	// From is who asks, an IPv4 address mapped into IPv6. It is for deciding this
	// one question and belongs nowhere else.
	From netip.Addr
	// Scratch is room for Answer.Text; it is empty.
	Scratch []byte

	msg        []byte // the whole message
	end        int    // where the question section ends
	rd, ad, cd bool
	size       int // the longest answer over UDP
	version    uint8
	nsid       []byte // the option that says who we are; nil: none
	asksID     bool   // the asker wants it (RFC 5001)
	synth      bool   // addresses may be made up
	padded     bool   // the asker padded its question (RFC 7830)
	optAt      int    // where the OPT record of the answer begins; 0: it has none
	buf        [256]byte
	scratch    [512]byte
}

// what a message deserves
type verdict uint8

const (
	good verdict = iota
	silence
	malformed
	notImplemented
	refuse
	wrongVersion
)

// parse reads a query. It refuses what no stub resolver sends.
func (q *Question) parse(msg []byte, sde uint16) verdict {
	q.msg, q.end = msg, 0
	q.EDNS, q.DO, q.Structured, q.size, q.version = false, false, false, 512, 0
	q.padded, q.asksID, q.synth, q.optAt = false, false, false, 0
	if len(msg) < headerLen || msg[2]&0x80 != 0 { // an answer is never answered: no loops
		return silence
	}
	q.rd, q.ad, q.cd = msg[2]&1 != 0, msg[3]&0x20 != 0, msg[3]&0x10 != 0
	if msg[2]>>3&0xf != 0 {
		return notImplemented
	}
	extra := int(binary.BigEndian.Uint16(msg[10:]))
	// One question (RFC 9619), nothing in the answer and authority sections.
	if binary.BigEndian.Uint32(msg[4:]) != 1<<16 || binary.BigEndian.Uint16(msg[8:]) != 0 || msg[2]&6 != 0 || extra > 4 {
		return malformed
	}
	p, n := headerLen, 0
	for {
		if p >= len(msg) {
			return malformed
		}
		l := int(msg[p])
		if l > 63 || n+l+1 > 255 || p+l+1 > len(msg) { // a pointer in the first name points at nothing good
			return malformed
		}
		q.buf[n] = msg[p]
		if l == 0 {
			n, p = n+1, p+1
			break
		}
		for i := 1; i <= l; i++ {
			c := msg[p+i]
			if c-'A' < 26 {
				c |= 0x20
			}
			q.buf[n+i] = c
		}
		n, p = n+l+1, p+l+1
	}
	if p+4 > len(msg) {
		return malformed
	}
	q.Name = q.buf[:n:n]
	q.Type, q.Class = binary.BigEndian.Uint16(msg[p:]), binary.BigEndian.Uint16(msg[p+2:])
	q.end = p + 4
	q.Scratch = q.scratch[:0]
	if v := q.extra(msg[q.end:], extra, sde); v != good {
		return v
	}
	if q.Type == 0 || q.Type == typeOPT {
		return malformed
	}
	if q.version > 0 {
		return wrongVersion
	}
	// Transfers and transaction types (RFC 6895 section 3.1) are no questions for
	// us; other classes, with version.bind and the like, are nobody's business.
	if q.Class != ClassIN || q.Type >= 128 && q.Type < typeANY {
		return refuse
	}
	return good
}

// extra reads the additional section: an OPT record, and others that are skipped.
func (q *Question) extra(b []byte, count int, sde uint16) verdict {
	for range count {
		if len(b) == 0 {
			return malformed
		}
		root := b[0] == 0
		n := skipName(b)
		if n < 0 || n+10 > len(b) {
			return malformed
		}
		typ, length := binary.BigEndian.Uint16(b[n:]), int(binary.BigEndian.Uint16(b[n+8:]))
		if n+10+length > len(b) {
			return malformed
		}
		if typ == typeOPT {
			if q.EDNS || !root {
				return malformed // RFC 6891 section 6.1.1
			}
			q.EDNS = true
			q.size = min(max(512, int(binary.BigEndian.Uint16(b[n+2:]))), maxUDP)
			q.version = b[n+5]
			q.DO = b[n+6]&0x80 != 0
			for o := b[n+10 : n+10+length]; len(o) > 0; {
				if len(o) < 4 || 4+int(binary.BigEndian.Uint16(o[2:])) > len(o) {
					return malformed
				}
				switch code := binary.BigEndian.Uint16(o); {
				case code == optPadding:
					q.padded = true
				case code == optNSID:
					q.asksID = true
				case code == optEDE, sde != 0 && code == sde:
					q.Structured = true
				}
				o = o[4+int(binary.BigEndian.Uint16(o[2:])):]
			}
		}
		b = b[n+10+length:]
	}
	if len(b) > 0 {
		return malformed
	}
	return good
}

// skipName is how long a name is that may end in a pointer, -1 if it is none.
func skipName(b []byte) int {
	for p := 0; p < len(b) && p < 256; {
		switch l := int(b[p]); {
		case l == 0:
			return p + 1
		case l >= 0xc0:
			if p+2 > len(b) {
				return -1
			}
			return p + 2
		case l > 63:
			return -1
		default:
			p += 1 + l
		}
	}
	return -1
}

// begin writes the header and the question of an answer into out and gives its
// length. The question is the asker's, with its own use of capitals.
func (q *Question) begin(out []byte, rcode uint8) int {
	copy(out, q.msg[:2])
	out[2] = 0x80 | q.msg[2]&0x79 // QR, the opcode, RD
	out[3] = 0x80 | q.msg[3]&0x10 | rcode&0xf
	clear(out[4:headerLen])
	if q.end == 0 {
		return headerLen
	}
	out[5] = 1
	return copy(out[headerLen:], q.msg[headerLen:q.end]) + headerLen
}

// opt adds the OPT record with the options that fit.
func (q *Question) opt(out []byte, n, limit int, rcode uint16, options []byte) int {
	if !q.EDNS || n+11 > limit {
		return n
	}
	if n+11+len(options) > limit {
		options = nil
	}
	var id []byte
	if q.asksID && n+11+len(options)+len(q.nsid) <= limit {
		id = q.nsid
	}
	q.optAt = n
	o := out[n : n+11]
	o[0], o[1], o[2] = 0, 0, typeOPT
	binary.BigEndian.PutUint16(o[3:], maxUDP)
	o[5], o[6], o[7], o[8] = byte(rcode>>4), 0, 0, 0
	if q.DO {
		o[7] = 0x80
	}
	binary.BigEndian.PutUint16(o[9:], uint16(len(options)+len(id)))
	binary.BigEndian.PutUint16(out[10:], binary.BigEndian.Uint16(out[10:])+1)
	n += 11 + copy(out[n+11:], options)
	return n + copy(out[n:], id)
}

// fault is an answer without records.
func (q *Question) fault(out []byte, rcode uint16) int {
	n := q.begin(out, uint8(rcode))
	return q.opt(out, n, len(out), rcode, nil)
}

// answer renders what the policy said. limit is the longest answer.
func (q *Question) answer(out []byte, limit int, a *Answer) int {
	n := q.begin(out, a.Rcode)
	step := 0
	switch {
	case q.Type == TypeA:
		step = 4
	case q.Type == TypeAAAA:
		step = 16
	}
	reserve := 0
	if q.EDNS {
		reserve = 11
	}
	count := 0
	for b := a.Addrs; step > 0 && len(b) >= step; b = b[step:] {
		if n+12+step+reserve > limit {
			out[2] |= 2 // TC
			break
		}
		o := out[n:]
		o[0], o[1], o[2], o[3], o[4], o[5] = 0xc0, headerLen, 0, byte(q.Type), 0, ClassIN
		binary.BigEndian.PutUint32(o[6:], a.TTL)
		o[10], o[11] = 0, byte(step)
		copy(o[12:], b[:step])
		n += 12 + step
		count++
	}
	out[7] = byte(count)
	if count == 0 && out[2]&2 == 0 && n+35+reserve <= limit {
		// SOA: owner and MNAME are the zone, RNAME the root.
		zone := 0xc000 | uint16(headerLen+a.Zone)
		o := out[n : n+35]
		binary.BigEndian.PutUint16(o, zone)
		o[2], o[3], o[4], o[5] = 0, TypeSOA, 0, ClassIN
		binary.BigEndian.PutUint32(o[6:], a.TTL)
		o[10], o[11] = 0, 23
		binary.BigEndian.PutUint16(o[12:], zone)
		o[14] = 0
		for i, v := range [5]uint32{1, 3600, 600, 86400, a.TTL} {
			binary.BigEndian.PutUint32(o[15+4*i:], v)
		}
		out[9] = 1
		n += 35
	}
	if a.EDE == 0 || !q.EDNS {
		return q.opt(out, n, limit, uint16(a.Rcode), nil)
	}
	var ede [4 + 2 + 512]byte
	text := a.Text
	if len(text) > 512 || n+11+6+len(text) > limit {
		text = nil
	}
	binary.BigEndian.PutUint16(ede[0:], optEDE)
	binary.BigEndian.PutUint16(ede[2:], uint16(2+len(text)))
	binary.BigEndian.PutUint16(ede[4:], a.EDE)
	return q.opt(out, n, limit, uint16(a.Rcode), ede[:6+copy(ede[6:], text)])
}
