package nameset

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"bolwerk"
)

func full(t testing.TB) *Set {
	s := New()
	if err := s.Reset(func(yield func(Item) bool) {
		for i := range uint64(3000) {
			if !yield(item(i, fmt.Sprintf("n%d.tree-%d.example", i, i%7), Self|Below)) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.Apply([]Item{item(5, "other.example", Self), item(9000, "new.example", Self|WWW)}, []uint64{7, 8})
	return s
}

func about(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }

func TestSnapshot(t *testing.T) {
	s := full(t)
	var b bytes.Buffer
	if err := s.Save(&b, about("meta")); err != nil {
		t.Fatal(err)
	}
	got := New()
	meta, err := got.Restore(bytes.NewReader(b.Bytes()))
	if err != nil || string(meta) != "meta" || got.Len() != s.Len() {
		t.Fatalf("got %q, %d items, %v; want %d", meta, got.Len(), err, s.Len())
	}
	s.Each(func(it Item) bool {
		f, ok := got.Find(it.Key)
		if !ok || f.Name != it.Name || f.Flags != it.Flags || !bytes.Equal(f.Payload, it.Payload) {
			t.Errorf("item %d: got %v, want %v", it.Key, f, it)
		}
		if k := keys(got, it.Name.String()); len(k) != 1 || k[0] != it.Key {
			t.Errorf("%s: got %v", it.Name, k)
		}
		return true
	})
	for _, gone := range []string{"n7.tree-0.example", "n8.tree-1.example", "n5.tree-5.example"} {
		if k := keys(got, gone); len(k) != 0 {
			t.Errorf("%s is back: %v", gone, k)
		}
	}
}

// However a write was torn, or which bit the disk changed: the snapshot is refused
// and the set serves what it had.
func TestSnapshot_torn(t *testing.T) {
	var b bytes.Buffer
	if err := full(t).Save(&b, about("meta")); err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Apply([]Item{item(1, "old.example", Self)}, nil)
	refused := func(what string, file []byte) {
		if _, err := s.Restore(bytes.NewReader(file)); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Fatalf("%s: got %v, want a refusal", what, err)
		}
		if s.Len() != 1 || len(keys(s, "old.example")) != 1 {
			t.Fatalf("%s: the set changed", what)
		}
	}
	for n := 0; n < b.Len(); n += 1 + n/40 {
		refused(fmt.Sprintf("cut at %d", n), b.Bytes()[:n])
		bad := bytes.Clone(b.Bytes())
		bad[n] ^= 1 << (n % 8)
		refused(fmt.Sprintf("bit at %d", n), bad)
		clear(bad[n:])
		bad[0] = 'b' // its end was never written, and reads as zeros
		refused(fmt.Sprintf("zeros from %d", n), bad)
	}
}

// BOLWERK_BIG=1 shows how long a million names take.
func TestSnapshot_size(t *testing.T) {
	n := 20_000
	if os.Getenv("BOLWERK_BIG") != "" {
		n = 1_000_000
	}
	s := New()
	s.Reset(names(n))
	var b bytes.Buffer
	start := time.Now()
	if err := s.Save(&b, about("")); err != nil {
		t.Fatal(err)
	}
	saved := time.Since(start)
	start = time.Now()
	if _, err := New().Restore(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d names: saved in %v, loaded in %v", n, saved, time.Since(start))
}

// FuzzRestore: whatever the file holds, no panic, and what is taken can be asked
// and saved again.
func FuzzRestore(f *testing.F) {
	s := New()
	s.Apply([]Item{item(1, "tree.example", Self|Below), item(2, "shop.example", Self|WWW)}, nil)
	var b bytes.Buffer
	s.Save(&b, about("m"))
	f.Add(b.Bytes(), true)
	f.Add(b.Bytes()[:20], false)
	f.Fuzz(func(t *testing.T, file []byte, mend bool) {
		if mend && len(file) > 4 { // else the sum keeps the fuzzer out
			file = mended(file)
		}
		s := New()
		if _, err := s.Restore(bytes.NewReader(file)); err != nil {
			return
		}
		n := 0
		s.Each(func(it Item) bool {
			n++
			if it.Flags&Self != 0 && len(keysOf(s, it.Name)) == 0 {
				t.Errorf("%s is not found", it.Name)
			}
			return true
		})
		if n != s.Len() {
			t.Errorf("got %d items, want %d", n, s.Len())
		}
		if err := s.Save(&bytes.Buffer{}, about("")); err != nil {
			t.Error(err)
		}
	})
}

func mended(file []byte) []byte {
	out := &bytes.Buffer{}
	w := &summed{w: out}
	w.write(file[:len(file)-4])
	return append(out.Bytes(), byte(w.sum), byte(w.sum>>8), byte(w.sum>>16), byte(w.sum>>24))
}

func keysOf(s *Set, d bolwerk.Domain) (got []uint64) {
	s.LookupName(d, func(h Hit) bool { got = append(got, h.Key); return true })
	return got
}
