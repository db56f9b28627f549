package reading

import (
	"encoding/binary"
	"slices"
	"strings"
)

// tnefMagic begins a winmail.dat (MS-OXTNEF).
var tnefMagic = []byte{0x78, 0x9f, 0x3e, 0x22}

const (
	maxTNEFAttributes = 5000
	maxTNEFProps      = 2000 // of one object; a message has some hundred
)

// Attributes, by their number without the type.
const (
	tnefFrom        = 0x8000
	tnefSubject     = 0x8004
	tnefBody        = 0x800c
	tnefData        = 0x800f
	tnefTitle       = 0x8010
	tnefRenddata    = 0x9002 // begins an attachment
	tnefMessage     = 0x9003 // properties of the message
	tnefAttachment  = 0x9005 // properties of an attachment
	tnefOemCodePage = 0x9007
)

// octets is a reader that never reads beyond its end.
type octets struct {
	b   []byte
	bad bool
}

func (o *octets) take(n int) []byte {
	if n < 0 || n > len(o.b) {
		o.bad, o.b = true, nil
		return nil
	}
	t := o.b[:n:n]
	o.b = o.b[n:]
	return t
}

func (o *octets) u16() uint16 {
	if b := o.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (o *octets) u32() uint32 {
	if b := o.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// readTNEF gives the properties of the message and of its attachments. It copies
// nothing: the values are pieces of raw.
func readTNEF(raw []byte, c *collector) (message props, attachments []props) {
	message = props{}
	o := octets{b: raw}
	o.take(6) // signature and key
	current := message
	for n := 0; len(o.b) > 0; n++ {
		if n == maxTNEFAttributes || len(attachments) > MaxParts {
			c.warn("winmail.dat: more than %d attributes: the rest is not read", n)
			break
		}
		o.take(1) // level
		id := uint16(o.u32())
		size := int(o.u32())
		body := o.take(min(size, len(o.b)))
		if len(body) < size {
			c.warn("winmail.dat is cut off")
		}
		if len(o.b) > 0 {
			o.u16() // checksum
		}
		switch id {
		case tnefRenddata:
			current = props{}
			attachments = append(attachments, current)
		case tnefMessage:
			readTNEFProps(body, message)
		case tnefAttachment:
			if len(attachments) > 0 {
				readTNEFProps(body, current)
			}
		case tnefData:
			current.keep(propData, typeBinary, body)
		case tnefTitle:
			current.keep(propShortName, typeText8, body)
		case tnefSubject:
			message.keep(propSubject, typeText8, body)
		case tnefBody:
			message.keep(propBody, typeText8, body)
		case tnefOemCodePage:
			message.keep(propCodePage, 3, body)
		case tnefFrom:
			readTRP(body, message)
		}
		if o.bad {
			break
		}
	}
	// The names of files are in the message's code page.
	for _, a := range attachments {
		a.keep(propCodePage, 3, message[propCodePage].b)
		a.keep(propInternetCP, 3, message[propInternetCP].b)
	}
	return message, attachments
}

// keep sets a property that is not there yet.
func (p props) keep(id, kind uint16, b []byte) {
	if _, have := p[id]; !have && len(b) > 0 {
		p[id] = prop{kind, b}
	}
}

// readTRP reads the sender's name and address (TRP structure).
func readTRP(b []byte, p props) {
	o := octets{b: b}
	o.take(4)
	name, address := int(o.u16()), int(o.u16())
	p.keep(propSenderName, typeText8, o.take(name))
	_, a, _ := strings.Cut(strings.TrimRight(string(o.take(address)), "\x00"), ":") // "SMTP:info@bank.example"
	p.keep(propSenderAddr, typeText8, []byte(a))
}

// readTNEFProps reads a list of properties (MS-OXTNEF section 2.1.3.4).
func readTNEFProps(b []byte, p props) {
	o := octets{b: b}
	for n := min(o.u32(), maxTNEFProps); n > 0 && !o.bad; n-- {
		kind, id := o.u16(), o.u16()
		if id >= 0x8000 { // a named one
			o.take(16)
			if o.u32() == 0 {
				o.u32()
			} else {
				size := int(o.u32())
				o.take(padded(size))
			}
		}
		many := kind&0x1000 != 0
		kind &^= 0x1000
		count := 1
		if many || kind == typeText8 || kind == typeText16 || kind == typeBinary || kind == typeObject {
			count = int(o.u32())
		}
		for i := 0; i < count && !o.bad; i++ {
			var v []byte
			switch kind {
			case 2, 3, 4, 0xa, 0xb:
				v = o.take(4)
			case 5, 6, 7, 0x14, 0x40:
				v = o.take(8)
			case 0x48:
				v = o.take(16)
			case typeText8, typeText16, typeBinary, typeObject:
				size := int(o.u32())
				v = o.take(size)
				o.take(min(padded(size)-size, len(o.b)))
			default:
				return // what follows cannot be found without its length
			}
			if i == 0 && !many && wantedProps[id] && len(v) > 0 {
				p[id] = prop{kind, v}
			}
		}
	}
}

func padded(n int) int {
	if n < 0 || n > MaxBytes {
		return MaxBytes + 1
	}
	return (n + 3) &^ 3
}

// openTNEF takes a winmail.dat apart. It is the mail around it in another form:
// its texts are that mail's; one attached to another winmail.dat is a mail.
func openTNEF(l *leaf, c *collector, mail func(header) int, e todo) (leaves []leaf, parts []todo) {
	message, attachments := readTNEF(l.body, c)
	number := l.mail
	via := append(slices.Clone(l.via), "tnef")
	if e.isMail {
		number = mail(message.header(c))
	}
	leaves = message.bodies(c, number, via)
	for _, a := range attachments {
		t := todo{mail: number, depth: e.depth + 1, via: via, packed: e.packed}
		n := a.attachment(number, via)
		// An attached message stands behind the 16 octets of its class.
		if v := a[propData]; v.kind == typeObject && len(v.b) > 16 {
			n.body = v.b[16:]
			t.isMail = sniff(n.body) == fileTNEF
		}
		t.part = &n
		parts = append(parts, t)
	}
	return leaves, parts
}
