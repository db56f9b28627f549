package store

import (
	"fmt"
	"strings"
)

// ListMost is how many values In takes at once: few enough for either engine's
// bound on arguments, and more gain nothing.
const ListMost = 256

// In is the inside of `in (...)` for 1 to ListMost values, whose first placeholder is
// $first. The last value is repeated up to the next power of two, so that the engine
// meets few texts and keeps their plans.
func In[T any](first int, values []T) (string, []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var b strings.Builder
	args := make([]any, n)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", first+i)
		args[i] = values[min(i, len(values)-1)]
	}
	return b.String(), args
}

// rowsMost is how many rows one statement writes.
const rowsMost = 128

// Rows writes rows, each with as many values as into names columns, in few
// statements: into, the values, then onConflict. No two may be of the same key.
func Rows(tx *Tx, into string, rows [][]any, onConflict string) error {
	for len(rows) > 0 {
		n := 1
		for 2*n <= min(len(rows), rowsMost) {
			n *= 2 // few texts, as in In
		}
		var b strings.Builder
		b.WriteString(into)
		args := make([]any, 0, n*len(rows[0]))
		for i, r := range rows[:n] {
			sep := byte(',')
			if i == 0 {
				b.WriteString(" values")
				sep = ' '
			}
			b.WriteByte(sep)
			for j := range r {
				sep := byte(',')
				if j == 0 {
					sep = '('
				}
				b.WriteByte(sep)
				fmt.Fprintf(&b, "$%d", len(args)+j+1)
			}
			b.WriteByte(')')
			args = append(args, r...)
		}
		b.WriteString(onConflict)
		if _, err := tx.Exec(b.String(), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
