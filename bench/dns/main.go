// Program dns measures what one DNS question costs: CPU time of the server per
// question, of our edge and of the peers that are installed, side by side in one
// run.
//
//	go run ./bench/dns [-names 1000000] [-rounds 3] [-seconds 3] [-peers dnsdist,named]
//
// Beside them stands the floor: a program that sends each question back as it came, in
// batches as our edge does. It shows what the kernel's receiving and sending cost,
// which everybody pays.
//
// Four loads: blocked names that nobody asked before, blocked names asked again and
// again, cached names, and cached names of which one in a hundred is blocked.
//
// It needs dnsperf, and taskset to give the server one core and the load another.
// Peers: Unbound, PowerDNS Recursor, dnsdist, BIND; test/peers/install.sh installs
// them. Everything is on loopback.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

	"bolwerk/bench/dnsload"
	"bolwerk/bench/product"
	"bolwerk/shield/edge"
)

var (
	names   = flag.Int("names", 1_000_000, "names on the list")
	rounds  = flag.Int("rounds", 3, "rounds; the figures are medians")
	seconds = flag.Int("seconds", 3, "seconds of load in each")
	with    = flag.String("peers", "all", "peers by their program, separated by commas; none is our edge alone")
	part    = flag.String("part", "", "run one part: upstream, edge or floor (used by the program itself)")
	list    = flag.String("list", "", "the list of the part edge")
)

const (
	upstream = "127.0.0.1:15302"
	warm     = 10_000 // different cached names, as in the peers' measurement
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch *part {
	case "upstream":
		err = serveUpstream(ctx)
	case "edge":
		err = serveEdge(ctx)
	case "floor":
		err = serveFloor(ctx)
	default:
		err = measure(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dns:", err)
		os.Exit(1)
	}
}

func serveEdge(ctx context.Context) error {
	f, err := os.Open(*list)
	if err != nil {
		return err
	}
	defer f.Close()
	return edge.RunNames(ctx, edge.Names{List: f, Listen: "127.0.0.1:15300", Upstream: upstream, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

// serveUpstream answers every question for an address.
func serveUpstream(ctx context.Context) error {
	pc, err := net.ListenPacket("udp", upstream)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { pc.Close() })
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		a := new(dns.Msg).SetReply(m)
		a.Authoritative = true
		if q := m.Question[0]; q.Qtype == dns.TypeA {
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400}, A: net.IPv4(192, 0, 2, 7)}}
		}
		w.WriteMsg(a)
	})}
	return s.ActivateAndServe()
}

// server is one under test.
type server struct {
	name    string
	port    int
	version string
	start   func(dir string) (*exec.Cmd, error)
	cmd     *exec.Cmd
	rss     int64
	load    time.Duration
	cost    map[string][]float64 // us of CPU per question
	system  map[string][]float64 // of which in the kernel
	rate    map[string][]float64
}

func measure(ctx context.Context) error {
	for _, tool := range []string{"dnsperf", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install dnsperf util-linux", tool)
		}
	}
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("two cores are needed: one for the server, one for the load")
	}
	dir, err := os.MkdirTemp("", "bolwerk-bench-dns-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // servers give up root
		return err
	}
	if err := writeInputs(dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	up := exec.Command("taskset", "-c", "1", self, "-part", "upstream")
	if err := up.Start(); err != nil {
		return err
	}
	defer dnsload.End(up)

	products := []*server{{name: "bolwerk edge", port: 15300, version: runtime.Version(), start: func(dir string) (*exec.Cmd, error) {
		c := exec.Command("taskset", "-c", "0", self, "-part", "edge", "-list", filepath.Join(dir, "list"))
		c.Env = append(os.Environ(), "GOMAXPROCS=1")
		return c, nil
	}}, {name: "floor (echo)", port: 15301, version: runtime.Version(), start: func(string) (*exec.Cmd, error) {
		c := exec.Command("taskset", "-c", "0", self, "-part", "floor")
		c.Env = append(os.Environ(), "GOMAXPROCS=1")
		return c, nil
	}}}
	ours, floor := products[0], products[1]
	products = append(products, peers(*with)...)
	for _, p := range products {
		p.cost, p.system, p.rate = map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
		if p.cmd, err = p.start(dir); err != nil {
			return err
		}
		began := time.Now()
		logFile, err := os.Create(filepath.Join(dir, "log."+strings.Fields(p.name)[0]))
		if err != nil {
			return err
		}
		p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
		if err := p.cmd.Start(); err != nil {
			return err
		}
		defer dnsload.End(p.cmd)
		if p == floor {
			time.Sleep(time.Second) // its answers have nothing in them
		} else if err := dnsload.Ready(ctx, p.port, 10*time.Minute); err != nil {
			out, _ := os.ReadFile(logFile.Name())
			return fmt.Errorf("%s: %w: %s", p.name, err, dnsload.Tail(out))
		}
		p.load = time.Since(began)
		fmt.Fprintf(os.Stderr, "%s %s is ready after %.1f s\n", p.name, p.version, p.load.Seconds())
		// Warm the cache.
		if _, err := ask(ctx, p.port, filepath.Join(dir, cached), "-n", "2"); err != nil {
			return err
		}
	}
	for round := range *rounds {
		for _, load := range loads {
			for i := range products { // interleaved, so that a busy minute hits all; another first each time
				p := products[(i+round)%len(products)]
				file, limit := filepath.Join(dir, load), []string{"-l", strconv.Itoa(*seconds)}
				if load == fresh {
					file, limit = fmt.Sprintf("%s.%d", file, round), []string{"-n", "1"}
				}
				before, kernelBefore := product.CPU(p.cmd.Process.Pid), product.Kernel(p.cmd.Process.Pid)
				r, err := ask(ctx, p.port, file, limit...)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, load, err)
				}
				if r.Lost*100 > r.Done {
					fmt.Printf("%s, %s: %d of %d questions lost\n", p.name, load, r.Lost, r.Done)
				}
				p.cost[load] = append(p.cost[load], (product.CPU(p.cmd.Process.Pid)-before).Seconds()*1e6/float64(r.Done))
				p.system[load] = append(p.system[load], (product.Kernel(p.cmd.Process.Pid)-kernelBefore).Seconds()*1e6/float64(r.Done))
				p.rate[load] = append(p.rate[load], r.Rate)
				p.rss, _ = product.Memory(p.cmd.Process.Pid)
			}
		}
	}
	fmt.Printf("%s, %s, %d cores, %s, load %s; %d names, %d rounds of %d s, medians; CPU time of the server per question\n",
		time.Now().Format(time.DateOnly), model(), runtime.NumCPU(), kernel(), product.Load(), *names, *rounds, *seconds)
	fmt.Printf("%-20s %-10s", "server", "version")
	for _, l := range loads {
		fmt.Printf(" %16s", l+" us")
	}
	fmt.Printf(" %8s %7s\n", "RSS MB", "load s")
	for _, p := range products {
		fmt.Printf("%-20s %-10s", p.name, p.version)
		for _, l := range loads {
			fmt.Printf(" %16.2f", dnsload.Median(p.cost[l]))
		}
		fmt.Printf(" %8.0f %7.1f\n", float64(p.rss)/1e6, p.load.Seconds())
	}
	for _, l := range loads {
		own := dnsload.Median(ours.cost[l])
		fmt.Printf("%s: %.2f x the floor; %.0f %% of ours is the kernel's\n", l, own/dnsload.Median(floor.cost[l]), 100*dnsload.Median(ours.system[l])/own)
	}
	for _, l := range loads {
		best, whose := 0.0, ""
		for _, p := range products[2:] {
			if m := dnsload.Median(p.cost[l]); best == 0 || m < best {
				best, whose = m, p.name
			}
		}
		if best > 0 {
			fmt.Printf("%s: %.2f x the best peer's CPU per question (%s); %.0f q/s on one core, limited by the load's\n", l, dnsload.Median(products[0].cost[l])/best, whose, dnsload.Median(products[0].rate[l]))
		}
	}
	return nil
}

// The loads.
const (
	fresh    = "first seen" // blocked, asked once
	repeated = "repeated"   // blocked
	cached   = "cached"
	mixed    = "mixed"
)

var loads = []string{fresh, repeated, cached, mixed}

// writeInputs makes the list, the peers' zone and the questions: half of the
// blocked ones for the name itself, half below it.
func writeInputs(dir string) error {
	r := rand.New(rand.NewPCG(1, 1))
	files := map[string]*bufio.Writer{}
	open := []string{"list", "rpz", repeated, cached, mixed}
	for i := range *rounds {
		open = append(open, fmt.Sprintf("%s.%d", fresh, i))
	}
	for _, n := range open {
		f, err := os.Create(filepath.Join(dir, n))
		if err != nil {
			return err
		}
		defer f.Close()
		files[n] = bufio.NewWriterSize(f, 1<<20)
		defer files[n].Flush()
	}
	fmt.Fprint(files["rpz"], "$ORIGIN rpz.\n$TTL 60\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n")
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var some []string // blocked names to ask for
	for i := range *names {
		b := make([]byte, 4+r.IntN(13))
		for j := range b {
			b[j] = letters[r.IntN(len(letters))]
		}
		name := fmt.Sprintf("%s%x.%s", b, i, []string{"example", "shop.example", "x.example"}[i%3])
		fmt.Fprintln(files["list"], name)
		if *with != "none" {
			fmt.Fprintf(files["rpz"], "%s A 192.0.2.1\n*.%s A 192.0.2.1\n", name, name)
		}
		if r.IntN(*names) < 200_000 {
			some = append(some, name)
		}
	}
	r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for i, name := range some {
		if i < warm {
			if i%2 == 0 {
				name = "www." + name
			}
			fmt.Fprintln(files[repeated], name, "A")
		}
		for n := range *rounds {
			// Each round has the names that no other has.
			if i%*rounds == n {
				fmt.Fprintf(files[fmt.Sprintf("%s.%d", fresh, n)], "%s A\n", name)
			}
			fmt.Fprintf(files[fmt.Sprintf("%s.%d", fresh, n)], "r%d.%s A\n", n, name)
		}
	}
	for i := range warm {
		fmt.Fprintf(files[cached], "host%d.allowed%d.example A\n", i, i%977)
		if i%100 == 50 {
			fmt.Fprintln(files[mixed], some[i%len(some)], "A")
		} else {
			fmt.Fprintf(files[mixed], "host%d.allowed%d.example A\n", i, i%977)
		}
	}
	return nil
}

// ask is a load over UDP.
func ask(ctx context.Context, port int, questions string, more ...string) (dnsload.Run, error) {
	return dnsload.Ask(ctx, port, questions, append([]string{"-q", "256", "-t", "2"}, more...)...)
}

func model() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for l := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(b))
}
