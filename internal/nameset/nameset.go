// Package nameset is a set of up to tens of millions of domain names, each with
// a few bytes of payload, that is asked for every DNS question: which of the
// names is this one, or lies it below?
//
// A big immutable base and a delta that only grows sit behind one atomic pointer. A look-up
// takes no lock, allocates nothing and hashes the name once, from its last label
// to its first. Every hash hit is verified against the stored name, so that no
// name is ever taken for another. Nothing in it is a pointer, and all that is big
// lives outside the Go heap: the garbage collector never looks at it and never
// doubles it.
package nameset

import (
	"encoding/binary"
	"iter"
	"runtime"
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
const MaxPayload = 31

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

// layers are what a look-up sees: a base, and of the delta what was there at a turn.
type layers struct {
	base       *table
	delta      *delta // nil: nothing has changed
	turn       uint32
	used, ends int // of the delta
	deep       int // labels of the longest chain that a look-up can hit
	count      int
}

// only has a base and no changes.
func only(t *table) *layers { return &layers{base: t, deep: t.deep, count: t.count} }

// living are the records that are there.
func (l *layers) living() iter.Seq[record] {
	return func(yield func(record) bool) {
		for r := range l.base.records() {
			if l.ends > 0 && l.delta.over(r.at, l.turn) {
				continue
			}
			if !yield(r) {
				return
			}
		}
		l.delta.records(l.used, l.turn)(yield)
	}
}

type change struct {
	key  uint64
	item *Item // nil is a removal
}

// New makes an empty set.
func New() *Set {
	s := &Set{}
	s.live.Store(only(&table{}))
	return s
}

// Len is how many items the set has.
func (s *Set) Len() int { return s.live.Load().count }

// Bytes is what the base and the delta take, without the Go heap's overhead.
func (s *Set) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live.Load()
	return l.base.bytes() + l.delta.bytes()
}

// Reset replaces everything. seq yields each key once; a name or payload that
// does not fit ends the load with an error and leaves the set as it was.
func (s *Set) Reset(seq func(yield func(Item) bool)) error {
	b := newBuilder()
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
	s.live.Store(only(t))
	return nil
}

// Apply adds or replaces the items of put and removes those with the keys of
// remove. Look-ups see all of it or nothing. It costs a few microseconds for each
// name, whatever the set holds.
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

// Grown says that the delta is worth folding into the base: call Compact then,
// beside the look-ups.
func (s *Set) Grown() bool {
	l := s.live.Load()
	d := l.used + l.ends
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

	var t *table
	var err error
	quietly(func() { t, err = rebuilt(from) })

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
	next, err := only(t).with(since)
	if err != nil {
		return err
	}
	s.live.Store(next)
	return nil
}

func rebuilt(from *layers) (*table, error) {
	b := newBuilder()
	for r := range from.living() {
		if err := b.raw(r); err != nil {
			b.drop()
			return nil, err
		}
	}
	return b.table()
}

// Lookup visits every item that catches the name, from the shortest to the
// longest, and stops when visit returns false. wire is a name in wire format
// (RFC 1035 section 3.1), lower case, uncompressed, with its final zero; anything
// else catches nothing or a part. Lookup allocates nothing.
func (s *Set) Lookup(wire []byte, visit func(Hit) bool) { s.live.Load().lookup(wire, visit) }

func (l *layers) lookup(wire []byte, visit func(Hit) bool) {
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
	h := uint64(0)
	for i := n - 1; i >= 0 && n-i <= l.deep; i-- {
		at := int(starts[i])
		h = hashLabel(h, wire[at:at+1+int(wire[at])])
		www := i == 1 && wire[0] == 3 && string(wire[1:4]) == "www"
		q := query{wire: wire[:p], at: at, exact: i == 0, www: www, labels: n - i}
		if l.used > 0 && !l.delta.find(h, &q, l.turn, visit) {
			return
		}
		if !l.base.find(h, &q, l, visit) {
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
	for r := range s.live.Load().living() {
		if !visit(r.item()) {
			return
		}
	}
}

// Find gives the item with the key. It queues behind the writing calls.
func (s *Set) Find(key uint64) (Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live.Load()
	r, ok := l.base.byKey(key)
	if it := l.delta.current(key); it != nil {
		r, ok = recordAt(l.delta.arena, it.at), true
	} else if ok && l.ends > 0 {
		ok = !l.delta.over(r.at, l.turn)
	}
	if !ok {
		return Item{}, false
	}
	it := r.item()
	it.Payload = append([]byte(nil), it.Payload...)
	runtime.KeepAlive(l)
	return it, true
}

func (r record) item() Item {
	return Item{Key: r.key, Name: unpack(r.name), Flags: r.flags, Payload: r.payload}
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
