package rpz

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
)

var (
	pZone  = bolwerk.MustDomain("p.rpz")
	bZone  = bolwerk.MustDomain("b.rpz")
	canary = bolwerk.MustDomain("serial.b.canary.operator.example")
	warn4  = Address(netip.MustParseAddr("192.0.2.1"))
	warn6  = Address(netip.MustParseAddr("2001:db8::1"))
	local  = netip.MustParseAddr("127.0.0.1")
)

const secret = "bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdCBrZXkgb2YgMzIgb2N0ZXRzISE="

func testConfig() Config {
	c := DefaultConfig()
	c.Zones[0].Canary = bolwerk.MustDomain("serial.p.canary.operator.example")
	c.Zones[2].Canary = canary
	c.Keys = []Key{{"key.example", "hmac-sha256", bolwerk.NewSecret(secret)}}
	c.Secondaries = []Secondary{
		{Name: "keyed", Key: "key.example"},
		{Name: "listed", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	}
	return c
}

func newPrimary(t testing.TB, cfg Config, c clock.Clock) *Primary {
	t.Helper()
	p, err := New(cfg, c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rec(s string) Record {
	name, data, _ := strings.Cut(s, " ")
	name, below := strings.CutPrefix(name, "*.")
	return Record{bolwerk.MustDomain(name), below, Data(data)}
}

func recs(lines ...string) (out []Record) {
	for _, l := range lines {
		out = append(out, rec(l))
	}
	return out
}

func seq(rs []Record) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range rs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func mustLoad(t testing.TB, p *Primary, zone bolwerk.Domain, serial uint32, rs ...Record) {
	t.Helper()
	if err := p.Load(zone, State{serial, 1}, seq(rs), nil); err != nil {
		t.Fatal(err)
	}
}

// request packs a question as a client sends it.
func request(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask hands one message in and returns what comes back, unpacked.
func ask(t testing.TB, p *Primary, m *dns.Msg, from netip.Addr, tcp bool) []*dns.Msg {
	t.Helper()
	var out []*dns.Msg
	_ = p.answer(request(t, m), from, tcp, func(b []byte) error {
		r := new(dns.Msg)
		if err := r.Unpack(append([]byte(nil), b...)); err != nil {
			t.Fatalf("answer does not unpack: %v", err)
		}
		out = append(out, r)
		return nil
	})
	return out
}

func rrs(ms []*dns.Msg) (out []dns.RR) {
	for _, m := range ms {
		out = append(out, m.Answer...)
	}
	return out
}

// axfr is the zone as a secondary gets it, one text a record, sorted.
func axfr(t testing.TB, p *Primary, zone bolwerk.Domain) []string {
	t.Helper()
	m := new(dns.Msg).SetAxfr(zone.String() + ".")
	all := rrs(ask(t, p, m, local, true))
	if len(all) < 3 || all[0].String() != all[len(all)-1].String() || all[0].Header().Rrtype != dns.TypeSOA {
		t.Fatalf("axfr of %s: %d records, first and last must be the same SOA", zone, len(all))
	}
	return texts(all[:len(all)-1])
}

func texts(rs []dns.RR) (out []string) {
	for _, r := range rs {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

func TestAXFR(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	t.Run("carries SOA, NS, canary and every record", func(t *testing.T) {
		mustLoad(t, p, bZone, 7, recs("evil.example "+string(warn4), "evil.example "+string(warn6), "*.evil.example CNAME .", "x.example CNAME *.")...)
		got := axfr(t, p, bZone)
		want := []string{
			"*.evil.example.b.rpz.\t60\tIN\tCNAME\t.",
			"b.rpz.\t60\tIN\tNS\tlocalhost.",
			"b.rpz.\t60\tIN\tSOA\tlocalhost. hostmaster.localhost. 7 60 15 259200 60",
			"e1-s7.serial.b.canary.operator.example.b.rpz.\t0\tIN\tTXT\t\"epoch=1 serial=7\"",
			"evil.example.b.rpz.\t60\tIN\tA\t192.0.2.1",
			"evil.example.b.rpz.\t60\tIN\tAAAA\t2001:db8::1",
			"serial.b.canary.operator.example.b.rpz.\t0\tIN\tTXT\t\"epoch=1 serial=7\"",
			"x.example.b.rpz.\t60\tIN\tCNAME\t*.",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("packs many records into a message", func(t *testing.T) {
		var many []Record
		for i := range 20_000 {
			many = append(many, Record{Name: bolwerk.MustDomain(fmt.Sprintf("n%d.example", i)), Data: warn4})
		}
		mustLoad(t, p, pZone, 1, many...)
		ms := ask(t, p, new(dns.Msg).SetAxfr("p.rpz."), local, true)
		if n := len(rrs(ms)); n != 20_000+5 {
			t.Errorf("records: got %d, want 20005", n)
		}
		if len(ms) > 25 {
			t.Errorf("messages: got %d, want at most 25", len(ms))
		}
	})
	t.Run("over UDP is FORMERR", func(t *testing.T) {
		if ms := ask(t, p, new(dns.Msg).SetAxfr("p.rpz."), local, false); len(ms) != 1 || ms[0].Rcode != dns.RcodeFormatError {
			t.Errorf("got %v", ms)
		}
	})
}

func TestTransferIsASnapshot(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	var many []Record
	for i := range 3 * chunkLen {
		many = append(many, Record{Name: bolwerk.MustDomain(fmt.Sprintf("n%d.example", i)), Data: warn4})
	}
	mustLoad(t, p, bZone, 1, many...)
	want := axfr(t, p, bZone)

	serial, first := uint32(1), true
	var all []dns.RR
	err := p.answer(request(t, new(dns.Msg).SetAxfr("b.rpz.")), local, true, func(b []byte) error {
		m := new(dns.Msg)
		if err := m.Unpack(append([]byte(nil), b...)); err != nil {
			return err
		}
		all = append(all, m.Answer...)
		// Between two messages of the transfer the zone goes on: names go, come,
		// and at first everything is loaded anew.
		if first {
			first = false
			serial += 10
			mustLoad(t, p, bZone, serial, many[:chunkLen]...)
		}
		for range 50 {
			serial++
			r := many[int(serial)%chunkLen]
			if err := p.Commit(bZone, Change{Serial: serial, Epoch: 1, Del: []Record{r}}); err != nil {
				t.Fatal(err)
			}
			serial++
			if err := p.Commit(bZone, Change{Serial: serial, Epoch: 1, Add: []Record{r, {Name: bolwerk.MustDomain(fmt.Sprintf("new%d.example", serial)), Data: NXDomain}}}); err != nil {
				t.Fatal(err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(all[:len(all)-1]); !slices.Equal(got, want) {
		t.Errorf("the transfer has %d records that are not those of its beginning (%d)", len(got), len(want))
	}
}

func TestCommitIsRefusedAsAWhole(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	long := strings.Repeat(strings.Repeat("a", 61)+".", 4)[:246]
	mustLoad(t, p, bZone, 10, recs("evil.example "+string(warn4), "nx.example CNAME .")...)
	before := axfr(t, p, bZone)
	for _, c := range []struct {
		name   string
		change Change
		want   error
	}{
		{"serial that stands", Change{Serial: 10}, bolwerk.ErrConflict},
		{"serial that is over", Change{Serial: 9}, bolwerk.ErrConflict},
		{"serial half the circle on", Change{Serial: 10 + 1<<31}, bolwerk.ErrConflict},
		{"serial 0", Change{}, bolwerk.ErrInvalid},
		{"record that is there", Change{Serial: 11, Add: recs("evil.example " + string(warn4))}, bolwerk.ErrConflict},
		{"record twice in one change", Change{Serial: 11, Add: recs("a.example CNAME .", "a.example CNAME .")}, bolwerk.ErrConflict},
		{"CNAME beside an address", Change{Serial: 11, Add: recs("evil.example CNAME .")}, bolwerk.ErrConflict},
		{"address beside a CNAME", Change{Serial: 11, Add: recs("nx.example " + string(warn4))}, bolwerk.ErrConflict},
		{"deletion of what is not there", Change{Serial: 11, Del: recs("other.example CNAME .")}, bolwerk.ErrNotFound},
		{"good record before a bad one", Change{Serial: 11, Add: recs("good.example CNAME .", "nx.example CNAME *.")}, bolwerk.ErrConflict},
		{"data that is none", Change{Serial: 11, Add: recs("a.example A 192.0.2.256")}, bolwerk.ErrInvalid},
		{"IPv6 address as A", Change{Serial: 11, Add: recs("a.example A 2001:db8::1")}, bolwerk.ErrInvalid},
		{"type that is none", Change{Serial: 11, Add: recs("a.example MX 10 mail.example.")}, bolwerk.ErrInvalid},
		{"name that does not fit", Change{Serial: 11, Add: []Record{{Name: bolwerk.MustDomain(long), Data: NXDomain}}}, bolwerk.ErrInvalid},
		{"name that is another trigger", Change{Serial: 11, Add: recs("32.1.2.0.192.rpz-ip CNAME .")}, bolwerk.ErrInvalid},
		{"the canary name", Change{Serial: 11, Add: recs(canary.String() + " CNAME .")}, bolwerk.ErrInvalid},
		{"a name below the canary", Change{Serial: 11, Add: recs("x." + canary.String() + " CNAME .")}, bolwerk.ErrInvalid},
		{"all names around the canary", Change{Serial: 11, Add: recs("*.operator.example CNAME .")}, bolwerk.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := p.Commit(bZone, c.change); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := axfr(t, p, bZone); !slices.Equal(got, before) {
				t.Errorf("the zone changed")
			}
		})
	}
	t.Run("zone that is not served", func(t *testing.T) {
		if err := p.Commit(bolwerk.MustDomain("c.rpz"), Change{Serial: 1}); !errors.Is(err, bolwerk.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("zone that is not loaded", func(t *testing.T) {
		if err := p.Commit(pZone, Change{Serial: 1}); !errors.Is(err, bolwerk.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("check says so without doing it", func(t *testing.T) {
		if err := p.Check(bZone, Change{Add: recs("nx.example CNAME *.")}); !errors.Is(err, bolwerk.ErrConflict) {
			t.Errorf("got %v", err)
		}
		if err := p.Check(bZone, Change{Add: recs("good.example CNAME .")}); err != nil {
			t.Errorf("got %v", err)
		}
		if s, _, _ := p.At(bZone); s.Serial != 10 {
			t.Errorf("serial: got %d, want 10", s.Serial)
		}
	})
}

func TestFits(t *testing.T) {
	// "*." + name + ".b.rpz" in wire form: 2 + (len+1) + 2+4+1.
	for n, want := range map[int]bool{245: true, 246: false} {
		name := strings.Repeat(strings.Repeat("a", 60)+".", 5)[:n-1] + "b"
		if got := Fits(bZone, bolwerk.MustDomain(name)); got != want {
			t.Errorf("name of %d octets: got %v, want %v", n, got, want)
		}
		wire := appendName(append([]byte{1, '*'}, appendLabels(nil, bolwerk.MustDomain(name))...), bZone)
		_, _, err := dns.UnpackDomainName(wire, 0)
		if got := err == nil; got != want {
			t.Errorf("package dns on %d octets: got %v, want %v", n, got, want)
		}
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, 1<<32 - 1, true}, {1 << 31, 0, false}, {0, 1 << 31, false}, {1<<31 - 1, 0, true}} {
		if got := Newer(c.a, c.b); got != c.want {
			t.Errorf("Newer(%d, %d): got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestIXFR(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 1<<32-2, recs("a.example CNAME .", "b.example CNAME .", "c.example CNAME .", "d.example CNAME .", "e.example CNAME .")...)
	for _, c := range []Change{ // over the end of the serials
		{Serial: 1<<32 - 1, Epoch: 1, Add: recs("evil.example CNAME .")},
		{Serial: 1, Epoch: 2, Del: recs("evil.example CNAME ."), Add: recs("other.example CNAME .")},
	} {
		if err := p.Commit(bZone, c); err != nil {
			t.Fatal(err)
		}
	}
	ixfr := func(serial uint32, tcp bool) []string {
		var out []string
		for _, r := range rrs(ask(t, p, new(dns.Msg).SetIxfr("b.rpz.", serial, "localhost.", "x."), local, tcp)) {
			if soa, ok := r.(*dns.SOA); ok {
				out = append(out, fmt.Sprintf("SOA %d", soa.Serial))
				continue
			}
			out = append(out, strings.TrimSuffix(r.Header().Name, ".b.rpz.")+" "+dns.TypeToString[r.Header().Rrtype])
		}
		return out
	}
	name := canary.String() + " TXT"
	old, mid, last := "e1-s4294967294."+name, "e1-s4294967295."+name, "e2-s1."+name
	for _, c := range []struct {
		name   string
		serial uint32
		tcp    bool
		want   []string
	}{
		{"what was added and deleted again is left out", 1<<32 - 2, true, []string{"SOA 1", "SOA 4294967294", name, old, "SOA 1", name, last, "other.example CNAME", "SOA 1"}},
		{"one step", 1<<32 - 1, true, []string{"SOA 1", "SOA 4294967295", name, mid, "evil.example CNAME", "SOA 1", name, last, "other.example CNAME", "SOA 1"}},
		{"nothing new", 1, true, []string{"SOA 1"}},
		{"over UDP the SOA alone", 1<<32 - 2, false, []string{"SOA 1"}},
		{"a client that is ahead gets the SOA alone", 2, true, []string{"SOA 1"}},
		{"outside the journal the whole zone", 1<<32 - 3, true, []string{"SOA 1", "b.rpz. NS", name, last, "a.example CNAME", "b.example CNAME", "c.example CNAME", "d.example CNAME", "e.example CNAME", "other.example CNAME", "SOA 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ixfr(c.serial, c.tcp); !slices.Equal(got, c.want) {
				t.Errorf("from %d: got %q, want %q", c.serial, got, c.want)
			}
		})
	}
	t.Run("a secondary that was ahead raises what must be passed", func(t *testing.T) {
		if got := p.Seen(bZone); got != 2 {
			t.Errorf("seen: got %d, want 2", got)
		}
	})
	t.Run("a journal given at the start goes on", func(t *testing.T) {
		p := newPrimary(t, testConfig(), clock.New())
		rs := recs("a.example CNAME .", "b.example CNAME .", "c.example CNAME .")
		journal := []Change{{Serial: 5, Epoch: 1}, {Serial: 6, Epoch: 1, Add: rs[2:]}}
		if err := p.Load(bZone, State{6, 1}, seq(rs), journal); err != nil {
			t.Fatal(err)
		}
		ms := ask(t, p, new(dns.Msg).SetIxfr("b.rpz.", 5, "localhost.", "x."), local, true)
		if n := len(rrs(ms)); n != 9 { // SOA, SOA, 2 of the canary, SOA, 2 of the canary, c, SOA
			t.Errorf("records: got %d, want 9", n)
		}
	})
	t.Run("the journal forgets beyond its bound", func(t *testing.T) {
		cfg := testConfig()
		cfg.JournalRecords = 10
		p := newPrimary(t, cfg, clock.New())
		mustLoad(t, p, bZone, 1, recs("a.example CNAME .", "b.example CNAME .")...)
		for i := range uint32(20) {
			r := Record{Name: bolwerk.MustDomain(fmt.Sprintf("n%d.example", i)), Data: NXDomain}
			if err := p.Commit(bZone, Change{Serial: 2 + i, Add: []Record{r}}); err != nil {
				t.Fatal(err)
			}
		}
		z := p.zones[bZone]
		if _, ok := z.diff(16); !ok {
			t.Error("serial 16 of 21 is not known")
		}
		if _, ok := z.diff(15); ok {
			t.Error("serial 15 of 21 is still known")
		}
	})
}

func TestWhoMayAsk(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 3, recs("evil.example "+string(warn4))...)
	stranger := netip.MustParseAddr("192.0.2.99")
	for _, q := range []*dns.Msg{
		new(dns.Msg).SetAxfr("b.rpz."), new(dns.Msg).SetIxfr("b.rpz.", 1, "a.", "b."),
		new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA), new(dns.Msg).SetQuestion("evil.example.b.rpz.", dns.TypeA),
	} {
		t.Run("stranger/"+dns.TypeToString[q.Question[0].Qtype], func(t *testing.T) {
			ms := ask(t, p, q, stranger, true)
			if len(ms) != 1 || ms[0].Rcode != dns.RcodeRefused || len(ms[0].Answer) != 0 {
				t.Errorf("got %v, want REFUSED", ms)
			}
		})
	}
	for name, want := range map[string]int{"c.rpz.": dns.RcodeRefused, "p.rpz.": dns.RcodeServerFailure, "B.rPZ.": dns.RcodeSuccess} {
		t.Run("listed/"+name, func(t *testing.T) {
			ms := ask(t, p, new(dns.Msg).SetQuestion(name, dns.TypeSOA), local, false)
			if len(ms) != 1 || ms[0].Rcode != want || ms[0].Question[0].Name != name {
				t.Errorf("got %v, want %s", ms, dns.RcodeToString[want])
			}
		})
	}
	t.Run("other opcodes are not implemented", func(t *testing.T) {
		m := new(dns.Msg).SetUpdate("b.rpz.")
		if ms := ask(t, p, m, local, true); len(ms) != 1 || ms[0].Rcode != dns.RcodeNotImplemented {
			t.Errorf("got %v", ms)
		}
	})
	t.Run("an answer is not answered", func(t *testing.T) {
		m := new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA)
		m.Response = true
		if ms := ask(t, p, m, local, true); len(ms) != 0 {
			t.Errorf("got %v", ms)
		}
	})
	t.Run("what does not parse is FORMERR with its id", func(t *testing.T) {
		b := request(t, new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA))
		var got []byte
		_ = p.answer(b[:len(b)-3], local, false, func(b []byte) error { got = append(got, b...); return nil })
		if len(got) != 12 || got[0] != b[0] || got[1] != b[1] || got[3]&0xf != dns.RcodeFormatError {
			t.Errorf("got %x", got)
		}
	})
	t.Run("many refusals fall silent", func(t *testing.T) {
		n := 0
		req := request(t, new(dns.Msg).SetAxfr("b.rpz."))
		for range 2000 {
			_ = p.answer(req, stranger, false, func([]byte) error { n++; return nil })
		}
		if n > 500 {
			t.Errorf("answers to 2000 strangers: got %d", n)
		}
	})
}

func TestLookup(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 3, recs("evil.example "+string(warn4), "evil.example "+string(warn6), "*.evil.example CNAME .")...)
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  int
	}{
		{"b.rpz.", dns.TypeSOA, 0, 1}, {"b.rpz.", dns.TypeNS, 0, 1}, {"b.rpz.", dns.TypeA, 0, 0},
		{"evil.example.b.rpz.", dns.TypeA, 0, 1}, {"evil.example.b.rpz.", dns.TypeTXT, 0, 0},
		{"*.evil.example.b.rpz.", dns.TypeA, 0, 1}, {"other.example.b.rpz.", dns.TypeA, dns.RcodeNameError, 0},
		{canary.String() + ".b.rpz.", dns.TypeTXT, 0, 1}, {`\000.b.rpz.`, dns.TypeA, dns.RcodeNameError, 0},
	} {
		ms := ask(t, p, new(dns.Msg).SetQuestion(c.name, c.qtype), local, false)
		if len(ms) != 1 || ms[0].Rcode != c.rcode || len(ms[0].Answer) != c.want || !ms[0].Authoritative {
			t.Errorf("%s %s: got %v", c.name, dns.TypeToString[c.qtype], ms)
		}
		for _, r := range ms[0].Answer {
			if r.Header().Name != c.name {
				t.Errorf("%s: the answer is about %s", c.name, r.Header().Name)
			}
		}
		if c.want == 0 && (len(ms[0].Ns) != 1 || ms[0].Ns[0].Header().Name != "b.rpz.") {
			t.Errorf("%s: no SOA in the authority section", c.name)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := ReadKey("key.example", "hmac-sha256", path)
	if err != nil || k.Secret.Reveal() != secret {
		t.Fatalf("got %v, %v", k, err)
	}
	if s := fmt.Sprintf("%v %+v", k, k); strings.Contains(s, secret[:8]) {
		t.Errorf("printed: %s", s)
	}
	os.Chmod(path, 0o640)
	if _, err := ReadKey("key.example", "hmac-sha256", path); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("readable by others: got %v", err)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no zones":                     func(c *Config) { c.Zones = nil },
		"zone twice":                   func(c *Config) { c.Zones[1].Name = c.Zones[0].Name },
		"canary twice":                 func(c *Config) { c.Zones[1].Canary = c.Zones[0].Canary },
		"exemptions that expire first": func(c *Config) { c.Zones[0].Expire = time.Hour },
		"expire before refresh":        func(c *Config) { c.Zones[1].Expire = time.Minute },
		"secondary open to everybody":  func(c *Config) { c.Secondaries[0].Key = "" },
		"key that is not there":        func(c *Config) { c.Secondaries[0].Key = "other.example" },
		"weak algorithm":               func(c *Config) { c.Keys[0].Algorithm = "hmac-md5" },
		"short secret":                 func(c *Config) { c.Keys[0].Secret = bolwerk.NewSecret("c2hvcnQ=") },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig()
			spoil(&c)
			if err := c.Validate(); !errors.Is(err, bolwerk.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := testConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// run starts the primary on a port of its own and returns where.
func run(t testing.TB, p *Primary) netip.AddrPort {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 {
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, udp, tcp) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("run does not return")
		}
	})
	return tcp.Addr().(*net.TCPAddr).AddrPort()
}
