package edge

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"

	"github.com/miekg/dns"
)

func pulseTurn(n int64, blocked bool) Turn {
	return Turn{N: n, Name: PulseName(bolwerk.MustDomain("serial.zz-canary")), Blocked: blocked, At: noon}
}

// The pulse is blocked for everybody, whatever they chose, and counted by nobody; a
// turn that lets pass takes it away.
func TestPulse_is_blocked_and_not_counted(t *testing.T) {
	e, _ := viewsEdge(t, "198.51.100.7/32 opt_out L-1\n")
	head := copies.Head{Epoch: 1, Serial: 6, MadeAt: noon}
	if err := e.Apply(head, []copies.Entry{pulseTurn(1000, true).Entry()}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"198.51.100.7", "203.0.113.1"} {
		if !stopped(e, from, "t1000-0.pulse-serial.zz-canary") || stopped(e, from, "s1000.serial.zz-canary") {
			t.Errorf("%s: the pulse is not blocked, or more than it", from)
		}
	}
	if counts, _ := e.hits.collect(noon.Unix() / bucketSeconds); len(counts) != 0 {
		t.Errorf("counted: %v", counts)
	}
	if err := e.Apply(head, []copies.Entry{pulseTurn(1001, false).Entry()}); err != nil {
		t.Fatal(err)
	}
	if stopped(e, "203.0.113.1", "t1001-0.pulse-serial.zz-canary") {
		t.Error("blocked after the turn that lets pass")
	}
}

// An edge asks itself over DNS and tells when its answer is the turn's; each question
// is for another name.
func TestPulse_is_felt(t *testing.T) {
	e, _, _ := testEdge(t)
	told := make(chan Felt, 10)
	e.handIn = func(_ context.Context, kind string, body []byte) error {
		f, err := DecodeFelt(body)
		if kind != KindPulse || err != nil {
			t.Errorf("%s %s: %v", kind, body, err)
		}
		told <- f
		return nil
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var blocks atomic.Bool
	names := map[string]bool{}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		if name := q.Question[0].Name; strings.HasSuffix(name, ".pulse-serial.zz-canary.") {
			if names[name] {
				t.Errorf("asked twice for %s", name)
			}
			names[name] = true
			if len(names) > 2 { // it takes the turn up late
				blocks.Store(true)
			}
			if blocks.Load() {
				m.Rcode = dns.RcodeSuccess
				rr, _ := dns.NewRR(name + " 60 IN A " + e.cfg.WarningAddresses[0])
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	defer server.Shutdown()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if err := e.Apply(copies.Head{Epoch: 1, Serial: 6, MadeAt: noon}, []copies.Entry{pulseTurn(1000, true).Entry()}); err != nil {
		t.Fatal(err)
	}
	go func() { done <- e.Pulse(ctx, netip.MustParseAddrPort(conn.LocalAddr().String())) }()
	var force, service bool
	for !force || !service {
		f := <-told
		force = force || f.Turn == 1000 && f.Force != nil && f.Force.In && blocks.Load()
		service = service || f.Turn == 1000 && f.Service != nil && f.Service.Answered
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(names) < 3 {
		t.Errorf("in force after %d questions", len(names))
	}
}

func TestReadTurn(t *testing.T) {
	for _, want := range []Turn{pulseTurn(7, true), pulseTurn(8, false)} {
		if got, ok := ReadTurn(want.Entry()); !ok || got != want {
			t.Errorf("got %+v %v, want %+v", got, ok, want)
		}
	}
	e := rule("B-1", "a.example", nil).Entry(PulseEntry, 1)
	if _, ok := ReadTurn(e); ok {
		t.Error("a block under the pulse's id is no turn")
	}
}

func FuzzDecodeFelt(f *testing.F) {
	for _, felt := range []Felt{{Turn: 1, Force: &FeltForce{In: true}}, {Turn: 2, Force: &FeltForce{Problem: "x"}}, {Turn: 3, Service: &FeltService{true, time.Second}}} {
		b, _ := json.Marshal(felt)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeFelt(b)
		if err != nil {
			return
		}
		if got.Turn <= 0 || got.Force == nil && got.Service == nil || got.Force != nil && len(got.Force.Problem) > maxFelt || got.Service != nil && got.Service.Took < 0 {
			t.Errorf("taken: %+v", got)
		}
	})
}
