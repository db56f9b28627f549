package app

import (
	"context"
	"net"
	"path/filepath"

	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
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
	host, err := join.Load(dir, env.Clock, env.Log)
	if err != nil {
		return nil, err
	}
	reg := env.registry("probe")
	client := host.Client((&net.Dialer{}).DialContext)
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), host.SealKey(), env.Clock, env.Log)
	if err != nil {
		return nil, err
	}
	if err := spool.Register(reg); err != nil {
		return nil, err
	}
	roots, err := cfg.Probe.Authorities()
	if err != nil {
		return nil, err
	}
	p := probe.New(cfg.Probe, probe.With{Dir: dir, Clock: env.Clock, Log: env.Log, Put: spool.Put, Roots: roots})
	if err := p.Register(reg); err != nil {
		return nil, err
	}
	follower := copy.New(copy.Config{Operator: host.Operator(), Copy: copyProbe, Key: host.CopyKey(), Disk: disk.System{}, Dir: filepath.Join(dir, "copies", copyProbe),
		Base: host.Base(), Client: client, Clock: env.Clock, Log: env.Log}, p)
	if err := follower.Register(reg); err != nil {
		return nil, err
	}
	sender := handin.NewSender(spool, client, host.Base(), env.Log)
	return &Probe{env: env, follower: follower,
		front: []part{{"visits", p.Run}},
		back: []part{
			{"hand-in", sender.Run}, {"copy probe", follower.Run},
			{"certificate", func(ctx context.Context) error { return host.Run(ctx, client) }},
		}}, nil
}

// Run visits until ctx ends.
func (p *Probe) Run(ctx context.Context) error { return runOrdered(ctx, p.env.Log, p.front, p.back) }
