package openlog

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
)

// Head says where the log stood at a time. As text it is a C2SP checkpoint:
//
//	ORIGIN
//	SIZE
//	ROOT HASH in base64
//	epoch EPOCH
//	at TIME
//
// and it is signed as a note (golang.org/x/mod/sumdb/note).
type Head struct {
	// Origin names the log: the name of its key, and where a log had to begin
	// anew "/" and the epoch in which it began.
	Origin string
	Size   int64
	Root   tlog.Hash
	Epoch  int64 // raised by each restore
	At     time.Time
}

// MaxHead bounds the octets of a signed head.
const MaxHead = 4 << 10

// Text is what is signed.
func (h Head) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\nepoch %d\nat %s\n", h.Origin, h.Size, h.Root, h.Epoch, h.At.UTC().Format(time.RFC3339))
}

// ParseHead reads the text of a head, signatures apart. Lines after those that
// we know are left unread.
func ParseHead(text string) (h Head, err error) {
	lines := strings.Split(text, "\n")
	if len(text) > MaxHead || len(lines) < 6 || lines[0] == "" {
		return h, bolwerk.Invalid("a head of %d octets that is none", len(text))
	}
	h.Origin = lines[0]
	if h.Size, err = strconv.ParseInt(lines[1], 10, 62); err != nil || h.Size < 0 || strconv.FormatInt(h.Size, 10) != lines[1] {
		return Head{}, bolwerk.Invalid("a head without a size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Head{}, bolwerk.Invalid("a head without a root hash")
	}
	copy(h.Root[:], root)
	epoch, ok := strings.CutPrefix(lines[3], "epoch ")
	if h.Epoch, err = strconv.ParseInt(epoch, 10, 62); err != nil || !ok || h.Epoch < 1 {
		return Head{}, bolwerk.Invalid("a head without an epoch")
	}
	at, ok := strings.CutPrefix(lines[4], "at ")
	if h.At, err = time.Parse(time.RFC3339, at); err != nil || !ok {
		return Head{}, bolwerk.Invalid("a head without a time")
	}
	return h, nil
}

// OpenHead checks the signature of a signed head and reads it.
func OpenHead(signed []byte, key note.Verifier) (Head, error) {
	if len(signed) > MaxHead {
		return Head{}, bolwerk.Invalid("a head of %d octets: at most %d", len(signed), MaxHead)
	}
	n, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return Head{}, bolwerk.Forbidden("the head of the log is not signed with the key %s: %v", key.Name(), err)
	}
	h, err := ParseHead(n.Text)
	if err == nil && h.Origin != key.Name() && !strings.HasPrefix(h.Origin, key.Name()+"/") {
		err = bolwerk.Forbidden("the head is of the log %.100q: want %s", h.Origin, key.Name())
	}
	return h, err
}

// ParseKey reads a verifier key as it is published: name+id+key.
func ParseKey(s string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(s))
	if err != nil {
		return nil, bolwerk.WithHint(bolwerk.Invalid("key %.100q: not the key of a log", s), "it looks like shield.example/log+1a2b3c4d+AbCd..., and the operator publishes it")
	}
	return v, nil
}
