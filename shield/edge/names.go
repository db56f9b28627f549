package edge

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/idn"
	"bolwerk/internal/nameset"
)

// Names is a blocking edge that stands alone: a list of names, one on a line, is
// blocked with all that is below each.
type Names struct {
	// List gives the names; # begins a comment. It is read once.
	List io.Reader
	// Listen and Upstream are address:port.
	Listen, Upstream string
	// Answer is the address that blocked names get, or "nxdomain"; empty is
	// 192.0.2.1.
	Answer string
	// Ready is called with the served address when questions are answered; it
	// may be nil.
	Ready func(address string)
	Log   *slog.Logger
}

// RunNames loads the list and serves until ctx ends.
func RunNames(ctx context.Context, n Names) error {
	cfg := DefaultConfig()
	action := Redirect
	switch n.Answer {
	case "":
		cfg.WarningAddresses = []string{"192.0.2.1"}
	case "nxdomain":
		action = NXDomain
	default:
		cfg.WarningAddresses = []string{n.Answer}
	}
	dns := dnsserve.DefaultConfig()
	dns.Upstream = []string{n.Upstream}
	if err := dns.Validate(); err != nil {
		return err
	}
	e, err := New(cfg, "", dns.WorkerCount(), clock.New(), nil, n.Log)
	if err != nil {
		return err
	}
	start := time.Now()
	bad, err := e.load(n.List, action)
	if err != nil {
		return err
	}
	if e.Rules() == 0 {
		return bolwerk.WithHint(bolwerk.Invalid("the list has no name"), "one name on a line; # begins a comment")
	}
	debug.FreeOSMemory() // what reading the list left behind
	s, err := dnsserve.New(dns, e.Answer, nil, nil, n.Log)
	if err != nil {
		return err
	}
	k, err := dnsserve.Listen(ctx, n.Listen, dns.WorkerCount())
	if err != nil {
		return err
	}
	n.Log.Info("serving", "names", e.Rules(), "skipped", bad, "load", time.Since(start).Round(time.Millisecond), "address", k.Addr().String())
	if n.Ready != nil {
		n.Ready(k.Addr().String())
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() { done <- e.Run(ctx) }()
	err = s.Run(ctx, nil, k)
	stop()
	if e := <-done; err == nil {
		err = e
	}
	return err
}

// load reads the list. A line that is no name is skipped and counted.
func (e *Edge) load(list io.Reader, action Action) (bad int, err error) {
	lines := bufio.NewScanner(list)
	lines.Buffer(make([]byte, 64<<10), 64<<10)
	rule := Rule{Scope: bolwerk.ScopeSubtree, Action: action, Block: "list"}
	key := uint64(0)
	like := e.itemOf(0, rule, 0, 0, 1)
	err = e.set.Reset(func(yield func(nameset.Item) bool) {
		for lines.Scan() {
			line, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			d, err := bolwerk.ParseDomain(string(line))
			if err != nil {
				if d, err = idn.Parse(strings.TrimPrefix(string(line), "*.")); err != nil {
					bad++
					continue
				}
			}
			key++
			it := like
			it.Key, it.Name = key, d
			if !yield(it) {
				return
			}
		}
	})
	if err == nil {
		err = lines.Err()
	}
	e.took(copies.Head{MadeAt: e.clock.Now(), Count: int64(e.set.Len())}, int64(bad), true)
	return bad, err
}
