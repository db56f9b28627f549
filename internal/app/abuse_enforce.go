package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/access"
	"bolwerk/internal/web"
)

// buildAccess is the access network: where quarantines are put in force.
func (d *Desk) buildAccess(ctx context.Context, reg prometheus.Registerer) (err error) {
	cfg := d.cfg.Abuse.Enforce
	d.access, err = access.New(cfg, access.Parts{DB: d.db, Who: d.who, Clock: d.env.Clock, Log: d.env.Log, Wanted: d.wanted, Metrics: reg})
	if err != nil {
		return fmt.Errorf("abuse.enforce: %w", err)
	}
	if err := d.access.Load(ctx); err != nil {
		return err
	}
	d.back = append(d.back, part{"proofs", d.access.Follow}, part{"canaries", d.once("canaries", d.access.Run)})
	if cfg.Listen == "" {
		return nil
	}
	l, err := d.access.Listen()
	if err != nil {
		return fmt.Errorf("abuse.enforce.listen: %w", err)
	}
	d.front = append(d.front, part{"logins", func(ctx context.Context) error { return web.Serve(ctx, l, d.access.Login(), d.env.Log) }})
	return nil
}

// wanted is the profile that a subscriber is to have at a login.
func (d *Desk) wanted(ctx context.Context, subscriber string) (enforce.Profile, time.Time, error) {
	return d.abuse.Quarantines().Wanted(ctx, subscriber)
}

func (d *Desk) listAccess(context.Context, *http.Request) (any, error) {
	return map[string]any{"items": nonNil(d.access.Proofs())}, nil
}

// proveAccess takes a canary into each profile and back, for a person who waits.
func (d *Desk) proveAccess(ctx context.Context, r *http.Request) (any, error) {
	var in struct{ Name string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, bolwerk.Invalid("prove: %v", err)
	}
	return d.access.Prove(ctx, bolwerk.Socket(), in.Name)
}
