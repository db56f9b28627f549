package door

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/session"
	"bolwerk/abuse/translation"
	"bolwerk/internal/clock"
)

// translators is a door for syslog over TCP, and what it has handed in.
type translators struct {
	*Translations
	at   string
	reg  *prometheus.Registry
	stop func() // ends it, and waits

	mu      sync.Mutex
	changed *sync.Cond
	got     []session.Record
	tried   int
	full    bool // nothing can be made durable
}

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func openTranslators(t *testing.T, secure func(TranslationsConfig) TranslationsConfig) *translators {
	t.Helper()
	x := &translators{reg: prometheus.NewRegistry()}
	x.changed = sync.NewCond(&x.mu)
	cfg := TranslationsConfig{SyslogTCP: "127.0.0.1:0", Translators: []Translator{{Name: "cgn1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Zone: "Europe/Brussels"}},
		Patterns: []translation.Pattern{{Name: "blocks", Start: `ALLOC: (?P<inside>\S+) -> (?P<outside>[0-9.]+):(?P<first>\d+)-(?P<last>\d+)`}}}
	var shows *tls.Config
	if secure != nil {
		cfg = secure(cfg)
		var err error
		if shows, err = cfg.TLS(slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	x.Translations, err = NewTranslations(cfg, func(kind string, body []byte) (string, error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		defer x.changed.Broadcast()
		if x.tried++; x.full {
			return "", errors.New("the disk is full")
		}
		records, err := session.Decode(body)
		x.got = append(x.got, records...)
		return "id", err
	}, clock.NewFake(now), slog.New(slog.DiscardHandler), x.reg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.at = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.SyslogTCP(ctx, l, shows) }()
	x.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(x.stop)
	return x
}

// wait waits until it is so; the lock is held.
func (x *translators) wait(so func() bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !so() {
		x.changed.Wait()
	}
}

// counted is what a metric says for its labels, by name.
func (x *translators) counted(labels ...string) int {
	families, err := x.reg.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var have []string
			for _, l := range m.Label {
				have = append(have, l.GetValue())
			}
			if slices.Equal(have, labels) { // of a gauge one, of the counter two
				return int(m.Counter.GetValue() + m.Gauge.GetValue())
			}
		}
	}
	return 0
}

func (x *translators) result(result string) int { return x.counted(result, "cgn1") }

// dial connects from an address.
func (x *translators) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", x.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func given(i int) string {
	return fmt.Sprintf("<14>1 2026-11-27T11:00:00Z cgn1 nat - - - ALLOC: 100.64.%d.%d -> 203.0.113.7:2048-2559", i/250, i%250+1)
}

func counted(line string) string { return fmt.Sprintf("%d %s", len(line), line) }

// ended waits until the other side has closed.
func ended(conn net.Conn) { conn.Read(make([]byte, 1)) }

func TestSyslogOverTCP(t *testing.T) {
	x := openTranslators(t, nil)
	ended(x.dial(t, "127.0.0.2"))
	if n := x.counted("unknown", "unknown"); n != 1 {
		t.Errorf("%v connections of nobody who may send", n)
	}
	for _, stream := range []string{
		given(1) + "\n" + "<14>Nov 27 12:59:58 cgn1 nat: ALLOC: 100.64.0.3 -> 203.0.113.7:4096-4607\r\n<14>Nov 27 12:59:58 cgn1 link up\n<14>ALLOC: 100.64.0.9 -> 203.0.113.7:1-2\n",
		counted(given(3)) + counted("<14>"+strings.Repeat("x", 3000)) + counted(given(4)),
		counted(given(5)) + "no length",
		given(6) + "\n" + given(7), // torn
	} {
		conn := x.dial(t, "127.0.0.1")
		if _, err := conn.Write([]byte(stream)); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		ended(conn)
	}
	x.wait(func() bool { return len(x.got) == 6 })
	for i, r := range x.got[:2] {
		want := [...]time.Time{now.Add(-time.Hour), now.Add(-2 * time.Second)}[i]
		if r.NAS != "cgn1" || r.Inside != netip.MustParseAddr([...]string{"100.64.0.2", "100.64.0.3"}[i]) || !r.At.Equal(want) {
			t.Errorf("%+v, want it at %s", r, want)
		}
	}
	x.stop()
	for result, want := range map[string]int{"taken": 6, "other": 1, "no_time": 1, "malformed": 2, "torn": 1} {
		if got := x.result(result); got != want {
			t.Errorf("%s: %d, want %d", result, got, want)
		}
	}
}

// A connection too many is not taken; one that ends makes room.
func TestSyslogConnectionsOfOne(t *testing.T) {
	x := openTranslators(t, nil)
	var open []net.Conn
	for range maxStreams {
		conn := x.dial(t, "127.0.0.1")
		conn.Write([]byte(given(len(open)) + "\n"))
		open = append(open, conn)
	}
	x.wait(func() bool { return len(x.got) == maxStreams })
	ended(x.dial(t, "127.0.0.1"))
	if x.result("busy") != 1 {
		t.Errorf("%d refused", x.result("busy"))
	}
	open[0].(*net.TCPConn).CloseWrite()
	ended(open[0])
	conn := x.dial(t, "127.0.0.1")
	conn.Write([]byte(given(9) + "\n"))
	x.wait(func() bool { return len(x.got) == maxStreams+1 })
	x.stop()
	if n := x.counted("cgn1"); n != 0 {
		t.Errorf("%v connections after the end", n)
	}
}

// While nothing can be made durable the sender is held up, and nothing is lost.
func TestSyslogOfAFullDisk(t *testing.T) {
	const lines = 15000 // more than all buffers between us hold
	x := openTranslators(t, nil)
	x.full = true
	conn := x.dial(t, "127.0.0.1").(*net.TCPConn)
	conn.SetWriteBuffer(64 << 10)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range lines {
			if _, err := conn.Write([]byte(counted(given(i)))); err != nil {
				t.Errorf("line %d: %v", i, err)
				return
			}
		}
		conn.CloseWrite()
		ended(conn)
	}()
	x.wait(func() bool { return x.tried >= 2 })
	select {
	case <-sent:
		t.Error("all was sent while nothing was durable")
	default:
	}
	x.mu.Lock()
	x.full = false
	x.mu.Unlock()
	<-sent
	x.stop()
	if len(x.got) != lines || x.result("taken") != lines || x.result("not_durable") != 0 {
		t.Errorf("%d of %d lines, %d taken, %d lost", len(x.got), lines, x.result("taken"), x.result("not_durable"))
	}
}

// At the end the sender is told, and what it had sent is taken.
func TestSyslogAtTheEnd(t *testing.T) {
	x := openTranslators(t, nil)
	conn := x.dial(t, "127.0.0.1")
	sent := make(chan int)
	go func() {
		n := 0
		for told := make(chan struct{}); ; n++ {
			if n == 0 {
				go func() { ended(conn); close(told) }()
			}
			if _, err := conn.Write([]byte(given(n) + "\n")); err != nil {
				t.Errorf("line %d: %v", n, err)
			}
			select {
			case <-told:
				conn.Close()
				sent <- n + 1
				return
			default:
			}
		}
	}()
	x.wait(func() bool { return len(x.got) > 0 })
	go x.stop()
	n := <-sent
	x.stop()
	if len(x.got) != n {
		t.Errorf("%d lines of %d", len(x.got), n)
	}
}

// Over TLS a sender shows its certificate where that is asked for.
func TestSyslogOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert := selfSigned(t, dir)
	x := openTranslators(t, func(c TranslationsConfig) TranslationsConfig {
		c.SyslogTLS, c.CertFile, c.KeyFile, c.ClientCAFile = c.SyslogTCP, filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "cert")
		return c
	})
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	stranger := tls.Client(x.dial(t, "127.0.0.1"), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	stranger.Write([]byte(counted(given(1))))
	ended(stranger)
	plain := x.dial(t, "127.0.0.1")
	plain.Write([]byte(counted(given(1))))
	ended(plain)
	conn := tls.Client(x.dial(t, "127.0.0.1"), &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{cert}})
	if _, err := conn.Write([]byte(counted(given(2)))); err != nil {
		t.Fatal(err)
	}
	x.wait(func() bool { return len(x.got) == 1 })
	go x.stop()
	ended(conn) // it is told
	conn.Close()
	x.stop()
	if len(x.got) != 1 || x.result("malformed") != 2 {
		t.Errorf("%d lines, %d malformed", len(x.got), x.result("malformed"))
	}
}

// selfSigned writes a certificate for localhost, of servers and clients, as cert and key.
func selfSigned(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
	for name, b := range map[string][]byte{"cert": certPEM, "key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
