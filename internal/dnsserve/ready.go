package dnsserve

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	selfTries = 3
	selfWait  = 500 * time.Millisecond
)

// Answers asks the server itself over UDP at an address that it serves, a question for
// which it needs nobody. nil is an answer, be it a refusal.
func (s *Server) Answers(ctx context.Context, at netip.AddrPort) error {
	if at.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if at.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		at = netip.AddrPortFrom(loopback, at.Port())
	}
	var err error
	for range selfTries { // each from another port, so that it meets another worker
		if err = s.answers(ctx, at); err == nil {
			return nil
		}
	}
	return fmt.Errorf("dns at %s does not answer: %w", at, err)
}

func (s *Server) answers(ctx context.Context, at netip.AddrPort) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(selfWait))
	var msg []byte
	if own, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && s.live.Load().proxy.has(own.Addr().As16()) {
		msg = append([]byte(proxySignature), 0x20, 0, 0, 0) // LOCAL: for ourselves
	}
	id := uint16(rand.Uint32())
	msg = binary.BigEndian.AppendUint16(msg, id)
	msg = append(msg, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	msg = append(msg, resolverArpa...)
	if _, err := c.Write(append(msg, 0, TypeSOA, 0, ClassIN)); err != nil {
		return err
	}
	var in [maxUDP]byte
	n, err := c.Read(in[:])
	if err == nil && (n < headerLen || binary.BigEndian.Uint16(in[:]) != id) {
		err = errReply
	}
	return err
}

// UpstreamUp says whether a resolver answers, as far as is known.
func (s *Server) UpstreamUp() bool {
	for _, r := range s.up.list() {
		if !r.down.Load() {
			return true
		}
	}
	return false
}
