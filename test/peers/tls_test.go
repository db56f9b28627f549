//go:build peers

package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolwerk/bench/product"
	"bolwerk/internal/clock"
	"bolwerk/internal/keypair"
	"bolwerk/internal/rpz"
)

// BIND transfers a zone over TLS, and blocks by it.
func TestTransferOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := rpz.DefaultConfig()
	cfg.Secondaries = []rpz.Secondary{{Name: "bind", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
	p, err := rpz.New(cfg, clock.New(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Load(bZone, rpz.State{Serial: 7, Epoch: 1}, func(yield func(rpz.Record, error) bool) {
		for _, r := range blocked("evil.example") {
			if !yield(r, nil) {
				return
			}
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := keypair.Load(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", rpz.TLS(pair))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context(), nil, l) }()
	t.Cleanup(func() { <-done })
	bind := Bind(t, Setup{Primary: l.Addr().(*net.TCPAddr).AddrPort(), Zones: []string{"b.rpz"}, Upstream: Upstream(t), CAFile: cert})
	if _, err := product.Until(t.Context(), bind.Addr, "evil.example", warn4.String(), time.Now(), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if d := p.Secondaries()[2]; d.Holds != 7 {
		t.Errorf("what came over TLS: %+v", d)
	}
}
