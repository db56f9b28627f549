package door

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/internal/mail"
)

// KindReport is the kind under which a report of abuse is handed in.
const KindReport = "abuse.report"

// Channel says by which way a report came.
type Channel string

// The channels.
const (
	ByMail Channel = "mail"
	ByWeb  Channel = "web"
	ByAPI  Channel = "api"
	ByFile Channel = "file"
)

// Form is what the body of a report is.
type Form string

// The forms. Any is bytes in any of the field's formats: what it is, is found by
// reading. Filled is the JSON of a Fields, from the form on the public site.
const (
	Any    Form = "any"
	Filled Form = "filled"
)

// Report is what a door took. It is sealed to the desk's key in the spool.
type Report struct {
	Channel    Channel   `json:"channel"`
	ReceivedAt time.Time `json:"received_at"`
	// Token is the reporter's receipt code.
	Token string       `json:"token"`
	Lang  bolwerk.Lang `json:"lang,omitempty"`
	// From is the envelope sender of a mail, or the address that a form named. It
	// proves nothing.
	From string `json:"from,omitempty"`
	// OwnNetwork says that the client that brought the mail is one of the operator's own.
	OwnNetwork bool `json:"own_network,omitempty"`
	// Feed is whose file it is, where whoever handed it in says so.
	Feed string `json:"feed,omitempty"`
	// Name is the file's, where it has one: it tells the type of a table.
	Name string `json:"name,omitempty"`
	Form Form   `json:"form"`
	Body []byte `json:"-"`
}

// MaxReport bounds the body of a report, in octets: what most mail servers take.
const MaxReport = 25 << 20

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
		return r, bolwerk.Invalid("report of abuse without a head line")
	}
	switch {
	case r.Form != Any && r.Form != Filled:
		return r, bolwerk.Invalid("report of abuse of form %.20q", r.Form)
	case len(body) > MaxReport:
		return r, bolwerk.Invalid("report of abuse of %d bytes: at most %d are taken", len(body), MaxReport)
	}
	r.Body = body
	return r, nil
}

// Box takes the mails to the addresses of the abuse desk.
type Box struct {
	Addresses []mail.Address
	Put       func(kind string, body []byte) (string, error)
	PutAs     func(id, kind string, body []byte) error
}

// Mine says that a mail is to one of the abuse desk's addresses, and whether it is
// to others too.
func (b Box) Mine(rcpt []string) (mine, others bool) {
	for _, r := range rcpt {
		if b.is(r) {
			mine = true
		} else {
			others = true
		}
	}
	return mine, others
}

func (b Box) is(rcpt string) bool {
	a, err := mail.ParseAddress(rcpt)
	if err != nil {
		return false
	}
	for _, own := range b.Addresses {
		if own.Same(a) {
			return true
		}
	}
	return false
}

// Accept is the mail.Accept of the abuse desk: it keeps the mail as it came, and
// nothing of the client.
func (b Box) Accept(_ context.Context, e mail.Envelope) (reference string, err error) {
	if len(e.Raw) == 0 {
		return "", bolwerk.Invalid("an empty mail")
	}
	r := Report{Channel: ByMail, ReceivedAt: e.ReceivedAt, Token: bolwerk.NewToken().Reveal(), From: e.MailFrom, OwnNetwork: e.OwnNetwork, Form: Any, Body: e.Raw}
	id := e.ID
	if id != "" {
		err = b.PutAs(id, KindReport, r.Encode())
	} else {
		id, err = b.Put(KindReport, r.Encode())
	}
	if err != nil {
		return "", fmt.Errorf("report of abuse by mail: %w", err)
	}
	return id[max(0, len(id)-12):], nil // the random end of the id: without its time
}

// Sort sends a mail to the abuse desk, to rest, or to both. Both may then have it
// twice: where the second did not take it, the sender sends it again, and the abuse
// desk counts an event of one report once.
func (b Box) Sort(rest mail.Accept) mail.Accept {
	if len(b.Addresses) == 0 {
		return rest
	}
	return func(ctx context.Context, e mail.Envelope) (string, error) {
		mine, others := b.Mine(e.Rcpt)
		if !mine {
			return rest(ctx, e)
		}
		if !others {
			return b.Accept(ctx, e)
		}
		ours := e
		ours.Rcpt = nil
		for _, r := range e.Rcpt {
			if !b.is(r) {
				ours.Rcpt = append(ours.Rcpt, r)
			}
		}
		if _, err := b.Accept(ctx, e); err != nil {
			return "", err
		}
		return rest(ctx, ours)
	}
}

// Fields are what a person wrote into the form on the public site.
type Fields struct {
	What    string    `json:"what"` // one of Whats
	Address string    `json:"address"`
	Port    uint16    `json:"port,omitempty"`
	At      time.Time `json:"at"`
	Text    string    `json:"text,omitempty"`
	Contact string    `json:"contact,omitempty"`
}

// Whats are what a person may have seen, in the form's order.
var Whats = []string{"spam", "attack", "login", "scan", "malware", "phishing", "open", "other"}
