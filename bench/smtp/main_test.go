package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
)

func TestRun_everyMailArrivesOnceAndWhole(t *testing.T) {
	dir := t.TempDir()
	original := []byte("From: x@evil.example\r\nSubject: pay\r\n\r\nhttps://evil.example/\r\n")
	if err := os.WriteFile(filepath.Join(dir, "a.eml"), original, 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	ids := map[string]bool{}
	accept := func(_ context.Context, e mail.Envelope) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		_, id, _ := bytes.Cut(e.Raw, []byte("Message-Id: "))
		id, _, _ = bytes.Cut(id, []byte("\r\n"))
		ids[string(id)] = true
		if !bytes.Contains(e.Raw, original) {
			t.Errorf("not whole: %s", e.Raw)
		}
		return "R", nil
	}
	cfg := mail.DefaultConfig()
	to := mail.MustAddress("suspicious@bolwerk.example")
	cfg.Addresses = []mail.Address{to}
	cfg.OwnNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	door := mail.NewDoor(cfg, accept, clock.New(), slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	go func() { done <- door.Run(ctx, ln) }()
	if err := run(ctx, options{addr: ln.Addr().String(), dir: dir, to: to.String(), count: 200, conns: 4, reporters: 7, rate: 2000, wrap: true}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(ids) != 200 {
		t.Errorf("%d different mails arrived of 200", len(ids))
	}
}

func TestRun_loadsLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:25", "mx.bolwerk.example:25", "localhost:25"} {
		if err := run(context.Background(), options{addr: addr, to: "a@b.example", dir: t.TempDir(), count: 1, conns: 1, reporters: 1}); err == nil {
			t.Errorf("%s would be loaded", addr)
		}
	}
}
