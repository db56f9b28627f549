// Package enforce puts lines where the desk wants them: into a profile of the access
// network, and back. The desk says what a session is to have; a port says whether the
// network does it. Ports know no cases and no store.
package enforce

import (
	"context"
	"time"

	"bolwerk/abuse/session"
)

// Profile is what a line may reach.
type Profile string

// The profiles. Normal is always the answer to a doubt.
const (
	Normal Profile = "normal" // no restriction
	Leaky  Profile = "leaky"  // what harms others is stopped, the rest goes on
	Strict Profile = "strict" // only the allow list of the garden is reached
)

// Order is what one session is to have.
type Order struct {
	// ID and Version name the wish; the same pair again asks for the same.
	ID      string
	Version int64
	// Session is whose it is now, found again at the moment of sending: the access
	// server, its name for the session, the user, the prefixes.
	Session session.Held
	Profile Profile
	// Was is what it has as far as the desk knows; empty where nobody does. Access
	// servers with services, not filters, are told by it which one to take away.
	Was Profile
	// Until is when the network has to let go by itself where it can. Zero for Normal.
	Until time.Time
	// Over says, for Normal, that the time of what it had has passed: where the network
	// has a timer of its own, that has ended it already.
	Over bool
}

// State is what came of an order.
type State string

// The states.
const (
	Applied State = "applied" // the network says that it is done, or will be at the next renewal
	Offline State = "offline" // the session is over: the profile is taken at the next login
	Refused State = "refused" // it never will, as it is asked: a person has to look
	Busy    State = "busy"    // not now: try again
	Silent  State = "silent"  // no answer: try again, nothing is known
)

// Result is what a port says of an order.
type Result struct {
	State State
	// Code is what the network said, such as an Error-Cause (RFC 5176, 3.5) in words.
	Code string
	// Again is how long to wait at least before the next try of Busy or Silent.
	Again time.Duration
	// Seen says that the port has looked, and saw the profile in force.
	Seen bool
}

// Port is a way to the access network. Put is idempotent and answers within ctx; its
// error is only for what is wrong with us (configuration, context), never for what the
// network says.
type Port interface {
	Put(ctx context.Context, o Order) (Result, error)
}
