package reading

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	"golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

const qrURL = "https://qr-merelbank.example/bevestig?k=1A"

// qrModules is a code as squares, true for dark.
func qrModules(t testing.TB, text string) [][]bool {
	t.Helper()
	code, err := encoder.Encoder_encodeWithoutHint(text, decoder.ErrorCorrectionLevel_M)
	if err != nil {
		t.Fatal(err)
	}
	m := code.GetMatrix()
	grid := make([][]bool, m.GetHeight())
	for y := range grid {
		grid[y] = make([]bool, m.GetWidth())
		for x := range grid[y] {
			grid[y][x] = m.Get(x, y) == 1
		}
	}
	return grid
}

// qrImage is a code of about size points with its white border.
func qrImage(t testing.TB, text string, size int) *image.Gray {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, size, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	return onPaper(m)
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// turn is a picture turned by an angle, on a larger white one.
func turn(g *image.Gray, degrees float64) *image.Gray {
	side := int(float64(max(g.Rect.Dx(), g.Rect.Dy())) * 1.5)
	out := image.NewGray(image.Rect(0, 0, side, side))
	for i := range out.Pix {
		out.Pix[i] = 255
	}
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	cx, cy, c := float64(g.Rect.Dx())/2, float64(g.Rect.Dy())/2, float64(side)/2
	draw.BiLinear.Transform(out, f64.Aff3{cos, -sin, c - cos*cx + sin*cy, sin, cos, c - sin*cx - cos*cy}, g, g.Rect, draw.Over, nil)
	return out
}

func inverted(g *image.Gray) *image.Gray {
	out := image.NewGray(g.Rect)
	for i, v := range g.Pix {
		out.Pix[i] = 255 - v
	}
	return out
}

// TestQR: a code is read as phishers put it into mails.
func TestQR(t *testing.T) {
	page := func(img image.Image, w, h int, at image.Point) *image.Gray {
		g := image.NewGray(image.Rect(0, 0, w, h))
		for i := range g.Pix {
			g.Pix[i] = 240
		}
		draw.Draw(g, img.Bounds().Add(at), img, image.Point{}, draw.Over)
		return g
	}
	noise := func(g *image.Gray) *image.Gray {
		r := rand.New(rand.NewPCG(1, 2))
		for i, v := range g.Pix {
			g.Pix[i] = uint8(max(0, min(255, int(v)+r.IntN(80)-40)))
		}
		return g
	}
	for name, img := range map[string]*image.Gray{
		"one point a module":          qrImage(t, qrURL, 1),
		"100 points":                  qrImage(t, qrURL, 100),
		"300 points":                  qrImage(t, qrURL, 300),
		"1000 points":                 qrImage(t, qrURL, 1000),
		"light on dark":               inverted(qrImage(t, qrURL, 300)),
		"light on dark without frame": inverted(page(qrImage(t, qrURL, 300), 300, 300, image.Point{})),
		"a quarter turn":              turn(qrImage(t, qrURL, 300), 90),
		"turned by 15 degrees":        turn(qrImage(t, qrURL, 300), 15),
		"turned by 45 degrees":        turn(qrImage(t, qrURL, 300), 45),
		"turned by 200 degrees":       turn(qrImage(t, qrURL, 300), 200),
		"small on a screenshot":       page(qrImage(t, qrURL, 250), 1080, 2340, image.Pt(300, 1500)),
		"small on a large photograph": noise(page(qrImage(t, qrURL, 500), 3000, 4000, image.Pt(2200, 3200))),
		"noise":                       noise(qrImage(t, qrURL, 200)),
		"blurred":                     scaled(scaled(qrImage(t, qrURL, 300), 120), 300),
	} {
		t.Run(name, func(t *testing.T) {
			var c collector
			if got := c.findQR(img); !slices.Equal(got, []string{qrURL}) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestQRSeveral(t *testing.T) {
	g := image.NewGray(image.Rect(0, 0, 900, 500))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	want := []string{"https://one.example/", "https://two.example/", "https://three.example/"}
	for i, u := range want {
		q := qrImage(t, u, 250)
		draw.Draw(g, q.Rect.Add(image.Pt(20+290*i, 40*i)), q, image.Point{}, draw.Src)
	}
	var c collector
	got := c.findQR(g)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestQRFormats: the formats that mails carry, as attachment, inline, and as data.
func TestQRFormats(t *testing.T) {
	img := qrImage(t, qrURL, 200)
	var asJPEG, asGIF, asBMP bytes.Buffer
	pal := image.NewPaletted(img.Rect, color.Palette{color.White, color.Black})
	draw.Draw(pal, pal.Rect, img, image.Point{}, draw.Src)
	clear := image.NewNRGBA(img.Rect) // dark on nothing: viewers show it on white
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if img.GrayAt(x, y).Y < 128 {
				clear.Set(x, y, color.Black)
			}
		}
	}
	if err := jpeg.Encode(&asJPEG, img, &jpeg.Options{Quality: 40}); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&asGIF, pal, nil); err != nil {
		t.Fatal(err)
	}
	if err := bmp.Encode(&asBMP, img); err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	part := func(kind, disposition string, b []byte) string {
		return fmt.Sprintf("--b\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <x>\r\nContent-Disposition: %s\r\n\r\n%s\r\n", kind, disposition, b64(b))
	}
	for name, p := range map[string]string{
		"png attached":         part("image/png", "attachment; filename=a.png", pngOf(t, img)),
		"png inline":           part("image/png", "inline", pngOf(t, img)),
		"png transparent":      part("image/png", "inline", pngOf(t, clear)),
		"png by its name":      part("application/octet-stream", "attachment; filename=Scan.PNG", pngOf(t, img)),
		"jpeg":                 part("image/jpeg", "inline", asJPEG.Bytes()),
		"jpeg that says png":   part("image/png", "inline", asJPEG.Bytes()),
		"gif":                  part("image/gif", "inline", asGIF.Bytes()),
		"bmp":                  part("image/bmp", "inline", asBMP.Bytes()),
		"data in a page":       "--b\r\nContent-Type: text/html\r\n\r\n<img src=\"data:image/png;base64," + b64(pngOf(t, img)) + "\">\r\n",
		"half blocks":          "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nScan:\r\n" + blockText(t, true, false) + "\r\n",
		"half blocks in pre":   "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<pre>" + blockText(t, true, false) + "</pre>\r\n",
		"half blocks inverted": "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nScan:\r\n" + blockText(t, true, true) + "\r\n",
		"whole blocks":         "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nScan:\r\n" + blockText(t, false, false) + "\r\n",
		"a table":              "--b\r\nContent-Type: text/html\r\n\r\n" + tableCode(t, `bgcolor="#000"`, ``) + "\r\n",
		"a table with styles":  "--b\r\nContent-Type: text/html\r\n\r\n" + tableCode(t, `style="width:4px;background-color:#112"`, `style="background:#fff"`) + "\r\n",
		"a table with classes": "--b\r\nContent-Type: text/html\r\n\r\n" + tableCode(t, `class=k`, `class=w`) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			raw := "From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + p + "--b--\r\n"
			r := Mail([]byte(raw), Option{})
			if len(r.URLs) != 1 || r.URLs[0].URL != qrURL || r.URLs[0].Role != Lure || !strings.Contains(strings.Join(r.URLs[0].Via, " "), "qr") {
				t.Errorf("got %+v, warnings %v", r.URLs, r.Warnings)
			}
		})
	}
}

// blockText draws a code with block characters: two modules in one, or one in two.
func blockText(t testing.TB, half, invert bool) string {
	grid := qrModules(t, qrURL)
	n := len(grid)
	at := func(x, y int) bool {
		dark := x >= 0 && y >= 0 && x < n && y < n && grid[y][x]
		return dark != invert
	}
	var b strings.Builder
	step := 1
	if half {
		step = 2
	}
	for y := -2; y < n+2; y += step {
		for x := -2; x < n+2; x++ {
			switch {
			case !half && at(x, y):
				b.WriteString("██")
			case !half:
				b.WriteString("  ")
			case at(x, y) && at(x, y+1):
				b.WriteString("█")
			case at(x, y):
				b.WriteString("▀")
			case at(x, y+1):
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func tableCode(t testing.TB, dark, light string) string {
	var b strings.Builder
	b.WriteString("<table><tr><td><table cellspacing=0>")
	for _, row := range qrModules(t, qrURL) {
		b.WriteString("<tr>")
		for _, d := range row {
			look := light
			if d {
				look = dark
			}
			b.WriteString("<td " + look + "></td>")
		}
		b.WriteString("</tr>")
	}
	return b.String() + "</table></td></tr></table>"
}

func FuzzPicture(f *testing.F) {
	f.Add(pngOf(f, qrImage(f, qrURL, 60)))
	f.Add([]byte("GIF89a\x20\x00\x20\x00"))
	f.Add([]byte("BM"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c collector
		c.readImage(b, Lure, []string{"image"})
		if c.seen.qrWork > maxQRWork+4*maxPicturePixels || c.seen.pixels > maxAllPixels {
			t.Fatalf("bounds: %+v", c.seen)
		}
	})
}

func FuzzDrawn(f *testing.F) {
	f.Add(blockText(f, true, false))
	f.Add(tableCode(f, "class=a", "class=b"))
	f.Fuzz(func(t *testing.T, s string) {
		var c collector
		c.drawnInPage(s, s, Lure, []string{"text/html"})
		holds(t, c.result(Result{Kind: Plain}))
	})
}

func BenchmarkQR(b *testing.B) {
	for name, img := range map[string]*image.Gray{"code of 300": qrImage(b, qrURL, 300), "noise of 1000": func() *image.Gray {
		g := image.NewGray(image.Rect(0, 0, 1000, 1000))
		r := rand.New(rand.NewPCG(1, 2))
		for i := range g.Pix {
			g.Pix[i] = uint8(r.IntN(256))
		}
		return g
	}()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var c collector
				c.findQR(img)
				b.ReportMetric(float64(c.seen.qrWork), "points")
			}
		})
	}
}
