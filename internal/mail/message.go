package mail

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"

	"bolwerk"
)

// Message is a mail that the operator sends: plain text, one recipient, no
// attachment. Everything in it is the operator's own words; nothing that a
// reporter wrote has a place here, except the id of the mail that is answered.
type Message struct {
	// ID is the left part of the Message-ID, the same for every try of one
	// mail, and tells nothing: a Token's text or a hash.
	ID       string
	From     Address
	FromName string // shown beside From; may be empty
	To       Address
	// ReturnPath is the envelope's sender; zero is the null path <>, which an
	// automatic answer has so that its bounce ends there (RFC 3834 section 3.3).
	ReturnPath Address
	Subject    string // one line, at most 200 octets
	Body       string // lines end in \n; at most 64 KiB
	Lang       bolwerk.Lang
	Date       time.Time
	// InReplyTo is the Message-ID of the mail that is answered, with its <>. One
	// that is not a plain RFC 5322 msg-id of at most 250 octets is left out.
	InReplyTo string
	// Automatic marks an answer that no person wrote (RFC 3834).
	Automatic bool
}

// Bytes is the mail as RFC 5322 text: UTF-8, quoted-printable, lines of at most
// 76 octets that end in CRLF. The same Message gives the same bytes.
func (m Message) Bytes() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var h gomail.Header
	// The library writes the last one first.
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	if m.Lang != "" {
		h.Set("Content-Language", string(m.Lang))
	}
	if m.Automatic {
		h.Set("X-Auto-Response-Suppress", "All") // Exchange does not know RFC 3834
		h.Set("Auto-Submitted", "auto-replied")
	}
	if answered := strings.TrimSpace(m.InReplyTo); messageID(answered) {
		h.Set("References", answered)
		h.Set("In-Reply-To", answered)
	}
	h.SetMessageID(m.ID + "@" + m.From.Domain().String())
	h.SetDate(m.Date.UTC())
	h.SetSubject(m.Subject)
	h.SetAddressList("To", []*gomail.Address{{Address: m.To.String()}})
	h.SetAddressList("From", []*gomail.Address{{Name: m.FromName, Address: m.From.String()}})
	h.Set("MIME-Version", "1.0")

	var out bytes.Buffer
	w, err := gomail.CreateSingleInlineWriter(&out, h)
	if err != nil {
		return nil, fmt.Errorf("write mail %s: %w", m.ID, err)
	}
	io.WriteString(w, strings.ReplaceAll(m.Body, "\n", "\r\n"))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write mail %s: %w", m.ID, err)
	}
	return out.Bytes(), nil
}

func (m Message) check() error {
	switch {
	case m.From.IsZero() || m.To.IsZero() || m.Date.IsZero():
		return bolwerk.Invalid("mail %s: from, to and date are needed", m.ID)
	case !dotAtom(m.ID) || !ascii(m.ID) || len(m.ID) > 128:
		return bolwerk.Invalid("mail: id %q is no left part of a message id", m.ID)
	case m.Subject == "" || len(m.Subject) > 200 || !printable(m.Subject) || !printable(m.FromName):
		return bolwerk.Invalid("mail %s: the subject must be one printable line of at most 200 octets", m.ID)
	case m.Body == "" || len(m.Body) > 64<<10 || !utf8.ValidString(m.Body) || strings.ContainsAny(m.Body, "\r\x00"):
		return bolwerk.Invalid("mail %s: the body must be UTF-8 text of at most 64 KiB with lines that end in \\n", m.ID)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// messageID says that s is <dot-atom@dot-atom> in ASCII.
func messageID(s string) bool {
	if len(s) > 250 || !ascii(s) || !strings.HasPrefix(s, "<") || !strings.HasSuffix(s, ">") {
		return false
	}
	left, right, ok := strings.Cut(s[1:len(s)-1], "@")
	return ok && dotAtom(left) && dotAtom(right)
}

// Forward is how a person hands a suspicious mail in: a mail of theirs with the
// original attached whole (message/rfc822). It is for our own client, the demo
// and the benches; the desk sends nothing of the kind.
func Forward(from, to Address, subject, text string, original []byte, date time.Time) ([]byte, error) {
	var id [16]byte
	rand.Read(id[:])
	var h message.Header
	h.SetContentType("multipart/mixed", nil)
	h.Set("Message-ID", "<"+hex.EncodeToString(id[:])+"@"+from.Domain().String()+">")
	h.Set("Date", date.Format(time.RFC1123Z))
	h.SetText("Subject", subject)
	h.Set("To", to.String())
	h.Set("From", (&netmail.Address{Address: from.String()}).String())
	h.Set("MIME-Version", "1.0")
	var out bytes.Buffer
	w, err := message.CreateWriter(&out, h)
	if err != nil {
		return nil, fmt.Errorf("wrap a mail: %w", err)
	}
	for _, p := range []struct {
		kind, disposition, encoding string
		body                        []byte
	}{
		{"text/plain; charset=utf-8", "inline", "quoted-printable", []byte(text)},
		// RFC 2046 section 5.2.1 allows no encoding of message/rfc822 but these.
		{"message/rfc822", "attachment; filename=suspicious.eml", "8bit", original},
	} {
		var ph message.Header
		ph.Set("Content-Transfer-Encoding", p.encoding)
		ph.Set("Content-Disposition", p.disposition)
		ph.Set("Content-Type", p.kind)
		pw, err := w.CreatePart(ph)
		if err == nil {
			_, err = pw.Write(p.body)
		}
		if err == nil {
			err = pw.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("wrap a mail: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap a mail: %w", err)
	}
	return out.Bytes(), nil
}
