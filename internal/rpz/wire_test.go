package rpz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
)

// These tests go over real sockets, with package dns on the other side.

func transfer(t *testing.T, at netip.AddrPort, m *dns.Msg, secrets map[string]string) ([]dns.RR, error) {
	t.Helper()
	tr := &dns.Transfer{TsigSecret: secrets}
	ch, err := tr.In(m, at.String())
	if err != nil {
		return nil, err
	}
	var out []dns.RR
	for e := range ch {
		if e.Error != nil {
			err = e.Error
		}
		out = append(out, e.RR...)
	}
	return out, err
}

func TestTransferSigned(t *testing.T) {
	for _, alg := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		t.Run(alg, func(t *testing.T) {
			cfg := testConfig()
			cfg.Keys[0].Algorithm = alg
			cfg.Secondaries = cfg.Secondaries[:1]
			p := newPrimary(t, cfg, clock.New())
			var many []Record
			for i := range 5000 {
				many = append(many, Record{Name: bolwerk.MustDomain(fmt.Sprintf("n%d.example", i)), Below: i%2 == 0, Data: warn4})
			}
			mustLoad(t, p, bZone, 5, many...)
			at := run(t, p)
			secrets := map[string]string{"key.example.": secret}
			ask := func(key string, secrets map[string]string) ([]dns.RR, error) {
				m := new(dns.Msg).SetAxfr("b.rpz.")
				m.SetEdns0(1232, false)
				if key != "" {
					m.SetTsig(key, alg+".", 300, time.Now().Unix())
				}
				return transfer(t, at, m, secrets)
			}
			if got, err := ask("key.example.", secrets); err != nil || len(got) != 5000+5 {
				t.Errorf("right key: got %d records, %v", len(got), err)
			}
			if got, err := ask("key.example.", map[string]string{"key.example.": "d3JvbmcgYnV0IGxvbmcgZW5vdWdoIHRvIGJlIGEga2V5ISEhISE="}); err == nil || len(got) > 0 {
				t.Errorf("wrong secret: got %d records, %v", len(got), err)
			}
			if got, err := ask("other.example.", map[string]string{"other.example.": secret}); err == nil || len(got) > 0 {
				t.Errorf("key we do not know: got %d records, %v", len(got), err)
			}
			if got, err := ask("", nil); err == nil || len(got) > 0 {
				t.Errorf("without key: got %d records, %v", len(got), err)
			}
			for _, d := range p.Secondaries() {
				if d.Zone == bZone && (d.Holds != 5 || d.Kind != "axfr" || d.Lag != 0) {
					t.Errorf("status: got %+v", d)
				}
			}
		})
	}
}

func TestSignatureErrors(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 5)
	for name, c := range map[string]struct {
		key, secret string
		at          time.Time
		want        uint16
		signed      bool
	}{
		"bad key":  {"other.example.", secret, time.Now(), dns.RcodeBadKey, false},
		"bad mac":  {"key.example.", "d3JvbmcgYnV0IGxvbmcgZW5vdWdoIHRvIGJlIGEga2V5ISEhISE=", time.Now(), dns.RcodeBadSig, false},
		"bad time": {"key.example.", secret, time.Now().Add(-time.Hour), dns.RcodeBadTime, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA)
			m.SetTsig(c.key, dns.HmacSHA256, 300, c.at.Unix())
			req, _, err := dns.TsigGenerate(m, c.secret, "", false)
			if err != nil {
				t.Fatal(err)
			}
			var raw []byte
			_ = p.answer(req, local, true, func(b []byte) error { raw = append(raw, b...); return nil })
			r := new(dns.Msg)
			if err := r.Unpack(raw); err != nil {
				t.Fatal(err)
			}
			sig := r.IsTsig()
			if r.Rcode != dns.RcodeNotAuth || sig == nil || sig.Error != c.want || sig.MACSize > 0 != c.signed {
				t.Fatalf("got %v", r)
			}
			if c.signed && (sig.TimeSigned != uint64(c.at.Unix()) || sig.OtherLen != 6) {
				t.Errorf("the client's time and ours are not told: %v", sig)
			}
		})
	}
}

func TestNotifyAtOnce(t *testing.T) {
	// A secondary that counts the NOTIFY messages it gets and may stay silent.
	type told struct {
		zone   string
		serial uint32
		at     time.Time
	}
	var mu sync.Mutex
	var got []told
	silent := 0
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan told, 100)
	srv := &dns.Server{PacketConn: pc, TsigSecret: map[string]string{"key.example.": secret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			if m.Opcode != dns.OpcodeNotify || m.IsTsig() == nil || w.TsigStatus() != nil || len(m.Answer) != 1 {
				t.Errorf("not a signed NOTIFY: %v %v", m, w.TsigStatus())
			}
			mu.Lock()
			defer mu.Unlock()
			e := told{m.Question[0].Name, m.Answer[0].(*dns.SOA).Serial, time.Now()}
			got = append(got, e)
			if silent > 0 {
				silent--
				return
			}
			r := new(dns.Msg).SetReply(m)
			r.SetTsig("key.example.", dns.HmacSHA256, 300, time.Now().Unix())
			w.WriteMsg(r)
			ch <- e
		})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })

	cfg := testConfig()
	cfg.Secondaries[0].Notify = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	p := newPrimary(t, cfg, clock.New())
	mustLoad(t, p, bZone, 1)
	run(t, p)
	seen := map[string]uint32{}
	next := func() told { // what is new: an acknowledgement that comes late has it sent again
		t.Helper()
		for {
			select {
			case e := <-ch:
				if was, ok := seen[e.zone]; ok && e.serial <= was {
					continue
				}
				seen[e.zone] = e.serial
				return e
			case <-time.After(8 * time.Second):
				t.Fatal("no NOTIFY")
			}
		}
	}
	if e := next(); e.zone != "b.rpz." || e.serial != 1 {
		t.Fatalf("after the start: got %+v", e)
	}
	// The other zone is told at once, whatever the first one did a moment ago.
	start := time.Now()
	mustLoad(t, p, pZone, 100)
	if e := next(); e.zone != "p.rpz." || e.serial != 100 || e.at.Sub(start) > 200*time.Millisecond {
		t.Errorf("first of the other zone: got %+v after %v", e, e.at.Sub(start))
	}
	// A burst is told once more, after the gap, with its last serial.
	for i := range uint32(50) {
		if err := p.Commit(pZone, Change{Serial: 101 + i}); err != nil {
			t.Fatal(err)
		}
	}
	for e := next(); e.serial != 150; e = next() {
		if e.serial != 101 {
			t.Errorf("in the burst: got %+v", e)
		}
	}
	// What is not acknowledged is sent again.
	time.Sleep(notifyGap)
	mu.Lock()
	silent = 1
	mu.Unlock()
	if err := p.Commit(pZone, Change{Serial: 200}); err != nil {
		t.Fatal(err)
	}
	if e := next(); e.serial != 200 {
		t.Errorf("after the loss: got %+v", e)
	}
	mu.Lock()
	if n := slices.IndexFunc(got, func(e told) bool { return e.serial == 200 }); n < 0 || len(got) < n+2 {
		t.Errorf("it was not sent twice: %+v", got)
	}
	mu.Unlock()
}

func TestCourier(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	c := newCourier(nil)
	due := func(serial uint32, wantSend bool, wantWait time.Duration) {
		t.Helper()
		if send, wait := c.due(serial, now); send != wantSend || wait != wantWait {
			t.Errorf("due(%d): got %v, %v, want %v, %v", serial, send, wait, wantSend, wantWait)
		}
	}
	due(0, false, 0) // nothing loaded
	due(1, true, 0)  // the first goes at once
	c.sent(1, now)
	due(1, false, time.Second)
	due(2, false, time.Second) // at most one a second
	now = now.Add(time.Second)
	due(2, true, 0)
	var waits []time.Duration
	for range 8 { // not acknowledged: doubling to a minute
		c.sent(2, now)
		c.answered(2, errors.New("timeout"), now)
		_, wait := c.due(2, now)
		waits = append(waits, wait)
		now = now.Add(wait)
		due(2, true, 0)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(waits, want) {
		t.Errorf("waits: got %v, want %v", waits, want)
	}
	due(3, true, 0) // a new serial does not wait for the back-off of the old
	c.sent(3, now)
	c.answered(3, nil, now)
	due(3, false, fetchFirst) // acknowledged, not fetched: told again later
	c.delivered(3, "ixfr", now)
	due(3, false, 0) // it has it
	now = now.Add(time.Hour)
	due(3, false, 0)
	c.shown(2, now) // it lost it
	due(3, true, 0)
}

func TestAsk(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 77, recs("evil.example "+string(warn4))...)
	at := run(t, p)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := Ask(ctx, at, bolwerk.MustDomain("evil.example.b.rpz"), "A")
	if err != nil || a.Rcode != "NOERROR" || len(a.Addresses) != 1 || a.Records[0] != "evil.example.b.rpz. 60 A 192.0.2.1" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := Ask(ctx, at, bZone, "NOSUCH"); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("no such type: got %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 1)
	at := run(t, p)
	var open []net.Conn
	for range maxPerAddress {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	one := func(c net.Conn) error {
		m := new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA)
		c.SetDeadline(time.Now().Add(3 * time.Second))
		co := &dns.Conn{Conn: c}
		if err := co.WriteMsg(m); err != nil {
			return err
		}
		_, err := co.ReadMsg()
		return err
	}
	for _, c := range open { // two questions on one connection
		if err := errors.Join(one(c), one(c)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := one(c); err == nil {
		t.Errorf("connection %d of one address is served", maxPerAddress+1)
	}
}

// resolver answers TXT questions from a table, as one that uses our zone does.
func resolver(t *testing.T, says func(name string) string) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if text := says(q.Question[0].Name); text != "" {
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}}}
		} else {
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestCanary(t *testing.T) {
	var table sync.Map
	at := resolver(t, func(name string) string {
		text, _ := table.Load(name)
		s, _ := text.(string)
		return s
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := Canary(ctx, at, canary); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("without the zone: got %v", err)
	}
	table.Store(canary.String()+".", "epoch=3 serial=77")
	if _, err := Canary(ctx, at, canary); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("loaded, new names not taken up: got %v", err)
	}
	table.Store("e3-s77."+canary.String()+".", "epoch=3 serial=77")
	if s, err := Canary(ctx, at, canary); err != nil || s != (State{77, 3}) {
		t.Errorf("in force: got %+v, %v", s, err)
	}
	table.Store(canary.String()+".", "epoch=3 serial=99999999999")
	if _, err := Canary(ctx, at, canary); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("a text that is none of ours: got %v", err)
	}
}

// TestAllAtOnce: commits, loads and transfers at the same time; every transfer
// is a whole zone of one state. (Worth its time under the race detector.)
func TestAllAtOnce(t *testing.T) {
	p := newPrimary(t, testConfig(), clock.New())
	mustLoad(t, p, bZone, 1)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { // each state has exactly ten blocks
		defer close(stop)
		var have []Record
		for serial := uint32(2); serial < 400; serial++ {
			c := Change{Serial: serial, Epoch: 1, Del: have}
			have = nil
			for i := range 10 {
				have = append(have, Record{Name: bolwerk.MustDomain(fmt.Sprintf("n%d-%d.example", serial, i)), Data: NXDomain})
			}
			c.Add = have
			var err error
			if serial%97 == 0 {
				err = p.Load(bZone, State{serial, 1}, seq(have), nil)
			} else {
				err = p.Commit(bZone, c)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for client := range 4 {
		wg.Go(func() {
			has := uint32(1)
			for {
				select {
				case <-stop:
					return
				default:
				}
				m := new(dns.Msg).SetAxfr("b.rpz.")
				if client%2 == 0 {
					m = new(dns.Msg).SetIxfr("b.rpz.", has, "a.", "b.")
				}
				all := rrs(ask(t, p, m, local, true))
				first, last := all[0].(*dns.SOA).Serial, all[len(all)-1].(*dns.SOA).Serial
				if first != last {
					t.Errorf("from serial %d to %d in one transfer", first, last)
				}
				has = first
				if _, is := all[min(1, len(all)-1)].(*dns.SOA); !is && first > 1 && len(all) != 10+5 {
					t.Errorf("whole zone at serial %d: got %d records, want 15", first, len(all))
				}
				p.Secondaries()
			}
		})
	}
	wg.Wait()
}
