package reading

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Programs in pages that people are sent as files hide where they lead. Nothing
// is run: what a literal says is decoded once, by the functions around it or by
// those that the program names (atob, unescape, String.fromCharCode), and what
// comes out is read as a page or for the addresses in it. What a program puts
// together at run time is for the probe.

const maxLiterals = 20_000 // of one script

// literal is a text that stands in a program, with "a"+"b" joined.
type literal struct {
	at    int    // where it begins
	value []byte // without its escapes
	how   string // "concat", "escape", or empty
}

// script adds the addresses of a program text; how is where it stands.
func (p *parser) script(src, how string) {
	if len(src) > MaxTextBytes {
		src = src[:MaxTextBytes]
	}
	lower := strings.ToLower(src)
	for _, l := range literals(src) {
		role := roleBefore(src[max(0, l.at-60):l.at])
		way := how
		if l.how != "" {
			way += ":" + l.how
		}
		value := string(l.value)
		p.program(value, role, way)
		if p.nested {
			continue // what came out of a literal is not decoded again
		}
		text, steps := undo(value, callers(src, l.at))
		if len(steps) == 0 {
			text, steps = guessed(value, lower)
		}
		if len(steps) > 0 {
			p.program(text, role, way+":"+strings.Join(steps, ":"))
		}
	}
	if !p.nested && strings.Contains(lower, "fromcharcode") {
		for _, s := range numberLists(src) {
			p.program(s, Script, how+":fromCharCode")
		}
	}
}

// program adds what a text of a program holds: a page, or addresses.
func (p *parser) program(s string, role Role, how string) {
	if i := strings.IndexByte(s, '<'); i >= 0 && strings.IndexByte(s[i:], '>') > 0 && !p.nested {
		in := parser{anchor: -1, nested: true, files: p.files, base: p.base, tlds: p.tlds}
		in.walk(clean(s))
		in.closeLink()
		for _, l := range in.links {
			l.at, l.how = p.b.Len(), how+":"+l.how
			p.links = append(p.links, l)
		}
		if len(in.links) > 0 {
			return
		}
	}
	p.quotedURLs(s, role, how)
}

// roleBefore tells by the program text before a literal what is done with it.
func roleBefore(s string) Role {
	s = strings.ToLower(strings.ReplaceAll(s, " ", ""))
	for _, m := range []struct {
		mark string
		role Role
	}{
		{"fetch(", Form}, {".post(", Form}, {"url:", Form}, {"action=", Form}, {"open('post',", Form}, {`open("post",`, Form},
		{"location=", Lure}, {"href=", Lure}, {"location.replace(", Lure}, {"location.assign(", Lure}, {"open(", Lure}, {"redirect", Lure}, {"src=", Frame},
	} {
		if i := strings.LastIndex(s, m.mark); i >= 0 && len(s)-i-len(m.mark) < 25 {
			return m.role
		}
	}
	return Script
}

// literals finds the texts of a program. It knows of the language only what that
// takes: quotes, escapes, comments.
func literals(src string) (out []literal) {
	joined := false
	for i := 0; i < len(src) && len(out) < maxLiterals; {
		switch c := src[i]; {
		case c == '/' && strings.HasPrefix(src[i:], "//"):
			if i = nextLine(src, i); i < 0 {
				return out
			}
		case c == '/' && strings.HasPrefix(src[i:], "/*"):
			n := strings.Index(src[i+2:], "*/")
			if n < 0 {
				return out
			}
			i += n + 4
		case c == '"' || c == '\'' || c == '`':
			v, end, escaped := jsString(src, i)
			if end < 0 { // no text: a quote in a regular expression
				i++
				break
			}
			if joined && len(out) > 0 {
				l := &out[len(out)-1]
				l.value = append(l.value, v...) // all are pieces of src
				l.how = "concat"
			} else {
				l := literal{at: i, value: []byte(v)}
				if escaped {
					l.how = "escape"
				}
				out = append(out, l)
			}
			i = end
			// "a" + "b": the next text belongs to this one.
			j := skipBlank(src, i)
			if joined = j < len(src) && src[j] == '+'; joined {
				j = skipBlank(src, j+1)
				if joined = j < len(src) && (src[j] == '"' || src[j] == '\'' || src[j] == '`'); joined {
					i = j
				}
			}
			continue
		default:
			i++
		}
		joined = false
	}
	return out
}

func nextLine(s string, i int) int {
	n := strings.IndexByte(s[i:], '\n')
	if n < 0 {
		return -1
	}
	return i + n
}

func skipBlank(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// jsString reads a text literal at src[i]; end is behind it, -1 where it does
// not end.
func jsString(src string, i int) (v string, end int, escaped bool) {
	quote := src[i]
	var b []byte
	from := i + 1
	for j := from; j < len(src); {
		switch c := src[j]; {
		case c == quote:
			return string(append(b, src[from:j]...)), j + 1, escaped
		case c == '\n' && quote != '`':
			return "", -1, false
		case c != '\\' || j+1 >= len(src):
			j++
		default:
			b = append(b, src[from:j]...)
			r, n := jsEscape(src[j:])
			if n > 2 { // \/ and \n hide nothing
				escaped = true
			}
			b = append(b, r...)
			j += n
			from = j
		}
	}
	return "", -1, false
}

// jsEscape reads one escape; n is its length.
func jsEscape(s string) (string, int) {
	code := func(digits string, n int) (string, int) {
		v, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || v > utf8.MaxRune {
			return "", n
		}
		return string(rune(v)), n
	}
	switch c := s[1]; {
	case c == 'x' && len(s) >= 4:
		return code(s[2:4], 4)
	case c == 'u' && len(s) >= 3 && s[2] == '{':
		if end := strings.IndexByte(s[:min(len(s), 12)], '}'); end > 0 {
			return code(s[3:end], end+1)
		}
	case c == 'u' && len(s) >= 6:
		return code(s[2:6], 6)
	case c >= '0' && c <= '7':
		n := 1
		for n < 4 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[1:n], 8, 16) // octal digits only
		return string(rune(v)), n
	case c == 'n' || c == 'r' || c == 't':
		return " ", 2
	case c == '\n':
		return "", 2
	}
	_, n := utf8.DecodeRuneInString(s[1:])
	return s[1 : 1+n], 1 + n
}

// callers are the functions around a literal, the innermost first.
func callers(src string, at int) (out []string) {
	for len(out) < 4 {
		at--
		for at >= 0 && (src[at] == ' ' || src[at] == '\n' || src[at] == '\t') {
			at--
		}
		if at < 0 || src[at] != '(' {
			return out
		}
		end := at
		for at > 0 && end-at < 60 && (nameByte(src[at-1]) || src[at-1] == '.' || src[at-1] == '$') {
			at--
		}
		name := src[at:end]
		out = append(out, name[strings.LastIndexByte(name, '.')+1:])
	}
	return out
}

// undo decodes by the functions that a program calls on a literal.
func undo(s string, calls []string) (string, []string) {
	var steps []string
	for _, f := range calls {
		switch f {
		case "atob":
			s = string(base64Tolerant([]byte(s)))
		case "unescape", "decodeURIComponent", "decodeURI":
			s = unescapeJS(s)
		default:
			continue
		}
		steps = append(steps, f)
	}
	return toUTF8([]byte(s), ""), steps
}

// guessed decodes a literal by what it looks like, where the program calls the
// function somewhere: var a = "aHR0cHM6Ly9.."; location = atob(a).
func guessed(s, program string) (string, []string) {
	switch {
	case len(s) >= 12 && len(s)%4 != 1 && strings.Contains(program, "atob") && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n ") == "":
		if t := string(base64Tolerant([]byte(s))); readable(t) {
			return t, []string{"atob"}
		}
		// Reversed before it was decoded.
		if strings.Contains(program, "reverse(") {
			if t := string(base64Tolerant([]byte(reversed(s)))); readable(t) {
				return t, []string{"reverse", "atob"}
			}
		}
	case strings.Count(s, "%") >= 4 && (strings.Contains(program, "unescape") || strings.Contains(program, "decodeuri")):
		if t := unescapeJS(s); t != s {
			return t, []string{"unescape"}
		}
	case strings.Contains(s, "//:") && (strings.HasSuffix(s, "ptth") || strings.HasSuffix(s, "sptth")):
		return reversed(s), []string{"reverse"}
	}
	return "", nil
}

// readable says that octets are text with something of a page or an address.
func readable(s string) bool {
	if s == "" || !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\r' && r != '\t' }) >= 0 {
		return false
	}
	return strings.ContainsAny(s, "<") || strings.Contains(s, "://") || strings.Contains(s, "%3")
}

func reversed(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// unescapeJS undoes %41 and %u0041.
func unescapeJS(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if !strings.Contains(s, "%u") {
		return unescape(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '%' && i+5 < len(s) && s[i+1] == 'u' {
			if v, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil {
				b.WriteRune(rune(v))
				i += 6
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return unescape(b.String())
}

// numberLists are the texts that lists of at least eight character codes spell:
// 104,116,116,112 or 0x68,0x74.
func numberLists(src string) (out []string) {
	var b bytes.Buffer
	end := func() {
		if s := b.String(); utf8.RuneCountInString(s) >= 8 {
			out = append(out, s)
		}
		b.Reset()
	}
	for i := 0; i < len(src) && len(out) < maxLiterals; {
		c := src[i]
		if c < '0' || c > '9' || i > 0 && (nameByte(src[i-1]) || src[i-1] == '.') {
			if c != ',' && c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				end()
			}
			i++
			continue
		}
		j := i
		for j < len(src) && j-i < 12 && (src[j] >= '0' && src[j] <= '9' || src[j]|0x20 >= 'a' && src[j]|0x20 <= 'f' || src[j]|0x20 == 'x') {
			j++
		}
		v, err := strconv.ParseUint(src[i:j], 0, 32)
		if err != nil || v < 9 || v > utf8.MaxRune {
			end()
		} else {
			b.WriteRune(rune(v))
		}
		i = j
	}
	end()
	return out
}
