// Package fact is what the shield tells the other parts of the desk: types
// only. Subjects are capability.noun.verb in the past tense.
package fact

import "time"

// Subjects.
const (
	ReportReceived = "shield.report.received" // Ref: report
	ReportRead     = "shield.report.read"     // Ref: report; body Read
	CaseProposed   = "shield.case.proposed"   // Ref: case
	CaseDecided    = "shield.case.decided"    // Ref: case; body Decided
	BlockPlaced    = "shield.block.placed"    // Ref: block; body Placed
	BlockEnded     = "shield.block.ended"     // Ref: block; body Ended
	AppealReceived = "shield.appeal.received" // Ref: appeal
	AppealDecided  = "shield.appeal.decided"  // Ref: appeal
)

// Subjects are all that there are.
func Subjects() []string {
	return []string{ReportReceived, ReportRead, CaseProposed, CaseDecided, BlockPlaced, BlockEnded, AppealReceived, AppealDecided}
}

// Read says what came of reading a report.
type Read struct {
	State string   `json:"state"` // read, no_observable, unreadable
	Cases []string `json:"cases,omitempty"`
}

// Decided says how a case was decided.
type Decided struct {
	Outcome string `json:"outcome"` // blocked, rejected
	Block   string `json:"block,omitempty"`
}

// Placed says what came into force.
type Placed struct {
	Ref    string    `json:"ref"`
	Name   string    `json:"name"`
	Scope  string    `json:"scope"`
	Pass   bool      `json:"pass,omitempty"`
	Order  string    `json:"order,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Epoch  int64     `json:"epoch"`
	Serial int64     `json:"serial"`
}

// Ended says what is no longer in force, and why.
type Ended struct {
	Ref    string `json:"ref"`
	Name   string `json:"name"`
	Why    string `json:"why"`
	Serial int64  `json:"serial"`
}
