package notice

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/encoding/charmap"

	"bolwerk"
)

// A letter is one page of A4 with its two fonts inside, so that every print shop
// prints the same. It is made again from its text whenever it is asked for, and the
// same text gives the same bytes.

// Window is where the envelope's window is.
type Window string

// The windows: left as in the Netherlands, Germany and France, right as in Belgium.
const (
	Left  Window = "left"
	Right Window = "right"
)

// Measures of the page, in millimetres.
const (
	pageWide, pageHigh = 210.0, 297.0
	margin             = 25.0
	windowTop          = 50.0
	windowLeft         = 25.0
	windowRight        = 115.0
	addressLine        = 5.2
	bodyTop            = 102.0
	bodyEnd            = 282.0
)

type face struct {
	name  string
	ttf   []byte
	width [256]int // thousandths of an em, by code of Windows-1252
	// What a font descriptor tells, in thousandths of an em.
	ascent, descent, cap int
	box                  [4]int
}

var faces = sync.OnceValues(func() (out [2]face, err error) {
	for i, f := range []struct {
		name string
		ttf  []byte
	}{{"GoRegular", goregular.TTF}, {"GoBold", gobold.TTF}} {
		if out[i], err = newFace(f.name, f.ttf); err != nil {
			return out, fmt.Errorf("font %s: %w", f.name, err)
		}
	}
	return out, nil
})

func newFace(name string, ttf []byte) (face, error) {
	f := face{name: name, ttf: ttf}
	parsed, err := sfnt.Parse(ttf)
	if err != nil {
		return f, err
	}
	em := fixed.I(1000)
	var buf sfnt.Buffer
	for c := 32; c < 256; c++ {
		r := charmap.Windows1252.DecodeByte(byte(c))
		at, err := parsed.GlyphIndex(&buf, r)
		if err != nil {
			return f, err
		}
		wide, err := parsed.GlyphAdvance(&buf, at, em, font.HintingNone)
		if err != nil {
			return f, err
		}
		f.width[c] = wide.Round()
	}
	m, err := parsed.Metrics(&buf, em, font.HintingNone)
	if err != nil {
		return f, err
	}
	b, err := parsed.Bounds(&buf, em, font.HintingNone)
	if err != nil {
		return f, err
	}
	f.ascent, f.descent, f.cap = m.Ascent.Round(), -m.Descent.Round(), m.CapHeight.Round()
	f.box = [4]int{b.Min.X.Round(), -b.Max.Y.Round(), b.Max.X.Round(), -b.Min.Y.Round()}
	return f, nil
}

// encode is text in Windows-1252; what it lacks becomes a question mark.
func encode(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := charmap.Windows1252.EncodeRune(r)
		if !ok || b < 32 {
			b = '?'
		}
		out = append(out, b)
	}
	return out
}

// wide is how wide a text is at a size, in millimetres.
func (f face) wide(s string, size float64) float64 {
	n := 0
	for _, b := range encode(s) {
		n += f.width[b]
	}
	return float64(n) / 1000 * size * 25.4 / 72
}

// wrap breaks a line of text at spaces.
func (f face) wrap(s string, size, most float64) (out []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		next := strings.TrimSpace(line + " " + word)
		if line != "" && f.wide(next, size) > most {
			out, next = append(out, line), word
		}
		line = next
	}
	return append(out, line)
}

// sheet is what stands on the page.
type sheet struct {
	faces [2]face
	out   bytes.Buffer
}

func (s *sheet) text(bold bool, size, x, y float64, line string) {
	n := 1
	if bold {
		n = 2
	}
	var hex strings.Builder
	for _, b := range encode(line) {
		fmt.Fprintf(&hex, "%02x", b)
	}
	fmt.Fprintf(&s.out, "BT /F%d %.1f Tf %.2f %.2f Td <%s> Tj ET\n", n, size, pt(x), pt(pageHigh-y), hex.String())
}

func pt(mm float64) float64 { return mm * 72 / 25.4 }

// Paper is a letter as PDF. A text that does not fit on one page in a size that can be
// read is an error.
func Paper(t Text, sender string, place string, window Window, lang bolwerk.Lang) ([]byte, error) {
	all, err := faces()
	if err != nil {
		return nil, err
	}
	for _, size := range []float64{11, 10.5, 10, 9.5, 9} {
		s := &sheet{faces: all}
		if s.letter(t, sender, place, window, size) {
			return s.pdf(t.Subject, lang), nil
		}
	}
	return nil, bolwerk.Invalid("the letter is longer than a page")
}

func (s *sheet) letter(t Text, sender, place string, window Window, size float64) bool {
	left := windowLeft
	if window == Right {
		left = windowRight
	}
	s.text(true, 14, margin, 25, sender)
	for i, line := range t.Address {
		s.text(false, 10.5, left, windowTop+float64(i)*addressLine, line)
	}
	y := bodyTop - 10
	s.text(false, size, margin, y, place)
	y = bodyTop
	step := size * 1.32 * 25.4 / 72
	for _, line := range s.faces[1].wrap(t.Subject, size+1.5, pageWide-2*margin) {
		s.text(true, size+1.5, margin, y, line)
		y += step * 1.15
	}
	y += step * .5
	for _, line := range strings.Split(strings.TrimSpace(t.Body), "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "":
			y += step * .55
		case t.Code != "" && trimmed == t.Code:
			s.text(true, size+5, margin+8, y+step*.3, trimmed)
			y += step * 1.6
		default:
			for _, part := range s.faces[0].wrap(trimmed, size, pageWide-2*margin) {
				s.text(false, size, margin, y, part)
				y += step
			}
		}
	}
	return y <= bodyEnd
}

// pdf writes the file (ISO 32000-1): one page, two TrueType fonts with their bytes.
func (s *sheet) pdf(title string, lang bolwerk.Lang) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var at []int
	object := func(format string, a ...any) {
		at = append(at, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(at)}, a...)...)
	}
	stream := func(more string, body []byte) {
		z := deflated(body)
		object("<< /Length %d /Filter /FlateDecode%s >>\nstream\n%s\nendstream", len(z), more, z)
	}
	object("<< /Type /Catalog /Pages 2 0 R /Lang (%s) /ViewerPreferences << /DisplayDocTitle true >> >>", lang)
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 8 0 R >> >> >>", pt(pageWide), pt(pageHigh))
	stream("", s.out.Bytes())
	for _, f := range s.faces {
		n := len(at) + 1
		object("<< /Type /Font /Subtype /TrueType /BaseFont /%s /FirstChar 32 /LastChar 255 /Widths %s /Encoding /WinAnsiEncoding /FontDescriptor %d 0 R >>",
			f.name, strings.Join(strings.Fields(fmt.Sprint(f.width[32:])), " "), n+1)
		object("<< /Type /FontDescriptor /FontName /%s /Flags 32 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV 80 /FontFile2 %d 0 R >>",
			f.name, f.box[0], f.box[1], f.box[2], f.box[3], f.ascent, f.descent, f.cap, n+2)
		at = append(at, out.Len())
		z := f.packed()
		fmt.Fprintf(&out, "%d 0 obj\n<< /Length %d /Length1 %d /Filter /FlateDecode >>\nstream\n%s\nendstream\nendobj\n", len(at), len(z), len(f.ttf), z)
	}
	object("<< /Title <%s> /Producer (Bolwerk) >>", utf16Hex(title))
	xref := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(&out, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, len(at), xref)
	return out.Bytes()
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// packed are a font's bytes, packed once.
func (f face) packed() []byte {
	if f.name == "GoBold" {
		return packedBold()
	}
	return packedRegular()
}

var (
	packedRegular = sync.OnceValue(func() []byte { return deflated(goregular.TTF) })
	packedBold    = sync.OnceValue(func() []byte { return deflated(gobold.TTF) })
)

func utf16Hex(s string) string {
	var b strings.Builder
	b.WriteString("feff")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04x", u)
	}
	return b.String()
}

// AddressLines are the lines of a window: at most six, none of them longer than it.
func AddressLines(name, street, postcode, city, country, own string) []string {
	lines := []string{name, street, strings.TrimSpace(postcode + " " + city)}
	if country != "" && country != own {
		lines = append(lines, country)
	}
	for i := range lines {
		lines[i] = clip(lines[i], 40)
	}
	return lines
}

// Dated is the line above a letter: its day.
func (w *Writer) Dated(lang bolwerk.Lang, at time.Time) string {
	return w.dates.Day(lang, at, w.zone)
}
