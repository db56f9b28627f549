// Chain measures the whole way of a report: real mails come in by SMTP at a
// fixed rate, are read, judged and linked, while a person decides ten times a
// second and our own DNS is asked until it answers the warning page.
//
//	go run ./bench/chain --dir MAILS --rate 200 --seconds 20
//
// The program runs as "bolwerk all" in a process of its own. A latency counts
// from the time at which something was due, so that a stall is not hidden.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"bolwerk/bench/product"
	"bolwerk/internal/mail"
)

type options struct {
	bin, dir, profile string
	rate              float64
	seconds, conns    int
	every             time.Duration
	reporters         int
	keep              bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "", "the program; empty: it is built")
	flag.StringVar(&o.dir, "dir", "", "folder of .eml files, searched with all below")
	flag.Float64Var(&o.rate, "rate", 200, "mails a second")
	flag.IntVar(&o.seconds, "seconds", 20, "seconds of mails")
	flag.IntVar(&o.conns, "conns", 16, "SMTP connections")
	flag.IntVar(&o.reporters, "reporters", 500, "different senders")
	flag.DurationVar(&o.every, "decide-every", 100*time.Millisecond, "time between two decisions")
	flag.StringVar(&o.profile, "profile", "", "write a profile of the program to this file (perf record)")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder of the program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/chain:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.rate <= 0 || o.seconds < 1 || o.conns < 1 || o.reporters < 1 || o.every <= 0 {
		return errors.New("--rate, --seconds, --conns, --reporters and --decide-every are above zero")
	}
	mails, err := load(o.dir)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bolwerk-chain-")
	if err != nil {
		return err
	}
	if !o.keep {
		defer os.RemoveAll(dir)
	} else {
		fmt.Println("folder   ", dir)
	}
	if o.bin == "" {
		if o.bin, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	p, err := product.Start(ctx, product.Options{Binary: o.bin, Dir: data})
	if err != nil {
		return err
	}
	defer p.Stop()
	if o.profile != "" {
		perf := exec.Command("perf", "record", "-q", "-F", "499", "-g", "-p", strconv.Itoa(p.PID), "-o", o.profile)
		if err := perf.Start(); err != nil {
			return err
		}
		defer func() { perf.Process.Signal(os.Interrupt); perf.Wait() }()
	}
	fmt.Printf("machine   %d cores, %s, load %s before\n", runtime.NumCPU(), runtime.Version(), product.Load())
	before := p.Usage()
	begun := time.Now()
	var work sync.WaitGroup
	var sent mailed
	var made decisions
	deciding, ended := context.WithCancel(ctx)
	defer ended()
	work.Go(func() { made = decide(deciding, p, o.every) })
	sent = send(ctx, p, o, mails, begun)
	backlog, readAll, err := drain(ctx, p, int64(len(sent.latencies)), begun)
	ended()
	work.Wait()
	if err != nil {
		return err
	}
	after := p.Usage()
	n := len(sent.latencies)
	fmt.Printf("accepted  %d mails, %.1f MB in %.2f s: %.1f/s (asked for %.0f/s), %d refused\n", n, float64(sent.bytes)/1e6, sent.took.Seconds(), float64(n)/sent.took.Seconds(), o.rate, sent.failed)
	fmt.Printf("250       %s\n", spread(sent.latencies))
	fmt.Printf("read      all after %.2f s: %.1f/s; %d waited when the last was accepted\n", readAll.Seconds(), float64(n)/readAll.Seconds(), backlog)
	today, err := p.Today(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("lost      %d (accepted %d, the desk has %d, unread %d)\n", int64(n)-today.Reports, n, today.Reports, today.Unread)
	cpu, readers := after.CPU-before.CPU, after.Readers-before.Readers
	each := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(max(n, 1)) }
	fmt.Printf("cpu       %.2f ms a mail: %.2f program, %.2f readers; %.0f mails/s would fill two cores\n", each(cpu+readers), each(cpu), each(readers), 2e3/each(cpu+readers))
	fmt.Printf("decision  %s (answer of the API; %d failed)\n", spread(made.answer), made.failed)
	fmt.Printf("own DNS   %s (from the decision's start until the edge answers the warning page)\n", spread(made.blocked))
	fmt.Printf("memory    %.0f MB, %.0f MB at most; store %.0f MB\n", float64(after.RSS)/1e6, float64(after.Peak)/1e6, float64(size(filepath.Join(data, "desk", "bolwerk.db")))/1e6)
	fmt.Printf("load      %s after %.0f s\n", product.Load(), time.Since(begun).Seconds())
	for i, a := range p.Alarms() {
		if i == 5 {
			break
		}
		fmt.Println("alarm    ", a)
	}
	if today.Reports != int64(n) || sent.failed > 0 || made.failed > 0 {
		return errors.Join(errors.New("mails were lost, or something was refused"), sent.first, made.first)
	}
	return nil
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

type mailed struct {
	took      time.Duration
	bytes     int64
	latencies []time.Duration
	failed    int
	first     error
}

// send hands the mails in, each when it is due.
func send(ctx context.Context, p *product.Product, o options, mails [][]byte, start time.Time) (all mailed) {
	var mu sync.Mutex
	var work sync.WaitGroup
	count := int(o.rate * float64(o.seconds))
	next := make(chan int)
	for range o.conns {
		work.Go(func() {
			client := mail.NewClient(mail.Target{Addr: p.SMTP, Name: "bench.example", TLS: mail.TLSNone}, (&net.Dialer{}).DialContext)
			defer client.Close()
			for i := range next {
				due := start.Add(time.Duration(float64(i) / o.rate * float64(time.Second)))
				from := mail.MustAddress(fmt.Sprintf("reporter%d@customer.example", i%o.reporters))
				raw, err := mail.Forward(from, product.ReportTo, fmt.Sprintf("suspicious, no. %d", i), "Is this real?\n", mails[i%len(mails)], start)
				if err == nil {
					_, err = client.Submit(ctx, from, []mail.Address{product.ReportTo}, raw)
				}
				took := time.Since(due)
				mu.Lock()
				if err != nil {
					if all.failed++; all.first == nil {
						all.first = err
					}
				} else {
					all.latencies = append(all.latencies, took)
					all.bytes += int64(len(raw))
				}
				mu.Unlock()
			}
		})
	}
	for i := range count {
		time.Sleep(time.Until(start.Add(time.Duration(float64(i) / o.rate * float64(time.Second)))))
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	work.Wait()
	all.took = time.Since(start)
	return all
}

// drain waits until the desk has read all that was accepted.
func drain(ctx context.Context, p *product.Product, want int64, start time.Time) (backlog int64, took time.Duration, err error) {
	for first := true; ; first = false {
		t, err := p.Today(ctx)
		if err != nil {
			return 0, 0, err
		}
		left := want - t.Reports + t.Unread
		if first {
			backlog = left
		}
		if left <= 0 {
			return backlog, time.Since(start), nil
		}
		if time.Since(start) > 10*time.Minute {
			return backlog, 0, fmt.Errorf("%d reports are not read after ten minutes", left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type decisions struct {
	answer, blocked []time.Duration
	failed          int
	first           error
}

// decide has a name blocked every so often until ctx ends.
func decide(ctx context.Context, p *product.Product, every time.Duration) (all decisions) {
	var mu sync.Mutex
	var work sync.WaitGroup
	defer work.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		var due time.Time
		select {
		case <-ctx.Done():
			return all
		case due = <-tick.C:
		}
		work.Go(func() {
			ctx := context.WithoutCancel(ctx)
			name := fmt.Sprintf("bank%d.evil-%d.example", i, i)
			_, err := p.Block(ctx, name, "host")
			answer := time.Since(due)
			var blocked time.Duration
			if err == nil {
				blocked, err = product.Until(ctx, p.DNS, name, "192.0.2.1", due, 30*time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if all.failed++; all.first == nil {
					all.first = err
				}
				return
			}
			all.answer, all.blocked = append(all.answer, answer), append(all.blocked, blocked)
		})
	}
}

func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, max %s of %d", at(.5), at(.9), at(.99), at(1), len(d))
}

func size(path string) int64 {
	s, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return s.Size()
}
