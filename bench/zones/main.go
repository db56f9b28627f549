// Zones measures what one change costs where the policy zones are made, at the desk
// and at an agent: with a list of names loaded, names are blocked and withdrawn one by
// one, as publications are. It starts no resolver and needs no network.
//
//	go run ./bench/zones --names 1000000
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"bolwerk"
	"bolwerk/bench/product"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/agent"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"
)

func main() {
	names := flag.Int("names", 1_000_000, "names on the list, each with all below it")
	changes := flag.Int("changes", 2000, "changes that are measured, 100 at least")
	files := flag.Bool("files", false, "write the files for dnsdist instead of serving the zones")
	flag.Parse()
	if err := run(*names, max(*changes, 100), *files); err != nil {
		fmt.Fprintln(os.Stderr, "bench/zones:", err)
		os.Exit(1)
	}
}

func rule(n int, name string) edge.Rule {
	return edge.Rule{Block: fmt.Sprintf("B-2026-%07d", n), Name: bolwerk.MustDomain(name), Scope: bolwerk.ScopeSubtree, Action: edge.Redirect,
		Since: time.Now().Add(-48 * time.Hour)}
}

var landing = []netip.Addr{netip.MustParseAddr("192.0.2.1")}

// empty makes zones without names, as the desk serves them or as an agent writes them.
func empty(files bool) (z *zones.Zones, done func(), err error) {
	canary := bolwerk.MustDomain("serial.zz-canary")
	if files {
		dir, err := os.MkdirTemp("", "zones")
		if err != nil {
			return nil, nil, err
		}
		f, err := agent.NewFiles(dir, agent.With{Landing: landing, Canary: canary}, 60)
		if err != nil {
			return nil, nil, err
		}
		z = zones.New(f, landing, clock.New())
		f.Of(z)
		return z, func() { os.RemoveAll(dir) }, nil
	}
	cfg := rpz.DefaultConfig()
	for i := range cfg.Zones {
		if cfg.Zones[i].Canary, err = zones.CanaryOf(cfg.Zones[i].Name, canary); err != nil {
			return nil, nil, err
		}
	}
	p, err := rpz.New(cfg, clock.New(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, nil, err
	}
	return zones.New(p, landing, clock.New()), func() {}, nil
}

func run(names, changes int, files bool) error {
	z, done, err := empty(files)
	if err != nil {
		return err
	}
	defer done()
	fmt.Printf("%s, %d cores, %s, load %s before; %d names\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), runtime.Version(), product.Load(), names)
	begun := time.Now()
	for i := range names {
		z.Hold(fmt.Sprintf("id-%020d", i), rule(i, fmt.Sprintf("login-%d.bank%d.example", i, i%5000)))
	}
	held := used()
	if err := z.Load(rpz.State{Serial: 1, Epoch: 1}, [2][]rpz.Change{}, nil); err != nil {
		return err
	}
	loaded, whole := used(), time.Since(begun)
	debug.FreeOSMemory()
	rss, _ := product.Memory(os.Getpid())
	fmt.Printf("names held for %.1f s of CPU, served for %.1f s more, after %.1f s; %d MB resident\n", held.Seconds(), (loaded - held).Seconds(), whole.Seconds(), rss>>20)
	took := make([]time.Duration, 0, changes)
	cpu, begun := used(), time.Now()
	for i := range changes {
		id := fmt.Sprintf("new-%d", i/2)
		e := rule(names+i, fmt.Sprintf("fresh-%d.bank%d.example", i/2, i%5000)).Entry(id, 1)
		if i%2 == 1 {
			e = copy.Entry{ID: id, Version: 2, Removed: true}
		}
		at := time.Now()
		if err := z.Step(copy.Batch{Epoch: 1, Serial: int64(i) + 2, Entries: []copy.Entry{e}}); err != nil {
			return err
		}
		took = append(took, time.Since(at))
	}
	all, spent := time.Since(begun), used()-cpu
	slices.Sort(took)
	fmt.Printf("%d changes: %.3f ms of CPU each, with what collecting memory costs; %.3f ms median, %.3f ms p99, %.1f ms at most; %.0f/s\n", changes,
		ms(spent)/float64(changes), ms(took[changes/2]), ms(took[changes*99/100]), ms(took[changes-1]), float64(changes)/all.Seconds())
	cpu, begun = used(), time.Now()
	if err := z.Merge(true); err != nil {
		return err
	}
	fmt.Printf("the cold zone brought up to date: %.1f ms, %.1f ms of CPU\n", ms(time.Since(begun)), ms(used()-cpu))
	return nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// used is the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
