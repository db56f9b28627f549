// Package door is what runs of the shield at the intake: it takes reports from
// strangers, hands them in, and shows receipts and look-ups from its copy. It
// holds no key that opens a report.
package door

import (
	"bytes"
	"encoding/json"
	"time"

	"bolwerk"
)

// KindReport is the kind under which a report is handed in.
const KindReport = "shield.report"

// Channel says by which door a report came.
type Channel string

// The channels.
const (
	ByMail Channel = "mail"
	ByWeb  Channel = "web"
	ByAPI  Channel = "api"
)

// Report is what a door took. It is sealed to the desk's key in the spool.
type Report struct {
	Channel    Channel   `json:"channel"`
	ReceivedAt time.Time `json:"received_at"`
	// Token is the reporter's receipt code, in the clear: the desk needs it for
	// the link in its answer and keeps its hash.
	Token string       `json:"token"`
	Lang  bolwerk.Lang `json:"lang,omitempty"`
	// OwnNetwork says that the client's address is one of the operator's own:
	// such a sender counts as proved.
	OwnNetwork bool `json:"own_network,omitempty"`
	// MailFrom is the envelope sender of a mail; empty is the null sender.
	MailFrom string `json:"mail_from,omitempty"`
	// To is which of the operator's addresses a mail was written to.
	To string `json:"to,omitempty"`
	// ReplyTo is where a web or API reporter wants the answer; may be empty.
	ReplyTo string `json:"reply_to,omitempty"`
	// Form says what Body is.
	Form Form   `json:"form"`
	Body []byte `json:"-"`
}

// Form is what the body of a report is.
type Form string

// The forms. Mail is a reporter's mail around the evidence; Evidence is the
// suspicious mail itself.
const (
	Mail     Form = "mail"
	Evidence Form = "evidence"
	Text     Form = "text"
	Link     Form = "url"
	// Picture is a screenshot or a photograph of a message.
	Picture Form = "picture"
)

// Evidence says that the body itself is the evidence, not a reporter's mail
// around it.
func (f Form) Evidence() bool { return f == Evidence || f == Picture }

// Encode gives the bytes to hand in: a line of JSON, then the body.
func (r Report) Encode() []byte {
	head, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and times: cannot fail
	}
	return append(append(head, '\n'), r.Body...)
}

// DecodeReport reads what Encode wrote.
func DecodeReport(p []byte) (Report, error) {
	head, body, ok := bytes.Cut(p, []byte{'\n'})
	var r Report
	if !ok || json.Unmarshal(head, &r) != nil {
		return r, bolwerk.Invalid("report without a head line")
	}
	switch r.Form {
	case Mail, Evidence, Text, Link, Picture:
	default:
		return r, bolwerk.Invalid("report of form %q", r.Form)
	}
	r.Body = body
	return r, nil
}
