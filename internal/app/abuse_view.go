package app

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"bolwerk"
)

// ViewSet is a wish at the admin socket: which view a subscriber has from now on.
type ViewSet struct {
	Subscriber string    `json:"subscriber"`
	View       string    `json:"view"`
	Until      time.Time `json:"until,omitzero"`
	Reason     string    `json:"reason,omitempty"`
}

func (d *Desk) setView(ctx context.Context, r *http.Request) (any, error) {
	var in ViewSet
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, bolwerk.Invalid("view: %v", err)
	}
	return d.views.Set(ctx, bolwerk.Socket(), in.Subscriber, in.View, in.Until, in.Reason)
}

func (d *Desk) listViews(ctx context.Context, _ *http.Request) (any, error) {
	all, err := d.views.List(ctx, 10_000)
	return map[string]any{"items": nonNil(all)}, err
}
