package rpz

import (
	"fmt"
	"runtime"
	"testing"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
)

// million is a zone of a million names, each with all below it, A and AAAA.
func million(b *testing.B) *Primary {
	p := newPrimary(b, testConfig(), clock.New())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	records := func(yield func(Record, error) bool) {
		for i := range 1_000_000 {
			name := bolwerk.MustDomain(fmt.Sprintf("some-name-%d.example", i))
			for _, d := range []Data{warn4, warn6} {
				if !yield(Record{name, false, d}, nil) || !yield(Record{name, true, d}, nil) {
					return
				}
			}
		}
	}
	if err := p.Load(bZone, State{1, 1}, records, nil); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("a million names, 4 million records: %d MB", (after.HeapAlloc-before.HeapAlloc)>>20)
	return p
}

func BenchmarkCommitInAMillion(b *testing.B) {
	p := million(b)
	serial := uint32(1)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		serial++
		d := bolwerk.MustDomain(fmt.Sprintf("new%d.example", serial))
		if err := p.Commit(bZone, Change{Serial: serial, Epoch: 1, Add: []Record{{d, false, warn4}, {d, true, warn4}, {d, false, warn6}, {d, true, warn6}}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIXFRInAMillion(b *testing.B) {
	p := million(b)
	if err := p.Commit(bZone, Change{Serial: 2, Epoch: 1, Add: recs("new.example CNAME .")}); err != nil {
		b.Fatal(err)
	}
	req := request(b, new(dns.Msg).SetIxfr("b.rpz.", 1, "a.", "b."))
	b.ResetTimer()
	for b.Loop() {
		if err := p.answer(req, local, true, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAXFROfAMillion(b *testing.B) {
	p := million(b)
	req := request(b, new(dns.Msg).SetAxfr("b.rpz."))
	n := 0
	b.ResetTimer()
	for b.Loop() {
		if err := p.answer(req, local, true, func(m []byte) error { n += len(m); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(n / b.N))
}
