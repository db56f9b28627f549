package web

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bolwerk"
)

// Problem is an error as an outsider sees it: problem details (RFC 9457) for a
// program, a page for a person.
type Problem struct {
	Type    string `json:"type"` // always about:blank: the status says it
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`  // what was refused and why; empty when it is our fault
	Hint    string `json:"hint,omitempty"`    // what to do next
	Request string `json:"request,omitempty"` // id to tell us
	After   int    `json:"-"`                 // seconds for Retry-After; 0 is none
}

// Wait is an error that goes away by itself.
type Wait struct {
	Err   error
	After time.Duration
}

func (w *Wait) Error() string { return w.Err.Error() }
func (w *Wait) Unwrap() error { return w.Err }

// Beside is an error as it stands beside the form that it is about, where it is about what
// was entered: ok is false for one that is our fault, or that no other entry mends. What
// was malformed has the status of what is refused.
func Beside(err error) (p Problem, ok bool) {
	p = Explain(err)
	switch p.Status {
	case http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge:
		return p, false
	case http.StatusBadRequest:
		p.Status = http.StatusUnprocessableEntity
	}
	return p, true
}

// Explain gives our own kinds of error in full and hides the rest behind a
// status of 500.
func Explain(err error) Problem {
	p := Problem{Status: statusOf(err)}
	var r *bolwerk.Refusal
	if p.Status != http.StatusInternalServerError && errors.As(err, &r) {
		p.Detail, p.Hint = r.What, r.Hint
	}
	var w *Wait
	if errors.As(err, &w) {
		p.After = max(1, int(math.Ceil(w.After.Seconds())))
	} else if p.Status == http.StatusServiceUnavailable {
		p.After = 30
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func statusOf(err error) int {
	var wait *Wait
	switch {
	case tooLarge(err):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &wait):
		return http.StatusTooManyRequests
	case errors.Is(err, bolwerk.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, bolwerk.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, bolwerk.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, bolwerk.ErrForbidden):
		return http.StatusForbidden
	case errors.Is(err, bolwerk.ErrFull), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Fail answers a request with an error. What is not one of our kinds is logged
// here, once, with the id that the page shows.
func (f *Frame) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there to read it
	}
	p := Explain(err)
	p.Request = recordOf(r).id
	if p.Status == http.StatusInternalServerError {
		f.site.Log.Error("page failed", "site", f.site.Name, "route", r.Pattern, "request", p.Request, "err", err)
	}
	f.write(w, r, p)
}

// Refuse answers with a status of the caller's choice, such as 401.
func (f *Frame) Refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	p := Explain(err)
	p.Status, p.Title, p.Request = status, http.StatusText(status), recordOf(r).id
	f.write(w, r, p)
}

func (f *Frame) write(w http.ResponseWriter, r *http.Request, p Problem) {
	if WantsJSON(r) {
		p.Write(w)
		return
	}
	p.header(w)
	if err := f.own.Render(w, r, p.Status, "problem", f.Told(r, p)); err != nil {
		f.site.Log.Error("error page not written", "request", p.Request, "err", err)
		http.Error(w, http.StatusText(p.Status), p.Status)
	}
}

func (p Problem) header(w http.ResponseWriter) {
	if p.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.After))
	}
}

// Write answers with problem details.
func (p Problem) Write(w http.ResponseWriter) {
	p.Type = "about:blank"
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	p.header(w)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // a broken connection is all that can go wrong
}

// Known says that there is a text of its own for the status.
func (p Problem) Known() bool {
	switch p.Status {
	case 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503:
		return true
	}
	return false
}

// WantsJSON says that a program asks: the path is the API's, or only JSON is
// accepted.
func WantsJSON(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a broken connection is all that can go wrong
	return nil
}
