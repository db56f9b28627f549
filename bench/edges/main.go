// Edges measures how one desk serves many edges: it starts the real program with a
// list of names, has edges join it, blocks names and withdraws them, and says when a
// change was in force at every one of them and what the desk paid for it.
//
//	go run ./bench/edges --names 100000 --edges 100 --processes 10
//
// A hundred programs with a list each have no room on a small machine, so most edges
// are in this process: each with its own certificate and connection, its own copy on
// disk, its own name set. Some are the real program, asked over DNS. All share the
// processors and the disk with the desk.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"bolwerk/bench/product"
)

type options struct {
	bin                     string
	names, edges, processes int
	relays                  int
	changes, base           int
	every                   time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "", "the program; empty: it is built")
	flag.IntVar(&o.names, "names", 100_000, "names on the list")
	flag.IntVar(&o.edges, "edges", 100, "edges in this process")
	flag.IntVar(&o.processes, "processes", 10, "edges that are the program itself, asked over DNS")
	flag.IntVar(&o.relays, "relays", 0, "relays that hand the copy on to these edges; the programs ask the desk")
	flag.IntVar(&o.changes, "changes", 100, "names that are blocked and withdrawn again")
	flag.DurationVar(&o.every, "every", 400*time.Millisecond, "time between changes")
	flag.IntVar(&o.base, "base", 23400, "first of the ports")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/edges:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.names < 0 || o.edges < 1 || o.processes < 0 || o.changes < 1 {
		return errors.New("--edges and --changes are above zero, --names and --processes not below")
	}
	dir, err := os.MkdirTemp("", "bolwerk-edges-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.bin == "" {
		if o.bin, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	fmt.Printf("%s, %d cores, %s, load %s before\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.Version(), product.Load())
	p, err := start(ctx, o, dir)
	if err != nil {
		return err
	}
	defer p.Stop()
	one, err := idle(ctx, p)
	if err != nil {
		return err
	}
	fmt.Printf("desk      %.0f MB with its own edge; idle %.1f ms CPU a second\n", mb(p), one*1e3)
	alone, err := changes(ctx, o, p, nil, nil)
	if err != nil {
		return err
	}
	f := &fleet{dir: filepath.Join(dir, "edges"), came: map[string][]time.Time{}}
	ctx, end := context.WithCancel(ctx)
	defer func() { end(); f.wg.Wait() }()
	begun, before := time.Now(), p.Usage()
	relays, err := startRelays(ctx, o, p, f.dir)
	defer func() {
		for _, r := range relays {
			r.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, r := range relays {
		f.relays = append(f.relays, r.hosts)
	}
	procs, err := gather(ctx, o, p, f)
	if err != nil {
		return err
	}
	defer func() {
		for _, e := range procs {
			e.stop()
		}
	}()
	n, after := float64(o.edges+o.processes), p.Usage()
	fmt.Printf("joined    %d edges here and %d programs have the whole list after %.1f s; the desk's CPU %.0f ms an edge; it has %.0f MB, %.0f at most, and %d open files\n",
		o.edges, len(procs), time.Since(begun).Seconds(), (after.CPU-before.CPU).Seconds()*1e3/n, mb(p), float64(after.Peak)/1e6, files(p.PID))
	rss, _ := product.Memory(os.Getpid())
	fmt.Printf("edges     %.1f MB each here, all that an edge holds counted", float64(rss)/1e6/float64(o.edges))
	if len(procs) > 0 {
		rss, _ := product.Memory(procs[0].cmd.Process.Pid)
		fmt.Printf("; %.0f MB a program", float64(rss)/1e6)
	}
	fmt.Println()
	all, err := idle(ctx, p)
	if err != nil {
		return err
	}
	fmt.Printf("idle      %.1f ms of the desk's CPU a second, %.3f ms an edge\n", all*1e3, (all-one)*1e3/n)
	was := f.grown()
	many, err := changes(ctx, o, p, f, procs)
	if err != nil {
		return err
	}
	fmt.Printf("wire      %d octets a change, the signed head with it; %d open files, %.0f MB at the desk\n", (f.grown()-was)/int64(2*o.changes), files(p.PID), mb(p))
	for i, r := range relays {
		rss, _ := product.Memory(r.cmd.Process.Pid)
		fmt.Printf("relay %d   %.0f MB, %.0f ms CPU in all\n", i, float64(rss)/1e6, product.CPU(r.cmd.Process.Pid).Seconds()*1e3)
	}
	if len(relays) > 0 {
		fmt.Printf("relayed   %d of %d edges take their copy from a relay\n", f.relayed(), len(f.edges))
	}
	fmt.Printf("change    %.2f ms of the desk's CPU with its own edge, %.2f ms with all: %.3f ms an edge\n", alone*1e3, many*1e3, (many-alone)*1e3/n)
	fmt.Printf("load      %s at the end\n", product.Load())
	return nil
}

// start starts the program with the list.
func start(ctx context.Context, o options, dir string) (*product.Product, error) {
	config := product.Options{Binary: o.bin, Dir: filepath.Join(dir, "desk"), Base: o.base, Ready: 20 * time.Minute}
	if err := os.Mkdir(config.Dir, 0o700); err != nil {
		return nil, err
	}
	p, err := product.Start(ctx, config)
	if err != nil || o.names == 0 {
		return p, err
	}
	p.Stop()
	if err := p.Seed(ctx, o.names); err != nil {
		return nil, err
	}
	return product.Start(ctx, config)
}

// gather has every edge join and waits until each has the list.
func gather(ctx context.Context, o options, p *product.Product, f *fleet) (procs []*process, err error) {
	for i := range o.processes {
		e, err := startProcess(ctx, o, p, filepath.Join(f.dir, fmt.Sprintf("program-%d", i)), i)
		if e != nil {
			procs = append(procs, e)
		}
		if err != nil {
			return procs, err
		}
	}
	for i := range o.edges {
		if err := f.add(ctx, o, p, fmt.Sprintf("edge-%d", i)); err != nil {
			return procs, err
		}
	}
	for _, e := range f.edges {
		select {
		case <-e.follower.Ready():
		case <-ctx.Done():
			return procs, ctx.Err()
		}
	}
	for _, e := range procs {
		if o.names == 0 {
			break
		}
		if _, err := e.until(ctx, product.Name(o.names-1), true, time.Now()); err != nil {
			return procs, err
		}
	}
	return procs, nil
}

// line makes a join line at the desk.
func line(ctx context.Context, o options, p *product.Product, name, role string) (string, error) {
	out, err := exec.CommandContext(ctx, o.bin, "host", "add", name, "--role", role, "--data", p.Dir, "--json").Output()
	if err != nil {
		return "", fmt.Errorf("host add %s: %w", name, err)
	}
	var in struct{ Line string }
	return in.Line, json.Unmarshal(out, &in)
}

// idle is how much CPU the desk takes a second while nothing changes; the pulse of
// the minute and one round of heartbeats are in it.
func idle(ctx context.Context, p *product.Product) (float64, error) {
	const span = 60 * time.Second
	begun, before := time.Now(), p.Usage()
	if err := sleep(ctx, span); err != nil {
		return 0, err
	}
	return (p.Usage().CPU - before.CPU).Seconds() / time.Since(begun).Seconds(), nil
}

// changes blocks names and withdraws them, prints when each edge had them, and
// returns the seconds of CPU that the desk took for one change.
func changes(ctx context.Context, o options, p *product.Product, f *fleet, procs []*process) (float64, error) {
	tag := "alone"
	if f != nil {
		tag = "fleet"
	}
	var here, there, commit []time.Duration
	before, wrong, id := p.Usage(), 0, ""
	for i := range 2 * o.changes {
		name, blocks, begun := fmt.Sprintf("%s-%d.decided.example", tag, i/2), i%2 == 0, time.Now()
		var err error
		if blocks {
			id, err = p.Block(ctx, name, "host")
		} else {
			err = p.API(ctx, "POST", "/blocks/"+id+"/withdraw", map[string]string{"reason": "measured"}, nil)
		}
		if err != nil {
			return 0, err
		}
		commit = append(commit, time.Since(begun))
		var wg sync.WaitGroup
		took, errs := make([]time.Duration, len(procs)), make([]error, len(procs))
		for n, e := range procs {
			wg.Go(func() { took[n], errs[n] = e.until(ctx, name, blocks, begun) })
		}
		if f != nil {
			at, err := f.wait(ctx, id, blocks)
			if err != nil {
				return 0, err
			}
			for _, a := range at {
				here = append(here, a.Sub(begun))
			}
			wrong += f.wrong(name, blocks)
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return 0, err
		}
		there = append(there, took...)
		if err := sleep(ctx, o.every+time.Duration(i%10)*o.every/10); err != nil {
			return 0, err
		}
	}
	cpu := (p.Usage().CPU - before.CPU).Seconds() / float64(2*o.changes)
	fmt.Printf("decision  %s at the API, commit and answer\n", spread(commit))
	if f != nil {
		fmt.Printf("in force  %s at the edges here, from the decision on; answered otherwise: %d\n", spread(here), wrong)
	}
	if len(there) > 0 {
		fmt.Printf("answered  %s at the programs, asked over DNS every 5 ms\n", spread(there))
	}
	return cpu, nil
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
	return fmt.Sprintf("p50 %s, p99 %s, most %s of %d", at(.5), at(.99), at(1), len(d))
}

func mb(p *product.Product) float64 { return float64(p.Usage().RSS) / 1e6 }

func files(pid int) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(all)
}
