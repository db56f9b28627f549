package desk

import (
	"fmt"
	"slices"

	"bolwerk/internal/store"
)

// MaxCount is how far lists are counted: "10,000+" says enough, and costs the
// same however long the list is.
const MaxCount = 10_000

// Counted is how long a list is: exactly N, or with More set longer than N.
type Counted struct {
	N    int64 `json:"n"`
	More bool  `json:"more,omitempty"`
}

// Add counts two lists together.
func (c Counted) Add(o Counted) Counted {
	c.N += o.N
	c.More = c.More || o.More
	return c.cap()
}

func (c Counted) cap() Counted {
	if c.N > MaxCount {
		return Counted{MaxCount, true}
	}
	return c
}

// Where is a condition that grows, with its arguments. Only what is asked for
// stands in it: so the engines find the index for it.
type Where struct {
	SQL  string
	Args []any
}

// And adds a condition. Each "?" in it is the place of the next argument.
func (w *Where) And(cond string, args ...any) {
	if w.SQL != "" {
		w.SQL += " and "
	}
	for _, c := range []byte(cond) {
		if c != '?' {
			w.SQL += string(c)
			continue
		}
		w.Args = append(w.Args, args[0])
		args = args[1:]
		w.SQL += fmt.Sprintf("$%d", len(w.Args))
	}
}

// Like adds that column holds text, in letters of any case; nothing where text
// is empty.
func (w *Where) Like(column, text string) {
	if text != "" {
		w.And(column+` like ? escape '\'`, "%"+EscapeLike(text)+"%")
	}
}

// Select is a query for the first limit rows of what, in an order. The limit is
// an argument too: one statement serves them all.
func (w Where) Select(what, order string, limit int) (query string, args []any) {
	args = append(slices.Clone(w.Args), limit)
	return fmt.Sprintf("select %s where %s order by %s limit $%d", what, w.SQL, order, len(args)), args
}

// Count counts the rows of a table, MaxCount of them at most.
func Count(tx *store.Tx, table string, w Where) (Counted, error) {
	return CountTo(tx, table, w, MaxCount)
}

// CountTo counts the rows of a table, most of them at most.
func CountTo(tx *store.Tx, table string, w Where, most int64) (c Counted, err error) {
	args := append(slices.Clone(w.Args), most+1)
	err = tx.Row(fmt.Sprintf(`select count(*) from (select 1 from %s where %s limit $%d) x`, table, w.SQL, len(args)), args...).Scan(&c.N)
	if c.N > most {
		c = Counted{most, true}
	}
	return c, err
}

// EachState asks for the first limit rows of each state and puts them in one
// order: an index by state and place gives each of these without a sort, where
// "state in (...)" would sort all of them.
func EachState[S, T any](states []S, limit int, rows func(S, int) ([]T, error), order func(a, b T) int) ([]T, error) {
	var all []T
	for _, s := range states {
		some, err := rows(s, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	if len(states) > 1 {
		slices.SortStableFunc(all, order)
	}
	return all[:min(len(all), limit)], nil
}

// firstID is above every id: they are hexadecimal. A list by id, newest first,
// begins below it.
const firstID = "g"

func below(after string) string {
	if after == "" {
		return firstID
	}
	return after
}

// pageSize is how many rows a page has: 50 where nobody says, 500 at most.
func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 500)
}
