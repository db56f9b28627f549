// Package fault marks the places at which a crash test stops the program.
// Without the build tag "fault" a Point is nothing and costs nothing.
//
// With the tag, BOLWERK_FAULT=name[:count]=kill|error|torn makes the count-th
// passage of that point kill the process at once, or fail with ErrInjected.
package fault

import "errors"

// ErrInjected is the error that a point returns when it was told to.
var ErrInjected = errors.New("injected fault")
