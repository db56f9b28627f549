// Package fault marks the places at which a crash test stops the program.
// Without the build tag "fault" a Point is nothing and costs nothing.
//
// With the tag, BOLWERK_FAULT=name[:count]=kill|stop|error|torn makes the count-th
// passage of that point kill the process at once, stop it until SIGCONT ("stop"),
// fail with ErrInjected, or,
// where bytes are being written, leave half of them behind and kill.
// BOLWERK_FAULT_LOG=FILE appends the name of every point passed to FILE, so
// that a test can enumerate them.
package fault

import "errors"

// ErrInjected is the error that a point returns when it was told to.
var ErrInjected = errors.New("injected fault")
