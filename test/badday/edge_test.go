package badday

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk/internal/demo"
	"bolwerk/test/live"
)

// The bad days of an edge. A link that is cut for ten minutes differs from one that
// is cut for some seconds in the end of what is in force and the alarm alone: those
// are promised with a clock that is moved, in test/sim and internal/copy.

// link is the way from a host to the desk, as a wire that can be cut.
type link struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	cut   string // "" whole, "down" refuses, "silent" swallows
	conns map[net.Conn]bool
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &link{l: l, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); w.set("down") })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *link) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

func (w *link) carry(c net.Conn) {
	defer c.Close()
	if w.state() == "down" {
		return
	}
	d, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer d.Close()
	w.mu.Lock()
	w.conns[c], w.conns[d] = true, true
	w.mu.Unlock()
	pipe := func(to, from net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			for w.state() == "silent" {
				time.Sleep(10 * time.Millisecond)
			}
			if err != nil {
				break
			}
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		to.Close()
		from.Close()
	}
	go pipe(d, c)
	pipe(c, d)
}

func (w *link) set(state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = state
	if state != "silent" {
		for c := range w.conns {
			c.Close()
		}
		clear(w.conns)
	}
}

// resolver is the edge's upstream, which can be switched off.
type resolver struct {
	t    *testing.T
	addr string
	stop func()
}

func newResolver(t *testing.T, addr string) *resolver {
	r := &resolver{t: t, addr: addr}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *resolver) start() {
	r.t.Helper()
	udp, err := net.ListenPacket("udp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); demo.Upstream{}.Run(ctx, udp, tcp) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
}

// edgeSite is a desk, an intake and an edge that reaches the desk by a link.
func edgeSite(t *testing.T, more string, folders map[string]string) (*live.Site, *link) {
	t.Helper()
	s := live.Apart(t, "", more, folders)
	w := newLink(t, s.Hosts)
	s.MustStart("desk")
	s.Session("anna", "analyst")
	s.Decide(s.Token("anna", "read,report,decide"))
	s.Join("edge", "edge-1")
	path := filepath.Join(s.Data("edge"), "edge", "host.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), s.Hosts, w.l.Addr().String(), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.MustStart("edge")
	return s, w
}

// passes says whether a name that nobody lists is answered by the upstream.
func passes(s *live.Site, name string) (bool, error) {
	r, _, err := (&dns.Client{Timeout: 8 * time.Second}).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), s.DNS)
	if err != nil {
		return false, err
	}
	if r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
		return false, fmt.Errorf("answered %s", dns.RcodeToString[r.Rcode])
	}
	return true, nil
}

// visit asks for a blocked name n times, and gives n.
func visit(t *testing.T, s *live.Site, name string, n int) int {
	t.Helper()
	for range n {
		if got, err := s.Blocked(name); err != nil || !got {
			t.Fatalf("%s: blocked %t: %v", name, got, err)
		}
	}
	return n
}

// counted is how many visits the desk knows of a block.
func counted(s *live.Site, id string) (int, error) {
	var out struct {
		Hits struct {
			DNS int `json:"dns_hits"`
		}
	}
	_, err := s.Call("GET", s.Console+"/api/v1/blocks/"+id, "", nil, &out)
	return out.Hits.DNS, err
}

// flushed waits until the edge has what it counted in its spool or at the desk.
func flushed(t *testing.T, s *live.Site, id string, want int) {
	t.Helper()
	until(t, fmt.Sprintf("%d visits counted", want), time.Minute, func() (bool, error) {
		got, err := counted(s, id)
		if err == nil && got != want {
			err = fmt.Errorf("counted %d", got)
		}
		return got == want, err
	})
}

func TestTheLinkOfAnEdgeIsCut(t *testing.T) {
	long(t)
	s, w := edgeSite(t, "", nil)
	id := block(t, s, "before.example")
	blocked(t, s, "before.example", true)
	n := visit(t, s, "before.example", 20) + 1
	for _, how := range []string{"down", "silent"} {
		w.set(how)
		cut := time.Now()
		name := how + ".example"
		block(t, s, name)
		for time.Since(cut) < 12*time.Second { // longer than a window of counts
			n += visit(t, s, "before.example", 5)
			if ok, err := passes(s, "www.shop.example"); !ok {
				t.Fatalf("%s: a name that nobody lists: %v", how, err)
			}
			if got, err := s.Blocked(name); got || err != nil {
				t.Fatalf("%s: a decision crossed the cut link: %t %v", how, got, err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		w.set("")
		whole := time.Now()
		until(t, name, 2*time.Minute, func() (bool, error) { return s.Blocked(name) })
		t.Logf("%s for %s; what was decided meanwhile is in force %s after the link is whole", how, whole.Sub(cut).Round(time.Second), time.Since(whole).Round(10*time.Millisecond))
	}
	flushed(t, s, id, n)
	t.Logf("%d visits, each counted once", n)
}

func TestAnEdgeIsKilled(t *testing.T) {
	long(t)
	s, w := edgeSite(t, "", nil)
	id := block(t, s, "before.example")
	blocked(t, s, "before.example", true)
	n := visit(t, s, "before.example", 30)
	until(t, "the first window is counted", time.Minute, func() (bool, error) { got, err := counted(s, id); n = got; return got >= 30, err })
	w.set("down") // and the desk is away when it comes back
	s.Kill("edge")
	lost := time.Now()
	s.MustStart("edge")
	if got, err := s.Blocked("before.example"); err != nil || !got {
		t.Errorf("the first question after the start: blocked %t: %v", got, err)
	}
	n++
	t.Logf("the edge blocks again %s after kill -9, without its desk", time.Since(lost).Round(10*time.Millisecond))
	if ok, err := passes(s, "www.shop.example"); !ok {
		t.Errorf("a name that nobody lists: %v", err)
	}
	n += visit(t, s, "before.example", 30)
	w.set("")
	flushed(t, s, id, n)
	t.Logf("%d visits up to the last window before the kill and since, each counted once", n)
}

func TestTheUpstreamOfAnEdgeIsDead(t *testing.T) {
	long(t)
	s := live.Apart(t, "", "", nil)
	at := strings.Replace(s.DNS, ":5300", ":5304", 1)
	path := filepath.Join(s.Dir, "edge.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), ":5302'", ":5304'", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	up := newResolver(t, at)
	s.Found()
	block(t, s, "before.example")
	blocked(t, s, "before.example", true)
	if ok, err := passes(s, "www.shop.example"); !ok {
		t.Fatal(err)
	}
	up.stop()
	dead := time.Now()
	visit(t, s, "before.example", 10)
	block(t, s, "meanwhile.example")
	blocked(t, s, "meanwhile.example", true)
	if ok, err := passes(s, "www.shop.example"); !ok {
		t.Errorf("a name that was known when the upstream died: %v", err)
	}
	if _, err := passes(s, "www.never-asked.example"); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("a name that was never asked: %v, want SERVFAIL: the resolver of the customer asks another", err)
	}
	for time.Since(dead) < 5*time.Second {
		visit(t, s, "before.example", 1)
		passes(s, "www.never-asked.example")
	}
	up.start()
	back := time.Now()
	until(t, "a name that was never asked", time.Minute, func() (bool, error) { return passes(s, "www.never-asked-2.example") })
	t.Logf("the upstream was dead for %s; names pass again %s after it is back", back.Sub(dead).Round(10*time.Millisecond), time.Since(back).Round(10*time.Millisecond))
}

func TestTheDiskOfAnEdgeIsFull(t *testing.T) {
	long(t)
	if !ownMounts(t) {
		return
	}
	dir := small(t, "64m")
	s, _ := edgeSite(t, "", map[string]string{"edge": dir})
	id := block(t, s, "before.example")
	blocked(t, s, "before.example", true)
	empty := fill(t, dir, 0)
	full := time.Now()
	visit(t, s, "before.example", 10)
	if ok, err := passes(s, "www.shop.example"); !ok {
		t.Errorf("a name that nobody lists: %v", err)
	}
	if err := s.Withdraw(id, "w"); err != nil {
		t.Fatal(err)
	}
	gone := live.Until(20*time.Second, func() (bool, error) { got, err := s.Blocked("before.example"); return !got, err })
	t.Logf("with a full disk a withdrawal is in force: %t", gone == nil)
	if gone != nil {
		t.Errorf("a withdrawal does not reach an edge whose disk is full: %v", gone)
	}
	empty()
	block(t, s, "after.example")
	freed := time.Now()
	until(t, "after.example", 2*time.Minute, func() (bool, error) { return s.Blocked("after.example") })
	blocked(t, s, "before.example", false)
	t.Logf("full for %s; what was decided is in force %s after there is room", freed.Sub(full).Round(10*time.Millisecond), time.Since(freed).Round(10*time.Millisecond))
}
