package copy

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
)

// FreshFor is how long a head is fresh: ten heartbeats.
const FreshFor = 10 * time.Minute

// Signer signs heads for the desk. Its file holds the key, and how hosts get
// from the first key to the present one; it is not part of a backup of the
// database.
type Signer struct {
	path     string
	operator string

	mu      sync.RWMutex
	key     ed25519.PrivateKey
	changes []change
}

// change is a step from one key to the next, as a line with its line feed.
type change struct {
	from string // id of the key before
	line []byte
}

const (
	signKind   = "BOLWERK COPY KEY"
	changeKind = "BOLWERK COPY KEY CHANGE"
)

// OpenSigner reads the key in path, or makes it.
func OpenSigner(path, operator string) (*Signer, error) {
	s := &Signer{path: path, operator: operator}
	b, err := disk.Read(disk.System{}, path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		if _, s.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, err
		}
		return s, s.save()
	}
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		switch block.Type {
		case signKind:
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			key, ok := k.(ed25519.PrivateKey)
			if err != nil || !ok {
				return nil, bolwerk.Invalid("file %s: not a signing key", path)
			}
			s.key = key
		case changeKind:
			s.changes = append(s.changes, change{block.Headers["From"], block.Bytes})
		}
	}
	if s.key == nil {
		return nil, bolwerk.Invalid("file %s: no signing key", path)
	}
	return s, nil
}

func (s *Signer) save() error {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: signKind, Bytes: der})
	for _, c := range s.changes {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: changeKind, Headers: map[string]string{"From": c.from}, Bytes: c.line})...)
	}
	return disk.Write(s.path, text, "copy.key")
}

// Public is the present key; it goes into join lines.
func (s *Signer) Public() ed25519.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.key.Public().(ed25519.PublicKey)
}

// Rotate makes a new key. Hosts follow with their next question and take
// nothing from the old key after that.
func (s *Signer) Rotate(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	raw, err := marshal(keyChange{Operator: s.operator, Key: pub, MadeAt: now.UTC()})
	if err != nil {
		return err
	}
	old, was := s.key, s.changes
	s.changes = append(s.changes, change{KeyID(old.Public().(ed25519.PublicKey)), signed(lineKey, raw, old)})
	s.key = key
	if err := s.save(); err != nil {
		s.key, s.changes = old, was
		return err
	}
	return nil
}

// since are the lines that lead a host from the key it knows to the present one;
// all of them where we do not know that key.
func (s *Signer) since(id string) [][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id == KeyID(s.key.Public().(ed25519.PublicKey)) {
		return nil
	}
	start := 0
	for i, c := range s.changes {
		if c.from == id {
			start = i
		}
	}
	var out [][]byte
	for _, c := range s.changes[start:] {
		out = append(out, c.line)
	}
	return out
}

// head signs where a copy stands.
func (s *Signer) head(h Head, now time.Time) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	raw, err := marshal(s.stamp(h, now))
	return signed(lineHead, raw, s.key), err
}

// manifest signs a snapshot.
func (s *Signer) manifest(m Manifest, now time.Time) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m.Head = s.stamp(m.Head, now)
	raw, err := marshal(m)
	return signed(lineManifest, raw, s.key), err
}

func (s *Signer) stamp(h Head, now time.Time) Head {
	h.Operator = s.operator
	h.MadeAt, h.Fresh = now.UTC(), now.Add(FreshFor).UTC()
	h.KeyID = KeyID(s.key.Public().(ed25519.PublicKey))
	return h
}
