// Package handin carries what strangers and edges give us to the desk. Each
// door writes to its own spool and acknowledges only then; a sender gives the
// desk one item after the other, as often as it takes, and lets go only after
// the desk's commit. The desk knows an item by its id, so that nothing is done
// twice.
//
// On the wire an item is POST /v1/handin/{kind}/{id} over the host's mTLS
// connection. 200: the desk has committed it. An answer of the 4xx class with
// the header "Bolwerk-Refused" is for ever: the item is set aside at the door
// for a person. Everything else is tried again. GET /v1/handin answers which
// replay the desk wants, as JSON {"replay":"ID","since":"RFC 3339"} or {}.
package handin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/seal"
)

// MaxBody bounds what is handed in at once: 32 MiB.
const MaxBody = 32 << 20

const (
	refusedHeader = "Bolwerk-Refused" // the refusal is the desk's word about this item
	sealedHeader  = "Bolwerk-Sealed"  // the body is sealed to the desk's key
)

// Item is what the desk is handed.
type Item struct {
	Host   string    // name of the host, from its certificate
	Role   string    // its role
	Kind   string    // what it is, such as "mail" or "hits"
	ID     string    // UUIDv7 made at the door
	At     time.Time // when the door took it, from the id: milliseconds, the door's clock
	Sealed bool      // it came sealed; Body is opened
	Body   []byte
}

// ParseKind checks a kind: 1 to 40 of a-z, 0-9, dot and hyphen.
func ParseKind(s string) (string, error) {
	if s == "" || len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return "", bolwerk.Invalid("kind %.60q: want 1 to 40 of a-z, 0-9, dot and hyphen", s)
	}
	return s, nil
}

// ParseID checks a UUIDv7 (RFC 9562) in lower case and reads its time.
func ParseID(s string) (time.Time, error) {
	wrong := bolwerk.Invalid("id %.60q: want a UUIDv7 in lower case", s)
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || s[14] != '7' {
		return time.Time{}, wrong
	}
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return time.Time{}, wrong
	}
	ms, err := strconv.ParseInt(digits[:12], 16, 64)
	if err != nil {
		return time.Time{}, wrong
	}
	return time.UnixMilli(ms).UTC(), nil
}

// context is what a sealed body is bound to.
func context(kind, id string) string { return "handin/" + kind + "/" + id }

// file is one item as it lies in the spool.
type file struct {
	kind, id string
	sealed   bool
	body     []byte
}

// A spool file is one line and the body:
//
//	bolwerk-spool 1 KIND ID open|sealed LENGTH SHA256\n
const (
	fileMark  = "bolwerk-spool 1 "
	maxHeader = 256
	maxFile   = maxHeader + MaxBody + seal.Overhead
)

func (f file) bytes() []byte {
	how := "open"
	if f.sealed {
		how = "sealed"
	}
	var b bytes.Buffer
	b.Grow(maxHeader + len(f.body))
	fmt.Fprintf(&b, "%s%s %s %s %d %x\n", fileMark, f.kind, f.id, how, len(f.body), sha256.Sum256(f.body))
	b.Write(f.body)
	return b.Bytes()
}

// parseFile reads a spool file and checks that it is whole.
func parseFile(b []byte) (file, error) {
	line, _, ok := bytes.Cut(b[:min(len(b), maxHeader)], []byte("\n"))
	if !ok || !bytes.HasPrefix(line, []byte(fileMark)) {
		return file{}, bolwerk.Invalid("spool file: no header")
	}
	body := b[len(line)+1:]
	w := strings.Split(string(line[len(fileMark):]), " ")
	if len(w) != 5 || w[2] != "open" && w[2] != "sealed" {
		return file{}, bolwerk.Invalid("spool file: header %.100q", line)
	}
	f := file{kind: w[0], id: w[1], sealed: w[2] == "sealed", body: body}
	if _, err := ParseKind(f.kind); err != nil {
		return file{}, err
	}
	if _, err := ParseID(f.id); err != nil {
		return file{}, err
	}
	if w[3] != strconv.Itoa(len(body)) {
		return file{}, bolwerk.Invalid("spool file %s: %d octets, the header says %.20s", f.id, len(body), w[3])
	}
	if sum := sha256.Sum256(body); w[4] != hex.EncodeToString(sum[:]) {
		return file{}, bolwerk.Invalid("spool file %s: its digest does not match", f.id)
	}
	return f, nil
}
