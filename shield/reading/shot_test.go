package reading

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
)

// blobSize is blob.MaxSize.
const blobSize = 32 << 20

func grain(w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(1, 2))
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = uint8(r.Uint32())
	}
	return g
}

func pngBytes(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestShots: which pictures are put before a person.
func TestShots(t *testing.T) {
	const signature = "I got this.\r\n\r\n-- \r\nJan, www.janssens-works.example"
	inner := "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\nSubject: x\r\n\r\nhttps://lure.example/x\r\n"
	for _, c := range []struct {
		name, text, more string
		w, h, want       int
	}{
		{"a screenshot alone", "I got this.", "", 400, 700, 1},
		{"a message cut out of it", "I got this.", "", 700, 150, 1},
		{"under a signature with a link", signature, "", 400, 700, 1},
		{"the logo of a signature", signature, "", 700, 150, 0},
		{"too small to hold a message", "I got this.", "", 100, 700, 0},
		{"beside a forwarded mail with a link", "I got this.", inner, 400, 700, 0},
	} {
		mail := fmt.Sprintf("From: a@home.example\r\nSubject: look\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n%s\r\n%s--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n",
			c.text, c.more, base64.StdEncoding.EncodeToString(pngBytes(t, image.NewGray(image.Rect(0, 0, c.w, c.h)))))
		if got := Mail([]byte(mail), Option{}); len(got.Pictures) != c.want {
			t.Errorf("%s: %d pictures, want %d", c.name, len(got.Pictures), c.want)
		}
		if got := Mail([]byte(mail), Option{Fast: true}); len(got.Pictures) != 0 || got.Later == 0 {
			t.Errorf("%s, first pass: %d pictures, %d left for later", c.name, len(got.Pictures), got.Later)
		}
	}
}

// TestShotBounds: the worst that four pictures of one report can be still fits into
// a reply, and what is kept of them into a blob. base64 makes four bytes of three.
func TestShotBounds(t *testing.T) {
	var c collector
	c.keep(grain(maxRead, maxRead))
	p := c.pictures(Alone)
	if len(p) != 1 || p[0].Width != maxShown || p[0].Height != maxShown {
		t.Fatalf("got %d pictures", len(p))
	}
	if all := maxShots * (len(p[0].Show) + len(p[0].Grey)) / 3 * 4; all > maxReply {
		t.Errorf("a reply of %d bytes: at most %d", all, maxReply)
	}
	if all := maxShots * (len(p[0].Show) + maxGuesses*maxCropBytes) / 3 * 4; all > blobSize {
		t.Errorf("kept are %d bytes: at most %d", all, blobSize)
	}
	// What is cut out is no larger than two lines of letters, however large a place
	// the program says that it read in.
	cuts := cut(CutOut{Grey: p[0].Grey, Boxes: []image.Rectangle{image.Rect(0, 0, maxRead, maxRead), image.Rect(0, 0, 40, 40), image.Rect(-9, -9, 1<<30, 1<<30), {}}})
	if len(cuts) != 4 || len(cuts[0].Show) != 0 || len(cuts[2].Show) != 0 || len(cuts[1].Show) == 0 {
		t.Errorf("cuts: %d", len(cuts))
	}
	for _, broken := range []CutOut{{}, {Grey: []byte("\x89PNG")}, {Grey: p[0].Grey, Boxes: make([]image.Rectangle, maxCuts+1)}} {
		if got := cut(broken); got != nil {
			t.Errorf("cut of nonsense: %d pictures", len(got))
		}
	}
}

// TestLinked: only what is sure becomes a link, and says that a machine read it.
func TestLinked(t *testing.T) {
	r := Result{Pictures: []Picture{{Guesses: []Guess{{Text: "sure.example/x", Sure: true}, {Text: "unsure.example"}, {Text: "javascript:alert(1)", Sure: true}}}}}
	r.Linked()
	w := r.Wanted()
	if len(w) != 1 || w[0].Host != "sure.example" || !strings.HasSuffix(strings.Join(w[0].Via, " > "), "image > ocr") {
		t.Errorf("links: %+v", w)
	}
	if !r.Unsure() {
		t.Error("a picture with an unsure guess needs no person")
	}
}
