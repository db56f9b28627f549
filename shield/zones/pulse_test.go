package zones

import (
	"log/slog"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
)

// The pulse goes the way of a block through the two small zones, and never into the
// cold one, which large resolvers take up slowly. It is no real publication.
func TestPulse(t *testing.T) {
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	c := clock.NewFake(at)
	primary, err := rpz.New(rpz.DefaultConfig(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	z := New(primary, nil, c)
	real := edge.Rule{Block: "B-1", Name: bolwerk.MustDomain("bad.example"), Scope: bolwerk.ScopeHost, Action: edge.NXDomain, Since: at}
	z.Hold("1", real)
	if err := z.Load(rpz.State{Serial: 10, Epoch: 1}, [2][]rpz.Change{}, nil); err != nil {
		t.Fatal(err)
	}
	names := func(zone bolwerk.Domain) (n int) {
		for r := range z.Each(zone) {
			if r.Name.String() == "pulse-serial.zz-canary" {
				n++
			}
		}
		return n
	}
	for i := range 6 {
		c.Add(10 * time.Minute)
		turn := edge.Turn{N: int64(i + 1), Name: edge.PulseName(bolwerk.MustDomain("serial.zz-canary")), Blocked: i%2 == 0, At: c.Now()}
		serial := uint32(11 + i)
		if err := z.Step(copy.Batch{Epoch: 1, Serial: int64(serial), Entries: []copy.Entry{turn.Entry()}}); err != nil {
			t.Fatal(err)
		}
		pass, hot := 2, 0
		if turn.Blocked {
			pass, hot = 0, 2
		}
		if p, h, b := names(Pass), names(Hot), names(Block); p != pass || h != hot || b != 0 {
			t.Errorf("turn %d: %d, %d, %d in p, h, b; want %d, %d, 0", i, p, h, b, pass, hot)
		}
		for zone, want := range map[bolwerk.Domain]int{Pass: pass, Hot: 1 + hot, Block: 1} {
			s, records, _ := primary.At(zone)
			if records != want || zone != Block && s.Serial != serial || zone == Block && s.Serial != 10 {
				t.Errorf("turn %d: %s is served with %d records at %d, want %d", i, zone, records, s.Serial, want)
			}
		}
	}
	if z.Real() != 10 || z.Urgent() != 0 {
		t.Errorf("real %d, urgent %d: the pulse counts as a block", z.Real(), z.Urgent())
	}
	if _, _, ok := z.Blocks(bolwerk.MustDomain("x.pulse-serial.zz-canary")); ok {
		t.Error("answers of the pulse would be counted")
	}
	if err := z.Load(rpz.State{Serial: 20, Epoch: 1}, [2][]rpz.Change{}, nil); err != nil {
		t.Error(err)
	}
}
