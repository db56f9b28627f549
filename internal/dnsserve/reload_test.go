package dnsserve

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// changed is the server's configuration with a change.
func changed(sv served, change func(*Config)) Config {
	c := sv.s.cfg
	c.Upstream = []string{sv.s.up.list()[0].named}
	change(&c)
	return c
}

// Who may ask changes for the next question, on open connections too.
func TestReload_allow(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, plain).addr)
	c, err := (&dns.Client{Net: "tcp"}).Dial(sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	overTCP := func() int {
		t.Helper()
		if err := c.WriteMsg(new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		return r.Rcode
	}
	if got := overTCP(); got != dns.RcodeSuccess {
		t.Fatalf("got %d", got)
	}
	if restart, err := sv.s.Reload(changed(sv, func(c *Config) { c.Allow = []string{"192.0.2.0/24"} })); err != nil || len(restart) > 0 {
		t.Fatalf("got %v %v", restart, err)
	}
	if got := overTCP(); got != dns.RcodeRefused {
		t.Errorf("an open connection: got %d", got)
	}
	if r := ask(t, sv, "udp", "blocked.example.", dns.TypeA, nil); r.Rcode != dns.RcodeRefused {
		t.Errorf("got %v", r)
	}
}

// While resolvers and bounds change again and again, each question has its answer; one
// that is under way at a resolver which is gone gets it from there.
func TestReload_losesNoQuestion(t *testing.T) {
	release := make(chan struct{})
	cert, ca := certificate(t)
	slow := func(w dns.ResponseWriter, m *dns.Msg) {
		if strings.HasPrefix(strings.ToLower(m.Question[0].Name), "slow.") {
			<-release
		}
		plain(w, m)
	}
	first, _ := dotWorld(t, cert, slow)
	second := newWorld(t, plain).addr
	sv := serve(t, block, func(c *Config) {
		c.UpstreamCA, c.CacheBytes = ca, 0
		c.TryTimeout, c.Timeout = Duration(time.Minute), Duration(time.Minute)
	}, "tls://"+first+"#dns.example")
	c, err := net.Dial("udp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := new(dns.Msg).SetQuestion("slow.example.", dns.TypeA)
	b, _ := m.Pack()
	c.Write(b)
	until(t, "the question does not leave", func() bool { return sv.s.stats.inFlight.Load() == 1 })
	asks := sv.s.stats.tries.Load()
	until(t, "the question does not leave", func() bool { return sv.s.stats.tries.Load() >= asks })

	stop := make(chan struct{})
	var wg sync.WaitGroup
	asked := make([]int, 4)
	for i := range asked {
		wg.Go(func() {
			k := &dns.Client{Net: []string{"udp", "tcp"}[i%2], Timeout: time.Minute}
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, _, err := k.Exchange(new(dns.Msg).SetQuestion("a.example.", dns.TypeA), sv.addr)
				if err != nil || len(r.Answer) != 1 {
					t.Errorf("got %v %v", r, err)
					return
				}
				asked[i]++
			}
		})
	}
	for i := range 60 {
		if restart, err := sv.s.Reload(changed(sv, func(c *Config) {
			c.Upstream = []string{[]string{second, "tls://" + first + "#dns.example"}[i%2]}
			c.ClientRateExempt = append(slices.Clone(c.ClientRateExempt), "192.0.2.0/24")[:2+i%2]
			c.ZoneInFlight = 100 + i
		})); err != nil || len(restart) > 0 {
			t.Fatalf("got %v %v", restart, err)
		}
		time.Sleep(time.Millisecond) // a change of hands for those who ask
	}
	close(stop)
	wg.Wait()
	close(release)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	r := new(dns.Msg)
	if err := r.Unpack(buf[:n]); err != nil || len(r.Answer) != 1 {
		t.Errorf("under way: got %v %v", r, err)
	}
	if slices.Contains(asked, 0) {
		t.Errorf("asked %v", asked)
	}
}

// What cannot change without a restart is named; what is wrong changes nothing.
func TestReload_saysWhatItCannot(t *testing.T) {
	sv := serve(t, block, nil, newWorld(t, plain).addr)
	before := sv.s.up.list()[0]
	restart, err := sv.s.Reload(changed(sv, func(c *Config) {
		c.CacheBytes, c.Workers, c.ListenTLS, c.ClientRate = 1<<20, 7, "127.0.0.1:853", 5
		c.CertFile, c.KeyFile = "c", "k"
	}))
	slices.Sort(restart)
	if err != nil || !slices.Equal(restart, []string{"cache_bytes", "cert_file", "key_file", "listen_tls", "workers"}) {
		t.Errorf("got %v %v", restart, err)
	}
	if sv.s.up.list()[0] != before {
		t.Error("a resolver that stays lost what is known of it")
	}
	limit := sv.s.live.Load().limit
	for what, change := range map[string]func(*Config){
		"no resolver":      func(c *Config) { c.Upstream = nil },
		"a prefix":         func(c *Config) { c.Allow = []string{"192.0.2.1"} },
		"an exempt prefix": func(c *Config) { c.ClientRateExempt = []string{"x"} },
		"no such file":     func(c *Config) { c.UpstreamCA = "/none" },
		"no certificate":   func(c *Config) { c.UpstreamCA = "reload_test.go" },
	} {
		if _, err := sv.s.Reload(changed(sv, change)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if sv.s.up.list()[0] != before || sv.s.live.Load().limit != limit {
		t.Error("what is wrong changed something")
	}
	if r := ask(t, sv, "udp", "a.example.", dns.TypeA, nil); len(r.Answer) != 1 {
		t.Errorf("got %v", r)
	}
}

// A resolver that is not named any more is closed once nobody can wait for it, and
// its figures are gone.
func TestReload_closesWhatIsGone(t *testing.T) {
	cert, ca := certificate(t)
	first, _ := dotWorld(t, cert, plain)
	sv := serve(t, block, func(c *Config) { c.UpstreamCA = ca }, "tls://"+first+"#dns.example")
	ask(t, sv, "udp", "a.example.", dns.TypeA, nil)
	old := sv.s.up.list()[0]
	old.pipe.mu.Lock()
	conn := old.pipe.live
	old.pipe.mu.Unlock()
	if _, err := sv.s.Reload(changed(sv, func(c *Config) { c.Upstream = []string{newWorld(t, plain).addr} })); err != nil {
		t.Fatal(err)
	}
	sv.s.up.closeRetired(time.Hour)
	if !conn.alive() {
		t.Error("closed while somebody may wait")
	}
	sv.s.up.closeRetired(0)
	if conn.alive() {
		t.Error("it stays open")
	}
	fs, err := sv.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		if f.GetName() == "bolwerk_dns_upstream_up" && (len(f.Metric) != 1 || f.Metric[0].Label[0].GetValue() == first) {
			t.Errorf("got %v", f)
		}
	}
}
