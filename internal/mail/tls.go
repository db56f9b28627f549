package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"sync"
	"time"
)

// certificate hands out the door's certificate and reads it again within a
// minute after its file changed, so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	looked  time.Time // when the file was looked at last
	changed time.Time // its modification time then
}

// load reads the files, or makes a certificate for hostname without any.
func (c *certificate) load(hostname string, now time.Time) error {
	if c.certFile == "" {
		made, err := selfMade(hostname, now)
		c.current = made
		return err
	}
	info, err := os.Stat(c.certFile)
	if err != nil {
		return fmt.Errorf("certificate of the smtp door: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate of the smtp door: %w", err)
	}
	c.current, c.looked, c.changed = &pair, now, info.ModTime()
	return nil
}

// serve is tls.Config.GetCertificate. A file that cannot be read leaves the
// certificate that was there.
func (c *certificate) serve(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.certFile == "" || now.Sub(c.looked) < time.Minute {
		return c.current, nil
	}
	c.looked = now
	info, err := os.Stat(c.certFile)
	if err != nil || info.ModTime().Equal(c.changed) {
		return c.current, nil
	}
	if pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
		c.current, c.changed = &pair, info.ModTime()
	}
	return c.current, nil
}

// selfMade is a certificate that nobody vouches for: it protects against
// listening, not against an impostor, which is what mail between strangers has.
func selfMade(hostname string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate of the smtp door: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixMicro()),
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0), // longer than a process lives
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the smtp door: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
