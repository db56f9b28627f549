package app

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/clock"
	"bolwerk/internal/vault"
)

// buildWho is who had an address at a time. Its keys are of nothing else: they are
// destroyed with the sessions.
func (d *Desk) buildWho(reg prometheus.Registerer) error {
	keys, err := sessionKeys(d.cfg, d.env.Clock)
	if err != nil {
		return err
	}
	m, err := who.NewMetrics(reg)
	if err != nil {
		return err
	}
	d.who = who.New(d.cfg.Abuse.Who, d.db, keys, d.env.Clock, d.env.Log, m)
	d.back = append(d.back, part{"sessions", d.who.Run})
	return nil
}

func sessionKeys(cfg Config, c clock.Clock) (*vault.Vault, error) {
	return vault.Open(filepath.Join(cfg.Data, "desk", "keys", "sessions"), c)
}

// WhoHad is a question at the admin socket: who had an address, and why it is asked.
type WhoHad struct {
	session.Question
	Reason string `json:"reason"`
	Case   string `json:"case,omitempty"`
}

// whoHad answers it, once the look is noted.
func (d *Desk) whoHad(ctx context.Context, r *http.Request) (any, error) {
	var in WhoHad
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, bolwerk.Invalid("who had an address: %v", err)
	}
	a, err := d.who.Ask(ctx, who.Look{Question: in.Question, By: bolwerk.Socket(), Reason: in.Reason, Case: in.Case})
	return a, err
}
