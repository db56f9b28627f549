package rpz

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what strangers can hold. A transfer has no bound in total as long
// as its reader takes a message within writeWait.
const (
	maxRequest    = 4096             // octets of a question over TCP
	maxConns      = 128              // connections from addresses on a list
	maxStrangers  = 32               // connections from others, who may still have a key
	maxPerAddress = 16               // connections from one address
	idleWait      = 10 * time.Second // for the next question
	writeWait     = 30 * time.Second // for one message
	maxUDP        = 1232             // octets of an answer: below every common MTU
)

func (p *Primary) serveUDP(conn net.PacketConn) error {
	buf := make([]byte, 65535)
	for {
		n, addr, err := conn.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			var ne net.Error
			if errors.As(err, &ne) { // an ICMP error of an earlier answer
				continue
			}
			return err
		}
		from, ok := addrOf(addr)
		if !ok || n > maxRequest {
			continue
		}
		// Answers over UDP are one message of the zone's first records at most.
		_ = p.answer(buf[:n], from, false, func(b []byte) error {
			_, err := conn.WriteTo(b, addr)
			return err
		})
	}
}

func (p *Primary) serveTCP(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
				return nil
			}
			p.log.Warn("rpz: accept", "error", err) // out of descriptors: others may end
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		from, ok := addrOf(conn.RemoteAddr())
		if !ok || !p.admit(ctx, conn, from) {
			p.count.refused.WithLabelValues("connections").Inc()
			conn.Close()
			continue
		}
		wg.Go(func() {
			p.serveConn(conn, from)
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
			conn.Close()
		})
	}
}

// admit counts a connection in, or refuses it.
func (p *Primary) admit(ctx context.Context, conn net.Conn, from netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.listed(from)
	same, kind := 0, 0
	for _, a := range p.conns {
		if a == from {
			same++
		}
		if p.listed(a) == known {
			kind++
		}
	}
	limit := maxStrangers
	if known {
		limit = maxConns
	}
	if same >= maxPerAddress || kind >= limit || ctx.Err() != nil {
		return false
	}
	p.conns[conn] = from
	return true
}

// listed says whether the address is on any list.
func (p *Primary) listed(a netip.Addr) bool {
	for _, q := range p.peers {
		if q.Notify.IsValid() && q.Notify.Addr() == a || contains(q.From, a) {
			return true
		}
	}
	return false
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, n := range list {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// serveConn answers questions on a connection, one after the other.
func (p *Primary) serveConn(conn net.Conn, from netip.Addr) {
	buf := make([]byte, maxRequest)
	var out []byte
	for {
		conn.SetReadDeadline(time.Now().Add(idleWait))
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(buf))
		if n > maxRequest {
			return
		}
		if _, err := io.ReadFull(conn, buf[:n]); err != nil {
			return
		}
		err := p.answer(buf[:n], from, true, func(b []byte) error {
			out = binary.BigEndian.AppendUint16(out[:0], uint16(len(b)))
			out = append(out, b...)
			conn.SetWriteDeadline(time.Now().Add(writeWait))
			_, err := conn.Write(out)
			return err
		})
		if err != nil {
			return
		}
	}
}

func addrOf(a net.Addr) (netip.Addr, bool) {
	switch v := a.(type) {
	case *net.UDPAddr:
		return v.AddrPort().Addr().Unmap().WithZone(""), true
	case *net.TCPAddr:
		return v.AddrPort().Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// rcode texts for the counter.
func rcodeText(rcode int) string { return dns.RcodeToString[rcode] }
