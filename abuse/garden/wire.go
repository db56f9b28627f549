// Package garden is the safe environment as its guest sees it: what was seen, the
// steps, the words, and what the edge and the desk tell each other about it. It knows
// no store and no network: the edge, the public site and the console use it.
package garden

import "time"

// Copy is the copy by which edges learn whom to show what. Its entries are named by
// prefixes; a body is a Guest.
const Copy = "gardens"

// Kind is the kind of what edges hand in: an Event each.
const Kind = "abuse.garden"

// Guest is a line in quarantine, as its page shows it. It names nobody.
type Guest struct {
	Quarantine string    `json:"quarantine"` // id, unguessable outside
	Ref        string    `json:"ref"`        // number that people use, such as Q-2026-000001
	Case       string    `json:"case"`       // number of the case
	Class      string    `json:"class"`      // of the taxonomy
	Profile    string    `json:"profile"`    // leaky or strict
	Family     string    `json:"family,omitempty"`
	Device     string    `json:"device,omitempty"` // kind of device, as far as known
	Seen       []Seen    `json:"seen"`             // newest first, at most 10
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`          // when it ends by itself
	SelfLeft   int       `json:"self_left"`      // how often the guest may still end it alone
	Done       []string  `json:"done,omitempty"` // steps that are ticked
	Tested
	State string `json:"state"` // active, releasing, or asked (help is wanted); of one in no quarantine open, asked or closed
}

// Tested is what a test of a case's line asks for, and what the last one found.
type Tested struct {
	Tests  []string  `json:"tests,omitempty" doc:"services that a test asks for, such as UDP 53; none: it cannot be tested"`
	Test   string    `json:"test,omitempty" enum:"asked,open,quiet,offline,failed" doc:"what the last test of the line found"`
	TestAt time.Time `json:"test_at,omitzero" doc:"when it was asked for, or found"`
}

// What a test of a line found.
const (
	TestAsked   = "asked"   // it is under way
	TestOpen    = "open"    // the service still answers
	TestQuiet   = "quiet"   // nothing answered
	TestOffline = "offline" // nobody is on line, or no address is the line's alone
	TestFailed  = "failed"  // we could not ask
)

// TestEvery is how long after a test of the line the next may be asked for.
const TestEvery = 10 * time.Minute

// MayTest says that the line may be tested now.
func (t Tested) MayTest(now time.Time) bool {
	return len(t.Tests) > 0 && (t.TestAt.IsZero() || now.Sub(t.TestAt) >= TestEvery)
}

// Seen is one thing that was reported of the line.
type Seen struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`           // such as a port, a protocol, a name of malware
	From string    `json:"from,omitempty"` // kind of source, never a reporter
}

// Event is what a guest did on the page.
type Event struct {
	ID         string    `json:"id"` // of its own: the same again changes nothing
	Quarantine string    `json:"quarantine"`
	What       string    `json:"what"` // seen, done, undone, release, help, test
	Step       string    `json:"step,omitempty"`
	Text       string    `json:"text,omitempty"` // of help: what the guest wrote, at most 2,000 octets
	Contact    string    `json:"contact,omitempty"`
	At         time.Time `json:"at"`
}
