package shield

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/publish"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// pulsing is a desk with a feed whose pulse runs, two edges and no resolver.
func pulsing(t *testing.T) (*testShield, *Feed) {
	t.Helper()
	s := newShield(t)
	primary, err := rpz.New(rpz.DefaultConfig(), s.clock, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFeed(s.publish, s.db, primary, nil, edge.PulseName(bolwerk.MustDomain("serial.zz-canary")), s.clock, slog.New(slog.DiscardHandler))
	s.Follow(f)
	s.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into host(name,role,join_id,key_hash,joined_at,revoked_at,seen_at,seen_head) values('edge-1','edge','j','k',$1,0,0,''),('edge-2','edge','j','k',$1,0,0,'')`, tx.NowMicros())
		return err
	})
	if err := f.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, f
}

// beatOnce lets a minute pass and publishes the next turn.
func (s *testShield) beatOnce(f *Feed) (t edge.Turn) {
	s.t.Helper()
	s.clock.Add(beatEvery)
	if err := f.beat(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := f.follow(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.read(func(tx *store.Tx) error {
		e, err := publish.Entry(tx, CopyBlocks, edge.PulseEntry)
		t, _ = edge.ReadTurn(e)
		return err
	})
	for _, name := range []string{"edge-1", "edge-2"} { // both follow the copy
		s.hear(name, "edge", f.stand.Epoch, f.stand.Serial, s.clock.Now(), time.Time{})
	}
	if err := s.reached(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return t
}

func (s *testShield) tellFelt(host string, f edge.Felt) {
	s.t.Helper()
	body, err := json.Marshal(f)
	if err == nil {
		err = s.Receive(s.t.Context(), host, edge.KindPulse, "x", body)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *testShield) pulseNow() map[string]Target {
	s.t.Helper()
	p, err := s.Pulse(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]Target{}
	for _, x := range p.Targets {
		out[x.Name] = x
	}
	return out
}

// The pulse is blocked and let pass by turns; each edge's time is that from the
// decision to the desk's hearing of it; who misses it is late after a minute; and
// the pulse is in no figure.
func TestPulse(t *testing.T) {
	s, f := pulsing(t)
	in := edge.Felt{Force: &edge.FeltForce{In: true}}
	var last edge.Turn
	for i := range 4 {
		turn := s.beatOnce(f)
		if turn.N <= last.N || i > 0 && turn.Blocked == last.Blocked || turn.Name.String() != "pulse-serial.zz-canary" {
			t.Fatalf("turn %d is %+v after %+v", i, turn, last)
		}
		last = turn
		s.clock.Add(80 * time.Millisecond)
		in.Turn = turn.N
		s.tellFelt("edge-1", in)
		s.tellFelt("edge-1", edge.Felt{Turn: turn.N, Service: &edge.FeltService{Answered: true, Took: 30 * time.Millisecond}})
		if i == 0 {
			s.tellFelt("edge-2", in)
		}
	}
	got := s.pulseNow()
	one, two := got["edge-1"], got["edge-2"]
	if one.State != "in_force" || one.Took != 80*time.Millisecond || one.Half != one.Took || one.Turns != 4 || one.Missed != 0 || one.Answer != 30*time.Millisecond || !one.Answered {
		t.Errorf("edge-1: %+v", one)
	}
	if two.State != "late" || two.Turns != 4 || two.Missed != 2 || !two.LateSince.Equal(last.At.Add(-2*(beatEvery+80*time.Millisecond))) {
		t.Errorf("edge-2: %+v", two)
	}
	s.tellFelt("edge-2", edge.Felt{Turn: last.N, Force: &edge.FeltForce{Problem: "lets pass what is blocked"}})
	s.tellFelt("edge-2", edge.Felt{Turn: last.N - 100, Force: &edge.FeltForce{In: true}}) // of nobody's turn
	n, err := s.Now(t.Context())
	if err != nil || n.InForce != 0 || n.Hits != (Hits{}) || !strings.Contains(strings.Join(n.Alarms, "\n"), "At edge-2 decisions have not come into force in time for 2 min. (lets pass what is blocked)") {
		t.Errorf("now: %d in force, %v, %v %v", n.InForce, n.Hits, n.Alarms, err)
	}
	s.tellFelt("edge-2", in)
	if two = s.pulseNow()["edge-2"]; two.State != "in_force" || two.Problem != "" {
		t.Errorf("edge-2, caught up: %+v", two)
	}
	s.read(func(tx *store.Tx) error {
		for _, q := range []string{`select count(*) from shield_block`, `select count(*) from shield_undo`, `select count(*) from desk_case`, `select count(*) from copy_entry where copy='public'`} {
			var n int64
			if err := tx.Row(q).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d %v", q, n, err)
			}
		}
		return nil
	})
	s.clock.Add(pulseKeep + time.Minute)
	s.write(forgetPulse)
	if one = s.pulseNow()["edge-1"]; one.Turns != 0 {
		t.Errorf("two days later: %+v", one)
	}
}

// The pulse goes by the hot zone: a resolver that is known to list none is not late
// for it.
func TestPulse_resolver_without_the_hot_zone(t *testing.T) {
	s := newShield(t)
	cfg := rpz.DefaultConfig()
	for name, without := range map[string][]bolwerk.Domain{"full": nil, "cold": {HotZone}} {
		cfg.Secondaries = append(cfg.Secondaries, rpz.Secondary{Name: name, Without: without, From: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	}
	primary, err := rpz.New(cfg, s.clock, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFeed(s.publish, s.db, primary, nil, edge.PulseName(bolwerk.MustDomain("serial.zz-canary")), s.clock, slog.New(slog.DiscardHandler))
	s.Follow(f)
	s.Shield.ask = map[string]netip.AddrPort{"full": {}, "cold": {}, "nobody's secondary": {}}
	if err := f.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.beatOnce(f)
	s.clock.Add(2 * lateAfter)
	got := s.pulseNow()
	if len(got) != 2 || got["full"].State == "in_force" || got["nobody's secondary"].State == "in_force" {
		t.Errorf("targets %+v", got)
	}
	if watched := f.watched(); len(watched) != 2 {
		t.Errorf("watched are %q", watched)
	}
}

// A second desk at the same store makes no second turn of a minute.
func TestPulse_two_desks(t *testing.T) {
	s, f := pulsing(t)
	first := s.beatOnce(f)
	s.clock.Add(2 * time.Second)
	s.write(f.nextTurn)
	s.read(func(tx *store.Tx) error {
		e, err := publish.Entry(tx, CopyBlocks, edge.PulseEntry)
		if again, _ := edge.ReadTurn(e); err != nil || again.N != first.N {
			t.Errorf("got %+v %v after %+v", again, err, first)
		}
		return nil
	})
}

// The limits of Implementing Regulation (EU) 2024/2690, art. 5 (a) and (b): more than
// 30 minutes without any answer; for more than an hour more than 10 s on average.
func TestService(t *testing.T) {
	begin := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	good := func(ms int64) serviceTurn {
		return serviceTurn{asked: 2, answered: 2, took: 2 * time.Duration(ms) * time.Millisecond}
	}
	half := serviceTurn{asked: 2, answered: 1, took: 12*time.Second + 10*time.Millisecond}
	none := serviceTurn{asked: 2, took: 24 * time.Second}
	times := func(n int, t serviceTurn) (out []serviceTurn) {
		for range n {
			out = append(out, t)
		}
		return out
	}
	for name, c := range map[string]struct {
		turns              [][]serviceTurn
		after              time.Duration // now is so long after the last turn
		away, worst, mean  time.Duration
		awayOver, meanOver bool
	}{
		"nothing asked":           {},
		"all well":                {turns: [][]serviceTurn{times(90, good(20))}, mean: 20 * time.Millisecond},
		"one of two is away":      {turns: [][]serviceTurn{times(90, half)}, mean: 6005 * time.Millisecond},
		"away for 30 minutes":     {turns: [][]serviceTurn{times(1, good(20)), times(30, none)}, after: time.Minute, away: 30 * time.Minute, worst: 30 * time.Minute, mean: (30*24*time.Second + 40*time.Millisecond) / 62},
		"away for 31 minutes":     {turns: [][]serviceTurn{times(1, good(20)), times(31, none)}, after: time.Minute, away: 31 * time.Minute, worst: 31 * time.Minute, mean: (31*24*time.Second + 40*time.Millisecond) / 64, awayOver: true},
		"over and well again":     {turns: [][]serviceTurn{times(40, none), times(70, good(20))}, worst: 40 * time.Minute, mean: 20 * time.Millisecond},
		"slow for an hour":        {turns: [][]serviceTurn{times(70, good(10_500))}, mean: 10_500 * time.Millisecond, meanOver: true},
		"slow for half an hour":   {turns: [][]serviceTurn{times(30, good(11_000))}, mean: 11 * time.Second},
		"nobody has looked since": {turns: [][]serviceTurn{times(40, none)}, after: time.Hour, worst: 39 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var all []serviceTurn
			now := begin
			for _, some := range c.turns {
				for _, x := range some {
					x.at = begin.Add(time.Duration(len(all)) * time.Minute)
					all, now = append(all, x), x.at
				}
			}
			got := serviceOf(all, now.Add(c.after))
			away, mean := got.Indicators[0], got.Indicators[1]
			if away.Now != c.away || away.Worst != c.worst || away.Over != c.awayOver || away.WasOver != (c.worst > unavailableLimit) {
				t.Errorf("unavailable: got %+v", away)
			}
			if mean.Now != c.mean || mean.Over != c.meanOver {
				t.Errorf("response time: got %+v, want %v", mean, c.mean)
			}
		})
	}
}
