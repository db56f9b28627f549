package siem

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
)

// syslogSink sends RFC 5424 messages with octet counting. Syslog over TCP has no
// acknowledgement: a batch counts as arrived once the other machine has
// acknowledged its bytes (TCP), and the batch before a connection that breaks
// is sent again.
type syslogSink struct {
	address string
	tls     *tls.Config // nil is plain TCP
	host    string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)

	conn net.Conn // nil is none
	raw  net.Conn // what TLS runs over
	last []audit.Entry
}

func pool(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, bolwerk.Invalid("%s: holds no certificate in PEM", path)
	}
	return p, nil
}

func newSyslog(cfg Config, dial func(context.Context, string, string) (net.Conn, error)) (*syslogSink, error) {
	s := &syslogSink{address: cfg.Syslog, dial: dial, host: "-"}
	if h, err := os.Hostname(); err == nil {
		s.host = printable(h, 255)
	}
	if cfg.SyslogTLS {
		host, _, err := net.SplitHostPort(cfg.Syslog)
		if err != nil {
			return nil, err
		}
		s.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		if cfg.SyslogCA != "" {
			if s.tls.RootCAs, err = pool(cfg.SyslogCA); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// printable is text for a field of the header: no spaces, at most max bytes.
func printable(text string, max int) string {
	out := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, text)
	if out == "" {
		return "-"
	}
	return out[:min(len(out), max)]
}

// message is one entry: facility 13 (log audit), severity 5 (notice), or 1
// (alert) for a break-glass account that was opened.
func message(host string, e audit.Entry) ([]byte, error) {
	body, err := line(e)
	if err != nil {
		return nil, err
	}
	severity := 5
	if e.Action == "account.glass.open" {
		severity = 1
	}
	return fmt.Appendf(nil, "<%d>1 %s %s bolwerk - %s - %s", 13*8+severity, e.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), host, printable(e.Action, 32), body), nil
}

func (s *syslogSink) send(ctx context.Context, entries []audit.Entry) error {
	if s.conn != nil && s.gone() {
		s.close()
	}
	again := entries
	if s.conn == nil {
		if err := s.open(ctx); err != nil {
			return err
		}
		again = append(append([]audit.Entry(nil), s.last...), entries...) // what may have been on its way
	}
	var out []byte
	for _, e := range again {
		m, err := message(s.host, e)
		if err != nil {
			return err
		}
		out = append(fmt.Appendf(out, "%d ", len(m)), m...)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(attempt)
	}
	err := s.conn.SetWriteDeadline(deadline)
	if err == nil {
		_, err = s.conn.Write(out)
	}
	if err == nil {
		err = s.arrived(ctx)
	}
	if err != nil {
		s.close()
		return fmt.Errorf("syslog %s: %w", s.address, err)
	}
	s.last = entries
	return nil
}

func (s *syslogSink) open(ctx context.Context) error {
	c, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	s.raw, s.conn = c, c
	if s.tls != nil {
		t := tls.Client(c, s.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			s.close()
			return fmt.Errorf("syslog %s: %w", s.address, err)
		}
		s.conn = t
	}
	return nil
}

// gone says that the collector has closed the connection: it never writes, so
// anything but a time-out is its end.
func (s *syslogSink) gone() bool {
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := s.conn.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// arrived waits until the other machine has acknowledged all bytes.
func (s *syslogSink) arrived(ctx context.Context) error {
	for {
		n, err := unacknowledged(s.raw)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d bytes are not acknowledged: %w", n, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *syslogSink) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn, s.raw = nil, nil
}
