package app

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
	"bolwerk/internal/seal"
	"bolwerk/shield/edge"
)

// copyBlocks is the copy that edges follow; the desk side calls it the same.
const copyBlocks = "blocks"

// Edge is the role edge, built.
type Edge struct {
	env         Env
	front, back []part
	follower    *copy.Follower
	edge        *edge.Edge
}

// BuildEdge opens what serves customers on a host that has joined.
func BuildEdge(ctx context.Context, cfg Config, env Env, dir string) (*Edge, error) {
	host, err := join.Load(dir, env.Clock, env.Log)
	if err != nil {
		return nil, err
	}
	reg := env.registry("edge")
	client := host.Client((&net.Dialer{}).DialContext)
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, env.Clock, env.Log)
	if err != nil {
		return nil, err
	}
	if err := spool.Register(reg); err != nil {
		return nil, err
	}
	put := func(_ context.Context, kind string, body []byte) error {
		_, err := spool.Put(kind, body)
		return err
	}
	e, err := edge.New(cfg.Warning.Config, dir, cfg.DNS.WorkerCount(), env.Clock, put, env.Log)
	if err != nil {
		return nil, err
	}
	if err := e.Register(reg); err != nil {
		return nil, err
	}
	dns, err := dnsserve.New(cfg.DNS.Config, e.Answer, nil, reg, env.Log)
	if err != nil {
		return nil, err
	}
	page, err := net.Listen("tcp", cfg.Warning.Listen)
	if err != nil {
		return nil, fmt.Errorf("warning.listen: %w", err)
	}
	tls, err := net.Listen("tcp", cfg.Warning.TLS)
	if err != nil {
		return nil, fmt.Errorf("warning.listen_tls: %w", err)
	}
	socks, err := dnsserve.Listen(ctx, cfg.DNS.Listen, cfg.DNS.WorkerCount())
	if err != nil {
		return nil, fmt.Errorf("dns.listen: %w", err)
	}
	follower := copy.New(copy.Config{Operator: host.Operator(), Copy: copyBlocks, Key: host.CopyKey(), Disk: disk.System{}, Dir: filepath.Join(dir, "copies", copyBlocks),
		Base: host.Base(), Client: client, Clock: env.Clock, Log: env.Log}, e)
	if err := follower.Register(reg); err != nil {
		return nil, err
	}
	sender := handin.NewSender(spool, client, host.Base(), env.Log)
	return &Edge{env: env, follower: follower, edge: e,
		front: []part{
			{"dns", func(ctx context.Context) error { return dns.Run(ctx, socks) }},
			{"warning page", func(ctx context.Context) error { return e.ServePage(ctx, page) }},
			{"tls door", func(ctx context.Context) error { return e.ServeTLS(ctx, tls) }},
			{"edge", e.Run},
		},
		back: []part{
			{"hand-in", sender.Run}, {"copy blocks", follower.Run},
			{"certificate", func(ctx context.Context) error { return host.Run(ctx, client) }},
		}}, nil
}

// Run serves until ctx ends.
func (e *Edge) Run(ctx context.Context) error { return runOrdered(ctx, e.env.Log, e.front, e.back) }
