package edge

import (
	"fmt"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"
)

// tellAll gathers what the worker counted: it gives it out at its next question.
func (e *Edge) tellAll(t *testing.T) {
	t.Helper()
	day := e.now.Load() / 86400
	e.asked.gather(day)
	for i := range e.asked.workers {
		ask(e, "next.example", dnsserve.TypeA, func(q *dnsserve.Question) { q.Worker = i })
	}
	e.asked.gather(day)
	e.tellAsked(t.Context())
}

func TestAsked_names_that_customers_use(t *testing.T) {
	e, _, d := testEdge(t)
	for i := range 3000 {
		if i%2 == 0 {
			ask(e, "busy.example", dnsserve.TypeA, nil)
		}
		ask(e, fmt.Sprintf("x%d.flood.example", i), dnsserve.TypeA, nil) // asked for once each
	}
	e.tellAll(t)
	if len(d.got) != 1 || d.got[0].kind != KindAsked {
		t.Fatalf("handed in: %+v", d.got)
	}
	a, err := DecodeAsked(d.got[0].body)
	if err != nil || len(a.Names) != 1 || a.Names[0].Name != bolwerk.MustDomain("busy.example") || a.Names[0].N < 1000 || a.Names[0].N > 1500 || a.Day.Hour() != 0 {
		t.Errorf("got %+v, %v", a, err)
	}
	d.got = nil
	e.tellAsked(t.Context())
	if len(d.got) > 0 {
		t.Error("told again though nothing changed")
	}
}

// TestAsked_is_bounded: a flood of names costs one table and never a name that is
// asked for often.
func TestAsked_is_bounded(t *testing.T) {
	a := newAsked(1)
	name := func(i int) []byte { return nameset.AppendWire(nil, bolwerk.MustDomain(fmt.Sprintf("n%d.example", i))) }
	busy := nameset.AppendWire(nil, bolwerk.MustDomain("busy.example"))
	for i := range 200_000 {
		a.count(0, name(i))
		if i%20 == 0 {
			a.count(0, busy)
		}
	}
	a.gather(1)
	a.count(0, busy)
	a.gather(1)
	if len(a.sums) > askedSets*askedWays {
		t.Errorf("%d names", len(a.sums))
	}
	if n := a.sums[string(busy)]; n == 0 || n > 10_000 {
		t.Errorf("busy.example: %d of 10,000", n)
	}
	a.count(0, append([]byte{60}, []byte(strings.Repeat("a", 200))...)) // too long
	a.count(-1, busy)
	a.gather(2)
	if len(a.sums) > 0 {
		t.Errorf("a new day begins with %v", a.sums)
	}
}

func FuzzDecodeAsked(f *testing.F) {
	f.Add([]byte(`{"boot":"b","day":"2026-03-14T00:00:00Z","names":[{"name":"a.example","n":7}]}`))
	f.Add([]byte(`{"boot":"b","day":"2026-03-14T00:00:00Z","names":[{"name":"","n":7}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAsked(b)
		if err != nil {
			return
		}
		if a.Boot == "" || len(a.Names) > askedTell {
			t.Errorf("taken: %+v", a)
		}
		for _, n := range a.Names {
			if n.Name.IsZero() || n.N > maxAsked {
				t.Errorf("taken: %+v", n)
			}
		}
	})
}

func BenchmarkAsked(b *testing.B) {
	a := newAsked(1)
	names := make([][]byte, 4096)
	for i := range names {
		names[i] = nameset.AppendWire(nil, bolwerk.MustDomain(fmt.Sprintf("n%d.example", i)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.count(0, names[i*i%4096])
	}
}
