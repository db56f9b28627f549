package keypair

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A renewed certificate serves without a restart; a broken file does not end it
// and is told once.
func TestPair(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte, at time.Time) {
		t.Helper()
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, at, at); err != nil {
			t.Fatal(err)
		}
	}
	c1, k1 := certificate(t, time.Unix(4e9, 0))
	c2, k2 := certificate(t, time.Unix(5e9, 0))
	write("c", c1, time.Unix(1, 0))
	write("k", k1, time.Unix(1, 0))
	var told bytes.Buffer
	p, err := Load(filepath.Join(dir, "c"), filepath.Join(dir, "k"), slog.New(slog.NewTextHandler(&told, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.Serve(nil)
	write("c", c2, time.Unix(2, 0)) // the key is not there yet
	if got, _ := p.Serve(nil); got != first {
		t.Error("looked at the files before the time")
	}
	for range 3 {
		p.seen = time.Time{}
		if got, err := p.Serve(nil); err != nil || got != first || !p.Ends().Equal(time.Unix(4e9, 0)) {
			t.Errorf("half a renewal: got %v %v, ends %v", got, err, p.Ends())
		}
	}
	if n := strings.Count(told.String(), "cannot be read"); n != 1 {
		t.Errorf("told %d times, want 1: %s", n, &told)
	}
	write("k", k2, time.Unix(3, 0))
	p.seen = time.Time{}
	if got, err := p.Serve(nil); err != nil || got == first || !p.Ends().Equal(time.Unix(5e9, 0)) {
		t.Errorf("the renewed certificate does not serve: %v, ends %v", err, p.Ends())
	}
	if _, err := Load(filepath.Join(dir, "none"), filepath.Join(dir, "k"), slog.Default()); err == nil {
		t.Error("a missing file is no error")
	}
}

func certificate(t *testing.T, ends time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}
