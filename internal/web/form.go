package web

import (
	"errors"
	"net/http"

	"bolwerk"
)

// ReadForm reads a form's fields; at most what the frame lets through.
func ReadForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return err
		}
		return bolwerk.Invalid("the form could not be read")
	}
	return nil
}
