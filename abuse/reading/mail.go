package reading

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// mail reads a report that came as a mail: what is attached in a format counts,
// then what the known senders write in the text, then attached mails. What is
// left is for a person.
func (r *reader) mail(raw []byte, depth int) Format {
	if depth == 0 {
		if line, rest, ok := bytes.Cut(raw, []byte("\n")); ok && bytes.HasPrefix(line, []byte("From ")) {
			raw = rest // out of a mailbox
		}
	}
	h, body := split(raw)
	parts := leaves(h, body, r)
	if t, _, ok := when(h.get("date")); ok {
		r.reported = t
	}
	r.reporter = first(sender(h.get("from")), r.reporter)
	r.reportID = strings.Trim(h.get("message-id"), "<> ")
	if f := r.known(h, parts, depth); f != "" {
		return f
	}
	for _, p := range parts {
		if p.kind != "message/rfc822" && p.kind != "message/global" && !strings.HasSuffix(p.name, ".eml") {
			continue
		}
		if depth >= 2 {
			r.warn("a mail in a mail in a mail: not read")
			break
		}
		n := len(r.res.Events)
		if f := r.mail(bytes.TrimLeft(p.body, "\r\n"), depth+1); f != PlainMail && f != Unreadable || len(r.res.Events) > n {
			return f
		}
	}
	if depth == 0 {
		r.plain(words(h.get("subject")) + "\n" + bodyText(parts))
	}
	return PlainMail
}

// known reads the formats that say what they are; "" says that it is none.
func (r *reader) known(h header, parts []part, depth int) Format {
	for i, p := range parts {
		if p.kind != "message/feedback-report" {
			continue
		}
		if isXARF(p) { // the report is the part behind it
			parts = slices.Delete(slices.Clone(parts), i, i+1)
			break
		}
		return r.arf(p, parts)
	}
	if from := r.reporter; strings.HasSuffix(from, "abusehub.nl") {
		if m := hubZone.FindStringSubmatch(bodyText(parts)); m != nil {
			r.hubZone = " " + m[1]
		}
	}
	if f := r.yamlParts(parts); f != "" {
		return f
	}
	var found Format
	for _, p := range parts {
		if p.kind == "message/rfc822" || strings.HasPrefix(p.kind, "image/") || strings.HasSuffix(p.kind, "-signature") {
			continue
		}
		body := bytes.TrimSpace(bytes.TrimPrefix(p.body, []byte("\xef\xbb\xbf")))
		isText := strings.HasPrefix(p.kind, "text/") && p.name == ""
		if len(body) == 0 || isText && !bytes.HasPrefix(body, []byte("{")) && !bytes.HasPrefix(body, []byte("<")) && p.kind != "text/csv" || looksLikeMail(body) {
			continue
		}
		if p.kind == "text/html" {
			continue
		}
		f := r.file(p.name, body, depth+1)
		if found == "" && f != Unreadable { // a broken attachment does not hide the letter around it
			found = f
		}
		if found == AbuseHub { // the table behind it says the same again
			break
		}
	}
	if found != "" {
		return found
	}
	return r.letters(h, parts)
}

var hubZone = regexp.MustCompile(`event time [0-9-]+ [0-9:]+ ([+-]\d\d:\d\d)`)

// bodyText is the first text of a mail, at most MaxSearched bytes; of a page, what stands between its tags.
func bodyText(parts []part) string {
	for _, p := range parts {
		if p.kind == "text/plain" && p.name == "" && len(bytes.TrimSpace(p.body)) > 0 {
			return text(p.body[:min(len(p.body), MaxSearched)])
		}
	}
	for _, p := range parts {
		if p.kind == "text/html" {
			return tags.ReplaceAllString(text(p.body[:min(len(p.body), MaxSearched)]), " ")
		}
	}
	return ""
}

var tags = regexp.MustCompile(`<[^<>]*>`)

// received is the address and time of a Received field: what the server that
// wrote it saw, not what the sender said.
func received(field string) (a netip.Addr, at string) {
	if i := strings.LastIndexByte(field, ';'); i >= 0 {
		at = strings.TrimSpace(field[i+1:])
		field = field[:i]
	}
	field, _, _ = strings.Cut(field, " by ")
	for _, m := range bracketed.FindAllStringSubmatch(field, 10) {
		s := m[1]
		if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
			s = s[5:]
		}
		got, ok := addr(s)
		if !ok {
			if ap, err := netip.ParseAddrPort(s); err == nil {
				got, ok = ap.Addr().Unmap(), true
			}
		}
		if ok && !got.IsLoopback() {
			return got, at
		}
	}
	return netip.Addr{}, at
}

var bracketed = regexp.MustCompile(`[\[(]([0-9A-Fa-fIPv.:]+)[\])]`)
