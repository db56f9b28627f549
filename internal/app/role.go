package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/join"
)

// Run runs a role of a configured host until ctx ends. "ready" goes to out, on a
// line of its own, when its listeners answer.
func Run(ctx context.Context, role, path string, env Env, out io.Writer) error {
	cfg, err := Read(path)
	if err != nil {
		return err
	}
	if err := cfg.validateFor(role); err != nil {
		return err
	}
	if role != string(join.Relay) { // it reads nothing that they are about
		for _, w := range cfg.warnings(env.Clock.Now()) {
			env.Log.Warn(w)
		}
	}
	if role == "desk" || role == "all" { // they send mails; the DNS may be slow
		looking, stop := context.WithCancel(ctx)
		var look sync.WaitGroup
		look.Go(func() {
			for _, w := range cfg.dkimWarnings(looking) {
				if looking.Err() == nil {
					env.Log.Warn(w)
				}
			}
		})
		defer func() { stop(); look.Wait() }()
	}
	if role != "edge" {
		diskThreads()
	}
	var deaf func()
	env.again, deaf = readAgain(role, path)
	defer deaf()
	ready := func(*Desk) {
		fmt.Fprintln(out, "ready")
		tell(env.Log, "READY=1\nSTATUS=ready")
	}
	defer context.AfterFunc(ctx, func() { tell(env.Log, "STOPPING=1\nSTATUS=ends what is under way") })()
	if role == "all" {
		return All(ctx, cfg, env, ready)
	}
	metrics, err := metricsPart(cfg, env)
	if err != nil {
		return err
	}
	var main part
	switch role {
	case "desk":
		d, err := BuildDesk(ctx, cfg, env)
		if err != nil {
			return err
		}
		main = part{role, d.Run}
		ready(d)
	case "intake":
		i, err := BuildIntake(ctx, cfg, env, hostDir(cfg, join.Intake))
		if err != nil {
			return err
		}
		main = part{role, i.Run}
		ready(nil)
	case "probe":
		p, err := BuildProbe(cfg, env, hostDir(cfg, join.Probe))
		if err != nil {
			return err
		}
		main = part{role, p.Run}
		ready(nil)
	case "relay":
		r, err := BuildRelay(cfg, env, hostDir(cfg, join.Relay))
		if err != nil {
			return err
		}
		main = part{role, r.Run}
		ready(nil)
	case "agent":
		a, err := BuildAgent(cfg, env, hostDir(cfg, join.Agent))
		if err != nil {
			return err
		}
		main = part{role, a.Run}
		ready(nil)
	case "edge":
		e, err := BuildEdge(ctx, cfg, env, hostDir(cfg, join.Edge))
		if err != nil {
			return err
		}
		main = part{role, e.Run}
		tell(env.Log, "STATUS=answers; waits for its first copy from the desk")
		go func() { // an edge is ready when it serves a copy, be it an old one
			select {
			case <-e.follower.Ready():
				ready(nil)
			case <-ctx.Done():
			}
		}()
	}
	return runOrdered(ctx, env.Log, []part{main}, []part{metrics})
}

// diskThreads lets more threads run Go than there are processors. One that waits
// for a disk holds its place among them until the runtime takes it away, up to
// 10 ms later; with two of them, two mails being made durable stop everything
// else. Three times as many brought the 99th percentile of a decision under load
// from 135 ms to 97 ms on two cores (bench/chain), for the same CPU time.
func diskThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(3 * runtime.GOMAXPROCS(0))
	}
}

// JoinHost uses a join line on this host. It keeps what it gets in a folder of
// its own until it knows its role; the same line may be tried again.
func JoinHost(ctx context.Context, path, line string, env Env) (*join.Host, error) {
	cfg, err := Read(path)
	if err != nil {
		return nil, err
	}
	inv, err := join.ParseInvite(line)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir := filepath.Join(cfg.Data, "joining")
	if ok, err := disk.Exists(disk.System{}, filepath.Join(dir, "host.json")); err != nil {
		return nil, err
	} else if !ok {
		if err := join.Join(ctx, inv, dir, (&net.Dialer{}).DialContext, env.Clock.Now()); err != nil {
			return nil, err
		}
	}
	host, err := join.Load(dir, env.Clock, env.Log)
	if err != nil {
		return nil, err
	}
	to := hostDir(cfg, host.Role())
	if ok, err := disk.Exists(disk.System{}, filepath.Join(to, "host.json")); err != nil || ok {
		if ok {
			err = bolwerk.WithHint(bolwerk.Conflict("this machine is an %s already, in %s", host.Role(), to), "move that folder away first")
		}
		return nil, err
	}
	if err := os.Rename(dir, to); err != nil {
		return nil, err
	}
	return host, disk.SyncDir(cfg.Data)
}
