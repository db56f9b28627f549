package nameset

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"runtime"

	"bolwerk"
)

// table is one immutable layer: records one behind the other in an arena, and two
// open-addressing indexes into it, by name and by key. A bucket of an index has
// eight slots; one word holds a tag octet for each, so that a miss reads one
// cache line.
//
// record: flags and payload length 1 | key 8 | payload | name packed (see pack.go)
type table struct {
	arena []byte
	tags  []uint64 // by name; 0 is an empty slot
	slots []uint32 // offsets into the arena
	keys  []uint32 // by key; offset+1, 0 is empty
	count int
	deep  int // labels of the longest chain that a look-up can hit
}

const (
	header = 9
	// perBucket is the mean filling of a bucket of eight: high enough to be
	// small, low enough that a look-up seldom reads a second bucket.
	perBucket = 6
)

type record struct {
	at      uint32 // in its arena
	flags   Flags
	key     uint64
	payload []byte
	name    []byte // packed
	size    int
}

func (t *table) at(off uint32) record { return recordAt(t.arena, off) }

func recordAt(arena []byte, off uint32) record {
	a := arena[off:]
	f, p, key := getHeader(a)
	n := packedLen(a[p:])
	return record{off, f, key, a[header:p:p], a[p : p+n : p+n], p + n}
}

func putHeader(a []byte, f Flags, payload int, key uint64) {
	a[0] = byte(f&(Self|Below|WWW)<<5) | byte(payload)
	binary.LittleEndian.PutUint64(a[1:], key)
}

// getHeader gives the flags of the record that a begins with, where its name
// begins, and its key.
func getHeader(a []byte) (f Flags, name int, key uint64) {
	return Flags(a[0] >> 5), header + int(a[0]&MaxPayload), binary.LittleEndian.Uint64(a[1:])
}

func (t *table) records() iter.Seq[record] {
	return func(yield func(record) bool) {
		for off := 0; off < len(t.arena); {
			r := t.at(uint32(off))
			if !yield(r) {
				return
			}
			off += r.size
		}
		runtime.KeepAlive(t)
	}
}

func (t *table) bytes() int {
	return len(t.arena) + 8*len(t.tags) + 4*len(t.slots) + 4*len(t.keys)
}

type query struct {
	wire       []byte // without the final zero
	at         int    // where the suffix begins
	labels     int
	exact, www bool
}

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// hit says whether the record that a begins with has the name and catches it.
func (q *query) hit(a []byte) (Hit, bool) {
	f, p, key := getHeader(a)
	if !samePacked(a[p:], q.wire[q.at:]) || !(q.exact && f&Self != 0 || !q.exact && f&Below != 0 || q.www && f&WWW != 0) {
		return Hit{}, false
	}
	return Hit{key, f, q.exact, q.labels, q.at, a[header:p:p]}, true
}

// find visits the items whose name is q.wire[q.at:] and that l has not ended. It says
// whether to go on.
func (t *table) find(h uint64, q *query, l *layers, visit func(Hit) bool) bool {
	if t.count == 0 {
		return true
	}
	tag := tagOf(h)
	b := spread(h, len(t.tags))
	for range t.tags {
		w := t.tags[b]
		// The usual trick: a zero octet in x marks a slot with the tag. It may
		// also mark the one above a true hit; the verification sorts that out.
		x := w ^ tag*ones
		for m := (x - ones) &^ x & tops; m != 0; m &= m - 1 {
			off := t.slots[b*8+bits.TrailingZeros64(m)/8]
			hit, ok := q.hit(t.arena[off:])
			if !ok || l.ends > 0 && l.delta.over(off, l.turn) {
				continue
			}
			if !visit(hit) {
				runtime.KeepAlive(t)
				return false
			}
		}
		if (w-ones)&^w&tops != 0 { // an empty slot: the chain ends
			break
		}
		if b++; b == len(t.tags) {
			b = 0
		}
	}
	runtime.KeepAlive(t)
	return true
}

func (t *table) byKey(key uint64) (record, bool) {
	if t.count == 0 {
		return record{}, false
	}
	i := spread(mix(key, seed[2]), len(t.keys))
	for range t.keys {
		if t.keys[i] == 0 {
			break
		}
		if r := t.at(t.keys[i] - 1); r.key == key {
			return r, true
		}
		if i++; i == len(t.keys) {
			i = 0
		}
	}
	return record{}, false
}

// builder collects records and makes a table of them.
type builder struct {
	t     *table
	pages pages
}

func newBuilder() *builder { return &builder{t: &table{}} }

func (b *builder) grow(n int) ([]byte, error) {
	t := b.t
	if uint64(len(t.arena)+n) > 1<<32-1 {
		return nil, bolwerk.ErrFull
	}
	if len(t.arena)+n > cap(t.arena) {
		a, err := b.pages.grow(t.arena, n)
		if err != nil {
			return nil, err
		}
		t.arena = a
	}
	return t.arena[len(t.arena) : len(t.arena)+n], nil
}

func (b *builder) add(it Item) error {
	if err := fits(it); err != nil {
		return err
	}
	n := it.size()
	a, err := b.grow(n)
	if err != nil {
		return err
	}
	it.write(a)
	b.done(n, it.Name.Labels())
	return nil
}

// raw adds a record of another layer.
func (b *builder) raw(r record) error {
	a, err := b.grow(r.size)
	if err != nil {
		return err
	}
	r.write(a)
	b.done(r.size, packedLabels(r.name))
	return nil
}

func (b *builder) done(n, labels int) {
	b.t.arena = b.t.arena[:len(b.t.arena)+n]
	b.t.count++
	b.t.deep = max(b.t.deep, labels)
}

func (b *builder) drop() { b.pages.free() }

// table seals the records and indexes them.
func (b *builder) table() (*table, error) {
	t := b.t
	if t.count == 0 {
		b.drop()
		return &table{}, nil
	}
	buckets := t.count/perBucket + 1
	keys := t.count + t.count/4 + 2
	if err := b.pages.seal(t, buckets, keys); err != nil {
		return nil, err
	}
	for off := 0; off < len(t.arena); {
		r := t.at(uint32(off))
		t.index(uint32(off), r)
		off += r.size
	}
	return t, nil
}

func (t *table) index(off uint32, r record) {
	h := hashPacked(r.name)
	b := spread(h, len(t.tags))
	for {
		w := t.tags[b]
		if m := (w - ones) &^ w & tops; m != 0 {
			i := bits.TrailingZeros64(m) / 8
			t.tags[b] = w | tagOf(h)<<(8*i)
			t.slots[b*8+i] = off
			break
		}
		if b++; b == len(t.tags) {
			b = 0
		}
	}
	i := spread(mix(r.key, seed[2]), len(t.keys))
	for t.keys[i] != 0 {
		if i++; i == len(t.keys) {
			i = 0
		}
	}
	t.keys[i] = off + 1
}
