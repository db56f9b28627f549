package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/abuse/translation"
	"bolwerk/internal/keypair"
)

// Bounds of syslog over TCP.
const (
	maxStreams  = 8                // connections of one translator
	quietMost   = 24 * time.Hour   // a connection on which nothing came for so long is closed
	shakeTime   = 10 * time.Second // of a TLS handshake
	goodbyeEach = time.Second      // at the end: how long a sender that has more is waited for
	goodbyeMost = 5 * time.Second  // and at most
	againAfter  = time.Second      // what cannot be made durable is tried again
	receiveMost = 128 << 10        // octets that the kernel takes for us: what a kill may lose
)

// TLS is what a sender over TLS is shown and must show (RFC 5425).
func (c TranslationsConfig) TLS(log *slog.Logger) (*tls.Config, error) {
	pair, err := keypair.Load(c.CertFile, c.KeyFile, log)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{GetCertificate: pair.Serve, MinVersion: tls.VersionTLS12}
	if c.ClientCAFile != "" {
		pem, err := os.ReadFile(c.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("client_ca_file: %w", err)
		}
		out.ClientCAs, out.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !out.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, bolwerk.Invalid("client_ca_file: %s holds no certificate in PEM", c.ClientCAFile)
		}
	}
	return out, nil
}

// SyslogTCP takes syslog over TCP (RFC 6587), over TLS where secure is not nil (RFC 5425),
// until ctx ends; it closes l.
//
// The protocol has no answer, so nothing can be acknowledged. What cannot be made durable
// is tried again, and meanwhile nothing is read: the sender's connection fills, and it
// keeps the rest. At the end senders are told that we go, and what they have sent is still
// taken. A kill loses what the kernel and this process held: at most receiveMost octets a
// connection and two batches.
func (t *Translations) SyslogTCP(ctx context.Context, l net.Listener, secure *tls.Config) error {
	s := &streams{t: t, queue: make(chan session.Record, session.MaxRecords), open: map[string]int{}, secure: secure}
	var kept, readers sync.WaitGroup
	kept.Go(func() { s.keep(ctx) })
	defer kept.Wait()
	defer close(s.queue)
	defer readers.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil:
			t.log.Warn("translations: a connection cannot be taken", "err", err)
			time.Sleep(100 * time.Millisecond) // no more files: others must end first
			continue
		}
		tcp := conn.(*net.TCPConn)
		from, name := s.enter(tcp)
		if name == "" {
			tcp.Close()
			continue
		}
		readers.Go(func() {
			defer tcp.Close() // the last: who sees it closed may come again
			defer s.leave(name)
			s.read(ctx, tcp, name, from)
		})
	}
}

// streams is the connections of one listener.
type streams struct {
	t      *Translations
	queue  chan session.Record
	secure *tls.Config
	stuck  atomic.Bool // what was read last cannot be made durable

	mu   sync.Mutex
	open map[string]int // by translator
}

// enter gives the name of who connects; none is not let in.
func (s *streams) enter(conn *net.TCPConn) (from netip.AddrPort, name string) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return from, ""
	}
	from = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if name = s.t.who(from.Addr()).Name; name == "" {
		s.t.refuse("unknown", "unknown", from, "it is none of translations.translator")
		return from, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[name] >= maxStreams {
		s.t.refuse(name, "busy", from, fmt.Sprintf("it has %d connections", maxStreams))
		return from, ""
	}
	s.open[name]++
	s.t.streams.WithLabelValues(name).Inc()
	return from, name
}

func (s *streams) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[name]--
	s.t.streams.WithLabelValues(name).Dec()
}

// read takes the lines of a connection.
func (s *streams) read(ctx context.Context, tcp *net.TCPConn, name string, from netip.AddrPort) {
	tcp.SetReadBuffer(receiveMost)
	w := &wire{ended: ctx.Done(), stuck: &s.stuck, tcp: tcp, r: tcp}
	if s.secure != nil {
		conn := tls.Server(tcp, s.secure)
		shake, cancel := context.WithTimeout(ctx, shakeTime)
		err := conn.HandshakeContext(shake)
		cancel()
		if err != nil {
			s.t.refuse(name, "malformed", from, fmt.Sprintf("TLS: %v", err))
			return
		}
		w.r, w.bye = conn, conn.CloseWrite
	}
	defer context.AfterFunc(ctx, func() { tcp.SetReadDeadline(time.Unix(1, 0)) })()
	zone := s.t.who(from.Addr()).zone
	frames := translation.NewFrames(w)
	for {
		line, err := frames.Next()
		switch {
		case errors.Is(err, translation.ErrLong):
			s.t.refuse(name, "malformed", from, err.Error())
			continue
		case errors.Is(err, io.ErrUnexpectedEOF):
			s.t.refuse(name, "torn", from, "the connection ended within a line, which is not taken")
			return
		case errors.Is(err, bolwerk.ErrInvalid):
			s.t.refuse(name, "malformed", from, err.Error())
			return
		case err != nil:
			return // the end, or a network that broke
		}
		now := s.t.clock.Now()
		at, late := translation.When(line, zone, now)
		if late != nil {
			at = now
		}
		r, fits, err := s.t.lines.Read(line, name, at)
		switch {
		case !fits:
			s.t.count.WithLabelValues(name, "other").Inc()
		case err != nil:
			s.t.refuse(name, "malformed", from, err.Error())
		case late != nil:
			s.t.refuse(name, "no_time", from, late.Error())
		default:
			s.queue <- r // and where it is full nothing more is read
		}
	}
}

// wire reads a connection; once the listener has ended it says goodbye and reads what is
// left.
type wire struct {
	ended <-chan struct{}
	stuck *atomic.Bool
	tcp   *net.TCPConn
	r     io.Reader
	bye   func() error // of TLS
	last  time.Time    // until when it is read; zero: no goodbye was said
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		// Set before the end is looked for: who ends sets another after it.
		w.tcp.SetReadDeadline(time.Now().Add(quietMost))
		select {
		case <-w.ended:
			if w.last.IsZero() {
				w.goodbye()
			}
			if w.stuck.Load() {
				return 0, io.EOF // the sender shall keep what it has
			}
			end := time.Now().Add(goodbyeEach)
			if end.After(w.last) {
				end = w.last
			}
			w.tcp.SetReadDeadline(end)
		default:
		}
		n, err := w.r.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		select {
		case <-w.ended:
			if w.last.IsZero() {
				continue // it was what woke us
			}
		default:
		}
		return 0, io.EOF
	}
}

// goodbye tells the sender that nobody will be here.
func (w *wire) goodbye() {
	w.last = time.Now().Add(goodbyeMost)
	if w.bye != nil {
		w.tcp.SetWriteDeadline(time.Now().Add(goodbyeEach))
		w.bye()
	}
	w.tcp.CloseWrite()
}

// keep makes batches durable until the queue is closed. What cannot be is tried again
// until ctx ends, and is lost then.
func (s *streams) keep(ctx context.Context) {
	for first := range s.queue {
		batch := gather(first, s.queue, session.MaxRecords, translationsWait)
		body := session.Encode(batch)
		_, err := s.t.put(KindSessions, body)
		for err != nil && ctx.Err() == nil {
			s.stuck.Store(true)
			s.t.say("", "held", func() {
				s.t.log.Error("blocks of ports cannot be made durable; their senders are held up until they can", "alarm", true, "err", err)
			})
			select {
			case <-ctx.Done():
			case <-time.After(againAfter):
			}
			_, err = s.t.put(KindSessions, body)
		}
		s.stuck.Store(err != nil)
		s.t.kept(batch, err)
	}
}
