package view

import (
	"context"
	"time"

	"bolwerk"
	floor "bolwerk/desk"
	"bolwerk/internal/store"
)

// choiceAbout is a choice as its subscriber gets it.
type choiceAbout struct {
	View  string    `json:"view"`
	Until time.Time `json:"until,omitzero"`
}

// holdAbout is a quarantine's hold as its subscriber gets it.
type holdAbout struct {
	Profile string    `json:"profile"`
	Until   time.Time `json:"until"`
}

// About gives what a subscriber chose, and the safe environment that their lines
// have; see desk.Keeper.
func (s *Views) About(ctx context.Context, subscriber string) (out []floor.Kept, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err := s.chosen(tx)
		if err != nil {
			return err
		}
		if c, ok := all[subscriber]; ok {
			out = append(out, floor.Kept{What: "view", ID: c.ID, At: c.At, Until: store.Keep["view"], Data: choiceAbout{c.View, c.Until}})
		}
		h, ok, err := s.holdOf(tx, subscriber)
		if ok {
			out = append(out, floor.Kept{What: "quarantine", ID: h.ID, Until: "until it ends", Data: holdAbout{string(h.Profile), h.Until}})
		}
		return err
	})
	return out, err
}

// Erase takes a subscriber's choice back; see desk.Keeper.
func (s *Views) Erase(ctx context.Context, by bolwerk.Actor, subscriber string) ([]floor.Erased, error) {
	chosen, held := floor.Erased{What: "chosen view"}, floor.Erased{What: "quarantine", Why: "it is in force; it ends by itself or when it is released"}
	all, err := s.About(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if k.What != "view" {
			held.Kept++
			continue
		}
		if _, err := s.Set(ctx, by, subscriber, "default", time.Time{}, "erased"); err != nil {
			return nil, err
		}
		chosen.Erased++
	}
	return []floor.Erased{chosen, held}, nil
}
