package door

import "time"

// StatusEntry begins the id of an entry of the copy "public": then comes the hash of
// the reporter's code. Its body is a Status.
const StatusEntry = "ar:"

// Status is what a reporter may see of a report. It names no subscriber, and does
// not tell whether two reports are about the same one.
type Status struct {
	// Code is QUEUED, PROCESSING or, at the end, ACTIONED, NOT_RESOLVABLE,
	// REVIEWED_NO_ACTION, NEED_MORE_INFORMATION or CONTENT_DOWN. It follows what became
	// of the case.
	Code string    `json:"code"`
	At   time.Time `json:"received_at"`
	// Changed is since when Code is so; once an event led to a case, a day only: a
	// moment would tell which reports are about one line.
	Changed time.Time `json:"changed_at,omitzero"`
	// Events are the events that were read, Refused what could not be, Repeated what
	// the reporter had told before. They are the reporter's own.
	Events   int64    `json:"events"`
	Refused  int64    `json:"refused,omitempty"`
	Why      []string `json:"why,omitempty"` // codes of the refusals
	Repeated int64    `json:"repeated,omitempty"`
	// Actioned are events that led to a case, NotOurs those about addresses of
	// others, Waiting those that are still looked into.
	Actioned int64 `json:"actioned"`
	NotOurs  int64 `json:"not_ours,omitempty"`
	Waiting  int64 `json:"waiting,omitempty"`
	// Closed are those of Actioned whose case was closed, on a day before; Over says that
	// all were, the last on the day of Changed.
	Closed int64 `json:"closed,omitempty"`
	Over   bool  `json:"over,omitempty"`
}
