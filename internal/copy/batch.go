package copy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"bolwerk"
)

// MaxEntry bounds the JSON of one entry on the wire.
const MaxEntry = 64 << 10

// Encode gives the bytes of a batch as they are digested, stored and sent: a
// line of JSON {"epoch","serial","count"}, then one line an entry.
func (b Batch) Encode() []byte {
	var buf bytes.Buffer
	fmt.Fprintf(&buf, `{"epoch":%d,"serial":%d,"count":%d}`+"\n", b.Epoch, b.Serial, len(b.Entries))
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, e := range b.Entries {
		if err := enc.Encode(e); err != nil {
			panic(err) // Body is checked JSON
		}
	}
	return buf.Bytes()
}

// DecodeBatch reads what Encode wrote.
func DecodeBatch(p []byte) (Batch, error) {
	sc := bufio.NewScanner(bytes.NewReader(p))
	sc.Buffer(nil, MaxEntry)
	var head struct {
		Epoch, Serial int64
		Count         int
	}
	if !sc.Scan() || json.Unmarshal(sc.Bytes(), &head) != nil {
		return Batch{}, bolwerk.Invalid("batch without a head line")
	}
	b := Batch{Epoch: head.Epoch, Serial: head.Serial}
	for sc.Scan() {
		var e Entry
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			return Batch{}, bolwerk.Invalid("batch %d, entry %d: %v", b.Serial, len(b.Entries)+1, err)
		}
		b.Entries = append(b.Entries, e)
	}
	if err := sc.Err(); err != nil {
		return Batch{}, bolwerk.Invalid("batch %d: %v", b.Serial, err)
	}
	if len(b.Entries) != head.Count {
		return Batch{}, bolwerk.Invalid("batch %d has %d entries, its head says %d", b.Serial, len(b.Entries), head.Count)
	}
	return b, nil
}

// NextDigest chains a batch to the digest before it.
func NextDigest(previous string, batch []byte) string {
	sum := sha256.Sum256(batch)
	h := sha256.New()
	h.Write([]byte(previous))
	h.Write(sum[:])
	return hex.EncodeToString(h.Sum(nil))
}
