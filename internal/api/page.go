package api

// Answer is a body.
type Answer[T any] struct{ Body T }

// Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the page after; absent on the last"`
}

// Window is which page is asked for.
type Window struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"items a page"`
}

// Paged makes a page of the rows that a list gave for w.
func Paged[T any](w Window, rows []T, id func(T) string) *Answer[Page[T]] {
	if rows == nil {
		rows = []T{}
	}
	p := Page[T]{Items: rows}
	if w.Limit > 0 && len(rows) == w.Limit { // without a window it is all of them
		p.Next = id(rows[len(rows)-1])
	}
	return &Answer[Page[T]]{Body: p}
}
