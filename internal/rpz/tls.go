package rpz

import (
	"crypto/tls"
	"errors"

	"bolwerk/internal/keypair"
)

// TLS is the configuration of a listener for transfers over TLS (RFC 9103): TLS
// 1.3 and the protocol "dot", nothing else. Who may transfer is decided as
// without TLS.
func TLS(pair *keypair.Pair) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"dot"},
		GetCertificate: pair.Serve,
		VerifyConnection: func(c tls.ConnectionState) error {
			if c.NegotiatedProtocol != "dot" { // RFC 9103 section 7.1; a client that names none passes crypto/tls
				return errors.New("a transfer over TLS names the protocol dot")
			}
			return nil
		},
	}
}
