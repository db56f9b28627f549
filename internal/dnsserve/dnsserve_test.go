package dnsserve

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// world is a resolver of our own on loopback.
type world struct {
	addr  string
	asked atomic.Int64
}

func newWorld(t testing.TB, h func(w dns.ResponseWriter, m *dns.Msg)) *world {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	var err error
	for range 20 { // the other half of a free port may be somebody's
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			break
		}
		l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	wd := &world{addr: pc.LocalAddr().String()}
	f := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { wd.asked.Add(1); h(w, m) })
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: f}, {Listener: l, Handler: f}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return wd
}

func rr(s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil {
		panic(err)
	}
	return r
}

// echo answers by the first label of the name.
func echo(w dns.ResponseWriter, m *dns.Msg) {
	a := new(dns.Msg).SetReply(m)
	a.RecursionAvailable = true
	q := m.Question[0]
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	soa := rr("example. 300 IN SOA ns.example. root.example. 1 2 3 4 60")
	switch label, _, _ := strings.Cut(strings.ToLower(q.Name), "."); label {
	case "nx":
		a.Rcode, a.Ns = dns.RcodeNameError, []dns.RR{soa}
	case "nodata":
		a.Ns = []dns.RR{soa}
	case "zero":
		a.Answer = []dns.RR{rr(q.Name + " 0 IN A 192.0.2.7")}
	case "signed":
		a.AuthenticatedData = true
		a.Answer = []dns.RR{rr(q.Name + " 300 IN A 192.0.2.8")}
	case "big":
		if !tcp {
			a.Truncated = true
			break
		}
		for i := range 100 {
			a.Answer = append(a.Answer, rr(fmt.Sprintf("%s 300 IN A 192.0.2.%d", q.Name, i)))
		}
	case "wrong":
		a.Id++
	case "other":
		a.Question[0].Name = "evil.example."
	case "fail":
		a.Rcode = dns.RcodeServerFailure
	case "silent":
		return
	default:
		a.Answer = []dns.RR{rr(q.Name + " 300 IN CNAME alias.example."), rr("alias.example. 200 IN A 192.0.2.9")}
		a.Extra = []dns.RR{rr("ns.example. 300 IN A 192.0.2.10")}
	}
	if o := m.IsEdns0(); o != nil {
		a.SetEdns0(1232, o.Do())
		if strings.EqualFold(q.Name, "ede.example.") {
			a.IsEdns0().Option = append(a.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}, &dns.EDNS0_EDE{InfoCode: 3, ExtraText: "stale"})
		}
	}
	w.WriteMsg(a)
}

var warn = []byte{192, 0, 2, 1, 192, 0, 2, 2}

// block answers for everything under blocked.example.
func block(q *Question) (Answer, bool) {
	const zone = "\x07blocked\x07example\x00"
	at := 0
	for len(q.Name)-at > len(zone) { // by labels: a label may hold the octets of another
		at += 1 + int(q.Name[at])
	}
	if string(q.Name[at:]) != zone {
		return Answer{}, false
	}
	a := Answer{TTL: 60, Zone: len(q.Name) - len(zone), EDE: 4, Text: append(q.Scratch, "B-1"...)}
	switch q.Type {
	case TypeA:
		a.Addrs = warn
	case TypeTXT:
		a.Rcode, a.EDE = NXDomain, 15
	}
	return a, true
}

type served struct {
	addr, dot, doh, doq string
	s                   *Server
	reg                 *prometheus.Registry
}

func serve(t testing.TB, p Policy, change func(*Config), upstream ...string) served {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Upstream = upstream
	cfg.TryTimeout, cfg.Timeout = Duration(150*time.Millisecond), Duration(time.Second)
	if change != nil {
		change(&cfg)
	}
	reg := prometheus.NewRegistry()
	s, err := New(cfg, p, nil, reg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k, err := Listen(ctx, "127.0.0.1:0", cfg.WorkerCount())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ListenEncrypted(ctx, cfg.Encrypted)
	if err != nil {
		t.Fatal(err)
	}
	sv := served{addr: k.Addr().String(), s: s, reg: reg}
	if d.tls != nil {
		sv.dot, sv.doh = d.tls.Addr().String(), d.https.Addr().String()
	}
	if d.quic != nil {
		sv.doq = d.quic.LocalAddr().String()
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, d, k) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not return")
		}
	})
	return sv
}

func ask(t *testing.T, sv served, network, name string, typ uint16, change func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, typ)
	if change != nil {
		change(m)
	}
	r, _, err := (&dns.Client{Net: network, Timeout: 3 * time.Second}).Exchange(m, sv.addr)
	if err != nil {
		t.Fatalf("%s %s: %v", network, name, err)
	}
	return r
}

// question is the question section as a resolver gets it.
func question(q *Question) []byte {
	return append(append([]byte(nil), q.Name...), byte(q.Type>>8), byte(q.Type), 0, ClassIN)
}

func edns(m *dns.Msg) { m.SetEdns0(1232, true) }

func TestPolicy(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, echo).addr)
	for _, network := range []string{"udp", "tcp"} {
		r := ask(t, sv, network, "WwW.Blocked.example.", dns.TypeA, edns)
		if len(r.Answer) != 2 || r.Answer[0].String() != "WwW.Blocked.example.\t60\tIN\tA\t192.0.2.1" {
			t.Errorf("%s: got %v", network, r)
		}
		if r.AuthenticatedData || r.Authoritative || !r.RecursionAvailable || r.Question[0].Name != "WwW.Blocked.example." {
			t.Errorf("%s: got header %v", network, r)
		}
		if e := r.IsEdns0().Option[0].(*dns.EDNS0_EDE); e.InfoCode != 4 || e.ExtraText != "B-1" || !r.IsEdns0().Do() {
			t.Errorf("%s: got %v", network, r.IsEdns0())
		}
		r = ask(t, sv, network, "x.blocked.example.", dns.TypeHTTPS, nil)
		if r.Rcode != 0 || len(r.Answer) != 0 || r.Ns[0].String() != "blocked.example.\t60\tIN\tSOA\tblocked.example. . 1 3600 600 86400 60" || r.IsEdns0() != nil {
			t.Errorf("%s: got %v", network, r)
		}
		r = ask(t, sv, network, "blocked.example.", dns.TypeTXT, nil)
		if r.Rcode != dns.RcodeNameError || r.Ns[0].Header().Name != "blocked.example." {
			t.Errorf("%s: got %v", network, r)
		}
	}
}

// A new block acts on the next question though its answer is in the cache, and so
// does a withdrawal.
func TestPolicy_comes_before_the_cache(t *testing.T) {
	var on atomic.Bool
	sv := serve(t, func(q *Question) (Answer, bool) { return Answer{Rcode: NXDomain, TTL: 60}, on.Load() }, nil, newWorld(t, echo).addr)
	for i := range 4 {
		on.Store(i%2 == 1)
		if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); (r.Rcode == dns.RcodeNameError) != on.Load() {
			t.Errorf("blocked %v: got %v", on.Load(), r)
		}
	}
}

func TestForward(t *testing.T) {
	wd := newWorld(t, echo)
	sv := serve(t, block, nil, wd.addr)
	for _, c := range []struct {
		name        string
		change      func(*dns.Msg)
		rcode, n    int
		afterSecond int64 // questions at the resolver after the second asking
	}{
		{"a.example.", nil, 0, 2, 1},
		{"A.Example.", nil, 0, 2, 0},
		{"a.example.", edns, 0, 2, 1},
		{"nx.example.", nil, dns.RcodeNameError, 0, 1},
		{"nodata.example.", nil, 0, 0, 1},
		{"zero.example.", nil, 0, 1, 2},
		{"wrong.example.", nil, dns.RcodeServerFailure, 0, -1},
		{"other.example.", nil, dns.RcodeServerFailure, 0, -1},
		{"silent.example.", nil, dns.RcodeServerFailure, 0, -1},
		{"fail.example.", nil, dns.RcodeServerFailure, 0, -1},
		{"big.example.", nil, 0, 0, 2}, // udp and tcp once; then from the cache
	} {
		before := wd.asked.Load()
		for range 2 {
			r := ask(t, sv, "udp", c.name, dns.TypeA, c.change)
			if r.Rcode != c.rcode || len(r.Answer) != c.n || r.Question[0].Name != c.name {
				t.Errorf("%s: got %v", c.name, r)
			}
			if (r.IsEdns0() != nil) != (c.change != nil) {
				t.Errorf("%s: got OPT %v", c.name, r.IsEdns0())
			}
			if strings.HasPrefix(c.name, "big") && !r.Truncated {
				t.Errorf("%s: not truncated", c.name)
			}
		}
		if got := wd.asked.Load() - before; c.afterSecond >= 0 && got != c.afterSecond {
			t.Errorf("%s: the resolver was asked %d times, want %d", c.name, got, c.afterSecond)
		}
	}
	if r := ask(t, sv, "tcp", "big.example.", dns.TypeA, nil); len(r.Answer) != 100 || r.Truncated {
		t.Errorf("over TCP: got %d answers", len(r.Answer))
	}
	if r := ask(t, sv, "udp", "ede.example.", dns.TypeA, edns); len(r.IsEdns0().Option) != 1 || r.IsEdns0().Option[0].(*dns.EDNS0_EDE).InfoCode != 3 {
		t.Errorf("got options %v, want the resolver's extended error and no cookie", r.IsEdns0().Option)
	}
	// AD only for those who know it (RFC 6840 section 5.8).
	if r := ask(t, sv, "udp", "signed.example.", dns.TypeA, nil); r.AuthenticatedData {
		t.Error("AD for an asker that does not know it")
	}
	if r := ask(t, sv, "udp", "signed.example.", dns.TypeA, edns); !r.AuthenticatedData {
		t.Error("no AD for an asker with DO")
	}
}

// TTLs fall with the time in the cache, and the shortest one ends it.
func TestCache_ages(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	s, _ := New(cfg, block, nil, nil, nil)
	w, out := s.worker(0), make([]byte, maxUDP)
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	msg, _ := m.Pack()
	r := new(dns.Msg).SetReply(m)
	r.Answer = []dns.RR{rr("a.example. 300 IN CNAME b.example."), rr("b.example. 200 IN A 192.0.2.9")}
	reply, _ := r.Pack()
	w.q.parse(msg, 0)
	kept, ttl, _, err := keep(nil, reply, m.Id, question(&w.q))
	if err != nil || ttl != 200 {
		t.Fatalf("got TTL %d, %v", ttl, err)
	}
	s.cache.put(w.q.cacheKey(nil), kept, 1000, ttl, 0)
	n, _ := w.handle(out, msg, true, 0, 1050)
	got := new(dns.Msg)
	if err := got.Unpack(out[:n]); err != nil || got.Answer[0].Header().Ttl != 250 || got.Answer[1].Header().Ttl != 150 {
		t.Errorf("got %v %v, want 50 s less", got, err)
	}
	if _, forward := w.handle(out, msg, true, 0, 1200); !forward {
		t.Error("answered from the cache after its time")
	}
}

// An address whose TCP port somebody else has is an error, not a crash.
func TestListen_on_a_port_that_is_taken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if k, err := Listen(t.Context(), l.Addr().String(), 2); err == nil {
		k.Close()
		t.Error("it listens where another does")
	}
}

func TestUpstream_falls_to_the_next(t *testing.T) {
	dead, _ := net.ListenPacket("udp", "127.0.0.1:0") // takes questions, never answers
	defer dead.Close()
	failing := newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
	})
	sv := serve(t, block, nil, dead.LocalAddr().String(), failing.addr, newWorld(t, echo).addr)
	for i := range 5 {
		if r := ask(t, sv, "udp", fmt.Sprintf("a%d.example.", i), dns.TypeA, nil); len(r.Answer) != 2 {
			t.Errorf("got %v", r)
		}
	}
	if sv.s.up.order()[0].addr == dead.LocalAddr().String() {
		t.Error("the dead resolver is still asked first")
	}
}

func TestRefusals(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, echo).addr)
	for _, c := range []struct {
		what   string
		name   string
		typ    uint16
		change func(*dns.Msg)
		rcode  int
	}{
		{"version.bind", "version.bind.", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		{"transfer", "a.example.", dns.TypeAXFR, nil, dns.RcodeRefused},
		{"notify", "a.example.", dns.TypeSOA, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		{"two questions", "a.example.", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		{"two OPT", "a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, false); m.Extra = append(m.Extra, m.Extra[0]) }, dns.RcodeFormatError},
		{"EDNS version 1", "a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, false); m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		{"EDNS version 1, blocked name", "blocked.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(512, false); m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
	} {
		if r := ask(t, sv, "udp", c.name, c.typ, c.change); r.Rcode != c.rcode {
			t.Errorf("%s: got %s", c.what, dns.RcodeToString[r.Rcode])
		}
	}
	stranger := serve(t, block, func(c *Config) { c.Allow = []string{"192.0.2.0/24"} }, "127.0.0.1:1")
	for _, network := range []string{"udp", "tcp"} {
		if r := ask(t, stranger, network, "blocked.example.", dns.TypeA, nil); r.Rcode != dns.RcodeRefused {
			t.Errorf("a stranger over %s: got %v", network, r)
		}
	}
}

func TestSilence(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, echo).addr)
	c, _ := net.Dial("udp", sv.addr)
	defer c.Close()
	good, _ := new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA).Pack()
	answer := append([]byte(nil), good...)
	answer[2] |= 0x80
	for _, m := range [][]byte{{}, {1}, good[:11], answer} {
		c.Write(m)
	}
	c.Write(good)
	buf := make([]byte, 512)
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	n, err := c.Read(buf)
	if err != nil || n < 40 || buf[3]&0xf != 0 {
		t.Fatalf("got %x %v, want the answer to the only good question first", buf[:n], err)
	}
}

// Too many questions under way are told so at once, and nothing waits for ever.
func TestInFlight_has_a_bound(t *testing.T) {
	sv := serve(t, block, func(c *Config) {
		c.InFlight = 1
		c.Timeout, c.TryTimeout = Duration(time.Second), Duration(time.Second)
	}, newWorld(t, echo).addr)
	c, _ := net.Dial("udp", sv.addr)
	defer c.Close()
	m, _ := new(dns.Msg).SetQuestion("silent.example.", dns.TypeA).Pack()
	c.Write(m)
	deadline := time.Now().Add(3 * time.Second)
	for sv.s.stats.inFlight.Load() == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	if r := ask(t, sv, "udp", "b.example.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure || time.Since(start) > 500*time.Millisecond {
		t.Errorf("got %v after %v", r, time.Since(start))
	}
	for sv.s.stats.inFlight.Load() != 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
}

func TestWildcard_answers_from_the_address_that_was_asked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Upstream = []string{newWorld(t, echo).addr}
	s, _ := New(cfg, block, nil, nil, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	k, err := Listen(ctx, "0.0.0.0:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.Run(ctx, nil, k); close(done) }()
	defer func() { stop(); <-done }()
	for _, name := range []string{"blocked.example.", "a.example."} {
		r, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), fmt.Sprintf("127.0.0.9:%d", k.Addr().Port()))
		if err != nil || len(r.Answer) != 2 {
			t.Errorf("%s: got %v %v", name, r, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, echo).addr)
	ask(t, sv, "udp", "blocked.example.", dns.TypeA, nil)
	ask(t, sv, "udp", "blocked.example.", dns.TypeA, nil)
	if got := sv.s.stats.udp[byPolicy].Load(); got != 2 {
		t.Errorf("got %d answers by policy, want 2", got)
	}
	if fs, err := sv.reg.Gather(); err != nil || len(fs) != 15 {
		t.Errorf("got %d families, %v", len(fs), err)
	}
}

func TestHotPath_allocates_nothing(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	s, _ := New(cfg, block, nil, nil, nil)
	w, out := s.worker(0), make([]byte, maxUDP)
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	edns(m)
	cached, _ := m.Pack()
	r := new(dns.Msg).SetReply(m)
	r.Answer = []dns.RR{rr("a.example. 300 IN A 192.0.2.9")}
	reply, _ := r.Pack()
	w.q.parse(cached, 0)
	kept, ttl, _, err := keep(nil, reply, m.Id, question(&w.q))
	if err != nil {
		t.Fatal(err)
	}
	s.cache.put(w.q.cacheKey(nil), kept, 0, ttl, 0)
	m.Question[0].Name = "www.blocked.example."
	blocked, _ := m.Pack()
	for _, msg := range [][]byte{cached, blocked} {
		if a := testing.AllocsPerRun(100, func() {
			if n, fwd := w.handle(out, msg, true, 0, 1); n == 0 || fwd {
				t.Fatal("not answered")
			}
		}); a != 0 {
			t.Errorf("got %v allocations, want 0", a)
		}
	}
}

func TestACL(t *testing.T) {
	a, err := newACL([]string{"192.0.2.0/25", "192.0.2.64/26", "198.51.100.7/32", "2001:db8::/32"})
	if err != nil || len(a) != 3 {
		t.Fatalf("got %v %v", a, err)
	}
	for ip, want := range map[string]bool{"192.0.2.127": true, "192.0.2.128": false, "198.51.100.7": true, "198.51.100.8": false, "2001:db8:ffff::1": true, "2001:db9::": false, "0.0.0.0": false} {
		if got := a.has([16]byte(net.ParseIP(ip).To16())); got != want {
			t.Errorf("%s: got %v", ip, got)
		}
	}
	if _, err := newACL([]string{"192.0.2.1"}); err == nil {
		t.Error("a bare address is taken for a prefix")
	}
}

func TestCache_keeps_its_size(t *testing.T) {
	c := newCache(64 << 10)
	kept := make([]byte, 100)
	key := make([]byte, 30)
	hits := 0
	for i := range 5000 {
		binary.BigEndian.PutUint32(key, uint32(i))
		binary.BigEndian.PutUint32(kept, uint32(i))
		c.put(key, kept, 0, 60, 0)
		if got := c.get(nil, key, 1).kept; got != nil {
			hits++
			if binary.BigEndian.Uint32(got) != uint32(i) {
				t.Fatalf("entry %d: another's reply", i)
			}
		}
	}
	if hits != 5000 {
		t.Errorf("got %d of 5000 right after they were put", hits)
	}
	old := 0
	for i := range 5000 {
		binary.BigEndian.PutUint32(key, uint32(i))
		if got := c.get(nil, key, 1).kept; got != nil {
			old++
			if binary.BigEndian.Uint32(got) != uint32(i) {
				t.Fatalf("entry %d: another's reply", i)
			}
		}
	}
	if old < 100 || old > 500 {
		t.Errorf("got %d entries in 64 KiB", old)
	}
}

// FuzzQuestion holds our parser against miekg/dns.
func FuzzQuestion(f *testing.F) {
	for _, c := range []func(m *dns.Msg){
		func(m *dns.Msg) {}, edns, func(m *dns.Msg) { m.Question = nil }, func(m *dns.Msg) { m.SetTsig("k.", "hmac-sha256.", 300, 0) },
		func(m *dns.Msg) { edns(m); m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{}} },
	} {
		m := new(dns.Msg).SetQuestion("wWw.blocked.example.", dns.TypeA)
		c(m)
		b, _ := m.Pack()
		f.Add(b)
	}
	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	s, _ := New(cfg, block, nil, nil, nil)
	w, out := s.worker(0), make([]byte, maxUDP)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _ := w.handle(out, b, true, 0, 1)
		if n > 0 {
			if err := new(dns.Msg).Unpack(out[:n]); err != nil {
				t.Errorf("our answer %x to %x: %v", out[:n], b, err)
			}
		}
		if len(b) > 12 && n > 0 && !w.q.EDNS && n > 512 {
			t.Errorf("%d octets without EDNS", n)
		}
		q := &w.q
		if q.parse(b, 0) != good {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			// It looks into the contents of options and records that we skip.
			if len(b) == q.end {
				t.Errorf("taken, but %v: %x", err, b)
			}
			return
		}
		name, err := packName(m.Question[0].Name)
		if err != nil || string(name) != string(q.Name) || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class {
			t.Errorf("got %q %d %d, want %v", q.Name, q.Type, q.Class, m.Question[0])
		}
		if o := m.IsEdns0(); (o != nil) != q.EDNS || o != nil && (o.Do() != q.DO || o.Version() != 0) {
			t.Errorf("got EDNS %v DO %v, want %v", q.EDNS, q.DO, o)
		}
		if m.RecursionDesired != q.rd || m.CheckingDisabled != q.cd || m.AuthenticatedData != q.ad {
			t.Errorf("flags of %x", b)
		}
	})
}

func packName(s string) ([]byte, error) {
	b := make([]byte, 260)
	n, err := dns.PackDomainName(s, b, 0, nil, false)
	b = b[:n]
	for i := range b {
		if b[i]-'A' < 26 {
			b[i] |= 0x20
		}
	}
	return b, err
}

// FuzzReply: whatever a resolver sends, what we pass on can be read and says the
// same.
func FuzzReply(f *testing.F) {
	query := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	query.Id = 7
	edns(query)
	pq, _ := query.Pack()
	r := new(dns.Msg).SetReply(query)
	r.Answer = []dns.RR{rr("a.example. 300 IN CNAME b.example."), rr("b.example. 300 IN A 192.0.2.9")}
	r.Ns = []dns.RR{rr("example. 300 IN SOA ns.example. root.example. 1 2 3 4 60")}
	r.SetEdns0(1232, true)
	r.Compress = true
	pr, _ := r.Pack()
	f.Add(pr)
	out := make([]byte, maxReply)
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Question
		if q.parse(pq, 0) != good {
			t.Fatal("seed")
		}
		kept, ttl, _, err := keep(nil, b, 7, question(&q))
		if err != nil {
			return
		}
		// Our header is another one, with counts of its own: what points a name at a
		// header's octets says something else under it.
		for i := headerLen; i+1 < len(b); i++ {
			if b[i] == 0xc0 && b[i+1] < headerLen {
				return
			}
		}
		n := q.reply(out, maxReply, kept, 0, false)
		want, got := new(dns.Msg), new(dns.Msg)
		if want.Unpack(b) != nil {
			return // records inside may be bad: the asker is told what the resolver said
		}
		for _, r := range append(append(want.Answer, want.Ns...), want.Extra...) {
			if r.Header().Ttl >= 1<<31 {
				return // set to 0, and a name may be a pointer at these octets
			}
		}
		if err := got.Unpack(out[:n]); err != nil {
			t.Fatalf("from %x we made %x: %v", b, out[:n], err)
		}
		if !got.Truncated && (len(got.Answer) != len(want.Answer) || len(got.Ns) != len(want.Ns)) {
			t.Errorf("got %v, want %v", got, want)
		}
		for i, a := range got.Answer {
			if w := want.Answer[i].Header().Ttl; a.Header().Ttl != w || ttl > w {
				t.Errorf("TTL %d, to live %d, from %d", a.Header().Ttl, ttl, w)
			}
		}
	})
}

// BenchmarkHandle is what a question costs without the kernel.
func BenchmarkHandle(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	s, _ := New(cfg, block, nil, nil, nil)
	w, out := s.worker(0), make([]byte, maxUDP)
	m := new(dns.Msg).SetQuestion("host.allowed.example.", dns.TypeA)
	cached, _ := m.Pack()
	r := new(dns.Msg).SetReply(m)
	r.Answer = []dns.RR{rr("host.allowed.example. 300 IN A 192.0.2.9")}
	reply, _ := r.Pack()
	w.q.parse(cached, 0)
	kept, ttl, _, _ := keep(nil, reply, m.Id, question(&w.q))
	s.cache.put(w.q.cacheKey(nil), kept, 0, ttl, 0)
	m.Question[0].Name = "www.blocked.example."
	blocked, _ := m.Pack()
	for name, msg := range map[string][]byte{"blocked": blocked, "cached": cached} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.handle(out, msg, true, 0, 1)
			}
		})
	}
}
