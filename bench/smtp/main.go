// Smtp sends mails to a door on this machine and measures how fast it
// acknowledges them.
//
//	go run ./bench/smtp --addr 127.0.0.1:2525 --dir MAILS --wrap --count 20000 --conns 8
//	go run ./bench/smtp --addr 127.0.0.1:2525 --dir MAILS --wrap --count 20000 --rate 200
//
// Without --rate each connection sends as fast as it is answered. With it the
// mails have fixed times; a latency counts from the time a mail was due, so that
// a door that stalls does not hide it (coordinated omission).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk/internal/mail"
)

type options struct {
	addr, dir, to string
	rate          float64
	count, conns  int
	reporters     int
	wrap          bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:2525", "the door; loopback only")
	flag.StringVar(&o.dir, "dir", "", "folder of .eml files, searched with all below")
	flag.StringVar(&o.to, "to", "suspicious@bolwerk.example", "report address")
	flag.Float64Var(&o.rate, "rate", 0, "mails a second over all connections; 0 is as fast as it goes")
	flag.IntVar(&o.count, "count", 1000, "mails")
	flag.IntVar(&o.conns, "conns", 8, "connections")
	flag.IntVar(&o.reporters, "reporters", 500, "different senders")
	flag.BoolVar(&o.wrap, "wrap", false, "attach each mail to a reporter's own, with a Message-ID of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/smtp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if at, err := netip.ParseAddrPort(o.addr); err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("--addr %s: only a loopback address is loaded", o.addr)
	}
	to, err := mail.ParseAddress(o.to)
	if err != nil {
		return err
	}
	if o.conns < 1 || o.count < 1 || o.reporters < 1 || o.rate < 0 {
		return errors.New("--conns, --count and --reporters are at least 1, --rate is at least 0")
	}
	mails, err := load(o.dir)
	if err != nil {
		return err
	}
	result := send(ctx, o, to, mails)
	result.print(os.Stdout)
	if result.failed > 0 {
		return fmt.Errorf("%d of %d mails were not taken; the first: %w", result.failed, o.count, result.first)
	}
	return ctx.Err()
}

// load reads all .eml files below dir.
func load(dir string) ([][]byte, error) {
	if dir == "" {
		return nil, errors.New("--dir: name a folder of .eml files")
	}
	var mails [][]byte
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".eml" {
			return err
		}
		raw, err := os.ReadFile(path)
		mails = append(mails, raw)
		return err
	})
	if err == nil && len(mails) == 0 {
		err = fmt.Errorf("--dir %s: no .eml file", dir)
	}
	return mails, err
}

type result struct {
	took      time.Duration
	bytes     int64
	latencies []time.Duration // of accepted mails
	failed    int
	first     error
}

// send sends o.count mails over o.conns connections.
func send(ctx context.Context, o options, to mail.Address, mails [][]byte) result {
	var (
		next atomic.Int64
		mu   sync.Mutex
		all  result
		work sync.WaitGroup
		dial net.Dialer
	)
	start := time.Now()
	for range o.conns {
		work.Go(func() {
			client := mail.NewClient(mail.Target{Addr: o.addr, Name: "bench.example", TLS: mail.TLSNone}, dial.DialContext)
			defer client.Close()
			var mine result
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= o.count {
					break
				}
				from := mail.MustAddress(fmt.Sprintf("reporter%d@customer.example", i%o.reporters))
				raw := mails[i%len(mails)]
				if o.wrap {
					raw, _ = mail.Forward(from, to, fmt.Sprintf("suspicious, no. %d", i), "Is this real?\n", raw, start)
				}
				due := time.Now()
				if o.rate > 0 {
					due = start.Add(time.Duration(float64(i) / o.rate * float64(time.Second)))
					wait(ctx, due)
				}
				if _, err := client.Submit(ctx, from, []mail.Address{to}, raw); err != nil {
					mine.failed++
					if mine.first == nil {
						mine.first = err
					}
					continue
				}
				mine.latencies = append(mine.latencies, time.Since(due))
				mine.bytes += int64(len(raw))
			}
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, mine.latencies...)
			all.bytes += mine.bytes
			all.failed += mine.failed
			if all.first == nil {
				all.first = mine.first
			}
		})
	}
	work.Wait()
	all.took = time.Since(start)
	return all
}

func wait(ctx context.Context, due time.Time) {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r result) print(w *os.File) {
	n := len(r.latencies)
	fmt.Fprintf(w, "accepted  %d mails, %.1f MB in %.2f s: %.1f/s, %.1f MB/s\n", n, float64(r.bytes)/1e6, r.took.Seconds(),
		float64(n)/r.took.Seconds(), float64(r.bytes)/1e6/r.took.Seconds())
	if n > 0 {
		slices.Sort(r.latencies)
		at := func(q float64) time.Duration {
			return r.latencies[min(n-1, int(q*float64(n)))].Round(10 * time.Microsecond)
		}
		fmt.Fprintf(w, "latency   p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n", at(.5), at(.9), at(.99), at(.999), r.latencies[n-1].Round(10*time.Microsecond))
	}
	fmt.Fprintf(w, "failed    %d\n", r.failed)
}
