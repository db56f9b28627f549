package web

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second // a page that takes more moves it with AllowBody
	writeTimeout  = 90 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	stopTimeout   = 10 * time.Second // that running requests get at the end
)

// Serve answers on l until ctx ends, then lets running requests finish for up
// to 10 s. It closes l. It returns nil after an ordered stop.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		// net/http writes client addresses here, for instance on TLS errors.
		ErrorLog: stdlog.New(io.Discard, "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	if err := srv.Shutdown(stop); err != nil {
		log.Warn("requests cut off at the stop", "after", stopTimeout)
		srv.Close()
	}
	cancel()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Limit bounds how many connections are open through l: total in all and
// perNetwork from one /24 or /48. One too many is closed at once. Connections
// from the networks in free (own proxies, own customers' gateways) count
// towards the total only.
func Limit(l net.Listener, total, perNetwork int, free []netip.Prefix) net.Listener {
	return &limited{Listener: l, total: total, each: perNetwork, free: free, open: map[netip.Prefix]int{}}
}

type limited struct {
	net.Listener
	total, each int
	free        []netip.Prefix

	mu   sync.Mutex
	all  int
	open map[netip.Prefix]int
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network := l.network(c.RemoteAddr())
		if l.take(network) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(network) })}, nil
		}
		c.Close()
	}
}

// network is invalid for what is counted in the total only.
func (l *limited) network(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	for _, p := range l.free {
		if p.Contains(ap.Addr().Unmap()) {
			return netip.Prefix{}
		}
	}
	return Network(ap.Addr())
}

func (l *limited) take(network netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || network.IsValid() && l.open[network] >= l.each {
		return false
	}
	l.all++
	if network.IsValid() {
		l.open[network]++
	}
	return true
}

func (l *limited) leave(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[network]--; l.open[network] <= 0 {
		delete(l.open, network)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error { c.leave(); return c.Conn.Close() }

// Network is the /24 or /48 around a: what one household or office holds at
// least. The zero Addr gives the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// ServeBriefly answers on l until ctx ends, for customers whose browsers came to an
// edge without asking for it: short times, at most conns connections, and nothing about
// anybody in a log (net/http would write their addresses).
func ServeBriefly(ctx context.Context, l net.Listener, h http.Handler, conns int) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 15 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: stdlog.New(io.Discard, "", 0)}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if s.Shutdown(last) != nil {
			s.Close()
		}
	})
	err := s.Serve(netutil.LimitListener(l, conns))
	if stop() {
		return err
	}
	<-stopped
	return nil
}
