package join

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
)

const (
	caFor   = 30 * 365 * 24 * time.Hour // the authority: as long as the installation
	certFor = 90 * 24 * time.Hour       // a host or the desk
	// renewAt is how much of certFor is left when a certificate is renewed: a
	// month in which an edge may be without a desk.
	renewAt = 30 * 24 * time.Hour
	// early is how far a host's clock may be behind the desk's.
	early = 2 * time.Hour

	// deskName is the name in the desk's certificate, whatever its address is.
	deskName = "desk.bolwerk.internal"
	// relayName is the name in a relay's, by which edges know it. It is not the
	// desk's: a relay cannot pass for it.
	relayName = "relay.bolwerk.internal"

	caKind, keyKind, csrKind = "CERTIFICATE", "PRIVATE KEY", "CERTIFICATE REQUEST"
)

// CA is the desk's certificate authority (ECDSA P-256). It signs hosts of this
// installation and the desk itself, nothing else.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// OpenCA reads ca.pem in dir, or makes it for this operator. The file holds the
// key: who has it is the desk. It is not part of a backup of the database.
func OpenCA(dir, operator string, now time.Time) (*CA, error) {
	path := filepath.Join(dir, "ca.pem")
	b, err := disk.Read(disk.System{}, path, 1<<16)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err := newCA(operator, now)
		if err != nil {
			return nil, err
		}
		text, err := pair(ca.cert.Raw, ca.key)
		if err != nil {
			return nil, err
		}
		return ca, disk.Write(path, text, "join.ca")
	}
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, bolwerk.Invalid("file %s: %v", path, err)
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !c.Leaf.IsCA {
		return nil, bolwerk.Invalid("file %s: not an authority of ours", path)
	}
	return &CA{c.Leaf, key}, nil
}

func newCA(operator string, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Bolwerk of " + operator},
		NotBefore: now.Add(-early), NotAfter: now.Add(caFor),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &CA{cert, key}, err
}

// Pin names the authority.
func (ca *CA) Pin() Pin { return PinOf(ca.cert) }

func (ca *CA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// desk makes a fresh certificate for the desk's listener. The authority comes
// along, so that a host that joins can check its pin.
func (ca *CA) desk(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: deskName},
		DNSNames:    []string{deskName},
		NotBefore:   now.Add(-early),
		NotAfter:    now.Add(certFor),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}, nil
}

// host signs the key in csr for id. Nothing else of the request is taken.
func (ca *CA) host(csr *x509.CertificateRequest, id Identity, now time.Time) ([]byte, error) {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.Name},
		URIs:        []*url.URL{id.uri()},
		NotBefore:   now.Add(-early),
		NotAfter:    now.Add(certFor),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if id.Role == Relay {
		t.DNSNames, t.ExtKeyUsage = []string{relayName}, append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return x509.CreateCertificate(rand.Reader, t, ca.cert, csr.PublicKey, ca.key)
}

// parseCSR reads a request of a host: PEM, signed by its own ECDSA P-256 key.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != csrKind {
		return nil, bolwerk.Invalid("certificate request: not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, bolwerk.Invalid("certificate request: %v", err)
	}
	if k, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, bolwerk.Invalid("certificate request: its key is not ECDSA P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, bolwerk.Invalid("certificate request: %v", err)
	}
	return csr, nil
}

func newCSR(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: csrKind, Bytes: der})), nil
}

// pair is a certificate and its key as one PEM text, so that one rename changes
// both.
func pair(cert []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: caKind, Bytes: cert})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: keyKind, Bytes: k})...), nil
}
