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
// compared in full, and a place that was overwritten is simply gone.
type cache struct {
	seed   maphash.Seed
	shards []shard
}

type shard struct {
	mu    sync.Mutex
	ring  []byte
	head  uint64 // octets ever written; head modulo len(ring) is the next place
	index []slot
	_     [40]byte
}

type slot struct {
	at  uint64 // where the entry began, counted as head is
	tag uint32
	len uint32
}

// entry: expires 4 | stored 4 | key length 2 | - 2 | key | kept reply
const entryHeader = 12

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
		c.shards[i].ring = make([]byte, ring)
		c.shards[i].index = make([]slot, max(8, ring/160&^7))
	}
	return c
}

func (c *cache) shard(key []byte) (*shard, []slot, uint32) {
	h := maphash.Bytes(c.seed, key)
	s := &c.shards[h%shards]
	b := int(uint32(h>>8)) % (len(s.index) / 8) * 8
	return s, s.index[b : b+8], uint32(h >> 32)
}

// get copies the kept reply for the key to dst. age is how old it is.
func (c *cache) get(dst, key []byte, now uint32) (kept []byte, age uint32, ok bool) {
	if len(c.shards) == 0 {
		return nil, 0, false
	}
	s, bucket, tag := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range bucket {
		if b := &bucket[i]; b.tag == tag && b.len > 0 && s.head-b.at <= uint64(len(s.ring)) {
			e := s.ring[b.at%uint64(len(s.ring)):][:b.len]
			k := int(binary.LittleEndian.Uint16(e[8:]))
			if !bytes.Equal(e[entryHeader:entryHeader+k], key) {
				continue
			}
			if now >= binary.LittleEndian.Uint32(e) {
				return nil, 0, false
			}
			return append(dst, e[entryHeader+k:]...), now - binary.LittleEndian.Uint32(e[4:]), true
		}
	}
	return nil, 0, false
}

// put keeps a reply for ttl seconds.
func (c *cache) put(key, kept []byte, now, ttl uint32) {
	n := entryHeader + len(key) + len(kept)
	if len(c.shards) == 0 || ttl == 0 || n > len(c.shards[0].ring)/4 {
		return
	}
	s, bucket, tag := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.ring))
	if left := size - s.head%size; uint64(n) > left {
		s.head += left // an entry never wraps around
	}
	// The slot of the same tag, else a dead one, else the oldest.
	best := 0
	for i := range bucket {
		if bucket[i].tag == tag {
			best = i
			break
		}
		if bucket[i].at < bucket[best].at {
			best = i
		}
	}
	e := s.ring[s.head%size:][:n]
	binary.LittleEndian.PutUint32(e, now+ttl)
	binary.LittleEndian.PutUint32(e[4:], now)
	binary.LittleEndian.PutUint16(e[8:], uint16(len(key)))
	copy(e[entryHeader+copy(e[entryHeader:], key):], kept)
	bucket[best] = slot{s.head, tag, uint32(n)}
	s.head += uint64(n)
}
