package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

type handed struct {
	kind string
	body []byte
}

type desk struct {
	got  []handed
	fail error
}

func (d *desk) handIn(_ context.Context, kind string, body []byte) error {
	if d.fail == nil {
		d.got = append(d.got, handed{kind, bytes.Clone(body)})
	}
	return d.fail
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Operator, cfg.Phone, cfg.Mail, cfg.Site = "Example Telecom", "+32 2 555 01 00", "safety@operator.example", "operator.example/safety"
	cfg.WarningAddresses = []string{"192.0.2.80", "2001:db8::80"}
	cfg.Partners = testPartners
	return cfg
}

func testEdge(t testing.TB, change ...func(*Config)) (*Edge, *clock.Fake, *desk) {
	t.Helper()
	c, d := clock.NewFake(noon), &desk{}
	cfg := testConfig()
	for _, fn := range change {
		fn(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg, t.TempDir(), 2, c, d.handIn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e, c, d
}

func rule(block, name string, change func(*Rule)) Rule {
	r := Rule{Block: block, Name: bolwerk.MustDomain(name), Scope: bolwerk.ScopeHost, Action: Redirect, Ground: OwnPolicy, Class: "phishing",
		Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}
	if change != nil {
		change(&r)
	}
	return r
}

func reset(t testing.TB, e *Edge, rules ...Rule) {
	t.Helper()
	if err := e.Reset(copies.Head{Epoch: 1, Serial: 5, MadeAt: noon}, func(yield func(copies.Entry) bool) {
		for i, r := range rules {
			if !yield(r.Entry(fmt.Sprint("id", i), 1)) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// ask asks the policy as a DNS worker would.
func ask(e *Edge, name string, typ uint16, change func(q *dnsserve.Question)) (dnsserve.Answer, bool) {
	q := &dnsserve.Question{Name: nameset.AppendWire(nil, bolwerk.MustDomain(name)), Type: typ, Class: dnsserve.ClassIN}
	if change != nil {
		change(q)
	}
	return e.Answer(q)
}

func blocked(e *Edge, name string) bool { _, ok := ask(e, name, dnsserve.TypeA, nil); return ok }

func TestAnswer_scope(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e,
		rule("B-2026-000001", "host.example", nil),
		rule("B-2026-000002", "shop.example", func(r *Rule) { r.WWW = true }),
		rule("B-2026-000003", "tree.example", func(r *Rule) { r.Scope = bolwerk.ScopeSubtree }),
		rule("B-2026-000004", "reg.example", func(r *Rule) { r.Scope = bolwerk.ScopeRegistrable }),
		rule("E-2026-000001", "good.tree.example", func(r *Rule) { r.Pass, r.Scope = true, bolwerk.ScopeSubtree }),
		rule("B-2026-000005", "deep.good.tree.example", nil),
		rule("B-2026-000006", "old.example", func(r *Rule) { r.Pass, r.FeedOnly = true, true }),
	)
	for name, want := range map[string]bool{
		"host.example": true, "www.host.example": false, "x.host.example": false,
		"shop.example": true, "www.shop.example": true, "x.shop.example": false,
		"tree.example": true, "a.b.tree.example": true,
		"reg.example": true, "a.reg.example": true, "xreg.example": false,
		"good.tree.example": false, "x.good.tree.example": false,
		"deep.good.tree.example": false, // an exemption wins over a more specific block
		"example":                false,
	} {
		if got := blocked(e, name); got != want {
			t.Errorf("%s: blocked %v, want %v", name, got, want)
		}
	}
	if e.Rules() != 6 {
		t.Errorf("got %d rules, want 6: what is for resolvers only is left out", e.Rules())
	}
}

func TestAnswer_begins_and_ends_by_itself(t *testing.T) {
	e, c, _ := testEdge(t)
	reset(t, e, rule("B-1", "soon.example", func(r *Rule) { r.Since = noon.Add(time.Minute) }), rule("B-2", "now.example", nil))
	at := func(d time.Duration, soon, now bool) {
		t.Helper()
		c.Add(d)
		e.tick()
		if a, b := blocked(e, "soon.example"), blocked(e, "now.example"); a != soon || b != now {
			t.Errorf("at %v: got %v %v, want %v %v", c.Now(), a, b, soon, now)
		}
	}
	at(0, false, true)
	at(time.Minute, true, true)
	at(58*time.Minute, true, true)
	at(time.Minute, false, false)
}

// After a jump of the clock the DNS stays as it is.
func TestAnswer_keeps_through_a_clock_jump(t *testing.T) {
	e, c, _ := testEdge(t)
	reset(t, e, rule("B-1", "now.example", nil))
	c.Jump(noon.AddDate(1, 0, 0))
	e.tick()
	if !blocked(e, "now.example") {
		t.Error("a jump of the clock ended a block")
	}
}

// An edge whose clock is an hour behind blocks what is decided now at once, and lets no
// block go before its own clock says so: the desk takes away what is over. One whose clock
// is set right again goes on by its own.
func TestApply_clock_behind_the_desk(t *testing.T) {
	e, c, _ := testEdge(t)
	reset(t, e)
	desk := noon.Add(time.Hour)
	now := rule("B-1", "now.example", func(r *Rule) { r.Since, r.Until = desk, desk.Add(time.Hour) })
	over := rule("B-2", "over.example", func(r *Rule) { r.Since, r.Until = noon, desk.Add(-time.Minute) })
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 6, MadeAt: desk}, []copies.Entry{now.Entry("now", 1), over.Entry("over", 1)}); err != nil {
		t.Fatal(err)
	}
	if !blocked(e, "now.example") || !blocked(e, "over.example") {
		t.Error("a clock that is behind holds a block back, or the desk's ends one")
	}
	c.Jump(desk.Add(time.Second))
	for range 20 {
		e.tick()
	}
	if !blocked(e, "now.example") {
		t.Error("a clock that was set right lets go")
	}
	// A copy from yesterday, as one from disk is, sets nothing back.
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 7, MadeAt: noon.Add(-24 * time.Hour)}, nil); err != nil {
		t.Fatal(err)
	}
	if !blocked(e, "now.example") {
		t.Error("an old head took the time back")
	}
}

// A desk whose clock runs a year ahead ends no block at its edges.
func TestApply_clock_of_the_desk_ahead(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "now.example", func(r *Rule) { r.Since, r.Until = noon, noon.Add(time.Hour) }))
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 6, MadeAt: noon.AddDate(1, 0, 0)}, nil); err != nil {
		t.Fatal(err)
	}
	e.tick()
	if !blocked(e, "now.example") {
		t.Error("the desk's clock ended a block")
	}
}

func TestApply(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "a.example", nil), rule("B-2", "b.example", nil))
	entry := func(id string, v int64, name string) copies.Entry { return rule("B-9", name, nil).Entry(id, v) }
	removed := func(id string, v int64) copies.Entry { return copies.Entry{ID: id, Version: v, Removed: true} }
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 6}, []copies.Entry{
		removed("id0", 2), entry("new", 1, "c.example"), {ID: "id1", Version: 2, Body: json.RawMessage(`{"name":"..","scope":"host"}`)}, removed("never", 1),
	}); err != nil {
		t.Fatal(err)
	}
	if blocked(e, "a.example") || !blocked(e, "b.example") || !blocked(e, "c.example") {
		t.Error("a withdrawal, an unreadable entry or an addition is not as published")
	}
	if e.Head().Serial != 6 || e.Rules() != 2 || e.bad != 1 {
		t.Errorf("got serial %d, %d rules, %d unreadable", e.Head().Serial, e.Rules(), e.bad)
	}
	// The highest version wins.
	e.Apply(copies.Head{Epoch: 1, Serial: 7}, []copies.Entry{entry("new", 5, "c5.example")})
	e.Apply(copies.Head{Epoch: 1, Serial: 8}, []copies.Entry{entry("new", 4, "c4.example"), removed("new", 4)})
	if !blocked(e, "c5.example") || blocked(e, "c4.example") || blocked(e, "c.example") {
		t.Error("an older version won")
	}
}

// An edge that was away gets many publications at once.
func TestApply_blocked_and_withdrawn_in_one_answer(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e)
	put := func(id string, v int64, name string) copies.Entry {
		return rule("B-2026-000001", name, nil).Entry(id, v)
	}
	gone := func(id string, v int64) copies.Entry { return copies.Entry{ID: id, Version: v, Removed: true} }
	for name, changes := range map[string][]copies.Entry{
		"withdrawn":               {put("a", 1, "x.example"), gone("a", 2)},
		"withdrawn, out of order": {gone("b", 2), put("b", 1, "x.example")},
		"prolonged and withdrawn": {put("c", 1, "x.example"), put("c", 2, "x.example"), gone("c", 3)},
	} {
		if err := e.Apply(copies.Head{Epoch: 1, Serial: 6}, changes); err != nil || blocked(e, "x.example") {
			t.Errorf("%s: blocked %v, %v", name, blocked(e, "x.example"), err)
		}
	}
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 7}, []copies.Entry{put("d", 1, "x.example"), gone("d", 2), put("d", 3, "y.example")}); err != nil || blocked(e, "x.example") || !blocked(e, "y.example") {
		t.Errorf("blocked again under another name: %v %v, %v", blocked(e, "x.example"), blocked(e, "y.example"), err)
	}
}

func TestAnswer_what(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e,
		rule("B-2026-000007", "bad.example", func(r *Rule) { r.Scope = bolwerk.ScopeSubtree }),
		rule("B-2026-000008", "hacked.example", func(r *Rule) { r.Compromised = true }),
		rule("B-2026-000009", "order.example", func(r *Rule) { r.Ground, r.Action, r.Class = ByOrder, NXDomain, "" }),
		rule("B-2026-000010", "asked.example", func(r *Rule) { r.Ground, r.Action, r.Class = Requested, NoData, "" }),
	)
	// Who asks here has asked for asked.example to be blocked.
	if err := e.Session(Session{ID: "1", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, View: "opt_in", Until: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	cfg := dnsserve.DefaultConfig()
	cfg.Upstream, cfg.SDEOption = []string{"127.0.0.1:1"}, 65023
	cfg.TryTimeout, cfg.Timeout = dnsserve.Duration(time.Millisecond), dnsserve.Duration(time.Millisecond)
	s, err := dnsserve.New(cfg, e.Answer, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k, err := dnsserve.Listen(ctx, "127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx, nil, k) }()
	defer func() { stop(); <-done }()

	const sde = true
	for _, c := range []struct {
		name  string
		typ   uint16
		sde   bool
		rcode int
		addr  string
		ede   uint16
		text  string
	}{
		{"www.bad.example.", dns.TypeA, false, 0, "192.0.2.80", 4, "blocked: B-2026-000007"},
		{"bad.example.", dns.TypeAAAA, false, 0, "2001:db8::80", 4, "blocked: B-2026-000007"},
		{"bad.example.", dns.TypeHTTPS, false, 0, "", 15, "blocked: B-2026-000007"},
		{"bad.example.", dns.TypeMX, false, 0, "", 15, "blocked: B-2026-000007"},
		{"bad.example.", dns.TypeA, sde, dns.RcodeNameError, "", 15, `{"c":["mailto:safety@operator.example","tel:+3225550100"],"j":"Phishing: B-2026-000007","o":"Example Telecom","l":"en","s":2}`},
		{"hacked.example.", dns.TypeA, false, 0, "192.0.2.80", 4, "blocked: B-2026-000008"},
		{"hacked.example.", dns.TypeSVCB, false, 0, "", 15, "blocked: B-2026-000008"},
		{"order.example.", dns.TypeA, false, dns.RcodeNameError, "", 16, "blocked: B-2026-000009"},
		{"order.example.", dns.TypeA, sde, dns.RcodeNameError, "", 16, `{"c":["mailto:safety@operator.example","tel:+3225550100"],"j":"Blocked by order of an authority: B-2026-000009","o":"Example Telecom","l":"en"}`},
		{"asked.example.", dns.TypeA, false, 0, "", 17, "blocked: B-2026-000010"},
	} {
		m := new(dns.Msg).SetQuestion(c.name, c.typ)
		m.SetEdns0(1232, true)
		if c.sde {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65023}}
		}
		r, err := dns.Exchange(m, k.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(r.Answer) > 0 {
			f := strings.Fields(r.Answer[0].String())
			got = f[4]
			if f[1] != "60" {
				t.Errorf("%s: TTL %s, want 60", c.name, f[1])
			}
		} else if len(r.Ns) != 1 {
			t.Errorf("%s: no SOA", c.name)
		}
		o := r.IsEdns0().Option
		if r.Rcode != c.rcode || got != c.addr || len(o) != 1 || o[0].(*dns.EDNS0_EDE).InfoCode != c.ede || o[0].(*dns.EDNS0_EDE).ExtraText != c.text || r.AuthenticatedData {
			t.Errorf("%s %s: got %v", c.name, dns.TypeToString[c.typ], r)
		}
		if c.sde && !json.Valid([]byte(o[0].(*dns.EDNS0_EDE).ExtraText)) {
			t.Errorf("%s: no JSON", c.name)
		}
	}
	for _, typ := range []uint16{dns.TypeMX, dns.TypeTXT, dns.TypeNS} {
		beside := func(q *dnsserve.Question) { q.Worker = -1 } // of the server's workers
		if _, ok := ask(e, "hacked.example", typ, beside); ok {
			t.Errorf("a hacked site's %s does not pass", dns.TypeToString[typ])
		}
	}
}

func TestAnswer_allocates_nothing(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-2026-000007", "bad.example", func(r *Rule) { r.Scope = bolwerk.ScopeSubtree }))
	q := &dnsserve.Question{Name: []byte("\x03www\x03bad\x07example\x00"), Type: dnsserve.TypeA, EDNS: true, Scratch: make([]byte, 0, 512)}
	e.Answer(q)
	if a := testing.AllocsPerRun(100, func() {
		if _, ok := e.Answer(q); !ok {
			t.Fatal("not blocked")
		}
	}); a != 0 {
		t.Errorf("got %v allocations, want 0", a)
	}
}

func TestExplain(t *testing.T) {
	e, c, _ := testEdge(t)
	reset(t, e,
		rule("B-2026-000001", "bad.example", func(r *Rule) { r.Scope = bolwerk.ScopeSubtree }),
		rule("B-2026-000002", "x.bad.example", func(r *Rule) { r.Ground = ByOrder; r.By = "National CERT"; r.Brand = "Bank" }),
		rule("B-2026-000003", "x.bad.example", nil),
		rule("B-2026-000004", "x.bad.example", func(r *Rule) { r.Until = noon.Add(-time.Minute) }),
	)
	x := e.Explain(bolwerk.MustDomain("x.bad.example"))
	want := rule("B-2026-000002", "x.bad.example", func(r *Rule) { r.Ground = ByOrder; r.By = "National CERT"; r.Brand = "Bank" })
	if x.Result != "blocked" || x.Rule == nil || *x.Rule != want || len(x.Others) != 3 || x.Head.Serial != 5 {
		t.Errorf("got %+v, want the order", x)
	}
	if x := e.Explain(bolwerk.MustDomain("other.example")); x.Result != "open" || x.Rule != nil {
		t.Errorf("got %+v, want open", x)
	}
	if _, err := e.Pass(t.Context(), bolwerk.MustDomain("x.bad.example")); err != nil {
		t.Fatal(err)
	}
	if x := e.Explain(bolwerk.MustDomain("x.bad.example")); x.Result != "passed" || !x.LocalUntil.Equal(c.Now().Add(24*time.Hour)) {
		t.Errorf("got %+v, want passed here for 24 h", x)
	}
}

func TestPass(t *testing.T) {
	e, c, d := testEdge(t)
	bad := rule("B-1", "bad.example", func(r *Rule) { r.Scope, r.Until = bolwerk.ScopeSubtree, noon.AddDate(0, 1, 0) })
	reset(t, e, bad)
	d.fail = errors.New("no room")
	name := bolwerk.MustDomain("x.bad.example")
	if _, err := e.Pass(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if blocked(e, "x.bad.example") || blocked(e, "www.x.bad.example") || !blocked(e, "y.bad.example") {
		t.Error("the name is not let pass, or another one is")
	}
	// It survives a restart, and is told the desk when that works.
	again, err := New(testConfig(), e.dir, 1, c, d.handIn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	reset(t, again, bad)
	if blocked(again, "x.bad.example") || len(d.got) != 0 {
		t.Error("forgotten at a restart")
	}
	d.fail = nil
	again.tellPasses(t.Context())
	again.tellPasses(t.Context())
	if len(d.got) != 1 || d.got[0].kind != KindPass {
		t.Fatalf("handed in %v, want the pass once", d.got)
	}
	if p, err := DecodePass(d.got[0].body); err != nil || p.Name != name {
		t.Errorf("got %v %v", p, err)
	}
	c.Add(24 * time.Hour)
	again.tick()
	if !blocked(again, "x.bad.example") {
		t.Error("passes after 24 h")
	}
	// A damaged file makes no hole and stops nothing.
	os.WriteFile(filepath.Join(e.dir, passesName), []byte("{"), 0o600)
	if _, err := New(testConfig(), e.dir, 1, c, d.handIn, slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestHits(t *testing.T) {
	e, c, d := testEdge(t)
	reset(t, e, rule("B-2026-000001", "a.example", func(r *Rule) { r.Until = time.Time{} }), rule("B-2026-000002", "b.example", func(r *Rule) { r.Until = time.Time{} }))
	for i := range 300 {
		ask(e, "a.example", dnsserve.TypeA, func(q *dnsserve.Question) { q.Worker = i % 3 }) // worker 2 is none: counted elsewhere
	}
	ask(e, "b.example", dnsserve.TypeA, func(q *dnsserve.Question) { q.Worker = -1 })
	read := func() map[string]Count {
		t.Helper()
		out := map[string]Count{}
		for _, h := range d.got {
			m, err := DecodeHits(h.body)
			if err != nil || h.kind != KindHits || len(m.Boot) != 32 {
				t.Fatalf("%s: %v", h.body, err)
			}
			for _, c := range m.Counts {
				out[m.Bucket.Format("15:04 ")+c.Block] = c
			}
		}
		d.got = nil
		return out
	}
	e.rollUp(t.Context())
	got := read()
	if got["12:00 B-2026-000001"].DNS != 300 || got["12:00 B-2026-000002"].DNS != 1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	e.rollUp(t.Context())
	if got := read(); len(got) != 0 {
		t.Errorf("nothing has changed, got %v", got)
	}
	// What could not be handed in comes with the next roll-up, in absolute values.
	blocked(e, "a.example")
	d.fail = errors.New("no room")
	e.rollUp(t.Context())
	c.Add(5 * time.Minute)
	e.tick()
	blocked(e, "a.example")
	d.fail = nil
	e.rollUp(t.Context())
	if got := read(); got["12:00 B-2026-000001"].DNS != 301 || got["12:05 B-2026-000001"].DNS != 1 {
		t.Errorf("got %v", got)
	}
	// Many blocks: the table grows, the roll-up is split.
	h := newHits("b", 1)
	for i := range uint64(6000) {
		h.dns(0, 1<<63|i, 0)
		h.dns(0, 1<<63|i, 0)
	}
	if m, sum := h.collect(0); len(m) != 6000 || sum != 12000 {
		t.Errorf("got %d blocks and %d hits", len(m), sum)
	}
}

func TestRun_hands_the_last_counts_in(t *testing.T) {
	e, _, d := testEdge(t)
	reset(t, e, rule("B-1", "a.example", nil))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	blocked(e, "a.example")
	stop()
	if err := <-done; err != nil || len(d.got) != 1 {
		t.Errorf("got %v %v, want one roll-up", err, d.got)
	}
}

func TestMetrics(t *testing.T) {
	e, _, _ := testEdge(t)
	reset(t, e, rule("B-1", "a.example", nil))
	reg := prometheus.NewRegistry()
	if err := e.Register(reg); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	fs, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	if got["bolwerk_edge_rules"] != 1 || got["bolwerk_edge_copy_serial"] != 5 {
		t.Errorf("got %v", got)
	}
}

func TestPayload_keeps_everything(t *testing.T) {
	for _, p := range []payload{{}, {from: 5, until: 5}, {until: 9}, {from: 1 << 31, until: 1<<31 + 100, version: 1<<32 - 1, number: 999_999_999, term: 70000}} {
		if got := readPayload(p.append(nil)); got != p {
			t.Errorf("got %+v, want %+v", got, p)
		}
	}
	for _, ref := range []string{"B-2026-000147", "B-1", "x", "", "B-2026-1234567890123", "0000000000"} {
		prefix, n, width := splitRef(ref)
		if got := string(appendRef(nil, prefix, n, width)); got != ref {
			t.Errorf("got %q, want %q", got, ref)
		}
	}
}

// BOLWERK_BIG=1 loads a million rules and shows what they cost.
func TestSize(t *testing.T) {
	n := 20_000
	if os.Getenv("BOLWERK_BIG") != "" {
		n = 1_000_000
	}
	e, _, _ := testEdge(t)
	start := time.Now()
	if err := e.Reset(copies.Head{}, func(yield func(copies.Entry) bool) {
		r := rule("", "x.example", nil)
		for i := range n {
			r.Block = fmt.Sprintf("B-2026-%06d", i)
			r.Name = bolwerk.MustDomain(fmt.Sprintf("%x.%s.example", uint64(i)*0x9e3779b97f4a7c15>>24, []string{"shop", "x"}[i%2]))
			r.Until = noon.Add(time.Duration(i%1e6) * time.Second)
			if !yield(r.Entry(bolwerk.NewID(noon), 1)) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for l := range strings.Lines(string(status)) {
		if strings.HasPrefix(l, "VmRSS") || strings.HasPrefix(l, "RssAnon") || strings.HasPrefix(l, "VmHWM") {
			t.Log(strings.TrimSpace(l))
		}
	}
	t.Logf("%d rules, %.1f octets each, read and loaded in %v", e.Rules(), float64(e.set.Bytes())/float64(n), time.Since(start).Round(time.Millisecond))
	start = time.Now()
	if err := e.Apply(copies.Head{Serial: 1}, []copies.Entry{rule("B-2027-000001", "fresh.example", nil).Entry("fresh", 1)}); err != nil || !blocked(e, "fresh.example") {
		t.Errorf("a new block does not act: %v", err)
	}
	t.Logf("one block added in %v", time.Since(start))
}

func TestConfig(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"operator": func(c *Config) { c.Operator = "" },
		"warning":  func(c *Config) { c.WarningAddresses = []string{"host.example"} },
		"ttl":      func(c *Config) { c.TTL = 86400 },
		"zone":     func(c *Config) { c.Zone = "Nowhere" },
		"phone":    func(c *Config) { c.Phone = "1\n2" },
		"appeals":  func(c *Config) { c.AppealsPerMinute = 0 },
	} {
		cfg := testConfig()
		change(&cfg)
		if err := cfg.Validate(); !errors.Is(err, bolwerk.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestRunNames(t *testing.T) {
	for _, c := range []struct{ answer, want string }{{"", "192.0.2.1"}, {"192.0.2.99", "192.0.2.99"}, {"nxdomain", ""}} {
		ctx, stop := context.WithCancel(t.Context())
		ready, done := make(chan string, 1), make(chan error, 1)
		go func() {
			done <- RunNames(ctx, Names{List: strings.NewReader("# a list\nbad.example\n\nWorse.Example. # two\n*.star.example\nno name\nbücher.example\n"),
				Listen: "127.0.0.1:0", Upstream: "127.0.0.1:1", Answer: c.answer, Ready: func(a string) { ready <- a }, Log: slog.New(slog.DiscardHandler)})
		}()
		addr := <-ready
		for _, name := range []string{"bad.example.", "x.y.bad.example.", "worse.example.", "a.star.example.", "xn--bcher-kva.example."} {
			r, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), addr)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" && r.Rcode != dns.RcodeNameError || c.want != "" && (len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), c.want)) {
				t.Errorf("--answer %q: %s: got %v", c.answer, name, r)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	err := RunNames(t.Context(), Names{List: strings.NewReader("# empty\n"), Listen: "127.0.0.1:0", Upstream: "127.0.0.1:1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("an empty list: got %v", err)
	}
}
