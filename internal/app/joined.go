package app

import (
	"context"
	"net"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/join"
)

// joined is what every host outside the desk has: who it is, a way to the desk, and
// a spool of what it hands in.
type joined struct {
	env    Env
	dir    string
	host   *join.Host
	client *http.Client
	copies *http.Client // where copies come from; the desk, where no relay does
	doubt  func()       // see copy.Config
	spool  *handin.Spool
	reg    prometheus.Registerer
}

// joinedAs opens the folder of a host that has joined.
func joinedAs(role string, env Env, dir string) (joined, error) {
	host, err := join.Load(dir, env.Clock, env.Log)
	if err != nil {
		return joined{}, err
	}
	j := joined{env: env, dir: dir, host: host, client: host.Client((&net.Dialer{}).DialContext), reg: env.registry(role)}
	j.copies = j.client
	j.spool, err = handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), host.SealKey(), env.Clock, env.Log)
	if err != nil {
		return joined{}, err
	}
	return j, j.spool.Register(j.reg)
}

// through has the copies come from relays while one answers.
func (j *joined) through(relays []string) error {
	if len(relays) == 0 {
		return nil
	}
	feed := j.host.Feed((&net.Dialer{}).DialContext, relays, j.client)
	j.copies, j.doubt = feed.Client(), feed.Doubt
	return j.reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_copy_relayed", Help: "1 while copies come from a relay, 0 while they come from the desk."}, func() float64 {
		if feed.Relay() == "" {
			return 0
		}
		return 1
	}))
}

// follow makes the follower of the role's copy.
func (j joined) follow(name string, sink copy.Sink) (*copy.Follower, error) {
	f := copy.New(copy.Config{Operator: j.host.Operator(), Copy: name, Key: j.host.CopyKey(), Disk: disk.System{}, Dir: filepath.Join(j.dir, "copies", name),
		Base: j.host.Base(), Client: j.copies, Clock: j.env.Clock, Log: j.env.Log, Doubt: j.doubt, HandsOn: j.host.Role() == join.Relay}, sink)
	return f, f.Register(j.reg)
}

// back is what runs until all else has ended: the way to the desk.
func (j joined) back(follower *copy.Follower, name string) []part {
	return []part{
		{"hand-in", handin.NewSender(j.spool, j.client, j.host.Base(), j.env.Log).Run}, {"copy " + name, follower.Run},
		{"certificate", func(ctx context.Context) error { return j.host.Run(ctx, j.client) }},
	}
}

// inquiry asks the resolver beside this host what the desk wants to know of it.
func (j joined) inquiry(look func(context.Context, bolwerk.Domain) inquiry.Reply) part {
	return part{"inquiry", inquiry.Host{Client: j.client, Base: j.host.Base(), Look: look, Log: j.env.Log}.Run}
}
