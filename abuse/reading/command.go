package reading

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"bolwerk"
	"bolwerk/internal/terminal"
)

// Line is what `bolwerk abuse read --json` prints: one line for each event, and
// one for each thing refused. The names of its fields are a promise to programs.
type Line struct {
	File   string `json:"file"`
	Format Format `json:"format"`
	*Event
	// Refused is the code of what was not read; the event is nil then.
	Refused    Code   `json:"refused,omitempty"`
	Why        string `json:"why,omitempty"`
	RefusedRow int    `json:"refused_row,omitempty"`
}

// Command is `bolwerk abuse read FILE...`: it shows the events that the desk
// would read in each file, "-" being standard input. A file that gives none is
// named in the error with the reason, and the others are read all the same.
func Command(files []string, asJSON bool, out io.Writer) error {
	if len(files) == 0 {
		return bolwerk.WithHint(bolwerk.Invalid("abuse read: no file named"), "bolwerk abuse read REPORT.eml; - is standard input")
	}
	var failed []error
	for _, name := range files {
		raw, err := load(name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r := Read(filepath.Base(name), raw, Option{})
		if asJSON {
			err = lines(out, name, r)
		} else {
			err = table(out, name, r)
		}
		if err != nil {
			return fmt.Errorf("abuse read: write: %w", err)
		}
		if len(r.Events) == 0 && len(r.Refused) > 0 {
			failed = append(failed, bolwerk.Invalid("abuse read %s: %v", name, r.Refused[0]))
		}
	}
	return errors.Join(failed...)
}

func load(name string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil, bolwerk.NotFound("abuse read %s: there is no such file", name)
		}
		if err != nil {
			return nil, fmt.Errorf("abuse read: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, MaxBytes+1)) // one more, so that Read sees that it is too large
	if err != nil {
		return nil, fmt.Errorf("abuse read %s: %w", name, err)
	}
	return raw, nil
}

func lines(out io.Writer, name string, r Result) error {
	put := func(l Line) error {
		b, err := terminal.Encode(l)
		if err == nil {
			_, err = out.Write(append(b, '\n'))
		}
		return err
	}
	for i := range r.Events {
		if err := put(Line{File: name, Format: r.Format, Event: &r.Events[i]}); err != nil {
			return err
		}
	}
	for _, x := range r.Refused {
		if err := put(Line{File: name, Format: r.Format, Refused: x.Code, Why: x.Why, RefusedRow: x.Row}); err != nil {
			return err
		}
	}
	return nil
}

// table writes what a person wants to see. Control and bidi characters are
// escaped.
func table(out io.Writer, name string, r Result) error {
	who := ""
	if r.Person {
		who = ", for a person"
	}
	fmt.Fprintf(out, "%s: %s, %s%s\n", terminal.Escape(name), r.Format, number(len(r.Events), "event"), who)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range r.Events {
		spoof := ""
		if e.Spoofable {
			spoof = ", spoofable"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s%s\t%s\n", e.Class, terminal.Escape(e.Where()), e.When(), e.Basis, spoof, e.Role)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, x := range r.Refused {
		fmt.Fprintf(out, "  ! refused: %s\n", terminal.Escape(x.Error()))
	}
	if more := r.RefusedCount - len(r.Refused); more > 0 {
		fmt.Fprintf(out, "  ! refused: %d more\n", more)
	}
	for _, s := range r.Warnings {
		fmt.Fprintf(out, "  ! %s\n", terminal.Escape(s))
	}
	return nil
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// Where is the source as a person reads it.
func (e *Event) Where() string {
	s := ""
	switch {
	case e.SourceIP.IsValid():
		s = e.SourceIP.String()
		if e.SourcePort > 0 {
			if e.SourceIP.Is6() {
				s = "[" + s + "]"
			}
			s += ":" + strconv.Itoa(int(e.SourcePort))
		}
	case e.SourceNet.IsValid():
		s = e.SourceNet.String()
	case e.SourceURL != "":
		return e.SourceURL
	case e.SourceDomain != "":
		return e.SourceDomain
	case e.SourceASN > 0:
		return "AS" + strconv.FormatUint(uint64(e.SourceASN), 10)
	}
	if e.SourceURL != "" {
		s += " " + e.SourceURL
	}
	return s
}

// When is the time as a person reads it, in UTC; "~" says that only the report
// has one.
func (e *Event) When() string {
	if e.Time.IsZero() {
		return "-"
	}
	s := e.Time.Format(time.RFC3339)
	switch e.TimeKind {
	case OfReport:
		return "~" + s
	case Range:
		return s + " (" + e.From.Format(time.DateTime) + " to " + e.To.Format(time.DateTime) + ")"
	}
	return s
}
