// Package seal closes what a stranger-facing machine must keep but not read:
// only the desk's private key opens it.
//
// It is HPKE (RFC 9180) of the standard library in base mode with the hybrid
// KEM MLKEM768-X25519 (also known as X-Wing; safe against a recorded-now,
// broken-later attacker unless both halves fall), HKDF-SHA256 and AES-256-GCM.
// A sealed text is
//
//	"BWS1" | key id (8 octets) | encapsulated key (1,120 octets) | ciphertext
//
// The context, which both sides must name, and the header are authenticated.
package seal

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"

	"bolwerk"
	"bolwerk/internal/disk"
)

const (
	magic     = "BWS1"
	idLen     = 8
	encLen    = 1088 + 32 // ML-KEM-768 ciphertext (FIPS 203) and X25519 share
	headerLen = len(magic) + idLen
	tagLen    = 16

	// Overhead is how many octets a sealed text is longer than what it holds.
	Overhead = headerLen + encLen + tagLen
	// MaxText bounds what is sealed at once: 64 MiB.
	MaxText = 64 << 20

	info = "bolwerk seal 1"
	kind = "BOLWERK SEALING KEY"
)

// PublicKey seals. The zero PublicKey is none.
type PublicKey struct{ key hpke.PublicKey }

// PrivateKey opens. It prints as ***. The zero PrivateKey is none.
type PrivateKey struct{ key hpke.PrivateKey }

// NewKey makes a fresh key.
func NewKey() (PrivateKey, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	return PrivateKey{k}, err
}

// Public is the half that is given away.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.PublicKey()} }

func (k PrivateKey) String() string   { return "***" }
func (k PrivateKey) GoString() string { return "***" }

// IsZero says that there is no key.
func (p PublicKey) IsZero() bool { return p.key == nil }

// ID names the key: the first 8 octets of the SHA-256 of the public key, in hex.
func (p PublicKey) ID() string { return hex.EncodeToString(p.id()) }

func (p PublicKey) id() []byte {
	h := sha256.Sum256(p.key.Bytes())
	return h[:idLen]
}

// Bytes is the public key, 1,216 octets.
func (p PublicKey) Bytes() []byte { return p.key.Bytes() }

// ParsePublicKey reads what Bytes wrote.
func ParsePublicKey(b []byte) (PublicKey, error) {
	k, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return PublicKey{}, bolwerk.Invalid("sealing key of %d octets: %v", len(b), err)
	}
	return PublicKey{k}, nil
}

// MarshalText writes the public key in base64.
func (p PublicKey) MarshalText() ([]byte, error) {
	if p.key == nil {
		return nil, nil
	}
	return []byte(base64.StdEncoding.EncodeToString(p.key.Bytes())), nil
}

// UnmarshalText reads what MarshalText wrote; empty text is the zero PublicKey.
func (p *PublicKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = PublicKey{}
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return bolwerk.Invalid("sealing key: not base64")
	}
	*p, err = ParsePublicKey(b)
	return err
}

// Save writes the private key to path, readable by us only.
func (k PrivateKey) Save(path string) error {
	b, err := k.key.Bytes()
	if err != nil {
		return err
	}
	return disk.Write(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), "seal.key")
}

// Load reads a key that Save wrote. A missing file is an fs.ErrNotExist.
func Load(path string) (PrivateKey, error) {
	b, err := disk.Read(disk.System{}, path, 4096)
	if err != nil {
		return PrivateKey{}, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return PrivateKey{}, bolwerk.Invalid("file %s: not one sealing key", path)
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(block.Bytes)
	if err != nil {
		return PrivateKey{}, bolwerk.Invalid("file %s: %v", path, err)
	}
	return PrivateKey{k}, nil
}

// Seal closes text to pub. context says what the text is for; Open must name
// the same. At most MaxText.
func Seal(pub PublicKey, context string, text []byte) ([]byte, error) {
	if len(text) > MaxText {
		return nil, bolwerk.Invalid("sealing %d octets: at most %d at once", len(text), MaxText)
	}
	enc, s, err := hpke.NewSender(pub.key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+Overhead)
	out = append(out, magic...)
	out = append(out, pub.id()...)
	box, err := s.Seal(bound(out, context), text)
	if err != nil {
		return nil, err
	}
	return append(append(out, enc...), box...), nil
}

// KeyID says which key opens a sealed text.
func KeyID(sealed []byte) (string, error) {
	if len(sealed) < Overhead || string(sealed[:len(magic)]) != magic {
		return "", bolwerk.Invalid("%d octets that are not a sealed text", len(sealed))
	}
	return hex.EncodeToString(sealed[len(magic):headerLen]), nil
}

// Open opens what was sealed to one of keys in this context. A text sealed to
// another key is a bolwerk.ErrNotFound, a changed one a bolwerk.ErrInvalid.
func Open(sealed []byte, context string, keys ...PrivateKey) ([]byte, error) {
	id, err := KeyID(sealed)
	if err != nil {
		return nil, err
	}
	if len(sealed) > MaxText+Overhead {
		return nil, bolwerk.Invalid("a sealed text of %d octets: too long", len(sealed))
	}
	for _, k := range keys {
		if k.Public().ID() != id {
			continue
		}
		r, err := hpke.NewRecipient(sealed[headerLen:headerLen+encLen], k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
		if err != nil {
			return nil, bolwerk.Invalid("sealed text: %v", err)
		}
		text, err := r.Open(bound(sealed[:headerLen], context), sealed[headerLen+encLen:])
		if err != nil {
			return nil, bolwerk.Invalid("sealed text for key %s: changed, or sealed for another use", id)
		}
		return text, nil
	}
	return nil, bolwerk.NotFound("sealed text: no key %s here", id)
}

// bound is what is authenticated beside the text.
func bound(header []byte, context string) []byte {
	return append(bytes.Clone(header[:headerLen]), context...)
}
