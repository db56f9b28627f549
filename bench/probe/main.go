// Probe lets the probe look at a hostile site on this machine and tells what came
// of it: how long each trick held it, how much memory it took, and how often an
// address that is forbidden was reached. Then it visits ordinary pages, for the
// CPU time of one.
//
//	go run ./bench/probe --pages 200
//
// The sites are on 127.0.0.1, which alone is allowed; what must never be reached
// listens on 127.0.0.3. A name server of our own says where names lead, one of
// them to another address each time.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/shield/capture"
	"bolwerk/shield/probe"
)

func main() {
	pages := flag.Int("pages", 200, "ordinary pages that are visited for the CPU time")
	browser := flag.String("browser", "off", "the Chromium that runs the scripts of the hostile pages; empty: the one in PATH")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "Probe lets the probe look at a hostile site on this machine.\n\n  go run ./bench/probe [--pages N] [--browser PATH]\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *pages, *browser); err != nil {
		fmt.Fprintln(os.Stderr, "bench/probe:", err)
		os.Exit(1)
	}
}

// trick is one hostile site.
type trick struct {
	name string
	path string
	site func(net.Conn)
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text) }
}

// drip writes an octet now and then, for ever.
func drip(head string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, head)
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func endless(head string, chunk []byte) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, head)
		for {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}
}

const html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"

// bomb is n zeros, packed.
func bomb(how string, n int) []byte {
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if how == "br" {
		w = brotli.NewWriterLevel(&b, 3)
	}
	chunk := make([]byte, 1<<20)
	for range n >> 20 {
		w.Write(chunk)
	}
	w.Close()
	return b.Bytes()
}

func tricks(inside string) []trick {
	_, port, _ := net.SplitHostPort(inside)
	to := func(at string) func(net.Conn) {
		return says("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + at + "\r\n\r\n")
	}
	gz, br := bomb("gzip", 1<<30), bomb("br", 1<<30)
	var double bytes.Buffer
	w := gzip.NewWriter(&double)
	w.Write(gz)
	w.Close()
	out := []trick{
		{name: "silent", site: func(c net.Conn) { io.Copy(io.Discard, c) }},
		{name: "slow header (slow loris)", site: drip("HTTP/1.1 200 OK\r\nX: ")},
		{name: "slow body", site: drip(html + "\r\n")},
		{name: "endless body", site: endless(html+"\r\n", bytes.Repeat([]byte("<p>"), 1<<14))},
		{name: "endless chunks of 1", site: endless(html+"Transfer-Encoding: chunked\r\n\r\n", []byte("1\r\nx\r\n"))},
		{name: "endless header", site: endless("HTTP/1.1 200 OK\r\n", []byte("X: y\r\n"))},
		{name: "endless 1xx", site: endless("", []byte("HTTP/1.1 103 Early Hints\r\n\r\n"))},
		{name: "header of 64 MiB", site: says(html + "X: " + strings.Repeat("x", 64<<20) + "\r\n\r\n")},
		{name: "10,000 cookies", site: says(html + strings.Repeat("Set-Cookie: a=b\r\n", 10_000) + "\r\n")},
		{name: "gzip bomb, 1 GiB", site: says(html + "Content-Encoding: gzip\r\n\r\n" + string(gz))},
		{name: "gzip in gzip, 1 GiB", site: says(html + "Content-Encoding: gzip, gzip\r\n\r\n" + double.String())},
		{name: "br bomb, 1 GiB", site: says(html + "Content-Encoding: br\r\n\r\n" + string(br))},
		{name: "wrong length", site: says(html + "Content-Length: 99999999999\r\n\r\nhi")},
		{name: "redirects to itself", path: "/", site: to("/")},
		{name: "redirects without end", site: func(c net.Conn) { to(fmt.Sprintf("/%d", time.Now().UnixNano()))(c) }},
		{name: "100,000 tags, 10,000 deep", site: says(html + "\r\n" + strings.Repeat("<div>", 10_000) + strings.Repeat("<script src=a.js></script>", 60_000))},
		{name: "garbage", site: says("\x00\x01\x02 garbage")},
		{name: "rebinding", path: "/again", site: func(c net.Conn) { to("http://rebind.example:" + port + "/")(c) }},
	}
	for _, host := range []string{"127.0.0.3", "127.3", "0x7f000003", "017700000003", "2130706435", "[::ffff:127.0.0.3]", "[64:ff9b::7f00:3]", "[2002:7f00:3::]", "１２７.0.0.3", "inside.example", "a.example@127.0.0.3", "localhost", "169.254.169.254"} {
		out = append(out, trick{name: "redirect to " + host, site: to("http://" + host + ":" + port + "/")})
	}
	for _, at := range []string{"file:///etc/passwd", "gopher://127.0.0.3:" + port + "/x", "data:text/html,x", "http://x.example:25/"} {
		out = append(out, trick{name: "redirect to " + strings.ReplaceAll(at, port, "PORT"), site: to(at)})
	}
	return out
}

// world says where names lead.
func world() (addr string, end func(), err error) {
	var asked atomic.Int64
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			a := "127.0.0.1"
			switch name := q.Question[0].Name; {
			case name == "inside.example.":
				a = "127.0.0.3"
			case name == "rebind.example." && asked.Add(1)%2 == 0:
				a = "127.0.0.3"
			}
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(a)}}
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	return pc.LocalAddr().String(), func() { s.Shutdown() }, nil
}

// serve answers each connection as f does, after the request.
func serve(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			c.Read(make([]byte, 8192))
			f(c)
		}()
	}
}

func run(ctx context.Context, pages int, browser string) error {
	names, end, err := world()
	if err != nil {
		return err
	}
	defer end()
	inside, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		return err
	}
	defer inside.Close()
	var reached atomic.Int64
	go func() {
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	dir, err := os.MkdirTemp("", "bolwerk-bench-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cfg := probe.DefaultConfig()
	cfg.Resolver, cfg.Browser, cfg.PerSecond, cfg.AtOnce = []string{names}, browser, 1000, 2
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	got := make(chan *capture.Bundle, 10_000)
	p := probe.New(cfg, probe.With{Dir: filepath.Join(dir, "probe"), Clock: clock.New(), Log: slog.New(slog.DiscardHandler), Put: func(_ string, body []byte) (string, error) {
		seen, err := probe.DecodeSeen(body)
		if err != nil {
			return "", err
		}
		b, err := capture.Decode(seen.Capture)
		if err == nil {
			got <- b
		}
		return "", err
	}})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	give := func(at string) error {
		body, err := json.Marshal(probe.Task{URL: at, As: []probe.As{{Profile: capture.Desktop, Lang: bolwerk.NL}}})
		if err != nil {
			return err
		}
		id := bolwerk.NewID(time.Now())
		return p.Apply(copies.Head{}, []copies.Entry{{ID: probe.TaskEntry + id, Version: 1, Until: time.Now().Add(time.Hour).UnixMicro(), Body: body}})
	}
	fmt.Printf("%s, %s, %d processors\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.Version(), runtime.NumCPU())
	fmt.Printf("%-46s %-14s %5s %8s %9s %9s\n", "the site", "outcome", "hops", "kept", "time", "heap")
	for i, t := range tricks(inside.Addr().String()) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go serve(l, t.site)
		runtime.GC()
		var peak atomic.Uint64
		watch, done := context.WithCancel(ctx)
		go func() {
			var m runtime.MemStats
			for watch.Err() == nil {
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
				time.Sleep(20 * time.Millisecond)
			}
		}()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		host := fmt.Sprintf("site%d.example", i)
		if t.name == "rebinding" {
			host = "rebind.example"
		}
		start := time.Now()
		if err := give("http://" + host + ":" + port + t.path); err != nil {
			done()
			return err
		}
		select {
		case b := <-got:
			outcome, kept := b.Failed, 0
			if outcome == "" {
				outcome = "page"
			}
			for _, d := range b.Data {
				kept += len(d)
			}
			grown := int64(peak.Load()) - int64(before.HeapInuse)
			fmt.Printf("%-46s %-14s %5d %8d %8.2fs %6d MiB\n", t.name, outcome, len(b.Hops), kept, time.Since(start).Seconds(), max(grown, 0)>>20)
		case <-time.After(2 * time.Minute):
			done()
			return fmt.Errorf("%s: no end after two minutes", t.name)
		case <-ctx.Done():
			done()
			return ctx.Err()
		}
		done()
		l.Close()
		if n := reached.Load(); n > 0 {
			return fmt.Errorf("%s: a forbidden address was reached %d times", t.name, n)
		}
	}
	fmt.Printf("\nforbidden addresses reached: %d\n", reached.Load())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go serve(l, says(html+"\r\n<title>A page</title><form><input type=password></form>"+strings.Repeat("<p>Some text of a page. ", 1000)))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cpu, start := used(), time.Now()
	for i := range pages {
		if err := give(fmt.Sprintf("http://page%d.example:%s/", i, port)); err != nil {
			return err
		}
	}
	for range pages {
		select {
		case <-got:
		case <-time.After(5 * time.Minute):
			return errors.New("ordinary pages: no end after five minutes")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	took := time.Since(start)
	fmt.Printf("%d ordinary pages with an icon: %.1f s, %.1f/s (one request a second to a host, %d at once); CPU a visit, sites included: %.1f ms\n",
		pages, took.Seconds(), float64(pages)/took.Seconds(), cfg.AtOnce, float64((used()-cpu).Milliseconds())/float64(max(pages, 1)))
	stop()
	return <-ended
}

// used is the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
