package bolwerk

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// NewID is a UUIDv7 (RFC 9562 section 5.7): inside names of rows, sorted by time.
// It carries the time, so what outsiders see is a Token instead.
func NewID(now time.Time) string {
	var b [16]byte
	rand.Read(b[:])
	return idOf(now, b)
}

// IDOf is the NewID of something that may come again: the same for the same time
// and key.
func IDOf(at time.Time, key string) string {
	sum := sha256.Sum256([]byte(key))
	return idOf(at, [16]byte(sum[:16]))
}

func idOf(now time.Time, b [16]byte) string {
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// IDsFrom is below every NewID of a time and after, and above those before it.
func IDsFrom(t time.Time) string {
	ms := uint64(t.UnixMilli())
	return fmt.Sprintf("%08x-%04x", ms>>16&0xffffffff, ms&0xffff)
}

// Token is 128 random bits for an outsider: a receipt, an invitation, an API
// token. It is stored as its Hash only. Printed it is ***.
type Token struct{ text string }

var tokenText = base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding)

// NewToken makes a fresh token.
func NewToken() Token {
	var b [16]byte
	rand.Read(b[:])
	return Token{tokenText.EncodeToString(b[:])}
}

// TokenOf is the token of 128 bits that nobody else can know, such as a keyed hash:
// for a token that must be the same again and is kept nowhere.
func TokenOf(b [16]byte) Token { return Token{tokenText.EncodeToString(b[:])} }

// ParseToken reads a token as people type it: any case, with hyphens or spaces.
func ParseToken(s string) (Token, error) {
	t := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(s)))
	if b, err := tokenText.DecodeString(t); err != nil || len(b) != 16 {
		return Token{}, Invalid("that is not one of our codes: it has 26 letters and digits")
	}
	return Token{t}, nil
}

// Reveal is the text of the token, for the one place that hands it out.
func (t Token) Reveal() string { return t.text }

// Grouped is the text in groups of four, as it is shown to people.
func (t Token) Grouped() string {
	var b strings.Builder
	for i, r := range t.text {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Hash is what is stored: SHA-256 in hex. The token has 128 random bits, so a
// plain hash is enough.
func (t Token) Hash() string {
	h := sha256.Sum256([]byte(t.text))
	return hex.EncodeToString(h[:])
}

func (t Token) String() string { return "***" }

// Secret is a text that never appears in print: passwords, keys.
type Secret struct{ text string }

// NewSecret wraps a secret text.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal is the text, for the one place that uses it.
func (s Secret) Reveal() string { return s.text }

// IsZero says that there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

func (s Secret) String() string               { return "***" }
func (s Secret) GoString() string             { return "***" }
func (s Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }
