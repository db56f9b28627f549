package desk

import (
	"context"
	"time"

	"bolwerk"
)

// A subscriber may ask what is kept about them, and that it be erased (GDPR art. 15
// and 17). Each capability knows what it keeps: it fills Keeper, and the app asks all of
// them.

// Kept is one thing that is kept about a subscriber.
type Kept struct {
	What  string    `json:"what"` // case, session, look, view ...
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Until string    `json:"kept"`           // for how long, in words
	Days  int       `json:"days,omitempty"` // of Until, where it is a number of days
	Data  any       `json:"data,omitempty"` // what others said names nobody else
}

// Erased is what became of one kind of what was kept about a subscriber.
type Erased struct {
	What   string `json:"what"`
	Erased int    `json:"erased"`
	Kept   int    `json:"kept"`
	Why    string `json:"why,omitempty"` // of what is kept: the duty or the right, and until when
}

// Hold keeps a case, or all of a subscriber, from being erased and forgotten until it
// ends: a law or an order asks for it.
type Hold struct {
	ID         string    `json:"id"`
	Case       string    `json:"case,omitempty"` // id; empty: all of Subscriber
	Subscriber string    `json:"-"`              // empty: only Case
	Legal      string    `json:"legal"`
	Until      time.Time `json:"until"`
}

// Keeper keeps things about subscribers.
type Keeper interface {
	// About gives all that is kept about a subscriber, as accounting names it. Who
	// reported, and who of the staff decided, is not in it.
	About(ctx context.Context, subscriber string) ([]Kept, error)
	// Erase erases what no duty keeps, and says what it leaves and why. It is asked
	// again without harm.
	Erase(ctx context.Context, by bolwerk.Actor, subscriber string) ([]Erased, error)
}
