package dnsserve

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A load balancer or dnsdist in front says whose question it passes on with the PROXY
// protocol, version 2 (proxy-protocol.txt of HAProxy, section 2.2): before the message in
// each datagram, once at the start of a connection, before TLS. It is read from the
// listed sources only, and there it must be: whoever else could send one could speak in
// everybody's name.

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4
	// maxProxy bounds the addresses with what may follow them (TLVs), which is skipped.
	maxProxy = 1024
)

var errProxy = errors.New("no PROXY header of version 2")

// proxyHeader reads the header at the start of b. It has n octets. The asker is zero
// where the proxy asks for itself (LOCAL, or an unspecified family).
func proxyHeader(b []byte) (asker netip.AddrPort, n int, err error) {
	if len(b) < proxyFixed || string(b[:len(proxySignature)]) != proxySignature {
		return asker, 0, errProxy
	}
	command, family, rest := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	n = proxyFixed + rest
	if rest > maxProxy || n > len(b) {
		return asker, 0, errProxy
	}
	a := b[proxyFixed:n]
	switch {
	case command == 0x20, command == 0x21 && family == 0:
		return asker, n, nil
	case command != 0x21 || family&0xf != 1 && family&0xf != 2:
	case family>>4 == 1 && len(a) >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:])), n, nil
	case family>>4 == 2 && len(a) >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)), binary.BigEndian.Uint16(a[32:])), n, nil
	}
	return netip.AddrPort{}, 0, errProxy
}

// unproxied is the message behind the header of a datagram, and who asks; false is
// no such header. ip is who sent the datagram.
func unproxied(msg []byte, ip [16]byte) ([]byte, [16]byte, bool) {
	asker, n, err := proxyHeader(msg)
	if err != nil {
		return nil, ip, false
	}
	if asker.IsValid() {
		ip = asker.Addr().As16()
	}
	return msg[n:], ip, true
}

// behindProxy is a connection of a listed proxy. The header is read when somebody first
// wants to know who is there, or reads; a bad one fails every read.
type behindProxy struct {
	net.Conn
	s *Server

	once  sync.Once
	asker net.Addr
	err   error
}

func (c *behindProxy) header() {
	c.once.Do(func() {
		c.Conn.SetReadDeadline(time.Now().Add(c.s.cfg.times.hello))
		c.asker, c.err = readProxy(c.Conn)
		if c.err != nil {
			c.s.stats.noProxy.Add(1)
		}
		c.Conn.SetReadDeadline(time.Time{})
	})
}

// readProxy reads the header off a connection, and nothing behind it.
func readProxy(c net.Conn) (net.Addr, error) {
	var room [proxyFixed + maxProxy]byte
	b := room[:proxyFixed]
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	rest := int(binary.BigEndian.Uint16(b[14:]))
	if rest > maxProxy {
		return nil, errProxy
	}
	b = room[:proxyFixed+rest]
	if _, err := io.ReadFull(c, b[proxyFixed:]); err != nil {
		return nil, err
	}
	asker, _, err := proxyHeader(b)
	if err != nil || !asker.IsValid() {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(asker), nil
}

func (c *behindProxy) Read(b []byte) (int, error) {
	if c.header(); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}

// RemoteAddr is whose question it is.
func (c *behindProxy) RemoteAddr() net.Addr {
	if c.header(); c.asker != nil {
		return c.asker
	}
	return c.Conn.RemoteAddr()
}
