package reading

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// evidence is how one leaf is to be read, and what was found in it.
type evidence struct {
	c    *collector
	role Role // Lure: it is evidence; Reporter: it is the reporter's own
	via  []string
	// forwards says to look for an inline forward; reply that the subject is an
	// answer's, in which "original message" is no forward.
	forwards, reply bool
	found, sure     bool
	head            Head
}

// read takes the URLs out of a leaf and gives back its text. Formats that are
// read have a case here; the rest is named in the warnings.
func (l *leaf) read(e *evidence) string {
	ending := strings.ToLower(path.Ext(l.name))
	switch file := l.file(); {
	case file == fileRTF:
		return l.readRTF(e)
	case file == fileMSG:
		return l.readStrings(e)
	case file == filePDF:
		text := l.readPDF(e)
		if l.isHTML(ending) { // the one to browsers, the other to readers of PDF
			return l.readHTML(e)
		}
		return text
	case file == filePic:
		l.readImage(e)
		return ""
	case l.isHTML(ending):
		return l.readHTML(e)
	case l.isCalendar(ending):
		return l.readCalendar(e)
	case ending == ".url" || ending == ".desktop" || ending == ".website" || ending == ".webloc" || l.kind == "application/internet-shortcut" || l.kind == "text/uri-list":
		return l.readShortcut(e, ending)
	// By the declared type only where neither octets nor name say otherwise.
	case l.isPDF(ending):
		return l.readPDF(e)
	case l.isPicture(ending):
		l.readImage(e)
		return ""
	case l.kind == "text/rfc822-headers" || l.kind == "message/delivery-status" || l.kind == "text/css":
		return ""
	case strings.HasPrefix(l.kind, "text/") || l.kind == "test/plain" || ending == ".txt":
		return l.readText(e)
	case strings.HasSuffix(l.kind, "-signature") || l.kind == "application/pgp-encrypted":
		return ""
	case l.kind == officeXML:
		return l.readOffice(e)
	}
	e.c.warn("attachment %s: not read", shorten(value(l.kind), 80))
	return ""
}

// isHTML goes by type, by file name, and for parts of no telling type by what
// stands at the beginning.
func (l *leaf) isHTML(ending string) bool {
	switch l.kind {
	case "text/html", "application/xhtml+xml", "text/xhtml", "image/svg+xml":
		return true
	}
	switch ending {
	case ".html", ".htm", ".xhtml", ".xht", ".shtml", ".svg":
		return true
	}
	return false
}

// text decodes a leaf.
func (l *leaf) text(e *evidence) string {
	b, how := decodeTransfer(l.body, l.cte, e.c)
	if how != "" {
		e.via = append(slices.Clone(e.via), how)
	}
	b = e.c.clip(b)
	label := l.charset
	if label == "" && l.isHTML("") {
		label = metaCharset(b)
	}
	return toUTF8(b, label)
}

// metaCharset finds the character set that a page names for itself.
func metaCharset(b []byte) string {
	b = bytes.ToLower(b[:min(len(b), 2048)])
	i := bytes.Index(b, []byte("charset="))
	if i < 0 {
		return ""
	}
	b = bytes.TrimLeft(b[i+len("charset="):], `"' `)
	if j := bytes.IndexAny(b, `"'/> ;`); j >= 0 {
		return string(b[:j])
	}
	return ""
}

func (l *leaf) readText(e *evidence) string {
	s := clean(l.text(e))
	if !l.attached && pageInText(s) {
		return l.readPage(s, e)
	}
	cut := e.cut(s)
	via := append(slices.Clone(e.via), "text/plain")
	if e.found {
		e.c.scanText(s[:cut.marker], Reporter, via)
		e.c.scanText(s[cut.marker:cut.body], Sender, via)
		via = append(slices.Clone(via), "inline-forward")
		e.c.scanText(cut.head.Subject, e.role, via)
	}
	e.c.scanText(s[cut.body:], e.role, via)
	e.c.drawnInText(s[cut.body:], e.role, via)
	return s[cut.body:]
}

// pageInText says that a part of type text/plain is a page all the same: some
// mail programs show it as one.
func pageInText(s string) bool {
	t := strings.ToLower(strings.TrimSpace(shorten(s, 200)))
	return strings.HasPrefix(t, "<!doctype html") || strings.HasPrefix(t, "<html")
}

func (l *leaf) readHTML(e *evidence) string {
	s := strings.ToValidUTF8(strings.ReplaceAll(l.text(e), "\x00", ""), "\uFFFD")
	return l.readPage(s, e)
}

func (l *leaf) readPage(s string, e *evidence) string {
	p := parse(s, l.attached, e.c.seen.tlds)
	if p.cut {
		e.c.warn("a page is too large: its beginning is read")
	}
	how := "text/html"
	if l.attached {
		how = "attachment:html"
	}
	return l.readLinks(s, how, p, e)
}

// readLinks adds the links of a page, and what its text names. source is empty
// where it is no HTML.
func (l *leaf) readLinks(source, how string, p page, e *evidence) string {
	cut := e.cut(p.text)
	for _, k := range p.links {
		role, via := k.role, append(slices.Clone(e.via), how+":"+k.how)
		switch {
		case e.role == Reporter || e.found && k.at < cut.marker:
			if !role.Noise() {
				role = Reporter
			}
		case e.found && k.at < cut.body:
			if !role.Noise() {
				role = Sender
			}
		case e.found:
			via = append(via, "inline-forward")
		}
		e.c.add(k.raw, role, via, k.text)
	}
	for _, k := range p.calls {
		if e.role == Lure && k.at >= cut.body {
			e.c.otherLink(k.raw)
		}
	}
	via := append(slices.Clone(e.via), how)
	before := len(e.c.urls)
	if e.found {
		e.c.scanText(hide(p, 0, cut.marker), Reporter, via)
		e.c.scanText(hide(p, cut.marker, cut.body), Sender, via)
		via = append(slices.Clone(via), "inline-forward")
	}
	e.c.scanText(hide(p, cut.body, len(p.text)), e.role, via)
	e.c.drawnInPage(source, p.text[cut.body:], e.role, via)
	// A page whose links no parser sees (an element that never ends, attributes
	// run together): what looks like a URL in the source counts.
	if source != "" && len(p.links) == 0 && len(e.c.urls) == before && e.role == Lure && !e.found {
		e.c.scanSource(source, append(slices.Clone(e.via), how+":source"))
	}
	return p.text[cut.body:]
}

// scanSource adds URLs with a scheme only.
func (c *collector) scanSource(s string, via []string) {
	for n := 0; n < MaxURLs; n++ {
		i := schemeAt(s)
		if i < 0 {
			return
		}
		s = s[i:]
		end := strings.IndexFunc(s, func(r rune) bool { return breaks(r) || r == '\'' })
		if end < 0 {
			end = len(s)
		}
		c.add(s[:end], Lure, via, "")
		s = s[end:]
	}
}

// cut finds the inline forward of a text, where one is looked for.
func (e *evidence) cut(text string) forward {
	if !e.forwards {
		return forward{}
	}
	f, ok := findForward(text)
	if !ok || e.reply && !f.sure {
		return forward{}
	}
	e.found, e.sure, e.head = true, f.sure, f.head
	return f
}

// hide is the text of a page from..to without the texts of its links.
func hide(p page, from, to int) string {
	var b strings.Builder
	at := from
	for _, t := range p.taken {
		if t[1] <= at || t[0] >= to {
			continue
		}
		if t[0] > at {
			b.WriteString(p.text[at:t[0]])
		}
		b.WriteByte(' ')
		at = t[1]
	}
	if at < to {
		b.WriteString(p.text[at:to])
	}
	return b.String()
}
