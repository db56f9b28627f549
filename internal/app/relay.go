package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"bolwerk/internal/copy"
	"bolwerk/internal/join"
	"bolwerk/internal/relay"
)

// Relay is the role relay, built.
type Relay struct {
	env         Env
	front, back []part
}

// relayHeard is how long a relay goes on without a word of the desk, which says
// something every 30 s: longer, and it would not know within a minute whom the desk
// has put out. Edges ask the desk then.
const relayHeard = 50 * time.Second

// BuildRelay makes what hands the copies of edges on, on a host that has joined; dir
// is its folder.
func BuildRelay(cfg Config, env Env, dir string) (*Relay, error) {
	j, err := joinedAs("relay", env, dir)
	if err != nil {
		return nil, err
	}
	hosts := &relay.Hosts{}
	in, err := j.follow(relay.Copy, hosts)
	if err != nil {
		return nil, err
	}
	back := j.back(in, relay.Copy)
	from := map[string]*copy.Follower{}
	for _, name := range edgeCopies() {
		f, err := j.follow(name, onDisk{})
		if err != nil {
			return nil, err
		}
		from[name] = f
		back = append(back, part{"copy " + name, f.Run})
	}
	teller := &relay.Teller{Copy: copyBlocks, Client: j.client, Base: j.host.Base(), Clock: env.Clock, Log: env.Log}
	if err := teller.Register(j.reg); err != nil {
		return nil, err
	}
	copies := copy.NewRelay(from, []join.Role{join.Edge}, env.Clock, env.Log)
	copies.Current = func() bool { return in.Heard(relayHeard) }
	copies.Seen = teller.Saw
	gate := &join.Gate{Admit: hosts.Admit, Clock: env.Clock, Log: env.Log}
	mux := http.NewServeMux()
	mux.Handle("/v1/copy/", gate.Require(copies, join.Edge))
	l, err := net.Listen("tcp", cfg.Hosts.Listen)
	if err != nil {
		return nil, fmt.Errorf("hosts.listen: %w", err)
	}
	return &Relay{env: env, back: append(back, part{"edges told of", teller.Run}),
		front: []part{{"edges", func(ctx context.Context) error { return serveHosts(ctx, l, j.host.ServeTLS(), mux, env.Log) }}}}, nil
}

// Run serves until ctx ends.
func (r *Relay) Run(ctx context.Context) error { return runOrdered(ctx, r.env.Log, r.front, r.back) }

// onDisk is a copy that is only kept, to be handed on.
type onDisk struct{}

// Reset has nothing to do.
func (onDisk) Reset(copy.Head, func(func(copy.Entry) bool)) error { return nil }

// Apply has nothing to do.
func (onDisk) Apply(copy.Head, []copy.Entry) error { return nil }
