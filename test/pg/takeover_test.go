package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store/storetest"
	"bolwerk/test/live"
	"bolwerk/test/peers"
)

// ear takes NOTIFY (RFC 1996) and acknowledges it.
type ear struct {
	addr string

	mu    sync.Mutex
	heard []told
}

type told struct {
	from, zone string
	serial     uint32
}

func newEar(t *testing.T) *ear {
	e := &ear{}
	conn, err := net.ListenPacket("udp", live.Address(t)+":0")
	must(t, err)
	e.addr = conn.LocalAddr().String()
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Opcode = q.Opcode
		if q.Opcode == dns.OpcodeNotify && len(q.Answer) == 1 {
			if soa, ok := q.Answer[0].(*dns.SOA); ok {
				from, _, _ := net.SplitHostPort(w.RemoteAddr().String())
				e.mu.Lock()
				e.heard = append(e.heard, told{from, q.Question[0].Name, soa.Serial})
				e.mu.Unlock()
			}
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	<-ready
	t.Cleanup(func() { s.Shutdown() })
	return e
}

// from are the NOTIFY of one desk for the hot zone: how many, and the lowest and the
// highest serial.
func (e *ear) from(d *desk) (n int, low, high uint32) {
	host, _, _ := net.SplitHostPort(d.RPZ)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if h.from == host && h.zone == "h.rpz." {
			if n++; n == 1 || h.serial < low {
				low = h.serial
			}
			high = max(high, h.serial)
		}
	}
	return n, low, high
}

// The desk that takes over tells the resolvers at once, under serials above all that
// the killed one told; and a BIND that names both desks goes on with it: what was
// blocked stays so, what is decided now comes into force, what is withdrawn ends.
func TestTakeOverIsToldToResolvers(t *testing.T) {
	needPostgres(t)
	e, at := newEar(t), peers.FreePort(t)
	upstream := peers.Upstream(t)
	p := newPairWith(t, storetest.URL(t), fmt.Sprintf("[[rpz.secondary]]\nname = 'ear'\nfrom = ['192.0.2.99/32']\nnotify = %q\n[[rpz.secondary]]\nname = 'bind'\nfrom = ['192.0.2.98/32']\nnotify = %q\n", e.addr, at))
	holds, other := p.holder(10 * time.Second)
	b := peers.Bind(t, peers.Setup{Primary: netip.MustParseAddrPort(holds.RPZ), Second: netip.MustParseAddrPort(other.RPZ), Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: at})
	blocks := func(name string, want bool) {
		t.Helper()
		began := time.Now()
		must(t, live.Until(2*time.Minute, func() (bool, error) {
			a, err := rpz.Ask(t.Context(), b.Addr, bolwerk.MustDomain(name), "A")
			got := false
			for _, x := range a.Addresses {
				got = got || x.String() == live.Landing
			}
			return got == want, err
		}))
		t.Logf("%s at BIND: blocked is %t after %s", name, want, time.Since(began).Round(10*time.Millisecond))
	}
	_, err := holds.Block("before.example", "before")
	must(t, err)
	blocks("before.example", true)
	must(t, live.Until(time.Minute, func() (bool, error) { n, _, _ := e.from(holds); return n > 0, nil }))
	if n, _, _ := e.from(other); n > 0 {
		t.Errorf("the desk without the lease has sent %d NOTIFY", n)
	}

	holds.Kill(holds.role)
	died := time.Now()
	must(t, live.Until(time.Minute, func() (bool, error) { n, _, _ := e.from(other); return n > 0, nil }))
	t.Logf("the other desk tells of its zones %s after the kill", time.Since(died).Round(10*time.Millisecond))
	_, _, high := e.from(holds)
	if _, low, _ := e.from(other); low <= high {
		t.Errorf("the other desk tells of serial %d after %d was told", low, high)
	}
	blocks("before.example", true)
	id, err := other.Block("after.example", "after")
	must(t, err)
	blocks("after.example", true)
	must(t, other.Withdraw(id, "after too"))
	blocks("after.example", false)
}
