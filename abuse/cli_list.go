package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"

	"bolwerk/internal/terminal"
)

// list is how a list of the API is printed: the words of its first line, what one of it is
// called, and many, and a row.
type list[T any] struct {
	head, one, many string
	row             func(w io.Writer, v T)
}

// print gets all of a path, and prints it.
func (l list[T]) print(ctx context.Context, t *terminal.Terminal, way Way, d desktop, path string, q url.Values) error {
	if d.JSON {
		out := t.List()
		if err := way.Pages(ctx, t, d.Server, d.TokenFile, path, q, func(item json.RawMessage) error { return out.Add(item) }); err != nil {
			return err
		}
		return out.Close()
	}
	var all []T
	if err := way.Pages(ctx, t, d.Server, d.TokenFile, path, q, func(item json.RawMessage) error {
		var v T
		err := json.Unmarshal(item, &v)
		all = append(all, v)
		return err
	}); err != nil {
		return err
	}
	return t.Table(func(w io.Writer) {
		if len(all) > 0 {
			fmt.Fprintln(w, l.head)
		}
		for _, v := range all {
			l.row(w, v)
		}
		fmt.Fprintf(w, "%d %s\n", len(all), map[bool]string{true: l.one, false: l.many}[len(all) == 1])
	})
}
