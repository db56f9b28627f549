package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bolwerk/internal/dnsserve"
)

type reloaded chan dnsserve.Config

func (r reloaded) Reload(c dnsserve.Config) ([]string, error) {
	r <- c
	if c.ClientRate == 13 {
		return nil, errors.New("unlucky")
	}
	if c.ClientRate == 7 {
		return []string{"workers"}, nil
	}
	return nil, nil
}

// told is a log that can be read while it is written.
type told chan string

func (t told) Write(b []byte) (int, error) { t <- string(b); return len(b), nil }

const rest = `
[smtp]
addresses = ["suspicious@operator.example"]
[warning]
warning_addresses = ["192.0.2.1"]
`

// On SIGHUP the file is read again; a mistake in it changes nothing, and what
// needs a restart is named.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bolwerk.toml")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s+rest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[dns]\nupstream = [\"192.0.2.53:53\"]\n")
	a, stop := readAgain("edge", path)
	defer stop()
	was, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	lines, dns := make(told, 10), make(reloaded, 10)
	env := Env{Log: slog.New(slog.NewTextHandler(lines, nil))}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.reloads(ctx, env, was, dns) }()
	defer func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct{ file, want string }{
		{"[dns]\nclient_rate = 5\nupstream = [\"192.0.2.53:53\"]\n", "configuration is taken\""},
		{"[dns]\nclient_rate = 7\nlisten = \"127.0.0.1:99\"\nupstream = [\"192.0.2.53:53\"]\n", `needs_restart="dns.workers, dns.listen"`},
		{"operator = \"Other\"\n[dns]\nupstream = [\"192.0.2.53:53\"]\n", `needs_restart="what changed outside of [dns]"`},
		{"[dns]\nclient_rate = 13\nupstream = [\"192.0.2.53:53\"]\n", "unlucky"},
		{"[dns]\nclient_rat = 5\n", "client_rat"},
		{"[dns]\nclient_rate = -1\nupstream = [\"192.0.2.53:53\"]\n", "client_rate -1"},
	} {
		write(c.file)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if got := <-lines; !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.file, got, c.want)
		}
	}
	if n := len(dns); n != 4 {
		t.Errorf("the server was told %d times, want 4", n)
	}
}
