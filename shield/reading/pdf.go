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

// pdfParser reads values.
type pdfParser struct {
	b  []byte
	at int
	f  *pdfFile
	// endless says that no "endstream" follows.
	endless bool
}

func pdfSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 || c == '\f'
}

func pdfDelimiter(c byte) bool { return strings.IndexByte("()<>[]{}/%", c) >= 0 }

func (p *pdfParser) skip() {
	for p.at < len(p.b) {
		c := p.b[p.at]
		if c == '%' {
			for p.at < len(p.b) && p.b[p.at] != '\n' && p.b[p.at] != '\r' {
				p.at++
			}
		} else if !pdfSpace(c) {
			return
		} else {
			p.at++
		}
	}
}

// pdfEnd is what value gives at the end of the bytes.
type pdfEnd struct{}

// pdfClose is a bracket that closes what encloses it.
type pdfClose byte

// value reads one value, a word or a closing bracket.
func (p *pdfParser) value(depth int) any {
	p.skip()
	if p.at >= len(p.b) {
		return pdfEnd{}
	}
	if p.f.values++; p.f.values > maxPDFValues {
		p.f.cut = true
		p.at = len(p.b)
		return pdfEnd{}
	}
	c := p.b[p.at]
	switch {
	case c == '/':
		return p.name()
	case c == '(':
		return p.literal()
	case c == '<' && p.at+1 < len(p.b) && p.b[p.at+1] == '<':
		p.at += 2
		if depth >= maxPDFDepth {
			return pdfEnd{}
		}
		return p.dictionary(depth)
	case c == '<':
		return p.hexString()
	case c == '>':
		p.at++
		if p.at < len(p.b) && p.b[p.at] == '>' {
			p.at++
		}
		return pdfClose('>')
	case c == '[':
		p.at++
		if depth >= maxPDFDepth {
			return pdfEnd{}
		}
		a := pdfArray{}
		for {
			switch v := p.value(depth + 1).(type) {
			case pdfEnd, pdfClose:
				return a
			case pdfWord:
				if v == "endobj" || v == "endstream" {
					return a
				}
				if v == "null" {
					a = append(a, nil)
				}
			default:
				a = append(a, v)
			}
		}
	case c == ']':
		p.at++
		return pdfClose(']')
	case c == '{' || c == '}' || c == ')':
		p.at++
		return pdfWord(string(c))
	case c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.':
		return p.number()
	}
	begin := p.at
	for p.at < len(p.b) && !pdfSpace(p.b[p.at]) && !pdfDelimiter(p.b[p.at]) {
		p.at++
	}
	switch w := string(p.b[begin:min(p.at, begin+64)]); w {
	case "true":
		return true
	case "false":
		return false
	default:
		return pdfWord(w)
	}
}

func (p *pdfParser) dictionary(depth int) any {
	d := pdfDict{}
	for {
		k := p.value(depth + 1)
		name, ok := k.(pdfName)
		if !ok {
			switch k := k.(type) {
			case pdfEnd:
				return d
			case pdfClose:
				if k == '>' {
					return d
				}
			case pdfWord:
				if k == "endobj" || k == "stream" {
					p.at -= len(k)
					return d
				}
			}
			continue
		}
		before := p.at
		switch v := p.value(depth + 1).(type) {
		case pdfEnd:
			return d
		case pdfClose:
			if v == '>' {
				return d
			}
		case pdfWord:
			if v == "endobj" || v == "stream" {
				p.at = before
				return d
			}
		default:
			d[name] = v
		}
	}
}

func (p *pdfParser) name() pdfName {
	p.at++
	begin := p.at
	for p.at < len(p.b) && !pdfSpace(p.b[p.at]) && !pdfDelimiter(p.b[p.at]) {
		p.at++
	}
	s := p.b[begin:min(p.at, begin+200)]
	if !bytes.Contains(s, []byte("#")) {
		return pdfName(s)
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		} else {
			out = append(out, s[i])
		}
	}
	return pdfName(out)
}

// number reads a number, or the reference that begins with it.
func (p *pdfParser) number() any {
	n, whole := p.plain()
	if !whole || n < 0 {
		return n
	}
	// "12 0 R"
	q := *p
	q.skip()
	if q.at < len(q.b) && q.b[q.at] >= '0' && q.b[q.at] <= '9' {
		if gen, whole := q.plain(); whole && gen < 65536 {
			q.skip()
			if q.at < len(q.b) && q.b[q.at] == 'R' && (q.at+1 == len(q.b) || pdfSpace(q.b[q.at+1]) || pdfDelimiter(q.b[q.at+1])) {
				p.at = q.at + 1
				return pdfRef{int(min(n, 1<<30)), int(gen)}
			}
		}
	}
	return n
}

func (p *pdfParser) plain() (n float64, whole bool) {
	sign, scale := 1.0, 0.0
	for ; p.at < len(p.b); p.at++ {
		switch c := p.b[p.at]; {
		case c == '-':
			sign = -1
		case c == '+':
		case c == '.':
			scale = max(scale, 1)
		case c >= '0' && c <= '9':
			if scale > 0 {
				scale /= 10
				n += float64(c-'0') * scale
			} else if n < 1e15 {
				n = n*10 + float64(c-'0')
			}
		default:
			return sign * n, scale == 0
		}
	}
	return sign * n, scale == 0
}

func (p *pdfParser) literal() pdfString {
	p.at++
	var out []byte
	for depth := 1; p.at < len(p.b); p.at++ {
		c := p.b[p.at]
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.at++
				return pdfString(out)
			}
		case '\r':
			if p.at+1 < len(p.b) && p.b[p.at+1] == '\n' {
				p.at++
			}
			c = '\n'
		case '\\':
			p.at++
			if p.at >= len(p.b) {
				return pdfString(out)
			}
			switch c = p.b[p.at]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case '\n':
				continue
			case '\r':
				if p.at+1 < len(p.b) && p.b[p.at+1] == '\n' {
					p.at++
				}
				continue
			case '0', '1', '2', '3', '4', '5', '6', '7':
				v := int(c - '0')
				for range 2 {
					if p.at+1 < len(p.b) && p.b[p.at+1] >= '0' && p.b[p.at+1] <= '7' {
						p.at++
						v = v*8 + int(p.b[p.at]-'0')
					}
				}
				c = byte(v)
			}
		}
		out = append(out, c)
	}
	return pdfString(out)
}

func (p *pdfParser) hexString() pdfString {
	p.at++
	var out []byte
	half, have := byte(0), false
	for ; p.at < len(p.b); p.at++ {
		c := p.b[p.at]
		if c == '>' {
			p.at++
			break
		}
		v := unhex(c)
		if v > 15 {
			continue
		}
		if have {
			out = append(out, half<<4|v)
		}
		half, have = v, !have
	}
	if have {
		out = append(out, half<<4)
	}
	return pdfString(out)
}

// stream gives the bytes behind the word "stream", if it comes next.
func (p *pdfParser) stream(d pdfDict) ([]byte, bool) {
	p.skip()
	if !bytes.HasPrefix(p.b[p.at:], []byte("stream")) {
		return nil, false
	}
	p.at += len("stream")
	if p.at < len(p.b) && p.b[p.at] == '\r' {
		p.at++
	}
	if p.at < len(p.b) && p.b[p.at] == '\n' {
		p.at++
	}
	rest := p.b[p.at:]
	// The length counts where "endstream" follows; else the word does.
	if n, ok := d["Length"].(float64); ok && n >= 0 && int(n) <= len(rest) {
		if tail := bytes.TrimLeft(rest[int(n):min(len(rest), int(n)+16)], "\r\n \x00"); bytes.HasPrefix(tail, []byte("endst")) {
			p.at += int(n)
			return rest[:int(n)], true
		}
	}
	end := -1
	if !p.endless {
		end = bytes.Index(rest, []byte("endstream"))
	}
	if end < 0 {
		p.endless = true // none from here on: looking again and again would take for ever
		if end = bytes.Index(rest, []byte("endobj")); end < 0 {
			end = len(rest)
		}
	}
	p.at += end
	b := rest[:end]
	if n, ok := p.f.get(d["Length"]).(float64); ok && n >= 0 && int(n) < len(b) && len(b)-int(n) <= 2 {
		return b[:int(n)], true
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")), true
}
