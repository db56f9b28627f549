package reading

import (
	"bytes"

	"image"
	"image/color"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"slices"
	"strings"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	"golang.org/x/image/vector"
	_ "golang.org/x/image/webp"
)

// Bounds on the pictures of one report.
const (
	maxPictures      = 40       // that are decoded
	maxPicturePixels = 16 << 20 // of one: a phone's camera makes 12 million
	maxAllPixels     = 48 << 20 // of all that are decoded
	minPictureSide   = 21       // modules of the smallest QR code
	minShapes        = 30       // drawn shapes that may be a QR code
	maxShapePoints   = 400_000  // of one page
	canvas           = 1200     // pixels of the longer side that shapes are drawn on
)

// seen is what the pictures and PDFs of one report have taken.
type seen struct {
	fast    bool     // leave them to the second pass
	tlds    []string // Option.TLDs
	later   int      // left to it
	shots   []shot
	pdfs    int
	decoded int // bytes of the streams of PDFs
	images  int
	pixels  int
	qrWork  int
	grids   int
}

// isPicture says that a leaf says to be a picture, by its type or its name.
func (l *leaf) isPicture(ending string) bool {
	if l.kind == "image/svg+xml" || ending == ".svg" {
		return false
	}
	switch ending {
	case ".png", ".jpg", ".jpeg", ".jfif", ".gif", ".webp", ".bmp":
		return true
	}
	return strings.HasPrefix(l.kind, "image/")
}

func (l *leaf) isPDF(ending string) bool {
	return l.kind == "application/pdf" || l.kind == "application/x-pdf" || ending == ".pdf"
}

// postpone says that something is left to the second pass.
func (c *collector) postpone() bool {
	if c.seen.fast {
		c.seen.later++
	}
	return c.seen.fast
}

// readImage looks for QR codes in a picture.
func (l *leaf) readImage(e *evidence) {
	if e.c.postpone() {
		return
	}
	b, how := decodeTransfer(l.body, l.cte, e.c)
	via := slices.Clone(e.via)
	if how != "" {
		via = append(via, how)
	}
	e.c.readImage(b, e.role, append(via, "image"))
}

// readImage decodes a picture within the bounds and looks for QR codes in it.
func (c *collector) readImage(b []byte, role Role, via []string) {
	img := c.decodeImage(b)
	if img == nil {
		return
	}
	c.readQR(img, role, via)
}

// decodeImage gives a picture as grey tones on white paper, or nil.
func (c *collector) decodeImage(b []byte) *image.Gray {
	cfg, _, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		if len(b) > 0 {
			c.warn("a picture of a kind that is not read, or broken")
		}
		return nil
	}
	if cfg.Width < minPictureSide || cfg.Height < minPictureSide {
		return nil
	}
	n := cfg.Width * cfg.Height
	if cfg.Width > 1<<15 || cfg.Height > 1<<15 || n > maxPicturePixels {
		c.warn("a picture of %d x %d points: too large to be read", cfg.Width, cfg.Height)
		return nil
	}
	if c.seen.images++; c.seen.images > maxPictures || c.seen.pixels+n > maxAllPixels {
		c.warn("more pictures than are read: the rest is not looked at")
		return nil
	}
	c.seen.pixels += n
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		c.warn("a picture of a kind that is not read, or broken")
		return nil
	}
	c.keep(img)
	return onPaper(img)
}

// onPaper makes grey tones; what is transparent is white.
func onPaper(img image.Image) *image.Gray {
	r := img.Bounds()
	g := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	draw.Draw(g, g.Bounds(), img, r.Min, draw.Over)
	return g
}

// dataImages looks at the pictures that stand in a page as data: URIs.
func (c *collector) dataImages(s string, role Role, via []string) {
	for n := 0; n < maxPictures; n++ {
		i := strings.Index(s, "data:image/")
		if i < 0 {
			return
		}
		s = s[i+len("data:image/"):]
		head, _, ok := strings.Cut(shorten(s, 200), ",")
		if !ok || strings.ContainsAny(head, "\"'<> )") {
			continue
		}
		body := s[len(head)+1:]
		end := strings.IndexAny(body, "\"'<>)")
		if end < 0 {
			end = len(body)
		}
		body, s = body[:end], body[end:]
		if strings.Contains(head, "base64") {
			c.readImage(base64Tolerant([]byte(body)), role, append(slices.Clone(via), "data:image"))
		}
	}
}

// shape is what one filling paints: dark, or paper again.
type shape struct {
	path [][]point
	dark bool
}

type point struct{ x, y float64 }

// rasterise paints the shapes, or nil where there is nothing to see. Up is up.
func rasterise(shapes []shape) *image.Gray {
	lo, hi := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, s := range shapes {
		if !s.dark {
			continue
		}
		for _, line := range s.path {
			for _, p := range line {
				if math.Abs(p.x) < 1e6 && math.Abs(p.y) < 1e6 {
					lo.x, lo.y, hi.x, hi.y = min(lo.x, p.x), min(lo.y, p.y), max(hi.x, p.x), max(hi.y, p.y)
				}
			}
		}
	}
	w, h := hi.x-lo.x, hi.y-lo.y
	if !(w > 0 && h > 0) || w > 100*h || h > 100*w {
		return nil
	}
	scale := canvas / max(w, h)
	const border = 40
	g := image.NewGray(image.Rect(0, 0, int(w*scale)+2*border, int(h*scale)+2*border))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	size := g.Bounds().Size()
	work := 0
	for _, s := range shapes {
		// A painter as large as the shape, not as the canvas: there are thousands.
		a, b := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
		for _, line := range s.path {
			for i, p := range line {
				q := point{(p.x-lo.x)*scale + border, float64(size.Y) - ((p.y-lo.y)*scale + border)}
				q.x, q.y = max(0, min(float64(size.X), q.x)), max(0, min(float64(size.Y), q.y))
				line[i] = q
				a.x, a.y, b.x, b.y = min(a.x, q.x), min(a.y, q.y), max(b.x, q.x), max(b.y, q.y)
			}
		}
		box := image.Rect(int(a.x), int(a.y), int(math.Ceil(b.x))+1, int(math.Ceil(b.y))+1).Intersect(g.Bounds())
		if box.Empty() {
			continue
		}
		if work += box.Dx() * box.Dy(); work > maxPicturePixels {
			break
		}
		z := vector.NewRasterizer(box.Dx(), box.Dy())
		for _, line := range s.path {
			if len(line) < 3 {
				continue
			}
			for i, p := range line {
				x, y := float32(p.x)-float32(box.Min.X), float32(p.y)-float32(box.Min.Y)
				if i == 0 {
					z.MoveTo(x, y)
				} else {
					z.LineTo(x, y)
				}
			}
			z.ClosePath()
		}
		ink := image.White
		if s.dark {
			ink = image.Black
		}
		z.Draw(g, box, ink, image.Point{})
	}
	return g
}

// scaled is a picture with another longer side.
func scaled(g *image.Gray, side int) *image.Gray {
	r := g.Bounds()
	w, h := r.Dx()*side/max(r.Dx(), r.Dy()), r.Dy()*side/max(r.Dx(), r.Dy())
	out := image.NewGray(image.Rect(0, 0, max(1, w), max(1, h)))
	draw.ApproxBiLinear.Scale(out, out.Bounds(), g, r, draw.Src, nil)
	return out
}

// framed is a picture with a white border around it.
func framed(g *image.Gray, border int, white uint8) *image.Gray {
	r := g.Bounds()
	out := image.NewGray(image.Rect(0, 0, r.Dx()+2*border, r.Dy()+2*border))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{white}), image.Point{}, draw.Src)
	draw.Draw(out, r.Sub(r.Min).Add(image.Pt(border, border)), g, r.Min, draw.Src)
	return out
}
