package wrap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Body says in which form Outlook keeps a mail's text.
type Body int

// The forms. A mail without HTML is always Plain.
const (
	HTML  Body = iota // PR_HTML beside the plain text
	RTF               // HTML within compressed RTF, as Exchange stores it
	Plain             // the plain text alone
)

type property struct {
	id, kind uint16
	data     []byte
}

func utf16le(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 2*len(units))
	for i, u := range units {
		binary.LittleEndian.PutUint16(b[2*i:], u)
	}
	return b
}

func long(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// properties are those of a message in MSG or TNEF.
func (m Mail) properties(body Body) []property {
	text := func(id uint16, s string) property { return property{id, 0x1f, utf16le(s)} }
	p := []property{
		text(0x001a, "IPM.Note"), text(0x0037, m.Subject), text(0x0c1a, m.FromName), text(0x0c1f, m.From), text(0x0c1e, "SMTP"),
		text(0x0042, m.FromName), text(0x0065, m.From), text(0x1035, m.MessageID), text(0x0e04, m.To), {0x3fde, 3, long(65001)}, {0x3ffd, 3, long(1252)},
	}
	if m.Header != "" {
		p = append(p, text(0x007d, m.Header))
	}
	switch {
	case m.HTML == "" || body == Plain:
		p = append(p, text(0x1000, m.Text))
	case body == RTF:
		p = append(p, text(0x1000, m.Text), property{0x1009, 0x102, CompressRTF(RTFOf(m.HTML))})
	default:
		p = append(p, text(0x1000, m.Text), property{0x1013, 0x102, []byte(m.HTML)})
	}
	return p
}

func (f File) properties() []property {
	return []property{
		{0x3705, 3, long(1)}, {0x3704, 0x1f, utf16le(f.Name)}, {0x3707, 0x1f, utf16le(f.Name)}, {0x370e, 0x1f, utf16le(f.Type)}, {0x3701, 0x102, f.Data},
	}
}

// MSG writes a mail as Outlook saves one (MS-OXMSG). Attached mails become
// messages within.
func (m Mail) MSG(body Body) []byte { return m.storage(body, 32).cfb() }

func (m Mail) storage(body Body, head int) *storage {
	s := newStorage()
	s.fill(m.properties(body), head)
	n := 0
	add := func() *storage {
		a := newStorage()
		s.storages[fmt.Sprintf("__attach_version1.0_#%08X", n)] = a
		n++
		return a
	}
	for _, f := range m.Files {
		add().fill(f.properties(), 8)
	}
	for _, inner := range m.Mails {
		a := add()
		a.fill([]property{{0x3705, 3, long(5)}, {0x3001, 0x1f, utf16le(inner.Subject)}}, 8)
		a.storages["__substg1.0_3701000D"] = inner.storage(body, 24)
	}
	return s
}

func (s *storage) fill(p []property, head int) {
	fixed := make([]byte, head)
	for _, v := range p {
		row := make([]byte, 16)
		binary.LittleEndian.PutUint16(row, v.kind)
		binary.LittleEndian.PutUint16(row[2:], v.id)
		binary.LittleEndian.PutUint32(row[4:], 6)
		if v.kind == 3 {
			copy(row[8:], v.data)
		} else {
			binary.LittleEndian.PutUint32(row[8:], uint32(len(v.data)+2))
			s.streams[fmt.Sprintf("__substg1.0_%04X%04X", v.id, v.kind)] = v.data
		}
		fixed = append(fixed, row...)
	}
	s.streams["__properties_version1.0"] = fixed
}

// TNEF writes what Outlook sends as winmail.dat (MS-OXTNEF): the mail's text and
// files, but not its header.
func (m Mail) TNEF(body Body) []byte {
	var b bytes.Buffer
	b.Write([]byte{0x78, 0x9f, 0x3e, 0x22, 1, 0})
	attribute := func(level byte, id uint32, data []byte) {
		b.WriteByte(level)
		b.Write(long(id))
		b.Write(long(uint32(len(data))))
		b.Write(data)
		sum := uint16(0)
		for _, c := range data {
			sum += uint16(c)
		}
		b.Write(binary.LittleEndian.AppendUint16(nil, sum))
	}
	attribute(1, 0x00089006, long(0x00010000)) // version
	attribute(1, 0x00069007, append(long(1252), 0, 0, 0, 0))
	attribute(1, 0x00018004, append([]byte(m.Subject), 0))
	attribute(1, 0x00069003, tnefProps(m.properties(body)))
	for _, f := range m.Files {
		attribute(2, 0x00069002, make([]byte, 14))
		attribute(2, 0x0006800f, f.Data)
		attribute(2, 0x00018010, append([]byte(f.Name), 0))
		attribute(2, 0x00069005, tnefProps(f.properties()[:4]))
	}
	for _, inner := range m.Mails {
		attribute(2, 0x00069002, make([]byte, 14))
		message := append([]byte("\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"), inner.TNEF(body)...)
		attribute(2, 0x00069005, tnefProps([]property{{0x3705, 3, long(5)}, {0x3701, 0xd, message}}))
	}
	return b.Bytes()
}

func tnefProps(p []property) []byte {
	// A named property stands among them, as Outlook writes some.
	b := long(uint32(len(p) + 1))
	b = append(b, 0x1f, 0, 0x05, 0x85)
	b = append(b, make([]byte, 16)...)
	b = append(append(b, long(1)...), long(10)...)
	b = append(append(b, utf16le("Kind")...), 0, 0, 0, 0) // 8, its end, filled up to 12
	b = append(append(b, long(1)...), long(4)...)
	b = append(b, utf16le("ab")...)
	for _, v := range p {
		b = binary.LittleEndian.AppendUint16(b, v.kind)
		b = binary.LittleEndian.AppendUint16(b, v.id)
		if v.kind == 3 {
			b = append(b, v.data...)
			continue
		}
		b = append(append(b, long(1)...), long(uint32(len(v.data)))...)
		b = append(b, v.data...)
		for i := len(v.data); i%4 != 0; i++ {
			b = append(b, 0)
		}
	}
	return b
}

// RTFOf wraps HTML into RTF as Exchange does (MS-OXRTFEX): tags in groups that
// readers of RTF leave out, and what only they show between \htmlrtf marks.
func RTFOf(html string) []byte {
	var b bytes.Buffer
	b.WriteString("{\\rtf1\\ansi\\ansicpg1252\\fromhtml1 \\deff0{\\fonttbl\r\n{\\f0\\fswiss\\fcharset0 Arial;}\r\n{\\f1\\fmodern Courier New;}}\r\n" +
		"{\\colortbl\\red0\\green0\\blue0;}\r\n\\uc1\\pard\\plain\\deftab360 \\f0\\fs24\r\n")
	for html != "" {
		i := strings.IndexByte(html, '<')
		if i < 0 {
			i = len(html)
		}
		rtfEscape(&b, html[:i])
		html = html[i:]
		if html == "" {
			break
		}
		end := strings.IndexByte(html, '>')
		if end < 0 {
			end = len(html) - 1
		}
		b.WriteString("{\\*\\htmltag64 ")
		rtfEscape(&b, html[:end+1])
		b.WriteString("}\\htmlrtf {\\htmlrtf0 \\htmlrtf \\b shown in RTF only http://rtf-only.example/ \\htmlrtf0 \\htmlrtf }\\htmlrtf0 ")
		html = html[end+1:]
	}
	b.WriteString("}")
	return b.Bytes()
}

func rtfEscape(b *bytes.Buffer, s string) {
	for _, r := range s {
		switch {
		case r == '\\' || r == '{' || r == '}':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString("\\par\r\n")
		case r == '\t':
			b.WriteString("\\tab ")
		case r == '\r' || r == 0:
		case r < 0x80:
			b.WriteRune(r)
		case r <= 0xff && r >= 0xa0:
			fmt.Fprintf(b, "\\'%02x", r)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(b, "\\u%d ?", int16(u))
			}
		}
	}
}

const rtfDictionary = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier` +
	`{\colortbl\red0\green0\blue0` + "\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

// CompressRTF compresses as Outlook does (MS-OXRTFCP), with references into the
// last 4,096 octets.
func CompressRTF(in []byte) []byte {
	window := append([]byte(rtfDictionary), in...)
	start := len(rtfDictionary)
	var out bytes.Buffer
	seen := make([][]int, 1<<16) // places of each pair of octets
	pair := func(i int) int { return int(window[i])<<8 | int(window[i+1]) }
	index := func(i int) {
		if i+2 <= len(window) {
			seen[pair(i)] = append(seen[pair(i)], i)
		}
	}
	for i := range start - 1 {
		index(i)
	}
	var control byte
	var tokens []byte
	count := 0
	flush := func() {
		if count > 0 {
			out.WriteByte(control)
			out.Write(tokens)
			control, tokens, count = 0, nil, 0
		}
	}
	for at := start; at < len(window); {
		best, from := 0, 0
		if at+2 <= len(window) {
			places := seen[pair(at)]
			for n := len(places) - 1; n >= 0 && n >= len(places)-20; n-- {
				p := places[n]
				if at-p >= 4095 {
					break
				}
				l := 0
				for l < 17 && at+l < len(window) && window[p+l] == window[at+l] {
					l++
				}
				if l > best {
					best, from = l, p
				}
			}
		}
		n := 1
		if best >= 2 {
			n = best
			control |= 1 << count
			tokens = append(tokens, byte((from%4096)>>4), byte((from%4096)<<4)|byte(best-2))
		} else {
			tokens = append(tokens, window[at])
		}
		for i := range n {
			index(at + i - 1)
		}
		at += n
		if count++; count == 8 {
			flush()
		}
	}
	end := len(window) % 4096
	control |= 1 << count
	tokens = append(tokens, byte(end>>4), byte(end<<4))
	count++
	flush()
	head := append(long(uint32(out.Len()+12)), long(uint32(len(in)))...)
	head = append(head, "LZFu\x00\x00\x00\x00"...)
	return append(head, out.Bytes()...)
}
