// Package story runs whole stories with the real binary: one file, one story.
package story

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"bolwerk/internal/mail"
	"bolwerk/test/live"
)

// Main runs the tests of a package with stories. The commands that a story uses beside
// the product stand for what a person at a keyboard would use (dig, curl) and for
// their patience.
func Main(m *testing.M) {
	testscript.Main(live.Tests{M: m}, map[string]func(){"ask": ask, "page": page, "post": post, "outbox": outbox, "until": until})
}

// Run runs the stories of a folder. more, which may be nil, adds to the environment of
// each, such as servers of others.
func Run(t *testing.T, dir string, more func(*testscript.Env) error) {
	path := live.Build(t, "")
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			offset, giveBack, err := live.Offset()
			if err != nil {
				return err
			}
			env.Defer(giveBack)
			env.Setenv("OFFSET", fmt.Sprint(offset))
			env.Setenv("YEAR", fmt.Sprint(time.Now().UTC().Year()))
			for name, port := range live.Ports {
				env.Setenv(name, fmt.Sprintf("127.0.0.1:%d", port+offset))
			}
			env.Setenv("PROGRAM", path)
			env.Setenv("PATH", filepath.Dir(path)+string(os.PathListSeparator)+env.Getenv("PATH"))
			if more == nil {
				return nil
			}
			return more(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"start": start, "signal": signal, "fill": fill},
	})
}

// fill FILE...: puts the environment's $NAMES into files, and @-3d@ and the like, a
// moment that many days or hours from now as a table of Shadowserver has it.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fill FILE...")
	}
	now := time.Now().UTC()
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		text = moment.ReplaceAllStringFunc(text, func(s string) string {
			n, err := strconv.Atoi(s[1 : len(s)-2])
			ts.Check(err)
			unit := time.Hour
			if s[len(s)-2] == 'd' {
				unit *= 24
			}
			return now.Add(time.Duration(n) * unit).Format(time.DateTime)
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

var moment = regexp.MustCompile(`@-[0-9]+[dh]@`)

type running struct {
	cmd  *exec.Cmd
	done chan struct{}
}

var programs sync.Map // name -> *running, of one story's test

// start NAME PROGRAM ARG...: runs the program in the background until the end
// of the story, and waits for the line "ready".
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME PROGRAM ARG...")
	}
	path := ts.Getenv("PROGRAM")
	if args[1] != "bolwerk" {
		var err error
		path, err = exec.LookPath(args[1])
		ts.Check(err)
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	logFile, err := os.Create(filepath.Join(ts.MkAbs("."), args[0]+".log"))
	ts.Check(err)
	cmd.Stderr = logFile
	ts.Check(cmd.Start())
	r := &running{cmd, make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(r.done)
		defer logFile.Close()
		sc := bufio.NewScanner(out)
		seen := false
		for sc.Scan() {
			fmt.Fprintln(logFile, sc.Text())
			if sc.Text() == "ready" && !seen {
				seen = true
				close(ready)
			}
		}
		cmd.Wait()
	}()
	key := ts.Getenv("WORK") + "/" + args[0]
	programs.Store(key, r)
	ts.Defer(func() { end(r) })
	select {
	case <-ready:
	case <-r.done:
		b, _ := os.ReadFile(logFile.Name())
		ts.Fatalf("%s ended before it was ready:\n%s", args[0], b)
	case <-time.After(60 * time.Second):
		b, _ := os.ReadFile(logFile.Name())
		ts.Fatalf("%s was not ready after 60 s:\n%s", args[0], b)
	}
}

func end(r *running) {
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
		r.cmd.Process.Kill()
		<-r.done
	}
}

// signal NAME term|kill: ends a program that start began, and waits for it.
func signal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME term|kill")
	}
	v, ok := programs.Load(ts.Getenv("WORK") + "/" + args[0])
	if !ok {
		ts.Fatalf("no program %s is running", args[0])
	}
	r := v.(*running)
	if args[1] == "kill" {
		r.cmd.Process.Kill()
		<-r.done
		return
	}
	end(r)
}

// ask SERVER NAME [TYPE]: prints the answer of a DNS server: rcode, then
// addresses and texts, then extended errors. $FROM is the address that asks.
func ask() {
	if len(os.Args) < 3 {
		fatal("usage: ask SERVER NAME [TYPE]")
	}
	qtype := dns.TypeA
	if len(os.Args) > 3 {
		qtype = dns.StringToType[strings.ToUpper(os.Args[3])]
	}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(os.Args[2]), qtype)
	m.SetEdns0(1232, false)
	c := &dns.Client{Timeout: 3 * time.Second}
	if from := os.Getenv("FROM"); from != "" {
		c.Dialer = &net.Dialer{Timeout: c.Timeout, LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	}
	r, _, err := c.Exchange(m, os.Args[1])
	if err != nil {
		fatal(err.Error())
	}
	fmt.Println(dns.RcodeToString[r.Rcode])
	for _, rr := range r.Answer {
		fmt.Println(strings.Join(strings.Fields(rr.String())[3:], " "))
	}
	if o := r.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if ede, ok := e.(*dns.EDNS0_EDE); ok {
				fmt.Printf("EDE %d %s\n", ede.InfoCode, ede.ExtraText)
			}
		}
	}
}

// page SERVER HOST [PATH]: prints what a browser that believed HOST is at
// SERVER is shown over plain HTTP.
func page() {
	if len(os.Args) < 3 {
		fatal("usage: page SERVER HOST [PATH]")
	}
	to, err := netip.ParseAddrPort(os.Args[1])
	if err != nil {
		fatal(err.Error())
	}
	path := "/"
	if len(os.Args) > 3 {
		path = os.Args[3]
	}
	req, _ := http.NewRequest(http.MethodGet, "http://"+os.Args[2]+path, nil)
	req.Header.Set("Accept-Language", "en")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		fatal(err.Error())
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	resp.Header.Write(os.Stdout)
	fmt.Println()
	io.Copy(os.Stdout, resp.Body)
}

// post SERVER HOST PATH KEY=VALUE...: sends a form, as a browser on that page would.
func post() {
	if len(os.Args) < 4 {
		fatal("usage: post SERVER HOST PATH KEY=VALUE...")
	}
	form := url.Values{}
	for _, kv := range os.Args[4:] {
		k, v, _ := strings.Cut(kv, "=")
		form.Set(k, v)
	}
	req, _ := http.NewRequest(http.MethodPost, "http://"+os.Args[1]+os.Args[3], strings.NewReader(form.Encode()))
	req.Host = os.Args[2]
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Language", "en")
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		fatal(err.Error())
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	io.Copy(os.Stdout, resp.Body)
}

// outbox DIR TO: prints the mails in a folder to somebody, with their bodies decoded.
func outbox() {
	if len(os.Args) != 3 {
		fatal("usage: outbox DIR TO")
	}
	all, err := mail.Outbox{Dir: os.Args[1]}.List(context.Background(), 1000)
	if err != nil {
		fatal(err.Error())
	}
	for _, m := range all {
		if m.To.String() == os.Args[2] {
			fmt.Printf("Subject: %s\n\n%s\n", m.Subject, m.Body)
		}
	}
}

// until DURATION PATTERN COMMAND ARG...: runs the command again and again until
// its output matches, and prints that output.
func until() {
	if len(os.Args) < 4 {
		fatal("usage: until DURATION PATTERN COMMAND ARG...")
	}
	d, err := time.ParseDuration(os.Args[1])
	if err != nil {
		fatal(err.Error())
	}
	re, err := regexp.Compile(os.Args[2])
	if err != nil {
		fatal(err.Error())
	}
	end := time.Now().Add(d)
	for {
		out, err := exec.Command(os.Args[3], os.Args[4:]...).CombinedOutput()
		if re.Match(out) {
			os.Stdout.Write(out)
			return
		}
		if time.Now().After(end) {
			fatal(fmt.Sprintf("not within %s: %s\n%v\n%s", d, os.Args[2], err, out))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fatal(s string) {
	fmt.Fprintln(os.Stderr, s)
	os.Exit(1)
}
