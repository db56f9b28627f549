package app

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

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
