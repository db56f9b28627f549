// Package terminal is where commands read and write: tables for people, JSON
// for programs, and nothing in either that would change how a terminal shows it.
package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"bolwerk/internal/idn"
)

// Terminal is what a command is given instead of the process's own streams.
type Terminal struct {
	In  io.Reader
	Out io.Writer // what was asked for
	Err io.Writer // warnings and hints
}

// Escape writes s on one line with control, bidi and other hidden characters
// escaped. Names stay as they are: nothing is defanged.
func Escape(s string) string { return idn.Escape(s) }

// JSON writes v as one indented object.
func (t *Terminal) JSON(v any) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = t.Out.Write(out.Bytes())
	return err
}

// Table calls fn with a writer whose cells are parted by tabs. What strangers
// wrote goes through Escape first.
func (t *Terminal) Table(fn func(w io.Writer)) error {
	w := tabwriter.NewWriter(t.Out, 0, 4, 2, ' ', 0)
	fn(w)
	return w.Flush()
}

// List writes {"items":[...]} item by item, as they come.
type List struct {
	out io.Writer
	n   int
}

// List begins a list. Close ends it.
func (t *Terminal) List() *List { return &List{out: t.Out} }

// Add writes one item on a line of its own.
func (l *List) Add(v any) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	before := ",\n"
	if l.n == 0 {
		before = `{"items":[` + "\n"
	}
	l.n++
	_, err = fmt.Fprintf(l.out, "%s%s", before, b)
	return err
}

// Close writes the end.
func (l *List) Close() error {
	end := "\n]}\n"
	if l.n == 0 {
		end = `{"items":[]}` + "\n"
	}
	_, err := io.WriteString(l.out, end)
	return err
}

// Encode is v as JSON on one line. encoding/json leaves DEL, C1 and bidi
// controls as they are; here they are \uXXXX.
func Encode(v any) ([]byte, error) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false) // an address stays readable
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, r := range strings.TrimSuffix(plain.String(), "\n") {
		switch {
		case r < 0x7f || idn.Escape(string(r)) == string(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return []byte(b.String()), nil
}
