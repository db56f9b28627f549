package mail

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"bolwerk"
)

// DKIMConfig is one key with which mails are signed (RFC 6376).
type DKIMConfig struct {
	// Domain is signed for: mails whose From is of it, or below it.
	Domain bolwerk.Domain `toml:"domain"`
	// Selector is the label under which the domain publishes the key: SELECTOR._domainkey.DOMAIN.
	Selector string `toml:"selector"`
	// KeyFile is the private key as PKCS #8 in PEM, mode 0600: RSA of 2048 bits at least, or Ed25519.
	KeyFile string `toml:"key_file"`
}

// Validate tells the first problem that the values alone show.
func (c DKIMConfig) Validate() error {
	if c.Domain.IsZero() {
		return bolwerk.Invalid("domain: want that of From, such as isp.example")
	}
	if d, err := bolwerk.ParseDomain(c.Selector + "." + c.Domain.String()); err != nil || strings.Contains(c.Selector, "..") || !strings.EqualFold(d.String(), c.Selector+"."+c.Domain.String()) {
		return bolwerk.Invalid("selector %.70q: want a label such as 2026a", c.Selector)
	}
	if c.KeyFile == "" {
		return bolwerk.Invalid("key_file: want the file of the key; bolwerk dkim makes one")
	}
	return nil
}

// Record is the text of the DNS record of a key's public half (RFC 6376, section 3.6.1;
// RFC 8463, section 3).
func Record(key crypto.Signer) (string, error) {
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return "", err
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k), nil
	}
	return "", bolwerk.Invalid("a key of kind %T: want RSA or Ed25519", key)
}

// NewKey makes a key, as the file of one: rsa of 2048 bits, or ed25519.
func NewKey(kind string) ([]byte, error) {
	var key any
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, bolwerk.Invalid("kind %.20q: want rsa or ed25519", kind)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads the file of a key.
func ParseKey(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, bolwerk.Invalid("no PEM in it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, bolwerk.Invalid("no private key in it (PKCS #8)")
		}
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, bolwerk.Invalid("an RSA key of %d bits: at least 2048", k.N.BitLen())
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, bolwerk.Invalid("a key of kind %T: want RSA or Ed25519", key)
}

// Signer signs mails for some domains. A nil one signs nothing.
type Signer struct{ keys []signing }

type signing struct {
	domain   string
	selector string
	key      crypto.Signer
}

// NewSigner reads the keys; nil where there are none.
func NewSigner(cfg []DKIMConfig) (*Signer, error) {
	if len(cfg) == 0 {
		return nil, nil
	}
	s := &Signer{}
	for _, c := range cfg {
		b, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		key, err := ParseKey(b)
		if err != nil {
			return nil, fmt.Errorf("dkim: %s: %w", c.KeyFile, err)
		}
		s.keys = append(s.keys, signing{c.Domain.String(), c.Selector, key})
	}
	return s, nil
}

// signed are the fields that the signature covers: those that people are shown, each
// once more than it is there, so that nobody adds a second one (RFC 6376, section 8.15).
var signed = []string{"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding", "Content-Language"}

// Sign puts the signatures of the keys of From's domain, or of the nearest one above it
// that has any, before a mail. A mail of another domain stays as it is.
func (s *Signer) Sign(from Address, raw []byte) ([]byte, error) {
	if s == nil {
		return raw, nil
	}
	domain := from.Domain().String()
	best := ""
	for _, k := range s.keys {
		if (domain == k.domain || strings.HasSuffix(domain, "."+k.domain)) && len(k.domain) > len(best) {
			best = k.domain
		}
	}
	out := raw
	for _, k := range s.keys {
		if k.domain != best {
			continue
		}
		var b bytes.Buffer
		if err := dkim.Sign(&b, bytes.NewReader(out), &dkim.SignOptions{Domain: k.domain, Selector: k.selector, Signer: k.key, Hash: crypto.SHA256, HeaderKeys: signed,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed}); err != nil {
			return nil, fmt.Errorf("dkim %s: %w", k.domain, err)
		}
		out = b.Bytes()
	}
	return out, nil
}

// signed is the mail as it goes out.
func (m Message) signed(s *Signer) ([]byte, error) {
	raw, err := m.Bytes()
	if err != nil {
		return nil, err
	}
	return s.Sign(m.From, raw)
}
