package reading

import (
	"bytes"
	"mime"
	"slices"
	"strings"
)

// Head is what counts of a mail's header. All texts are decoded, bounded and
// UTF-8; none is to be trusted: a header is what its writer wanted it to be.
type Head struct {
	// From is the address in the From field, its domain in lower case; empty
	// where there is none. Name is the display name beside it.
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	// ManyFroms says that there is more than one From field or address, which
	// no honest mail program writes.
	ManyFroms bool `json:"many_froms,omitempty"`
	// ReplyTo is the address in the Reply-To field, where answers would go.
	ReplyTo   string `json:"reply_to,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Date      string `json:"date,omitempty"` // as written
	MessageID string `json:"message_id,omitempty"`
	// Answers are the Message-IDs that In-Reply-To and References name, at most 20.
	Answers []string `json:"answers,omitempty"`
	// Auth are the Authentication-Results fields (RFC 8601), top first. Only
	// those of an authserv-id of one's own say anything.
	Auth []AuthResult `json:"auth,omitempty"`
	// DKIM are the domains that DKIM-Signature fields claim, unverified.
	DKIM []string `json:"dkim,omitempty"`
	// ReturnPath is the address of the envelope's sender as the last server
	// wrote it; NullReturn says that it was "<>".
	ReturnPath string `json:"return_path,omitempty"`
	NullReturn bool   `json:"null_return,omitempty"`
	// AutoSubmitted (RFC 3834), Precedence and the names of List-* fields, and of those
	// that older lists write, tell a program from a person.
	AutoSubmitted string   `json:"auto_submitted,omitempty"`
	Precedence    string   `json:"precedence,omitempty"`
	List          []string `json:"list,omitempty"`
	// Recipients counts the addresses in To and Cc, at most 1000; ToSelf says that
	// the sender's own is the only one.
	Recipients int  `json:"recipients,omitempty"`
	ToSelf     bool `json:"to_self,omitempty"`
	// Mailer is the program that wrote it, as it says (X-Mailer, User-Agent); Script
	// says that a web server's PHP left its mark (X-PHP-Originating-Script and such).
	Mailer string `json:"mailer,omitempty"`
	Script bool   `json:"script,omitempty"`
}

// Automatic says that a program wrote the mail: answer none of these.
func (h Head) Automatic() bool {
	auto := strings.ToLower(h.AutoSubmitted)
	return h.NullReturn || auto != "" && auto != "no" || len(h.List) > 0 ||
		slices.Contains([]string{"bulk", "junk", "list", "auto_reply"}, strings.ToLower(h.Precedence))
}

// AuthResult is one Authentication-Results field.
type AuthResult struct {
	ID  string `json:"id"`  // authserv-id, lower case
	Raw string `json:"raw"` // all behind it, unfolded
}

type field struct {
	name  string // lower case
	value string // unfolded, not decoded
}

type header []field

// get is the first value of a field.
func (h header) get(name string) string {
	for _, f := range h {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// splitHeader takes the header block off. It reads what mail servers read: an
// mbox "From " line is skipped, bare LF ends a line, a line that is neither field
// nor continuation ends the header unless a field follows it.
func splitHeader(raw []byte, c *collector) (header, []byte) {
	var h header
	var folded []byte // of the last field
	end := func() {
		if len(h) > 0 && folded != nil {
			h[len(h)-1].value = string(folded)
		}
		folded = nil
	}
	defer end()
	rest := raw
	for first := true; ; first = false {
		if len(raw)-len(rest) > MaxHeaderBytes {
			c.warn("header of more than %d bytes: the rest is read as text", MaxHeaderBytes)
			// The body begins behind the blank line, where there is one.
			if i := blankLine(rest); i >= 0 {
				return h, rest[i:]
			}
			return h, rest
		}
		line, next := cutLine(rest)
		switch {
		case len(line) == 0:
			return h, next
		case line[0] == ' ' || line[0] == '\t':
			if len(h) > 0 {
				if folded == nil {
					folded = []byte(h[len(h)-1].value)
				}
				folded = append(append(folded, ' '), bytes.TrimSpace(line)...)
			}
		case first && (bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))):
		default:
			name, value, ok := cutField(line)
			if !ok {
				after, _ := cutLine(next)
				if _, _, ok := cutField(after); len(h) == 0 || !ok {
					if len(h) > 0 {
						c.warn("header ends without a blank line")
					}
					return h, rest
				}
				c.warn("a header line is no field")
				break
			}
			end()
			if len(h) < MaxFields {
				h = append(h, field{name, value})
			} else {
				c.warn("more than %d header fields: the rest is left out", MaxFields)
			}
		}
		if len(next) == 0 {
			return h, nil
		}
		rest = next
	}
}

func cutLine(b []byte) (line, next []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.TrimSuffix(b, []byte("\r")), nil
	}
	return bytes.TrimSuffix(b[:i], []byte("\r")), b[i+1:]
}

func blankLine(b []byte) int {
	i := bytes.Index(b, []byte("\n\n"))
	j := bytes.Index(b, []byte("\n\r\n"))
	switch {
	case j >= 0 && (i < 0 || j < i):
		return j + 3
	case i >= 0:
		return i + 2
	}
	return -1
}

// cutField reads "Name: value" (RFC 5322 section 2.2, white space before the
// colon allowed as in section 4.5).
func cutField(line []byte) (name, value string, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 1 || i > 100 {
		return "", "", false
	}
	n := bytes.TrimRight(line[:i], " \t")
	for _, b := range n {
		if b <= 0x20 || b >= 0x7f {
			return "", "", false
		}
	}
	return strings.ToLower(string(n)), string(bytes.TrimSpace(line[i+1:])), len(n) > 0
}

// looksLikeMail says that bytes begin as a mail does: with three fields that
// mails have, one of them the sender's or a server's. Exchange Online puts some
// 20 KiB of its own above them.
func looksLikeMail(b []byte) bool {
	known, trace, seen := 0, false, 0
	for rest := bytes.TrimLeft(b[:min(len(b), 64<<10)], "\r\n"); len(rest) > 0 && seen < 600; seen++ {
		line, next := cutLine(rest)
		rest = next
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' || seen == 0 && bytes.HasPrefix(line, []byte("From ")) {
			continue
		}
		name, _, ok := cutField(line)
		if !ok {
			break // splitHeader reads over broken lines too, where enough stands above
		}
		switch name {
		case "from", "received", "return-path", "delivered-to":
			trace = true
			known++
		case "to", "subject", "date", "message-id", "mime-version", "content-type", "reply-to", "dkim-signature", "x-mailer":
			known++
		}
	}
	return trace && known >= 3
}

// head takes what counts out of a header.
func (h header) head(c *collector) *Head {
	r := &Head{
		Subject:       value(decodeWords(h.get("subject"))),
		Date:          value(h.get("date")),
		MessageID:     value(h.get("message-id")),
		AutoSubmitted: value(h.get("auto-submitted")),
		Precedence:    value(h.get("precedence")),
	}
	froms, to := 0, ""
	for _, f := range h {
		switch {
		case f.name == "from":
			name, address, many := parseFrom(f.value)
			if froms++; froms == 1 {
				r.Name, r.From, r.ManyFroms = value(name), value(address), many
			} else {
				r.ManyFroms = true
			}
		case f.name == "reply-to" && r.ReplyTo == "":
			_, address, _ := parseFrom(f.value)
			r.ReplyTo = value(address)
		case f.name == "in-reply-to" || f.name == "references":
			for _, id := range strings.Fields(f.value) {
				if len(r.Answers) < 20 && len(id) <= 250 && strings.HasPrefix(id, "<") && strings.HasSuffix(id, ">") {
					r.Answers = append(r.Answers, value(id))
				}
			}
		case f.name == "return-path":
			if v := strings.TrimSpace(f.value); v == "<>" {
				r.NullReturn = true
			} else if r.ReturnPath == "" {
				r.ReturnPath = value(lowerDomain(strings.Trim(v, "<> ")))
			}
		case f.name == "authentication-results" && len(r.Auth) < 20:
			id, rest, _ := strings.Cut(f.value, ";")
			id, _, _ = strings.Cut(strings.TrimSpace(id), " ") // a version may follow
			r.Auth = append(r.Auth, AuthResult{strings.ToLower(value(id)), value(strings.TrimSpace(rest))})
		case f.name == "dkim-signature" && len(r.DKIM) < 20:
			if d := tag(f.value, "d"); d != "" && !slices.Contains(r.DKIM, d) {
				r.DKIM = append(r.DKIM, d)
			}
		case (strings.HasPrefix(f.name, "list-") || f.name == "mailing-list" || f.name == "x-beenthere") && len(r.List) < 10:
			r.List = append(r.List, value(f.name))
		case f.name == "to" || f.name == "cc":
			r.Recipients = min(r.Recipients+strings.Count(f.value, "@"), maxAddressed)
			to = firstOf(to, f.value)
		case (f.name == "x-mailer" || f.name == "user-agent") && r.Mailer == "":
			r.Mailer = value(decodeWords(f.value))
		case strings.HasPrefix(f.name, "x-php-"):
			r.Script = true
		}
	}
	if r.Recipients == 1 && strings.Contains(r.From, "@") {
		_, address, _ := parseFrom(to)
		r.ToSelf = strings.EqualFold(address, r.From)
	}
	if r.ManyFroms {
		c.warn("more than one sender in the From field")
	}
	return r
}

const maxAddressed = 1000

// tag is the value of a tag in a tag list (RFC 6376 section 3.2).
func tag(list, name string) string {
	for part := range strings.SplitSeq(list, ";") {
		k, v, ok := strings.Cut(part, "=")
		if ok && strings.TrimSpace(k) == name {
			return strings.ToLower(value(strings.TrimSpace(v)))
		}
	}
	return ""
}

// value makes a header value fit to hand on.
func value(s string) string {
	return shorten(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")), maxFieldValue)
}

// parseFrom reads "Name <address>", "address (Name)" and what comes near it. The
// address is looked for before encoded words are decoded, so that a decoded "<"
// cannot stand in for a real one; the last bracket counts, as for mail servers.
func parseFrom(v string) (name, address string, many bool) {
	if i := strings.LastIndexByte(v, '<'); i >= 0 {
		address, _, _ = strings.Cut(v[i+1:], ">")
		name = v[:i]
		many = strings.Count(outsideQuotes(v), "<") > 1
	} else {
		for w := range strings.FieldsSeq(v) {
			if strings.Contains(w, "@") && address == "" {
				address = strings.Trim(w, `,;"'()`)
			} else {
				name += w + " "
			}
		}
		name = strings.Trim(strings.TrimSpace(name), "()")
	}
	name = decodeWords(strings.Trim(strings.TrimSpace(name), `"' `))
	return strings.TrimSpace(strings.ReplaceAll(name, `\"`, `"`)), lowerDomain(strings.TrimSpace(address)), many
}

func outsideQuotes(s string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			in = !in
		case !in:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func lowerDomain(a string) string {
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		return a[:i] + strings.ToLower(a[i:])
	}
	return a
}

var wordDecoder = mime.WordDecoder{CharsetReader: charsetReader}

// decodeWords decodes encoded words (RFC 2047). What cannot be decoded stays;
// raw octets that are no UTF-8 are taken as windows-1252.
func decodeWords(s string) string {
	s = toUTF8([]byte(s), "")
	if !strings.Contains(s, "=?") {
		return s
	}
	if d, err := wordDecoder.DecodeHeader(s); err == nil {
		return strings.ToValidUTF8(d, "\uFFFD")
	}
	return s
}

// mediaType reads a Content-Type or Content-Disposition value: tolerant, with
// RFC 2231 values and continuations, first of equal names wins.
func mediaType(v string) (kind string, params map[string]string) {
	v = toUTF8([]byte(v), "")
	kind, rest, _ := strings.Cut(v, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if i := strings.IndexAny(kind, " \t,"); i > 0 {
		kind = kind[:i]
	}
	params = map[string]string{}
	for n := 0; rest != "" && n < 50; n++ {
		var name, val string
		rest = strings.TrimLeft(rest, " \t;,")
		i := strings.IndexAny(rest, "=;")
		if i < 0 {
			break
		}
		if rest[i] == ';' {
			rest = rest[i:]
			continue
		}
		name, rest = strings.ToLower(strings.TrimSpace(rest[:i])), strings.TrimLeft(rest[i+1:], " \t")
		if strings.HasPrefix(rest, `"`) {
			val, rest = quoted(rest)
		} else {
			val, rest, _ = strings.Cut(rest, ";")
			val = strings.TrimSpace(val)
		}
		base, part, extended := strings.Cut(name, "*")
		if extended && strings.HasSuffix(name, "*") {
			if p := strings.SplitN(val, "'", 3); len(p) == 3 && (part == "" || part == "0*") {
				val = toUTF8([]byte(unescape(p[2])), p[0])
			} else {
				val = unescape(val)
			}
		}
		switch have, ok := params[base]; {
		case !ok:
			params[base] = val
		case extended && part != "" && len(have) < maxFieldValue:
			params[base] = have + val
		}
	}
	return kind, params
}

func quoted(s string) (val, rest string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
