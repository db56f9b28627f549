package shield

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk/desk"
	"bolwerk/internal/clock"
)

// listOf is a list of the console, whatever it lists: its rows page by page, how
// long it is, and its columns as a file for a spreadsheet. Both ways out show
// the same rows: what rows gives for the filter that it was made with.
type listOf[T any] struct {
	// name is what is listed, in the name of the file: "blocks".
	name string
	// rows gives the first limit rows behind the one of that id; "" begins.
	rows func(after string, limit int) ([]T, error)
	// count says how many there are on all pages.
	count func() (desk.Counted, error)
	// id names a row for rows.
	id func(T) string
	// columns are those of the file.
	columns []column[T]
}

// column is a column of a file. Its head is for programs: the name that the API
// uses.
type column[T any] struct {
	head string
	cell func(T) string
}

// around is what a page shows around the rows of a list.
type around struct {
	Count desk.Counted
	Next  string // address of the page after; empty on the last
	CSV   string // address of the file
}

// rows is how many rows of a list stand on one page, maxFile in a file.
const (
	rows    = 50
	maxFile = 100_000
)

// counting is a list's length in the words of a text.
type counting struct {
	around
	Key string
	Max int // rows of a file
}

// Counting says how long the list is by a text of the page.
func (l around) Counting(key string) counting { return counting{l, key, maxFile} }

// page gives the rows of the page that is asked for, and what stands around them.
func (l listOf[T]) page(r *http.Request) (all []T, out around, err error) {
	q := r.URL.Query()
	after := q.Get("after")
	if all, err = l.rows(after, rows+1); err != nil {
		return nil, out, err
	}
	q.Del("done")
	q.Del("was")
	if len(all) > rows {
		all = all[:rows]
		q.Set("after", l.id(all[rows-1]))
		out.Next = r.URL.Path + "?" + q.Encode()
	}
	q.Del("after")
	q.Set("format", "csv")
	out.CSV = r.URL.Path + "?" + q.Encode()
	if after == "" && out.Next == "" {
		out.Count.N = int64(len(all)) // all of them are on this page
		return all, out, nil
	}
	out.Count, err = l.count()
	return all, out, err
}

// asFile says that a list is wanted as a file.
func asFile(r *http.Request) bool { return r.URL.Query().Get("format") == "csv" }

// file answers with the list as CSV (RFC 4180): streamed, at most maxFile rows,
// times in UTC. A cell that a spreadsheet would take for a formula begins with
// an apostrophe.
func (l listOf[T]) file(w http.ResponseWriter, r *http.Request, c clock.Clock) error {
	const perRead = 500
	part, err := l.rows("", perRead)
	if err != nil {
		return err // nothing is written yet: a page says why
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.csv"`, l.name, c.Now().UTC().Format("2006-01-02")))
	out := csv.NewWriter(w)
	out.UseCRLF = true
	cells := make([]string, len(l.columns))
	for i, col := range l.columns {
		cells[i] = col.head
	}
	out.Write(cells) // the writer keeps the first error; Flush tells
	for n := 0; ; {
		for _, row := range part[:min(len(part), maxFile-n)] {
			for i, col := range l.columns {
				cells[i] = harmless(col.cell(row))
			}
			out.Write(cells)
			n++
		}
		out.Flush()
		if out.Error() != nil || r.Context().Err() != nil {
			return nil // who asked is gone
		}
		if len(part) < perRead || n >= maxFile {
			return nil
		}
		// A long file may take longer than a page; one that nobody reads ends.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
		if part, err = l.rows(l.id(part[len(part)-1]), perRead); err != nil {
			panic(http.ErrAbortHandler) // a file that ends early must not look whole
		}
	}
}

// harmless is a cell that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + cell
	}
	return cell
}

// stamp is a time in a file; empty where there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func number(n int64) string { return fmt.Sprint(n) }
