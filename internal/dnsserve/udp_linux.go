package dnsserve

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sockets are the places at which one address is served: several UDP sockets that
// share it (SO_REUSEPORT) and a TCP listener on the same port.
type Sockets struct {
	udp      []int // descriptors
	at       netip.AddrPort
	tcp      net.Listener
	wildcard bool
}

// Listen opens the sockets of address:port, one UDP socket for each worker. Port 0
// is any that is free for both.
func Listen(ctx context.Context, address string, workers int) (*Sockets, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		k, err := listen(ctx, ap, workers)
		if err == nil || ap.Port() != 0 || try == 20 {
			return k, err
		}
	}
}

func listen(ctx context.Context, ap netip.AddrPort, workers int) (_ *Sockets, err error) {
	k := &Sockets{wildcard: ap.Addr().IsUnspecified()}
	defer func() {
		if err != nil {
			k.Close()
		}
	}()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // as far as the system lets us
			if k.wildcard {                                                     // the answer must leave from the address that was asked
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
			}
		})
		return err
	}}
	family := "6" // IPv6 only: [::] and 0.0.0.0 are two addresses to serve
	if ap.Addr().Is4() {
		family = "4"
	}
	for range max(1, workers) {
		c, err := lc.ListenPacket(ctx, "udp"+family, ap.String())
		if err != nil {
			return nil, err
		}
		fd, err := waiting(c.(*net.UDPConn))
		if err != nil {
			return nil, err
		}
		k.udp = append(k.udp, fd)
		ap = netip.AddrPortFrom(ap.Addr(), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	}
	k.at = ap
	k.tcp, err = (&net.ListenConfig{}).Listen(ctx, "tcp"+family, net.JoinHostPort(ap.Addr().String(), strconv.Itoa(int(ap.Port()))))
	if err != nil {
		return nil, err
	}
	return k, nil
}

// waiting is the socket of c, which it closes, as one that a thread waits at in the
// kernel: the runtime's poller would wake another thread for each packet.
func waiting(c *net.UDPConn) (fd int, err error) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, os.NewSyscallError("fcntl", unix.SetNonblock(fd, false))
}

// Addr is the address that is served.
func (k *Sockets) Addr() netip.AddrPort { return k.at }

// stop ends the waiting at the sockets; what was asked may still be answered.
func (k *Sockets) stop() {
	for _, fd := range k.udp {
		unix.Shutdown(fd, unix.SHUT_RD) // it says ENOTCONN and does it
	}
	if k.tcp != nil {
		k.tcp.Close()
	}
}

// Close closes them; Run does it too.
func (k *Sockets) Close() error {
	k.stop()
	for _, fd := range k.udp {
		unix.Close(fd)
	}
	k.udp = nil
	return nil
}

const (
	batch   = 64
	inSize  = 1280 // a longer question is cut and so malformed
	outSize = maxUDP
	ctlSize = 64
)

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// packets is the memory of one worker's batches. It is never moved: the kernel
// has its addresses during a call only.
type packets struct {
	in, out  [batch]mmsghdr
	inIO     [batch]unix.Iovec
	outIO    [batch]unix.Iovec
	from     [batch]unix.RawSockaddrInet6
	ctl      [batch][ctlSize]byte
	inBytes  [batch][inSize]byte
	outBytes [batch][outSize]byte
}

func newPackets() *packets {
	p := &packets{}
	for i := range batch {
		p.inIO[i].Base = &p.inBytes[i][0]
		p.inIO[i].SetLen(inSize)
		h := &p.in[i].hdr
		h.Iov = &p.inIO[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&p.from[i]))
		h.Control = &p.ctl[i][0]
		o := &p.out[i].hdr
		o.Iov = &p.outIO[i]
		o.SetIovlen(1)
	}
	return p
}

// recv waits for a packet and takes what has come by then.
func (p *packets) recv(fd int) (n int, err syscall.Errno) {
	for i := range batch {
		p.in[i].hdr.Namelen = unix.SizeofSockaddrInet6
		p.in[i].hdr.SetControllen(ctlSize)
	}
	r, _, e := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&p.in[0])), batch, unix.MSG_WAITFORONE, 0, 0)
	return int(r), e
}

// send sends the first n answers. Who cannot be reached gets none; the others wait.
// A whole batch is some hundred microseconds of work for the kernel, and without
// waiting: the runtime is not told, so that it does not look for another thread.
func (p *packets) send(fd, n int) {
	for sent := 0; sent < n; {
		hdrs, left := uintptr(unsafe.Pointer(&p.out[sent])), uintptr(n-sent)
		r, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), hdrs, left, unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EAGAIN { // no room: this waits for it
			r, _, e = unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), hdrs, left, 0, 0, 0)
		}
		switch e {
		case 0:
			sent += int(r)
		case unix.EINTR:
		default:
			sent++
		}
	}
}

// asker is the address of packet i as 16 octets, and its port.
func (p *packets) asker(i int) (ip [16]byte, port uint16) {
	f := &p.from[i]
	if f.Family == unix.AF_INET {
		f4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(f))
		ip[10], ip[11] = 0xff, 0xff
		copy(ip[12:], f4.Addr[:])
		return ip, f4.Port
	}
	return f.Addr, f.Port
}

// serveUDP answers on one socket until ctx has ended and the socket is stopped.
func (s *Server) serveUDP(ctx context.Context, fd, number int, wildcard bool) error {
	w, p := s.worker(number), newPackets()
	for {
		got, errno := p.recv(fd)
		if ctx.Err() != nil {
			return nil
		}
		if errno == unix.EINTR || errno == unix.ECONNREFUSED {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("recvmmsg", errno)
		}
		since, l := time.Since(loaded), s.live.Load()
		now, tick, out := s.seconds(since), uint64(since/time.Microsecond), 0
		for i := range got {
			ip, port := p.asker(i)
			if port == 0 {
				w.done[ignored]++
				continue
			}
			msg := p.inBytes[i][:p.in[i].n]
			if len(l.proxy) > 0 && l.proxy.has(ip) {
				var ok bool
				if msg, ip, ok = unproxied(msg, ip); !ok {
					s.stats.noProxy.Add(1)
					w.done[ignored]++
					continue
				}
			}
			w.q.From = netip.AddrFrom16(ip)
			h := &p.in[i].hdr
			if !wildcard {
				h.SetControllen(0)
			} else {
				anyInterface(p.ctl[i][:h.Controllen])
			}
			w.over = l.limit.after(ip, false, tick) > 0
			n, forward := w.handle(p.outBytes[i][:], msg, l.acl.has(ip), 0, now)
			if forward && w.enter() {
				s.later(ctx, fd, w, h)
				continue
			}
			if forward {
				n = w.full(p.outBytes[i][:], w.q.size)
			} else if w.leaves {
				s.refresh(ctx, &w.q, w.q.cacheKey(w.key[:0]))
			}
			if n == 0 {
				continue
			}
			o := &p.out[out].hdr
			o.Name, o.Namelen = h.Name, h.Namelen
			o.Control, o.Controllen = nil, 0
			if h.Controllen > 0 {
				o.Control, o.Controllen = h.Control, h.Controllen
			}
			p.outIO[out].Base = &p.outBytes[i][0]
			p.outIO[out].SetLen(n)
			out++
		}
		w.count(&s.stats.udp)
		p.send(fd, out)
	}
}

// anyInterface takes the interface out of a received IP_PKTINFO, so that the
// route decides by which one the answer leaves. For a link-local IPv6 address
// the interface belongs to it and stays.
func anyInterface(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		n := int(h.Len)
		if n < unix.SizeofCmsghdr || n > len(b) {
			return
		}
		d := b[unix.CmsgLen(0):n]
		if h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(d) >= 12 {
			clear(d[0:4])
		}
		if h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(d) >= 20 && !(d[0] == 0xfe && d[1]&0xc0 == 0x80) {
			clear(d[16:20])
		}
		n = (n + 7) &^ 7
		if n > len(b) {
			return
		}
		b = b[n:]
	}
}

// later has w.q answered by a resolver, beside the worker. The asker's address is
// kept for as long as that takes.
func (s *Server) later(ctx context.Context, fd int, from *worker, h *unix.Msghdr) {
	w := from.apart(from.q.msg)
	name := *(*unix.RawSockaddrInet6)(unsafe.Pointer(h.Name))
	var ctl []byte
	if h.Controllen > 0 {
		ctl = append(ctl, unsafe.Slice(h.Control, h.Controllen)...)
	}
	to := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: h.Namelen}
	s.waits.Go(func() {
		out := w.slow(ctx, 0, 0)
		w.count(&s.stats.udp)
		if ctx.Err() == nil {
			io := unix.Iovec{Base: &out[0]}
			io.SetLen(len(out))
			to.Iov = &io
			to.SetIovlen(1)
			if len(ctl) > 0 {
				to.Control = &ctl[0]
				to.SetControllen(len(ctl))
			}
			unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&to)), 0)
		}
	})
}
