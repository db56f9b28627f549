package dnsserve

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// doors bounds the open connections of all our listeners together, and those of one
// client, so that nobody holds them all: an eighth. A client is an IPv4
// address or an IPv6 /64.
type doors struct {
	max, each int

	mu   sync.Mutex
	open map[any]netip.Prefix // by connection, or by what stands for one
	by   map[netip.Prefix]int
	shut bool
}

func newDoors(max int) *doors {
	return &doors{max: max, each: min(max, 8+max/8), open: map[any]netip.Prefix{}, by: map[netip.Prefix]int{}}
}

func clientOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// enter counts the connection, or says that there is no room for it. Those of a proxy
// are many clients': they have no bound but the common one.
func (d *doors) enter(c net.Conn, proxy bool) bool {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return false
	}
	return d.take(c, from.Addr(), proxy)
}

// take is enter for what comes from an address.
func (d *doors) take(c any, from netip.Addr, proxy bool) bool {
	client := clientOf(from)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut || len(d.open) >= d.max || d.by[client] >= d.each && !proxy {
		return false
	}
	d.open[c] = client
	d.by[client]++
	return true
}

func (d *doors) leave(c any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	client, there := d.open[c]
	if !there {
		return
	}
	delete(d.open, c)
	if d.by[client]--; d.by[client] == 0 {
		delete(d.by, client)
	}
}

// count is how many are open.
func (d *doors) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// close ends all of them; nobody enters any more.
func (d *doors) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for c := range d.open {
		if c, ok := c.(net.Conn); ok {
			c.Close()
		}
	}
}

// idle is how long a connection may be silent: shorter while few places are left.
func (s *Server) idle() time.Duration {
	if s.doors.count()*4 > s.doors.max*3 {
		return s.cfg.times.busy
	}
	return s.cfg.times.idle
}

// door is a listener whose connections are counted. One that has no room is closed.
type door struct {
	net.Listener
	s *Server
}

func (l door) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		proxy := l.s.isProxy(c)
		if l.s.doors.enter(c, proxy) {
			in := &inside{Conn: c, d: l.s.doors}
			if proxy {
				return &behindProxy{Conn: in, s: l.s}, nil
			}
			return in, nil
		}
		l.s.stats.turnedAway.Add(1)
		c.Close()
	}
}

type inside struct {
	net.Conn
	d    *doors
	dead atomic.Bool
}

// Write fails at once where it has failed before: TLS would wait five seconds more to say
// goodbye to a client that does not read.
func (c *inside) Write(b []byte) (int, error) {
	if c.dead.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.dead.Store(true)
	}
	return n, err
}

func (c *inside) Close() error {
	c.d.leave(c.Conn)
	return c.Conn.Close()
}

// isProxy says that the other side has to name its askers.
func (s *Server) isProxy(c net.Conn) bool {
	l := s.live.Load()
	if len(l.proxy) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	return err == nil && l.proxy.has(from.Addr().As16())
}
