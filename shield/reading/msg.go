package reading

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// msgNode is a message in a compound file: the file itself, or a mail attached
// to one.
type msgNode struct {
	file *cfb
	at   int // its storage
	top  bool
}

// openMSG says whether a compound file is an Outlook message (MS-OXMSG).
func openMSG(raw []byte) (msgNode, bool) {
	f, ok := openCFB(raw)
	if !ok {
		return msgNode{}, false
	}
	for _, i := range f.children(0) {
		if strings.EqualFold(f.entries[i].name, propertiesName) {
			return msgNode{f, 0, true}, true
		}
	}
	return msgNode{}, false
}

const (
	propertiesName = "__properties_version1.0"
	streamPrefix   = "__substg1.0_"
	attachPrefix   = "__attach_version1.0_"
)

// props reads the properties of a storage: fixed ones stand in one stream, each
// of the others is a stream of its own. within is the storage of an attached
// message, 0 where there is none.
func (n msgNode) props(c *collector, at, head int) (p props, attachments []int, within int) {
	p = props{}
	for _, i := range n.file.children(at) {
		e := n.file.entries[i]
		name := strings.ToLower(e.name)
		switch {
		case name == propertiesName && e.kind == 2:
			b := n.file.stream(i, c.room(1<<20))
			c.unpacked += len(b)
			for b = b[min(head, len(b)):]; len(b) >= 16; b = b[16:] {
				tag := binary.LittleEndian.Uint32(b)
				id, kind := uint16(tag>>16), uint16(tag)
				// Times take eight octets; what stands here for text is its length.
				if _, have := p[id]; !have && wantedProps[id] && (kind == 3 || kind == 0x40) {
					p[id] = prop{kind, b[8:16:16]}
				}
			}
		case strings.HasPrefix(name, attachPrefix) && e.kind == 1:
			attachments = append(attachments, i)
		case strings.HasPrefix(name, streamPrefix):
			tag, err := strconv.ParseUint(name[len(streamPrefix):], 16, 32)
			id, kind := uint16(tag>>16), uint16(tag)
			switch {
			case err != nil || !wantedProps[id]:
			case e.kind == 1 && id == propData:
				within = i
			case e.kind == 2 && (kind == typeText8 || kind == typeText16 || kind == typeBinary):
				b := n.file.stream(i, c.room(MaxBytes))
				c.unpacked += len(b)
				if uint64(len(b)) < e.size {
					c.warn("a part of an Outlook message is cut off")
				}
				p[id] = prop{kind, b}
			}
		}
	}
	return p, attachments, within
}

// read takes a message apart: its header, its texts, and what is attached.
func (n msgNode) read(c *collector, mail func(header) int, e todo) (leaves []leaf, parts []todo) {
	head := 24
	if n.top {
		head = 32
	}
	p, attachments, _ := n.props(c, n.at, head)
	number := mail(p.header(c))
	leaves = p.bodies(c, number, e.via)
	slices.SortFunc(attachments, func(a, b int) int { return strings.Compare(n.file.entries[a].name, n.file.entries[b].name) })
	for _, at := range attachments {
		a, _, within := n.props(c, at, 8)
		t := todo{mail: number, depth: e.depth + 1, via: e.via, packed: e.packed}
		if within > 0 && a.number(propMethod) != 6 { // 6 is an OLE object: a drawing, a sheet
			t.isMail, t.node, t.via = true, &msgNode{n.file, within, false}, append(slices.Clone(e.via), "msg:attached")
		} else {
			l := a.attachment(number, e.via)
			t.part = &l
		}
		parts = append(parts, t)
	}
	return leaves, parts
}
