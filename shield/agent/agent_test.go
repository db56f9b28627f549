package agent

import (
	"encoding/json"
	"iter"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/dnstap"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// served notes what the zones were served at.
type served struct{ loads, commits []uint32 }

func (s *served) Load(zone bolwerk.Domain, at rpz.State, _ iter.Seq2[rpz.Record, error], _ []rpz.Change) error {
	if zone == zones.Hot {
		s.loads = append(s.loads, at.Serial)
	}
	return nil
}

func (s *served) Commit(zone bolwerk.Domain, c rpz.Change) error {
	if zone == zones.Hot {
		s.commits = append(s.commits, c.Serial)
	}
	return nil
}

func (s *served) Held(bolwerk.Domain) (uint32, bool) { return 0, true }

type handed struct {
	kind string
	body string
}

func newAgent(t *testing.T, dir string, p zones.Primary) (*Agent, *clock.Fake, *[]handed) {
	t.Helper()
	c, out := clock.NewFake(noon), &[]handed{}
	a, err := New(Config{Resolver: Bind, Ask: "127.0.0.1:1"}, With{Dir: dir, Primary: p, Landing: []netip.Addr{netip.MustParseAddr("192.0.2.80")},
		Canary: bolwerk.MustDomain("serial.zz-canary"), Clock: c, Log: slog.New(slog.DiscardHandler),
		Put: func(kind string, body []byte) error { *out = append(*out, handed{kind, string(body)}); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return a, c, out
}

func entry(block, name string, change func(*edge.Rule)) copies.Entry {
	r := edge.Rule{Block: block, Name: bolwerk.MustDomain(name), Scope: bolwerk.ScopeSubtree, Action: edge.Redirect, Since: noon}
	if change != nil {
		change(&r)
	}
	return r.Entry(block, 1)
}

func head(serial int64) copies.Head {
	return copies.Head{Copy: "blocks", Epoch: 1, Serial: serial, MadeAt: noon}
}

func reset(t *testing.T, a *Agent, serial int64, entries ...copies.Entry) {
	t.Helper()
	if err := a.Reset(head(serial), func(yield func(copies.Entry) bool) {
		for _, e := range entries {
			if !yield(e) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, a *Agent, serial int64, entries ...copies.Entry) {
	t.Helper()
	if err := a.Apply(head(serial), entries); err != nil {
		t.Fatal(err)
	}
}

// The same serial must never come back with other names in the hot zone: a resolver
// would not transfer it.
func TestZonesWaitForANewSerialAfterAStart(t *testing.T) {
	dir, s := t.TempDir(), &served{}
	a, _, _ := newAgent(t, dir, s)
	reset(t, a, 5, entry("B-1", "bad.example", nil))
	apply(t, a, 6, entry("B-2", "worse.example", nil))
	if len(s.loads) != 1 || s.loads[0] != 5 || len(s.commits) != 1 || s.commits[0] != 6 {
		t.Fatalf("the first time: loaded at %v, changed at %v", s.loads, s.commits)
	}
	s = &served{}
	a, _, _ = newAgent(t, dir, s)
	reset(t, a, 6, entry("B-1", "bad.example", nil), entry("B-2", "worse.example", nil))
	if len(s.loads) != 0 {
		t.Fatalf("after a start: loaded at %v, where 6 was served before", s.loads)
	}
	apply(t, a, 7)
	if len(s.loads) != 1 || s.loads[0] != 7 {
		t.Fatalf("after a start and a beat: loaded at %v, want 7", s.loads)
	}
	reset(t, a, 7, entry("B-1", "bad.example", nil)) // the whole copy again
	apply(t, a, 8, entry("B-3", "third.example", nil))
	if len(s.loads) != 2 || s.loads[1] != 8 {
		t.Errorf("after the whole copy again: loaded at %v, want 7 and 8", s.loads)
	}
}

func answer(t *testing.T, name, records string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.Response = true
	if records != "" {
		rr, err := dns.NewRR(dns.Fqdn(name) + " 60 IN " + records)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = []dns.RR{rr}
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Counted is what a block answered, under its number, and nothing of who asked.
func TestHits(t *testing.T) {
	a, _, out := newAgent(t, t.TempDir(), &served{})
	reset(t, a, 5, entry("B-1", "bad.example", nil), entry("B-2", "narrow.bad.example", nil), entry("E-1", "own.bad.example", func(r *edge.Rule) { r.Pass = true }))
	for _, r := range []dnstap.Response{
		{Message: answer(t, "x.bad.example", "A 192.0.2.80")},
		{Message: answer(t, "BAD.example", "A 192.0.2.80")},
		{Message: answer(t, "a.narrow.bad.example", "A 192.0.2.80")},
		{Message: answer(t, "bad.example", "A 203.0.113.9")}, // before it had the block
		{Message: answer(t, "own.bad.example", "A 203.0.113.9")},
		{Message: answer(t, "good.example", "A 203.0.113.9")},
		{Name: "y.bad.example.", Policy: "h.rpz"},
		{Name: "own.bad.example.", Policy: "p.rpz"},
		{Name: "bad.example."}, // PowerDNS without a policy
		{Message: []byte("nonsense")},
	} {
		a.answered(r)
	}
	a.rollUp()
	a.rollUp() // nothing new: nothing handed in
	if len(*out) != 1 || (*out)[0].kind != edge.KindHits {
		t.Fatalf("handed in %v", *out)
	}
	h, err := edge.DecodeHits([]byte((*out)[0].body))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, c := range h.Counts {
		got[c.Block] = c.DNS
	}
	if len(got) != 2 || got["B-1"] != 3 || got["B-2"] != 1 {
		t.Errorf("got %v, want B-1 three times and B-2 once", got)
	}
}

func FuzzQuestion(f *testing.F) {
	m := new(dns.Msg).SetQuestion("x.bad.example.", dns.TypeA)
	b, _ := m.Pack()
	f.Add(b)
	f.Add([]byte("\x00\x00\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x03bad\xc0\x0c\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := bolwerk.ParseDomain(question(b))
		if err != nil {
			return
		}
		var p dns.Msg
		if p.Unpack(b) == nil && len(p.Question) == 1 && !strings.EqualFold(p.Question[0].Name, d.String()+".") {
			t.Errorf("%x: got %s, want %s", b, d, p.Question[0].Name)
		}
	})
}

func TestForce(t *testing.T) {
	f := Force{Resolver: Bind, Epoch: 1, Serial: 7, At: noon}
	b, _ := json.Marshal(f)
	if got, err := DecodeForce(b); err != nil || got != f {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{`{`, `{"serial":1}`, `{"serial":-1,"at":"2026-03-14T12:00:00Z"}`, `{"at":"2026-03-14T12:00:00Z","problem":"` + strings.Repeat("x", 600) + `"}`} {
		if _, err := DecodeForce([]byte(bad)); err == nil {
			t.Errorf("%.60s: taken", bad)
		}
	}
}

func TestConfig(t *testing.T) {
	ok := DefaultConfig()
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"resolver": func(c *Config) { c.Resolver = "djbdns" },
		"listen":   func(c *Config) { c.Listen = "192.0.2.1:5302" },
		"dnstap":   func(c *Config) { c.Dnstap = "0.0.0.0:6000" },
		"two":      func(c *Config) { c.Dnstap, c.Log = "/run/tap", "/var/log/rpz.log" },
		"wipe":     func(c *Config) { c.Wipe = []string{"rec_control"} },
		"ask":      func(c *Config) { c.Ask = "localhost" },
	} {
		c := DefaultConfig()
		if change(&c); c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
