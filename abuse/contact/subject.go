package contact

import (
	"context"
	"errors"
	"fmt"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// About gives how a subscriber is reached, or whoever is on a line; see desk.Keeper.
func (b *Book) About(ctx context.Context, subscriber string) (out []desk.Kept, err error) {
	err = b.db.Read(ctx, func(tx *store.Tx) error {
		for _, i := range session.Named(subscriber) {
			e, err := b.Find(tx, i)
			if errors.Is(err, bolwerk.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			out = append(out, desk.Kept{What: "contact", ID: subscriber, Until: store.Keep["contact"], Data: e})
		}
		return nil
	})
	return out, err
}

// Erase leaves the entry and says why; see desk.Keeper.
func (b *Book) Erase(ctx context.Context, _ bolwerk.Actor, subscriber string) ([]desk.Erased, error) {
	all, err := b.About(ctx, subscriber)
	return []desk.Erased{{What: "contact", Kept: len(all),
		Why: fmt.Sprintf("it comes from the operator's own records, and its flags protect the subscriber from quarantine: take it out there and of the book (bolwerk abuse contact); it goes by itself %d days after it was told last", b.cfg.Days)}}, err
}
