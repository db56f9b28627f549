package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Screen is a terminal of its whole size, redrawn frame by frame. It uses the
// terminal's other page: what stood there comes back at Close.
type Screen struct {
	out     *os.File
	restore func()
}

// Screen takes the terminal over. ok is false where In and Out are none.
func (t *Terminal) Screen() (s *Screen, ok bool) {
	in, isIn := t.In.(*os.File)
	out, isOut := t.Out.(*os.File)
	if !isIn || !isOut || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	if _, _, ok := size(out); !ok {
		return nil, false
	}
	restore, err := keys(in)
	if err != nil {
		return nil, false
	}
	io.WriteString(out, "\x1b[?1049h\x1b[?25l")
	return &Screen{out, restore}, true
}

// Close gives the terminal back.
func (s *Screen) Close() {
	io.WriteString(s.out, "\x1b[?25h\x1b[?1049l")
	s.restore()
}

// Size is how many columns and lines there are now.
func (s *Screen) Size() (columns, lines int) {
	columns, lines, ok := size(s.out)
	if !ok {
		return 80, 24
	}
	return columns, lines
}

// Draw shows lines from the top, and nothing below them. What does not fit is
// left out.
func (s *Screen) Draw(lines []string) error {
	columns, rows := s.Size()
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	for i, l := range lines[:min(len(lines), rows)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(Clip(l, columns))
		b.WriteString("\x1b[0m\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err := s.out.Write(b.Bytes())
	return err
}

// Colours of a line's parts; the whole of what they mean is said in words too.
const (
	Plain  = "\x1b[0m"
	Bold   = "\x1b[1m"
	Red    = "\x1b[31m"
	Yellow = "\x1b[33m"
	Green  = "\x1b[32m"
)

// Clip cuts a line after so many columns; colours take none.
func Clip(line string, columns int) string {
	n := 0
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			end := strings.IndexByte(line[i:], 'm')
			if end < 0 {
				return line[:i]
			}
			i += end + 1
			continue
		}
		if n == columns {
			return line[:i]
		}
		_, w := utf8.DecodeRuneInString(line[i:])
		i, n = i+w, n+1
	}
	return line
}

// Uncolour takes colours out.
func Uncolour(line string) string {
	for {
		i := strings.IndexByte(line, '\x1b')
		if i < 0 {
			return line
		}
		end := strings.IndexByte(line[i:], 'm')
		if end < 0 {
			return line[:i]
		}
		line = line[:i] + line[i+end+1:]
	}
}

// IsTerminal says that people read what is written to w.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, _, ok = size(f)
	return ok
}

// Count writes a number with marks between the thousands: 1,204.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
