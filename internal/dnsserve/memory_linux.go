package dnsserve

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offHeap is n zero values outside the Go heap, as long as the owner lives: the
// collector would let the heap grow to twice of what it holds. T holds no pointers.
// Where the system has no memory it is on the heap.
func offHeap[T, O any](owner *O, n int) []T {
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	if size == 0 {
		return nil
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]T, n)
	}
	runtime.AddCleanup(owner, func(b []byte) { unix.Munmap(b) }, b)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
