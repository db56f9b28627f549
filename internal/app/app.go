// Package app builds the roles out of their parts and introduces the parts to
// each other: one file a role, a list of parts, nothing else.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"bolwerk/internal/clock"
	"bolwerk/internal/web"
)

// Env is what a process gives to its roles.
type Env struct {
	Clock    clock.Clock
	Log      *slog.Logger
	Registry *prometheus.Registry
	alarms   *keptAlarms
	again    again
	ready    *readyGate
	// Reader makes an unstarted reader process.
	Reader func() *exec.Cmd
}

// NewEnv is the environment of this process.
func NewEnv(log *slog.Logger) Env {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	keeps := newAlarms(log.Handler())
	return Env{Clock: clock.New(), Log: slog.New(keeps), Registry: r, alarms: keeps.kept, ready: &readyGate{}, Reader: func() *exec.Cmd {
		exe, err := os.Executable()
		if err != nil {
			exe = os.Args[0]
		}
		cmd := exec.Command(exe, "reader")
		if runtime.GOOS == "linux" {
			cmd.Path = "/proc/self/exe" // this program, be it replaced on disk by another version
		}
		return cmd
	}}
}

// registry keeps the metrics of roles in one process apart.
func (e Env) registry(role string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"role": role}, e.Registry)
}

// part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// runOrdered runs all parts. When ctx ends, or a part fails, the front ends
// first and the back after it.
func runOrdered(ctx context.Context, log *slog.Logger, front, back []part) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	start := func(ctx context.Context, parts []part) *errgroup.Group {
		g := new(errgroup.Group)
		for _, p := range parts {
			g.Go(func() error {
				err := p.run(ctx)
				if err != nil && !errors.Is(err, context.Canceled) {
					err = fmt.Errorf("%s: %w", p.name, err)
					log.Error("part ended", "part", p.name, "err", err)
					stop(err)
					return err
				}
				if ctx.Err() == nil {
					err = fmt.Errorf("%s ended by itself", p.name)
					stop(err)
					return err
				}
				return nil
			})
		}
		return g
	}
	later, endLater := context.WithCancel(context.WithoutCancel(ctx))
	defer endLater()
	work, doors := start(later, back), start(ctx, front)
	<-ctx.Done()
	err := doors.Wait()
	endLater()
	return errors.Join(err, work.Wait())
}

// serveHosts serves mTLS HTTP/2 to joined hosts. At the end what only waits for
// news is let go; what is being handed in is finished.
func serveHosts(ctx context.Context, l net.Listener, cfg *tls.Config, h http.Handler, log *slog.Logger) error {
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asks, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			r = r.WithContext(asks)
		}
		h.ServeHTTP(w, r)
	})
	return web.Serve(ctx, tls.NewListener(l, cfg), waits, log)
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r")
}
