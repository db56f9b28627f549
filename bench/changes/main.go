// Program changes measures what an edge with millions of names does while some of
// them change: how long after a change reaches it a question is answered by it,
// how long other questions wait meanwhile, and what a thousand changes a second do.
//
//	go run ./bench/changes [-names 1000000] [-each 200] [-burst 1m] [-rate 1000]
//
// The edge is a process of its own, with its journal on disk, as the product runs
// it; what changes reaches it over a socket, as many at a time as have come, as the
// follower of a copy gets them. It needs dnsperf and taskset. Everything is on
// loopback. On a machine that does other work, run it with nice -n -15.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"bolwerk"
	"bolwerk/bench/dnsload"
	"bolwerk/bench/product"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/shield/edge"
)

var (
	names     = flag.Int("names", 1_000_000, "blocks in force")
	each      = flag.Int("each", 200, "blocks placed and withdrawn one after another")
	burst     = flag.Duration("burst", time.Minute, "how long changes come at the rate")
	rate      = flag.Int("rate", 1000, "changes a second then")
	questions = flag.Int("questions", 20_000, "questions a second meanwhile")
	part      = flag.Bool("part", false, "be the edge (used by the program itself)")
	folder    = flag.String("folder", "", "the folder of the edge")
)

const (
	port     = 15500
	upstream = "127.0.0.1:15502"
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := measure
	if *part {
		run = serve
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "changes:", err)
		os.Exit(1)
	}
}

// block is the i-th block of the list, as the desk publishes it.
func block(i int, name string, version int64) copy.Entry {
	ref := fmt.Sprintf("B-%08d", i)
	since := time.Unix(1_790_000_000+int64(i%2_000_000), 0)
	r := edge.Rule{Block: ref, Name: bolwerk.MustDomain(name), Scope: bolwerk.ScopeSubtree, Action: edge.Redirect, Ground: edge.OwnPolicy,
		Class: "phishing", By: "Example Telecom", Since: since, Until: since.Add(90 * 24 * time.Hour)}
	return r.Entry(ref, version)
}

// listed is the name of the i-th block: 4 to 16 letters and a number, as in bench/dns.
func listed(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	b := make([]byte, 4+h%13)
	for j := range b {
		h = h*6364136223846793005 + 1442695040888963407
		b[j] = letters[h>>33%36]
	}
	return fmt.Sprintf("%s%x.%s", b, i, []string{"example", "shop.example", "x.example"}[i%3])
}

// changed is a name that comes and goes.
func changed(i int) string { return fmt.Sprintf("c%d.changes.example", i) }

// serve is the edge: it takes changes from a socket, lists of entries in JSON.
func serve(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	c := edge.DefaultConfig()
	c.WarningAddresses = []string{"192.0.2.1"}
	d := dnsserve.DefaultConfig()
	d.Upstream, d.ClientRate = []string{upstream}, 0
	e, err := edge.New(c, filepath.Join(*folder, "edge"), d.WorkerCount(), clock.New(), nil, log)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := e.Reset(copy.Head{}, func(yield func(copy.Entry) bool) {
		for i := range *names {
			if !yield(block(i, listed(i), 1)) {
				return
			}
		}
	}); err != nil {
		return err
	}
	log.Info("loaded", "names", e.Rules(), "after", time.Since(began).Round(time.Millisecond))
	s, err := dnsserve.New(d, e.Answer, nil, nil, log)
	if err != nil {
		return err
	}
	k, err := dnsserve.Listen(ctx, fmt.Sprintf("127.0.0.1:%d", port), d.WorkerCount())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	from, err := net.Dial("unix", filepath.Join(*folder, "feed"))
	if err != nil {
		return err
	}
	lines := make(chan []copy.Entry, 10_000)
	go func() {
		defer stop() // it ends with who started it
		for in := json.NewDecoder(bufio.NewReaderSize(from, 1<<16)); ; {
			var l []copy.Entry
			if in.Decode(&l) != nil {
				return
			}
			lines <- l
		}
	}()
	go func() {
		for l := range lines {
			for more := true; more && len(l) < 4096; {
				select {
				case next := <-lines:
					l = append(l, next...)
				default:
					more = false
				}
			}
			if err := e.Apply(copy.Head{}, l); err != nil {
				log.Error("changes", "err", err)
			}
		}
	}()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	err = s.Run(ctx, nil, k)
	<-done
	return err
}

func measure(ctx context.Context) error {
	for _, tool := range []string{"dnsperf", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install dnsperf util-linux", tool)
		}
	}
	dir, err := os.MkdirTemp("", "bolwerk-bench-changes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	go dns.ListenAndServe(upstream, "udp", dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		a := new(dns.Msg).SetReply(m)
		a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400}, A: net.IPv4(192, 0, 2, 7)}}
		w.WriteMsg(a)
	}))
	server := exec.Command(self, "-part", "-names", strconv.Itoa(*names), "-folder", dir)
	server.Stderr = os.Stderr
	l, err := net.Listen("unix", filepath.Join(dir, "feed"))
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer dnsload.End(server)
	to, err := l.Accept()
	if err != nil {
		return err
	}
	defer to.Close() // the edge ends with it
	if err := dnsload.Ready(ctx, port, 20*time.Minute); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(3 * time.Second):
	}
	fmt.Printf("%s, %d cores, %s, load %s; %d blocks\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), runtime.Version(), product.Load(), *names)
	tellMemory(server.Process.Pid, "after loading")
	f := &feed{to: to}
	if err := oneByOne(ctx, f); err != nil {
		return err
	}
	if err := flood(ctx, f, dir, server.Process.Pid); err != nil {
		return err
	}
	tellMemory(server.Process.Pid, "after all changes")
	return ctx.Err()
}

func tellMemory(pid int, when string) {
	rss, peak := product.Memory(pid)
	fmt.Printf("memory %s: %d MB, of which the program's own pages %d; peak %d MB\n", when, rss/1e6, product.FilePages(pid)/1e6, peak/1e6)
}

// feed sends changes to the edge.
type feed struct {
	to      io.Writer
	version int64
}

func (f *feed) send(l ...copy.Entry) error {
	b, err := json.Marshal(l)
	if err == nil {
		_, err = f.to.Write(append(b, '\n'))
	}
	return err
}

// place and withdraw make the changes of the i-th name that comes and goes.
func (f *feed) place(i int) copy.Entry {
	f.version++
	return block(90_000_000+i, changed(i), f.version)
}

func (f *feed) withdraw(i int) copy.Entry {
	f.version++
	return copy.Entry{ID: fmt.Sprintf("B-%08d", 90_000_000+i), Version: f.version, Removed: true}
}

// oneByOne places a block and withdraws it, again and again, and asks for its name
// all the time. Others ask meanwhile; before that they ask for as long without any change.
func oneByOne(ctx context.Context, f *feed) error {
	asker, err := newAsker()
	if err != nil {
		return err
	}
	defer asker.close()
	var quiet, busy, took waits
	others, err := newProber(*names)
	if err != nil {
		return err
	}
	defer others.close()
	round := func() error { // a second without changes, then one with: a busy minute hits both
		quiet = append(quiet, others.during(func() { time.Sleep(time.Second) })...)
		var err error
		busy = append(busy, others.during(func() {
			for end := time.Now().Add(time.Second); err == nil && time.Now().Before(end) && len(took) < 2**each; {
				// The answer without a block is in the cache: the resolver behind is not measured.
				if _, err = asker.blocked(changed(len(took))); err != nil {
					return
				}
				for _, blocked := range []bool{true, false} {
					e := f.place(len(took))
					if !blocked {
						e = f.withdraw(len(took) - 1)
					}
					began := time.Now()
					if err = f.send(e); err != nil {
						return
					}
					for is := !blocked; is != blocked && err == nil; {
						unix.Nanosleep(&unix.Timespec{Nsec: 50_000}, nil) // leave the processors to the edge
						is, err = asker.blocked(changed(len(took) &^ 1))
					}
					took = append(took, time.Since(began))
					time.Sleep(5 * time.Millisecond)
				}
			}
		})...)
		return err
	}
	for len(took) < 2**each && ctx.Err() == nil {
		if err := round(); err != nil {
			return err
		}
	}
	fmt.Printf("one change, until it is answered by: %v\n", took)
	fmt.Printf("other questions without changes:     %v\n", quiet)
	fmt.Printf("other questions with changes:        %v\n", busy)
	return nil
}

// flood sends changes at the rate while dnsperf asks.
func flood(ctx context.Context, f *feed, dir string, pid int) error {
	const warm = 5000
	var asked strings.Builder
	for i := range warm {
		fmt.Fprintf(&asked, "host%d.allowed%d.example A\n", i, i%977)
		if i%50 == 0 {
			fmt.Fprintf(&asked, "www.%s A\n", listed(i*7919%*names))
		}
	}
	file := filepath.Join(dir, "questions")
	if err := os.WriteFile(file, []byte(asked.String()), 0o600); err != nil {
		return err
	}
	if _, err := dnsload.Ask(ctx, port, file, "-n", "2", "-q", "64"); err != nil {
		return err
	}
	others, err := newProber(*names)
	if err != nil {
		return err
	}
	defer others.close()
	load := func(span time.Duration) (r dnsload.Run, w waits, err error) {
		w = others.during(func() {
			r, err = dnsload.Ask(ctx, port, file, "-Q", strconv.Itoa(*questions), "-l", strconv.Itoa(int(span/time.Second)), "-q", "256")
		})
		return r, w, err
	}
	quietRun, quiet, err := load(min(*burst, 20*time.Second))
	if err != nil {
		return err
	}
	const first = 1_000_000
	sent, journal := make(chan int, 1), int64(0)
	var sendErr error
	go func() {
		n := 0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); time.Since(began) < *burst && ctx.Err() == nil && sendErr == nil; {
			<-tick.C
			for due := int(time.Since(began).Seconds() * float64(*rate)); n < due && sendErr == nil; n++ {
				e := f.place(first + n)
				if n%2 == 1 { // every second one withdraws the one before
					e = f.withdraw(first + n - 1)
				} else if n%4 == 2 {
					e = block(n*31%*names, listed(n*31%*names), f.version) // or changes one of the list
				}
				sendErr = f.send(e)
			}
			journal = max(journal, octets(filepath.Join(dir, "edge")))
		}
		sent <- n
	}()
	before := product.CPU(pid)
	run, busy, err := load(*burst)
	if err != nil {
		return err
	}
	n := <-sent
	if sendErr != nil {
		return sendErr
	}
	ended := time.Now()
	asker, err := newAsker()
	if err != nil {
		return err
	}
	defer asker.close()
	if err := f.send(f.place(first + n)); err != nil { // in force when all before it are
		return err
	}
	for is := false; !is; {
		if is, err = asker.blocked(changed(first + n)); err != nil {
			return err
		}
	}
	fmt.Printf("%d changes at %d a second; the last was in force %v after the end; CPU %.1f s\n", n, *rate, time.Since(ended).Round(100*time.Microsecond), (product.CPU(pid) - before).Seconds())
	fmt.Printf("questions lost: %d of %d with changes, %d of %d without\n", run.Lost, run.Done+run.Lost, quietRun.Lost, quietRun.Done+quietRun.Lost)
	fmt.Printf("other questions under load, without changes: %v\n", quiet)
	fmt.Printf("other questions under load, with changes:    %v\n", busy)
	fmt.Printf("most octets of journals beside the snapshot: %.1f MB\n", float64(journal)/1e6)
	wrong := 0
	for i := range n {
		if i%2 == 0 && i%4 != 2 { // placed, and withdrawn by the next
			is, err := asker.blocked(changed(first + i))
			if err != nil {
				return err
			}
			if is != (i == n-1) {
				wrong++
			}
		}
		if i > 4000 {
			break
		}
	}
	fmt.Printf("of the first 1,000 withdrawn names blocked still: %d\n", wrong)
	return nil
}

// octets are those of the files of changes in a folder.
func octets(dir string) (n int64) {
	all, _ := filepath.Glob(filepath.Join(dir, "*.changes"))
	for _, f := range all {
		if i, err := os.Stat(f); err == nil {
			n += i.Size()
		}
	}
	return n
}
