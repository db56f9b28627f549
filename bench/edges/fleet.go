package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk/bench/product"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/join"
	"bolwerk/shield/edge"
)

// fleet are the edges in this process.
type fleet struct {
	dir    string
	relays []string // where they listen; edges take turns among them
	edges  []*member
	wg     sync.WaitGroup

	mu   sync.Mutex
	came map[string][]time.Time // of an entry's change, when each edge had it in force
}

// member is an edge as the role builds it, less its listeners and its spool.
type member struct {
	*edge.Edge
	fleet    *fleet
	follower *copy.Follower
	feed     *join.Feed // nil without relays
}

// Apply puts changes in force, and notes when that was.
func (m *member) Apply(head copy.Head, changes []copy.Entry) error {
	err := m.Edge.Apply(head, changes)
	now := time.Now()
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	for _, e := range changes {
		k := mark(e.ID, !e.Removed)
		m.fleet.came[k] = append(m.fleet.came[k], now)
	}
	return err
}

func mark(id string, there bool) string { return fmt.Sprint(id, there) }

// add has an edge join and follow.
func (f *fleet) add(ctx context.Context, o options, p *product.Product, name string) error {
	text, err := line(ctx, o, p, name, "edge")
	if err != nil {
		return err
	}
	inv, err := join.ParseInvite(text)
	if err != nil {
		return err
	}
	c, log, dir := clock.New(), slog.New(slog.DiscardHandler), filepath.Join(f.dir, name)
	dial := (&net.Dialer{}).DialContext
	if err := join.Join(ctx, inv, dir, dial, c.Now()); err != nil {
		return err
	}
	host, err := join.Load(dir, c, log)
	if err != nil {
		return err
	}
	cfg := edge.DefaultConfig()
	cfg.WarningAddresses = []string{"192.0.2.1"}
	m := &member{fleet: f}
	if m.Edge, err = edge.New(cfg, dir, 1, c, nil, log); err != nil {
		return err
	}
	client, doubt := host.Client(dial), func() {}
	if n := len(f.relays); n > 0 {
		at := len(f.edges) % n
		feed := host.Feed(dial, append(slices.Clone(f.relays[at:]), f.relays[:at]...), client)
		m.feed, client, doubt = feed, feed.Client(), feed.Doubt
	}
	m.follower = copy.New(copy.Config{Operator: host.Operator(), Copy: "blocks", Key: host.CopyKey(), Disk: disk.System{}, Dir: filepath.Join(dir, "copies", "blocks"),
		Base: host.Base(), Client: client, Clock: c, Log: log, Doubt: doubt}, m)
	f.edges = append(f.edges, m)
	f.wg.Go(func() { m.Edge.Run(ctx) })
	f.wg.Go(func() { m.follower.Run(ctx) })
	return nil
}

// relayed counts the edges that ask a relay.
func (f *fleet) relayed() (n int) {
	for _, e := range f.edges {
		if e.feed != nil && e.feed.Relay() != "" {
			n++
		}
	}
	return n
}

// wait waits until every edge has a change, and returns when each had it.
func (f *fleet) wait(ctx context.Context, id string, there bool) ([]time.Time, error) {
	k := mark(id, there)
	for until := time.Now().Add(time.Minute); ; {
		f.mu.Lock()
		at := f.came[k]
		f.mu.Unlock()
		if len(at) == len(f.edges) {
			return at, nil
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("block %s: a minute later %d of %d edges have the change", id, len(at), len(f.edges))
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// grown is how many octets of changes the first edge has been sent and keeps.
func (f *fleet) grown() (n int64) {
	all, _ := filepath.Glob(filepath.Join(f.dir, "edge-0", "copies", "blocks", "*.changes"))
	for _, path := range all {
		if s, err := os.Stat(path); err == nil {
			n += s.Size()
		}
	}
	return n
}

// wrong counts the edges that answer a name otherwise than they should.
func (f *fleet) wrong(name string, blocked bool) (n int) {
	var wire []byte
	for label := range strings.SplitSeq(name, ".") {
		wire = append(append(wire, byte(len(label))), label...)
	}
	q := dnsserve.Question{Name: append(wire, 0), Type: dnsserve.TypeA, Class: 1, Worker: -1, From: netip.MustParseAddr("::ffff:198.51.100.1")}
	for _, e := range f.edges {
		if _, got := e.Answer(&q); got != blocked {
			n++
		}
	}
	return n
}
