package app

import (
	"context"

	"bolwerk/internal/copy"
	"bolwerk/shield/probe"
)

// copyProbe is the copy that probes follow; the desk side calls it the same.
const copyProbe = "probe"

// Probe is the role probe, built.
type Probe struct {
	env         Env
	front, back []part
	follower    *copy.Follower
}

// BuildProbe makes what visits suspect pages on a host that has joined; dir is its
// folder. It listens nowhere.
func BuildProbe(cfg Config, env Env, dir string) (*Probe, error) {
	j, err := joinedAs("probe", env, dir)
	if err != nil {
		return nil, err
	}
	roots, err := cfg.Probe.Authorities()
	if err != nil {
		return nil, err
	}
	p := probe.New(cfg.Probe, probe.With{Dir: dir, Clock: env.Clock, Log: env.Log, Put: j.spool.Put, Roots: roots})
	if err := p.Register(j.reg); err != nil {
		return nil, err
	}
	follower, err := j.follow(copyProbe, p)
	if err != nil {
		return nil, err
	}
	return &Probe{env: env, follower: follower,
		front: []part{{"visits", p.Run}},
		back:  j.back(follower, copyProbe)}, nil
}

// Run visits until ctx ends.
func (p *Probe) Run(ctx context.Context) error { return runOrdered(ctx, p.env.Log, p.front, p.back) }
