package nameset

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
)

func item(key uint64, name string, f Flags) Item {
	return Item{key, bolwerk.MustDomain(name), f, fmt.Appendf(nil, "p%d", key)}
}

func wire(s string) []byte {
	var b []byte
	for _, l := range strings.Split(s, ".") {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

func keys(s *Set, name string) (got []uint64) {
	s.Lookup(wire(name), func(h Hit) bool {
		if string(h.Payload) != fmt.Sprintf("p%d", h.Key) {
			panic("payload of another item")
		}
		got = append(got, h.Key)
		return true
	})
	return got
}

func TestLookup(t *testing.T) {
	s := New()
	s.Reset(func(yield func(Item) bool) {
		_ = yield(item(1, "evil.example", Self)) &&
			yield(item(2, "tree.example", Self|Below)) &&
			yield(item(3, "deep.tree.example", Self|Below)) &&
			yield(item(4, "shop.example", Self|WWW)) &&
			yield(item(5, "evil.example", Self)) &&
			yield(item(6, "example", Below))
	})
	for name, want := range map[string]string{
		"evil.example":         "[6 1 5]",
		"www.evil.example":     "[6]",
		"notevil.example":      "[6]",
		"tree.example":         "[6 2]",
		"a.b.tree.example":     "[6 2]",
		"x.deep.tree.example":  "[6 2 3]",
		"www.shop.example":     "[6 4]",
		"www.www.shop.example": "[6]",
		"shop.example":         "[6 4]",
		"w.shop.example":       "[6]",
		"example":              "[]",
		"evil.exampl":          "[]",
		"evil.example.org":     "[]",
		"ev.il.example":        "[6]",
		strings.Repeat("a.", 120) + "tree.example": "[6 2]",
	} {
		if got := fmt.Sprint(keys(s, name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	// A dot or a foreign octet inside a label is not the listed name.
	for _, w := range []string{"\x0cevil.example\x00", "\x04evil\x08exam.ple\x00", "\x04ev\x00l\x07example\x00"} {
		s.Lookup([]byte(w), func(h Hit) bool {
			if h.Key != 6 {
				t.Errorf("%q hits item %d", w, h.Key)
			}
			return true
		})
	}
	for _, w := range []string{"", "\x00", "\x04evil", "\x40", "\xc0\x0c", "\x04evil\x07example"} {
		s.Lookup([]byte(w), func(h Hit) bool { t.Errorf("%q hits", w); return true })
	}
}

func TestLookup_allocates_nothing(t *testing.T) {
	s := New()
	s.Apply([]Item{item(1, "tree.example", Self|Below)}, nil)
	w, n := wire("www.some.tree.example"), 0
	if a := testing.AllocsPerRun(100, func() { s.Lookup(w, func(h Hit) bool { n += int(h.Payload[0]); return true }) }); a != 0 {
		t.Errorf("got %v allocations, want 0", a)
	}
}

// An item is visited once, whatever tag its name has: names of every hash of the
// process, each alone in its bucket and first in the arena.
func TestLookup_visits_an_item_once(t *testing.T) {
	for i := range 5000 {
		name := fmt.Sprintf("n%d.example", i)
		s := New()
		if err := s.Apply([]Item{item(256, name, Self|Below)}, nil); err != nil {
			t.Fatal(err)
		}
		if got := keys(s, name); len(got) != 1 {
			t.Fatalf("%s is visited %d times", name, len(got))
		}
	}
}

// The set is a map with suffixes, whatever the order of changes and rebuilds.
func TestSet_equals_a_map(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s, model := New(), map[uint64]Item{}
	labels := []string{"a", "b", "cc", "www", "x-1", "verylonglabelindeed_1", "d"}
	name := func() string {
		var l []string
		for range 1 + r.IntN(4) {
			l = append(l, labels[r.IntN(len(labels))])
		}
		return strings.Join(append(l, "example"), ".")
	}
	for round := range 300 {
		var put []Item
		var rem []uint64
		for range r.IntN(40) {
			it := item(uint64(r.IntN(500)), name(), []Flags{Self, Self | Below, Self | WWW}[r.IntN(3)])
			put = append(put, it)
		}
		for range r.IntN(20) {
			rem = append(rem, uint64(r.IntN(500)))
		}
		if err := s.Apply(put, rem); err != nil {
			t.Fatal(err)
		}
		for _, k := range rem {
			delete(model, k)
		}
		for _, it := range put {
			model[it.Key] = it
		}
		if round%37 == 36 {
			if err := s.Compact(); err != nil {
				t.Fatal(err)
			}
		}
		if s.Len() != len(model) {
			t.Fatalf("round %d: got %d items, want %d", round, s.Len(), len(model))
		}
		for range 20 {
			q := name()
			want := map[uint64]bool{}
			for k, it := range model {
				d, n := bolwerk.MustDomain(q), it.Name
				if d == n || it.Flags&Below != 0 && d.Below(n) || it.Flags&WWW != 0 && q == "www."+n.String() {
					want[k] = true
				}
			}
			got := keys(s, q)
			for _, k := range got {
				if !want[k] {
					t.Fatalf("%s: item %d hit, not expected", q, k)
				}
				delete(want, k)
			}
			if len(want) > 0 {
				t.Fatalf("%s: items %v not hit", q, want)
			}
		}
	}
	seen := 0
	s.Each(func(it Item) bool {
		seen++
		if m := model[it.Key]; m.Name != it.Name || m.Flags != it.Flags {
			t.Errorf("item %d: got %v, want %v", it.Key, it, m)
		}
		if f, ok := s.Find(it.Key); !ok || f.Name != it.Name {
			t.Errorf("item %d is not found by its key", it.Key)
		}
		return true
	})
	if seen != len(model) {
		t.Errorf("got %d items, want %d", seen, len(model))
	}
}

// A change that comes while the base is rebuilt is not lost, and look-ups never
// see a name missing that was there all the time.
func TestCompact_beside_changes_and_look_ups(t *testing.T) {
	s := New()
	s.Reset(func(yield func(Item) bool) {
		for i := range uint64(20000) {
			if !yield(item(i, fmt.Sprintf("n%d.example", i), Self)) {
				return
			}
		}
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		w := wire("n7.example")
		for {
			select {
			case <-stop:
				return
			default:
			}
			n := 0
			s.Lookup(w, func(Hit) bool { n++; return true })
			if n != 1 {
				t.Errorf("got %d hits, want 1", n)
				return
			}
		}
	})
	wg.Go(func() {
		for range 5 {
			s.Compact()
			runtime.GC()
		}
	})
	for i := range uint64(200) {
		s.Apply([]Item{item(100000+i, fmt.Sprintf("m%d.example", i), Self)}, []uint64{10000 + i})
	}
	close(stop)
	wg.Wait()
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	if s.Len() != 20000 {
		t.Errorf("got %d items, want 20000", s.Len())
	}
	for i := range 200 {
		if len(keys(s, fmt.Sprintf("m%d.example", i))) != 1 || len(keys(s, fmt.Sprintf("n%d.example", 10000+i))) != 0 {
			t.Fatalf("change %d is lost", i)
		}
	}
}

func TestReset_refuses_what_does_not_fit(t *testing.T) {
	s := New()
	s.Apply([]Item{item(1, "a.example", Self)}, nil)
	err := s.Reset(func(yield func(Item) bool) {
		yield(Item{Key: 2, Name: bolwerk.MustDomain("b.example"), Payload: make([]byte, MaxPayload+1)})
	})
	if err == nil || s.Len() != 1 {
		t.Errorf("got %v and %d items, want a refusal and the one item", err, s.Len())
	}
}

func names(n int) func(func(Item) bool) {
	return func(yield func(Item) bool) {
		r := rand.New(rand.NewPCG(3, 4))
		pay := make([]byte, 12)
		for i := range n {
			b := make([]byte, 6+r.IntN(17))
			for j := range b {
				b[j] = alphabet[1+r.IntN(36)]
			}
			if !yield(Item{uint64(i), bolwerk.MustDomain(fmt.Sprintf("%s%x.example", b, i&0xff)), Self | Below, pay}) {
				return
			}
		}
	}
}

// BOLWERK_BIG=1 shows load time and memory of a million names.
func TestSize(t *testing.T) {
	n := 50_000
	if os.Getenv("BOLWERK_BIG") != "" {
		n = 1_000_000
	}
	s := New()
	start := time.Now()
	if err := s.Reset(names(n)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d names: %.1f octets each, loaded in %v", n, float64(s.Bytes())/float64(n), time.Since(start))
	start = time.Now()
	s.Compact()
	t.Logf("rebuilt in %v", time.Since(start))
	if per := s.Bytes() / n; per > 56 {
		t.Errorf("got %d octets a name, want at most 56", per)
	}
}

func BenchmarkLookup(b *testing.B) {
	s := New()
	s.Reset(names(1_000_000))
	var hit [][]byte
	s.Each(func(it Item) bool {
		hit = append(hit, AppendWire(append([]byte{1}, 'x'), it.Name))
		return len(hit) < 1<<16
	})
	rand.Shuffle(len(hit), func(i, j int) { hit[i], hit[j] = hit[j], hit[i] })
	for _, c := range []struct {
		name string
		w    func(i int) []byte
	}{
		{"hit", func(i int) []byte { return hit[i&(1<<16-1)] }},
		{"miss", func(i int) []byte { hit[i&(1<<16-1)][5] ^= 1; return hit[i&(1<<16-1)] }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				s.Lookup(c.w(i), func(Hit) bool { n++; return true })
			}
		})
	}
}

func FuzzLookup(f *testing.F) {
	s := New()
	s.Apply([]Item{item(1, "tree.example", Self|Below), item(2, "shop.example", Self|WWW)}, nil)
	f.Add(wire("a.tree.example"))
	f.Add(wire("www.shop.example"))
	f.Add([]byte("\x0ctree.example\x00"))
	f.Fuzz(func(t *testing.T, w []byte) {
		s.Lookup(w, func(h Hit) bool {
			tail := "\x04tree\x07example\x00"
			if h.Key == 2 {
				tail = "\x04shop\x07example\x00"
			}
			if string(w[h.Suffix:][:len(tail)]) != tail {
				t.Errorf("%q hits item %d", w, h.Key)
			}
			return true
		})
	})
}
