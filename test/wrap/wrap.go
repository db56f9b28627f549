// Package wrap writes mails as people hand them in: attached, saved by Outlook,
// in an archive, or copied into the text of another mail, in the style of the
// mail programs and in four languages. It also takes a mail apart by itself, so
// that what the product reads can be held against another opinion. Tests and
// benchmarks use it; the program does not.
package wrap

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// Mail is what a mail program knows of a mail.
type Mail struct {
	Header                   string // as it came, without the blank line
	From, FromName, To       string
	Subject, Date, MessageID string
	Text, HTML               string
	Files                    []File
	Mails                    []Mail // attached
	Broken                   bool   // the strict parsers gave up on a part
}

// File is an attachment.
type File struct {
	Name, Type string
	Data       []byte
}

var decoder = mime.WordDecoder{CharsetReader: charset.NewReaderLabel}

func decodeWords(s string) string {
	if d, err := decoder.DecodeHeader(s); err == nil {
		return strings.ToValidUTF8(d, "?")
	}
	return strings.ToValidUTF8(s, "?")
}

// Parse takes a mail apart with the parsers of the standard library; what they
// refuse is an error.
func Parse(raw []byte) (Mail, error) {
	raw = bytes.TrimLeft(raw, "\r\n")
	if bytes.HasPrefix(raw, []byte("From ")) { // mbox
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	r, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, err
	}
	m := Mail{To: decodeWords(r.Header.Get("To")), Subject: decodeWords(r.Header.Get("Subject")), Date: r.Header.Get("Date"), MessageID: r.Header.Get("Message-Id")}
	if i := bytes.Index(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n\n")); i >= 0 {
		m.Header = strings.ToValidUTF8(string(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))[:i+1]), "?")
	}
	from := r.Header.Get("From")
	if a, err := (&mail.AddressParser{WordDecoder: &decoder}).Parse(from); err == nil {
		m.From, m.FromName = a.Address, a.Name
	} else if i := strings.LastIndexByte(from, '<'); i >= 0 {
		m.From, m.FromName = strings.Trim(from[i:], "<> "), strings.Trim(decodeWords(from[:i]), ` "`)
	} else {
		m.From = from
	}
	m.part(textproto.MIMEHeader(r.Header), r.Body, 0)
	return m, nil
}

func (m *Mail) part(head textproto.MIMEHeader, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain"
	}
	if depth > 10 {
		return
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				m.Broken = m.Broken || err != io.EOF
				return
			}
			m.part(p.Header, p, depth+1)
		}
	}
	switch strings.ToLower(strings.TrimSpace(head.Get("Content-Transfer-Encoding"))) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	m.Broken = m.Broken || err != nil
	_, disposition, _ := mime.ParseMediaType(head.Get("Content-Disposition"))
	name := firstOf(disposition["filename"], params["name"])
	attached := strings.HasPrefix(strings.ToLower(strings.TrimSpace(head.Get("Content-Disposition"))), "attachment")
	switch {
	case kind == "text/html" && !attached:
		m.HTML += utf8Of(b, params["charset"])
	case kind == "text/plain" && !attached:
		m.Text += utf8Of(b, params["charset"])
	case kind == "message/rfc822":
		if inner, err := Parse(b); err == nil {
			m.Mails = append(m.Mails, inner)
		}
	default:
		m.Files = append(m.Files, File{decodeWords(firstOf(name, "file")), kind, b})
	}
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

func utf8Of(b []byte, label string) string {
	if label != "" && !strings.EqualFold(label, "utf-8") && !(utf8.Valid(b) && bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x80 })) {
		if r, err := charset.NewReaderLabel(label, bytes.NewReader(b)); err == nil {
			if d, err := io.ReadAll(r); err == nil {
				b = d
			}
		}
	}
	return strings.ToValidUTF8(string(b), "?")
}

var (
	htmlFrame  = regexp.MustCompile(`(?is)<!doctype[^>]*>|</?(?:html|head|body|meta)\b[^>]*>|<title.*?</title\s*>`)
	htmlOpen   = regexp.MustCompile(`(?is)<a\s[^>]*?href\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)[^>]*>()`)
	htmlHidden = regexp.MustCompile(`(?is)<!--.*?-->|<style.*?</style\s*>|<script.*?</script\s*>|<title.*?</title\s*>`)
	htmlLink   = regexp.MustCompile(`(?is)<a\s[^>]*?href\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)[^>]*>(.*?)</a\s*>`)
	htmlBreak  = regexp.MustCompile(`(?i)<(br|p|div|tr|li|h\d)\b[^>]*>`)
	htmlTag    = regexp.MustCompile(`(?s)<[a-zA-Z/!][^>]*>`)
	blanks     = regexp.MustCompile(`[ \t\r\f]+`)
	lines      = regexp.MustCompile(`\n\s*\n+`)
)

// inside is the HTML as mail programs copy it into another page.
func inside(page string) string {
	return htmlFrame.ReplaceAllString(page, "")
}

// plain is HTML as mail programs write it in plain text: a link's text, and its
// address in angle brackets behind it.
func plain(page string) string {
	s := htmlHidden.ReplaceAllString(page, "")
	for _, pattern := range []*regexp.Regexp{htmlLink, htmlOpen} { // the second takes links that never end
		s = pattern.ReplaceAllStringFunc(s, func(a string) string {
			p := pattern.FindStringSubmatch(a)
			u := html.UnescapeString(strings.Trim(p[1], `"'`))
			u = strings.Join(strings.Fields(u), "")
			if !strings.HasPrefix(strings.ToLower(u), "http") {
				return " " + p[2] + " "
			}
			return " " + p[2] + " \x01" + u + "\x02 "
		})
	}
	s = htmlBreak.ReplaceAllString(s, "\n")
	s = html.UnescapeString(htmlTag.ReplaceAllString(s, ""))
	s = strings.NewReplacer("\x01", "<", "\x02", ">", "\u00a0", " ").Replace(s)
	return strings.TrimSpace(lines.ReplaceAllString(blanks.ReplaceAllString(s, " "), "\n\n"))
}

// text is the mail's plain text, made from the HTML where there is none.
func (m Mail) text() string {
	if m.HTML != "" {
		return plain(m.HTML)
	}
	return strings.ReplaceAll(m.Text, "\r\n", "\n")
}

// page is the mail's HTML, made from the plain text where there is none.
func (m Mail) page() string {
	if m.HTML != "" {
		return inside(m.HTML)
	}
	return "<pre>" + html.EscapeString(m.Text) + "</pre>"
}

// reporterHead is the header of the mail that a person sends to the desk.
func reporterHead(subject string) string {
	return "From: Jan Peeters <jan.peeters@voorbeeld.example>\r\nTo: verdacht@operator.example\r\nSubject: " + mime.QEncoding.Encode("utf-8", subject) +
		"\r\nDate: Tue, 3 Feb 2026 10:20:30 +0100\r\nMessage-ID: <r1@voorbeeld.example>\r\nMIME-Version: 1.0\r\n"
}

// Attached are the ways in which a mail is attached to another.
var Attached = []string{"eml", "rfc822 without name", "octet-stream", "msg", "msg with RTF", "winmail.dat", "zip"}

// Attach gives a mail of a reporter with the mail attached in one of the ways.
func Attach(raw []byte, m Mail, how string) []byte {
	kind, disposition, data, binary := "", "", raw, true
	switch how {
	case "eml":
		kind, disposition, binary = `message/rfc822; name="fout.eml"`, `attachment; filename="fout.eml"`, false
	case "rfc822 without name":
		kind, binary = "message/rfc822", false
	case "octet-stream":
		kind, disposition = `application/octet-stream; name="mail.eml"`, `attachment; filename="mail.eml"`
	case "msg":
		kind, disposition, data = "application/vnd.ms-outlook", `attachment; filename="mail.msg"`, m.MSG(HTML)
	case "msg with RTF":
		kind, disposition, data = "application/octet-stream", `attachment; filename="mail.msg"`, m.MSG(RTF)
	case "winmail.dat":
		outer := Mail{Subject: "FW: " + m.Subject, From: "jan.peeters@voorbeeld.example", Text: "Is dit echt?\r\n", Mails: []Mail{m}}
		kind, disposition, data = "application/ms-tnef", `attachment; filename="winmail.dat"`, outer.TNEF(RTF)
	case "zip":
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, _ := z.Create("mail.eml") // a buffer takes all
		w.Write(raw)
		z.Close()
		kind, disposition, data = "application/zip", `attachment; filename="verdacht.zip"`, b.Bytes()
	}
	var b bytes.Buffer
	b.WriteString(reporterHead("Fwd: " + m.Subject))
	b.WriteString("Content-Type: multipart/mixed; boundary=\"=_wrap_7f3\"\r\n\r\n--=_wrap_7f3\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nIs deze mail echt?\r\n-- \r\nJan\r\nhttps://jan.reporter.example/\r\n\r\n--=_wrap_7f3\r\n")
	fmt.Fprintf(&b, "Content-Type: %s\r\n", kind)
	if disposition != "" {
		fmt.Fprintf(&b, "Content-Disposition: %s\r\n", disposition)
	}
	if binary {
		b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
		b.WriteString(base64Lines(data))
	} else {
		b.WriteString("\r\n")
		b.Write(data)
	}
	b.WriteString("\r\n--=_wrap_7f3--\r\n")
	return b.Bytes()
}

func base64Lines(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return out.String() + s
}
