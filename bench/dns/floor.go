package main

import (
	"context"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// serveFloor is the least that a program can do with a question over UDP: it takes up to
// 64 in one call and sends them back as answers in another, looking at nothing. What
// that costs is the kernel's; who answers questions pays it too.
func serveFloor(ctx context.Context) error {
	c, err := net.ListenPacket("udp4", "127.0.0.1:15301")
	if err != nil {
		return err
	}
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	type header struct {
		hdr unix.Msghdr
		n   uint32
	}
	const batch, size = 64, 1280
	in := new([batch]header)
	var io [batch]unix.Iovec
	var from [batch]unix.RawSockaddrInet4
	var octets [batch][size]byte
	for i := range batch {
		io[i].Base = &octets[i][0]
		in[i].hdr.Iov = &io[i]
		in[i].hdr.SetIovlen(1)
		in[i].hdr.Name = (*byte)(unsafe.Pointer(&from[i]))
	}
	var failed error
	raw.Control(func(fd uintptr) {
		unix.SetNonblock(int(fd), false)
		for ctx.Err() == nil {
			for i := range batch {
				in[i].hdr.Namelen = unix.SizeofSockaddrInet4
				io[i].SetLen(size)
			}
			n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(in)), batch, unix.MSG_WAITFORONE, 0, 0)
			if e == unix.EINTR {
				continue
			}
			if e != 0 {
				failed = os.NewSyscallError("recvmmsg", e)
				return
			}
			for i := range n {
				io[i].SetLen(int(in[i].n))
				octets[i][2] |= 0x80
			}
			for sent := uintptr(0); sent < n; {
				r, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&in[sent])), n-sent, 0, 0, 0)
				if e != 0 {
					r = 1
				}
				sent += r
			}
		}
	})
	return failed
}
