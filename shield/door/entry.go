package door

import "time"

// KindAppeal is the kind under which an appeal from the public site is handed
// in; its body is an edge.Appeal.
const KindAppeal = "shield.appeal"

// Prefixes of the ids of entries in the copy "public".
const (
	ReceiptEntry = "r:" // then the hash of the code; body Receipt
	BlockEntry   = "b:" // then the block's reference; body Listed
	CountEntry   = "n:" // then the key that receipts name as Same; body Count
	TallyEntry   = "v:" // then the block's reference; body Tally
	AppealEntry  = "a:" // then the number of the appeal; body AppealState
	WarningEntry = "w:" // then the number of the campaign; body Warning
	// WrittenEntry begins those that a person wrote; after all campaigns' numbers.
	WrittenEntry = "w:W-"
)

// Few is the smallest count that the public is told exactly.
const Few = 5

// Receipt is what the holder of a code may see. It names nobody.
type Receipt struct {
	Kind string `json:"kind"` // report or appeal
	// State is for a report: received, read, waiting, blocked, unblocked, rejected,
	// clean, no_observable, unreadable, training; for an appeal: received,
	// passed_on, upheld, rejected.
	State string    `json:"state"`
	At    time.Time `json:"at"`            // when it came in
	Ref   string    `json:"ref,omitempty"` // number of the appeal
	// Number is how many-eth report about the same thing this was; an answer has
	// it where there are Few of them at least.
	Number int64 `json:"number,omitempty"`
	// Same is the key of the count of reports about the same thing. An answer has
	// the count instead.
	Same    string    `json:"same,omitempty"`
	Name    string    `json:"name,omitempty"`   // what was blocked, or appealed about
	Block   string    `json:"block,omitempty"`  // its reference
	Changed time.Time `json:"changed,omitzero"` // when State became so
	Due     time.Time `json:"due,omitzero"`     // when an appeal is decided at the latest

	// The door fills in what follows from the entries that the receipt refers to.

	Of     int64  `json:"of,omitempty"`             // reports about the same thing; left out below Few
	Visits int64  `json:"visits_stopped,omitempty"` // visits that the block has stopped; left out below Few
	Why    string `json:"ended_why,omitempty"`      // of a block that is over: expired, false_positive, appeal, cleaned, error, order
}

// Count is how often the same thing was reported: Few times at least.
type Count struct {
	Reports int64 `json:"reports"`
}

// Tally is what became of a block.
type Tally struct {
	Visits int64     `json:"visits,omitempty"` // visits that it stopped; 0 is fewer than Few
	Ended  time.Time `json:"ended,omitzero"`
	Why    string    `json:"why,omitempty"` // the cause of its end
}

// AppealState is how an appeal stands, for all who hold a receipt of it.
type AppealState struct {
	State   string    `json:"state"`
	Changed time.Time `json:"changed"`
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
