package mail

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"bolwerk"
)

// Message is a mail that the operator sends: plain text, one recipient, at most
// one report for programs. Everything in it is the operator's own words; nothing that a
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
	// Report is a report in XARF for programs, at most 64 KiB. The mail is then a
	// multipart/report (RFC 6522, RFC 5965) in the form of XARF over mail: the Body, a
	// message/feedback-report that says Feedback-Type: xarf, and xarf.json.
	Report []byte `json:",omitempty"`
}

// Bytes is the mail as RFC 5322 text: UTF-8, quoted-printable, lines of at most
// 76 octets that end in CRLF. A long address or id is not folded.
// The same Message gives the same bytes.
func (m Message) Bytes() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&out, "%s: %s\r\n", name, value) }
	from := m.From.String()
	if m.FromName != "" {
		from = encoded(m.FromName, len("From")) + "\r\n <" + from + ">"
	}
	field("From", from)
	field("To", m.To.String())
	field("Subject", encoded(m.Subject, len("Subject")))
	field("Date", m.Date.UTC().Format(time.RFC1123Z))
	field("Message-ID", "<"+m.ID+"@"+m.From.Domain().String()+">")
	if answered := strings.TrimSpace(m.InReplyTo); messageID(answered) {
		field("In-Reply-To", answered)
		field("References", answered)
	}
	if m.Automatic {
		field("Auto-Submitted", "auto-replied")
		field("X-Auto-Response-Suppress", "All") // Exchange does not know RFC 3834
	}
	field("MIME-Version", "1.0")
	if m.Lang != "" {
		field("Content-Language", string(m.Lang))
	}
	text := func() {
		field("Content-Type", "text/plain; charset=utf-8")
		field("Content-Transfer-Encoding", "quoted-printable")
		out.WriteString("\r\n")
		w := quotedprintable.NewWriter(&out) // makes \r\n of \n
		io.WriteString(w, m.Body)
		w.Close()
	}
	if len(m.Report) == 0 {
		text()
		return out.Bytes(), nil
	}
	sum := sha256.Sum256(append([]byte(m.Body), m.Report...))
	boundary := hex.EncodeToString(sum[:16]) // the same mail gives the same bytes
	field("Content-Type", "multipart/report; report-type=feedback-report;\r\n boundary="+boundary)
	out.WriteString("\r\n--" + boundary + "\r\n")
	text()
	out.WriteString("\r\n--" + boundary + "\r\n")
	field("Content-Type", "message/feedback-report") // 7bit, as RFC 5965 section 7.3 wants it
	field("Content-Disposition", "inline")
	out.WriteString("\r\n")
	field("Feedback-Type", "xarf")
	field("User-Agent", "Bolwerk/1")
	field("Version", "1") // of RFC 5965
	out.WriteString("\r\n--" + boundary + "\r\n")
	field("Content-Type", "application/json; name=xarf.json")
	field("Content-Disposition", "attachment; filename=xarf.json")
	field("Content-Transfer-Encoding", "base64")
	out.WriteString("\r\n")
	for b := base64.StdEncoding.EncodeToString(m.Report); b != ""; {
		n := min(76, len(b))
		out.WriteString(b[:n] + "\r\n")
		b = b[n:]
	}
	out.WriteString("--" + boundary + "--\r\n")
	return out.Bytes(), nil
}

// encoded is text as encoded-words (RFC 2047) in lines of at most 76 octets, the
// first of which stands behind a field name of the given length. Short text of
// letters, digits and spaces stays as it is.
func encoded(text string, name int) string {
	if name+2+len(text) <= 76 && strings.Trim(text, plainText) == "" {
		return text
	}
	var lines []string
	room, line := 76-name-2, ""
	for rest := text; rest != ""; {
		_, n := utf8.DecodeRuneInString(rest)
		if line != "" && len(encodedWord(line+rest[:n])) > room {
			lines, line, room = append(lines, encodedWord(line)), "", 75
		}
		line, rest = line+rest[:n], rest[n:]
	}
	return strings.Join(append(lines, encodedWord(line)), "\r\n ")
}

const plainText = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encodedWord is text as one encoded-word of the Q encoding, fit for phrases
// too (RFC 2047 section 5 (3)).
func encodedWord(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			b.WriteByte('_')
		case strings.IndexByte(plainText, c) > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return "=?utf-8?q?" + b.String() + "?="
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
	case len(m.Report) > 64<<10:
		return bolwerk.Invalid("mail %s: a report for programs of more than 64 KiB", m.ID)
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
