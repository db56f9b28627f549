package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/agent"
)

// Agent is the role agent, built.
type Agent struct {
	env         Env
	front, back []part
	follower    *copy.Follower
}

// BuildAgent makes what runs beside a resolver that is not ours, on a host that has
// joined; dir is its folder.
func BuildAgent(cfg Config, env Env, dir string) (*Agent, error) {
	j, err := joinedAs("agent", env, dir)
	if err != nil {
		return nil, err
	}
	with := agent.With{Dir: dir, Landing: cfg.landing(), Canary: cfg.Shield.Canary, Clock: env.Clock, Log: env.Log,
		Put: func(kind string, body []byte) error { _, err := j.spool.Put(kind, body); return err }}
	var front []part
	if cfg.Agent.Resolver == agent.DNSDist {
		folder := cfg.Agent.Folder
		if folder == "" {
			folder = filepath.Join(dir, "dnsdist")
		}
		if with.Primary, err = agent.NewFiles(folder, with, cfg.Warning.TTL); err != nil {
			return nil, fmt.Errorf("agent.folder: %w", err)
		}
	} else {
		primary, serve, err := cfg.besideResolver(env, j)
		if err != nil {
			return nil, err
		}
		with.Primary, front = primary, append(front, serve)
	}
	a, err := agent.New(cfg.Agent, with)
	if err != nil {
		return nil, err
	}
	if err := a.Register(j.reg); err != nil {
		return nil, err
	}
	front = append(front, part{"agent", a.Run}, j.inquiry(a.Inquire))
	for _, s := range []struct {
		name   string
		listen func() (net.Listener, error)
		serve  func(context.Context, net.Listener) error
	}{{"agent.dnstap", cfg.Agent.ListenDnstap, a.ServeDnstap}, {"agent.protobuf", cfg.Agent.ListenProtobuf, a.ServeProtobuf}} {
		l, err := s.listen()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if l != nil {
			front = append(front, part{s.name, func(ctx context.Context) error { return s.serve(ctx, l) }})
		}
	}
	follower, err := j.follow(copyBlocks, a)
	if err != nil {
		return nil, err
	}
	return &Agent{env: env, follower: follower, front: front, back: j.back(follower, copyBlocks)}, nil
}

// besideResolver serves the policy zones on loopback to the resolver beside us.
func (c Config) besideResolver(env Env, j joined) (*rpz.Primary, part, error) {
	none := part{}
	zones, err := RPZConfig{}.config(c)
	if err != nil {
		return nil, none, fmt.Errorf("agent: %w", err)
	}
	own := rpz.Secondary{Name: c.Agent.Resolver, From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	if c.Agent.Resolver != agent.PowerDNS {
		if own.Notify, err = netip.ParseAddrPort(c.Agent.Ask); err != nil {
			return nil, none, fmt.Errorf("agent.ask: %w", err)
		}
	}
	zones.Secondaries = []rpz.Secondary{own}
	primary, err := rpz.New(zones, env.Clock, env.Log, j.reg)
	if err != nil {
		return nil, none, fmt.Errorf("agent: %w", err)
	}
	udp, err := net.ListenPacket("udp", c.Agent.Listen)
	if err != nil {
		return nil, none, fmt.Errorf("agent.listen: %w", err)
	}
	tcp, err := net.Listen("tcp", c.Agent.Listen)
	if err != nil {
		udp.Close()
		return nil, none, fmt.Errorf("agent.listen: %w", err)
	}
	return primary, part{"policy zones", func(ctx context.Context) error { return primary.Run(ctx, udp, tcp) }}, nil
}

// Run serves until ctx ends.
func (a *Agent) Run(ctx context.Context) error { return runOrdered(ctx, a.env.Log, a.front, a.back) }
