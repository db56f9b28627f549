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
	"time"

	"bolwerk/internal/keypair"
)

// certificate hands out the door's certificate: that of its files, or without any
// one made now.
func (d *Door) certificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if d.cfg.CertFile == "" {
		made, err := selfMade(d.cfg.Hostname, d.clock.Now())
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return made, nil }, err
	}
	p, err := keypair.Load(d.cfg.CertFile, d.cfg.KeyFile, d.log)
	if err != nil {
		return nil, fmt.Errorf("smtp door: %w", err)
	}
	return p.Serve, nil
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
