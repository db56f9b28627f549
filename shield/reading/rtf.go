package reading

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"bolwerk"
)

// rtfStart is what the dictionary of compressed RTF begins with (MS-OXRTFCP
// section 2.1.2.1).
const rtfStart = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript " +
	"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par " +
	"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// unpackRTF undoes the compression of a message's RTF (MS-OXRTFCP), at most limit
// octets. With an error it gives what could be read.
func unpackRTF(b []byte, limit int) ([]byte, error) {
	if len(b) < 16 {
		return nil, bolwerk.Invalid("compressed RTF of %d bytes: 16 are the least", len(b))
	}
	size := int(binary.LittleEndian.Uint32(b[4:]))
	limit = min(limit, size)
	in := b[16:]
	switch binary.LittleEndian.Uint32(b[8:]) {
	case 0x414c454d: // "MELA": not compressed
		return in[:min(limit, len(in))], nil
	case 0x75465a4c: // "LZFu"
	default:
		return nil, bolwerk.Invalid("compressed RTF of an unknown kind")
	}
	var dict [4096]byte
	at := copy(dict[:], rtfStart)
	var out []byte
	put := func(c byte) {
		out = append(out, c)
		dict[at] = c
		at = (at + 1) & 4095
	}
	for len(in) > 0 && len(out) < limit {
		control := in[0]
		in = in[1:]
		for bit := 0; bit < 8 && len(out) < limit; bit++ {
			if control>>bit&1 == 0 {
				if len(in) == 0 {
					return out, bolwerk.Invalid("compressed RTF is cut off")
				}
				put(in[0])
				in = in[1:]
				continue
			}
			if len(in) < 2 {
				return out, bolwerk.Invalid("compressed RTF is cut off")
			}
			ref := binary.BigEndian.Uint16(in)
			in = in[2:]
			from, n := int(ref>>4), int(ref&15)+2
			if from == at {
				return out, nil // the end
			}
			for i := 0; i < n && len(out) < limit; i++ {
				put(dict[(from+i)&4095])
			}
		}
	}
	if len(out) < size {
		return out, bolwerk.Invalid("compressed RTF of %d bytes: %d are read", size, len(out))
	}
	return out, nil
}

// rtf is what an RTF text holds. HTML that Outlook wrapped into it (MS-OXRTFEX)
// comes out as page; else text is what a reader sees, and links are its fields.
type rtf struct {
	page  string
	text  string
	links []rtfLink
}

type rtfLink struct {
	url  string
	text string
	from int // where its text stands
	to   int
}

// What a group of RTF is read as.
const (
	rtfText  = iota
	rtfSkip  // style sheets, pictures, and what no rule is known for
	rtfTag   // HTML
	rtfField // the instruction of a field
	rtfFonts
)

type rtfGroup struct {
	as    byte
	quiet bool // \htmlrtf: for readers of RTF only
	uc    int  // characters that stand in for one of Unicode
	font  int
}

const maxRTFDepth = 500 // groups deeper than this are read as their outer one

type rtfParser struct {
	in      []byte
	groups  []rtfGroup
	deeper  int
	fromTag bool // \fromhtml1
	charset string
	fonts   map[int]string
	font    int // whose character set stands in the table of fonts
	skip    int // characters that a \u stands for
	pending []byte
	label   string // of pending
	out     strings.Builder
	field   strings.Builder
	inst    int  // depth of the group with a field's instruction, -1 none
	half    rune // the first of two \u that make one character
	links   []rtfLink
	open    int // index of the field whose result is being read, -1 none
	depth   int // of its group
}

// parseRTF reads RTF without recursion, in one pass.
func parseRTF(in []byte) rtf {
	p := rtfParser{in: in, groups: []rtfGroup{{uc: 1}}, fonts: map[int]string{}, open: -1, inst: -1}
	for len(p.in) > 0 && p.out.Len() < MaxTextBytes {
		c := p.in[0]
		p.in = p.in[1:]
		switch c {
		case '{':
			p.skip = 0
			if len(p.groups) < maxRTFDepth {
				p.groups = append(p.groups, *p.top())
			} else {
				p.deeper++
			}
		case '}':
			p.end()
		case '\\':
			p.control()
		case '\r', '\n', 0:
		default:
			p.char(c)
		}
	}
	p.flush()
	p.closeField()
	r := rtf{text: p.out.String(), links: p.links}
	if p.fromTag {
		return rtf{page: r.text, links: r.links}
	}
	return r
}

func (p *rtfParser) top() *rtfGroup { return &p.groups[len(p.groups)-1] }

func (p *rtfParser) end() {
	p.skip = 0
	if p.deeper > 0 {
		p.deeper--
		return
	}
	if p.inst == len(p.groups) {
		p.instruction()
	}
	if p.open >= 0 && len(p.groups) <= p.depth {
		p.closeField()
	}
	if len(p.groups) > 1 {
		p.groups = p.groups[:len(p.groups)-1]
	}
}

// instruction reads HYPERLINK "https://...".
func (p *rtfParser) instruction() {
	s := strings.TrimSpace(p.field.String())
	p.field.Reset()
	depth := p.inst - 1
	p.inst = -1
	rest, ok := cutPrefixFold(s, "HYPERLINK")
	if !ok || len(p.links) >= maxLinks {
		return
	}
	rest = strings.TrimSpace(rest)
	u := ""
	if strings.HasPrefix(rest, `"`) {
		u, _, _ = strings.Cut(rest[1:], `"`)
	} else if f := strings.Fields(rest); len(f) > 0 && f[0][0] != '\\' {
		u = f[0]
	}
	if u == "" {
		return
	}
	p.closeField()
	p.flush()
	p.links = append(p.links, rtfLink{url: u, from: p.out.Len(), to: p.out.Len()})
	// The result stands beside the instruction, in the group around both.
	p.open, p.depth = len(p.links)-1, depth
}

func (p *rtfParser) closeField() {
	if p.open < 0 {
		return
	}
	p.flush()
	l := &p.links[p.open]
	l.to = p.out.Len()
	l.text = strings.TrimSpace(shorten(p.out.String()[l.from:], MaxLinkText))
	p.open = -1
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// char takes one octet of text.
func (p *rtfParser) char(c byte) {
	if p.skip > 0 {
		p.skip--
		return
	}
	g := p.top()
	switch g.as {
	case rtfSkip, rtfFonts:
		return
	case rtfField:
		if p.field.Len() < MaxURLBytes {
			p.field.WriteByte(c)
		}
		return
	case rtfText:
		if g.quiet {
			return
		}
	}
	label := p.charset
	if f, ok := p.fonts[g.font]; ok {
		label = f
	}
	if label != p.label {
		p.flush()
		p.label = label
	}
	p.pending = append(p.pending, c)
}

// flush writes the octets that wait, in UTF-8.
func (p *rtfParser) flush() {
	if len(p.pending) > 0 {
		p.out.WriteString(toUTF8(p.pending, p.label))
		p.pending = p.pending[:0]
	}
}

func (p *rtfParser) write(s string) {
	if g := p.top(); g.as == rtfTag || g.as == rtfText && !g.quiet {
		p.flush()
		p.out.WriteString(s)
	} else if g.as == rtfField && p.field.Len() < MaxURLBytes {
		p.field.WriteString(s)
	}
}

// rtfSigns are the control words that stand for a character.
var rtfSigns = map[string]string{"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "cell": " ", "tab": "\t",
	"lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "emdash": "—", "endash": "–", "bullet": "•", "emspace": " ", "enspace": " "}

// rtfHidden are groups whose text nobody sees.
var rtfHidden = map[string]bool{"colortbl": true, "stylesheet": true, "info": true, "pict": true, "listtable": true, "rsidtbl": true,
	"themedata": true, "datastore": true, "objdata": true, "header": true, "footer": true, "mhtmltag": true, "generator": true}

// control reads what follows a backslash.
func (p *rtfParser) control() {
	if len(p.in) == 0 {
		return
	}
	c := p.in[0]
	if c|0x20 < 'a' || c|0x20 > 'z' {
		p.in = p.in[1:]
		switch c {
		case '\'':
			if len(p.in) >= 2 && unhex(p.in[0]) < 16 && unhex(p.in[1]) < 16 {
				v := unhex(p.in[0])<<4 | unhex(p.in[1])
				p.in = p.in[2:]
				p.char(v)
			}
		case '*':
			// A group that a reader may leave out: only known words undo this.
			p.top().as = rtfSkip
		case '~':
			p.write("\u00a0")
		case '\\', '{', '}':
			p.char(c)
		case '\r', '\n':
			p.write("\n")
		}
		return
	}
	i := 1
	for i < len(p.in) && i < 32 && p.in[i]|0x20 >= 'a' && p.in[i]|0x20 <= 'z' {
		i++
	}
	word := string(p.in[:i])
	p.in = p.in[i:]
	j := 0
	if j < len(p.in) && p.in[j] == '-' {
		j++
	}
	for j < len(p.in) && j < 11 && p.in[j] >= '0' && p.in[j] <= '9' {
		j++
	}
	n, err := strconv.Atoi(string(p.in[:j]))
	given := err == nil
	if given {
		p.in = p.in[j:]
	}
	if len(p.in) > 0 && p.in[0] == ' ' {
		p.in = p.in[1:]
	}
	p.word(word, n, given)
}

func (p *rtfParser) word(word string, n int, given bool) {
	g := p.top()
	switch word {
	case "fromhtml":
		p.fromTag = p.fromTag || n == 1 && given
	case "htmltag":
		g.as = rtfTag
	case "htmlrtf":
		p.flush()
		g.quiet = !given || n != 0
	case "fldinst":
		g.as, p.inst = rtfField, len(p.groups)
		p.field.Reset()
	case "fonttbl":
		g.as = rtfFonts
	case "f":
		if given {
			g.font = n
			if g.as == rtfFonts {
				p.font = n
			}
		}
	case "fcharset":
		if g.as == rtfFonts && len(p.fonts) < 1000 {
			if l := fontCharset[n]; l != "" {
				p.fonts[p.font] = l
			}
		}
	case "ansicpg":
		p.charset = codePage(uint64(max(n, 0)))
	case "uc":
		g.uc = min(max(n, 0), 10)
	case "u":
		if given {
			r := rune(uint16(n))
			switch {
			case r >= 0xd800 && r < 0xdc00:
				p.half = r
			case r >= 0xdc00 && r < 0xe000:
				p.write(string(utf16.DecodeRune(p.half, r)))
			default:
				p.write(string(r))
			}
			p.skip = g.uc
		}
	case "bin":
		p.in = p.in[min(max(n, 0), len(p.in)):]
	case "plain":
		g.font = 0
	default:
		if s, ok := rtfSigns[word]; ok {
			p.write(s)
		} else if rtfHidden[word] {
			g.as = rtfSkip
		}
	}
}

// fontCharset are the character sets of fonts that are not windows-1252's.
var fontCharset = map[int]string{128: "shift_jis", 129: "euc-kr", 134: "gbk", 136: "big5", 161: "windows-1253", 162: "windows-1254",
	163: "windows-1258", 177: "windows-1255", 178: "windows-1256", 186: "windows-1257", 204: "windows-1251", 222: "windows-874", 238: "windows-1250"}

// isRTF says that octets begin as RTF does; Word reads "{\rt" too.
func isRTF(b []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte(`{\rt`)) }

// readRTF takes the links out of RTF: of the HTML in it, or its fields and text.
func (l *leaf) readRTF(e *evidence) string {
	b, how := decodeTransfer(l.body, l.cte, e.c)
	if how != "" {
		e.via = append(slices.Clone(e.via), how)
	}
	r := parseRTF(e.c.clip(b))
	if r.page != "" {
		e.via = append(slices.Clone(e.via), "rtf")
		return l.readPage(clean(r.page), e)
	}
	p := page{text: r.text}
	for _, k := range r.links {
		p.links = append(p.links, link{raw: k.url, role: Lure, how: "field", text: k.text, at: k.from})
		p.taken = append(p.taken, [2]int{k.from, k.to})
	}
	return l.readLinks("", "rtf", p, e)
}
