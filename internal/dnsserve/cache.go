package dnsserve

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// cache keeps replies in rings of octets: the newest overwrites the oldest, so
// its size is fixed from the start and the garbage collector sees a few slices.
// An index of buckets of eight points into each ring; what it points at is
// compared in full, and a place that was overwritten is simply gone. A key has two
// buckets and lies in one of them: with one, a few names of a hundred share theirs
// with more than seven others and take each other's place for ever.
type cache struct {
	seed   maphash.Seed
	shards []shard
}

type shard struct {
	mu    sync.Mutex
	ring  []byte
	head  uint64 // octets ever written; head modulo len(ring) is the next place
	index []bucket
	_     [40]byte
}

type slot struct {
	at  uint64 // where the entry began, counted as head is
	tag uint32
	len uint32
}

// entry: expires 4 | stored 4 | gone 4 | key length 2 | flags 2 | key | kept reply
//
// Between expires and gone it is stale: better than no answer (RFC 8767).
const entryHeader = 16

const (
	flagAsked = 1 // somebody has been sent to refresh it
	flagStale = 2 // it was stale already when it was put
)

// found is what the cache has for a key.
type found struct {
	kept  []byte
	age   uint32 // seconds since the resolver said so
	fresh bool   // it may be answered without asking the resolvers
	stale bool   // its time is over
	// leaves is set once for each entry, when the last tenth of its time begins:
	// who gets it refreshes the entry.
	leaves bool
}

const (
	staleTTL = 30 // RFC 8767 section 4; also for how long the resolvers are left alone
	// minRefresh is the shortest life that is worth a refresh.
	minRefresh = 10
)

const shards = 16

func newCache(size int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	if size < shards*4096 {
		return c
	}
	c.shards = make([]shard, shards)
	for i := range c.shards {
		// An entry has about 160 octets: one slot for each. Together they
		// have the size that was asked for.
		ring := size / shards * 10 / 11
		c.shards[i].ring = offHeap[byte](&c.shards[0], ring)
		c.shards[i].head = 1 // nothing was written at 0: that is an empty slot
		c.shards[i].index = offHeap[bucket](&c.shards[0], max(1, ring/160/8))
	}
	return c
}

// bucket is what one read of memory brings; it is as long as two cache lines.
type bucket [8]slot

// find is the shard of a key, its two buckets there, and its tag.
func (c *cache) find(key []byte) (s *shard, both [2]*bucket, tag uint32) {
	h := maphash.Bytes(c.seed, key)
	s, tag = &c.shards[h%shards], uint32(h>>32)
	n := uint64(len(s.index))
	both[0] = &s.index[uint64(uint32(h))*n>>32]
	both[1] = &s.index[uint64(tag*0x9e3779b1)*n>>32]
	return s, both, tag
}

// entry is what a slot points at if it is still there and of this key.
func (s *shard) entry(b *slot, tag uint32, key []byte) ([]byte, int) {
	if b.tag != tag || b.len == 0 || s.head-b.at > uint64(len(s.ring)) {
		return nil, 0
	}
	e := s.ring[b.at%uint64(len(s.ring)):][:b.len]
	k := int(binary.LittleEndian.Uint16(e[12:]))
	if !bytes.Equal(e[entryHeader:entryHeader+k], key) {
		return nil, 0
	}
	return e, k
}

// place is the slot of the bucket that the tag takes: its own, else the oldest;
// and how good that is: how many are free, a number above all for its own.
func (s *shard) place(b *bucket, tag uint32) (best *slot, free int) {
	best = &b[0]
	for i := range b {
		switch at := b[i].at; {
		case b[i].tag == tag:
			return &b[i], len(b) + 1
		case b[i].len == 0 || s.head-at > uint64(len(s.ring)):
			free++
			fallthrough
		default:
			if at < best.at {
				best = &b[i]
			}
		}
	}
	return best, free
}

// get copies the kept reply for the key to dst; the zero found is none.
func (c *cache) get(dst, key []byte, now uint32) (f found) {
	if len(c.shards) == 0 {
		return f
	}
	s, both, tag := c.find(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bucket := range both {
		for i := range bucket {
			e, k := s.entry(&bucket[i], tag, key)
			if e == nil {
				continue
			}
			expires, stored := binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])
			if now >= expires && now >= binary.LittleEndian.Uint32(e[8:]) {
				return f
			}
			f = found{kept: append(dst, e[entryHeader+k:]...), age: now - stored, fresh: now < expires, stale: now >= expires || e[14] == flagStale}
			if flags := e[14]; f.fresh && flags == 0 && expires-stored >= minRefresh && (expires-now)*10 <= expires-stored {
				e[14] = flagAsked
				f.leaves = true
			}
			return f
		}
	}
	return f
}

// putStale keeps a stale reply for a little longer, so that the resolvers are not
// asked for each question while they are away. Its time does not end later.
func (c *cache) putStale(key, kept []byte, now uint32) {
	if len(c.shards) == 0 {
		return
	}
	s, both, tag := c.find(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bucket := range both {
		for i := range bucket {
			if e, _ := s.entry(&bucket[i], tag, key); e != nil && now >= binary.LittleEndian.Uint32(e) {
				binary.LittleEndian.PutUint32(e, min(now+staleTTL, binary.LittleEndian.Uint32(e[8:])))
				e[14] = flagStale
				return
			}
		}
	}
}

// put keeps a reply for ttl seconds, and stale for another so many.
func (c *cache) put(key, kept []byte, now, ttl, stale uint32) {
	n := entryHeader + len(key) + len(kept)
	if len(c.shards) == 0 || ttl == 0 || n > len(c.shards[0].ring)/4 {
		return
	}
	s, both, tag := c.find(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.ring))
	if left := size - s.head%size; uint64(n) > left {
		s.head += left // an entry never wraps around
	}
	best, free := s.place(both[0], tag)
	if other, more := s.place(both[1], tag); more > free {
		best = other
	}
	e := s.ring[s.head%size:][:n]
	binary.LittleEndian.PutUint32(e, now+ttl)
	binary.LittleEndian.PutUint32(e[4:], now)
	binary.LittleEndian.PutUint32(e[8:], now+ttl+stale)
	binary.LittleEndian.PutUint16(e[12:], uint16(len(key)))
	e[14], e[15] = 0, 0
	copy(e[entryHeader+copy(e[entryHeader:], key):], kept)
	*best = slot{s.head, tag, uint32(n)}
	s.head += uint64(n)
}
