package door_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	. "bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/radius"
	"bolwerk/internal/seal"
)

// TestMain is also the doors that TestWhatWasAnsweredSurvivesAKill and
// TestTheSameRequestAfterAKill kill: they work in the folder that they are told, until
// they are killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BOLWERK_TEST_ONCE"); dir != "" {
		if err := onceChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir := os.Getenv("BOLWERK_TEST_ACCOUNTING")
	if dir == "" {
		os.Exit(m.Run())
	}
	err := func() error {
		c, log := clock.New(), slog.New(slog.DiscardHandler)
		spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, c, log)
		if err != nil {
			return err
		}
		cfg := DefaultConfig()
		cfg.Clients = []Client{{Name: "aaa1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, SecretFile: filepath.Join(dir, "secret")}}
		a, err := NewAccounting(cfg, spool.Put, c, log, prometheus.NewRegistry())
		if err != nil {
			return err
		}
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(conn.LocalAddr())
		return a.Run(context.Background(), conn)
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// What was answered is in the spool, whenever the door is killed.
func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered := map[string]bool{}
	for round := range 4 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "BOLWERK_TEST_ACCOUNTING="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64)
		n, err := out.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		to := strings.TrimSpace(string(line[:n]))
		var wg sync.WaitGroup
		killed := make(chan struct{})
		enough := make(chan struct{}, 1)
		for k := range 8 {
			wg.Go(func() {
				conn, err := net.Dial("udp", to)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				for i := 0; ; i++ {
					select {
					case <-killed:
						return
					default:
					}
					id := fmt.Sprintf("r%d-%d-%d", round, k, i)
					b := radius.Request(byte(i), []radius.Attribute{number(radius.AcctStatusType, radius.StatusStart), text(radius.AcctSessionID, id), text(radius.NASIdentifier, "bng")}, true, secret)
					buf := make([]byte, radius.MaxSize)
					if _, err := conn.Write(b); err != nil {
						continue // the door is dead
					}
					conn.SetReadDeadline(time.Now().Add(time.Second))
					if n, err := conn.Read(buf); err == nil && radius.Answers(buf[:n], b, secret) {
						mu.Lock()
						if answered[id] = true; len(answered) > 40*(round+1) {
							select {
							case enough <- struct{}{}:
							default:
							}
						}
						mu.Unlock()
					}
				}
			})
		}
		<-enough
		child.Process.Kill() // SIGKILL, in the middle of the work
		child.Wait()
		close(killed)
		wg.Wait()
	}
	kept := map[string]bool{}
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, clock.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if n := spool.SetAside(); n != 0 {
		t.Errorf("%d items set aside", n)
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "new", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(b), "\n")
		records, err := session.Decode([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for _, r := range records {
			kept[r.Session] = true
		}
	}
	for id := range answered {
		if !kept[id] {
			t.Errorf("%s was answered and is lost", id)
		}
	}
	t.Logf("%d answered, %d kept", len(answered), len(kept))
}
