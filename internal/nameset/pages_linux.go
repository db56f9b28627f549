package nameset

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// region is memory outside the Go heap. It goes back to the system when the last
// table that uses it is unreachable.
type region struct{ maps [][]byte }

// pages is a region in the making.
type pages struct{ arena []byte }

// grow gives the arena room for n more octets without copying: the kernel moves
// its pages.
func (p *pages) grow(a []byte, n int) ([]byte, error) {
	want := max(1<<20, (len(a)+n)*3/2+4095) &^ 4095
	var m []byte
	var err error
	if p.arena == nil {
		m, err = unix.Mmap(-1, 0, want, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	} else {
		m, err = unix.Mremap(p.arena, want, unix.MREMAP_MAYMOVE)
	}
	if err != nil {
		return nil, err
	}
	p.arena = m
	return m[:len(a)], nil
}

func (p *pages) free() {
	if p.arena != nil {
		unix.Munmap(p.arena)
		p.arena = nil
	}
}

// seal cuts the arena to its size and makes the indexes beside it.
func (p *pages) seal(t *table, buckets, keys int) (*region, error) {
	r := &region{}
	index, err := unix.Mmap(-1, 0, 8*buckets+32*buckets+4*keys, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		p.free()
		return nil, err
	}
	if m, err := unix.Mremap(p.arena, (len(t.arena)+4095)&^4095, unix.MREMAP_MAYMOVE); err == nil {
		p.arena = m
	}
	t.arena = p.arena[:len(t.arena)]
	base := unsafe.Pointer(unsafe.SliceData(index))
	t.tags = unsafe.Slice((*uint64)(base), buckets)
	t.slots = unsafe.Slice((*uint32)(unsafe.Add(base, 8*buckets)), 8*buckets)
	t.keys = unsafe.Slice((*uint32)(unsafe.Add(base, 40*buckets)), keys)
	r.maps = [][]byte{p.arena, index}
	runtime.AddCleanup(t, func(maps [][]byte) {
		for _, m := range maps {
			unix.Munmap(m)
		}
	}, r.maps)
	p.arena = nil
	return r, nil
}
