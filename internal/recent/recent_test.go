package recent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bolwerk"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestWindow(t *testing.T) {
	w := NewWindow[int](time.Minute, 2)
	for i, s := range []string{"a", "b", "c"} {
		w.Set(noon.Add(time.Duration(i)*time.Second), KeyOf(s), i)
	}
	if _, ok := w.Find(noon, KeyOf("a")); ok {
		t.Error("three are kept, want at most two")
	}
	if v, ok := w.Find(noon.Add(time.Minute), KeyOf("b")); !ok || v != 1 {
		t.Errorf("b: got %d, %v", v, ok)
	}
	if _, ok := w.Find(noon.Add(time.Minute+time.Second), KeyOf("b")); ok {
		t.Error("b is kept for longer than a minute")
	}
	w.Drop(KeyOf("c"))
	if len(w.known) != 0 || w.order.Len() != 0 {
		t.Errorf("%d values and %d places are left", len(w.known), w.order.Len())
	}
}

func TestRequests(t *testing.T) {
	now := func() time.Time { return noon }
	q := NewRequests(time.Minute, 100)
	key, digest := KeyOf("key"), KeyOf("body")
	bad := errors.New("the disk is full")
	if _, err := q.Once(now, key, digest, func() (bolwerk.Token, error) { return bolwerk.Token{}, bad }); err != bad {
		t.Fatalf("got %v", err)
	}
	code, did := bolwerk.NewToken(), 0
	for range 2 { // what failed may be made again, what was done is not
		got, err := q.Once(now, key, digest, func() (bolwerk.Token, error) { did++; return code, nil })
		if err != nil || got.Reveal() != code.Reveal() {
			t.Fatalf("got %v", err)
		}
	}
	if did != 1 {
		t.Errorf("done %d times", did)
	}
	if _, err := q.Once(now, key, KeyOf("another body"), nil); err != ErrOtherBody {
		t.Errorf("another body: got %v", err)
	}

	// Many at once are one; who does not wait for it hears that it is running.
	started, end := make(chan bool), make(chan bool)
	var ran atomic.Int64
	do := func() (bolwerk.Token, error) { ran.Add(1); close(started); <-end; return code, nil }
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := q.Wait(t.Context(), now, KeyOf("form"), do); err != nil || got.Reveal() != code.Reveal() {
				t.Errorf("got %v", err)
			}
		})
	}
	<-started
	if _, err := q.Once(now, KeyOf("form"), KeyOf("form"), nil); err != errRunning {
		t.Errorf("while it runs: got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Wait(gone, now, KeyOf("form"), nil); err != context.Canceled {
		t.Errorf("a visitor who left: got %v", err)
	}
	close(end)
	all.Wait()
	if ran.Load() != 1 {
		t.Errorf("done %d times", ran.Load())
	}
}
