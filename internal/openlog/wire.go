package openlog

import (
	"crypto/sha256"
	"encoding/binary"
)

// Line is one line of what desk and intake tell each other, as JSON.
//
// A desk answers an intake with its leaves, then what to forget, then the head
// that they lead to; or with Want alone, after a restore: what the intake holds
// from there on.
type Line struct {
	Leaf string `json:"leaf,omitempty"`
	Salt string `json:"salt,omitempty"` // in hex; of a leaf with a name whose salt is kept
	Tag  string `json:"tag,omitempty"`  // in hex, beside Salt

	Forgot    int64   `json:"forgot,omitempty"`    // the order of forgetting up to here
	Forgotten []int64 `json:"forgotten,omitempty"` // leaves whose salt is destroyed

	Key  string `json:"key,omitempty"`  // the log's public key
	Head string `json:"head,omitempty"` // signed
	Want *int64 `json:"want,omitempty"`
}

// TagSize is the number of octets of a tag.
const TagSize = 8

// Tag is how an intake finds a name without keeping it: the start of its
// SHA-256.
func Tag(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:TagSize]
}

func tagOf(name string) uint64 { return binary.BigEndian.Uint64(Tag(name)) }

// Bounds of one answer.
const (
	maxLeaves    = 20_000 // leaves
	forgetAtOnce = 1000   // forgotten leaves in a line
)

// MaxAnswer is how many leaves a desk tells at once.
const MaxAnswer = maxLeaves
