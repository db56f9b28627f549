package reading

import (
	"image"
	"slices"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/multi/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"golang.org/x/image/draw"
)

// maxQRWork bounds the points that are looked at for QR codes in one report,
// every attempt counted. It is a bound on work, not on time, so that a report
// reads the same a second time: it is about 3 s of one processor.
const maxQRWork = 32 << 20

// maxQRCodes bounds the codes of one picture.
const maxQRCodes = 20

// readQR adds the addresses of all QR codes of a picture.
func (c *collector) readQR(g *image.Gray, role Role, via []string) {
	via = append(slices.Clone(via), "qr")
	for _, text := range c.findQR(g) {
		text = clean(toUTF8([]byte(text), ""))
		before := len(c.urls)
		if !c.add(strings.TrimSpace(text), role, via, "") {
			c.scanText(string(c.clip([]byte(text))), role, via)
		}
		if len(c.urls) == before && !hasSpace(text) && strings.Contains(text, ".") && !strings.ContainsAny(text, ":@") {
			c.add("http://"+strings.TrimSpace(text), role, via, "")
		}
	}
}

// findQR looks at a picture in several sizes, dark on light and light on dark.
// The order is by what mails hold: a clean code of some hundred points first.
func (c *collector) findQR(g *image.Gray) []string {
	var texts []string
	side := max(g.Rect.Dx(), g.Rect.Dy())
	if min(g.Rect.Dx(), g.Rect.Dy()) < minPictureSide {
		return nil
	}
	base := g
	if side > 1600 {
		base = scaled(g, 1600)
	}
	if flat(base) {
		return nil
	}
	try := func(g *image.Gray) bool {
		before := len(texts)
		for _, invert := range []bool{false, true} {
			if c.seen.qrWork += len(g.Pix); c.seen.qrWork > maxQRWork {
				return true
			}
			for _, t := range decodeQR(g, invert) {
				if !slices.Contains(texts, t) && len(texts) < maxQRCodes {
					texts = append(texts, t)
				}
			}
		}
		return len(texts) > before
	}
	sizes := []*image.Gray{framed(base, 16, 255)}
	switch {
	case side < 200:
		sizes = append(sizes, framed(enlarged(base, 4), 32, 255), framed(enlarged(base, 3), 32, 255))
	case side < 500:
		sizes = append(sizes, framed(enlarged(base, 2), 32, 255), framed(scaled(base, side*3/4), 16, 255))
	default:
		sizes = append(sizes, framed(scaled(base, 800), 16, 255), framed(scaled(base, 400), 16, 255))
	}
	for _, s := range sizes {
		if try(s) {
			break
		}
	}
	if len(texts) == 0 && side >= 200 {
		// Turned: the finder wants its squares roughly upright.
		try(turned(scaled(base, min(side, 700))))
	}
	if side > 1600 && len(texts) == 0 {
		// A code in a corner of a photograph: four quarters and the middle.
		r := g.Rect
		w, h := r.Dx()/2, r.Dy()/2
		for _, at := range []image.Point{{0, 0}, {w, 0}, {0, h}, {w, h}, {w / 2, h / 2}} {
			part := image.NewGray(image.Rect(0, 0, w, h))
			draw.Draw(part, part.Rect, g, at, draw.Src)
			if max(w, h) > 1200 {
				part = scaled(part, 1200)
			}
			try(framed(part, 16, 255))
		}
	}
	return texts
}

// flat says that a picture has hardly any edges: nothing to look for. The
// smallest code has some ten in each of its rows.
func flat(g *image.Gray) bool {
	edges := 0
	for y := 0; y < g.Rect.Dy(); y += 4 {
		row := g.Pix[y*g.Stride : y*g.Stride+g.Rect.Dx()]
		for x := 1; x < len(row); x++ {
			if d := int(row[x]) - int(row[x-1]); d > 16 || d < -16 {
				if edges++; edges >= 40 {
					return false
				}
			}
		}
	}
	return true
}

// enlarged repeats points, so that edges stay sharp.
func enlarged(g *image.Gray, times int) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, g.Rect.Dx()*times, g.Rect.Dy()*times))
	draw.NearestNeighbor.Scale(out, out.Rect, g, g.Rect, draw.Src, nil)
	return out
}

// turned is a picture turned by 45 degrees.
func turned(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	side := (w + h) * 5 / 7
	out := image.NewGray(image.Rect(0, 0, side, side))
	const s = 46341 // the square root of 1/2 in 1/65536
	for y := range side {
		for x := range side {
			dx, dy := x-side/2, y-side/2
			u, v := (dx*s+dy*s)>>16+w/2, (dy*s-dx*s)>>16+h/2
			if u >= 0 && u < w && v >= 0 && v < h {
				out.Pix[y*out.Stride+x] = g.Pix[v*g.Stride+u]
			} else {
				out.Pix[y*out.Stride+x] = 255
			}
		}
	}
	return out
}

// grey is a picture as the decoder of QR codes wants it.
type grey struct {
	gozxing.LuminanceSourceBase
	g      *image.Gray
	invert bool
}

func (s *grey) GetRow(y int, row []byte) ([]byte, error) {
	w := s.GetWidth()
	if len(row) < w {
		row = make([]byte, w)
	}
	copy(row, s.g.Pix[y*s.g.Stride:y*s.g.Stride+w])
	if s.invert {
		for i := range row[:w] {
			row[i] = 255 - row[i]
		}
	}
	return row, nil
}

func (s *grey) GetMatrix() []byte {
	w, h := s.GetWidth(), s.GetHeight()
	out := make([]byte, 0, w*h)
	for y := range h {
		out = append(out, s.g.Pix[y*s.g.Stride:y*s.g.Stride+w]...)
	}
	if s.invert {
		for i := range out {
			out[i] = 255 - out[i]
		}
	}
	return out
}

func (s *grey) Invert() gozxing.LuminanceSource { return gozxing.LuminanceSourceInvert(s) }
func (s *grey) String() string                  { return "grey" }

// decodeQR finds the codes of one picture at one size. The decoder is others'
// work on strangers' bytes: a panic in it is a code that was not read.
func decodeQR(g *image.Gray, invert bool) (texts []string) {
	defer func() {
		if recover() != nil {
			texts = nil
		}
	}()
	src := &grey{LuminanceSourceBase: gozxing.LuminanceSourceBase{Width: g.Rect.Dx(), Height: g.Rect.Dy()}, g: g, invert: invert}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
	for _, bin := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(src), gozxing.NewGlobalHistgramBinarizer(src)} {
		bmp, err := gozxing.NewBinaryBitmap(bin)
		if err != nil {
			continue
		}
		found, err := qrcode.NewQRCodeMultiReader().DecodeMultiple(bmp, hints)
		if err == nil {
			for _, r := range found {
				texts = append(texts, r.GetText())
			}
		}
		if len(texts) > 0 {
			break
		}
	}
	return texts
}

// modules decodes a code that was drawn square by square, one cell a module.
func decodeModules(dark [][]bool) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	n := len(dark)
	if n < 21 || n > 177 || (n-17)%4 != 0 {
		return "", false
	}
	m, err := gozxing.NewSquareBitMatrix(n)
	if err != nil {
		return "", false
	}
	for y, row := range dark {
		if len(row) != n {
			return "", false
		}
		for x, d := range row {
			if d {
				m.Set(x, y)
			}
		}
	}
	r, err := decoder.NewDecoder().Decode(m, nil)
	if err != nil {
		return "", false
	}
	return r.GetText(), true
}
