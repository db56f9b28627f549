// Reading measures how much of real mails is read: in what share of phishing mails
// that have a link the landing page's address is found, as the mail itself, attached
// in seven ways and copied into another mail in ten programs' styles; and how
// fast, with how much memory. It holds the result against a second, plainer
// implementation (package bolwerk/test/wrap).
//
//	go run ./bench/reading --data DIR
//	go run ./bench/reading --data DIR --speed 100000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"bolwerk/bench/product"
	"bolwerk/shield/reading"
	"bolwerk/test/forms"
)

type options struct {
	data   string
	speed  int
	binary string
	misses bool
	only   bool
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", os.Getenv("BOLWERK_DATA"), "folder with mail/phish, mail/ham and mail/spam; BOLWERK_DATA names it too")
	flag.IntVar(&o.speed, "speed", 10_000, "mails to read for speed and memory; 0: none")
	flag.StringVar(&o.binary, "binary", "", "the program; empty: it is built")
	flag.BoolVar(&o.misses, "misses", true, "list each mail whose landing address is not found")
	flag.BoolVar(&o.only, "only-speed", false, "leave the table out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/reading:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.data == "" {
		return errors.New("no data: name a folder with --data or BOLWERK_DATA")
	}
	mails, err := forms.Load(o.data, "phish")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s, %d processors, load %s\n", time.Now().UTC().Format(time.RFC3339), runtime.Version(), runtime.NumCPU(), product.Load())
	if !o.only {
		table(out, mails, o.misses)
	}
	if o.speed == 0 {
		return nil
	}
	for _, class := range []string{"ham", "spam"} {
		more, err := forms.Load(o.data, class)
		if err != nil {
			return err
		}
		mails = append(mails, more...)
	}
	slowest(out, mails)
	return speed(ctx, o, out, mails)
}

func table(out io.Writer, mails []forms.Mail, misses bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "form\tmails\twith a link\tlanding found\t\tall links found\tread as such\tmedian\tworst")
	var missed []string
	for _, f := range forms.All() {
		r := f.Measure(mails)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f %%\t%d\t%d\t%v\t%v\n", f.Name, r.Mails, r.WithLink, r.Landing, 100*r.Share(), r.All, r.Kind,
			r.Median.Round(time.Microsecond), r.Worst.Round(time.Microsecond))
		for _, m := range r.Missed {
			missed = append(missed, f.Name+"  "+m)
		}
	}
	w.Flush() // what cannot be printed is not measured
	if misses {
		fmt.Fprintf(out, "%d misses\n%s\n", len(missed), strings.Join(missed, "\n"))
	}
}

// slowest tells how long the slowest mails take: in one pass, and in the first of
// two, which nobody's answer waits longer for.
func slowest(out io.Writer, mails []forms.Mail) {
	for _, pass := range []struct {
		name string
		opt  reading.Option
	}{{"with pictures and PDFs", reading.Option{}}, {"without (first pass)", reading.Option{Fast: true}}} {
		var cpu, wall []time.Duration
		for _, m := range mails {
			begin, used := time.Now(), processor()
			reading.Mail(m.Raw, pass.opt)
			wall, cpu = append(wall, time.Since(begin)), append(cpu, processor()-used)
		}
		slices.Sort(cpu)
		slices.Sort(wall)
		n := len(mails)
		last := func(d []time.Duration) string {
			return fmt.Sprintf("median %v, 99 %% %v, slowest %v", d[n/2].Round(10*time.Microsecond), d[n*99/100].Round(time.Millisecond), d[n-1].Round(time.Millisecond))
		}
		fmt.Fprintf(out, "%d mails, %s: CPU %s; on the clock %s\n", n, pass.name, last(cpu), last(wall))
	}
}

// processor is the time that this process has had of all processors.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// speed reads mails in two reader processes as the desk does (first pass: pictures
// and PDFs wait), and prints how much memory they hold.
func speed(ctx context.Context, o options, out io.Writer, mails []forms.Mail) error {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "bench-reading")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.binary, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	const readers = 2
	var mu sync.Mutex
	var children []*exec.Cmd
	pool := reading.NewPool(readers, func() *exec.Cmd {
		c := exec.Command(o.binary, "reader")
		mu.Lock()
		children = append(children, c)
		mu.Unlock()
		return c
	}, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(ctx)
	var owner sync.WaitGroup
	owner.Go(func() { pool.Run(ctx) }) // it ends with ctx; a pool that breaks shows below
	defer owner.Wait()
	defer cancel()
	begin := time.Now()
	next := make(chan int)
	errs := make(chan error, readers)
	var workers sync.WaitGroup
	for range readers {
		workers.Go(func() {
			for i := range next {
				if _, err := pool.Read(ctx, reading.ReadMail, mails[i%len(mails)].Raw, reading.Option{Fast: true}); err != nil {
					select {
					case errs <- fmt.Errorf("%s: %w", mails[i%len(mails)].Name, err):
					default:
					}
				}
			}
		})
	}
	for i := range o.speed {
		next <- i
		if i+1 == o.speed || (i+1)%max(o.speed/10, 1) == 0 {
			mu.Lock()
			var held []string
			for _, c := range children {
				held = append(held, resident(c))
			}
			mu.Unlock()
			fmt.Fprintf(out, "%7d mails, %5.0f/s, readers hold %s\n", i+1, float64(i+1)/time.Since(begin).Seconds(), strings.Join(held, " and "))
		}
	}
	close(next)
	workers.Wait()
	took := time.Since(begin)
	cancel()
	owner.Wait()
	cpu := time.Duration(0)
	for _, c := range children {
		if s := c.ProcessState; s != nil {
			cpu += s.UserTime() + s.SystemTime()
		}
	}
	fmt.Fprintf(out, "%d mails of %d different in %.1f s: %.0f/s in %d readers, %.2f ms CPU each, %d readers started\n", o.speed, len(mails), took.Seconds(),
		float64(o.speed)/took.Seconds(), readers, cpu.Seconds()*1e3/float64(o.speed), len(children))
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// resident is how much memory a process holds, as Linux says.
func resident(c *exec.Cmd) string {
	if c.Process == nil {
		return "?"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return "?"
}
