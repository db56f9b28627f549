package demo

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// mailing is one mail of the invented world, before it is written down.
type mailing struct {
	id         string // of the message, without domain
	fromName   string
	from, to   string
	subject    string
	date       time.Time
	text, page string // plain text and HTML; either may be empty
	encoding   string // of its parts: 8bit, quoted-printable or base64
	fields     []string
}

// head writes the fields that every mail has. Without a type the caller adds it.
func (m mailing) head() string {
	var b strings.Builder
	for _, f := range m.fields {
		b.WriteString(f + "\r\n")
	}
	_, domain, _ := strings.Cut(m.from, "@")
	from := "<" + m.from + ">"
	if m.fromName != "" {
		from = mime.QEncoding.Encode("utf-8", m.fromName) + " " + from
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n",
		from, m.to, mime.QEncoding.Encode("utf-8", m.subject), m.date.Format(time.RFC1123Z), m.id, domain)
	return b.String()
}

// bytes is the mail as it goes over the wire: multipart/alternative where it has
// both text and page.
func (m mailing) bytes() []byte {
	var b bytes.Buffer
	b.WriteString(m.head())
	switch {
	case m.page == "":
		b.WriteString(part("text/plain; charset=utf-8", "", m.encoding, m.text))
	case m.text == "":
		b.WriteString(part("text/html; charset=utf-8", "", m.encoding, m.page))
	default:
		b.WriteString(many("alternative", "alt-"+m.id,
			part("text/plain; charset=utf-8", "", m.encoding, m.text),
			part("text/html; charset=utf-8", "", m.encoding, m.page)))
	}
	return b.Bytes()
}

// around is the mail of a reporter with the evidence attached.
func (m mailing) around(attached string) []byte {
	return []byte(m.head() + many("mixed", "mix-"+m.id, part("text/plain; charset=utf-8", "", m.encoding, m.text), attached))
}

// part is one part with its fields. encoding "" leaves the body as it is, for an
// attached mail.
func part(kind, disposition, encoding, body string) string {
	var b strings.Builder
	b.WriteString("Content-Type: " + kind + "\r\n")
	if disposition != "" {
		b.WriteString("Content-Disposition: " + disposition + "\r\n")
	}
	if encoding != "" {
		b.WriteString("Content-Transfer-Encoding: " + encoding + "\r\n")
	}
	b.WriteString("\r\n")
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n")
	if !strings.HasSuffix(body, "\r\n") {
		body += "\r\n"
	}
	switch encoding {
	case "quoted-printable":
		w := quotedprintable.NewWriter(&b)
		w.Write([]byte(body)) // into memory: cannot fail
		w.Close()
	case "base64":
		for t := base64.StdEncoding.EncodeToString([]byte(body)); t != ""; {
			n := min(len(t), 76)
			b.WriteString(t[:n] + "\r\n")
			t = t[n:]
		}
	default:
		b.WriteString(body)
	}
	return b.String()
}

func many(kind, boundary string, parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\n", kind, boundary)
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p + "\r\n")
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.String()
}

// write makes the lure of a letter with its link.
func (l letter) write(c campaign, link string) (plain, page string) {
	var t, p strings.Builder
	fmt.Fprintf(&p, `<!DOCTYPE html><html lang="%s"><body style="font-family:Arial,sans-serif;color:#222">
<table width="560" align="center"><tr><td style="background:#0b3d5c;color:#fff;padding:14px"><b>%s</b></td></tr>
<tr><td style="padding:18px">
`,
		l.lang, html.EscapeString(l.sender))
	shown := c.shown
	if shown == "" {
		shown = l.button
	}
	for _, line := range l.body {
		if line == "LINK" {
			fmt.Fprintf(&t, "%s: %s\n\n", l.button, link)
			fmt.Fprintf(&p, `<p><a href="%s" style="background:#c2410c;color:#fff;padding:10px">%s</a></p>
`, html.EscapeString(link), html.EscapeString(shown))
			continue
		}
		t.WriteString(line + "\n\n")
		p.WriteString("<p>" + strings.ReplaceAll(html.EscapeString(line), "\n", "<br>") + "</p>\n")
	}
	p.WriteString("</td></tr></table></body></html>\n")
	return t.String(), p.String()
}
