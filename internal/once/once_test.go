package once

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/recent"
)

var midday = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// A request that comes again has one effect and one code, after a restart too.
func TestDo(t *testing.T) {
	d := disk.NewCrashing(1)
	open := func(now time.Time) *Requests {
		t.Helper()
		o, err := Open(d, "/intake", now)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	put := map[string]int{} // by id
	ask := func(o *Requests, now time.Time, key, body string, fail error) (string, error) {
		code, err := o.Do(now, key, recent.KeyOf(body), func(id string, _ time.Time, _ bolwerk.Token) error {
			if fail == nil {
				put[id]++
			}
			return fail
		})
		return code.Reveal(), err
	}
	o := open(midday)
	full := errors.New("full")
	if _, err := ask(o, midday, "192.0.2.0/24\na", "x", full); err != full {
		t.Fatal(err)
	}
	first, err := ask(o, midday, "192.0.2.0/24\na", "x", nil)
	if err != nil || len(put) != 1 {
		t.Fatalf("%v, %v", put, err)
	}
	if again, err := ask(o, midday, "192.0.2.0/24\na", "x", full); err != nil || again != first {
		t.Errorf("again: %s, %v", again, err)
	}
	if other, err := ask(o, midday, "198.51.100.0/24\na", "x", nil); err != nil || other == first || len(put) != 2 {
		t.Errorf("of another network: %s, %v", other, err)
	}
	d.Crash()
	d.Restart()
	o = open(midday.Add(time.Hour))
	if again, err := ask(o, midday.Add(time.Hour), "192.0.2.0/24\na", "x", nil); err != nil || again != first || len(put) != 2 {
		t.Errorf("after a power cut: %s, want %s, %d ids (%v)", again, first, len(put), err)
	}
	if _, err := ask(o, midday.Add(time.Hour), "192.0.2.0/24\na", "y", nil); err != recent.ErrOtherBody {
		t.Errorf("another body after it: %v", err)
	}
	for _, name := range []string{"requests", "requests.key"} {
		b, err := disk.Read(d, "/intake/"+name, 1<<20)
		if err != nil || bytes.Contains(b, []byte("192.0.2")) || bytes.Contains(b, []byte(first)) {
			t.Errorf("%s: %q (%v)", name, b, err)
		}
	}
	if next, err := ask(o, midday.Add(25*time.Hour), "192.0.2.0/24\na", "y", nil); err != nil || next == first {
		t.Errorf("a day later: %s, %v", next, err)
	}
}

// Wherever the power goes, a request that was answered is answered with the same code,
// and is one item.
func TestDoAtEveryPowerCut(t *testing.T) {
	for stop := 1; ; stop++ {
		d := disk.NewCrashing(uint64(stop))
		ids, answered := map[string]bool{}, map[string]string{}
		ask := func(o *Requests, key string) error {
			code, err := o.Do(midday, key, recent.KeyOf(key), func(id string, _ time.Time, _ bolwerk.Token) error { ids[key+" "+id] = true; return nil })
			if err != nil {
				return err
			}
			if was := answered[key]; was != "" && was != code.Reveal() {
				t.Errorf("stop %d: %s was answered with another code before", stop, key)
			}
			answered[key] = code.Reveal()
			return nil
		}
		d.StopAt(stop)
		o, err := Open(d, "/intake", midday)
		for i := 0; err == nil && i < 5; i++ {
			err = ask(o, fmt.Sprint("key", i))
		}
		whole := !d.Dead()
		d.Crash()
		d.Restart()
		if o, err = Open(d, "/intake", midday); err != nil {
			t.Fatalf("stop %d: %v", stop, err)
		}
		for i := range 5 {
			if err := ask(o, fmt.Sprint("key", i)); err != nil {
				t.Fatalf("stop %d: %v", stop, err)
			}
		}
		if len(ids) != 5 {
			t.Errorf("stop %d: %d items of 5 requests", stop, len(ids))
		}
		if whole {
			return
		}
	}
}

// Many at once are one item; who does not wait hears that it is running.
func TestWait(t *testing.T) {
	o, err := Open(disk.NewCrashing(1), "/intake", midday)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return midday }
	var mu sync.Mutex
	ids, codes := map[string]int{}, map[string]bool{}
	started, end := make(chan struct{}), make(chan struct{})
	put := func(id string, _ time.Time, _ bolwerk.Token) error {
		mu.Lock()
		ids[id]++
		mu.Unlock()
		close(started)
		<-end
		return nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			code, err := o.Wait(t.Context(), now, "form", put)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			codes[code.Reveal()] = true
		})
	}
	<-started
	if _, err := o.Do(midday, "form", recent.KeyOf("form"), nil); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("while it runs: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Wait(gone, now, "form", nil); err != context.Canceled {
		t.Errorf("a visitor who left: %v", err)
	}
	close(end)
	all.Wait()
	if len(ids) != 1 || len(codes) != 1 {
		t.Errorf("%d items, %d codes", len(ids), len(codes))
	}
}
