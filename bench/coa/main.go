// Command coa measures how many changes of sessions a second the desk's port to an
// access server makes, and what one costs, against a stand-in on loopback or a server
// that is named.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
)

func main() {
	n := flag.Int("n", 20000, "changes")
	at := flag.Int("at-once", 32, "changes under way at once, each with a pace of 1000 a second of its own")
	server := flag.String("server", "", "address:port of a server; empty: a stand-in in this process")
	secret := flag.String("secret", "a secret of bng1", "the server's secret")
	unsigned := flag.Bool("unsigned", false, "the server signs no answers")
	flag.Parse()
	if err := run(*n, *at, *server, *secret, *unsigned); err != nil {
		fmt.Fprintln(os.Stderr, "bench/coa:", err)
		os.Exit(1)
	}
}

func run(n, at int, server, secret string, unsigned bool) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if server == "" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := standin.New(secret, nil)
		for i := range 100 {
			s.Add(standin.Session{ID: fmt.Sprint("s", i), User: "anna"})
		}
		go s.Run(ctx, conn)
		server = conn.LocalAddr().String()
	}
	dir, err := os.MkdirTemp("", "coa")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		return err
	}
	ports := make([]*coa.Port, at) // 1000 a second is the most that one port is configured for
	for i := range ports {
		p, err := coa.New(coa.Config{Name: "bng1", Address: server, SecretFile: file, Normal: "normal", Leaky: "leaky", Canary: "c", Pace: 1000, Unsigned: unsigned, Timeout: bolwerk.Duration(5 * time.Second)}, clock.New(), nil)
		if err != nil {
			return err
		}
		ports[i] = p
	}
	took := make([]time.Duration, n)
	states := map[enforce.State]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	began, cpu := time.Now(), used()
	for w := range at {
		wg.Go(func() {
			for i := w; i < n; i += at {
				o := enforce.Order{ID: "q", Profile: []enforce.Profile{enforce.Leaky, enforce.Normal}[i%2], Until: time.Now().Add(time.Hour),
					Session: session.Held{Identity: session.Identity{Subscriber: "anna"}, NAS: "bng1", Session: fmt.Sprint("s", i%100), Source: session.Radius, Prefix: netip.MustParsePrefix("198.51.100.7/32")}}
				start := time.Now()
				r, err := ports[w].Put(ctx, o)
				took[i] = time.Since(start)
				mu.Lock()
				if err != nil {
					r.State = "error"
				}
				states[r.State]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	all, cost := time.Since(began), used()-cpu
	slices.Sort(took)
	fmt.Printf("%d changes, %d at once, in %s: %.0f a second; p50 %s, p99 %s; CPU of this process %s a change; %v\n", n, at, all.Round(time.Millisecond), float64(n)/all.Seconds(),
		took[n/2].Round(time.Microsecond), took[n*99/100].Round(time.Microsecond), (cost / time.Duration(n)).Round(100*time.Nanosecond), states)
	return nil
}

// used is the CPU time of this process.
func used() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
