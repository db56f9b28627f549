package copy

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"bolwerk"
)

// Bounds of what is read.
const (
	MaxBatch    = 8 << 20  // octets of one batch
	MaxSince    = 16 << 20 // octets of the batches of one answer; more is a snapshot
	MaxSnapshot = 8 << 30  // octets of a snapshot
	maxHead     = 4 << 10
	maxKeys     = 100 // changes of the key that are followed at once
)

// The letters of the lines.
const (
	lineKey      = 'K'
	lineBatch    = 'B'
	lineHead     = 'H'
	lineEntry    = 'E'
	lineManifest = 'M'
	lineWant     = 'Q'
)

// Manifest ends a snapshot: its digest, signed.
type Manifest struct {
	Head    Head   `json:"head"`
	Entries int64  `json:"entries"` // lines, removed ones too
	Bytes   int64  `json:"bytes"`   // of all lines with their line feeds
	SHA256  string `json:"sha256"`  // of those, in hex
}

// keyChange names the next signing key.
type keyChange struct {
	Operator string    `json:"operator"`
	Key      []byte    `json:"key"`
	MadeAt   time.Time `json:"made_at"`
}

// KeyID names a signing key: the first 8 octets of its SHA-256, in hex.
func KeyID(k ed25519.PublicKey) string {
	h := sha256.Sum256(k)
	return hex.EncodeToString(h[:8])
}

// marshal is JSON on one line, with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), nil
}

// batchLine is the line that announces a batch, with its line feed.
func batchLine(raw []byte) []byte { return fmt.Appendf(nil, "%c %d\n", lineBatch, len(raw)) }

func toSign(kind byte, raw []byte) []byte {
	return append([]byte("bolwerk copy "+string(rune(kind))+"\n"), raw...)
}

// signed makes a signed line with its line feed.
func signed(kind byte, raw []byte, key ed25519.PrivateKey) []byte {
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, toSign(kind, raw)))
	return append(append([]byte{kind, ' '}, sig...), append(append([]byte{' '}, raw...), '\n')...)
}

// verify checks the signature of a line that was read (without its line feed)
// against one of keys, and returns the JSON.
func verify(l []byte, keys ...ed25519.PublicKey) ([]byte, error) {
	if len(l) < 3 || len(l) > maxHead || l[1] != ' ' {
		return nil, bolwerk.Invalid("a signed line of %d octets", len(l))
	}
	sig64, raw, ok := bytes.Cut(l[2:], []byte(" "))
	sig, err := base64.StdEncoding.DecodeString(string(sig64))
	if !ok || err != nil {
		return nil, bolwerk.Invalid("line %c: no signature", l[0])
	}
	msg := toSign(l[0], raw)
	if !slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, msg, sig) }) {
		return nil, bolwerk.Forbidden("line %c: the signature is not the desk's", l[0])
	}
	return raw, nil
}

// Trust is whose word a host takes.
type Trust struct {
	Operator string
	Copy     string
	// Keys are the signing keys from the one in the join line to the present
	// one. Only the last signs what is new; all of them what is on our disk.
	Keys []ed25519.PublicKey
}

func (t Trust) now() ed25519.PublicKey { return t.Keys[len(t.Keys)-1] }

// head reads a head line.
func (t Trust) head(l []byte, keys ...ed25519.PublicKey) (h Head, err error) {
	raw, err := verify(l, keys...)
	if err != nil {
		return h, err
	}
	if l[0] != lineHead {
		return h, bolwerk.Invalid("line %c: want H", l[0])
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return Head{}, bolwerk.Invalid("head: %v", err)
	}
	return h, t.ours(h)
}

// manifest reads a manifest line.
func (t Trust) manifest(l []byte, keys ...ed25519.PublicKey) (m Manifest, err error) {
	raw, err := verify(l, keys...)
	if err != nil {
		return m, err
	}
	if l[0] != lineManifest {
		return m, bolwerk.Invalid("line %c: want M", l[0])
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return Manifest{}, bolwerk.Invalid("manifest: %v", err)
	}
	return m, t.ours(m.Head)
}

func (t Trust) ours(h Head) error {
	if h.Operator != t.Operator || h.Copy != t.Copy {
		return bolwerk.Forbidden("head of copy %.80q of %.80q: not ours", h.Copy, h.Operator)
	}
	if h.Epoch < 0 || h.Serial < 0 {
		return bolwerk.Invalid("head at %d/%d", h.Epoch, h.Serial)
	}
	return nil
}

// follow takes up changes of the key. Those that we know already are passed
// over.
func (t Trust) follow(lines [][]byte) (Trust, error) {
	for _, l := range lines {
		raw, err := verify(l, t.Keys...)
		if err != nil {
			return t, err
		}
		var c keyChange
		if err := json.Unmarshal(raw, &c); err != nil || l[0] != lineKey || len(c.Key) != ed25519.PublicKeySize || c.Operator != t.Operator {
			return t, bolwerk.Invalid("change of the signing key: not one of ours")
		}
		next := ed25519.PublicKey(c.Key)
		if slices.ContainsFunc(t.Keys, func(k ed25519.PublicKey) bool { return k.Equal(next) }) {
			continue
		}
		// A new key must come from the present one: the old ones are over.
		if _, err := verify(l, t.now()); err != nil {
			return t, err
		}
		t.Keys = append(slices.Clone(t.Keys), next)
	}
	return t, nil
}

// errLong is a line beyond its bound.
var errLong = errors.New("line too long")

// lines reads what answers and files are made of.
type lines struct {
	r    *bufio.Reader
	read int64 // octets of whole lines and batches
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, MaxEntry+3)} }

// next is the next line without its line feed, good until the call after; of a
// batch it is B, a space and the batch itself. What ends in the middle is an
// io.ErrUnexpectedEOF. The end is io.EOF.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	l.read += int64(len(line))
	line = line[:len(line)-1]
	if len(line) < 1 || len(line) > 1 && line[1] != ' ' {
		return nil, bolwerk.Invalid("a line of %d octets that is none of ours", len(line))
	}
	switch line[0] {
	case lineBatch:
		return l.batch(line)
	case lineEntry, lineWant:
		return line, nil
	case lineHead, lineManifest, lineKey:
		if len(line) > maxHead {
			return nil, errLong
		}
		return line, nil
	}
	return nil, bolwerk.Invalid("a line %q that is none of ours", line[0])
}

func (l *lines) batch(line []byte) ([]byte, error) {
	n, err := strconv.Atoi(string(line[min(2, len(line)):]))
	if err != nil || n < 1 || n > MaxBatch {
		return nil, bolwerk.Invalid("a batch of %.20q octets: at most %d", line, MaxBatch)
	}
	b, err := io.ReadAll(io.LimitReader(l.r, int64(n))) // grows with what comes, not with what is said
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	l.read += int64(n)
	return append([]byte{lineBatch, ' '}, b...), nil
}
