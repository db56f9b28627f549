package door

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"bolwerk"
	"bolwerk/internal/mail"
)

// KindBounce is the kind under which a mail that came to a return path of ours is handed in.
const KindBounce = "abuse.bounce"

// MaxBounce is how much of such a mail is kept, in octets: what it says stands at its
// beginning, behind it comes our own mail.
const MaxBounce = 128 << 10

// Bounce is such a mail. To is the return path, with its tag; empty where the mail was
// fetched from a mailbox.
type Bounce struct {
	To   string `json:"to,omitempty"`
	Body []byte `json:"-"`
}

// Encode gives the bytes to hand in: a line of JSON, then the body.
func (b Bounce) Encode() []byte {
	head, err := json.Marshal(b)
	if err != nil {
		panic(err) // a string: cannot fail
	}
	return append(append(head, '\n'), b.Body...)
}

// DecodeBounce reads what Encode wrote.
func DecodeBounce(p []byte) (b Bounce, err error) {
	head, body, ok := bytes.Cut(p, []byte{'\n'})
	if !ok || json.Unmarshal(head, &b) != nil || len(body) > MaxBounce {
		return b, bolwerk.Invalid("a mail that came back without a head line, or too large")
	}
	b.Body = body
	return b, nil
}

// Bounces takes the mails to a return path: Address, with any +tag.
type Bounces struct {
	Address mail.Address // zero: there is none
	Put     func(kind string, body []byte) (string, error)
	PutAs   func(id, kind string, body []byte) error
}

func (b Bounces) is(rcpt string) bool {
	a, err := mail.ParseAddress(rcpt)
	local, _, _ := strings.Cut(a.Local(), "+")
	return err == nil && strings.EqualFold(local, b.Address.Local()) && a.Domain() == b.Address.Domain()
}

// Sort takes the mails to the return path and gives all others to rest. Only a mail from
// the null path is taken (RFC 3464 section 2): what else comes there is refused.
func (b Bounces) Sort(rest mail.Accept) mail.Accept {
	if b.Address.IsZero() {
		return rest
	}
	return func(ctx context.Context, e mail.Envelope) (string, error) {
		others := e
		others.Rcpt = nil
		last := ""
		for _, r := range e.Rcpt {
			if !b.is(r) {
				others.Rcpt = append(others.Rcpt, r)
				continue
			}
			if e.MailFrom != "" {
				return "", bolwerk.Forbidden("only reports about the delivery of our mails are taken here")
			}
			id, err := b.put(e, r)
			if err != nil {
				return "", err
			}
			last = id[max(0, len(id)-12):]
		}
		if len(others.Rcpt) == 0 {
			return last, nil
		}
		return rest(ctx, others)
	}
}

func (b Bounces) put(e mail.Envelope, to string) (id string, err error) {
	body := Bounce{To: to, Body: e.Raw[:min(len(e.Raw), MaxBounce)]}.Encode()
	if id = e.ID; id != "" {
		err = b.PutAs(id, KindBounce, body)
	} else {
		id, err = b.Put(KindBounce, body)
	}
	if err != nil {
		return "", fmt.Errorf("a mail that came back: %w", err)
	}
	return id, nil
}
