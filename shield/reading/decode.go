package reading

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// decodeTransfer undoes a Content-Transfer-Encoding. Broken input gives what
// can be read of it; the name is what goes into Via, empty for the plain ones.
func decodeTransfer(body []byte, cte string, c *collector) (out []byte, name string) {
	// "8bit+", "base64;" and comments are seen; the token counts.
	cte = strings.ToLower(strings.TrimSpace(cte))
	if i := strings.IndexAny(cte, " ;,("); i >= 0 {
		cte = cte[:i]
	}
	switch cte {
	case "quoted-printable", "quoted_printable":
		return quotedPrintable(body), "quoted-printable"
	case "base64":
		return base64Tolerant(body), "base64"
	case "", "7bit", "8bit", "binary":
	default:
		c.warn("unknown transfer encoding %q: read as it is", shorten(value(cte), 40))
	}
	return body, ""
}

// quotedPrintable decodes RFC 2045 section 6.7; an equals sign that begins no
// code stays, as mail programs show it.
func quotedPrintable(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		i := bytes.IndexByte(in, '=')
		if i < 0 {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		in = in[i:]
		// Soft line end: "=" white space, line end.
		j := 1
		for j < len(in) && (in[j] == ' ' || in[j] == '\t') {
			j++
		}
		switch {
		case j == len(in):
			return out
		case in[j] == '\n':
			in = in[j+1:]
		case in[j] == '\r' && j+1 < len(in) && in[j+1] == '\n':
			in = in[j+2:]
		case len(in) >= 3 && unhex(in[1]) < 16 && unhex(in[2]) < 16:
			out = append(out, unhex(in[1])<<4|unhex(in[2]))
			in = in[3:]
		default:
			out = append(out, '=')
			in = in[1:]
		}
	}
	return out
}

var sextet = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// base64Tolerant decodes every alphabet letter it finds and skips the rest;
// padding ends a run, and another may follow (RFC 2045 section 6.8 tells
// decoders to ignore other characters).
func base64Tolerant(in []byte) []byte {
	out := make([]byte, 0, len(in)/4*3+3)
	var acc uint32
	n := 0
	flush := func() {
		switch n {
		case 2:
			out = append(out, byte(acc>>4))
		case 3:
			out = append(out, byte(acc>>10), byte(acc>>2))
		}
		acc, n = 0, 0
	}
	for _, b := range in {
		if b == '=' {
			flush()
			continue
		}
		v := sextet[b]
		if v == 255 {
			continue
		}
		acc = acc<<6 | uint32(v)
		if n++; n == 4 {
			out = append(out, byte(acc>>16), byte(acc>>8), byte(acc))
			acc, n = 0, 0
		}
	}
	flush()
	return out
}

// toUTF8 converts text. What is valid UTF-8 with characters beyond ASCII is
// UTF-8 whatever the label says (measured: no other text of the corpus is
// valid UTF-8 by chance), except in the encodings that are ASCII on the wire.
// Unknown labels and broken UTF-8 are read as windows-1252, as browsers do.
func toUTF8(b []byte, label string) string {
	label = strings.ToLower(strings.Trim(strings.TrimSpace(label), `"'`))
	if _, after, ok := strings.Cut(label, "="); ok {
		label = after // charset="charset=utf-8"
	}
	if label == "unicode-1-1-utf-7" || label == "utf-7" || label == "utf7" {
		return utf7(b)
	}
	e, name := lookupCharset(label)
	switch {
	case len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff):
		e, _ = charset.Lookup("utf-16")
		if b[0] == 0xfe {
			e, _ = charset.Lookup("utf-16be")
		}
	case strings.HasPrefix(name, "utf-16"):
		// Declared, but the bytes are ASCII: believe the bytes.
		if !bytes.Contains(b[:min(len(b), 512)], []byte{0}) {
			e = nil
		}
	case name == "iso-2022-jp":
	case utf8.Valid(b):
		return string(b)
	case name == "utf-8":
		e = nil
	}
	if e == nil {
		if utf8.Valid(b) {
			return string(b)
		}
		if mostlyUTF8(b) {
			return strings.ToValidUTF8(string(b), "\uFFFD")
		}
		e = charmap.Windows1252
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

func lookupCharset(label string) (encoding.Encoding, string) {
	switch label {
	case "":
		return nil, ""
	case "cp1252", "ansi":
		label = "windows-1252"
	case "iso-8859-8-i":
		label = "iso-8859-8"
	case "cp932", "windows-31j":
		label = "shift_jis"
	case "cp949", "ks_c_5601-1987", "cp51949":
		label = "euc-kr"
	case "cp936", "x-gbk", "gb_2312-80":
		label = "gbk"
	}
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil, ""
	}
	name, err := htmlindex.Name(e)
	if err != nil || name == "replacement" {
		return nil, ""
	}
	return e, name
}

// mostlyUTF8 says that there are more whole characters beyond ASCII than
// broken ones: a text that was cut, not one in another encoding.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if n == 1 && r == utf8.RuneError {
			bad++
		} else if n > 1 {
			good++
		}
		i += n
	}
	return good > bad
}

func charsetReader(label string, in io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(io.LimitReader(in, MaxHeaderBytes))
	if err != nil {
		return nil, err
	}
	return strings.NewReader(toUTF8(b, label)), nil
}

// utf7 decodes RFC 2152: "+" base64 of UTF-16BE "-"; "+-" is a plus sign.
func utf7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		i := bytes.IndexByte(b, '+')
		if i < 0 {
			out.WriteString(strings.ToValidUTF8(string(b), "\uFFFD"))
			break
		}
		out.WriteString(strings.ToValidUTF8(string(b[:i]), "\uFFFD"))
		b = b[i+1:]
		j := 0
		for j < len(b) && sextet[b[j]] != 255 && b[j] != '-' && b[j] != '_' {
			j++
		}
		if j == 0 {
			out.WriteByte('+')
		}
		raw := base64Tolerant(b[:j])
		units := make([]uint16, len(raw)/2)
		for k := range units {
			units[k] = uint16(raw[2*k])<<8 | uint16(raw[2*k+1])
		}
		out.WriteString(string(utf16.Decode(units)))
		if j < len(b) && b[j] == '-' {
			j++
		}
		b = b[j:]
	}
	return out.String()
}
