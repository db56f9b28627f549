// Package copy carries what the desk publishes to the hosts that serve it: a
// snapshot, then changes, under signed heads. This package holds the types, the
// wire, the handler that the desk mounts, the follower of a host and its files;
// where the desk's rows come from is internal/publish.
//
// # The wire
//
// A host asks, over its mTLS connection,
//
//	GET /v1/copy/{name}?epoch=E&serial=S&key=ID&wait=30
//
// without epoch where it has nothing, with snapshot=1 where it wants to start
// afresh. The answer is lines. A line is a letter, a space, and JSON; where it is
// signed, an Ed25519 signature in base64 stands before the JSON. The
// signature is over "bolwerk copy ", the letter, a line feed and the octets of
// the JSON as they stand there: nobody has to write the same JSON again.
//
//	K signature {"operator","key","made_at"}    the next signing key, signed with the one before
//	B length                                    a publication: that many octets of Batch.Encode follow
//	H signature {head}                          where the copy stands after those (type Head)
//	E {entry}                                   one entry of a snapshot, ascending by id
//	M signature {"head","entries","bytes","sha256"}  ends a snapshot; the digest is of all E lines with their line feeds
//	Q                                           the desk asks for what the host holds
//
// An answer is K*, then Q, or B* H, or E* M. With nothing new the desk waits up
// to "wait" seconds (at most 60) and sends H: the heartbeat. A publication of
// more than MaxBatch octets is never sent as B; who is behind it gets a snapshot.
//
//	PUT /v1/copy/{name}/held?epoch=E&serial=S
//
// gives the desk, who asked with Q, the files of the host as they are: the
// desk's own signatures prove that nothing in it was invented. That is how a
// desk restored from a backup learns of withdrawals it has forgotten.
//
// # Versions across a restore
//
// The highest Version of an id wins, also against a younger epoch: a host that
// saw a withdrawal keeps it when a restored desk lists the entry with its old
// version. A desk that wants it back all the same gives it a higher one.
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

// Mark is a place in the life of a copy.
type Mark struct{ Epoch, Serial int64 }

// Mark is where the head stands.
func (h Head) Mark() Mark { return Mark{h.Epoch, h.Serial} }

// Before says that m is older than o.
func (m Mark) Before(o Mark) bool {
	return m.Epoch < o.Epoch || m.Epoch == o.Epoch && m.Serial < o.Serial
}

// Before says that h is older than o by (epoch, serial).
func (h Head) Before(o Head) bool { return h.Mark().Before(o.Mark()) }

// Sink is who uses a copy at a host. Both are called from one goroutine at a
// time; the entries may be kept.
type Sink interface {
	// Reset replaces everything, in one step after the last entry. seq yields
	// every entry once, also those that are not valid now. Where reading fails,
	// seq does not return: what is served must stay as it was.
	Reset(head Head, seq func(yield func(Entry) bool)) error
	// Apply adds the changes of one publication.
	Apply(head Head, changes []Entry) error
}
