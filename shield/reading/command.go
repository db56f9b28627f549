package reading

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"bolwerk"
	"bolwerk/internal/idn"
)

// Line is what `bolwerk read --json` prints for one file. The names of its
// fields are a promise to programs.
type Line struct {
	File     string    `json:"file"`
	Kind     Kind      `json:"kind"`
	URLs     []LineURL `json:"urls"`
	Warnings []string  `json:"warnings"`
	Others   []Other   `json:"others,omitempty"`
	Drill    string    `json:"drill,omitempty"`
}

// LineURL is one URL of a Line; noise is listed with its role.
type LineURL struct {
	URL  string   `json:"url"`
	Role Role     `json:"role"`
	Via  []string `json:"via"`
}

// Line is the result as `bolwerk read --json` prints it for file.
func (r Result) Line(file string) Line {
	l := Line{File: file, Kind: r.Kind, URLs: make([]LineURL, 0, len(r.URLs)), Warnings: append([]string{}, r.Warnings...), Others: r.Others, Drill: r.Drill}
	for _, u := range r.URLs {
		l.URLs = append(l.URLs, LineURL{u.URL, u.Role, append([]string{}, u.Via...)})
	}
	return l
}

// File reads a file: by its content, and by its name where that says more. What
// begins neither as a mail nor as another file that is known is text.
func File(name string, raw []byte) Result {
	if looksLikeMail(trimStart(raw)) || hasHeader(raw) || fileAlone(name, raw) != "" {
		return read(name, raw, Option{})
	}
	return Text(toUTF8(raw[:min(len(raw), MaxBytes)], ""))
}

// hasHeader says that bytes begin with a header of at least two fields, one of
// them a mail's.
func hasHeader(raw []byte) bool {
	h, _ := splitHeader(trimStart(raw[:min(len(raw), MaxHeaderBytes)]), &collector{})
	return len(h) >= 2 && (h.get("from") != "" || h.get("subject") != "" || h.get("content-type") != "" || h.get("received") != "")
}

func trimStart(b []byte) []byte {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// Command is `bolwerk read FILE...`: it shows what the desk would read in each
// file, "-" being standard input. A file that cannot be opened is named in the
// error, and the others are read all the same. Control and bidi characters are
// escaped; names are never defanged.
func Command(files []string, asJSON bool, out io.Writer) error {
	if len(files) == 0 {
		return bolwerk.WithHint(bolwerk.Invalid("read: no file named"), "bolwerk read MAIL.eml; - is standard input")
	}
	var failed []error
	for _, name := range files {
		raw, err := load(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r := File(name, raw)
		if asJSON {
			err = writeLine(out, r.Line(name))
		} else {
			err = table(out, name, r)
		}
		if err != nil {
			return fmt.Errorf("read: write: %w", err)
		}
	}
	return errors.Join(failed...)
}

func load(name string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, bolwerk.NotFound("read %s: there is no such file", name)
		}
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, MaxBytes+1)) // one more, so that Mail sees that it was cut
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return raw, nil
}

// writeLine writes one line of JSON in which every control, bidi and other
// hidden character is escaped.
func writeLine(out io.Writer, l Line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, escapeJSON(string(b))+"\n")
	return err
}

// escapeJSON turns what idn.Escape would write as \u{202e} into JSON's own
// escapes; encoding/json leaves bidi controls as they are.
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		shown := idn.Escape(string(r))
		switch {
		case shown == string(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// table writes what a person wants to see.
func table(out io.Writer, name string, r Result) error {
	wanted := len(r.Wanted())
	fmt.Fprintf(out, "%s: %s, %d of %d links count\n", idn.Escape(name), r.Kind, wanted, len(r.URLs))
	if h := r.Inner; h != nil {
		fmt.Fprintf(out, "  from     %s <%s>\n  subject  %s\n", idn.Escape(h.Name), idn.Escape(h.From), idn.Escape(h.Subject))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, u := range r.URLs {
		shown := idn.Escape(u.URL)
		if s := idn.Show(u.Name); s != u.Host && !u.Name.IsZero() {
			shown += "  (" + s + ")"
		}
		if len(u.Notes) > 0 {
			shown += "  [" + strings.Join(u.Notes, ", ") + "]"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", u.Role, shown, strings.Join(u.Via, " > "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, o := range r.Others {
		fmt.Fprintf(out, "  %-9s %s\n", o.Kind, idn.Escape(o.Value))
	}
	if r.Drill != "" {
		fmt.Fprintf(out, "  exercise: it says so itself (%s)\n", idn.Escape(r.Drill))
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(out, "  ! %s\n", idn.Escape(s))
	}
	return nil
}
