// Package bolwerk is the language of the house: the small value types and error
// kinds that every part speaks. It imports the standard library only.
//
// A value of one of these types cannot be wrong: it is parsed once at the door
// and trusted inside.
package bolwerk

import (
	"errors"
	"fmt"
)

// The kinds of error that callers act on. Everything else is ours to log.
// Wrap them: fmt.Errorf("block %s: %w", name, bolwerk.ErrConflict).
var (
	ErrInvalid   = errors.New("not valid")   // the input is wrong; the message says what
	ErrNotFound  = errors.New("not found")   // there is no such thing
	ErrConflict  = errors.New("conflict")    // it is already so, or somebody changed it meanwhile
	ErrForbidden = errors.New("not allowed") // this actor may not do this
	ErrFull      = errors.New("no room")     // a bound or the disk is reached; try again later
)

// Refusal is an error of one of the kinds with a sentence for the person who
// asked and, where there is one, a hint what to do next.
type Refusal struct {
	Kind error  // one of the kinds above
	What string // what was refused and why, lower case, no full stop
	Hint string // what to do next, or empty
}

func (r *Refusal) Error() string { return r.What }
func (r *Refusal) Unwrap() error { return r.Kind }

// Invalid says that input is wrong.
func Invalid(format string, a ...any) error { return refuse(ErrInvalid, format, a) }

// NotFound says that there is no such thing.
func NotFound(format string, a ...any) error { return refuse(ErrNotFound, format, a) }

// Conflict says that it is already so, or changed meanwhile.
func Conflict(format string, a ...any) error { return refuse(ErrConflict, format, a) }

// Forbidden says that this actor may not do this.
func Forbidden(format string, a ...any) error { return refuse(ErrForbidden, format, a) }

// WithHint adds what to do next to an error made by this package.
func WithHint(err error, hint string) error {
	var r *Refusal
	if errors.As(err, &r) {
		c := *r
		c.Hint = hint
		return &c
	}
	return &Refusal{Kind: err, What: err.Error(), Hint: hint}
}

func refuse(kind error, format string, a []any) error {
	return &Refusal{Kind: kind, What: fmt.Sprintf(format, a...)}
}
