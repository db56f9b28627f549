package nameset

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offHeap is n octets of zeros outside the Go heap, as long as the owner lives.
func offHeap[T any](owner *T, n int) ([]byte, error) {
	m, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		runtime.AddCleanup(owner, unmap, m)
	}
	return m, err
}

func unmap(m []byte) { unix.Munmap(m) }

// pages is an arena in the making.
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

// seal cuts the arena to its size, gives it to the table and makes the indexes beside it.
func (p *pages) seal(t *table, buckets, keys int) error {
	index, err := offHeap(t, 8*buckets+32*buckets+4*keys)
	if err != nil {
		p.free()
		return err
	}
	if m, err := unix.Mremap(p.arena, (len(t.arena)+4095)&^4095, unix.MREMAP_MAYMOVE); err == nil {
		p.arena = m
	}
	runtime.AddCleanup(t, unmap, p.arena)
	t.arena = p.arena[:len(t.arena)]
	p.arena = nil
	base := unsafe.Pointer(unsafe.SliceData(index))
	t.tags = unsafe.Slice((*uint64)(base), buckets)
	t.slots = unsafe.Slice((*uint32)(unsafe.Add(base, 8*buckets)), 8*buckets)
	t.keys = unsafe.Slice((*uint32)(unsafe.Add(base, 40*buckets)), keys)
	return nil
}

// quietly runs f on a thread that gives way to those that answer questions, as far as
// the system's scheduler lets it.
func quietly(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with f, and its priority with it
		unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), givesWay)
		f()
	}()
	<-done
}

// givesWay is a tenth of the usual share where others want the processor, so that a
// busy machine still comes to an end with it.
const givesWay = 10
