package reading

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// fileKind is what octets begin as; empty where nothing is known.
type fileKind string

const (
	fileMSG  fileKind = "msg" // a compound file: an Outlook message, or an old Office file
	fileTNEF fileKind = "tnef"
	fileZIP  fileKind = "zip"
	fileGZIP fileKind = "gzip"
	fileRTF  fileKind = "rtf"
	filePDF  fileKind = "pdf"
	filePic  fileKind = "picture"
)

// sniff goes by the first octets.
func sniff(b []byte) fileKind {
	has := func(s string) bool { return bytes.HasPrefix(b, []byte(s)) }
	switch {
	case bytes.HasPrefix(b, cfbMagic):
		return fileMSG
	case bytes.HasPrefix(b, tnefMagic):
		return fileTNEF
	case has("PK\x03\x04"), has("PK\x05\x06"):
		return fileZIP
	case has("\x1f\x8b\x08"):
		return fileGZIP
	case isRTF(b[:min(len(b), 64)]):
		return fileRTF
	case bytes.Contains(b[:min(len(b), 1024)], []byte("%PDF-")): // readers take it anywhere in the first KiB
		return filePDF
	case has("\x89PNG\r\n"), has("\xff\xd8\xff"), has("GIF8"), has("RIFF") && len(b) > 12 && string(b[8:12]) == "WEBP":
		return filePic
	}
	return ""
}

// peek is the beginning of a leaf without its transfer encoding.
func (l *leaf) peek() []byte {
	b, _ := decodeTransfer(l.body[:min(len(l.body), 4096)], l.cte, &collector{})
	return b[:min(len(b), 1536)]
}

// file is what a leaf begins as. A text that is part of the mail is text,
// whatever it begins with.
func (l *leaf) file() fileKind {
	switch {
	case l.kind == "text/rtf", l.kind == "application/rtf":
		return fileRTF
	case strings.HasPrefix(l.kind, "text/") && !l.attached && l.name == "":
		return ""
	}
	return sniff(l.peek())
}

// container is the kind of a leaf that holds others.
func (l *leaf) container() fileKind {
	switch k := l.file(); k {
	case fileMSG, fileTNEF, fileZIP, fileGZIP:
		return k
	}
	if l.isWebArchive() {
		return fileMHT
	}
	return ""
}

// fileMHT is a page saved with all that it loads: a MIME entity.
const fileMHT fileKind = "mht"

func (l *leaf) isWebArchive() bool {
	switch strings.ToLower(path.Ext(l.name)) {
	case ".mht", ".mhtml":
		return true
	}
	return l.kind == "application/x-mimearchive"
}

// decoded is a leaf without its transfer encoding.
func (l leaf) decoded(c *collector) leaf {
	l.body, _ = decodeTransfer(l.body, l.cte, c)
	l.cte = ""
	return l
}

// open puts what a container holds on the stack; false says that it is to be
// read as a leaf.
func (m *mailbag) open(kind fileKind, l leaf, e todo, c *collector) bool {
	l = l.decoded(c)
	switch kind {
	case fileMSG:
		n, ok := openMSG(l.body)
		if !ok {
			return false // an old Office file
		}
		if !m.begun || m.roomForMail(c) {
			via := l.via
			if m.begun {
				via = append(slices.Clone(via), "file:msg")
			}
			m.stack = append(m.stack, todo{node: &n, isMail: true, depth: e.depth + 1, packed: e.packed, via: via})
		}
	case fileTNEF:
		e.isMail = e.isMail && e.part != nil // attached to another winmail.dat
		if e.isMail && !m.roomForMail(c) {
			return true
		}
		leaves, parts := openTNEF(&l, c, m.head, e)
		m.push(leaves, parts[:min(len(parts), m.room())])
	case fileZIP:
		m.push(nil, openZIP(&l, e, m.room(), c))
	case fileGZIP:
		m.push(nil, openGZIP(&l, e, c))
	case fileMHT:
		m.stack = append(m.stack, todo{raw: l.body, mail: l.mail, depth: e.depth + 1, packed: e.packed, normal: "text/html",
			via: append(slices.Clone(l.via), "mht")})
	}
	return true
}

// fileAlone is the media type of octets that are no mail but another file, as
// their beginning or the file's name says; empty where they may be a mail.
func fileAlone(name string, raw []byte) string {
	l := leaf{name: name, attached: true}
	ending := strings.ToLower(path.Ext(name))
	switch kind := sniff(raw); {
	case kind == fileTNEF, kind == fileMSG, kind == fileZIP, kind == fileGZIP, kind == fileRTF:
		return "application/octet-stream"
	case kind == filePDF && bytes.HasPrefix(raw, []byte("%PDF-")):
		return "application/pdf"
	case kind == filePic:
		return "image/" + map[byte]string{0x89: "png", 0xff: "jpeg", 'G': "gif", 'R': "webp"}[raw[0]]
	case ending == ".eml" || ending == ".mbox":
		return ""
	case l.isHTML(ending), l.isWebArchive():
		return "text/html"
	case l.isCalendar(ending):
		return "text/calendar"
	case ending == ".url" || ending == ".desktop" || ending == ".webloc" || ending == ".website":
		return "application/internet-shortcut"
	}
	head := clean(toUTF8(raw[:min(len(raw), 512)], ""))
	switch {
	case pageInText(head):
		return "text/html"
	case strings.HasPrefix(head, "BEGIN:VCALENDAR"):
		return "text/calendar"
	}
	return ""
}

// readStrings looks for URLs in a file of which only the outside is known: the
// old formats of Word and Excel keep them as plain or as UTF-16 text.
func (l *leaf) readStrings(e *evidence) string {
	b := l.decoded(e.c).body
	b = b[:e.c.room(len(b))]
	e.c.unpacked += len(b)
	e.c.warn("an old Office file: only what looks like an address is read")
	via := append(slices.Clone(e.via), "file:strings")
	for _, s := range []string{string(b), strings.ReplaceAll(string(b), "\x00", "")} {
		e.c.scanSource(strings.ToValidUTF8(s, "\uFFFD"), via)
	}
	return ""
}
