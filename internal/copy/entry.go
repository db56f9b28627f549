// Package copy carries what the desk publishes to the hosts that serve it: a
// snapshot, then changes, under signed heads. This package holds the types, the
// follower and its files; the desk's side is internal/publish.
package copy

import (
	"encoding/json"
	"time"
)

// Entry is one row of a copy. The highest Version of an ID wins.
type Entry struct {
	ID      string `json:"id"`
	Version int64  `json:"v"`
	// From and Until bound its validity in microseconds since 1970 UTC; 0 is
	// open. A host ends an entry by itself at Until.
	From    int64           `json:"from,omitempty"`
	Until   int64           `json:"until,omitempty"`
	Removed bool            `json:"removed,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
}

// Valid says whether the entry counts at t.
func (e Entry) Valid(t time.Time) bool {
	us := t.UnixMicro()
	return !e.Removed && (e.From == 0 || us >= e.From) && (e.Until == 0 || us < e.Until)
}

// Batch is one publication of one copy: the changes that lead from serial
// Serial-1 to Serial.
type Batch struct {
	Epoch   int64   `json:"epoch"`
	Serial  int64   `json:"serial"`
	Entries []Entry `json:"entries"`
}

// Head says where a copy stands. It is signed with the desk's Ed25519 key and
// sent with every change and every 60 s (the heartbeat).
type Head struct {
	Operator string `json:"operator"`
	Copy     string `json:"copy"`
	Epoch    int64  `json:"epoch"`  // raised by a restore only
	Serial   int64  `json:"serial"` // raised by each publication
	// Digest of a serial is SHA-256(previous digest || SHA-256(batch bytes)),
	// in hex; of serial 0 of an epoch it is what the epoch began with.
	Previous string    `json:"previous"`
	Digest   string    `json:"digest"`
	Count    int64     `json:"count"` // entries that are not removed
	MadeAt   time.Time `json:"made_at"`
	Fresh    time.Time `json:"fresh_until"` // an unrenewed head alarms after this; nothing ends
	Audit    string    `json:"audit_head"`  // head of the audit chain, so that a rewritten database is found
	KeyID    string    `json:"key_id"`
}

// Before says that h is older than o by (epoch, serial).
func (h Head) Before(o Head) bool {
	return h.Epoch < o.Epoch || h.Epoch == o.Epoch && h.Serial < o.Serial
}

// Sink is who uses a copy at a host. Both are called from one goroutine at a
// time; the entries may be kept.
type Sink interface {
	// Reset replaces everything. seq yields every entry once.
	Reset(head Head, seq func(yield func(Entry) bool)) error
	// Apply adds the changes of one publication.
	Apply(head Head, changes []Entry) error
}
