// Package peers starts real resolvers beside a test: BIND, Unbound and PowerDNS
// Recursor as secondaries of an RPZ primary, Knot DNS that hands its zones on, and an invented upstream for them
// to ask. Each runs as a child process from a folder of the test's, on loopback
// ports of its own, from a copy of the distribution's binary (a copy, because
// the packages' confinement goes by path).
package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Setup says what a resolver is a secondary of.
type Setup struct {
	Primary  netip.AddrPort // of the zones, UDP and TCP
	Second   netip.AddrPort // a second primary of them; zero: none; BIND alone
	Zones    []string       // in the order in which they are asked, without final dot
	Catalog  string         // zone that names further ones (RFC 9432); Knot and BIND
	Upstream netip.AddrPort // everything is forwarded there
	// TSIG key for the transfers; empty: none. Unbound has no TSIG and ignores it.
	KeyName, KeyAlgorithm string
	KeyFile               string         // base64 secret
	CAFile                string         // Primary speaks TLS, as localhost, with a certificate of this; BIND alone
	Listen                netip.AddrPort // zero: a free port of 127.0.0.1
	// More is added to the configuration: whole clauses, for PowerDNS lines of Lua.
	More string
	// Dir is where the resolver works; empty is a folder of the test's.
	Dir string
}

// Resolver is a running peer.
type Resolver struct {
	Kind string // "bind", "unbound", "pdns" or "knot"
	Addr netip.AddrPort
	Dir  string
	PID  int

	log  *record
	stop func()
}

// Stop ends the process and waits for it; the test's end does so too.
func (r *Resolver) Stop() { r.stop() }

// Log is what it has written to its standard error so far.
func (r *Resolver) Log() string { return r.log.String() }

// Flush takes name and all below it out of the resolver's caches, as the
// operator does after a withdrawal. Only PowerDNS needs it: its packet cache is
// asked before the policy; BIND and Unbound look at the policy first.
func (r *Resolver) Flush(t testing.TB, name string) {
	t.Helper()
	if r.Kind != "pdns" {
		return
	}
	out, err := exec.Command(Need(t, "rec_control"), "--socket-dir="+r.Dir, "wipe-cache", name+"$").CombinedOutput()
	if err != nil {
		t.Fatalf("rec_control wipe-cache %s: %v: %s", name, err, out)
	}
}

// Need returns the path of a binary. Where it is missing the test is skipped
// with a line that says so; in CI it fails.
func Need(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("peer %s is not installed: run test/peers/install.sh as root", name)
	}
	t.Skipf("skipped: peer %s is not installed (test/peers/install.sh installs it)", name)
	return ""
}

// FreePort is a port of 127.0.0.1 that is free for UDP and TCP at this moment.
func FreePort(t testing.TB) netip.AddrPort {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			u.Close()
			return l.Addr().(*net.TCPAddr).AddrPort()
		}
	}
	t.Fatal("no free port")
	return netip.AddrPort{}
}

func (s Setup) secret(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// start runs a copy of binary in dir and waits until it answers at addr.
func start(t testing.TB, kind, binary, dir string, addr netip.AddrPort, args ...string) *Resolver {
	t.Helper()
	own := filepath.Join(dir, filepath.Base(binary))
	if err := copyFile(binary, own); err != nil {
		t.Fatal(err)
	}
	r := &Resolver{Kind: kind, Addr: addr, Dir: dir, log: &record{}}
	cmd := exec.Command(own, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = r.log, r.log
	// It dies with us, even when we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", kind, err)
	}
	r.PID = cmd.Process.Pid
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				cmd.Process.Kill()
				<-ended
			}
		})
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", kind, tail(r.Log(), 6000))
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for {
		m := new(dns.Msg).SetQuestion("ready.example.", dns.TypeA)
		c := dns.Client{Timeout: 300 * time.Millisecond}
		if in, _, err := c.ExchangeContext(context.Background(), m, addr.String()); err == nil && in.Rcode == dns.RcodeSuccess {
			return r
		}
		select {
		case <-ended:
			t.Fatalf("%s ended at once:\n%s", kind, tail(r.Log(), 6000))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer at %s", kind, addr)
		}
	}
}

func (s Setup) listen(t testing.TB) netip.AddrPort {
	if s.Listen.IsValid() {
		return s.Listen
	}
	return FreePort(t)
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// record keeps the first megabyte of what a process writes.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.b.Len() < 1<<20 {
		r.b.Write(p)
	}
	return len(p), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func tail(s string, n int) string {
	if len(s) > n {
		s = "..." + s[len(s)-n:]
	}
	return s
}

// Upstream starts an authoritative server for the invented world: every name
// under .example has A 203.0.113.7, AAAA 2001:db8:7::7 and TXT "upstream", with
// a TTL of one second; names below nx.example do not exist. Anything else is
// REFUSED.
func Upstream(t testing.TB) netip.AddrPort {
	t.Helper()
	addr := FreePort(t)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative, m.RecursionAvailable = true, true
		name := strings.ToLower(q.Question[0].Name)
		soa := rr("example. 1 IN SOA ns.example. hostmaster.example. 1 60 60 60 1")
		switch typ := q.Question[0].Qtype; {
		case !dns.IsSubDomain("example.", name):
			m.Rcode = dns.RcodeRefused
		case dns.IsSubDomain("nx.example.", name):
			m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa}
		case typ == dns.TypeA:
			m.Answer = []dns.RR{rr(name + " 1 IN A 203.0.113.7")}
		case typ == dns.TypeAAAA:
			m.Answer = []dns.RR{rr(name + " 1 IN AAAA 2001:db8:7::7")}
		case typ == dns.TypeTXT:
			m.Answer = []dns.RR{rr(name + " 1 IN TXT upstream")}
		default:
			m.Ns = []dns.RR{soa}
		}
		w.WriteMsg(m)
	})
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan error, 1)
		s := &dns.Server{Addr: addr.String(), Net: network, Handler: handler, NotifyStartedFunc: func() { ready <- nil }}
		go func() {
			if err := s.ListenAndServe(); err != nil {
				ready <- err
			}
		}()
		if err := <-ready; err != nil {
			t.Fatalf("upstream: %v", err)
		}
		t.Cleanup(func() { s.Shutdown() })
	}
	return addr
}

func rr(s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", s, err))
	}
	return r
}
