package dnsserve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// until waits for what another goroutine does; the test's own time limit ends it.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-t.Context().Done():
			t.Fatal(what)
		case <-time.After(time.Millisecond):
		}
	}
}

func plain(w dns.ResponseWriter, m *dns.Msg) {
	a := new(dns.Msg).SetReply(m)
	a.Answer = []dns.RR{rr("a.example. 300 IN A 192.0.2.9")}
	a.Answer[0].Header().Name = m.Question[0].Name
	w.WriteMsg(a)
}

// A resolver that takes the questions and is silent costs each asker the time of a
// second question, not its whole patience; and it is not the first choice any more.
func TestUpstream_hedges(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	wd := newWorld(t, plain)
	sv := serve(t, block, func(c *Config) { c.TryTimeout, c.Timeout = Duration(time.Minute), Duration(time.Minute) }, dead.LocalAddr().String(), wd.addr)
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Fatalf("got %v", r)
	}
	if sv.s.stats.hedges.Load() != 1 {
		t.Errorf("got %d second questions, want 1", sv.s.stats.hedges.Load())
	}
	until(t, "the silent resolver stays first", func() bool { return sv.s.up.order()[0].addr == wd.addr })
}

// Second questions stay below a tenth, however slow the resolvers are.
func TestUpstream_hedges_have_a_budget(t *testing.T) {
	u := &upstream{}
	n := 0
	for range 1000 {
		u.asks.Add(1)
		if u.mayHedge() {
			n++
		}
	}
	if n > 105 {
		t.Errorf("got %d second questions for 1000", n)
	}
}

func TestUpstream_asks_the_fastest(t *testing.T) {
	u := &upstream{}
	servers := []*resolver{{}, {}, {}}
	u.servers.Store(&servers)
	for range 20 {
		servers[0].answered(40 * time.Millisecond)
		servers[1].answered(5 * time.Millisecond)
		servers[2].answered(6 * time.Millisecond)
	}
	if got := u.order(); got[0] != servers[1] || got[2] != servers[0] {
		t.Error("not the fastest first")
	}
	servers[1].down.Store(true)
	if got := u.order(); got[0] != servers[2] || got[2] != servers[1] {
		t.Error("one that is down is not the last")
	}
	servers[2].slower(time.Second)
	if got := u.order(); got[0] != servers[0] {
		t.Error("one that became slow is still first")
	}
}

// A resolver that is down is checked, and is asked again when it is back.
func TestUpstream_comes_back(t *testing.T) {
	var up atomic.Bool
	wd := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if up.Load() {
			plain(w, m)
		}
	})
	sv := serve(t, block, nil, wd.addr, newWorld(t, plain).addr)
	r := sv.s.up.list()[0]
	r.down.Store(true)
	before := wd.asked.Load()
	until(t, "it is not checked", func() bool { return wd.asked.Load() > before })
	if !r.down.Load() {
		t.Error("up without an answer")
	}
	up.Store(true)
	until(t, "it does not come back", func() bool { return !r.down.Load() })
}

// While no resolver answers, what was known is given with a short TTL and a mark;
// when one does, the new answer counts.
func TestStale(t *testing.T) {
	var dead atomic.Bool
	wd := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if dead.Load() {
			w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
			return
		}
		plain(w, m)
	})
	sv := serve(t, block, nil, wd.addr)
	ask(t, sv, "udp", "a.example.", dns.TypeA, edns)
	dead.Store(true)
	sv.s.start.Add(int64(-301 * time.Second))
	for i := range 2 {
		r := ask(t, sv, "udp", "a.example.", dns.TypeA, edns)
		if len(r.Answer) != 1 || r.Answer[0].Header().Ttl != staleTTL || r.IsEdns0().Option[0].(*dns.EDNS0_EDE).InfoCode != 3 {
			t.Fatalf("answer %d: got %v", i, r)
		}
	}
	if n := sv.s.stats.stale.Load(); n != 1 {
		t.Errorf("the resolvers were tried %d times within %d s, want 1", n, staleTTL)
	}
	if r := ask(t, sv, "udp", "b.example.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("a name that nobody knew: got %v", r)
	}
	dead.Store(false)
	sv.s.start.Add(int64(-staleTTL * time.Second))
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); r.Answer[0].Header().Ttl != 300 {
		t.Errorf("got %v, want the new answer", r)
	}
	dead.Store(true)
	sv.s.start.Add(int64(-25 * time.Hour))
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("after max_stale: got %v", r)
	}
}

// A block counts also while the answers are stale.
func TestStale_after_the_policy(t *testing.T) {
	var dead, on atomic.Bool
	wd := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if !dead.Load() {
			plain(w, m)
		}
	})
	sv := serve(t, func(q *Question) (Answer, bool) { return Answer{Rcode: NXDomain, TTL: 60}, on.Load() }, nil, wd.addr)
	ask(t, sv, "udp", "a.example.", dns.TypeA, nil)
	dead.Store(true)
	on.Store(true)
	sv.s.start.Add(int64(-301 * time.Second))
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); r.Rcode != dns.RcodeNameError {
		t.Errorf("got %v", r)
	}
}

// What is asked for often is renewed in the last tenth of its time, once, and the
// asker does not wait for it.
func TestPrefetch(t *testing.T) {
	wd := newWorld(t, plain)
	sv := serve(t, block, nil, wd.addr)
	ask(t, sv, "udp", "a.example.", dns.TypeA, nil)
	sv.s.start.Add(int64(-269 * time.Second))
	ask(t, sv, "udp", "a.example.", dns.TypeA, nil)
	if n := wd.asked.Load(); n != 1 {
		t.Fatalf("asked %d times before the last tenth", n)
	}
	sv.s.start.Add(int64(-10 * time.Second))
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); r.Answer[0].Header().Ttl > 30 {
		t.Errorf("got %v, want what was in the cache", r)
	}
	until(t, "it is not renewed", func() bool {
		r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil)
		return r.Answer[0].Header().Ttl > 290
	})
	if n := wd.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

// The letters of the question come back as they were sent, or TCP tells who
// answered: a guesser does not know them.
func TestCapitals(t *testing.T) {
	var seen sync.Map
	guess := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		_, tcp := w.RemoteAddr().(*net.TCPAddr)
		seen.Store(m.Question[0].Name, true)
		a := new(dns.Msg).SetReply(m)
		ip := "192.0.2.66" // over UDP somebody guesses, and does not know the letters
		if tcp {
			ip = "192.0.2.9"
		} else {
			a.Question[0].Name = strings.ToLower(a.Question[0].Name)
		}
		a.Answer = []dns.RR{rr(a.Question[0].Name + " 300 IN A " + ip)}
		w.WriteMsg(a)
	})
	sv := serve(t, block, nil, guess.addr)
	if r := ask(t, sv, "udp", "abcdefghijklmnopqrstuvwxyz.example.", dns.TypeA, nil); len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "192.0.2.9") {
		t.Errorf("got %v", r)
	}
	if _, ok := seen.Load("abcdefghijklmnopqrstuvwxyz.example."); ok {
		t.Error("no capitals were sent")
	}
}

// A resolver that has sent a cookie always sends one: an answer without is another's.
func TestCookies(t *testing.T) {
	var forge, badOnce atomic.Bool
	var cookies sync.Map
	wd := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		var theirs string
		for _, o := range m.IsEdns0().Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				theirs = c.Cookie
				cookies.Store(c.Cookie, true)
			}
		}
		send := func(ip, cookie string) {
			a := new(dns.Msg).SetReply(m)
			a.Answer = []dns.RR{rr(m.Question[0].Name + " 300 IN A " + ip)}
			a.SetEdns0(1232, false)
			if cookie != "" {
				a.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
			}
			w.WriteMsg(a)
		}
		_, tcp := w.RemoteAddr().(*net.TCPAddr)
		if !tcp && badOnce.Swap(false) {
			a := new(dns.Msg).SetRcode(m, dns.RcodeBadCookie)
			a.SetEdns0(1232, false)
			a.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: theirs[:16] + "bbbbbbbbbbbbbbbb"}}
			w.WriteMsg(a)
			return
		}
		if !tcp && forge.Load() {
			send("192.0.2.66", "")
			send("192.0.2.67", "0102030405060708aaaaaaaaaaaaaaaa")
		}
		send("192.0.2.9", theirs[:16]+"aaaaaaaaaaaaaaaa")
	})
	sv := serve(t, block, nil, wd.addr)
	for i := range 4 {
		forge.Store(i > 0)
		badOnce.Store(i == 2)
		r := ask(t, sv, "udp", fmt.Sprintf("a%d.example.", i), dns.TypeA, edns)
		if len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "192.0.2.9") {
			t.Errorf("%d: got %v", i, r)
		}
		if len(r.IsEdns0().Option) != 0 {
			t.Errorf("%d: the resolver's cookie went to the asker", i)
		}
	}
	back := 0
	cookies.Range(func(k, _ any) bool {
		if len(k.(string)) == 32 {
			back++
		}
		return true
	})
	if back == 0 {
		t.Error("the server's cookie is not sent back")
	}
}

// DO, AD and CD go through both ways, and the answers of askers that differ in them
// are kept apart.
func TestDNSSEC_bits(t *testing.T) {
	var last atomic.Pointer[dns.Msg]
	wd := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		last.Store(m.Copy())
		a := new(dns.Msg).SetReply(m)
		a.AuthenticatedData = true
		a.Answer = []dns.RR{rr(m.Question[0].Name + " 300 IN A 192.0.2.9")}
		if o := m.IsEdns0(); o.Do() {
			a.Answer = append(a.Answer, rr(m.Question[0].Name+" 300 IN RRSIG A 8 2 300 20300101000000 20200101000000 1 example. AAAA"))
			a.SetEdns0(1232, true)
		}
		w.WriteMsg(a)
	})
	sv := serve(t, block, nil, wd.addr)
	for _, do := range []bool{false, true} {
		for _, ad := range []bool{false, true} {
			for _, cd := range []bool{false, true} {
				last.Store(nil)
				for range 2 {
					r := ask(t, sv, "udp", "a.example.", dns.TypeA, func(m *dns.Msg) {
						m.SetEdns0(1232, do)
						m.AuthenticatedData, m.CheckingDisabled = ad, cd
					})
					if r.AuthenticatedData != (ad || do) || r.CheckingDisabled != cd || r.IsEdns0().Do() != do || len(r.Answer) != 1+map[bool]int{true: 1}[do] {
						t.Errorf("DO %v AD %v CD %v: got %v", do, ad, cd, r)
					}
				}
				if m := last.Load(); m == nil || m.AuthenticatedData != ad || m.CheckingDisabled != cd || m.IsEdns0().Do() != do {
					t.Errorf("DO %v AD %v CD %v: the resolver got %v", do, ad, cd, m)
				}
			}
		}
	}
}

// certificate makes one for localhost's address, signed by itself.
func certificate(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dns.example"}, DNSNames: []string{"dns.example"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func dotWorld(t *testing.T, cert tls.Certificate, h dns.HandlerFunc) (addr string, conns *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int64)
	s := &dns.Server{Listener: tls.NewListener(counted{l, conns}, &tls.Config{Certificates: []tls.Certificate{cert}}), Handler: h}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return l.Addr().String(), conns
}

type counted struct {
	net.Listener
	n *atomic.Int64
}

func (c counted) Accept() (net.Conn, error) { c.n.Add(1); return c.Listener.Accept() }

func TestUpstream_TLS(t *testing.T) {
	cert, ca := certificate(t)
	var sizes sync.Map
	addr, conns := dotWorld(t, cert, func(w dns.ResponseWriter, m *dns.Msg) {
		b, _ := m.Pack()
		sizes.Store(len(b)%queryPadding, true)
		if strings.HasPrefix(strings.ToLower(m.Question[0].Name), "close.") {
			w.Close()
			return
		}
		plain(w, m)
	})
	sv := serve(t, block, func(c *Config) { c.UpstreamCA = ca }, "tls://"+addr+"#dns.example")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if r := ask(t, sv, "udp", fmt.Sprintf("a%d.%s.example.", i, strings.Repeat("x", 1+i)), dns.TypeA, nil); len(r.Answer) != 1 {
				t.Errorf("got %v", r)
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n != 2 { // the last accept waits
		t.Errorf("%d connections for 50 questions, want one", n-1)
	}
	sizes.Range(func(k, _ any) bool {
		if k != 0 {
			t.Errorf("a question of %v octets beyond a multiple of %d", k, queryPadding)
		}
		return true
	})
	ask(t, sv, "udp", "close.example.", dns.TypeA, nil)
	if r := ask(t, sv, "udp", "after.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("after a closed connection: got %v", r)
	}
	// Somebody else's certificate, or another name: no question leaves.
	other, _ := certificate(t)
	elsewhere, _ := dotWorld(t, other, func(w dns.ResponseWriter, m *dns.Msg) { t.Error("asked without a good certificate") })
	for _, u := range []string{"tls://" + elsewhere + "#dns.example", "tls://" + addr + "#other.example"} {
		bad := serve(t, block, func(c *Config) { c.UpstreamCA = ca }, u)
		if r := ask(t, bad, "udp", "a.example.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: got %v", u, r)
		}
	}
}

// Resolvers that send garbage, half a message, or a never-ending stream cost a
// SERVFAIL and nothing more.
func TestUpstream_hostile(t *testing.T) {
	for what, send := range map[string]func(q []byte) [][]byte{
		"nothing":          func([]byte) [][]byte { return nil },
		"empty":            func([]byte) [][]byte { return [][]byte{{}} },
		"the question":     func(q []byte) [][]byte { return [][]byte{q} },
		"half":             func(q []byte) [][]byte { q[2] |= 0x80; return [][]byte{q[:len(q)/2]} },
		"many wrong ids":   func(q []byte) [][]byte { q[0]++; q[2] |= 0x80; return slicesRepeat(q, 100) },
		"counts that lie":  func(q []byte) [][]byte { q[2] |= 0x80; q[7] = 200; return [][]byte{q} },
		"pointers in ring": func(q []byte) [][]byte { q[2] |= 0x80; q[7] = 1; q[12], q[13] = 0xc0, 12; return [][]byte{q} },
	} {
		t.Run(what, func(t *testing.T) {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			go func() {
				b := make([]byte, 4096)
				for {
					n, from, err := pc.ReadFrom(b)
					if err != nil {
						return
					}
					for _, m := range send(bytes.Clone(b[:n])) {
						pc.WriteTo(m, from)
					}
				}
			}()
			sv := serve(t, block, nil, pc.LocalAddr().String())
			if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure {
				t.Errorf("got %v", r)
			}
			// Blocked names are answered all the same.
			if r := ask(t, sv, "udp", "blocked.example.", dns.TypeA, nil); len(r.Answer) != 2 {
				t.Errorf("got %v", r)
			}
		})
	}
}

func slicesRepeat(b []byte, n int) (out [][]byte) {
	for range n {
		out = append(out, b)
	}
	return out
}

// TCP: several questions in one write get their answers, and a client
// that sends octet by octet, or ends in the middle, hurts nobody.
func TestTCP(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, plain).addr)
	c, err := net.Dial("tcp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []byte
	for i := range 20 {
		m := new(dns.Msg).SetQuestion([]string{"blocked.example.", "a.example."}[i%2], dns.TypeA)
		m.Id = uint16(i)
		b, _ := m.Pack()
		all = append(append(all, byte(len(b)>>8), byte(len(b))), b...)
	}
	for _, b := range all[:90] {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(all[90:]); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for i := range 20 {
		b, err := readMessage(c)
		if err != nil {
			t.Fatal(err)
		}
		r := new(dns.Msg)
		if err := r.Unpack(b); err != nil || len(r.Answer) != 2-int(r.Id)%2 || seen[r.Id] {
			t.Errorf("answer %d: got %v %v", i, r, err)
		}
		seen[r.Id] = true
	}
	for _, half := range [][]byte{{0}, {0, 12, 1, 2}, binary.BigEndian.AppendUint16(nil, 65535)} {
		h, err := net.Dial("tcp", sv.addr)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(half)
		h.Close()
	}
	if r := ask(t, sv, "tcp", "blocked.example.", dns.TypeA, nil); len(r.Answer) != 2 {
		t.Errorf("got %v", r)
	}
}

// FuzzOptions: cookies are read from whatever a resolver sends as another parser reads them.
func FuzzOptions(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	m.Response = true
	m.SetEdns0(1232, true)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708aaaaaaaaaaaaaaaa"}}
	b, _ := m.Pack()
	f.Add(b)
	own := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Question
		if len(b) < headerLen {
			return
		}
		pq, _ := new(dns.Msg).SetQuestion("a.example.", dns.TypeA).Pack()
		if q.parse(pq, 0) != good {
			t.Fatal("seed")
		}
		if _, _, _, err := keep(nil, b, binary.BigEndian.Uint16(b), question(&q)); err != nil {
			return
		}
		theirs, mine := cookieOf(b, own)
		isBadCookie(b)
		want := new(dns.Msg)
		if want.Unpack(b) != nil || want.IsEdns0() == nil {
			return
		}
		for _, o := range want.IsEdns0().Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				if has := strings.HasPrefix(c.Cookie, "0102030405060708"); mine && !has || mine && len(theirs) > 0 && c.Cookie[16:] != fmt.Sprintf("%x", theirs) {
					t.Errorf("got %x %v of %s", theirs, mine, c.Cookie)
				}
				break
			}
		}
	})
}

func TestRun_ends_open_connections(t *testing.T) {
	cert, ca := certificate(t)
	addr, _ := dotWorld(t, cert, plain)
	cfg := DefaultConfig()
	cfg.Upstream, cfg.UpstreamCA = []string{"tls://" + addr}, ca
	s, err := New(cfg, block, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	k, err := Listen(ctx, "127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx, nil, k) }()
	ask(t, served{addr: k.Addr().String()}, "udp", "a.example.", dns.TypeA, nil)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.up.list()[0].pipe.live.alive() {
		t.Error("the connection to the resolver is still open")
	}
}
