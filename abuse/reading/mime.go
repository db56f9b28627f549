package reading

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"path"
	"strings"
)

// header is the fields of a mail or a part, in order.
type header []struct{ name, value string }

// get is the first field of a name, in lower case; "" where there is none.
func (h header) get(name string) string {
	for _, f := range h {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// all are the fields of a name.
func (h header) all(name string) (vs []string) {
	for _, f := range h {
		if f.name == name {
			vs = append(vs, f.value)
		}
	}
	return vs
}

// split takes the header off. Fields may be folded; a line that is no field ends
// nothing: relays of the field break mails in many ways.
func split(raw []byte) (h header, body []byte) {
	rest := raw
	for len(rest) > 0 && len(h) < maxFields && len(raw)-len(rest) < maxHeaderBytes {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		trimmed := bytes.TrimRight(line, "\r")
		if len(bytes.TrimSpace(trimmed)) == 0 {
			return h, next
		}
		rest = next
		if (trimmed[0] == ' ' || trimmed[0] == '\t') && len(h) > 0 {
			if last := &h[len(h)-1]; len(last.value) < 16<<10 {
				last.value += " " + strings.TrimSpace(text(trimmed))
			}
			continue
		}
		if name, value, ok := strings.Cut(text(trimmed), ":"); ok && fieldName(name) {
			h = append(h, struct{ name, value string }{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(short(value, 16<<10))})
		}
	}
	return h, rest
}

func fieldName(s string) bool {
	return s != "" && len(s) < 80 && !strings.ContainsAny(strings.TrimSpace(s), " \t\"'{}<>")
}

// looksLikeMail says that bytes begin with a mail's fields.
func looksLikeMail(b []byte) bool {
	h, _ := split(b[:min(len(b), maxHeaderBytes)])
	marks := 0
	for _, name := range []string{"from", "to", "subject", "date", "received", "message-id", "mime-version", "content-type", "return-path", "delivered-to"} {
		if h.get(name) != "" {
			marks++
		}
	}
	return marks >= 2
}

// part is one leaf of a mail, decoded.
type part struct {
	kind string // media type in lower case
	name string // file name
	body []byte
}

// leaves takes a mail's body apart, without recursion. Attached mails stay whole.
func leaves(h header, body []byte, r *reader) (parts []part) {
	type entity struct {
		h     header
		body  []byte
		depth int
	}
	stack := []entity{{h, body, 0}}
	for len(stack) > 0 && len(parts) < MaxParts {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		kind, params := mediaType(e.h.get("content-type"))
		if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
			if e.depth >= MaxDepth {
				r.warn("parts nested deeper than %d: not read", MaxDepth)
				continue
			}
			inner := cut(e.body, params["boundary"], MaxParts-len(parts)-len(stack))
			for i := len(inner) - 1; i >= 0; i-- {
				ih, ib := split(inner[i])
				stack = append(stack, entity{ih, ib, e.depth + 1})
			}
			continue
		}
		_, more := mediaType(e.h.get("content-disposition"))
		name := first(more["filename"], params["name"])
		if kind == "" {
			kind = "text/plain"
		}
		parts = append(parts, part{kind, path.Base("/" + strings.ReplaceAll(words(name), `\`, "/"))[0:], decode(e.body, e.h.get("content-transfer-encoding"))})
	}
	if len(parts) == MaxParts {
		r.warn("more than %d parts: the rest is not read", MaxParts)
	}
	for i := range parts {
		parts[i].name = strings.TrimPrefix(parts[i].name, "/")
	}
	return parts
}

// cut gives the parts between boundaries (RFC 2046 section 5.1), at most limit.
func cut(body []byte, boundary string, limit int) (parts [][]byte) {
	mark, begin := []byte("--"+boundary), -1
	for at := 0; at < len(body) && len(parts) < limit; {
		i := bytes.Index(body[at:], mark)
		if i < 0 {
			break
		}
		i += at
		end := i + len(mark)
		at = end
		if i > 0 && body[i-1] != '\n' {
			continue
		}
		line, _, _ := bytes.Cut(body[end:], []byte("\n"))
		closing := bytes.HasPrefix(line, []byte("--"))
		if !closing && len(bytes.TrimSpace(line)) > 0 {
			continue // a longer boundary that begins like this one
		}
		if begin >= 0 {
			parts = append(parts, bytes.TrimSuffix(bytes.TrimSuffix(body[begin:i], []byte("\n")), []byte("\r")))
		}
		if closing {
			return parts
		}
		begin = min(len(body), end+len(line)+1)
	}
	if begin >= 0 && len(parts) < limit {
		parts = append(parts, body[begin:])
	}
	return parts
}

// mediaType reads a type and its parameters, forgiving a stray semicolon, a
// parameter named twice and blanks around its =.
func mediaType(s string) (string, map[string]string) {
	if kind, params, err := mime.ParseMediaType(s); err == nil {
		return kind, params
	}
	kind, rest, _ := strings.Cut(s, ";")
	params := map[string]string{}
	for p := range strings.SplitSeq(rest, ";") {
		k, v, ok := strings.Cut(p, "=")
		if k = strings.ToLower(strings.TrimSpace(k)); ok && params[k] == "" {
			params[k] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), params
}

// decode undoes a transfer encoding; what is broken gives its beginning.
func decode(b []byte, how string) []byte {
	switch strings.ToLower(strings.TrimSpace(how)) {
	case "base64":
		clean := bytes.Map(func(c rune) rune {
			if c == '+' || c == '/' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
				return c
			}
			return -1
		}, b)
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
		n, _ := base64.RawStdEncoding.Decode(out, clean)
		return out[:n]
	case "quoted-printable":
		out, _ := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(b)))
		if len(out) == 0 {
			return b
		}
		return out
	}
	return b
}

// words decodes encoded words (RFC 2047).
func words(s string) string {
	if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return d
	}
	return s
}

// sender is the address of a From field, in lower case; "" where there is none.
func sender(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return strings.ToLower(a.Address)
	}
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, ">")
	if strings.Contains(s, "@") && !strings.ContainsAny(s, " \t") {
		return strings.ToLower(strings.TrimSpace(s))
	}
	return ""
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
