package reading

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"path"
	"slices"
	"strings"
)

// officeXML marks a part of an Office document among the leaves.
const officeXML = "application/x-office-part"

// officeKind says that an archive is a document: of Word, Excel and PowerPoint
// (ECMA-376), or an OpenDocument.
func officeKind(z *zip.Reader) string {
	for i, f := range z.File {
		switch {
		case i > maxArchiveFiles:
			return ""
		case f.Name == "[Content_Types].xml", f.Name == "META-INF/manifest.xml":
			return "office"
		}
	}
	return ""
}

// officePart says which parts of a document are read: where links are kept, where
// text is, and pictures.
func officePart(name string) bool {
	name = strings.ToLower(name)
	dir, base := path.Split(name)
	switch {
	case strings.HasSuffix(base, ".rels"):
		return true
	case dir == "word/" && (base == "document.xml" || strings.HasPrefix(base, "header") || strings.HasPrefix(base, "footer") || base == "footnotes.xml" || base == "comments.xml"):
		return true
	case strings.HasPrefix(name, "ppt/slides/slide"), name == "xl/sharedstrings.xml", strings.HasPrefix(name, "xl/worksheets/sheet"):
		return true
	case name == "content.xml":
		return true
	}
	return strings.Contains(dir, "media/") || dir == "pictures/"
}

// readOffice takes the links out of one part of a document: external
// relationships, HYPERLINK fields and formulas, links of OpenDocument, and what
// its text names.
func (l *leaf) readOffice(e *evidence) string {
	d := xml.NewDecoder(bytes.NewReader(e.c.clip(l.body)))
	d.Strict, d.CharsetReader = false, charsetReader
	var text, field strings.Builder
	via := func(how string) []string { return append(slices.Clone(e.via), how) }
	shown := map[string]bool{"t": true, "v": true, "p": true, "span": true, "a": true}
	var open []string
	for n := 0; n < 1<<20; n++ {
		t, err := d.RawToken()
		if err != nil {
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) < 1000 {
				open = append(open, t.Name.Local)
			}
			e.officeLinks(t, via)
		case xml.EndElement:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
			switch t.Name.Local {
			case "p", "si", "row":
				text.WriteByte('\n')
			case "tab", "br":
				text.WriteByte(' ')
			}
		case xml.CharData:
			switch last := lastOf(open); {
			case last == "instrText" || last == "f":
				if field.Len() < MaxURLBytes {
					field.Write(t)
					field.WriteByte(' ')
				}
			case shown[last]:
				text.Write(t)
			}
		}
	}
	if strings.Contains(field.String(), "HYPERLINK") {
		e.c.scanText(clean(field.String()), e.role, via("field"))
	}
	s := clean(text.String())
	e.c.scanText(s, e.role, via("text"))
	return s
}

func lastOf(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// officeLinks adds the links of one element.
func (e *evidence) officeLinks(t xml.StartElement, via func(string) []string) {
	at := map[string]string{}
	for _, a := range t.Attr {
		at[a.Name.Local] = a.Value
	}
	switch {
	case t.Name.Local == "Relationship":
		if !strings.EqualFold(at["TargetMode"], "external") {
			return
		}
		kind := path.Base(at["Type"])
		role := e.role
		if kind == "image" && role == Lure {
			role = Image
		}
		// A template or a sheet of another host is loaded without a click.
		if kind == "attachedTemplate" || kind == "oleObject" || kind == "frame" {
			role = Frame
		}
		e.c.add(at["Target"], role, via("relationship:"+shorten(value(kind), 40)), "")
	case at["href"] != "":
		e.c.add(at["href"], e.role, via("href"), "")
	}
}
