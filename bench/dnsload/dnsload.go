// Package dnsload puts a DNS server under dnsperf and says what its questions cost:
// what the programs that measure servers share.
package dnsload

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// Ready waits until the server at a port of this machine answers; patience bounds that.
func Ready(ctx context.Context, port int, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		c := &dns.Client{Timeout: 500 * time.Millisecond}
		m, _, err := c.ExchangeContext(ctx, new(dns.Msg).SetQuestion("host1.allowed1.example.", dns.TypeA), fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil && len(m.Answer) > 0 {
			return nil
		}
	}
	return fmt.Errorf("does not answer")
}

// Run is what dnsperf says of a load.
type Run struct {
	Done, Lost int
	Rate       float64 // questions a second
}

var figures = regexp.MustCompile(`Queries (completed|lost):\s+(\d+)|Queries per second:\s+([\d.]+)`)

// Ask has dnsperf ask the server at a port the questions of a file, over 16 clients, on
// the second core.
func Ask(ctx context.Context, port int, questions string, more ...string) (r Run, err error) {
	args := append([]string{"-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", strconv.Itoa(port), "-d", questions, "-c", "16"}, more...)
	out, err := exec.CommandContext(ctx, "taskset", args...).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("dnsperf: %w: %s", err, Tail(out))
	}
	for _, m := range figures.FindAllStringSubmatch(string(out), -1) {
		switch m[1] {
		case "completed":
			r.Done, _ = strconv.Atoi(m[2])
		case "lost":
			r.Lost, _ = strconv.Atoi(m[2])
		default:
			r.Rate, _ = strconv.ParseFloat(m[3], 64)
		}
	}
	if r.Done == 0 {
		return r, fmt.Errorf("dnsperf: no question was answered: %s", Tail(out))
	}
	return r, nil
}

// Median is the middle one; 0 of none.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// Tail is the end of what a program said.
func Tail(b []byte) string { b = bytes.TrimSpace(b); return string(b[max(0, len(b)-400):]) }

// End ends a program that was started, if need be after 5 s without its consent.
func End(c *exec.Cmd) {
	if c.Process == nil {
		return
	}
	c.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { c.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		c.Process.Kill()
		<-done
	}
}
