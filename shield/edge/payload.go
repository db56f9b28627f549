package edge

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/nameset"
	"bolwerk/shield/aid"
)

// A rule lies in the name set in about a dozen octets: when it begins and ends,
// its version, the number of its block, and the number of its terms. Terms are
// what many rules have in common; each different one is kept once.

type payload struct {
	from, until int64 // seconds since 1970; 0 is open
	version     uint32
	number      uint32 // the digits at the end of the block's reference
	term        uint32
}

type term struct {
	scope       bolwerk.Scope
	www, pass   bool
	compromised bool
	suspicious  bool
	pulse       bool
	asked       aid.Set
	action      Action
	ground      Ground
	class       string
	brand       string
	by          string
	prefix      string // of the block's reference, before its number
	width       int    // digits of the number, with leading zeros; 0: no number
	ede         uint16
	series      uint32 // number of (prefix, width)
}

const (
	edeForged   = 4
	edeBlocked  = 15
	edeCensored = 16
	edeFiltered = 17
)

// valid says whether a rule is in its time: begun by the clock that is ahead, ours or
// the desk's, and not over by ours.
func (p payload) valid(now, begun int64) bool {
	return begun >= p.from && (p.until == 0 || now < p.until)
}

func (p payload) append(b []byte) []byte {
	dated := uint64(min(p.from, 1))
	b = binary.AppendUvarint(b, uint64(p.term)<<1|dated)
	b = binary.AppendUvarint(b, uint64(p.number))
	b = binary.AppendUvarint(b, uint64(p.version))
	if dated > 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.from))
	}
	span := uint64(0) // open
	if p.until != 0 {
		span = uint64(max(p.until-p.from, 0)) + 1
	}
	return binary.AppendUvarint(b, span)
}

func readPayload(b []byte) (p payload) {
	v, n := binary.Uvarint(b)
	dated := v&1 > 0
	p.term, b = uint32(v>>1), b[n:]
	v, n = binary.Uvarint(b)
	p.number, b = uint32(v), b[n:]
	v, n = binary.Uvarint(b)
	p.version, b = uint32(v), b[n:]
	if dated {
		p.from, b = int64(binary.LittleEndian.Uint32(b)), b[4:]
	}
	if v, _ = binary.Uvarint(b); v > 0 {
		p.until = p.from + int64(v) - 1
	}
	return p
}

// checkedPayload is readPayload for octets that come from a file.
func checkedPayload(b []byte) (p payload, ok bool) {
	rest, dated := b, 0
	for i := range 3 {
		v, n := binary.Uvarint(rest)
		if i == 0 {
			v, dated = v>>1, 4*int(v&1)
		}
		if n <= 0 || v > 1<<32-1 {
			return p, false
		}
		rest = rest[n:]
	}
	if len(rest) < dated {
		return p, false
	}
	if _, n := binary.Uvarint(rest[dated:]); n <= 0 {
		return p, false
	}
	return readPayload(b), true
}

// clip keeps a version in 32 bits. Desks count them from 1.
func clip(v int64) uint32 { return uint32(min(max(v, 0), 1<<32-1)) }

// terms are all terms seen since the start, and the series of block references.
// Readers take no lock.
type terms struct {
	list   atomic.Pointer[[]term]
	names  atomic.Pointer[[]term] // of each series one term, for prefix and width
	mu     sync.Mutex
	have   map[term]uint32
	series map[term]uint32
}

// clear forgets them all; nothing may refer to them any more.
func (t *terms) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have, t.series = nil, nil
}

func (t *terms) at(i uint32) *term { return &(*t.list.Load())[i] }

func (t *terms) intern(m term) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have == nil {
		t.have, t.series = map[term]uint32{}, map[term]uint32{}
		t.list.Store(&[]term{})
		t.names.Store(&[]term{})
	}
	s := term{prefix: m.prefix, width: m.width}
	n, ok := t.series[s]
	if !ok {
		n = uint32(len(t.series))
		t.series[s] = n
		next := append(*t.names.Load(), s)
		t.names.Store(&next)
	}
	m.series = n
	i, ok := t.have[m]
	if !ok {
		i = uint32(len(t.have))
		t.have[m] = i
		next := append(*t.list.Load(), m)
		t.list.Store(&next)
	}
	return i
}

// splitRef takes the number off a block's reference: up to nine digits.
func splitRef(ref string) (prefix string, number uint32, width int) {
	i := len(ref)
	for i > 0 && len(ref)-i < 9 && ref[i-1] >= '0' && ref[i-1] <= '9' {
		i--
	}
	if i == len(ref) {
		return ref, 0, 0
	}
	n, _ := strconv.ParseUint(ref[i:], 10, 32)
	return ref[:i], uint32(n), len(ref) - i
}

func (e *Edge) itemOf(key uint64, r Rule, from, until, version int64) nameset.Item {
	m := term{scope: r.Scope, www: r.WWW, pass: r.Pass, compromised: r.Compromised, suspicious: r.Suspicious, pulse: r.Pulse, asked: r.AskedFor, action: r.Action, ground: r.Ground,
		class: r.Class, brand: r.Brand, by: r.By, ede: edeBlocked}
	if m.action == "" {
		m.action = Redirect
	}
	switch r.Ground {
	case ByOrder:
		m.ede = edeCensored
	case Requested:
		m.ede = edeFiltered
	}
	p := payload{version: clip(version)}
	m.prefix, p.number, m.width = splitRef(r.Block)
	p.term = e.terms.intern(m)
	if from == 0 && !r.Since.IsZero() {
		from = r.Since.UnixMicro()
	}
	if until == 0 && !r.Until.IsZero() {
		until = r.Until.UnixMicro()
	}
	// Cut to seconds downwards: it begins and ends up to a second early, never
	// late.
	p.from, p.until = min(max(from/1e6, 0), 1<<32-1), until/1e6
	if until != 0 && p.until <= p.from {
		p.until = max(p.from, 1)
	}
	flags := nameset.Self
	switch {
	case r.Scope != bolwerk.ScopeHost:
		flags |= nameset.Below
	case r.WWW:
		flags |= nameset.WWW
	}
	return nameset.Item{Key: key, Name: r.Name, Flags: flags, Payload: p.append(make([]byte, 0, 24))}
}

// hitKey tells blocks apart for counting; it is never 0.
func (f *found) hitKey() uint64 {
	return 1<<63 | uint64(f.term.series)<<32 | uint64(f.number)
}

// block is the reference behind a hitKey.
func (t *terms) block(key uint64) string {
	s := (*t.names.Load())[uint32(key<<1>>33)]
	return string(appendRef(nil, s.prefix, uint32(key), s.width))
}

func (f *found) appendBlock(b []byte) []byte {
	return appendRef(b, f.term.prefix, f.number, f.term.width)
}

func appendRef(b []byte, prefix string, number uint32, width int) []byte {
	b = append(b, prefix...)
	if width == 0 {
		return b
	}
	var d [10]byte
	i := len(d)
	for n := 0; n < width; n++ {
		i--
		d[i] = byte('0' + number%10)
		number /= 10
	}
	return append(b, d[i:]...)
}

// rule makes the rule again.
func (t *terms) rule(name bolwerk.Domain, p payload) Rule {
	m := t.at(p.term)
	r := Rule{Block: string(appendRef(nil, m.prefix, p.number, m.width)), Name: name, Scope: m.scope, WWW: m.www, Pass: m.pass,
		Action: m.action, Ground: m.ground, Class: m.class, Brand: m.brand, By: m.by, Compromised: m.compromised, Suspicious: m.suspicious, Pulse: m.pulse, AskedFor: m.asked}
	if p.from > 0 {
		r.Since = time.Unix(p.from, 0).UTC()
	}
	if p.until > 0 {
		r.Until = time.Unix(p.until, 0).UTC()
	}
	return r
}

// nameAt is the name that begins at an octet of a name in wire format, which was
// made from a Domain.
func nameAt(wire []byte, at int) bolwerk.Domain {
	var b strings.Builder
	for at < len(wire) && wire[at] != 0 {
		n := int(wire[at])
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.Write(wire[at+1 : at+1+n])
		at += 1 + n
	}
	d, err := bolwerk.ParseDomain(b.String())
	if err != nil {
		return bolwerk.Domain{}
	}
	return d
}
