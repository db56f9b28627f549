package dnsserve

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// DNS over QUIC (RFC 9250) and over HTTP/3 (RFC 9114 under RFC 8484). Nothing is taken
// in 0-RTT: what came so could be sent again by somebody else (RFC 9250 section 4.5).

const (
	// quicStreams bounds the questions of one connection that are under way.
	quicStreams = 32
	// quicWindow is more than a question has, and bounds what a stream holds.
	quicWindow = 8 << 10

	quicNoError   quic.ApplicationErrorCode = 0 // RFC 9250 section 8.4
	quicProtocol  quic.ApplicationErrorCode = 2
	quicCancelled quic.StreamErrorCode      = 3
)

var errFull = errors.New("too many connections")

// quicListener serves QUIC on c. Connections count from their first datagram on, as all
// others do. While a quarter of the places is taken, who comes must show first that
// he is at his address (RFC 9000 section 8.1.2), so that forged ones take none.
func (s *Server) quicListener(c net.PacketConn, streams, uni int64, protocol string) (*quic.Listener, *quic.Transport, error) {
	t := &quic.Transport{Conn: c,
		VerifySourceAddress: func(net.Addr) bool { return s.doors.count()*4 > s.doors.max },
		ConnContext: func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
			from, err := netip.ParseAddrPort(info.RemoteAddr.String())
			place := new(quicPlace)
			if err != nil || !s.doors.take(place, from.Addr(), false) {
				s.stats.turnedAway.Add(1)
				return nil, errFull
			}
			context.AfterFunc(ctx, func() { s.doors.leave(place) })
			return ctx, nil
		}}
	l, err := t.Listen(&tls.Config{GetCertificate: s.pair.Serve, MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}},
		&quic.Config{HandshakeIdleTimeout: s.cfg.times.hello, MaxIdleTimeout: 3 * s.cfg.times.idle, MaxIncomingStreams: streams, MaxIncomingUniStreams: uni,
			InitialStreamReceiveWindow: quicWindow, MaxStreamReceiveWindow: quicWindow, InitialConnectionReceiveWindow: 8 * quicWindow, MaxConnectionReceiveWindow: 8 * quicWindow})
	return l, t, err
}

type quicPlace struct{ _ byte }

// serveQUIC answers over QUIC.
func (s *Server) serveQUIC(ctx context.Context, d *Doors) error {
	if d == nil || d.quic == nil {
		return nil
	}
	l, t, err := s.quicListener(d.quic, quicStreams, -1, "doq")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer t.Close()
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		wg.Go(func() {
			var questions sync.WaitGroup
			defer questions.Wait()
			defer c.CloseWithError(quicNoError, "")
			for {
				st, err := c.AcceptStream(ctx)
				if err != nil {
					return
				}
				questions.Go(func() { s.overQUIC(ctx, c, st) })
			}
		})
	}
}

// overQUIC answers the one question of a stream (RFC 9250 section 4.2).
func (s *Server) overQUIC(ctx context.Context, c *quic.Conn, st *quic.Stream) {
	defer st.CancelRead(quicCancelled)
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	ip := from.Addr().WithZone("").As16()
	st.SetReadDeadline(time.Now().Add(s.cfg.times.hello))
	room := questions.Get().(*[2 + maxQuery + 1]byte)
	defer questions.Put(room)
	msg, err := readAlone(st, room[:])
	if err != nil {
		if err == errReply {
			s.stats.quic[bad].Add(1)
			c.CloseWithError(quicProtocol, "one question of at most 4096 octets in a stream, with the id 0")
		}
		st.CancelWrite(quicCancelled)
		return
	}
	if !s.pace(ctx, ip) {
		return
	}
	out := s.single(ctx, msg, ip, &s.stats.quic)
	if len(out) == 0 {
		c.CloseWithError(quicProtocol, "that is an answer, not a question")
		return
	}
	st.SetWriteDeadline(time.Now().Add(s.cfg.times.write))
	if _, err := st.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(out)), uint16(len(out))), out...)); err != nil {
		st.CancelWrite(quicCancelled)
		return
	}
	st.Close()
}

var questions = sync.Pool{New: func() any { return new([2 + maxQuery + 1]byte) }}

// readAlone reads a message that stands alone: its length, itself, and the end. errReply is
// one that the protocol does not allow.
func readAlone(r io.Reader, room []byte) ([]byte, error) {
	n, err := io.ReadFull(r, room)
	if err == nil {
		return nil, errReply // no question is that long
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if n < 2+headerLen || int(binary.BigEndian.Uint16(room)) != n-2 || binary.BigEndian.Uint16(room[2:]) != 0 {
		return nil, errReply
	}
	return room[2:n], nil
}

// serveHTTP3 answers over HTTP/3.
func (s *Server) serveHTTP3(ctx context.Context, d *Doors) error {
	if d == nil || d.http3 == nil {
		return nil
	}
	l, t, err := s.quicListener(d.http3, quicStreams, 8, http3.NextProtoH3) // a client has three streams of its own
	if err != nil {
		return err
	}
	defer t.Close()
	h := &http3.Server{MaxHeaderBytes: 16 << 10, IdleTimeout: 3 * s.cfg.times.idle,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.overHTTP(ctx, w, r) })}
	stop := context.AfterFunc(ctx, func() { h.Close() })
	defer stop()
	err = h.ServeListener(l)
	h.Close() // waits for the handlers
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// altSvc tells browsers of HTTP/3 (RFC 9114 section 3.1.1).
func (d *Doors) altSvc() string {
	if d == nil || d.http3 == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(d.http3.LocalAddr().String())
	if err != nil {
		return ""
	}
	return `h3=":` + strconv.Itoa(int(ap.Port())) + `"; ma=86400`
}
