package reading

import (
	"bytes"
	"slices"
	"strings"
)

// Bounds on what one PDF may take. They are on work, not on time: the same file
// reads the same wherever and whenever it is read again.
const (
	maxPDFs        = 10       // of one report
	maxPDFObjects  = 50_000   // of one file; a thick report has some ten thousand
	maxPDFDepth    = 40       // of values in values
	maxPDFValues   = 2 << 20  // in one file, with those of its pages
	maxPDFStream   = 16 << 20 // bytes of one stream, decoded
	maxPDFDecoded  = 64 << 20 // bytes of all streams of one report, decoded
	maxPDFFilters  = 4        // of one stream
	maxPDFPages    = 200      // whose text is read
	maxPDFOps      = 2 << 20  // operators and operands of all pages
	maxPDFForms    = 2000     // drawings within drawings, of all pages
	maxPDFPictures = 40       // looked at for QR codes
)

// The values of a PDF. Numbers are float64, truth values bool, null nil.
type (
	pdfName   string
	pdfString string
	pdfArray  []any
	pdfDict   map[pdfName]any
	pdfRef    struct{ n, gen int }
	pdfStream struct {
		dict pdfDict
		raw  []byte
		at   pdfRef // whose key it was encrypted with
	}
	pdfWord string // an operator or a keyword
)

// pdfFile is a PDF whose objects were found by looking for them: what its table
// of contents says is not asked. A file that was made to hide an object from one
// reader shows it to another, and a broken one is read all the same. Where an
// object is there twice, both are kept.
type pdfFile struct {
	c        *collector
	objects  map[int]any
	all      []any // in order of appearance, older ones of the same number too
	values   int
	ops      int
	forms    int
	pictures int
	crypt    *pdfCrypt
	trailers []pdfDict
	cut      bool
}

// readPDF takes the addresses out of a PDF: its actions, its text, its scripts
// and the QR codes of its pictures.
func (l *leaf) readPDF(e *evidence) string {
	if e.c.postpone() {
		return ""
	}
	b, how := decodeTransfer(l.body, l.cte, e.c)
	via := slices.Clone(e.via)
	if how != "" {
		via = append(via, how)
	}
	if e.c.seen.pdfs++; e.c.seen.pdfs > maxPDFs {
		e.c.warn("more than %d PDFs: the rest is not read", maxPDFs)
		return ""
	}
	f := openPDF(b, e.c)
	if len(f.all) == 0 {
		e.c.warn("a PDF without an object: not read")
		return ""
	}
	if f.crypt != nil && f.crypt.closed {
		e.c.warn("a PDF that needs a password: only what is not encrypted is read")
	}
	role := e.role
	f.actions(role, append(slices.Clone(via), "application/pdf"))
	text := f.readPages(role, append(slices.Clone(via), "application/pdf:text"))
	f.readPictures(role, append(slices.Clone(via), "application/pdf:image"))
	if f.cut {
		e.c.warn("a PDF is too large: its beginning is read")
	}
	return text
}

// openPDF finds the objects of a file.
func openPDF(b []byte, c *collector) *pdfFile {
	f := &pdfFile{c: c, objects: map[int]any{}}
	var streams []pdfStream
	p := &pdfParser{b: b, f: f}
	trailer := func(at int) {
		p.at = at + len("trailer")
		if d, ok := p.value(0).(pdfDict); ok {
			f.trailers = append(f.trailers, d)
		}
	}
	next := 0 // the next "obj", at or behind p.at
	for {
		if next < p.at || next == 0 {
			i := bytes.Index(b[p.at:], []byte("obj"))
			if i < 0 {
				// The last trailer stands behind the last object.
				if j := bytes.LastIndex(b[p.at:], []byte("trailer")); j >= 0 {
					trailer(p.at + j)
				}
				break
			}
			next = p.at + i
		}
		i := next
		if j := bytes.Index(b[p.at:i], []byte("trailer")); j >= 0 {
			trailer(p.at + j)
			continue
		}
		p.at = i + 3
		ref, ok := numbersBefore(b[:i])
		if !ok {
			continue
		}
		if len(f.all) >= maxPDFObjects {
			f.cut = true
			break
		}
		v := p.value(0)
		if d, ok := v.(pdfDict); ok {
			if raw, ok := p.stream(d); ok {
				s := pdfStream{d, raw, ref}
				v = s
				streams = append(streams, s)
			}
		}
		f.put(ref, v)
	}
	for _, s := range streams {
		if s.dict["Type"] == pdfName("XRef") {
			f.trailers = append(f.trailers, s.dict)
		}
	}
	f.unlock()
	for _, s := range streams {
		if s.dict["Type"] == pdfName("ObjStm") {
			f.openObjects(s)
		}
	}
	return f
}

func (f *pdfFile) put(ref pdfRef, v any) {
	f.objects[ref.n] = v
	f.all = append(f.all, pdfOwned{v, ref})
}

// pdfOwned is a value with the object that holds it: strings are encrypted with
// its number.
type pdfOwned struct {
	v  any
	at pdfRef
}

// numbersBefore reads the two numbers that stand before "obj".
func numbersBefore(b []byte) (r pdfRef, ok bool) {
	gen, b, ok := numberBefore(b)
	if !ok {
		return r, false
	}
	n, _, ok := numberBefore(b)
	return pdfRef{n, gen}, ok
}

func numberBefore(b []byte) (n int, rest []byte, ok bool) {
	b = bytes.TrimRight(b[max(0, len(b)-64):], " \t\r\n\x00\f")
	i := len(b)
	for i > 0 && b[i-1] >= '0' && b[i-1] <= '9' {
		i--
	}
	if i == len(b) || len(b)-i > 9 {
		return 0, nil, false
	}
	for _, d := range b[i:] {
		n = n*10 + int(d-'0')
	}
	return n, b[:i], true
}

// openObjects reads the objects of an object stream.
func (f *pdfFile) openObjects(s pdfStream) {
	b, ok := f.decode(s)
	if !ok {
		return
	}
	n, _ := f.get(s.dict["N"]).(float64)
	first, _ := f.get(s.dict["First"]).(float64)
	if first < 0 || int(first) > len(b) {
		return
	}
	index := &pdfParser{b: b[:int(first)], f: f}
	for range int(min(n, maxPDFObjects)) {
		num, ok1 := index.value(0).(float64)
		off, ok2 := index.value(0).(float64)
		if !ok1 || !ok2 || off < 0 || off > float64(len(b)) || len(f.all) >= maxPDFObjects {
			break
		}
		at := int(first) + int(off)
		if at >= len(b) {
			continue
		}
		p := &pdfParser{b: b, at: at, f: f}
		v := p.value(0)
		if _, have := f.objects[int(num)]; !have || f.objects[int(num)] == nil {
			f.objects[int(num)] = v
		}
		// Strings of an object stream are not encrypted a second time.
		f.all = append(f.all, pdfOwned{v, pdfRef{-1, 0}})
	}
}

// get follows references.
func (f *pdfFile) get(v any) any {
	for range 20 {
		r, ok := v.(pdfRef)
		if !ok {
			return v
		}
		v = f.objects[r.n]
	}
	return nil
}

func (f *pdfFile) dict(v any) pdfDict {
	switch v := f.get(v).(type) {
	case pdfDict:
		return v
	case pdfStream:
		return v.dict
	}
	return nil
}

func (f *pdfFile) array(v any) pdfArray {
	switch v := f.get(v).(type) {
	case pdfArray:
		return v
	case nil:
		return nil
	default:
		return pdfArray{v}
	}
}

func (f *pdfFile) number(v any, otherwise float64) float64 {
	if n, ok := f.get(v).(float64); ok {
		return n
	}
	return otherwise
}

// actions takes what is done when something is clicked or the file is opened.
// Every object counts, whether or not a page refers to it.
func (f *pdfFile) actions(role Role, via []string) {
	budget := maxPDFValues
	for _, o := range f.all {
		owned := o.(pdfOwned)
		stack := []any{owned.v}
		for len(stack) > 0 && budget > 0 {
			budget--
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			switch v := v.(type) {
			case pdfArray:
				stack = append(stack, v...)
			case pdfStream:
				stack = append(stack, v.dict)
			case pdfDict:
				f.action(v, owned.at, role, via)
				for _, k := range sortedNames(v) {
					stack = append(stack, v[k])
				}
			}
		}
	}
}

func sortedNames(d pdfDict) []pdfName {
	names := make([]pdfName, 0, len(d))
	for k := range d {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// action looks at one dictionary.
func (f *pdfFile) action(d pdfDict, at pdfRef, role Role, via []string) {
	add := func(v any, as Role, how string) {
		s := f.address(v, at)
		if s == "" {
			return
		}
		v2 := slices.Clone(via)
		v2[len(v2)-1] += ":" + how
		if role == Reporter {
			as = Reporter
		}
		if !f.c.add(s, as, v2, "") && !hasSpace(s) {
			// "www.example" in a URI action: viewers put the scheme before it.
			if strings.Contains(s, ".") && !strings.ContainsAny(s, ":@\\") {
				f.c.add("http://"+s, as, v2, "")
			}
		}
	}
	link := Lure
	if _, ok := f.get(d["URI"]).(pdfString); ok {
		add(d["URI"], link, "uri")
	}
	switch f.get(d["S"]) {
	case pdfName("Launch"):
		f.c.warn("a PDF that starts a program or opens another file")
		add(d["F"], link, "launch")
		if w := f.dict(d["Win"]); w != nil {
			add(w["F"], link, "launch")
			add(w["P"], link, "launch")
		}
	case pdfName("GoToR"), pdfName("GoToE"), pdfName("Thread"):
		add(d["F"], link, "goto")
	case pdfName("SubmitForm"), pdfName("ImportData"):
		add(d["F"], Form, "submit")
	}
	if js := f.get(d["JS"]); js != nil {
		var s string
		switch js := js.(type) {
		case pdfString:
			s = f.text(js, at)
		case pdfStream:
			if b, ok := f.decode(js); ok {
				s = pdfText(string(b))
			}
		}
		if s != "" && role == Lure {
			f.c.scanSource(string(f.c.clip([]byte(s))), append(slices.Clone(via), "script"))
		}
	}
	if f.get(d["Type"]) == pdfName("Filespec") && d["EF"] != nil {
		f.c.warn("a file within a PDF: not read")
	}
}

// address is the text of a string or of a file specification.
func (f *pdfFile) address(v any, at pdfRef) string {
	if r, ok := v.(pdfRef); ok {
		at = r
	}
	switch v := f.get(v).(type) {
	case pdfString:
		s := f.text(v, at)
		// Line ends within an address are there because a writer wrapped it.
		return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s))
	case pdfDict:
		for _, k := range []pdfName{"UF", "F", "Unix", "DOS"} {
			if s, ok := f.get(v[k]).(pdfString); ok {
				return strings.TrimSpace(f.text(s, at))
			}
		}
	}
	return ""
}

// text decrypts and decodes a text string.
func (f *pdfFile) text(s pdfString, at pdfRef) string {
	if f.crypt != nil && at.n >= 0 {
		b, ok := f.crypt.open([]byte(s), at, f.crypt.strings)
		if !ok {
			return ""
		}
		s = pdfString(b)
	}
	return pdfText(string(s))
}

// pdfText decodes a text string: UTF-16 or UTF-8 with their marks, else near
// enough to Latin 1 (ISO 32000-2 section 7.9.2.2).
func pdfText(s string) string {
	switch {
	case strings.HasPrefix(s, "\xfe\xff"), strings.HasPrefix(s, "\xff\xfe"):
		return strings.TrimPrefix(toUTF8([]byte(s), "utf-16"), "\uFEFF")
	case strings.HasPrefix(s, "\xef\xbb\xbf"):
		return strings.ToValidUTF8(s[3:], "\uFFFD")
	}
	return toUTF8([]byte(s), "")
}
