// Views measures how soon a DNS view follows a session: RADIUS accounting comes to
// the intake of a running "bolwerk all", a subscriber has chosen to have nothing
// blocked, and the edge is asked until it answers otherwise.
//
//	go run ./bench/views --turns 200
//
// A turn is a session of who chose, and then one of somebody else at the same
// address. The clock runs from sending the packet, before it is answered. Every
// answer is of a real question from the session's own address, which is one of
// loopback. An address that its next holder finds with the view of the one before
// is counted, and ends the run with an error.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bolwerk/bench/product"
	"bolwerk/internal/radius"
)

var (
	binary_ = flag.String("bin", "", "the program; empty: it is built")
	turns   = flag.Int("turns", 200, "sessions of who chose")
	others  = flag.Int("others", 20, "records of other sessions a second meanwhile")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *turns < 1 || *others < 1 || *others > 5000 {
		fmt.Fprintln(os.Stderr, "bench/views: --turns is at least 1, --others 1 to 5000")
		os.Exit(2)
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/views:", err)
		os.Exit(1)
	}
}

const blocked = "login-bank.example"

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bolwerk-views-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := *binary_
	if bin == "" {
		if bin, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	secret := []byte(rand.Text())
	file := filepath.Join(dir, "aaa.secret")
	if err := os.WriteFile(file, append(secret, '\n'), 0o600); err != nil {
		return err
	}
	upstream, err := nothing()
	if err != nil {
		return err
	}
	door, err := freeUDP()
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	p, err := product.Start(ctx, product.Options{Binary: bin, Dir: data, Upstream: upstream, More: fmt.Sprintf(`
[abuse.who]
interim = "5m"

[abuse.accounting]
listen = %q

[[abuse.accounting.client]]
name = "aaa1"
from = ["127.0.0.0/8"]
secret_file = %q
`, door, file)})
	if err != nil {
		return err
	}
	defer p.Stop()
	if _, err := p.Block(ctx, blocked, "host"); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, bin, "abuse", "view", "set", "anna", "opt_out", "--reason", "she asked for it", "--data", data).CombinedOutput(); err != nil {
		return fmt.Errorf("choose a view: %w: %s", err, out)
	}
	a, err := newAAA(door, secret)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d processors, %d turns, %d records of other sessions a second\n\n", time.Now().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), *turns, *others)
	busy, err := newAAA(door, secret)
	if err != nil {
		return err
	}
	go busy.others(ctx, *others)
	return measure(ctx, a, p.DNS)
}

func measure(ctx context.Context, a *aaa, at netip.AddrPort) error {
	var given, taken, answered []time.Duration
	inherited := 0
	line := netip.MustParseAddr("127.0.0.77")
	for n := range *turns {
		for _, s := range []struct {
			status uint32
			open   bool
			took   *[]time.Duration
		}{{radius.StatusStart, true, &given}, {radius.StatusStop, false, &taken}} {
			start := time.Now()
			if err := a.send(s.status, "anna", fmt.Sprint("a", n), line); err != nil {
				return err
			}
			answered = append(answered, time.Since(start))
			if err := until(ctx, at, line, s.open); err != nil {
				return fmt.Errorf("turn %d, status %d: %w", n, s.status, err)
			}
			*s.took = append(*s.took, time.Since(start))
		}
		if err := a.send(radius.StatusStart, "bert", fmt.Sprint("b", n), line); err != nil {
			return err
		}
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
			if open, err := ask(at, line); err != nil {
				return err
			} else if open {
				inherited++
			}
		}
		if err := a.send(radius.StatusStop, "bert", fmt.Sprint("b", n), line); err != nil {
			return err
		}
	}
	show("accounting answered", answered)
	show("Start -> the view at the edge", given)
	show("Stop -> the default view at the edge", taken)
	fmt.Printf("%-40s %d\n", "answers with the view of who was before", inherited)
	if inherited > 0 {
		return fmt.Errorf("%d answers with an inherited view", inherited)
	}
	return nil
}

func show(what string, took []time.Duration) {
	slices.Sort(took)
	at := func(q int) time.Duration { return took[len(took)*q/100].Round(100 * time.Microsecond) }
	fmt.Printf("%-40s p50 %s p99 %s max %s\n", what, at(50), at(99), took[len(took)-1].Round(100*time.Microsecond))
}

// until asks until the name is open, or is stopped.
func until(ctx context.Context, at netip.AddrPort, from netip.Addr, open bool) error {
	for end := time.Now().Add(30 * time.Second); ; {
		got, err := ask(at, from)
		switch {
		case err != nil:
			return err
		case got == open:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("open is %v for 30 s, want %v", got, open)
		}
		time.Sleep(time.Millisecond)
	}
}

// ask says whether the name is not blocked for who asks from an address.
func ask(at netip.AddrPort, from netip.Addr) (open bool, err error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(blocked), dns.TypeA)
	c := dns.Client{Timeout: 5 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: from.AsSlice()}, Timeout: 5 * time.Second}}
	r, _, err := c.Exchange(m, at.String())
	if err != nil {
		return false, err
	}
	return !strings.Contains(fmt.Sprint(r.Answer), "192.0.2.1"), nil
}

// aaa is an AAA server.
type aaa struct {
	conn   net.Conn
	secret []byte
	id     byte
}

func newAAA(door string, secret []byte) (*aaa, error) {
	c, err := net.Dial("udp", door)
	return &aaa{conn: c, secret: secret}, err
}

// send sends a record until it is answered.
func (a *aaa) send(status uint32, user, session string, line netip.Addr) error {
	a.id++
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	now := uint32(time.Now().Unix())
	req := radius.Request(a.id, []radius.Attribute{{Type: radius.AcctStatusType, Value: number(status)}, {Type: radius.AcctSessionID, Value: []byte(session)},
		{Type: radius.UserName, Value: []byte(user)}, {Type: radius.NASIdentifier, Value: []byte("bng1")}, {Type: radius.FramedIPAddress, Value: line.AsSlice()},
		{Type: radius.EventTimestamp, Value: number(now)}}, true, a.secret)
	buf := make([]byte, radius.MaxSize)
	for range 20 {
		if _, err := a.conn.Write(req); err != nil {
			return err
		}
		a.conn.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := a.conn.Read(buf)
			if err != nil {
				break
			}
			if radius.Answers(buf[:n], req, a.secret) {
				return nil
			}
		}
	}
	return fmt.Errorf("accounting is not answered")
}

// others are sessions of nobody with a view.
func (a *aaa) others(ctx context.Context, perSecond int) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = a.send(radius.StatusStart, fmt.Sprint("c", n), fmt.Sprint("c", n), netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
	}
}

// nothing is an upstream that knows no name.
func nothing() (netip.AddrPort, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	s := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		w.WriteMsg(r)
	})}
	go s.ActivateAndServe()
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

func freeUDP() (string, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), nil
}
