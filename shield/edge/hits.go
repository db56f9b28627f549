package edge

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
)

// Hits are counted per block and five minutes, and nothing else: no address, no
// time of a single one. Each DNS worker has tables of its own, so that counting
// takes no lock; a table is given up when its five minutes are over.

const bucketSeconds = 300

type hits struct {
	boot    string
	workers []workerHits

	mu   sync.Mutex // everybody who is not a worker
	slow map[int64]map[uint64]*[3]uint64
	sent map[int64]uint64 // sum of what was handed in, by bucket
}

// kinds of hit
const (
	hitDNS = iota
	hitPage
	hitTLS
)

type workerHits struct {
	gen [2]atomic.Pointer[table] // of even and odd buckets
	_   [48]byte
}

// table counts by key. One goroutine writes, any may read.
type table struct {
	bucket int64
	used   int
	slots  []slot
}

type slot struct{ key, n atomic.Uint64 }

func newHits(boot string, workers int) *hits {
	return &hits{boot: boot, workers: make([]workerHits, workers), slow: map[int64]map[uint64]*[3]uint64{}, sent: map[int64]uint64{}}
}

func (h *hits) dns(worker int, key uint64, now int64) {
	bucket := now / bucketSeconds
	if worker < 0 || worker >= len(h.workers) {
		h.other(hitDNS, key, now)
		return
	}
	gen := &h.workers[worker].gen[bucket&1]
	t := gen.Load()
	if t == nil || t.bucket != bucket {
		t = &table{bucket: bucket, slots: make([]slot, 64)}
		gen.Store(t)
	}
	if t.used > len(t.slots)*3/4 {
		next := &table{bucket: bucket, slots: make([]slot, 4*len(t.slots))}
		for i := range t.slots {
			if k := t.slots[i].key.Load(); k != 0 {
				next.add(k, t.slots[i].n.Load())
			}
		}
		t = next
		gen.Store(t)
	}
	t.add(key, 1)
}

func (t *table) add(key, n uint64) {
	mask := uint64(len(t.slots) - 1)
	for i := key * 0x9e3779b97f4a7c15 >> 20 & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		switch s.key.Load() {
		case 0:
			s.n.Store(n)
			s.key.Store(key)
			t.used++
			return
		case key:
			s.n.Store(s.n.Load() + n)
			return
		}
	}
}

func (h *hits) other(kind int, key uint64, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := now / bucketSeconds
	if h.slow[b] == nil {
		h.slow[b] = map[uint64]*[3]uint64{}
	}
	c := h.slow[b][key]
	if c == nil {
		c = new([3]uint64)
		h.slow[b][key] = c
	}
	c[kind]++
}

// collect sums a bucket up. The values are absolute since the start of the bucket.
func (h *hits) collect(bucket int64) (map[uint64][3]uint64, uint64) {
	out := map[uint64][3]uint64{}
	var sum uint64
	for i := range h.workers {
		t := h.workers[i].gen[bucket&1].Load()
		if t == nil || t.bucket != bucket {
			continue
		}
		for j := range t.slots {
			if k := t.slots[j].key.Load(); k != 0 {
				c := out[k]
				n := t.slots[j].n.Load()
				c[hitDNS] += n
				sum += n
				out[k] = c
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, v := range h.slow[bucket] {
		c := out[k]
		for i := range c {
			c[i] += v[i]
			sum += v[i]
		}
		out[k] = c
	}
	return out, sum
}

// rollUp hands in what has changed in this bucket and the one before.
func (e *Edge) rollUp(ctx context.Context) {
	if e.handIn == nil {
		return
	}
	h := e.hits
	now := e.now.Load() / bucketSeconds
	for b := now - 1; b <= now; b++ {
		counts, sum := h.collect(b)
		h.mu.Lock()
		same := h.sent[b] == sum
		h.mu.Unlock()
		if same {
			continue
		}
		if err := e.handInCounts(ctx, b, counts); err != nil {
			e.log.Error("counts cannot be handed in; tried again", "err", err)
			continue
		}
		h.mu.Lock()
		h.sent[b] = sum
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := range h.slow {
		if b < now-1 || b > now+1 {
			delete(h.slow, b)
		}
	}
	for b := range h.sent {
		if b < now-1 || b > now+1 {
			delete(h.sent, b)
		}
	}
}

func (e *Edge) handInCounts(ctx context.Context, bucket int64, counts map[uint64][3]uint64) error {
	m := Hits{Boot: e.hits.boot, Bucket: time.Unix(bucket*bucketSeconds, 0).UTC()}
	send := func() error {
		body, err := json.Marshal(m)
		if err != nil {
			return err
		}
		m.Counts = m.Counts[:0]
		return e.handIn(ctx, KindHits, body)
	}
	for k, c := range counts {
		m.Counts = append(m.Counts, Count{Block: e.terms.block(k), DNS: c[hitDNS], Page: c[hitPage], TLS: c[hitTLS]})
		if len(m.Counts) == maxCounts {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if len(m.Counts) == 0 {
		return nil
	}
	return send()
}
