package dnsserve

import (
	"context"
	"encoding/binary"
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
	udp      []*net.UDPConn
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
		k.udp = append(k.udp, c.(*net.UDPConn))
		ap = netip.AddrPortFrom(ap.Addr(), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	}
	k.tcp, err = (&net.ListenConfig{}).Listen(ctx, "tcp"+family, net.JoinHostPort(ap.Addr().String(), strconv.Itoa(int(ap.Port()))))
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Addr is the address that is served.
func (k *Sockets) Addr() netip.AddrPort { return k.udp[0].LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes them; Run does it too.
func (k *Sockets) Close() error {
	for _, c := range k.udp {
		c.Close()
	}
	if k.tcp != nil {
		k.tcp.Close()
	}
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
	in, out    [batch]mmsghdr
	inIO       [batch]unix.Iovec
	outIO      [batch]unix.Iovec
	from       [batch]unix.RawSockaddrInet6
	ctl        [batch][ctlSize]byte
	inBytes    [batch][inSize]byte
	outBytes   [batch][outSize]byte
	n, sent    int
	errno      syscall.Errno
	recv, send func(fd uintptr) bool
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
	p.recv = func(fd uintptr) bool {
		for i := range batch {
			p.in[i].hdr.Namelen = unix.SizeofSockaddrInet6
			p.in[i].hdr.SetControllen(ctlSize)
		}
		r, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
		p.n, p.errno = int(r), e
		return e != unix.EAGAIN
	}
	p.send = func(fd uintptr) bool {
		for p.sent < p.n {
			r, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&p.out[p.sent])), uintptr(p.n-p.sent), unix.MSG_DONTWAIT, 0, 0)
			switch {
			case e == unix.EAGAIN:
				return false
			case e == unix.EINTR:
			case e != 0:
				p.sent++ // this asker cannot be reached; the others wait
			default:
				p.sent += int(r)
			}
		}
		return true
	}
	return p
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

// serveUDP answers on one socket until it is closed.
func (s *Server) serveUDP(ctx context.Context, c *net.UDPConn, number int, wildcard bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	w, p := s.worker(number), newPackets()
	for {
		if err := raw.Read(p.recv); err != nil {
			return err
		}
		if p.errno == unix.EINTR || p.errno == unix.ECONNREFUSED {
			continue
		}
		if p.errno != 0 {
			return os.NewSyscallError("recvmmsg", p.errno)
		}
		since, l := time.Since(loaded), s.live.Load()
		now, tick, out, got := s.seconds(since), uint64(since/time.Microsecond), 0, p.n
		for i := range got {
			ip, port := p.asker(i)
			if port == 0 {
				w.done[ignored]++
				continue
			}
			w.q.From = netip.AddrFrom16(ip)
			h := &p.in[i].hdr
			if !wildcard {
				h.SetControllen(0)
			} else {
				anyInterface(p.ctl[i][:h.Controllen])
			}
			msg := p.inBytes[i][:p.in[i].n]
			w.over = l.limit.after(ip, false, tick) > 0
			n, forward := w.handle(p.outBytes[i][:], msg, l.acl.has(ip), 0, now)
			if forward && w.enter() {
				s.later(ctx, c, w, h)
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
		p.n, p.sent = out, 0
		if out > 0 {
			if err := raw.Write(p.send); err != nil {
				return err
			}
		}
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
func (s *Server) later(ctx context.Context, c *net.UDPConn, from *worker, h *unix.Msghdr) {
	w := from.apart(from.q.msg)
	name := append([]byte(nil), unsafe.Slice(h.Name, h.Namelen)...)
	var ctl []byte
	if h.Controllen > 0 {
		ctl = append(ctl, unsafe.Slice(h.Control, h.Controllen)...)
	}
	s.waits.Go(func() {
		out := w.slow(ctx, 0, 0)
		w.count(&s.stats.udp)
		if ctx.Err() == nil {
			c.WriteMsgUDPAddrPort(out, ctl, addrPort(name))
		}
	})
}

func addrPort(name []byte) netip.AddrPort {
	if binary.NativeEndian.Uint16(name) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), binary.BigEndian.Uint16(name[2:]))
	}
	a := netip.AddrFrom16([16]byte(name[8:24]))
	if z := binary.NativeEndian.Uint32(name[24:]); z != 0 {
		a = a.WithZone(strconv.Itoa(int(z)))
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(name[2:]))
}
