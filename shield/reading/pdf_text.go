package reading

import (
	"math"
	"slices"
	"strings"
)

// matrix is that of PDF: x' = ax + cy + e, y' = bx + dy + f.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times gives the matrix that does m first and n after it.
func (m matrix) times(n matrix) matrix {
	return matrix{m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3], m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5]}
}

func (m matrix) apply(x, y float64) point {
	return point{m[0]*x + m[2]*y + m[4], m[1]*x + m[3]*y + m[5]}
}

// pdfPen is what q saves and Q restores.
type pdfPen struct {
	ctm                           matrix
	font                          *pdfFont
	size, char, word, scale, lead float64
	dark                          bool
}

// pdfPage reads the drawing of one page.
type pdfPage struct {
	f        *pdfFile
	pen      pdfPen
	saved    []pdfPen
	tm, line matrix
	out      strings.Builder
	end      point // where the last glyph ended
	begun    bool
	fonts    map[pdfRef]*pdfFont
	seen     map[pdfRef]bool // forms that were drawn
	path     [][]point
	shapes   []shape
	points   int
	pictures []pdfStream // inline ones
}

// readPages takes the addresses out of the text of all pages, and gives the text.
func (f *pdfFile) readPages(role Role, via []string) string {
	pg := &pdfPage{f: f, fonts: map[pdfRef]*pdfFont{}, seen: map[pdfRef]bool{}}
	pages := 0
	draw := func(d pdfDict, contents any) {
		pg.begin()
		var all []byte
		for _, v := range f.array(contents) {
			if s, ok := f.get(v).(pdfStream); ok {
				if b, ok := f.decode(s); ok {
					all = append(append(all, b...), '\n')
				}
			}
		}
		pg.draw(all, f.inherited(d, "Resources"), 0)
		f.drawn(pg, role, via)
	}
	for _, o := range f.all {
		owned := o.(pdfOwned)
		d, ok := owned.v.(pdfDict)
		if !ok || f.get(d["Type"]) != pdfName("Page") && (d["Contents"] == nil || d["MediaBox"] == nil) {
			continue
		}
		if pages++; pages > maxPDFPages {
			f.cut = true
			break
		}
		draw(d, d["Contents"])
	}
	// Drawings that no page draws: appearances of fields and comments, older ones.
	for _, o := range f.all {
		owned := o.(pdfOwned)
		s, ok := owned.v.(pdfStream)
		if ok && f.get(s.dict["Subtype"]) == pdfName("Form") && !pg.seen[owned.at] {
			pg.seen[owned.at] = true
			draw(s.dict, s)
		}
	}
	text := clean(strings.NewReplacer("ﬁ", "fi", "ﬂ", "fl", "ﬀ", "ff").Replace(pg.out.String()))
	text = string(f.c.clip([]byte(text)))
	text, more := joinLines(text)
	f.c.scanText(text, role, via)
	for _, s := range more {
		f.c.scanText(s, role, append(slices.Clone(via), "joined-lines"))
	}
	if role == Lure {
		f.c.blocks(text, role, via)
	}
	return text
}

// drawn looks for QR codes in what a page drew with lines.
func (f *pdfFile) drawn(pg *pdfPage, role Role, via []string) {
	shapes, inline := pg.shapes, pg.pictures
	pg.shapes, pg.points, pg.pictures = nil, 0, nil
	base := slices.Clone(via)
	base[len(base)-1] = "application/pdf:image"
	lines := 0
	for _, s := range shapes {
		lines += len(s.path)
	}
	if lines >= minShapes {
		if img := rasterise(shapes); img != nil {
			f.c.readQR(img, role, base)
		}
	}
	for _, s := range inline {
		f.readPicture(s, role, base)
	}
}

// inherited is an entry of a page or of those above it.
func (f *pdfFile) inherited(d pdfDict, name pdfName) pdfDict {
	for range maxPDFDepth {
		if v := f.dict(d[name]); v != nil {
			return v
		}
		if d = f.dict(d["Parent"]); d == nil {
			break
		}
	}
	return nil
}

func (p *pdfPage) begin() {
	p.pen = pdfPen{ctm: identity, scale: 1, dark: true}
	p.saved, p.path = nil, nil
	p.tm, p.line = identity, identity
	p.newline()
}

func (p *pdfPage) newline() {
	if p.begun {
		p.out.WriteByte('\n')
	}
	p.begun = false
}

// draw runs the operators of a content stream.
func (p *pdfPage) draw(b []byte, res pdfDict, depth int) {
	q := &pdfParser{b: b, f: p.f}
	var args []any
	for {
		v := q.value(0)
		if p.f.ops++; p.f.ops > maxPDFOps {
			p.f.cut = true
			return
		}
		switch v := v.(type) {
		case pdfEnd:
			return
		case pdfWord:
			if v == "BI" {
				p.inline(q)
			} else {
				p.operator(string(v), args, res, depth)
			}
			args = args[:0]
		case pdfClose:
		default:
			if len(args) < 64 {
				args = append(args, v)
			}
		}
	}
}

// inline reads a picture within the operators.
func (p *pdfPage) inline(q *pdfParser) {
	d := pdfDict{}
	long := map[pdfName]pdfName{"W": "Width", "H": "Height", "BPC": "BitsPerComponent", "CS": "ColorSpace", "IM": "ImageMask", "D": "Decode", "F": "Filter", "DP": "DecodeParms"}
	for {
		k, ok := q.value(0).(pdfName)
		if !ok {
			break // ID
		}
		if l, ok := long[k]; ok {
			k = l
		}
		d[k] = q.value(0)
	}
	if q.at < len(q.b) {
		q.at++ // the one space behind ID
	}
	begin := q.at
	for i := begin; i+2 < len(q.b); i++ {
		if pdfSpace(q.b[i]) && q.b[i+1] == 'E' && q.b[i+2] == 'I' && (i+3 == len(q.b) || pdfSpace(q.b[i+3])) {
			q.at = i + 3
			if len(p.pictures) < maxPDFPictures {
				// Its owner is none: it was decrypted with the page.
				p.pictures = append(p.pictures, pdfStream{d, q.b[begin:i], pdfRef{-1, 0}})
			}
			return
		}
	}
	q.at = len(q.b)
}

func (p *pdfPage) operator(op string, args []any, res pdfDict, depth int) {
	n := func(i int) float64 { // from the end, as readers forgive too many
		if i = len(args) - i; i < 0 || i >= len(args) {
			return 0
		}
		v, _ := args[i].(float64)
		return max(-1e9, min(1e9, v))
	}
	last := func() any {
		if len(args) == 0 {
			return nil
		}
		return args[len(args)-1]
	}
	pen := &p.pen
	switch op {
	case "q":
		if len(p.saved) < 100 {
			p.saved = append(p.saved, *pen)
		}
	case "Q":
		if len(p.saved) > 0 {
			*pen = p.saved[len(p.saved)-1]
			p.saved = p.saved[:len(p.saved)-1]
		}
	case "cm":
		pen.ctm = matrix{n(6), n(5), n(4), n(3), n(2), n(1)}.times(pen.ctm)
	case "BT":
		p.tm, p.line = identity, identity
	case "Tc":
		pen.char = n(1)
	case "Tw":
		pen.word = n(1)
	case "Tz":
		pen.scale = n(1) / 100
	case "TL":
		pen.lead = n(1)
	case "Tf":
		pen.size = n(1)
		if len(args) > 1 {
			name, _ := args[len(args)-2].(pdfName)
			pen.font = p.font(p.f.dict(res["Font"])[name])
		}
	case "Td":
		p.move(n(2), n(1))
	case "TD":
		pen.lead = -n(1)
		p.move(n(2), n(1))
	case "Tm":
		p.line = matrix{n(6), n(5), n(4), n(3), n(2), n(1)}
		p.tm = p.line
	case "T*":
		p.move(0, -pen.lead)
	case "Tj":
		p.show(last())
	case "'", `"`:
		p.move(0, -pen.lead)
		p.show(last())
	case "TJ":
		a, _ := last().(pdfArray)
		for _, v := range a {
			if d, ok := v.(float64); ok {
				p.tm = matrix{1, 0, 0, 1, -d / 1000 * pen.size * pen.scale, 0}.times(p.tm)
			} else {
				p.show(v)
			}
		}
	case "Do":
		name, _ := last().(pdfName)
		ref, _ := p.f.dict(res["XObject"])[name].(pdfRef)
		s, ok := p.f.get(ref).(pdfStream)
		if !ok || p.seen[ref] || p.f.get(s.dict["Subtype"]) != pdfName("Form") || depth >= maxPDFDepth || p.f.forms >= maxPDFForms {
			return
		}
		p.seen[ref] = true
		p.f.forms++
		b, ok := p.f.decode(s)
		if !ok {
			return
		}
		kept, saved := p.pen, p.saved
		p.saved = nil
		if m := p.f.array(s.dict["Matrix"]); len(m) == 6 {
			var f matrix
			for i := range f {
				f[i] = p.f.number(m[i], 0)
			}
			p.pen.ctm = f.times(p.pen.ctm)
		}
		r := p.f.dict(s.dict["Resources"])
		if r == nil {
			r = res
		}
		p.draw(b, r, depth+1)
		p.pen, p.saved = kept, saved
	case "g", "rg", "k", "sc", "scn":
		pen.dark = darkColour(op, args)
	case "re":
		x, y, w, h := n(4), n(3), n(2), n(1)
		p.subpath(pen.ctm.apply(x, y))
		for _, c := range [][2]float64{{x + w, y}, {x + w, y + h}, {x, y + h}} {
			p.lineTo(pen.ctm.apply(c[0], c[1]))
		}
	case "m":
		p.subpath(pen.ctm.apply(n(2), n(1)))
	case "l":
		p.lineTo(pen.ctm.apply(n(2), n(1)))
	case "c", "v", "y":
		p.lineTo(pen.ctm.apply(n(2), n(1)))
	case "f", "F", "f*", "B", "B*", "b", "b*":
		if p.points < maxShapePoints && len(p.path) > 0 {
			p.shapes = append(p.shapes, shape{p.path, pen.dark})
		}
		p.path = nil
	case "n", "S", "s":
		p.path = nil
	}
}

// darkColour says that a colour is nearer to ink than to paper.
func darkColour(op string, args []any) bool {
	var v []float64
	for _, a := range args {
		if f, ok := a.(float64); ok {
			v = append(v, f)
		}
	}
	switch len(v) {
	case 1:
		return v[0] < 0.5
	case 3:
		return 0.299*v[0]+0.587*v[1]+0.114*v[2] < 0.5
	case 4:
		return (1-v[3])*(1-(v[0]+v[1]+v[2])/3) < 0.5
	}
	return true
}

func (p *pdfPage) subpath(at point) {
	if p.points++; p.points < maxShapePoints {
		p.path = append(p.path, []point{at})
	}
}

func (p *pdfPage) lineTo(at point) {
	if p.points++; p.points < maxShapePoints && len(p.path) > 0 {
		p.path[len(p.path)-1] = append(p.path[len(p.path)-1], at)
	}
}

func (p *pdfPage) move(x, y float64) {
	p.line = matrix{1, 0, 0, 1, x, y}.times(p.line)
	p.tm = p.line
}

// show writes a string. Where it does not begin where the last one ended, there
// is a space or a line end between them.
func (p *pdfPage) show(v any) {
	s, ok := v.(pdfString)
	if !ok || p.pen.font == nil {
		return
	}
	pen := &p.pen
	text, width := pen.font.read(string(s), pen)
	full := p.tm.times(pen.ctm)
	begin := point{full[4], full[5]}
	em := math.Hypot(full[0], full[1]) * math.Abs(pen.size)
	if p.begun && em > 0 {
		dx, dy := begin.x-p.end.x, begin.y-p.end.y
		// Along the line and across it.
		ux, uy := full[0]*pen.size/em, full[1]*pen.size/em
		along, across := dx*ux+dy*uy, math.Abs(dy*ux-dx*uy)
		switch {
		case across > 0.5*em || along < -0.8*em:
			p.newline()
		case along > 0.15*em && !strings.HasPrefix(text, " "):
			p.out.WriteByte(' ')
		}
	}
	if text != "" {
		if p.out.Len() < MaxTextBytes {
			p.out.WriteString(text)
		}
		p.begun = true
	}
	p.tm = matrix{1, 0, 0, 1, width, 0}.times(p.tm)
	full = p.tm.times(pen.ctm)
	p.end = point{full[4], full[5]}
}
