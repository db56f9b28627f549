package reading

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// Properties of a message or an attachment (MS-OXPROPS), as .msg files and
// winmail.dat hold them.
const (
	propSubject     = 0x0037
	propSubmitTime  = 0x0039
	propFromName    = 0x0042 // sent representing
	propFromType    = 0x0064
	propFromAddress = 0x0065
	propHeaders     = 0x007d // transport message headers
	propSenderName  = 0x0c1a
	propSenderType  = 0x0c1e
	propSenderAddr  = 0x0c1f
	propDelivered   = 0x0e06
	propBody        = 0x1000
	propRTF         = 0x1009
	propHTML        = 0x1013
	propMessageID   = 0x1035
	propData        = 0x3701
	propShortName   = 0x3704
	propMethod      = 0x3705
	propLongName    = 0x3707
	propTag         = 0x370e
	propContentID   = 0x3712
	propCodePage    = 0x3ffd
	propInternetCP  = 0x3fde
	propSenderSMTP  = 0x5d01
	propFromSMTP    = 0x5d02

	typeText8  = 0x001e
	typeText16 = 0x001f
	typeObject = 0x000d
	typeBinary = 0x0102
)

// wantedProps are the properties that are looked at.
var wantedProps = map[uint16]bool{propSubject: true, propSubmitTime: true, propFromName: true, propFromType: true, propFromAddress: true,
	propHeaders: true, propSenderName: true, propSenderType: true, propSenderAddr: true, propDelivered: true, propBody: true, propRTF: true,
	propHTML: true, propMessageID: true, propData: true, propShortName: true, propMethod: true, propLongName: true, propTag: true,
	propContentID: true, propCodePage: true, propInternetCP: true, propSenderSMTP: true, propFromSMTP: true}

// props are the properties of one object: their type and their octets.
type props map[uint16]prop

type prop struct {
	kind uint16
	b    []byte
}

// text is a property as text; 8-bit text is in the message's code page.
func (p props) text(id uint16) string {
	v, ok := p[id]
	switch {
	case !ok:
		return ""
	case v.kind == typeText16:
		units := make([]uint16, len(v.b)/2)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(v.b[2*i:])
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00")
	case v.kind == typeText8:
		return strings.TrimRight(toUTF8(v.b, p.charset()), "\x00")
	}
	return ""
}

func (p props) number(id uint16) uint64 {
	b := p[id].b
	switch {
	case len(b) >= 8:
		return binary.LittleEndian.Uint64(b)
	case len(b) >= 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// charset is the label of the code page of 8-bit text.
func (p props) charset() string {
	return codePage(firstNumber(p.number(propCodePage), p.number(propInternetCP)))
}

func firstNumber(n ...uint64) uint64 {
	for _, v := range n {
		if v != 0 {
			return v
		}
	}
	return 0
}

// codePage is the label of a Windows code page; empty where none is known.
func codePage(n uint64) string {
	switch {
	case n == 65001 || n == 1200:
		return "utf-8"
	case n == 874 || n >= 1250 && n <= 1258:
		return fmt.Sprintf("windows-%d", n)
	case n >= 28591 && n <= 28606:
		return fmt.Sprintf("iso-8859-%d", n-28590)
	}
	return map[uint64]string{932: "shift_jis", 936: "gbk", 949: "euc-kr", 950: "big5", 20127: "utf-8", 20866: "koi8-r", 21866: "koi8-u",
		50220: "iso-2022-jp", 51932: "euc-jp", 51949: "euc-kr", 54936: "gb18030", 65000: "utf-7", 10000: "macintosh"}[n]
}

// header is the mail's header as it came over the Internet, or what the
// properties say where there is none: a mail from within the same organisation.
func (p props) header(c *collector) header {
	var h header
	if s := strings.TrimLeft(p.text(propHeaders), "\r\n"); s != "" {
		// Exchange puts "Microsoft Mail Internet Headers Version 2.0" above.
		if line, rest, ok := strings.Cut(s, "\n"); ok && !strings.Contains(line, ":") {
			s = rest
		}
		h, _ = splitHeader([]byte(s), c)
		h = slices.DeleteFunc(h, func(f field) bool {
			return f.name == "content-type" || f.name == "content-transfer-encoding" || f.name == "content-disposition"
		})
	}
	add := func(name, value string) {
		if value = strings.TrimSpace(value); value != "" && h.get(name) == "" {
			h = append(h, field{name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value)})
		}
	}
	add("from", p.sender())
	add("subject", p.text(propSubject))
	add("message-id", p.text(propMessageID))
	// FILETIME: units of 100 ns since 1601.
	if t := firstNumber(p.number(propSubmitTime), p.number(propDelivered)); t > 116444736000000000 && t < 1<<62 {
		add("date", time.UnixMicro(int64(t-116444736000000000)/10).UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	return h
}

// sender is the sender as a From field has it. An address within Exchange
// ("/O=..") is none.
func (p props) sender() string {
	name := strings.Map(func(r rune) rune {
		if r == '<' || r == '>' || r == '"' {
			return ' '
		}
		return r
	}, firstOf(p.text(propFromName), p.text(propSenderName)))
	address := firstOf(p.text(propFromSMTP), p.text(propSenderSMTP))
	for _, a := range []string{p.text(propFromAddress), p.text(propSenderAddr)} {
		if address == "" && strings.Contains(a, "@") {
			address = a
		}
	}
	address = strings.Trim(address, "<> ")
	switch {
	case address == "":
		return strings.TrimSpace(name)
	case strings.TrimSpace(name) == "" || strings.TrimSpace(name) == address:
		return address
	}
	return `"` + strings.TrimSpace(name) + `" <` + address + ">"
}

// bodies are the leaves of a message's text. Of HTML and RTF the HTML is read:
// Outlook makes the one from the other.
func (p props) bodies(c *collector, mail int, via []string) []leaf {
	var out []leaf
	l := leaf{mail: mail, via: via}
	if s := p.text(propBody); strings.TrimSpace(s) != "" {
		l.kind, l.charset, l.body = "text/plain", "utf-8", []byte(s)
		out = append(out, l)
	}
	v, ok := p[propHTML]
	switch {
	case ok && len(v.b) > 0 && v.kind == typeBinary:
		l.kind, l.charset, l.body = "text/html", codePage(firstNumber(p.number(propInternetCP), p.number(propCodePage))), v.b
		return append(out, l)
	case ok && len(v.b) > 0:
		l.kind, l.charset, l.body = "text/html", "utf-8", []byte(p.text(propHTML))
		return append(out, l)
	}
	if v, ok := p[propRTF]; ok && len(v.b) > 0 {
		b, err := unpackRTF(v.b, c.room(len(v.b)*9))
		if err != nil {
			c.warn("text of a mail: %v", err)
		}
		c.unpacked += len(b)
		if len(b) > 0 {
			l.kind, l.charset, l.body = "text/rtf", "", b
			out = append(out, l)
		}
	}
	return out
}

// attachment is the leaf of an attachment held by value.
func (p props) attachment(mail int, via []string) leaf {
	kind := strings.ToLower(strings.TrimSpace(p.text(propTag)))
	if !strings.Contains(kind, "/") {
		kind = "application/octet-stream"
	}
	// A picture of the page has an id that the page names.
	shown := strings.HasPrefix(kind, "image/") && p.text(propContentID) != ""
	return leaf{mail: mail, kind: kind, name: firstOf(p.text(propLongName), p.text(propShortName)), attached: !shown, body: p[propData].b, via: via}
}
