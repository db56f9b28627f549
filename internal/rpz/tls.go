package rpz

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"bolwerk"
)

// TLS is the configuration of a listener for transfers over TLS (RFC 9103): TLS
// 1.3 and the protocol "dot", nothing else. The files hold a certificate with its
// chain and its key, in PEM; they are read for each connection, so that a renewed
// certificate needs no restart. Who may transfer is decided as without TLS.
func TLS(certificate, key string) (*tls.Config, error) {
	load := func() (*tls.Certificate, error) {
		info, err := os.Stat(key)
		if err != nil {
			return nil, err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return nil, bolwerk.WithHint(bolwerk.Invalid("key file %s: others can read it (mode %04o)", key, info.Mode().Perm()), "chmod 600 "+key)
		}
		c, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", certificate, key, err)
		}
		return &c, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"dot"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
		VerifyConnection: func(c tls.ConnectionState) error {
			if c.NegotiatedProtocol != "dot" { // RFC 9103 section 7.1; a client that names none passes crypto/tls
				return errors.New("a transfer over TLS names the protocol dot")
			}
			return nil
		},
	}, nil
}
