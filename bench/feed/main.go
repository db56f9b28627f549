// Feed loads a large list of an authority's orders into the real program, as
// orders that a person releases, and measures what that costs and what a
// decision takes beside it: at our own DNS, and at the resolvers that transfer
// the policy zones.
//
//	go run ./bench/feed --names 1000000
//	go run ./bench/feed --names 10000 --peers
//	go run ./bench/feed --names 1000000 --seed
//
// Times until a resolver answers are of the whole way: the API is asked to block
// a name, and the resolver is asked until it answers the warning page.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolwerk/bench/product"
	"bolwerk/test/peers"
)

type options struct {
	bin, profile string
	names        int
	decisions    int
	peers, keep  bool
	alone, seed  bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "", "the program; empty: it is built")
	flag.IntVar(&o.names, "names", 1_000_000, "names on the list")
	flag.IntVar(&o.decisions, "decisions", 200, "decisions that are measured")
	flag.BoolVar(&o.peers, "peers", false, "BIND, Unbound and PowerDNS Recursor as secondaries, where they are installed")
	flag.BoolVar(&o.alone, "alone", true, "the stand-alone edge with the same names too")
	flag.BoolVar(&o.seed, "seed", false, "write the names into the store instead of having them released: what serving them costs, in minutes less")
	flag.StringVar(&o.profile, "profile", "", "write a profile of the release to this file (perf record)")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder of the program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/feed:", err)
		os.Exit(1)
	}
}

// name is the i-th name of the list.
func name(i int) string { return product.Name(i) }

const sentinel = "sentinel.list-of-orders.example"

func run(ctx context.Context, o options) error {
	if o.names < 1 || o.decisions < 1 {
		return errors.New("--names and --decisions are above zero")
	}
	t := &standIn{}
	defer t.end()
	dir := t.TempDir()
	if o.keep {
		fmt.Println("folder   ", dir)
		t.clean = nil
	}
	var err error
	if o.bin == "" {
		if o.bin, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	list, plain := filepath.Join(dir, "orders"), filepath.Join(dir, "names")
	if err := errors.Join(write(list, o.names, sentinel+"\n"), write(plain, o.names, "")); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	fmt.Printf("machine   %d cores, %s, load %s before\n", runtime.NumCPU(), runtime.Version(), product.Load())
	upstream := peers.Upstream(t)
	config := product.Options{Binary: o.bin, Dir: data, Base: 20100, Upstream: upstream}
	if !o.seed {
		config.More = fmt.Sprintf("[[shield.issuer]]\nname = \"cert\"\npublic = \"CERT\"\nground = \"law of the benchmark\"\nfile = %q\nmust_have = %q\n", list, sentinel)
	}
	kinds := []string{}
	at := map[string]netip.AddrPort{}
	if o.peers {
		kinds = []string{"bind", "unbound", "pdns"}
		for _, k := range kinds {
			at[k] = peers.FreePort(t)
			notify := fmt.Sprintf("notify = %q", at[k])
			if k == "pdns" { // it polls
				notify = fmt.Sprintf("ask = %q", at[k])
			}
			config.RPZ += fmt.Sprintf("[[rpz.secondary]]\nname = %q\nfrom = [\"127.0.0.0/8\"]\n%s\n", k, notify)
		}
	}
	p, err := product.Start(ctx, config)
	if err != nil {
		return err
	}
	defer p.Stop()
	if o.seed {
		p.Stop()
		if err := p.Seed(ctx, o.names); err != nil {
			return err
		}
		config.Ready = 20 * time.Minute
		if p, err = product.Start(ctx, config); err != nil {
			return err
		}
		defer p.Stop()
		u := p.Usage()
		fmt.Printf("started   ready after %.1f s; %.0f MB, %.0f MB at most; store %.0f MB\n", p.Started.Seconds(), float64(u.RSS)/1e6, float64(u.Peak)/1e6, float64(size(filepath.Join(p.Dir, "desk", "bolwerk.db")))/1e6)
	} else if err := load(ctx, o, p); err != nil {
		return err
	}
	if err := decisions(ctx, o, p, "own DNS", p.DNS, "own", 20*time.Millisecond); err != nil {
		return err
	}
	if err := withPeers(ctx, o, p, t, upstream, kinds, at); err != nil {
		return err
	}
	if err := again(ctx, o, p, config); err != nil {
		return err
	}
	if o.alone {
		if err := alone(ctx, o, plain, upstream); err != nil {
			return err
		}
	}
	fmt.Printf("load      %s at the end\n", product.Load())
	return nil
}

func write(path string, n int, first string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	w.WriteString(first)
	for i := range n {
		w.WriteString(name(i))
		w.WriteByte('\n')
	}
	return errors.Join(w.Flush(), f.Close())
}

// load waits until the list is held, has it released, and waits for the edge.
func load(ctx context.Context, o options, p *product.Product) error {
	begun, before := time.Now(), p.Usage()
	for !slices.ContainsFunc(p.Alarms(), func(a string) bool { return strings.Contains(a, "orders held back") }) {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	took, after := time.Since(begun), p.Usage()
	line := func(what string) {
		fmt.Printf("%-9s %d names in %.1f s, %.0f us CPU a name; %.0f MB, %.0f MB at most; store %.0f MB\n", what, o.names, took.Seconds(),
			(after.CPU-before.CPU).Seconds()*1e6/float64(o.names), float64(after.RSS)/1e6, float64(after.Peak)/1e6, float64(size(filepath.Join(p.Dir, "desk", "bolwerk.db")))/1e6)
	}
	line("held")
	if o.profile != "" {
		perf := exec.Command("perf", "record", "-q", "-F", "499", "-g", "-p", strconv.Itoa(p.PID), "-o", o.profile)
		if err := perf.Start(); err != nil {
			return err
		}
		defer func() { perf.Process.Signal(os.Interrupt); perf.Wait() }()
	}
	begun, before = time.Now(), p.Usage()
	if err := p.API(ctx, "POST", "/orders/cert/release", struct{}{}, nil); err != nil {
		return err
	}
	for left := 1; left > 0; { // what takes long follows by itself
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		var held struct{ Items []struct{} }
		if err := p.API(ctx, "GET", "/orders?issuer=cert&state=held&limit=1", nil, &held); err != nil {
			return err
		}
		left = len(held.Items)
	}
	took, after = time.Since(begun), p.Usage()
	line("released")
	begun = time.Now()
	if _, err := product.Until(ctx, p.DNS, name(o.names-1), "192.0.2.1", begun, 5*time.Minute); err != nil {
		return err
	}
	if _, err := product.Until(ctx, p.DNS, name(0), "192.0.2.1", begun, 5*time.Minute); err != nil {
		return err
	}
	fmt.Printf("edge      answers the first and the last of them %.2f s later\n", time.Since(begun).Seconds())
	return nil
}

// decisions measures what a decision takes until a resolver answers by it.
func decisions(ctx context.Context, o options, p *product.Product, what string, resolver netip.AddrPort, tag string, pause time.Duration) error {
	var answer, blocked []time.Duration
	before := p.Usage()
	for i := range o.decisions {
		name := fmt.Sprintf("%s-%d.decided-%d.example", tag, i, i)
		due := time.Now()
		if _, err := p.Block(ctx, name, "host"); err != nil {
			return err
		}
		answer = append(answer, time.Since(due))
		took, err := product.Until(ctx, resolver, name, "192.0.2.1", due, time.Minute)
		if err != nil {
			return err
		}
		blocked = append(blocked, took)
		if err := sleep(ctx, pause+time.Duration(i%10)*pause/10); err != nil {
			return err
		}
	}
	after := p.Usage()
	fmt.Printf("%-9s %s from the decision to the answer; the API's %s; %.1f ms CPU a decision\n", what, spread(blocked), spread(answer), (after.CPU-before.CPU).Seconds()*1e3/float64(o.decisions))
	return nil
}

// withPeers starts the resolvers with the whole list there, and measures them.
func withPeers(ctx context.Context, o options, p *product.Product, t *standIn, upstream netip.AddrPort, kinds []string, at map[string]netip.AddrPort) error {
	o.decisions = min(o.decisions, 20)
	for _, k := range kinds {
		setup := peers.Setup{Primary: p.RPZ, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: at[k]}
		begun := time.Now()
		var r *peers.Resolver
		err := t.try(func() {
			r = map[string]func() *peers.Resolver{"bind": func() *peers.Resolver { return peers.Bind(t, setup) },
				"unbound": func() *peers.Resolver { return peers.Unbound(t, setup) }, "pdns": func() *peers.Resolver { return peers.PowerDNS(t, setup) }}[k]()
		})
		if err != nil {
			fmt.Printf("%-9s %v\n", k, err)
			continue
		}
		if _, err := product.Until(ctx, r.Addr, name(o.names-1), "192.0.2.1", begun, 5*time.Minute); err != nil {
			return err
		}
		took := time.Since(begun)
		rss, peak := product.Memory(r.PID)
		fmt.Printf("%-9s started and answers the last of the list after %.2f s; %.0f MB, %.0f MB at most\n", k, took.Seconds(), float64(rss)/1e6, float64(peak)/1e6)
		// Two NOTIFY of a zone are a second apart, and a resolver that polls is
		// met anywhere in its second.
		if err := decisions(ctx, o, p, k, r.Addr, k, 1100*time.Millisecond); err != nil {
			return err
		}
		r.Stop()
	}
	return nil
}

// again starts the program once more with what it has.
func again(ctx context.Context, o options, p *product.Product, config product.Options) error {
	p.Stop()
	// The edge begins with nothing, as a new one does.
	if err := os.RemoveAll(filepath.Join(config.Dir, "edge", "copies")); err != nil {
		return err
	}
	config.Ready = 10 * time.Minute
	p, err := product.Start(ctx, config)
	if err != nil {
		return err
	}
	defer p.Stop()
	if _, err := product.Until(ctx, p.DNS, name(o.names-1), "192.0.2.1", time.Now(), 5*time.Minute); err != nil {
		return err
	}
	u := p.Usage()
	fmt.Printf("again     ready after %.2f s, with a whole copy for the edge; %.1f s CPU, %.0f MB, %.0f MB at most (desk, zones and edge in one process)\n", p.Started.Seconds(), u.CPU.Seconds(), float64(u.RSS)/1e6, float64(u.Peak)/1e6)
	return decisions(ctx, o, p, "own DNS", p.DNS, "again", 20*time.Millisecond)
}

// alone measures the edge without a desk.
func alone(ctx context.Context, o options, list string, upstream netip.AddrPort) error {
	listen := netip.MustParseAddrPort("127.0.0.1:20190")
	cmd := exec.CommandContext(ctx, o.bin, "edge", "--names", list, "--listen", listen.String(), "--upstream", upstream.String())
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(os.Interrupt)
	if _, err := product.Until(ctx, listen, name(o.names-1), "192.0.2.1", begun, time.Minute); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := sleep(ctx, 3*time.Second); err != nil { // it gives memory back
		return err
	}
	rss, peak := product.Memory(cmd.Process.Pid)
	fmt.Printf("alone     edge --names: answers after %.2f s; %.0f MB, %.0f MB at most\n", took.Seconds(), float64(rss)/1e6, float64(peak)/1e6)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func spread(d []time.Duration) string {
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %s, p99 %s of %d", at(.5), at(.99), len(d))
}

func size(path string) int64 {
	s, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return s.Size()
}
