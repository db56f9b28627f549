package siem

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes the other machine has not acknowledged yet
// (tcp(7), SIOCOUTQ).
func unacknowledged(c net.Conn) (n int, err error) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return 0, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return 0, err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { n, inner = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		return 0, err
	}
	return n, inner
}
