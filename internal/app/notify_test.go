package app

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheServiceManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	tell(slog.New(slog.DiscardHandler), "READY=1\nSTATUS=ready")
	b := make([]byte, 100)
	n, err := l.Read(b)
	if got := string(b[:n]); err != nil || got != "READY=1\nSTATUS=ready" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWithoutAServiceManagerNobodyIsTold(t *testing.T) {
	var log bytes.Buffer
	t.Setenv("NOTIFY_SOCKET", "")
	tell(slog.New(slog.NewTextHandler(&log, nil)), "READY=1")
	if log.Len() > 0 {
		t.Errorf("a log line: %s", &log)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	tell(slog.New(slog.NewTextHandler(&log, nil)), "READY=1")
	if !strings.Contains(log.String(), "service manager not told") {
		t.Errorf("got %q", &log)
	}
}
