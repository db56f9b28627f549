package reading

import (
	"math"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// pdfFont turns codes into characters.
type pdfFont struct {
	two     bool // codes of two bytes
	unicode map[int]string
	plain   [256]rune
	widths  map[int]float64 // thousandths of the size
	width   float64         // where widths has none
}

// read gives the characters of a string and how far it goes.
func (t *pdfFont) read(s string, pen *pdfPen) (text string, width float64) {
	var b strings.Builder
	step := 1
	if t.two {
		step = 2
	}
	for i := 0; i+step <= len(s); i += step {
		code := int(s[i])
		if t.two {
			code = code<<8 | int(s[i+1])
		}
		if u, ok := t.unicode[code]; ok {
			b.WriteString(u)
		} else if !t.two && t.plain[code] != 0 {
			b.WriteRune(t.plain[code])
		}
		w, ok := t.widths[code]
		if !ok {
			w = t.width
		}
		w = w/1000*pen.size + pen.char
		if code == ' ' && !t.two {
			w += pen.word
		}
		width += w * pen.scale
	}
	return b.String(), width
}

const maxPDFFonts = 500

func (p *pdfPage) font(v any) *pdfFont {
	ref, _ := v.(pdfRef)
	if t, ok := p.fonts[ref]; ok && ref.n != 0 {
		return t
	}
	d := p.f.dict(v)
	if d == nil || len(p.fonts) >= maxPDFFonts {
		return nil
	}
	t := &pdfFont{unicode: map[int]string{}, widths: map[int]float64{}, width: 500}
	t.two = p.f.get(d["Subtype"]) == pdfName("Type0")
	if s, ok := p.f.get(d["ToUnicode"]).(pdfStream); ok {
		if b, ok := p.f.decode(s); ok {
			p.f.characterMap(b, t.unicode)
		}
	} else if t.two {
		p.f.c.warn("text of a PDF without a character map: not read")
	}
	if t.two {
		p.f.widthsOfTwo(d, t)
	} else {
		p.f.encoding(d, t)
		first := int(p.f.number(d["FirstChar"], 0))
		for i, w := range p.f.array(d["Widths"]) {
			if i > 255 {
				break
			}
			t.widths[first+i] = p.f.number(w, 0)
		}
		if m := p.f.array(d["FontMatrix"]); len(m) == 6 { // of a Type 3 font
			for k := range t.widths {
				t.widths[k] *= 1000 * math.Abs(p.f.number(m[0], 0.001))
			}
		}
	}
	if ref.n != 0 {
		p.fonts[ref] = t
	}
	return t
}

// widthsOfTwo reads the widths of a composite font (ISO 32000-2 section 9.7.4.3).
func (f *pdfFile) widthsOfTwo(d pdfDict, t *pdfFont) {
	below := f.array(d["DescendantFonts"])
	if len(below) == 0 {
		return
	}
	cid := f.dict(below[0])
	t.width = f.number(cid["DW"], 1000)
	w := f.array(cid["W"])
	for i := 0; i+1 < len(w) && len(t.widths) < 1<<16; {
		first := int(f.number(w[i], 0))
		if a, ok := f.get(w[i+1]).(pdfArray); ok {
			for j, v := range a {
				t.widths[first+j] = f.number(v, 0)
			}
			i += 2
		} else if i+2 < len(w) {
			for c := first; c <= int(f.number(w[i+1], 0)) && c < first+1<<16 && len(t.widths) < 1<<16; c++ {
				t.widths[c] = f.number(w[i+2], 0)
			}
			i += 3
		} else {
			return
		}
	}
}

// characterMap reads the parts of a ToUnicode map that matter.
func (f *pdfFile) characterMap(b []byte, m map[int]string) {
	const most = 1 << 16
	p := &pdfParser{b: b, f: f}
	code := func(v any) (int, bool) {
		s, ok := v.(pdfString)
		n := 0
		for i := 0; i < min(len(s), 4); i++ {
			n = n<<8 | int(s[i])
		}
		return n, ok
	}
	to := func(v any, plus int) string {
		s, _ := v.(pdfString)
		var u []uint16
		for i := 0; i+1 < min(len(s), 64); i += 2 {
			u = append(u, uint16(s[i])<<8|uint16(s[i+1]))
		}
		if len(s) == 1 {
			u = []uint16{uint16(s[0])}
		}
		if len(u) > 0 {
			u[len(u)-1] += uint16(plus)
		}
		return string(utf16.Decode(u))
	}
	for len(m) < most {
		switch p.value(0) {
		case pdfEnd{}:
			return
		case pdfWord("beginbfchar"):
			for len(m) < most {
				from, ok := code(p.value(0))
				if !ok {
					break
				}
				m[from] = to(p.value(0), 0)
			}
		case pdfWord("beginbfrange"):
			for len(m) < most {
				lo, ok := code(p.value(0))
				if !ok {
					break
				}
				hi, _ := code(p.value(0))
				v := p.value(0)
				if a, ok := v.(pdfArray); ok {
					for i := range a {
						if lo+i <= hi && len(m) < most {
							m[lo+i] = to(a[i], 0)
						}
					}
					continue
				}
				for c := lo; c <= hi && len(m) < most; c++ {
					m[c] = to(v, c-lo)
				}
			}
		}
	}
}

// encoding fills in the characters of a simple font.
func (f *pdfFile) encoding(d pdfDict, t *pdfFont) {
	base := charmap.Windows1252
	enc := f.get(d["Encoding"])
	name, _ := enc.(pdfName)
	differs, _ := enc.(pdfDict)
	if differs != nil {
		name, _ = f.get(differs["BaseEncoding"]).(pdfName)
	}
	if name == "MacRomanEncoding" {
		base = charmap.Macintosh
	}
	for i := 32; i < 256; i++ {
		t.plain[i] = base.DecodeByte(byte(i))
	}
	code := 0
	for _, v := range f.array(differs["Differences"]) {
		switch v := f.get(v).(type) {
		case float64:
			code = int(v)
		case pdfName:
			if r, ok := glyph(string(v)); ok && code >= 0 && code < 256 {
				t.plain[code] = r
			}
			code++
		}
	}
}

// glyph is the character of a glyph's name: those that addresses are made of.
func glyph(name string) (rune, bool) {
	name, _, _ = strings.Cut(name, ".")
	if len(name) == 1 {
		return rune(name[0]), true
	}
	if r, ok := glyphs[name]; ok {
		return r, true
	}
	for _, prefix := range []string{"uni", "u"} {
		if h, ok := strings.CutPrefix(name, prefix); ok && len(h) >= 4 && len(h) <= 6 {
			r := rune(0)
			for i := range len(h) {
				v := unhex(h[i])
				if v > 15 {
					return 0, false
				}
				r = r<<4 | rune(v)
			}
			return r, true
		}
	}
	return 0, false
}

var glyphs = map[string]rune{"space": ' ', "exclam": '!', "quotedbl": '"', "numbersign": '#', "dollar": '$', "percent": '%', "ampersand": '&',
	"quotesingle": '\'', "quoteright": '’', "quoteleft": '‘', "parenleft": '(', "parenright": ')', "asterisk": '*', "plus": '+', "comma": ',',
	"hyphen": '-', "minus": '-', "period": '.', "slash": '/', "zero": '0', "one": '1', "two": '2', "three": '3', "four": '4', "five": '5',
	"six": '6', "seven": '7', "eight": '8', "nine": '9', "colon": ':', "semicolon": ';', "less": '<', "equal": '=', "greater": '>',
	"question": '?', "at": '@', "bracketleft": '[', "backslash": '\\', "bracketright": ']', "asciicircum": '^', "underscore": '_',
	"grave": '`', "braceleft": '{', "bar": '|', "braceright": '}', "asciitilde": '~', "fi": 'ﬁ', "fl": 'ﬂ', "ff": 'ﬀ', "endash": '–', "emdash": '—',
	"bullet": '•', "eacute": 'é', "egrave": 'è', "ecircumflex": 'ê', "edieresis": 'ë', "agrave": 'à', "acircumflex": 'â', "adieresis": 'ä',
	"odieresis": 'ö', "ocircumflex": 'ô', "udieresis": 'ü', "ugrave": 'ù', "ccedilla": 'ç', "iacute": 'í', "idieresis": 'ï', "germandbls": 'ß', "Euro": '€'}
