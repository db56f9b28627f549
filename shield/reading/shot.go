package reading

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"

	"golang.org/x/image/draw"
)

// Picture is a picture in which a person may read what no program did: most
// people report a text message by a screenshot. It is drawn anew: without what
// the camera noted (place, device), and no stranger's bytes reach a browser.
type Picture struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	// Show is a JPEG, the longer side at most maxShown points.
	Show []byte `json:"show"`
	// Grey is a PNG for the program that reads letters; it is not kept.
	Grey []byte `json:"grey,omitempty"`
	// Guesses are addresses that were read by machine and may be wrong.
	Guesses []Guess `json:"guesses,omitempty"`
}

// Guess is an address that a machine read in a picture.
type Guess struct {
	// Text is what it read, uncorrected.
	Text string `json:"text"`
	// Confidence is that of its weakest word, 0 to 100.
	Confidence int `json:"confidence"`
	// Sure says that two readings agree and are confident.
	Sure bool `json:"sure,omitempty"`
	// Crop is a PNG of the lines that it stands in.
	Crop []byte `json:"crop,omitempty"`
}

const (
	maxShots    = 4    // pictures of one report that are put before a person
	minShotSide = 120  // points: below, nobody writes a message
	minShotArea = 60e3 // points
	maxShown    = 1600 // points of the longer side, for a person
	maxRead     = 2600 // for the program that reads letters: a phone's screen is 2,340 to 3,200
)

type shot struct {
	show    *image.RGBA
	grey    *image.Gray
	upright bool // as a telephone's screen is, and large enough to be one
}

// keep remembers a picture in case no address is found.
func (c *collector) keep(img image.Image) {
	r := img.Bounds()
	if len(c.seen.shots) >= maxShots || min(r.Dx(), r.Dy()) < minShotSide || r.Dx()*r.Dy() < minShotArea {
		return
	}
	fit := func(most int) image.Rectangle {
		w, h := r.Dx(), r.Dy()
		if side := max(w, h); side > most {
			w, h = max(1, w*most/side), max(1, h*most/side)
		}
		return image.Rect(0, 0, w, h)
	}
	s := shot{upright: r.Dx() >= 300 && 10*r.Dy() >= 13*r.Dx(), show: image.NewRGBA(fit(maxShown)), grey: image.NewGray(fit(maxRead))}
	draw.Draw(s.show, s.show.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(s.grey, s.grey.Rect, image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(s.show, s.show.Rect, img, r, draw.Over, nil)
	draw.ApproxBiLinear.Scale(s.grey, s.grey.Rect, img, r, draw.Over, nil)
	c.seen.shots = append(c.seen.shots, s)
}

// pictures are what was kept, when nothing else of the report leads anywhere. A
// mail that holds no other is what its reporter wrote, with the links that stand
// under all mails: these do not hide a telephone's screen.
func (c *collector) pictures(kind Kind) []Picture {
	own := kind == Plain && !slices.ContainsFunc(c.urls, func(u URL) bool {
		return !u.Role.Noise() && slices.ContainsFunc(u.Via, func(v string) bool {
			return v == "image" || strings.HasPrefix(v, "qr") || strings.HasPrefix(v, "application/")
		})
	})
	var out []Picture
	for _, s := range c.seen.shots {
		if c.wanted > 0 && !(own && s.upright) {
			continue
		}
		var show, grey bytes.Buffer
		if jpeg.Encode(&show, s.show, &jpeg.Options{Quality: 80}) != nil || png.Encode(&grey, s.grey) != nil {
			continue
		}
		out = append(out, Picture{Width: s.show.Rect.Dx(), Height: s.show.Rect.Dy(), Show: show.Bytes(), Grey: grey.Bytes()})
	}
	return out
}

// CutOut is what a child is asked for with the task CutPicture: parts of a
// picture, and copies of it to read letters in.
type CutOut struct {
	Grey  []byte            `json:"grey"`
	Boxes []image.Rectangle `json:"boxes,omitempty"` // what to cut out, in the picture's points
	Sizes []int             `json:"sizes,omitempty"` // copies in percent of its size, dark on light
}

const (
	maxCuts = 40
	maxCrop = 120 // points: two lines of a telephone's letters
	// With it the pictures of one report stay well below what a blob may hold.
	maxCropBytes = 128 << 10
)

// cut answers the task CutPicture: a picture per box, then one per size.
func cut(q CutOut) (out []Picture) {
	cfg, err := png.DecodeConfig(bytes.NewReader(q.Grey))
	if err != nil || cfg.Width > maxRead || cfg.Height > maxRead || len(q.Boxes)+len(q.Sizes) > maxCuts {
		return nil
	}
	img, err := png.Decode(bytes.NewReader(q.Grey))
	if err != nil {
		return nil
	}
	g := onPaper(img)
	put := func(g *image.Gray) {
		var b bytes.Buffer
		if png.Encode(&b, g) != nil {
			b.Reset()
		}
		out = append(out, Picture{Width: g.Rect.Dx(), Height: g.Rect.Dy(), Show: b.Bytes()})
	}
	for _, box := range q.Boxes {
		box = box.Inset(-8).Intersect(g.Rect)
		if box.Empty() {
			out = append(out, Picture{})
			continue
		}
		box.Max.Y = min(box.Max.Y, box.Min.Y+maxCrop)
		part := image.NewGray(image.Rect(0, 0, box.Dx(), box.Dy()))
		draw.Draw(part, part.Rect, g, box.Min, draw.Src)
		if put(part); len(out[len(out)-1].Show) > maxCropBytes {
			out[len(out)-1] = Picture{} // noise: letters take a tenth
		}
	}
	for _, size := range q.Sizes {
		side := max(g.Rect.Dx(), g.Rect.Dy()) * max(10, min(size, 300)) / 100
		side = min(side, 2*maxRead)
		s := darkOnLight(g)
		if size != 100 {
			out := image.NewGray(image.Rect(0, 0, max(1, g.Rect.Dx()*side/max(g.Rect.Dx(), g.Rect.Dy())), max(1, g.Rect.Dy()*side/max(g.Rect.Dx(), g.Rect.Dy()))))
			draw.CatmullRom.Scale(out, out.Rect, s, s.Rect, draw.Src, nil)
			s = out
		}
		put(framed(s, shotBorder, 255))
	}
	return out
}

// shotBorder is the white border of a copy to read letters in.
const shotBorder = 20

// darkOnLight inverts a picture whose ground is mostly dark: programs that read
// letters learned from paper.
func darkOnLight(g *image.Gray) *image.Gray {
	sum := 0
	for _, v := range g.Pix {
		sum += int(v)
	}
	out := image.NewGray(g.Rect)
	copy(out.Pix, g.Pix)
	if sum < 118*len(g.Pix) {
		for i, v := range out.Pix {
			out.Pix[i] = 255 - v
		}
	}
	return out
}

// Linked makes links of what was read surely, by the way "ocr": they may be
// looked at as all others; a person decides.
func (r *Result) Linked() {
	var c collector
	for _, p := range r.Pictures {
		for _, g := range p.Guesses {
			if g.Sure {
				c.add(withScheme(g.Text), Lure, []string{"image", "ocr"}, "")
			}
		}
	}
	for _, u := range c.urls {
		if !slices.ContainsFunc(r.URLs, func(o URL) bool { return o.URL == u.URL }) {
			r.URLs = append(r.URLs, u)
		}
	}
}

// Unsure says that a person must look at a picture: it holds an address that was
// not read surely, or none that a machine saw.
func (r Result) Unsure() bool {
	for _, p := range r.Pictures {
		if len(p.Guesses) == 0 || slices.ContainsFunc(p.Guesses, func(g Guess) bool { return !g.Sure }) {
			return true
		}
	}
	return false
}
