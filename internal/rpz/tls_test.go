package rpz

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/keypair"

	"github.com/miekg/dns"
)

// certificate writes one for localhost, and gives the pool that trusts it.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	cp := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(cert, cp, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cp)
	return cert, key, pool
}

func TestTransferOverTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	pair, err := keypair.Load(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", TLS(pair))
	if err != nil {
		t.Fatal(err)
	}
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 7, recs("evil.example "+string(warn4))...)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, nil, l) }()
	defer func() { stop(); <-done }()

	// transfer is how many records come over.
	transfer := func(c *tls.Config) (n int, err error) {
		c.RootCAs, c.ServerName = pool, "localhost"
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), c)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		ch, err := (&dns.Transfer{Conn: &dns.Conn{Conn: conn}}).In(new(dns.Msg).SetAxfr("b.rpz."), "")
		if err != nil {
			return 0, err
		}
		for e := range ch {
			if e.Error != nil {
				return n, e.Error
			}
			n += len(e.RR)
		}
		return n, nil
	}
	if n, err := transfer(&tls.Config{NextProtos: []string{"dot"}}); err != nil || n != 6 {
		t.Errorf("over TLS 1.3 as dot: got %d records, %v; want 6", n, err)
	}
	for name, c := range map[string]*tls.Config{
		"without a protocol":    {},
		"with another protocol": {NextProtos: []string{"h2"}},
		"over TLS 1.2":          {NextProtos: []string{"dot"}, MaxVersion: tls.VersionTLS12},
	} {
		if n, err := transfer(c); err == nil {
			t.Errorf("%s: got %d records, want none", name, n)
		}
	}
}
