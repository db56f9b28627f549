//go:build peers

package peers

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
)

// answers answers each packet at an address of the namespace with n octets.
func (s space) answers(addr string, n int) {
	s.t.Helper()
	s.within(func() error {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { c.Close() })
		go func() {
			for b := make([]byte, 1500); ; {
				_, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				c.WriteTo(make([]byte, n), from)
			}
		}()
		return nil
	})
}

// asks says how many octets an address answers within a second; 0: none.
func (s space) asks(local, addr string) (n int) {
	s.t.Helper()
	s.within(func() error {
		from, err := net.ResolveUDPAddr("udp", local)
		if err != nil {
			return err
		}
		d := net.Dialer{LocalAddr: from}
		c, err := d.Dial("udp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.Write([]byte("who"))
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, _ = c.Read(make([]byte, 10_000))
		return nil
	})
	return n
}

// echo sends back what comes in over connections to an address of the namespace.
func (s space) echo(addr string) {
	s.t.Helper()
	s.within(func() error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					io.Copy(c, c)
				}()
			}
		}()
		return nil
	})
}

// dial opens a connection, and gives what says whether it goes on.
func (s space) dial(addr string) (goesOn func() bool) {
	s.t.Helper()
	var c net.Conn
	s.within(func() (err error) {
		c, err = net.DialTimeout("tcp", addr, 3*time.Second)
		return err
	})
	s.t.Cleanup(func() { c.Close() })
	return func() bool {
		c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Write([]byte("x")); err != nil {
			return false
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
}

// A line in quarantine does not amplify what is sent to it under forged addresses, and
// harm does not go on in a connection that stood before; who calls is answered.
func TestALineInQuarantineDoesNotAmplify(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	for _, name := range []string{"nft", "ip"} {
		Need(t, name)
	}
	line, bng, world := accessNetwork(t)
	put := bng.accessServer()
	const at, victim = "198.51.100.7", "203.0.113.7"
	line.answers(at+":123", 400)
	line.answers(at+":11211", 5000) // in fragments
	line.answers(at+":40000", 100)  // the sound of a call
	world.answers("203.0.113.2:123", 48)
	world.echo(victim + ":25")
	world.echo(victim + ":443")
	if r := line.dial(victim + ":443"); !r() {
		t.Fatal("no way to the world")
	}
	fragments := func() string { return world.run("nstat", "-asz", "IpReasmReqds") }
	for _, p := range []enforce.Profile{enforce.Leaky, enforce.Strict} {
		put(enforce.Normal)
		mail, web := line.dial(victim+":25"), line.dial(victim+":443")
		if !mail() || !web() || world.asks(victim+":4000", at+":11211") != 5000 || world.asks(victim+":123", at+":123") != 400 {
			t.Fatalf("before %s not everything is open", p)
		}
		put(p)
		before := fragments()
		// Flows of their own, and those that stood before.
		for _, q := range []struct{ from, to string }{{victim + ":4001", at + ":11211"}, {victim + ":4000", at + ":11211"}, {victim + ":4002", at + ":123"}, {victim + ":123", at + ":123"}} {
			if n := world.asks(q.from, q.to); n != 0 {
				t.Errorf("%s: %d octets come back to %s from %s", p, n, q.from, q.to)
			}
		}
		if after := fragments(); after != before {
			t.Errorf("%s: fragments come through: %s, before %s", p, after, before)
		}
		if mail() {
			t.Errorf("%s: a connection to port 25 that stood before goes on", p)
		}
		if got, want := web(), p == enforce.Leaky; got != want {
			t.Errorf("%s: a connection to port 443 that stood before goes on: %v, want %v", p, got, want)
		}
		if line.asks(at+":0", "203.0.113.2:123") != 48 {
			t.Errorf("%s: the line does not learn the time", p)
		}
		if world.asks(victim+":5000", at+":40000") != 100 {
			t.Errorf("%s: who calls is not answered", p)
		}
		bng.run("nft", "add", "element", "inet", "bolwerk", "tests4", "{ 203.0.113.2 }")
		if world.asks("203.0.113.2:4004", at+":11211") != 5000 {
			t.Errorf("%s: who tests the line does not find what is open", p)
		}
		bng.run("nft", "delete", "element", "inet", "bolwerk", "tests4", "{ 203.0.113.2 }")
	}
	put(enforce.Normal)
	if world.asks(victim+":4003", at+":11211") != 5000 {
		t.Error("released, the line does not answer")
	}
}
