package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bolwerk/internal/disk"
	"bolwerk/internal/join"
	"bolwerk/internal/web"
)

// local are the hosts of "all": they join their own desk over loopback.
var local = map[join.Role]string{join.Intake: "intake-local", join.Edge: "edge-local", join.Probe: "probe-local"}

// All runs desk, intake, edge and probe in one process; they talk over loopback, as
// they would over a network. ready is called when every listener answers and
// the edge serves its copy.
func All(ctx context.Context, cfg Config, env Env, ready func(*Desk)) error {
	d, err := BuildDesk(ctx, cfg, env)
	if err != nil {
		return err
	}
	deskCtx, stopDesk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDesk()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ended := make(chan error, 1)
	go func() {
		err := d.Run(deskCtx)
		ended <- err
		fail(err)
	}()
	err = func() error {
		for role, name := range local {
			if err := joinLocal(ctx, cfg, env, d.authority, role, name); err != nil {
				return err
			}
		}
		in, err := BuildIntake(ctx, cfg, env, hostDir(cfg, join.Intake))
		if err != nil {
			return err
		}
		e, err := BuildEdge(ctx, cfg, env, hostDir(cfg, join.Edge))
		if err != nil {
			return err
		}
		p, err := BuildProbe(cfg, env, hostDir(cfg, join.Probe))
		if err != nil {
			return err
		}
		parts := []part{{"intake", in.Run}, {"edge", e.Run}, {"probe", p.Run}}
		if m, err := metricsPart(cfg, env); err != nil {
			return err
		} else {
			parts = append(parts, m)
		}
		go func() {
			for _, c := range []<-chan struct{}{in.follower.Ready(), e.follower.Ready()} {
				select {
				case <-c:
				case <-ctx.Done():
					return
				}
			}
			if ready != nil {
				ready(d)
			}
		}()
		return runOrdered(ctx, env.Log, parts, nil)
	}()
	stopDesk()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, <-ended)
}

// hostDir is where a host of this machine keeps what is its own.
func hostDir(cfg Config, role join.Role) string { return filepath.Join(cfg.Data, string(role)) }

// joinLocal lets a host of this process in, once.
func joinLocal(ctx context.Context, cfg Config, env Env, a *join.Authority, role join.Role, name string) error {
	dir := hostDir(cfg, role)
	if ok, err := disk.Exists(disk.System{}, filepath.Join(dir, "host.json")); err != nil || ok {
		return err
	}
	inv, err := a.Invite(ctx, name, role)
	if err != nil {
		return err
	}
	inv.Address = cfg.Hosts.Listen
	if err := join.Join(ctx, inv, dir, (&net.Dialer{}).DialContext, env.Clock.Now()); err != nil {
		return fmt.Errorf("join %s: %w", name, err)
	}
	return nil
}

// metricsPart serves metrics and health, and whether the edge of this process is ready.
func metricsPart(cfg Config, env Env) (part, error) {
	l, err := net.Listen("tcp", cfg.Metrics.Listen)
	if err != nil {
		return part{}, fmt.Errorf("metrics.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(env.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	env.ready.handle(mux)
	return part{"metrics", func(ctx context.Context) error { return web.Serve(ctx, l, mux, env.Log) }}, nil
}
