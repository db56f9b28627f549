package who

import (
	"context"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
)

// Kinds are what hosts may hand in.
func Kinds() map[string]handin.Kind {
	return map[string]handin.Kind{door.KindSessions: {Roles: []join.Role{join.Intake}, Max: 4 << 20, Sealed: true}}
}

// Receive takes what a host handed in.
func (w *Who) Receive(ctx context.Context, kind string, body []byte) error {
	if kind != door.KindSessions {
		return bolwerk.Invalid("the abuse desk takes no %q", kind)
	}
	records, err := session.Decode(body)
	if err != nil {
		return err
	}
	return w.Take(ctx, records)
}
