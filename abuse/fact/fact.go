// Package fact is what the abuse desk tells the other parts of the desk: types only.
// Subjects are capability.noun.verb in the past tense. No fact says whose line it is, who
// reported, or an address.
package fact

// Subjects.
const (
	ReportReceived  = "abuse.report.received"  // Ref: report; body Received
	ReportRead      = "abuse.report.read"      // Ref: report; body Read
	CaseOpened      = "abuse.case.opened"      // Ref: case; body Case
	CaseReturned    = "abuse.case.returned"    // Ref: case that was closed and has new events; body Case
	CaseReopened    = "abuse.case.reopened"    // Ref: case, by a person; body Case
	CaseClosed      = "abuse.case.closed"      // Ref: case; body Case
	QuarantineBegun = "abuse.quarantine.begun" // Ref: quarantine; body Quarantine
	QuarantineEnded = "abuse.quarantine.ended" // Ref: quarantine, as its way back began; body Quarantine
	NoticeSettled   = "abuse.notice.settled"   // Ref: notice; body Notice
)

// Subjects are all that there are.
func Subjects() []string {
	return []string{ReportReceived, ReportRead, CaseOpened, CaseReturned, CaseReopened, CaseClosed, QuarantineBegun, QuarantineEnded, NoticeSettled}
}

// Received says by which way a report came.
type Received struct {
	Channel string `json:"channel"` // mail, web, api, file
}

// Read says what came of reading a report.
type Read struct {
	State  string `json:"state"` // read, person, unreadable
	Format string `json:"format,omitempty"`
	Events int    `json:"events,omitempty"`
}

// Case says what a case is about, and how it ended.
type Case struct {
	Ref     string `json:"ref"`
	Class   string `json:"class"`
	Outcome string `json:"outcome,omitempty"` // of a closed case: cleaned, no_action, not_ours, not_resolvable, duplicate
}

// Quarantine says for which class, and how it ended.
type Quarantine struct {
	Ref     string `json:"ref"`
	Case    string `json:"case"`
	Class   string `json:"class"`
	Profile string `json:"profile"`       // leaky, strict
	Why     string `json:"why,omitempty"` // of an ended one: self, staff, timer, false_positive, case, playbook, restore
}

// Notice says what became of a message to a subscriber or a reseller.
type Notice struct {
	Case    string `json:"case"`
	Kind    string `json:"kind"`
	Channel string `json:"channel,omitempty"` // mail, sms, letter, app, xarf; none where nobody can be reached
	Result  string `json:"result"`            // sent, delivered, failed, unreachable
}
