package reading

import (
	"bytes"
	"net/mail"
	"strings"
)

// Outer is what a mail says of itself in its own header, and not in that of a mail
// attached to it: whether it may be answered, and how. None of it is proved.
type Outer struct {
	From          []string `json:"from,omitempty"` // every address of every From field, at most ten
	MessageID     string   `json:"message_id,omitempty"`
	AutoSubmitted string   `json:"auto_submitted,omitempty"` // RFC 3834
	Precedence    string   `json:"precedence,omitempty"`
	Suppress      string   `json:"suppress,omitempty"` // X-Auto-Response-Suppress
	ContentType   string   `json:"content_type,omitempty"`
	List          bool     `json:"list,omitempty"` // there is a List-* field
	Lang          string   `json:"lang,omitempty"` // the first two letters of Content-Language
	// Auth are the Authentication-Results fields, top first, at most five.
	Auth []string `json:"auth,omitempty"`
}

const (
	maxOuterFroms = 10
	maxOuterAuth  = 5
	maxOuterField = 250
)

// OuterOf reads the header of a mail.
func OuterOf(raw []byte) (o Outer) {
	if line, rest, ok := bytes.Cut(raw, []byte("\n")); ok && bytes.HasPrefix(line, []byte("From ")) {
		raw = rest
	}
	h, _ := split(raw)
	for _, v := range h.all("from") {
		list, err := mail.ParseAddressList(v)
		if err != nil {
			list = []*mail.Address{{Address: sender(v)}}
		}
		for _, a := range list {
			if len(o.From) < maxOuterFroms {
				o.From = append(o.From, strings.TrimSpace(short(a.Address, maxOuterField)))
			}
		}
	}
	field := func(name string) string { return short(h.get(name), maxOuterField) }
	o.MessageID, o.AutoSubmitted, o.Precedence, o.Suppress, o.ContentType = field("message-id"), field("auto-submitted"), field("precedence"), field("x-auto-response-suppress"), field("content-type")
	if l := strings.ToLower(field("content-language")); len(l) >= 2 {
		o.Lang = l[:2]
	}
	for _, f := range h {
		o.List = o.List || strings.HasPrefix(f.name, "list-") || f.name == "mailing-list" || f.name == "x-beenthere"
	}
	o.Auth = h.all("authentication-results")
	o.Auth = o.Auth[:min(len(o.Auth), maxOuterAuth)]
	return o
}
