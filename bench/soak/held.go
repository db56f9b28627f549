package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk/bench/product"
)

// ring are the blocks in force, oldest first.
type ring struct {
	mu    sync.Mutex
	max   int
	block [][2]string // id, name
}

func newRing(max int) *ring { return &ring{max: max} }

// put adds a block, and gives the id of the one that is to be withdrawn.
func (r *ring) put(id, name string) (oldest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.block = append(r.block, [2]string{id, name})
	if len(r.block) > r.max {
		oldest, r.block = r.block[0][0], r.block[1:]
	}
	return oldest
}

func (r *ring) names() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.block {
		all = append(all, b[1])
	}
	return all
}

func (r *ring) any() string {
	if n := r.names(); len(n) > 0 {
		return n[len(n)/2]
	}
	return "nothing.example"
}

// questions writes the questions of one minute: most are asked again and again, some
// never before, some are of blocked names.
func questions(dir string, minute, n int, blocked []string) (string, error) {
	path := filepath.Join(dir, "questions")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range n {
		switch {
		case i%50 == 7 && len(blocked) > 0:
			fmt.Fprintf(w, "%s A\n", blocked[i/50%len(blocked)])
		case i%25 < 2:
			fmt.Fprintf(w, "new-%d-%d.example A\n", minute, i)
		default:
			fmt.Fprintf(w, "host%d.example A\n", i%2000)
		}
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	return path, f.Close()
}

// row is what the program holds at one time.
type row struct {
	at          time.Duration
	rss, heap   int64
	disk        int64
	files       int
	threads     int
	cpu         time.Duration
	store, left int64
}

const heading = "  minute     RSS MB    heap MB   open files   threads   CPU s   disk MB   store MB   spools MB"

func (r row) String() string {
	return fmt.Sprintf("%8.1f %10.1f %10.1f %12d %9d %7.0f %9.1f %10.1f %11.2f", r.at.Minutes(), mb(r.rss), mb(r.heap), r.files, r.threads, r.cpu.Seconds(), mb(r.disk), mb(r.store), mb(r.left))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

func take(p *product.Product, data string, at time.Duration) row {
	r := row{at: at, cpu: product.CPU(p.PID)}
	r.rss, _ = product.Memory(p.PID)
	r.heap = heap(p)
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	r.files = len(open)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if _, after, ok := bytes.Cut(status, []byte("\nThreads:")); ok {
		line, _, _ := bytes.Cut(after, []byte("\n"))
		r.threads, _ = strconv.Atoi(string(bytes.TrimSpace(line)))
	}
	filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		i, err := e.Info()
		if err != nil {
			return nil // it went meanwhile
		}
		r.disk += i.Size()
		switch {
		case strings.Contains(path, "bolwerk.db"):
			r.store += i.Size()
		case strings.Contains(path, "spool"):
			r.left += i.Size()
		}
		return nil
	})
	return r
}

// heap is what the program's own objects take at the moment; the rest of what it
// holds is the program itself, and pages of the store that SQLite keeps (128 MB at most).
func heap(p *product.Product) int64 {
	a, err := http.Get("http://" + p.Metrics + "/metrics")
	if err != nil {
		return 0
	}
	defer a.Body.Close()
	for sc := bufio.NewScanner(a.Body); sc.Scan(); {
		if text, ok := strings.CutPrefix(sc.Text(), "go_memstats_heap_inuse_bytes "); ok {
			n, _ := strconv.ParseFloat(text, 64)
			return int64(n)
		}
	}
	return 0
}

// growth is what the second half of the time added: the slope of a straight line
// through its rows (least squares), in MB an hour.
func growth(rows []row) string {
	rows = rows[len(rows)/2:]
	if len(rows) < 3 {
		return "too short to say whether anything grows"
	}
	slope := func(of func(row) float64) float64 {
		var sx, sy, sxx, sxy float64
		for _, r := range rows {
			x, y := r.at.Hours(), of(r)
			sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
		}
		n := float64(len(rows))
		return (n*sxy - sx*sy) / cmp.Or(n*sxx-sx*sx, 1)
	}
	first, last := rows[0], rows[len(rows)-1]
	return fmt.Sprintf("second half: RSS %.1f to %.1f MB (%+.1f MB an hour), heap %+.1f MB an hour, open files %d to %d, threads %d to %d, store %+.0f MB an hour, spools %.2f to %.2f MB",
		mb(first.rss), mb(last.rss), slope(func(r row) float64 { return mb(r.rss) }), slope(func(r row) float64 { return mb(r.heap) }), first.files, last.files, first.threads, last.threads,
		slope(func(r row) float64 { return mb(r.store) }), mb(first.left), mb(last.left))
}
