package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/seal"
	"bolwerk/shield/capture"
)

// taskOf is an entry of the copy.
func taskOf(t *testing.T, id, at string, as ...As) copies.Entry {
	t.Helper()
	body, err := json.Marshal(Task{URL: at, As: as})
	if err != nil {
		t.Fatal(err)
	}
	return copies.Entry{ID: TaskEntry + id, Version: 1, Until: time.Now().Add(time.Hour).UnixMicro(), Body: body}
}

// TestMain makes the test program a probe, to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "probe" {
		if err := killable(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killable is a probe with a spool in dir and one task; it says when a visit has
// been handed in.
func killable(dir, id, at string) error {
	cfg := DefaultConfig()
	cfg.Browser = "off"
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, clock.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	p := New(cfg, With{Dir: dir, Clock: clock.New(), Log: slog.New(slog.DiscardHandler), Put: func(kind string, body []byte) (string, error) {
		id, err := spool.Put(kind, body)
		seen, _ := DecodeSeen(body)
		b, _ := capture.Decode(seen.Capture)
		fmt.Printf("put %s %q\n", seen.Task, b.Failed)
		return id, err
	}})
	body, err := json.Marshal(Task{URL: at, As: []As{{capture.Desktop, bolwerk.NL}}})
	if err != nil {
		return err
	}
	if err := p.Apply(copies.Head{}, []copies.Entry{{ID: TaskEntry + id, Version: 1, Until: time.Now().Add(time.Hour).UnixMicro(), Body: body}}); err != nil {
		return err
	}
	return p.Run(context.Background())
}

// A probe that is killed in mid-visit visits again when it is back; the third
// death over one page hands that in as failed, and others get their turn.
func TestAProbeKilledInMidVisit(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan struct{}), make(chan struct{})
	defer close(second)
	arrived := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		hang := first
		if r.URL.Path == "/second" {
			hang = second
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/plain")
	}))
	defer s.Close()
	dir, id, at := t.TempDir(), bolwerk.NewID(time.Now()), s.URL+"/first"
	begin := func() (*exec.Cmd, *bufio.Reader) {
		cmd := exec.Command(exe, "probe", dir, id, at)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewReader(out)
	}
	killed := func() {
		cmd, _ := begin()
		<-arrived
		cmd.Process.Kill()
		cmd.Wait()
	}
	killed()
	killed()
	close(first)
	cmd, out := begin()
	line, err := out.ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || line != "put "+id+" \"\"\n" {
		t.Errorf("after two deaths: %q, %v", line, err)
	}
	items, _ := os.ReadDir(filepath.Join(dir, "spool", "new"))
	if len(items) != 1 {
		t.Errorf("%d items in the spool", len(items))
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "visiting")); len(left) > 1 {
		t.Errorf("%d marks are left", len(left))
	}
	// One that ends the probe every time is given up.
	dir, id, at = t.TempDir(), bolwerk.NewID(time.Now()), s.URL+"/second"
	for len(arrived) > 0 {
		<-arrived
	}
	for range maxDeaths {
		killed()
	}
	cmd, out = begin()
	line, err = out.ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || !strings.HasSuffix(line, "\"error\"\n") {
		t.Errorf("after %d deaths: %q, %v", maxDeaths, line, err)
	}
}

// What is taken back or over is not visited, and each profile once.
func TestTasks(t *testing.T) {
	l := newLab(t)
	l.cfg.AtOnce = 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/plain") }))
	defer s.Close()
	got := make(chan string, 10)
	l.put = func(kind string, body []byte) (string, error) {
		seen, err := DecodeSeen(body)
		if err != nil {
			t.Error(err)
		}
		b, err := capture.Decode(seen.Capture)
		if err != nil {
			t.Error(err)
		}
		got <- fmt.Sprintf("%s %s %s", seen.Task, b.Profile, b.Lang)
		return "", nil
	}
	now := time.Now()
	one, two, over := bolwerk.NewID(now), bolwerk.NewID(now.Add(time.Millisecond)), bolwerk.NewID(now.Add(2*time.Millisecond))
	late := taskOf(t, over, s.URL, As{capture.Desktop, bolwerk.NL})
	late.Until = now.Add(-time.Second).UnixMicro()
	both := []As{{capture.Desktop, bolwerk.NL}, {capture.Phone, bolwerk.FR}}
	l.Reset(copies.Head{}, func(yield func(copies.Entry) bool) {
		for _, e := range []copies.Entry{taskOf(t, one, s.URL, both...), taskOf(t, two, s.URL, both...), late, {ID: NamesEntry, Body: json.RawMessage(`["bank.example"]`)}, {ID: "other"}} {
			if !yield(e) {
				return
			}
		}
	})
	l.Apply(copies.Head{}, []copies.Entry{{ID: TaskEntry + two, Version: 2, Removed: true}})
	if n := l.Waiting(); n != 2 || !l.Probe.names["bank.example"] {
		t.Errorf("%d wait, names %v", n, l.Probe.names)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	for _, want := range []string{one + " desktop nl", one + " phone fr"} {
		if line := <-got; line != want {
			t.Errorf("%s, want %s", line, want)
		}
	}
	stop()
	<-done
	if len(got) > 0 {
		t.Errorf("more: %s", <-got)
	}
}
