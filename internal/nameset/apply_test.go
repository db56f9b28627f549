package nameset

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// One change costs the same, however many came before it and however many names
// there are. BOLWERK_BIG=1 asks at a million.
func BenchmarkApply(b *testing.B) {
	base := 50_000
	if os.Getenv("BOLWERK_BIG") != "" {
		base = 1_000_000
	}
	for _, before := range []int{0, 4_000, 30_000} {
		b.Run(fmt.Sprint(before), func(b *testing.B) {
			s := New()
			s.Reset(names(base))
			var put []Item
			for i := range before {
				put = append(put, item(uint64(base+i), fmt.Sprintf("n%d.changed.example", i), Self))
			}
			s.Apply(put, nil)
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				k := uint64(base + before + i)
				s.Apply([]Item{item(k, "one.example", Self|Below)}, nil)
				s.Apply(nil, []uint64{k})
			}
		})
	}
}

// A look-up beside changes sees each of them whole: of two names that change places
// in one Apply there is always exactly one, however often the delta is moved to a
// roomier one or folded into the base.
func TestApply_is_seen_whole(t *testing.T) {
	s := New()
	s.Reset(names(100))
	s.Apply([]Item{item(1000, "a.tree.example", Self)}, nil)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			a, b := wire("a.tree.example"), wire("b.tree.example")
			for {
				select {
				case <-stop:
					return
				default:
				}
				l := s.live.Load() // both in the same state
				n := 0
				count := func(Hit) bool { n++; return true }
				l.lookup(a, count)
				l.lookup(b, count)
				if n != 1 {
					t.Errorf("got %d of the two names, want 1", n)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if err := s.Compact(); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range uint64(20_000) {
		from, to, name := 1000+i%2, 1001-i%2, "b.tree.example"
		if i%2 == 1 {
			name = "a.tree.example"
		}
		if err := s.Apply([]Item{item(to, name, Self)}, []uint64{from}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if s.Len() != 101 {
		t.Errorf("got %d items, want 101", s.Len())
	}
}

// Changes that do not fit are refused before anything of them is seen.
func TestApply_refuses_all_or_nothing(t *testing.T) {
	s := New()
	s.Apply([]Item{item(1, "a.example", Self)}, nil)
	long := item(3, "c.example", Self)
	long.Payload = make([]byte, MaxPayload+1)
	if err := s.Apply([]Item{item(2, "b.example", Self), long}, []uint64{1}); err == nil {
		t.Error("a payload that is too long is taken")
	}
	s.Apply([]Item{item(4, "d.example", Self)}, nil)
	if s.Len() != 2 || len(keys(s, "a.example")) != 1 || len(keys(s, "b.example")) != 0 {
		t.Errorf("got %d items; something of the refused change is there", s.Len())
	}
}
