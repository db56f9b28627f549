package door

import "time"

// KindAppeal is the kind under which an appeal from the public site is handed
// in; its body is an edge.Appeal.
const KindAppeal = "shield.appeal"

// Prefixes of the ids of entries in the copy "public".
const (
	ReceiptEntry = "r:" // then the hash of the code; body Receipt
	BlockEntry   = "b:" // then the block's reference; body Listed
)

// Receipt is what the holder of a code may see. It names nobody.
type Receipt struct {
	Kind string `json:"kind"` // report or appeal
	// State is for a report: received, read, waiting, blocked, rejected,
	// no_observable, unreadable, training; for an appeal: received, upheld, rejected.
	State string    `json:"state"`
	At    time.Time `json:"at"`            // when it came in
	Ref   string    `json:"ref,omitempty"` // number of the appeal
	// Number is how many-eth report about the same thing this was.
	Number int64 `json:"number,omitempty"`
	// Of is how many there were when this was written.
	Of      int64     `json:"of,omitempty"`
	Name    string    `json:"name,omitempty"`   // what was blocked, or appealed about
	Block   string    `json:"block,omitempty"`  // its reference
	Changed time.Time `json:"changed,omitzero"` // when State became so
	Due     time.Time `json:"due,omitzero"`     // when an appeal is decided at the latest
}

// Listed is a block as the public may look it up.
type Listed struct {
	Ref    string    `json:"ref"`
	Name   string    `json:"name"`
	Scope  string    `json:"scope"`
	WWW    bool      `json:"www,omitempty"`
	Class  string    `json:"class"`
	Ground string    `json:"ground"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}
