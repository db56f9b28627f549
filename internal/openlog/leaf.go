// Package openlog is the transparency log as everybody may read it: what a leaf
// and a head say, how an intake keeps and serves them, and how an outsider checks
// them. The tree is that of RFC 6962 with the hashes, proofs and tiles of
// golang.org/x/mod/sumdb/tlog; heads are signed notes. Where the desk writes its
// leaves is internal/ledger.
package openlog

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
)

// The kinds of leaves.
const (
	Began    = "began"    // the first leaf of a log
	Placed   = "placed"   // a block or an exemption came into force
	Ended    = "ended"    // it is no longer in force
	Extended = "extended" // it stays in force until another day
	Restored = "restored" // the desk was brought back to an older day and goes on
)

// MaxLeaf bounds the octets of a leaf.
const MaxLeaf = 2 << 10

// Leaf is one line of the log. What is hashed is its JSON as it was first
// written: readers keep those octets and never write them anew.
type Leaf struct {
	V    int       `json:"v"` // 1
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Ref is the public reference of the block (B-2026-000001) or exemption.
	Ref string `json:"ref,omitempty"`
	// Of is where an ended or extended one was placed; leaf 0 is never a block's.
	Of     int64     `json:"of,omitempty"`
	Pass   bool      `json:"pass,omitempty"` // an exemption
	Scope  string    `json:"scope,omitempty"`
	WWW    bool      `json:"www,omitempty"` // "www." and the name too
	Action string    `json:"action,omitempty"`
	Class  string    `json:"class,omitempty"`
	Ground string    `json:"ground,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Cause  string    `json:"cause,omitempty"` // why it ended
	Epoch  int64     `json:"epoch,omitempty"`
	Serial int64     `json:"serial,omitempty"` // publication that brought it about
	// Name is the commitment to the name, in hex: Commit.
	Name string `json:"name,omitempty"`
	// Head is, in the first leaf of a log that follows another one, the last head
	// known of that one; after a restore, the head from which the log goes on.
	Head string `json:"head,omitempty"`
}

// SaltSize is the number of octets of a salt.
const SaltSize = 32

// Commit is the commitment to a name: HMAC-SHA-256 with the salt as key over
// the name in lower-case A-labels without a final dot, in hex.
func Commit(salt []byte, name string) string {
	h := hmac.New(sha256.New, salt)
	h.Write([]byte(name))
	return hex.EncodeToString(h.Sum(nil))
}

// Opens says whether the salt opens the leaf's commitment to name.
func (l Leaf) Opens(salt []byte, name string) bool {
	return len(salt) == SaltSize && hmac.Equal([]byte(Commit(salt, name)), []byte(l.Name))
}

// Encode gives the octets that are hashed.
func (l Leaf) Encode() []byte {
	l.V, l.At = 1, l.At.UTC()
	if !l.Until.IsZero() {
		l.Until = l.Until.UTC()
	}
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // strings, numbers and times: cannot fail
	}
	return b
}

// ParseLeaf reads a leaf. A field that it does not know is left unread: a later
// desk may write more.
func ParseLeaf(b []byte) (Leaf, error) {
	var l Leaf
	if len(b) > MaxLeaf {
		return l, bolwerk.Invalid("a leaf of %d octets: at most %d", len(b), MaxLeaf)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Leaf{}, bolwerk.Invalid("a leaf that is not JSON of a leaf")
	}
	// JSON's reader mends such octets, so that what it gives says something else.
	if !utf8.Valid(b) {
		return Leaf{}, bolwerk.Invalid("a leaf that is not UTF-8")
	}
	if l.V < 1 || l.Kind == "" {
		return Leaf{}, bolwerk.Invalid("a leaf without version or kind")
	}
	switch {
	case l.Kind == Placed && (l.Ref == "" || len(l.Name) != 2*sha256.Size || strings.Trim(l.Name, "0123456789abcdef") != ""):
		return Leaf{}, bolwerk.Invalid("a leaf that places something without a reference or a commitment")
	case l.Kind == Ended && (l.Ref == "" || l.Of < 0):
		return Leaf{}, bolwerk.Invalid("a leaf that ends something without saying what")
	}
	return l, nil
}

// A bundle is up to 256 leaves, each behind its length in two octets, high one
// first: the entry bundles of C2SP tlog-tiles.

// AppendBundle appends a leaf to a bundle.
func AppendBundle(b, leaf []byte) []byte {
	return append(append(b, byte(len(leaf)>>8), byte(len(leaf))), leaf...)
}

// ParseBundle gives the n leaves of a bundle. They are parts of b.
func ParseBundle(b []byte, n int) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[0])<<8+int(b[1]) || len(out) == n {
			return nil, bolwerk.Invalid("a bundle that is cut or too long")
		}
		size := int(b[0])<<8 + int(b[1])
		out = append(out, bytes.Clone(b[2:2+size]))
		b = b[2+size:]
	}
	if len(out) != n {
		return nil, bolwerk.Invalid("a bundle of %d leaves: want %d", len(out), n)
	}
	return out, nil
}
