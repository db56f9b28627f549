package handin

import (
	"bytes"
	stdctx "context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
	"bolwerk/internal/seal"
)

func small() Config {
	c := DefaultConfig()
	c.MinFree = 0
	return c
}

func open(t testing.TB, d disk.Disk, cfg Config, c clock.Clock) *Spool {
	t.Helper()
	s, err := Open(d, "/spool", cfg, seal.PublicKey{}, c, jointest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// desk is the other end without a network.
type desk struct {
	mu     sync.Mutex
	got    map[string]int
	bodies map[string]string
	answer func(n int, path string) int // status for the n-th try; nil: 200
	tries  int
	wish   string
	far    string // what was told of a replay last
}

func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	res := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}
	if r.Method == http.MethodGet {
		if far := r.Header.Get(replayedHeader); far != "" {
			d.far = far
		}
		res.Body = io.NopCloser(strings.NewReader(d.wish))
		return res, nil
	}
	d.tries++
	if d.answer != nil {
		res.StatusCode = d.answer(d.tries, r.URL.Path)
	}
	switch res.StatusCode {
	case 0:
		return nil, errors.New("connection refused")
	case 200:
		id := filepath.Base(r.URL.Path)
		if d.got == nil {
			d.got, d.bodies = map[string]int{}, map[string]string{}
		}
		d.got[id]++
		d.bodies[id] = string(body)
	case 422:
		res.Header.Set(refusedHeader, "yes")
	}
	return res, nil
}

// run sends for a while of a bubble's time.
func run(t *testing.T, s *Spool, d *desk, while time.Duration) {
	t.Helper()
	ctx, stop := stdctx.WithTimeout(t.Context(), while)
	defer stop()
	if err := NewSender(s, &http.Client{Transport: d}, "https://desk.example/", jointest.Quiet()).Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAnItemIsGivenUntilTheDeskHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, disk.NewCrashing(1), small(), clock.New())
		var ids []string
		for i := range 100 {
			id, err := s.Put("mail", fmt.Appendf(nil, "mail %d", i))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		d := &desk{answer: func(n int, _ string) int { // away, then unwell, then there
			switch {
			case n < 40:
				return 0
			case n < 60:
				return 503
			case n < 80:
				return 401
			case n%3 == 0:
				return 500
			}
			return 200
		}}
		run(t, s, d, 20*time.Minute)
		for i, id := range ids {
			if d.got[id] != 1 || d.bodies[id] != fmt.Sprintf("mail %d", i) {
				t.Errorf("item %d arrived %d times as %q", i, d.got[id], d.bodies[id])
			}
		}
		if n, b, at := s.Depth(); n != 0 || b != 0 || !at.IsZero() {
			t.Errorf("still waiting: %d items, %d bytes, since %v", n, b, at)
		}
	})
}

func TestADeskThatIsAwayIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, disk.NewCrashing(1), small(), clock.New())
		for range 2000 {
			s.Put("mail", []byte("x"))
		}
		d := &desk{answer: func(int, string) int { return 0 }}
		run(t, s, d, time.Hour)
		if d.tries > 16*300 {
			t.Errorf("%d tries in an hour", d.tries)
		}
		start := time.Now()
		d.answer = nil
		run(t, s, d, 40*time.Second)
		if n, _, _ := s.Depth(); n != 0 {
			t.Errorf("%d still wait %v after it came back", n, time.Since(start))
		}
	})
}

func TestOneBadItemDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk.NewCrashing(1)
		s := open(t, d, small(), clock.New())
		poison, _ := s.Put("mail", []byte("poison"))
		refused, _ := s.Put("mail", []byte("refused"))
		rotten, _ := s.Put("mail", bytes.Repeat([]byte("rotten"), 100))
		d.Rot("/spool/new/" + rotten)
		var rest []string
		for range 50 {
			id, _ := s.Put("mail", []byte("good"))
			rest = append(rest, id)
		}
		far := &desk{answer: func(_ int, path string) int {
			switch filepath.Base(path) {
			case poison:
				return 500
			case refused:
				return 422
			}
			return 200
		}}
		run(t, s, far, time.Second)
		for _, id := range rest {
			if far.got[id] != 1 {
				t.Errorf("%s arrived %d times", id, far.got[id])
			}
		}
		if n, _, _ := s.Depth(); n != 1 || s.SetAside() != 2 {
			t.Errorf("%d wait and %d are set aside, want 1 and 2", n, s.SetAside())
		}
		// A refusal without the desk's own header, as from a wrong server, is none.
		far.answer = func(int, string) int { return 404 }
		run(t, s, far, time.Hour)
		if n, _, _ := s.Depth(); n != 1 || s.SetAside() != 2 {
			t.Errorf("after a wrong server: %d wait, %d set aside, want 1 and 2", n, s.SetAside())
		}
	})
}

func TestBoundsAreErrFull(t *testing.T) {
	for name, set := range map[string]func(*Config, *disk.Crashing){
		"items": func(c *Config, _ *disk.Crashing) { c.MaxItems = 2 },
		"bytes": func(c *Config, _ *disk.Crashing) { c.MaxBytes = 500 },
		"free":  func(c *Config, d *disk.Crashing) { c.MinFree = 1000; d.Room(1600) },
		"disk":  func(_ *Config, d *disk.Crashing) { d.Room(500) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, d := small(), disk.NewCrashing(1)
			set(&cfg, d)
			s := open(t, d, cfg, clock.New())
			var err error
			for range 5 {
				if _, err = s.Put("mail", []byte(strings.Repeat("x", 80))); err != nil {
					break
				}
			}
			if !errors.Is(err, bolwerk.ErrFull) {
				t.Fatalf("got %v, want ErrFull", err)
			}
			n, _, _ := s.Depth()
			names, _ := d.List("/spool/new")
			if n != len(names) || n == 0 {
				t.Errorf("%d items counted, files %v", n, names)
			}
		})
	}
	s := open(t, disk.NewCrashing(1), small(), clock.New())
	if _, err := s.Put("Mail!", nil); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a bad kind: %v", err)
	}
	if _, err := s.Put("mail", make([]byte, MaxBody+1)); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("too long: %v", err)
	}
}

// TestEveryCrash cuts the power before each operation of the disk: what was
// acknowledged is there afterwards, and arrives.
func TestEveryCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(40) {
			for stop := 1; ; stop += 1 + stop/20 {
				d := disk.NewCrashing(seed)
				s := open(t, d, small(), clock.New())
				d.StopAt(stop)
				acked := map[string]string{}
				put := func(n int) {
					for i := range n {
						text := fmt.Sprintf("mail %d/%d", n, i)
						if id, err := s.Put("mail", []byte(text)); err == nil {
							acked[id] = text
						}
					}
				}
				far := &desk{}
				put(3)
				run(t, s, far, time.Second)
				put(2)
				crashed := d.Dead()
				d.Crash()
				s = open(t, d, small(), clock.New())
				put(1)
				run(t, s, far, time.Second)
				for id, text := range acked {
					if far.bodies[id] != text {
						t.Fatalf("seed %d, stopped at %d: acknowledged %q arrived as %q", seed, stop, text, far.bodies[id])
					}
				}
				for id, text := range far.bodies {
					if acked[id] == "" && !strings.HasPrefix(text, "mail ") {
						t.Fatalf("seed %d, stopped at %d: %q arrived", seed, stop, text)
					}
				}
				if n, _, _ := s.Depth(); n != 0 || s.SetAside() != 0 {
					t.Fatalf("seed %d, stopped at %d: %d wait, %d set aside", seed, stop, n, s.SetAside())
				}
				if !crashed {
					break
				}
			}
		}
	})
}

func TestCommittedItemsAreKeptAndReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		d := disk.NewCrashing(1)
		s := open(t, d, small(), c)
		first, _ := s.Put("mail", []byte("one"))
		run(t, s, &desk{}, time.Hour)
		s.Put("mail", []byte("two"))
		before := time.Now()
		run(t, s, &desk{}, 3*time.Hour)
		third, _ := s.Put("mail", []byte("three"))
		run(t, s, &desk{}, time.Minute)

		// The desk was restored from a backup and wants what came since.
		restored := &desk{wish: fmt.Sprintf(`{"replay":"r1","since":%q}`, before.Add(2*time.Hour).Format(time.RFC3339))}
		run(t, s, restored, 10*time.Minute)
		if len(restored.got) != 1 || restored.got[third] != 1 {
			t.Errorf("replayed since two hours: %v, want %s once", restored.got, third)
		}
		if restored.far != "r1 1 done" {
			t.Errorf("the desk was told %q", restored.far)
		}
		restored.wish = `{"replay":"r2","since":"2000-01-01T00:00:00Z"}`
		run(t, s, restored, 10*time.Minute)
		if len(restored.got) != 3 || restored.got[first] != 1 || restored.got[third] != 2 {
			t.Errorf("replayed all: %v", restored.got)
		}

		time.Sleep(43 * time.Hour)
		run(t, s, restored, time.Hour)
		if n, err := NewSender(s, &http.Client{Transport: restored}, "https://desk.example", jointest.Quiet()).Replay(t.Context(), time.Time{}); n != 3 || err != nil {
			t.Errorf("within 48 h: %d, %v", n, err)
		}
		time.Sleep(5 * time.Hour)
		run(t, s, restored, time.Hour)
		if hours, _ := s.hours(); len(hours) != 0 {
			t.Errorf("after 48 h still there: %v", hours)
		}
	})
}

// TestOverTheWire runs the real thing: spool, certificate, receiver.
func TestOverTheWire(t *testing.T) {
	d := jointest.NewDesk(t)
	type key struct{ host, id string }
	var mu sync.Mutex
	got := map[key]Item{}
	arrived := make(chan struct{}, 100)
	rec := NewReceiver(map[string]Kind{
		"mail": {Roles: []join.Role{join.Intake}, Max: 1000, Sealed: true},
		"hits": {Roles: []join.Role{join.Edge}},
	}, []seal.PrivateKey{d.SealKey}, func(_ stdctx.Context, i Item) error {
		if string(i.Body) == "bad" {
			return bolwerk.Invalid("a bad one")
		}
		mu.Lock()
		got[key{i.Host, i.ID}] = i
		mu.Unlock()
		arrived <- struct{}{}
		return nil
	}, nil, jointest.Quiet())
	guarded := d.Require(rec, join.Roles()...)
	d.Mux.Handle("/v1/handin/", guarded)
	d.Mux.Handle("/v1/handin", guarded)

	h := d.Join(t, "intake-1", join.Intake)
	s, err := Open(disk.System{}, t.TempDir(), small(), h.SealKey(), d.Clock, jointest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := stdctx.WithCancel(t.Context())
	done := make(chan error)
	sender := NewSender(s, jointest.Client(t, h), h.Base(), jointest.Quiet())
	go func() { done <- sender.Run(ctx) }()
	for range 50 {
		if _, err := s.Put("mail", []byte("a suspicious mail")); err != nil {
			t.Fatal(err)
		}
	}
	s.Put("mail", []byte("bad"))
	s.Put("mail", make([]byte, 1001))
	for range 50 {
		<-arrived
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if n, _, _ := s.Depth(); n == 0 && s.SetAside() == 2 {
			break
		}
	}
	id, _ := s.Put("hits", []byte("not an intake's"))
	time.Sleep(50 * time.Millisecond)
	if n, _, _ := s.Depth(); n != 1 || s.SetAside() != 2 {
		t.Errorf("%d wait and %d are set aside, want 1 (another role's kind) and 2", n, s.SetAside())
	}
	stop()
	<-done
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 50 || got[key{"intake-1", id}].ID != "" {
		t.Errorf("%d arrived", len(got))
	}
	for _, i := range got {
		if string(i.Body) != "a suspicious mail" || !i.Sealed || i.Role != "intake" || time.Since(i.At).Abs() > time.Minute {
			t.Fatalf("arrived as %+v", i)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	good := file{kind: "mail", id: bolwerk.NewID(time.Now()), sealed: true, body: []byte("x\ny")}.bytes()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("bolwerk-spool 1 mail\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFile(b)
		if err != nil {
			if !errors.Is(err, bolwerk.ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if !bytes.Equal(got.bytes(), b) {
			t.Errorf("read and written again differs: %q", b)
		}
	})
}

func BenchmarkPut(b *testing.B) {
	for _, sealed := range []bool{false, true} {
		b.Run(fmt.Sprintf("sealed=%v", sealed), func(b *testing.B) {
			var pub seal.PublicKey
			if sealed {
				k, _ := seal.NewKey()
				pub = k.Public()
			}
			s, err := Open(disk.System{}, b.TempDir(), small(), pub, clock.New(), jointest.Quiet())
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, 20000)
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := s.Put("mail", body); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
