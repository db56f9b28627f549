// Abuse measures how fast reports of abuse are read: rows of Shadowserver's tables,
// reports of XARF 4 with the check against their schemas, and mails of feedback
// loops. The samples' own rows are repeated; reading runs in one goroutine.
//
//	go run ./bench/abuse --data DIR
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"bolwerk/abuse/reading"
	"bolwerk/bench/product"
)

func main() {
	data := flag.String("data", os.Getenv("BOLWERK_DATA"), "folder with abuse/shadowserver_csv, abuse/xarf/v4 and abuse/arf; BOLWERK_DATA names it too")
	rows := flag.Int("rows", 500_000, "rows of tables to read; reports and mails are a tenth and a fiftieth of it")
	flag.Parse()
	if err := run(*data, *rows, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/abuse:", err)
		os.Exit(1)
	}
}

func run(data string, rows int, out io.Writer) error {
	if data == "" {
		return errors.New("no data: name a folder with --data or BOLWERK_DATA")
	}
	fmt.Fprintf(out, "%s, %s, %d processors, load %s\n", time.Now().UTC().Format(time.RFC3339), runtime.Version(), runtime.NumCPU(), product.Load())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tread\ta second\tprocessor each\trefused\t")
	for _, m := range []struct {
		what, pattern string
		n             int
		grow          func([]byte) []byte
	}{
		{"Shadowserver rows", "abuse/shadowserver_csv/*.csv", rows, repeat},
		{"XARF 4 reports", "abuse/xarf/v4/*.json", rows / 10, asItIs},
		{"feedback-loop mails", "abuse/arf/*.eml", rows / 50, asItIs},
	} {
		if err := measure(w, filepath.Join(data, m.pattern), m.what, m.n, m.grow); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, peak := product.Memory(os.Getpid())
	fmt.Fprintf(out, "most memory held: %d MB\n", peak>>20)
	return nil
}

func asItIs(b []byte) []byte { return b }

// repeat makes a table of about 4 MB out of the rows of a sample: a feed of a day.
func repeat(b []byte) []byte {
	head, rest, _ := bytes.Cut(b, []byte("\n"))
	rest = append(bytes.TrimRight(rest, "\r\n"), '\n')
	return append(append(head, '\n'), bytes.Repeat(rest, max(1, 4<<20/len(rest)))...)
}

func measure(w io.Writer, pattern, what string, want int, grow func([]byte) []byte) error {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s: no sample (%v)", pattern, err)
	}
	read, refused := 0, 0
	var took, cpu time.Duration
	for i := 0; read < want; i++ {
		name := files[i%len(files)]
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		raw = grow(raw)
		runtime.GC() // what it costs is counted where it arises
		begun, before := time.Now(), product.CPU(os.Getpid())
		once := max(1, min(200, want/len(files)/10))
		if len(raw) > 1<<20 {
			once = 1
		}
		for range once { // the clock of /proc ticks every 10 ms
			r := reading.Read(filepath.Base(name), raw, reading.Option{})
			read += len(r.Events)
			refused += r.RefusedCount
		}
		took += time.Since(begun)
		cpu += product.CPU(os.Getpid()) - before
	}
	_, err = fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f µs\t%d\t\n", what, read, float64(read)/took.Seconds(), float64(cpu.Microseconds())/float64(read), refused)
	return err
}
