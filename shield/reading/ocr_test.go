package reading

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// message draws lines of text in a bubble, as a phone shows them.
func message(t testing.TB, dark bool, size float64, lines ...string) *image.Gray {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		t.Fatal(err)
	}
	ground, bubble, ink := color.Gray{255}, color.Gray{232}, color.Gray{0}
	if dark {
		ground, bubble, ink = color.Gray{0}, color.Gray{40}, color.Gray{255}
	}
	g := image.NewGray(image.Rect(0, 0, int(size*30), int(size*float64(len(lines)+6)*1.4)))
	draw.Draw(g, g.Rect, image.NewUniform(ground), image.Point{}, draw.Src)
	draw.Draw(g, g.Rect.Inset(int(size)), image.NewUniform(bubble), image.Point{}, draw.Src)
	for i, l := range lines {
		d := font.Drawer{Dst: g, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(int(2*size), int(size*(3+1.4*float64(i))))}
		d.DrawString(l)
	}
	return g
}

// withinLimits skips where nothing would limit the program: there it is not run.
func withinLimits(t *testing.T) {
	t.Helper()
	if !canLimit() {
		t.Skip("skipped: no filter of system calls or no Landlock on this system: no program that reads letters is run here")
	}
}

func ocrForTest(t *testing.T) (*OCR, *Pool) {
	t.Helper()
	withinLimits(t)
	if _, err := exec.LookPath("tesseract"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("tesseract is not installed: run test/peers/install.sh as root")
		}
		t.Skip("skipped: tesseract is not installed: no letters in pictures are read (test/peers/install.sh installs it)")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self := func() *exec.Cmd { return exec.Command(exe, "reader") }
	pool := NewPool(1, self, time.Minute, slog.New(slog.DiscardHandler)).Behind()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	o, err := NewOCR(t.Context(), "tesseract", self, pool)
	if err != nil {
		t.Fatal(err)
	}
	return o, pool
}

// TestOCR: what is sure is right; the rest comes with the part of the picture
// that it was read in.
func TestOCR(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds a picture")
	}
	o, pool := ocrForTest(t)
	exact := 0
	for _, c := range []struct {
		want string
		img  *image.Gray
	}{
		{"https://merelbank.example/login", message(t, false, 32, "Uw rekening is geblokkeerd.", "Bevestig: https://merelbank.example/login", "Merelbank")},
		{"https://pakket.example/betaal", message(t, true, 32, "Votre colis attend.", "Payez: https://pakket.example/betaal", "Merci")},
		{"http://post.example/x?id=12345", message(t, false, 28, "Ihr Paket wartet.", "Hier: http://post.example/x?id=12345 danke")},
		{"https://kort.example/l1IO0o", message(t, false, 32, "Klik: https://kort.example/l1IO0o")},
		{"https://lang.example/een/pad/dat/doorgaat", message(t, false, 32, "Klik: https://lang.example/een/", "pad/dat/doorgaat")},
	} {
		r, err := pool.Read(t.Context(), ReadMail, pngOf(t, c.img), Option{Evidence: true})
		if err != nil || len(r.Pictures) != 1 {
			t.Fatalf("%s: %d pictures, %v, %v", c.want, len(r.Pictures), r.Warnings, err)
		}
		p := r.Pictures[0]
		if err := o.Read(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
		for _, g := range p.Guesses {
			t.Logf("%s: read %q, %d %%, sure %v", c.want, g.Text, g.Confidence, g.Sure)
			switch {
			case g.Sure && g.Text != c.want:
				t.Errorf("sure and wrong: %q for %q", g.Text, c.want)
			case g.Sure:
				exact++
			case !bytes.HasPrefix(g.Crop, []byte("\x89PNG")):
				t.Errorf("%q: a guess without its picture", g.Text)
			}
		}
		r.Pictures = []Picture{p}
		r.Linked()
		for _, u := range r.Wanted() {
			if !slices.Contains(u.Via, "ocr") {
				t.Errorf("%s: a link by way of %v", u.URL, u.Via)
			}
		}
	}
	if exact == 0 {
		t.Error("not one address was read surely")
	}
}

// TestOCRLimits: the process that reads letters cannot write, has no network and
// sees no file of the desk.
func TestOCRLimits(t *testing.T) {
	withinLimits(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, secret := filepath.Join(t.TempDir(), "written"), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"writes":             "echo x > " + file + " && echo done",
		"reads the desk's":   "read x < " + secret + " && echo done",
		"removes":            "rm " + exe + " && echo done",
		"starts another":     "/bin/ls / && echo done",
		"asks another place": "exec 3<>/dev/tcp/127.0.0.1/9 && echo done",
	} {
		t.Run(name, func(t *testing.T) {
			shell := "/bin/sh"
			if strings.Contains(script, "/dev/tcp") {
				if shell, err = exec.LookPath("bash"); err != nil {
					t.Skip("needs bash")
				}
			}
			out, _ := exec.Command(exe, "reader", "ocr", shell, "-c", script).CombinedOutput()
			if strings.Contains(string(out), "done") {
				t.Errorf("it could: %s", out)
			}
		})
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
	out, err := exec.Command(exe, "reader", "ocr", "/bin/sh", "-c", "echo still here").CombinedOutput()
	if err != nil || string(out) != "still here\n" {
		t.Errorf("what it may do: got %q, %v", out, err)
	}
}

func TestOCRGuesses(t *testing.T) {
	row := func(line, left, top int, text string) string {
		return strings.Join([]string{"5", "1", "1", "1", string(rune('0' + line)), "1", num(left), num(top), num(10 * len(text)), "20", "95", text}, "\t")
	}
	read := func(rows ...string) []ocrGuess {
		return guessesOf(parseTSV(strings.NewReader(strings.Join(rows, "\n"))))
	}
	for _, c := range []struct {
		name, text string
		whole      bool
		rows       []string
	}{
		{"alone in a line with more", "https://a.example/x", true, []string{row(1, 0, 0, "Ga"), row(1, 30, 0, "https://a.example/x"), row(1, 300, 0, "nu"), row(2, 0, 30, "Bedankt")}},
		{"at the end of all", "https://a.example/x", true, []string{row(1, 0, 0, "Gaat u vandaag nog naar"), row(2, 0, 30, "https://a.example/x")}},
		{"goes on", "https://a.example/x-y", false, []string{row(1, 0, 0, "https://a.example/x-"), row(2, 0, 30, "y")}},
		{"behind a question mark", "https://a.example/x?id=5", false, []string{row(1, 0, 0, "https://a.example/x?"), row(2, 0, 30, "id=5")}},
		{"began on the line before", "bank-veilig.example", false, []string{row(1, 0, 0, "bank-"), row(2, 0, 30, "veilig.example")}},
		{"a code", "https://a.example/l1O0", false, []string{row(1, 0, 0, "Zie"), row(1, 50, 0, "https://a.example/l1O0")}},
		{"a letter of another alphabet", "https://\u0430.example/x", false, []string{row(1, 0, 0, "Zie"), row(1, 50, 0, "https://\u0430.example/x"), row(1, 300, 0, "nu")}},
		{"a full line", "https://a.example/lang", false, []string{row(1, 0, 0, "https://a.example/lang"), row(2, 0, 30, "er")}},
	} {
		got := read(c.rows...)
		if len(got) != 1 || got[0].text != c.text || got[0].joined == c.whole {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
	for _, s := range []string{"14.35", "Bedankt.Uw", "e.g.", "a@b.example", "12.000", "..."} {
		if got := read(row(1, 0, 0, s)); len(got) > 0 {
			t.Errorf("%q: got %+v", s, got)
		}
	}
}

func num(n int) string {
	var b []byte
	for ; n > 0 || len(b) == 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func FuzzOCROutput(f *testing.F) {
	f.Add("level\tpage\n5\t1\t1\t1\t1\t1\t10\t10\t200\t20\t95.5\thttps://a.example/x")
	f.Add("5\t1\t1\t1\t1\t1\t10\t10\t200\t20\t95\thttps://a-\n5\t1\t1\t1\t2\t1\t10\t40\t200\t20\t95\tb.example/?")
	f.Add("5\t\tm\t1\t1\t1\t10\t10\t209\t20\t95\thttps:0/a\xff")
	f.Add("5\t\tm\t1\t1\t1\t10\t10\t209\t20\t95\thttps://a.example/\u202ea")
	f.Fuzz(func(t *testing.T, s string) {
		words := parseTSV(strings.NewReader(s))
		a := guessesOf(words)
		for _, g := range agree(a, a) {
			if g.sure && (g.joined || g.confidence < ocrSure || !strings.Contains(s, g.text)) {
				t.Fatalf("sure of what was not read: %+v", g)
			}
		}
		if len(a) > maxGuesses {
			t.Fatalf("%d guesses", len(a))
		}
	})
}
