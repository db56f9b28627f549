package reading

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// OCR reads the letters of pictures with another program, tesseract. It is not
// trusted: it sees a picture that we drew ourselves, in a process without
// network, that can write nothing and is killed when it takes long.
type OCR struct {
	program string // absolute path
	langs   string
	command func() *exec.Cmd
	pool    *Pool
}

// Bounds of one run of the program.
const (
	ocrDeadline = 90 * time.Second // at the lowest priority on a busy machine
	ocrCPU      = 20               // seconds of a processor; 2 to 4 are usual
	ocrOutput   = 4 << 20
	ocrSure     = 80 // confidence from which a reading counts, 0 to 100; measured by bench/screenshots
)

// ocrLangs are the four languages of our reporters, as the program names them.
var ocrLangs = []string{"nld", "fra", "deu", "eng"}

// NewOCR finds out whether program can be run and which languages it has; an
// error says what is missing. command makes an unstarted reader process, pool is
// the one that cuts pictures.
func NewOCR(ctx context.Context, program string, command func() *exec.Cmd, pool *Pool) (*OCR, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s: not found; apt-get install tesseract-ocr tesseract-ocr-nld tesseract-ocr-fra tesseract-ocr-deu", program)
	}
	o := &OCR{program: path, command: command, pool: pool}
	out, err := o.run(ctx, nil, "--list-langs")
	if err != nil {
		return nil, fmt.Errorf("%s --list-langs: %w", path, err)
	}
	var have []string
	for line := range strings.Lines(string(out)) {
		if l := strings.TrimSpace(line); slices.Contains(ocrLangs, l) {
			have = append(have, l)
		}
	}
	if len(have) == 0 {
		return nil, fmt.Errorf("%s has none of the languages %s", path, strings.Join(ocrLangs, ", "))
	}
	o.langs = strings.Join(have, "+")
	return o, nil
}

// Languages are those that were found, as in "eng+nld".
func (o *OCR) Languages() string { return o.langs }

// run starts the program within its limits.
func (o *OCR) run(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, ocrDeadline)
	defer stop()
	first := o.command()
	cmd := exec.CommandContext(ctx, first.Path)
	cmd.Args = append(append(first.Args, "ocr", o.program), args...)
	cmd.Env = []string{"OMP_THREAD_LIMIT=1"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(in)
	var out, last bytes.Buffer
	cmd.Stdout, cmd.Stderr = &bounded{&out, ocrOutput}, &bounded{&last, 1000}
	// The kernel ends it with the thread that started it: that one must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	bind(cmd)
	if err := cmd.Run(); err != nil {
		line, _, _ := strings.Cut(last.String(), "\n")
		return nil, fmt.Errorf("%w: %s", err, shorten(value(line), 200))
	}
	return out.Bytes(), nil
}

// bounded keeps the beginning of what is written.
type bounded struct {
	to   *bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.to.Len()+len(p) > b.most {
		return 0, errors.New("too much")
	}
	return b.to.Write(p)
}

// RunOCR is the process that reads letters: it gives up the network, writing,
// and time without end, then becomes the program. It returns only an error.
func RunOCR(program string, args []string) error {
	if err := limitOCR(); err != nil {
		return fmt.Errorf("ocr: %w", err)
	}
	return become(program, append([]string{program}, args...))
}

// Read fills in the guesses of a picture. Its two readings are of different
// sizes: what both read alike and with confidence is sure, the rest is a guess.
func (o *OCR) Read(ctx context.Context, p *Picture) error {
	sizes := []int{100, 170}
	if max(p.Width, p.Height) >= maxShown {
		sizes = []int{100, 70} // a large screenshot: letters of 30 points and more
	}
	copies, err := o.pool.cut(ctx, CutOut{Grey: p.Grey, Sizes: sizes})
	if err != nil || len(copies) != len(sizes) {
		return errors.Join(err, errors.New("the picture could not be copied"))
	}
	var readings [2][]ocrGuess
	for i, c := range copies {
		// 6: one block of text, which keeps the words of a line together.
		out, err := o.run(ctx, c.Show, "stdin", "stdout", "-l", o.langs, "--psm", "6", "tsv")
		if err != nil {
			return err
		}
		readings[i] = guessesOf(parseTSV(bytes.NewReader(out)))
		for j := range readings[i] {
			readings[i][j].box = scaleBack(readings[i][j].box, sizes[i])
		}
	}
	guesses := agree(readings[0], readings[1])
	var boxes []image.Rectangle
	for _, g := range guesses {
		boxes = append(boxes, g.box)
	}
	if len(boxes) == 0 {
		return nil
	}
	crops, err := o.pool.cut(ctx, CutOut{Grey: p.Grey, Boxes: boxes})
	if err != nil {
		return err
	}
	for i, g := range guesses {
		out := Guess{Text: g.text, Confidence: g.confidence, Sure: g.sure}
		if i < len(crops) {
			out.Crop = crops[i].Show
		}
		p.Guesses = append(p.Guesses, out)
	}
	return nil
}

func scaleBack(r image.Rectangle, size int) image.Rectangle {
	r = r.Sub(image.Pt(shotBorder, shotBorder))
	return image.Rect(r.Min.X*100/size, r.Min.Y*100/size, r.Max.X*100/size, r.Max.Y*100/size)
}

// cut asks a child for parts and copies of a picture.
func (p *Pool) cut(ctx context.Context, q CutOut) ([]Picture, error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, err := p.Read(ctx, CutPicture, raw, Option{})
	return r.Pictures, err
}

// ocrWord is one word with its place.
type ocrWord struct {
	text       string
	confidence int
	line       string // block, paragraph and line
	box        image.Rectangle
}

const maxOCRWords = 5000

// parseTSV reads what tesseract writes: a heading, then a row per element;
// level 5 is a word.
func parseTSV(r io.Reader) (words []ocrWord) {
	b, _ := io.ReadAll(io.LimitReader(r, ocrOutput))
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) < 12 || f[0] != "5" || len(words) >= maxOCRWords {
			continue
		}
		var n [4]int
		ok := true
		for i := range n {
			v, err := strconv.Atoi(f[6+i])
			ok = ok && err == nil && v >= 0 && v < 1<<15
			n[i] = v
		}
		conf, err := strconv.ParseFloat(f[10], 64)
		text := strings.TrimSpace(clean(f[11]))
		if !ok || err != nil || text == "" || len(text) > 2000 {
			continue
		}
		if clean(f[11]) != f[11] {
			conf = 0 // what was taken out or replaced was not read
		}
		words = append(words, ocrWord{text, int(max(0, min(100, conf))), strings.Join(f[1:5], "."), image.Rect(n[0], n[1], n[0]+n[2], n[1]+n[3])})
	}
	return words
}

// ocrGuess is an address with its place. joined says that a machine cannot know
// it to be whole and right: it was put together of two lines, may go on on
// another, or holds letters that look alike.
type ocrGuess struct {
	text       string
	confidence int
	box        image.Rectangle
	joined     bool
	sure       bool
}

const maxGuesses = 10

// guessesOf looks for addresses in words: with a scheme, or a name with a dot.
// It is strict about what it calls whole, because a machine is sure of halves too.
func guessesOf(words []ocrWord) (out []ocrGuess) {
	right := 0 // where the longest line ends
	for _, w := range words {
		right = max(right, w.box.Max.X)
	}
	for i := 0; i < len(words) && len(out) < maxGuesses; i++ {
		w := words[i]
		text := trimAddress(w.text)
		if !addressLike(text) {
			continue
		}
		g := ocrGuess{text: text, confidence: w.confidence, box: w.box, joined: ambiguous(text)}
		if first := i == 0 || words[i-1].line != w.line; first && i > 0 && schemeAt(text+"   ") != 0 {
			// It may be the end of an address that begins on the line before.
			before := words[i-1]
			if end := before.text[len(before.text)-1]; strings.IndexByte(":!?,;", end) < 0 {
				g.joined = true
			}
			if strings.IndexByte("-./", before.text[len(before.text)-1]) >= 0 {
				g.text, g.confidence, g.box = before.text+text, min(g.confidence, before.confidence), g.box.Union(before.box)
			}
		}
		if strings.HasSuffix(w.text, "?") && (i+1 == len(words) || words[i+1].line != w.line) {
			g.text, g.joined, text = text+"?", true, w.text // a screen breaks behind it
		}
		for i+1 < len(words) && words[i+1].line != words[i].line && text == w.text {
			next := words[i+1]
			alone := i+2 >= len(words) || words[i+2].line != next.line
			sure, may := continues(g.text, next.text, alone)
			letter := max(1, w.box.Dx()/max(1, len(w.text)))
			switch {
			case right-w.box.Max.X < 2*letter, strings.IndexFunc(next.text, func(r rune) bool { return !unicode.IsLetter(r) }) >= 0:
				g.joined = true // the line is full, or what follows is no plain word
			}
			if !sure && (!may || !strings.ContainsAny(next.text, "/?=&%_-.0123456789")) || next.box.Min.Y <= w.box.Min.Y {
				break
			}
			g.text, g.confidence, g.box, g.joined = g.text+trimAddress(next.text), min(g.confidence, next.confidence), g.box.Union(next.box), true
			i++
			w = next
			text = trimAddress(next.text)
		}
		out = append(out, g)
	}
	return out
}

// ambiguous says that an address holds what no reader of letters can tell apart:
// codes of letters and digits, or of capitals and small letters, in which I, l
// and 1, or O and 0, stand for each other; or letters that are not ASCII, of which
// many look like one that is.
func ambiguous(s string) bool {
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		return true
	}
	if i := strings.Index(s, "://"); i >= 0 {
		s = s[i+3:]
	}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		digits, small, capitals := false, false, false
		for i, r := range part {
			digits = digits || unicode.IsDigit(r)
			small = small || unicode.IsLower(r)
			capitals = capitals || unicode.IsUpper(r) && i > 0
		}
		if digits && (small || capitals) || small && capitals || strings.ContainsAny(part, "I|") {
			return true
		}
	}
	return false
}

// trimAddress takes away what stands around an address in a sentence.
func trimAddress(s string) string {
	s = strings.TrimLeft(s, "(<[\"'“”„‘’«:>")
	return strings.TrimRight(s, ".,;:!?)>]\"'“”‘’»")
}

// addressLike says that a word looks like an address, also a badly read one.
func addressLike(s string) bool {
	l := strings.ToLower(s)
	if strings.Contains(l, "://") || strings.HasPrefix(l, "www.") || strings.HasPrefix(l, "http") {
		return true
	}
	if strings.Contains(s, "@") {
		return false
	}
	host, rest, path := strings.Cut(s, "/")
	name, tld, ok := cutLast(host, ".")
	if !ok || name == "" || len(tld) < 2 || len(tld) > 24 || strings.IndexFunc(tld, func(r rune) bool { return !unicode.IsLetter(r) }) >= 0 {
		return false
	}
	if path && rest != "" {
		return true
	}
	// "Bedankt.Uw": the end of a sentence without a space is no name.
	u, ok := Normalise("http://" + host)
	return ok && !u.Name.IsZero() && tld == strings.ToLower(tld) && len(name) > 2
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// agree compares two readings: sure is what both have, letter by letter, each
// with confidence, and whole on one line.
func agree(a, b []ocrGuess) []ocrGuess {
	var out []ocrGuess
	add := func(g ocrGuess) {
		if len(out) < maxGuesses && !slices.ContainsFunc(out, func(o ocrGuess) bool { return o.text == g.text }) {
			out = append(out, g)
		}
	}
	used := map[int]bool{}
	for _, g := range a {
		for i, o := range b {
			if o.text == g.text {
				used[i] = true
				g.confidence = min(g.confidence, o.confidence)
				_, valid := Normalise(withScheme(g.text))
				g.sure = valid && !g.joined && !o.joined && g.confidence >= ocrSure
				break
			}
		}
		add(g)
	}
	for i, o := range b {
		if !used[i] {
			add(o)
		}
	}
	return out
}
