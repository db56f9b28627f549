package nameset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"slices"

	"bolwerk"
)

// A snapshot is a set on disk, so that a server that starts has its names at
// once. It is the records as they lie in memory; the indexes are made again,
// because their hash is keyed anew in each process.
//
//	magic 8 | octets of meta 4 | meta | for each layer: octets 8, records |
//	octets 8 = 2^64-1 | CRC-32C of all before 4
//
// The sum finds what a crash or a disk tore; it is no signature.

const (
	snapshotMagic = "bwnames2"
	snapshotEnd   = 1<<64 - 1
	// maxMeta bounds what the owner of a set keeps beside its names.
	maxMeta = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes the set and what the caller says about it to w. Changes that come
// meanwhile are not in it; about is called when it is fixed which names are.
func (s *Set) Save(w io.Writer, about func() ([]byte, error)) error {
	l := s.live.Load()
	meta, err := about()
	if err != nil {
		return err
	}
	if len(meta) > maxMeta {
		return bolwerk.Invalid("snapshot: %d octets beside the names, at most %d", len(meta), maxMeta)
	}
	out := &summed{w: w}
	out.write([]byte(snapshotMagic))
	out.write(binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))
	out.write(meta)
	if l.used+l.ends == 0 {
		out.layer(l.base.arena)
	} else {
		out.records(l.living())
	}
	out.write(binary.LittleEndian.AppendUint64(nil, snapshotEnd))
	out.write(binary.LittleEndian.AppendUint32(nil, out.sum))
	runtime.KeepAlive(l)
	return out.err
}

// records writes them in pieces.
func (o *summed) records(all iter.Seq[record]) {
	var piece []byte
	for r := range all {
		n := len(piece)
		piece = slices.Grow(piece, r.size)[:n+r.size]
		r.write(piece[n:])
		if len(piece) >= 1<<20 {
			o.layer(piece)
			piece = piece[:0]
		}
		if o.err != nil {
			return
		}
	}
	o.layer(piece)
}

// summed writes and keeps the sum.
type summed struct {
	w   io.Writer
	sum uint32
	err error
}

func (o *summed) write(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
		o.sum = crc32.Update(o.sum, castagnoli, b)
	}
}

func (o *summed) layer(b []byte) {
	if len(b) > 0 {
		o.write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		o.write(b)
	}
}

// Restore replaces everything by a snapshot and gives its meta. A snapshot that is
// cut, changed or of another kind is an ErrInvalid and leaves the set as it was.
// No record of it is believed before it was looked at: its bounds, its name.
func (s *Set) Restore(r io.Reader) (meta []byte, err error) {
	b := newBuilder()
	defer func() {
		if err != nil {
			b.drop()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = bolwerk.Invalid("snapshot: cut")
			}
		}
	}()
	sum := uint32(0)
	read := func(p []byte) error {
		_, err := io.ReadFull(r, p)
		sum = crc32.Update(sum, castagnoli, p)
		return err
	}
	var head [12]byte
	if err := read(head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if string(head[:8]) != snapshotMagic || n > maxMeta {
		return nil, bolwerk.Invalid("snapshot: not one of ours")
	}
	meta = make([]byte, n)
	if err := read(meta); err != nil {
		return nil, err
	}
	for {
		var size [8]byte
		if err := read(size[:]); err != nil {
			return nil, err
		}
		left := binary.LittleEndian.Uint64(size[:])
		if left == snapshotEnd {
			break
		}
		if left > 1<<32 {
			return nil, bolwerk.Invalid("snapshot: a part of %d octets", left)
		}
		for left > 0 { // in pieces, so that a false length costs no memory
			n := int(min(left, 4<<20))
			a, err := b.grow(n)
			if err != nil {
				return nil, err
			}
			if err := read(a); err != nil {
				return nil, err
			}
			b.t.arena = b.t.arena[:len(b.t.arena)+n]
			left -= uint64(n)
		}
	}
	want := sum
	var tail [4]byte
	if _, err := io.ReadFull(r, tail[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(tail[:]) != want {
		return nil, bolwerk.Invalid("snapshot: its sum is wrong")
	}
	if err := b.t.check(); err != nil {
		return nil, err
	}
	t, err := b.table()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.building, s.since = false, nil
	s.live.Store(only(t))
	return meta, nil
}

// check walks over records that come from a file, and counts them.
func (t *table) check() error {
	for a := t.arena; len(a) > 0; {
		bad := func(why string) error {
			return fmt.Errorf("%w", bolwerk.Invalid("snapshot: record at %d: %s", len(t.arena)-len(a), why))
		}
		if len(a) < header {
			return bad("cut")
		}
		_, p, _ := getHeader(a)
		if len(a) < p {
			return bad("cut")
		}
		n, labels := packedGood(a[p:])
		if n == 0 {
			return bad("no name")
		}
		t.count++
		t.deep = max(t.deep, labels)
		a = a[p+n:]
	}
	return nil
}
