package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"bolwerk/internal/api"
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
	return l.each(t, d.JSON, func(fn func(json.RawMessage) error) error {
		return way.Pages(ctx, t, d.Server, d.TokenFile, path, q, fn)
	})
}

// found prints what a search that is posted finds; it has one page.
func (l list[T]) found(ctx context.Context, t *terminal.Terminal, way Way, d desktop, path string, ask any) error {
	return l.each(t, d.JSON, func(fn func(json.RawMessage) error) error {
		raw, err := way.Call(ctx, t, d.Server, d.TokenFile, http.MethodPost, path, ask)
		if err != nil {
			return err
		}
		var page api.Page[json.RawMessage]
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("answer of the desk: %w", err)
		}
		for _, item := range page.Items {
			if err := fn(item); err != nil {
				return err
			}
		}
		return nil
	})
}

// each prints the items that get gives one by one.
func (l list[T]) each(t *terminal.Terminal, asJSON bool, get func(func(json.RawMessage) error) error) error {
	if asJSON {
		out := t.List()
		if err := get(func(item json.RawMessage) error { return out.Add(item) }); err != nil {
			return err
		}
		return out.Close()
	}
	var all []T
	if err := get(func(item json.RawMessage) error {
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
