package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/idn"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/join"
	"bolwerk/internal/lineview"
	"bolwerk/internal/web"
	"bolwerk/shield/edge"
)

// copyBlocks is the copy that edges follow; the desk side calls it the same.
const copyBlocks = "blocks"

// edgeCopies are the copies that edges follow; relays hand them on.
func edgeCopies() []string { return []string{copyBlocks, lineview.Copy, garden.Copy} }

// Edge is the role edge, built.
type Edge struct {
	env         Env
	front, back []part
	follower    *copy.Follower
	edge        *edge.Edge
}

// BuildEdge opens what serves customers on a host that has joined.
func BuildEdge(ctx context.Context, cfg Config, env Env, dir string) (*Edge, error) {
	j, err := joinedAs("edge", env, dir)
	if err != nil {
		return nil, err
	}
	if err := j.through(cfg.Hosts.Relays); err != nil {
		return nil, err
	}
	put := func(_ context.Context, kind string, body []byte) error {
		_, err := j.spool.Put(kind, body)
		return err
	}
	e, err := edge.New(cfg.Warning.Config, dir, cfg.DNS.WorkerCount(), env.Clock, put, env.Log)
	if err != nil {
		return nil, err
	}
	if err := e.Register(j.reg); err != nil {
		return nil, err
	}
	if err := cfg.Warning.Partners.Register(j.reg, env.Clock); err != nil {
		return nil, err
	}
	dns, err := dnsserve.New(cfg.DNS.Config, e.Answer, nil, j.reg, env.Log)
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
	doors, err := dnsserve.ListenEncrypted(ctx, cfg.DNS.Encrypted)
	if err != nil {
		return nil, err
	}
	socket, err := listenOwn(filepath.Join(dir, edgeSocket))
	if err != nil {
		return nil, err
	}
	follower, err := j.follow(copyBlocks, e)
	if err != nil {
		return nil, err
	}
	lines, err := j.follow(lineview.Copy, e.Lines())
	if err != nil {
		return nil, err
	}
	safe, err := j.garden(cfg, e)
	if err != nil {
		return nil, err
	}
	ready := readiness{dns: dns, at: socks.Addr(), head: e.Head, now: env.Clock.Now}
	env.ready.open(ready)
	return &Edge{env: env, follower: follower, edge: e,
		front: append(safe.front, []part{
			{"dns", func(ctx context.Context) error { return dns.Run(ctx, doors, socks) }},
			{"warning page", func(ctx context.Context) error { return e.ServePage(ctx, page) }},
			{"tls door", func(ctx context.Context) error { return e.ServeTLS(ctx, tls) }},
			{"edge", e.Run},
			j.inquiry(func(ctx context.Context, name bolwerk.Domain) inquiry.Reply {
				return e.Inquire(ctx, socks.Addr(), name)
			}),
			{"pulse", func(ctx context.Context) error { return e.Pulse(ctx, socks.Addr()) }},
			{"settings", func(ctx context.Context) error { return env.again.reloads(ctx, env, cfg, dns) }},
			{"edge socket", func(ctx context.Context) error { return web.Serve(ctx, socket, ownHandler(e, ready), env.Log) }},
		}...),
		back: append(append(j.back(follower, copyBlocks), part{"copy " + lineview.Copy, lines.Run}), safe.back...)}, nil
}

// Run serves until ctx ends.
func (e *Edge) Run(ctx context.Context) error { return runOrdered(ctx, e.env.Log, e.front, e.back) }

// edgeSocket is the edge's own door, for who is on that machine.
const edgeSocket = "edge.sock"

// listenOwn listens at a socket for our own eyes; the folder is ours alone. One
// that a killed program left behind is replaced.
func listenOwn(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, bolwerk.Conflict("%s: an edge is running there already", path)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("edge socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

type passRequest struct {
	Name string `json:"name"`
}

type passAnswer struct {
	Name  bolwerk.Domain `json:"name"`
	Until time.Time      `json:"until"`
}

// ownHandler serves who is on this machine, whether or not the desk is there: it
// lets a name pass, takes which sessions have which view, and says whether the edge is ready.
func ownHandler(e *edge.Edge, ready readiness) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) { web.WriteJSON(w, http.StatusOK, ready.look(r.Context())) })
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, r *http.Request) {
		var in edge.Session
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in)
		if err != nil {
			err = bolwerk.Invalid("session: %v", err)
		} else {
			err = e.Session(in)
		}
		if err != nil {
			web.Explain(err).Write(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /session", func(w http.ResponseWriter, r *http.Request) {
		e.EndSession(r.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /pass", func(w http.ResponseWriter, r *http.Request) {
		var in passRequest
		var out passAnswer
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in)
		if err == nil {
			out.Name, err = idn.Parse(in.Name)
		} else {
			err = bolwerk.Invalid("pass: %v", err)
		}
		if err == nil {
			out.Until, err = e.Pass(r.Context(), out.Name)
		}
		if err != nil {
			web.Explain(err).Write(w)
			return
		}
		web.WriteJSON(w, http.StatusOK, out)
	})
	return mux
}

// EdgePass lets a name pass for 24 h at the edge of this machine. The desk hears
// of it afterwards.
// data, where given, is used instead of the configuration in path.
func EdgePass(ctx context.Context, path, data, name string) (bolwerk.Domain, time.Time, error) {
	cfg, err := Read(path)
	if err != nil {
		return bolwerk.Domain{}, time.Time{}, err
	}
	if data != "" {
		cfg.Data = data
	}
	var out passAnswer
	err = socketCall(ctx, filepath.Join(hostDir(cfg, join.Edge), edgeSocket), "is an edge running on this machine, and is --config or --data its own?", http.MethodPost, "/pass", passRequest{name}, &out)
	return out.Name, out.Until, err
}
