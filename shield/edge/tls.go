package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/nameset"
)

// The TLS door: a browser that was sent here by the DNS begins a handshake that
// we cannot finish honestly, since the name is not ours. We read the name it
// asks for, count it, and close with an alert at once, so that it fails fast. We
// do not listen on UDP 443: the refusal by the kernel is the fastest answer to
// QUIC.

const (
	helloWait = 2 * time.Second
	maxHello  = 32 << 10 // a ClientHello with post-quantum keys has about 2 KiB
)

// unrecognizedName is the fatal alert 112 (RFC 6066 section 3) as a TLS record.
var unrecognizedName = []byte{21, 3, 1, 0, 2, 2, 112}

// ServeTLS is the TLS door; it returns when ctx ends and every connection is
// closed.
func (e *Edge) ServeTLS(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, e.cfg.Conns)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			time.Sleep(50 * time.Millisecond) // no file descriptors left: others will close theirs
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { c.Close(); <-places }()
			c.SetDeadline(time.Now().Add(helloWait))
			e.turnAway(c)
		})
	}
}

func (e *Edge) turnAway(c net.Conn) {
	name := readHello(c)
	f := found{}
	if !name.IsZero() {
		f = e.find(nameset.AppendWire(nil, name), addrOf(c.RemoteAddr().String()))
	}
	if f.ok && !f.pass && !f.term.pulse {
		e.hits.other(hitTLS, f.hitKey(), e.now.Load())
	} else {
		e.page.tlsUnknown.Add(1)
	}
	c.Write(unrecognizedName)
}

// readHello reads a ClientHello and gives the name it asks for; zero where there
// is none. With ECH that is the outer name.
func readHello(r io.Reader) bolwerk.Domain {
	var hello []byte
	for len(hello) < maxHello {
		var h [5]byte
		if _, err := io.ReadFull(r, h[:]); err != nil || h[0] != 22 || h[1] != 3 { // a handshake record
			break
		}
		n := int(binary.BigEndian.Uint16(h[3:]))
		if n == 0 || n > 1<<14 { // RFC 8446 section 5.1
			break
		}
		at := len(hello)
		hello = append(hello, make([]byte, n)...)
		if _, err := io.ReadFull(r, hello[at:]); err != nil {
			break
		}
		if len(hello) >= 4 && len(hello) >= 4+length24(hello[1:]) {
			return serverName(hello)
		}
	}
	return bolwerk.Domain{}
}

func length24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// fields takes length-prefixed parts off the front.
type fields struct {
	b  []byte
	ok bool
}

func (f *fields) take(n int) []byte {
	if !f.ok || n > len(f.b) {
		f.ok = false
		return nil
	}
	p := f.b[:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) part(lengthSize int) []byte {
	n := 0
	for _, c := range f.take(lengthSize) {
		n = n<<8 | int(c)
	}
	return f.take(n)
}

// serverName finds the host name in a ClientHello (RFC 8446 section 4.1.2, RFC
// 6066 section 3).
func serverName(hello []byte) bolwerk.Domain {
	f := fields{hello, true}
	if t := f.take(1); len(t) == 0 || t[0] != 1 {
		return bolwerk.Domain{}
	}
	f.b = f.part(3)
	f.take(2 + 32) // version, random
	f.part(1)      // session
	f.part(2)      // cipher suites
	f.part(1)      // compression
	ext := fields{f.part(2), f.ok}
	for ext.ok && len(ext.b) > 0 {
		typ, body := ext.take(2), ext.part(2)
		if !ext.ok || binary.BigEndian.Uint16(typ) != 0 {
			continue
		}
		inner := fields{body, true}
		list := fields{inner.part(2), inner.ok}
		for list.ok && len(list.b) > 0 {
			kind, name := list.take(1), list.part(2)
			if list.ok && kind[0] == 0 {
				if d, err := bolwerk.ParseDomain(string(name)); err == nil {
					return d
				}
				return bolwerk.Domain{}
			}
		}
		return bolwerk.Domain{}
	}
	return bolwerk.Domain{}
}
