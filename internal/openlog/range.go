package openlog

import (
	"bolwerk"

	"golang.org/x/mod/sumdb/tlog"
)

// Range is the right edge of a tree: all that is needed to add leaves to it and
// to know its root. The zero Range is the empty tree.
type Range struct {
	Size  int64
	Edge  []tlog.Hash // of the whole subtrees, the largest first
	inner func(level int, n int64, h tlog.Hash)
}

// Watch has fn told of each inner node that is complete: of the levels above
// the leaves, and which one of its level.
func (r *Range) Watch(fn func(level int, n int64, h tlog.Hash)) { r.inner = fn }

// Add adds the hash of a leaf.
func (r *Range) Add(leaf tlog.Hash) {
	n := r.Size
	h := leaf
	for level := 0; n>>level&1 == 1; level++ {
		last := len(r.Edge) - 1
		h = tlog.NodeHash(r.Edge[last], h)
		r.Edge = r.Edge[:last]
		if r.inner != nil {
			r.inner(level+1, n>>(level+1), h)
		}
	}
	r.Edge = append(r.Edge, h)
	r.Size++
}

// Root is the root hash; of the empty tree that of no octets (RFC 6962).
func (r *Range) Root() tlog.Hash {
	if len(r.Edge) == 0 {
		root, err := tlog.TreeHash(0, nil)
		if err != nil {
			panic(err) // the empty tree reads no hashes
		}
		return root
	}
	h := r.Edge[len(r.Edge)-1]
	for i := len(r.Edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(r.Edge[i], h)
	}
	return h
}

// Bytes are the edge's hashes, one behind the other.
func (r *Range) Bytes() []byte {
	var b []byte
	for _, h := range r.Edge {
		b = append(b, h[:]...)
	}
	return b
}

// ReadRange reads what Bytes wrote, of a tree of size leaves.
func ReadRange(size int64, b []byte) (Range, error) {
	r := Range{Size: size}
	ones := 0
	for n := size; n > 0; n >>= 1 {
		ones += int(n & 1)
	}
	if size < 0 || len(b) != ones*tlog.HashSize {
		return Range{}, bolwerk.Invalid("the edge of a tree of %d leaves has %d octets", size, len(b))
	}
	for ; len(b) > 0; b = b[tlog.HashSize:] {
		r.Edge = append(r.Edge, tlog.Hash(b[:tlog.HashSize]))
	}
	return r, nil
}
