package dnsserve

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func ip16(s string) [16]byte { return netip.MustParseAddr(s).As16() }

func TestLimiter(t *testing.T) {
	exempt, err := newACL([]string{"192.0.2.99/32"})
	if err != nil {
		t.Fatal(err)
	}
	const start = 1<<timeBits - 500_000 // the clock begins anew within the test
	l := newLimiter(10, exempt)
	for i := range 10 {
		if l.after(ip16("192.0.2.1"), false, start) != 0 {
			t.Fatalf("question %d of 10 is refused", i+1)
		}
	}
	if got := l.after(ip16("192.0.2.1"), false, start); got != 100_000 {
		t.Errorf("the eleventh is early by %d us, want 100,000", got)
	}
	if l.after(ip16("192.0.2.1"), false, start+99_999) == 0 || l.after(ip16("192.0.2.1"), false, start+100_000) != 0 || l.after(ip16("192.0.2.1"), false, start+100_001) == 0 {
		t.Error("a tenth of a second brings one question")
	}
	for range 10 {
		if l.after(ip16("192.0.2.1"), false, start+1_100_000) != 0 {
			t.Error("a second brings ten questions, although the clock began anew")
		}
	}
	for what, open := range map[string]bool{
		"another": l.after(ip16("192.0.2.2"), false, start+1_100_000) == 0,
		"stream":  l.after(ip16("192.0.2.1"), true, start+1_100_000) == 0,
	} {
		if !open {
			t.Errorf("%s is refused for what somebody else asked", what)
		}
	}
	for i := range 20 {
		if l.after(ip16("192.0.2.99"), false, start) != 0 {
			t.Fatal("an exempt client is refused")
		}
		if got := l.after(ip16("2001:db8:0:1::"+string(rune('a'+i%6))), false, start) == 0; got != (i < 10) {
			t.Errorf("question %d of an IPv6 /64: got %v", i, got)
		}
	}
	if l.after(ip16("2001:db8:0:2::a"), false, start) != 0 {
		t.Error("the next /64 is refused")
	}
	if off := newLimiter(0, nil); off.after(ip16("192.0.2.1"), false, start) != 0 {
		t.Error("no bound refuses")
	}
}

// The places decide as a list of all clients would.
func TestLimiter_decidesAsTheListOfAllClients(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rate := 1 + r.IntN(2000)
		l := newLimiter(rate, nil)
		paid := map[[16]byte]uint64{}
		now := r.Uint64N(1 << timeBits)
		for range 5000 {
			ip := [16]byte{10: 0xff, 11: 0xff, 15: byte(r.IntN(4))}
			now += r.Uint64N(2_000_000 / uint64(rate))
			due := max(paid[ip], now)
			want := due+l.step > now+l.burst
			if !want {
				paid[ip] = due + l.step
			}
			if got := l.after(ip, false, now) > 0; got != want {
				t.Fatalf("%d a second: got refused %v, want %v", rate, got, want)
			}
		}
	}
}

// A million forged addresses do not drive out the client that asks too often.
func TestLimiter_forgedAddresses(t *testing.T) {
	l := newLimiter(1000, nil)
	heavy := ip16("192.0.2.1")
	answered := 0
	for i := range 1_000_000 {
		now := uint64(i) // a second
		l.after([16]byte{0: 0x20, 1: 1, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i)}, false, now)
		if i%10 == 0 && l.after(heavy, false, now) == 0 {
			answered++
		}
	}
	if answered > 2000 {
		t.Errorf("%d of 100,000 questions answered, want 2,000", answered)
	}
}

// Who asks too often over UDP gets half of the rest as TC and nothing for the other
// half; over TCP each question is answered when it is due; over HTTPS it is 429.
func TestClientRate(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); c.ClientRate, c.ClientRateExempt = 50, nil }, newWorld(t, plain).addr)
	begun := time.Now()
	c, err := net.Dial("udp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA)
	edns(m)
	q, _ := m.Pack()
	total := func() (n uint64) {
		for i := range sv.s.stats.udp {
			n += sv.s.stats.udp[i].Load()
		}
		return n
	}
	for i := range 400 {
		c.Write(q)
		until(t, "a question is lost", func() bool { return total() > uint64(i) })
	}
	most := 50 + int(time.Since(begun)*50/time.Second) + 1
	got := sv.s.stats.udp[byPolicy].Load()
	if got < 50 || int(got) > most {
		t.Errorf("%d answered in full, want 50 to %d", got, most)
	}
	if silent, cut := sv.s.stats.udp[limited].Load(), sv.s.stats.udp[slipped].Load(); silent+cut+got != 400 || silent < cut-1 || silent > cut+1 {
		t.Errorf("%d got nothing, %d were cut, %d answered", silent, cut, got)
	}
	buf := make([]byte, 4096)
	full, cut := 0, 0
	for range int(got + sv.s.stats.udp[slipped].Load()) {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		r := new(dns.Msg)
		if err := r.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Truncated && len(r.Answer) == 0 && r.Rcode == 0 && n <= len(q):
			cut++
		case len(r.Answer) == 2:
			full++
		default:
			t.Errorf("got %v in %d octets", r, n)
		}
	}
	if full != int(got) || cut == 0 {
		t.Errorf("%d whole answers, %d cut ones", full, cut)
	}

	tcp, err := net.Dial("tcp", sv.addr) // where TC leads to
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for range 60 {
		tcp.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
	}
	for i := range 60 {
		if _, err := readMessage(tcp); err != nil {
			t.Fatalf("answer %d over TCP: %v", i, err)
		}
	}
	if sv.s.stats.delayed.Load() == 0 {
		t.Error("nothing waited over TCP")
	}

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	until(t, "HTTPS is never refused", func() bool {
		r, err := client.Get("https://" + sv.doh + dohPath + "?dns=" + base64.RawURLEncoding.EncodeToString(q))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return r.StatusCode == http.StatusTooManyRequests
	})
}

// A flood of names below one domain whose servers are silent leaves room for all
// others.
func TestZoneInFlight(t *testing.T) {
	sv := serve(t, block, func(c *Config) {
		c.InFlight, c.ZoneInFlight = 20, 10
		c.Timeout, c.TryTimeout = Duration(time.Minute), Duration(time.Minute)
	}, newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if !strings.HasSuffix(strings.ToLower(m.Question[0].Name), ".victim.co.uk.") {
			plain(w, m)
		}
	}).addr)
	c, err := net.Dial("udp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 50 {
		m := new(dns.Msg).SetQuestion(strings.Repeat("x", i+1)+".a.victim.co.uk.", dns.TypeA)
		b, _ := m.Pack()
		c.Write(b)
	}
	until(t, "the flood is not bounded", func() bool { return sv.s.stats.zoneFull.Load() == 40 && len(sv.s.up.places) == 10 })
	for _, name := range []string{"a.example.", "other.co.uk.", "victim.com."} {
		if r := ask(t, sv, "udp", name, dns.TypeA, nil); len(r.Answer) != 1 {
			t.Errorf("%s: got %v", name, r)
		}
	}
	if r := ask(t, sv, "tcp", "y.victim.co.uk.", dns.TypeA, nil); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v", r)
	}
}

// Places of a zone are given back.
func TestZoneInFlight_isGivenBack(t *testing.T) {
	sv := serve(t, block, func(c *Config) { c.ZoneInFlight = 1 }, newWorld(t, echo).addr)
	for _, name := range []string{"a.example.", "nx.example.", "fail.example.", "b.example.", "zero.example."} {
		for _, network := range []string{"udp", "tcp"} {
			ask(t, sv, network, name, dns.TypeA, nil)
			until(t, name+" keeps its place", func() bool {
				sv.s.up.mu.Lock()
				defer sv.s.up.mu.Unlock()
				return len(sv.s.up.zones) == 0 && len(sv.s.up.places) == 0
			})
		}
	}
	if n := sv.s.stats.full.Load(); n != 0 {
		t.Errorf("%d questions found no place", n)
	}
}

func TestZoneOf(t *testing.T) {
	for name, want := range map[string]string{
		".": ".", "com.": "com.", "example.com.": "example.com.", "a.b.example.com.": "example.com.",
		"co.uk.": "co.uk.", "x.example.co.uk.": "example.co.uk.",
		"x.tenant.github.io.":                      "github.io.", // one company's servers
		"x.d1.cloudfront.net.":                     "cloudfront.net.",
		"a.b.c.unheard.":                           "c.unheard.",
		`x.with\.dot.com.`:                         `with\.dot.com.`,
		"1.2.0.192.in-addr.arpa.":                  "192.in-addr.arpa.",
		"_dns.resolver.arpa.":                      "resolver.arpa.",
		strings.Repeat("a.", 120) + "example.com.": "example.com.",
	} {
		pack := func(s string) string {
			b := make([]byte, 256)
			n, err := dns.PackDomainName(s, b, 0, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:n])
		}
		if got := string(zoneOf([]byte(pack(name)))); got != pack(want) {
			t.Errorf("%s: got %q, want %q", name, got, pack(want))
		}
	}
}

// FuzzZone: the zone of any name that can be asked is its end, at a label.
func FuzzZone(f *testing.F) {
	for _, name := range []string{".", "com.", "a.b.co.uk.", "x.tenant.github.io.", "a.b.kawasaki.jp."} {
		b, _ := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
		f.Add(b[headerLen:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Question
		if q.parse(append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, b...), 0) != good {
			return
		}
		zone := zoneOf(q.Name)
		at := 0
		for at < len(q.Name)-len(zone) {
			at += 1 + int(q.Name[at])
		}
		if string(q.Name[at:]) != string(zone) {
			t.Fatalf("%x: the zone %x is no end of it", q.Name, zone)
		}
	})
}

func TestLimiter_allocatesNothing(t *testing.T) {
	l := newLimiter(100, nil)
	ip, now := ip16("192.0.2.1"), uint64(0)
	if a := testing.AllocsPerRun(1000, func() { ip[14]++; now++; l.after(ip, false, now) }); a != 0 {
		t.Errorf("got %v allocations, want 0", a)
	}
}

// BenchmarkLimiter is what the bound costs each question: of one client, and of many that
// stay below it.
func BenchmarkLimiter(b *testing.B) {
	for name, clients := range map[string]int{"1": 1, "20,000": 20_000} {
		b.Run(name, func(b *testing.B) {
			l := newLimiter(100_000, nil)
			ip, i, now := ip16("192.0.2.1"), 0, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				if i++; i == clients {
					i = 0
				}
				now += 20
				binary.BigEndian.PutUint32(ip[12:], uint32(i)*2654435761)
				l.after(ip, false, now)
			}
		})
	}
}

// A client over TCP that waits for its turn does not hold up the end.
func TestClientRate_ends(t *testing.T) {
	l := newLimiter(1, nil)
	l.step, l.burst = 1<<38, 0
	s := &Server{}
	s.live.Store(&live{limit: l})
	ctx, stop := context.WithCancel(context.Background())
	stop()
	s.pace(ctx, ip16("192.0.2.1")) // the first is answered
	if s.pace(ctx, ip16("192.0.2.1")) {
		t.Error("it waits on")
	}
}
