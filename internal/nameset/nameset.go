// Package nameset is a set of up to tens of millions of domain names, each with
// a few bytes of payload, that is asked for every DNS question: which of the
// names is this one, or lies it below?
//
// A big immutable base and a small delta sit behind one atomic pointer. A look-up
// takes no lock, allocates nothing and hashes the name once, from its last label
// to its first. Every hash hit is verified against the stored name, so that no
// name is ever taken for another. Nothing in it is a pointer, and all that is big
// lives outside the Go heap: the garbage collector never looks at it and never
// doubles it.
package nameset

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"bolwerk"
)

// Flags say what an item catches.
type Flags uint8

// The flags. An item without Self and Below catches nothing.
const (
	Self  Flags = 1 << iota // the name itself
	Below                   // everything below the name
	WWW                     // "www." before the name, and nothing else below it
)

// MaxPayload is how many octets an item may carry.
const MaxPayload = 255

// Item is one name of the set. Several items may have one name; their keys
// differ.
type Item struct {
	Key     uint64 // identity: adding a key again replaces the item
	Name    bolwerk.Domain
	Flags   Flags
	Payload []byte // at most MaxPayload octets; kept as a copy
}

// Hit is an item that catches a name. Payload points into the set: it is valid
// during the visit only.
type Hit struct {
	Key     uint64
	Flags   Flags
	Exact   bool // the name itself was asked, not one below it
	Labels  int  // how many labels the item's name has
	Suffix  int  // where in the asked wire-format name the item's name begins
	Payload []byte
}

// Set is the set. The zero Set is not ready: use New. Look-ups may run at any
// time from any goroutine; the writing calls queue behind one another.
type Set struct {
	live atomic.Pointer[layers]

	mu       sync.Mutex // held by writers
	building bool       // a Compact is under way
	since    []change   // what changed while it is
}

type layers struct {
	base, delta *table
	dead        map[uint64]struct{} // keys of the base that are removed or replaced
	count       int
}

type change struct {
	key  uint64
	item *Item // nil is a removal
}

// New makes an empty set.
func New() *Set {
	s := &Set{}
	s.live.Store(&layers{base: &table{}, delta: &table{}})
	return s
}

// Len is how many items the set has.
func (s *Set) Len() int { return s.live.Load().count }

// Bytes is what the base and the delta take, without the Go heap's overhead.
func (s *Set) Bytes() int {
	l := s.live.Load()
	return l.base.bytes() + l.delta.bytes()
}

// Reset replaces everything. seq yields each key once; a name or payload that
// does not fit ends the load with an error and leaves the set as it was.
func (s *Set) Reset(seq func(yield func(Item) bool)) error {
	b := newBuilder(true)
	var err error
	seq(func(it Item) bool {
		err = b.add(it)
		return err == nil
	})
	if err != nil {
		b.drop()
		return err
	}
	t, err := b.table()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.building, s.since = false, nil // a Compact under way is of no use any more
	s.live.Store(&layers{base: t, delta: &table{}, count: t.count})
	return nil
}

// Apply adds or replaces the items of put and removes those with the keys of
// remove. Look-ups see all of it or nothing. Its cost grows with the delta, not
// with the base: about a millisecond for ten thousand changed names.
func (s *Set) Apply(put []Item, remove []uint64) error {
	ch := make([]change, 0, len(put)+len(remove))
	for _, k := range remove {
		ch = append(ch, change{key: k})
	}
	for i := range put {
		if err := fits(put[i]); err != nil {
			return err
		}
		ch = append(ch, change{put[i].Key, &put[i]})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := s.live.Load().with(ch)
	if err != nil {
		return err
	}
	if s.building {
		for i := range ch { // kept longer than the caller's slices live
			if it := ch[i].item; it != nil {
				c := *it
				c.Payload = append([]byte(nil), it.Payload...)
				ch[i].item = &c
			}
		}
		s.since = append(s.since, ch...)
	}
	s.live.Store(next)
	return nil
}

// with makes the layers after the changes; of two changes of a key the later
// stands.
func (l *layers) with(ch []change) (*layers, error) {
	last := make(map[uint64]int, len(ch))
	for i, c := range ch {
		last[c.key] = i
	}
	n := &layers{base: l.base, dead: make(map[uint64]struct{}, len(l.dead)+len(ch)), count: l.base.count}
	for k := range l.dead {
		n.dead[k] = struct{}{}
	}
	for k := range last {
		if l.base.hasKey(k) {
			n.dead[k] = struct{}{}
		}
	}
	b := newBuilder(false)
	for r := range l.delta.records() {
		if _, again := last[r.key]; !again {
			b.raw(r)
		}
	}
	for i, c := range ch {
		if c.item != nil && last[c.key] == i {
			if err := b.add(*c.item); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if n.delta, err = b.table(); err != nil {
		return nil, err
	}
	n.count = n.base.count - len(n.dead) + n.delta.count
	return n, nil
}

// Grown says that the delta is worth folding into the base: call Compact then,
// beside the look-ups.
func (s *Set) Grown() bool {
	l := s.live.Load()
	d := l.delta.count + len(l.dead)
	return d > 4096 && d > l.base.count/32
}

// Compact folds the delta into a new base. Look-ups and changes go on meanwhile;
// for its duration the set needs its memory twice.
func (s *Set) Compact() error {
	s.mu.Lock()
	if s.building {
		s.mu.Unlock()
		return nil
	}
	s.building, s.since = true, nil
	from := s.live.Load()
	s.mu.Unlock()

	b := newBuilder(true)
	for r := range from.base.records() {
		if _, dead := from.dead[r.key]; !dead {
			b.raw(r)
		}
	}
	for r := range from.delta.records() {
		b.raw(r)
	}
	t, err := b.table()

	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.building { // a Reset came between
		return err
	}
	since := s.since
	s.building, s.since = false, nil
	if err != nil {
		return err
	}
	next, err := (&layers{base: t, delta: &table{}, count: t.count}).with(since)
	if err != nil {
		return err
	}
	s.live.Store(next)
	return nil
}

// Lookup visits every item that catches the name, from the shortest to the
// longest, and stops when visit returns false. wire is a name in wire format
// (RFC 1035 section 3.1), lower case, uncompressed, with its final zero; anything
// else catches nothing or a part. Lookup allocates nothing.
func (s *Set) Lookup(wire []byte, visit func(Hit) bool) {
	l := s.live.Load()
	var starts [128]uint8
	n, p := 0, 0
	for p < len(wire) && wire[p] != 0 {
		if n == len(starts) || p > 254 || wire[p] > 63 {
			return
		}
		starts[n] = uint8(p)
		n++
		p += 1 + int(wire[p])
	}
	if n == 0 || p >= len(wire) {
		return
	}
	deep := max(l.base.deep, l.delta.deep)
	h := uint64(0)
	for i := n - 1; i >= 0 && n-i <= deep; i-- {
		at := int(starts[i])
		h = hashLabel(h, wire[at:at+1+int(wire[at])])
		www := i == 1 && wire[0] == 3 && string(wire[1:4]) == "www"
		q := query{wire: wire[:p], at: at, exact: i == 0, www: www, labels: n - i}
		if l.delta.count > 0 && !l.delta.find(h, &q, nil, visit) {
			return
		}
		if !l.base.find(h, &q, l.dead, visit) {
			return
		}
	}
}

// LookupName is Lookup for a parsed name.
func (s *Set) LookupName(d bolwerk.Domain, visit func(Hit) bool) {
	var buf [256]byte
	s.Lookup(AppendWire(buf[:0], d), visit)
}

// Each visits every item once, in no order, until visit returns false.
func (s *Set) Each(visit func(Item) bool) {
	l := s.live.Load()
	for _, t := range []*table{l.base, l.delta} {
		for r := range t.records() {
			if _, dead := l.dead[r.key]; dead && t == l.base {
				continue
			}
			if !visit(Item{Key: r.key, Name: unpack(r.name), Flags: r.flags, Payload: r.payload}) {
				return
			}
		}
	}
}

// Find gives the item with the key.
func (s *Set) Find(key uint64) (Item, bool) {
	l := s.live.Load()
	r, ok := l.delta.byKey(key)
	if !ok {
		if _, dead := l.dead[key]; dead {
			return Item{}, false
		}
		r, ok = l.base.byKey(key)
	}
	if !ok {
		return Item{}, false
	}
	return Item{key, unpack(r.name), r.flags, append([]byte(nil), r.payload...)}, true
}

// AppendWire adds the name in wire format with its final zero.
func AppendWire(b []byte, d bolwerk.Domain) []byte {
	name := d.String()
	for name != "" {
		label := name
		for i := 0; i < len(name); i++ {
			if name[i] == '.' {
				label = name[:i]
				break
			}
		}
		b = append(b, byte(len(label)))
		b = append(b, label...)
		name = name[min(len(name), len(label)+1):]
	}
	return append(b, 0)
}

func fits(it Item) error {
	if it.Name.IsZero() {
		return bolwerk.Invalid("item %x: no name", it.Key)
	}
	if len(it.Payload) > MaxPayload {
		return bolwerk.Invalid("item %s: payload of %d octets, at most %d", it.Name, len(it.Payload), MaxPayload)
	}
	return nil
}

// word reads up to eight octets as a number.
func word(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var w uint64
	for i := len(b) - 1; i >= 0; i-- {
		w = w<<8 | uint64(b[i])
	}
	return w
}
