package nameset

import (
	"iter"
	"runtime"
	"sync/atomic"
	"unsafe"

	"bolwerk"
)

// delta is what changed since the base was made. It only grows: a change adds a
// record or marks one as ended, each with the turn of the change. Look-ups see the
// records of their own turn and before, so that a change is seen whole, costs the
// same however many came before it, and moves nothing under a look-up.
//
// One writer, who holds Set.mu. A look-up finds a record by its slot in byName,
// which is stored when the record is complete.
type delta struct {
	arena  []byte          // records, as in a table
	items  []deltaItem     // one for each record
	byName []atomic.Uint64 // lower half of the name's hash | number of the item + 1
	ended  []atomic.Uint64 // of the base: offset + 1 | turn
	byKey  []uint32        // number of the item + 1; the writer's alone

	// The writer's alone; what look-ups may know of them is in layers.
	size, used, ends int
}

// deltaItem is where a record lies and in which turns it is there.
type deltaItem struct {
	at    uint32
	from  uint32
	until atomic.Uint32 // 0: it is there still
}

const (
	deltaLeast = 4096 // records that the smallest has room for
	deltaOctet = 96   // of a record, for which there is room; the mean is 40
)

// newDelta makes one with room for n records, outside the Go heap: what is not
// used takes no memory.
func newDelta(n int) (*delta, error) {
	d := &delta{}
	total := deltaOctet*n + int(unsafe.Sizeof(deltaItem{}))*n + 16*n + 16*n + 8*n + 64
	m, err := offHeap(d, total)
	if err != nil {
		return nil, err
	}
	at := unsafe.Pointer(unsafe.SliceData(m))
	take := func(octets int) unsafe.Pointer {
		p := at
		at = unsafe.Add(at, (octets+7)&^7)
		return p
	}
	d.byName = unsafe.Slice((*atomic.Uint64)(take(16*n)), 2*n) // never more than half full
	d.ended = unsafe.Slice((*atomic.Uint64)(take(16*n)), 2*n)
	d.byKey = unsafe.Slice((*uint32)(take(8*n)), 2*n)
	d.items = unsafe.Slice((*deltaItem)(take(int(unsafe.Sizeof(deltaItem{}))*n)), n)
	d.arena = unsafe.Slice((*byte)(take(deltaOctet*n)), deltaOctet*n)
	return d, nil
}

// bytes is what is in use.
func (d *delta) bytes() int {
	if d == nil {
		return 0
	}
	return d.size + d.used*(int(unsafe.Sizeof(deltaItem{}))+24) + 16*d.ends
}

// there says that the item is there at a turn.
func (it *deltaItem) there(turn uint32) bool {
	until := it.until.Load()
	return it.from <= turn && (until == 0 || until > turn)
}

// records are those of the first used that are there at a turn.
func (d *delta) records(used int, turn uint32) iter.Seq[record] {
	return func(yield func(record) bool) {
		if d == nil {
			return
		}
		for i := range d.items[:used] {
			if it := &d.items[i]; it.there(turn) && !yield(recordAt(d.arena, it.at)) {
				break
			}
		}
		runtime.KeepAlive(d)
	}
}

// find visits what is there of the name q.wire[q.at:]. It says whether to go on.
func (d *delta) find(h uint64, q *query, turn uint32, visit func(Hit) bool) bool {
	more := true
	for i := spread(h, len(d.byName)); more; i++ {
		if i == len(d.byName) {
			i = 0
		}
		v := d.byName[i].Load()
		if v == 0 {
			break
		}
		if v>>32 != h&(1<<32-1) {
			continue
		}
		it := &d.items[uint32(v)-1]
		if !it.there(turn) {
			continue
		}
		if hit, ok := q.hit(d.arena[it.at:]); ok {
			more = visit(hit)
		}
	}
	runtime.KeepAlive(d)
	return more
}

// over says that the base's record at off is not there any more.
func (d *delta) over(off, turn uint32) bool {
	for i := d.endSlot(off); ; i++ {
		if i == len(d.ended) {
			i = 0
		}
		switch v := d.ended[i].Load(); {
		case v == 0:
			return false
		case v>>32 == uint64(off)+1:
			runtime.KeepAlive(d)
			return uint32(v) <= turn
		}
	}
}

func (d *delta) endSlot(off uint32) int { return spread(mix(uint64(off), seed[2]), len(d.ended)) }

// end marks the base's record at off.
func (d *delta) end(off, turn uint32) {
	i := d.endSlot(off)
	for d.ended[i].Load() != 0 {
		if i++; i == len(d.ended) {
			i = 0
		}
	}
	d.ended[i].Store((uint64(off)+1)<<32 | uint64(turn))
	d.ends++
}

// keySlot is where the key's number is or belongs.
func (d *delta) keySlot(key uint64) *uint32 {
	i := spread(mix(key, seed[2]), len(d.byKey))
	for {
		n := d.byKey[i]
		if n == 0 || recordAt(d.arena, d.items[n-1].at).key == key {
			return &d.byKey[i]
		}
		if i++; i == len(d.byKey) {
			i = 0
		}
	}
}

// current is the item with the key that is there now; the writer's.
func (d *delta) current(key uint64) *deltaItem {
	if d == nil {
		return nil
	}
	if n := *d.keySlot(key); n > 0 && d.items[n-1].until.Load() == 0 {
		return &d.items[n-1]
	}
	return nil
}

// room says that so many more changes with records of so many octets fit.
func (d *delta) room(changes, octets int) bool {
	return d != nil && d.used+changes <= len(d.items) && d.ends+changes <= len(d.items) && d.size+octets <= len(d.arena)
}

// next is where the next record of n octets is written; add makes it one.
func (d *delta) next(n int) []byte { return d.arena[d.size : d.size+n] }

func (d *delta) add(n int, turn uint32) {
	r := recordAt(d.arena, uint32(d.size))
	slot := d.keySlot(r.key)
	d.items[d.used].at, d.items[d.used].from = uint32(d.size), turn
	d.used++
	d.size += n
	*slot = uint32(d.used)
	h := hashPacked(r.name)
	i := spread(h, len(d.byName))
	for d.byName[i].Load() != 0 {
		if i++; i == len(d.byName) {
			i = 0
		}
	}
	d.byName[i].Store(h<<32 | uint64(d.used))
}

// roomier gives a delta with what is there now and room for more. Look-ups that are
// under way go on in the old one, which changes no more.
func (d *delta) roomier(changes, octets int, turn uint32) (*delta, error) {
	n := deltaLeast
	if d != nil {
		octets += d.size
		n = max(n, 2*d.used, 2*d.ends)
	}
	n = max(n, 2*changes, octets/deltaOctet+1)
	if n > 1<<25 {
		return nil, bolwerk.ErrFull // for the offset of a record has 32 bits
	}
	next, err := newDelta(n)
	if err != nil || d == nil {
		return next, err
	}
	for r := range d.records(d.used, turn) {
		r.write(next.next(r.size))
		next.add(r.size, turn)
	}
	for i := range d.ended {
		if v := d.ended[i].Load(); v != 0 {
			next.end(uint32(v>>32)-1, uint32(v))
		}
	}
	return next, nil
}

// with makes the layers after the changes, in the delta of l if it has room; of two
// changes of a key the later stands. The caller holds Set.mu.
func (l *layers) with(ch []change) (*layers, error) {
	n, octets := *l, 0
	n.turn++
	for _, c := range ch {
		if c.item != nil {
			octets += c.item.size()
		}
	}
	if !n.delta.room(len(ch), octets) { // from here on nothing can go wrong
		var err error
		if n.delta, err = l.delta.roomier(len(ch), octets, l.turn); err != nil {
			return nil, err
		}
	}
	d := n.delta
	for _, c := range ch {
		if it := d.current(c.key); it != nil {
			it.until.Store(n.turn)
			n.count--
		} else if r, ok := n.base.byKey(c.key); ok && !d.over(r.at, n.turn) {
			d.end(r.at, n.turn)
			n.count--
		}
		if c.item != nil {
			size := c.item.size()
			c.item.write(d.next(size))
			d.add(size, n.turn)
			n.deep = max(n.deep, c.item.Name.Labels())
			n.count++
		}
	}
	n.used, n.ends = d.used, d.ends
	runtime.KeepAlive(l)
	return &n, nil
}

// size is how many octets the item's record has.
func (it *Item) size() int { return header + len(it.Payload) + packedSize(len(it.Name.String())) }

// write makes the item a record in a, which has its size.
func (it *Item) write(a []byte) {
	putHeader(a, it.Flags, len(it.Payload), it.Key)
	pack(a[header+copy(a[header:], it.Payload):], it.Name.String())
}

// write copies the record to a, which has its size.
func (r record) write(a []byte) {
	putHeader(a, r.flags, len(r.payload), r.key)
	copy(a[header+copy(a[header:], r.payload):], r.name)
}
