package factlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

func effects() store.Schema {
	return store.Schema{Name: "effects", Steps: []string{`create table effect (
  n bigint primary key, -- keep tech: order of effects
  text text not null    -- keep tech: which
);`}}
}

// house is a store with a log; what readers write stands in its table.
type house struct {
	*Log
	db  *store.DB
	out *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func open(t *testing.T, url string) *house {
	t.Helper()
	h := &house{out: new(lockedBuffer)}
	h.db = storetest.OpenAt(t, url, clock.NewFake(start), Schema(), effects())
	h.Log = New(h.db, slog.New(slog.NewTextHandler(h.out, nil)))
	return h
}

func (h *house) tell(t *testing.T, subject string, refs ...string) {
	t.Helper()
	err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		for _, ref := range refs {
			h.Append(tx, bolwerk.Rule("test"), subject, ref, map[string]string{"ref": ref})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func note(tx *store.Tx, text string) error {
	_, err := tx.Exec(`insert into effect(n,text) values((select coalesce(max(n),0)+1 from effect),$1)`, text)
	return err
}

func (h *house) effects(t *testing.T) (all []string) {
	t.Helper()
	err := h.db.Read(t.Context(), func(tx *store.Tx) (err error) {
		all, err = store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, `select text from effect order by n`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) wait(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		all := h.effects(t)
		if len(all) >= n {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("effects %q, want %d\n%s", all, n, h.out)
		}
	}
}

// run runs a reader until the function that it returns is called.
func (h *house) run(t *testing.T, r Reader) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, r) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func reader(name string, subjects ...string) Reader {
	return Reader{Name: name, Subjects: subjects, Handle: func(tx *store.Tx, f Fact) error { return note(tx, name+" "+f.Ref) }}
}

func TestFactsAreReadInTheirOrderAndOnce(t *testing.T) {
	h := open(t, storetest.URL(t))
	h.tell(t, "shield.block.placed", "a", "b")
	h.tell(t, "shield.case.opened", "not for this one")
	stop := h.run(t, reader("r", "shield.block.placed"))
	h.wait(t, 2)
	h.tell(t, "shield.block.placed", "c")
	h.wait(t, 3)
	stop()
	h.tell(t, "shield.block.placed", "d")
	h.run(t, reader("r", "shield.block.placed"))
	if got, want := h.wait(t, 4), []string{"r a", "r b", "r c", "r d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFactCarriesWhoWhatAndWhen(t *testing.T) {
	h := open(t, storetest.URL(t))
	h.tell(t, "shield.block.placed", "block-1", "block-2")
	err := h.db.Read(t.Context(), func(tx *store.Tx) error {
		all, err := About(tx, "block-2", 10)
		if err != nil || len(all) != 1 {
			return fmt.Errorf("%d facts: %w", len(all), err)
		}
		f := all[0]
		if f.Seq != 2 || f.ID == "" || f.Version != 1 || f.Subject != "shield.block.placed" || f.Actor != bolwerk.Rule("test") || !f.At.Equal(start) || string(f.Body) != `{"ref":"block-2"}` {
			t.Errorf("got %+v", f)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFactOfWhatWasUndoneIsNotTold(t *testing.T) {
	h := open(t, storetest.URL(t))
	h.run(t, reader("r", "s"))
	undone := errors.New("undone")
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { h.Append(tx, bolwerk.Socket(), "s", "never", nil); return undone }); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	h.tell(t, "s", "a")
	if got := h.wait(t, 1); !slices.Equal(got, []string{"r a"}) {
		t.Errorf("got %q", got)
	}
}

func TestReadersKeepPlacesOfTheirOwn(t *testing.T) {
	h := open(t, storetest.URL(t))
	h.tell(t, "s", "a")
	h.run(t, reader("one", "s"))
	h.wait(t, 1)
	h.tell(t, "s", "b")
	h.wait(t, 2)
	h.run(t, reader("two", "s"))
	got := h.wait(t, 4)
	if want := []string{"one a", "one b", "two a", "two b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFactThatCannotBeHandledHoldsUpNothing(t *testing.T) {
	for _, how := range []string{"error", "panic"} {
		t.Run(how, func(t *testing.T) {
			h := open(t, storetest.URL(t))
			h.tell(t, "s", "a", "bad", "c")
			h.tell(t, "other", "d")
			tried := 0
			h.run(t, Reader{Name: "r", Subjects: []string{"s", "other"}, Handle: func(tx *store.Tx, f Fact) error {
				if err := note(tx, f.Ref); err != nil {
					return err
				}
				if f.Ref != "bad" {
					return nil
				}
				if tried++; how == "panic" {
					panic("a bug")
				}
				return errors.New("refused")
			}})
			if got := h.wait(t, 2); !slices.Equal(got, []string{"a", "d"}) {
				t.Errorf("first: got %q, want a, and d, which another fact does not hold up", got)
			}
			for end := time.Now().Add(20 * time.Second); len(h.effects(t)) < 3 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				h.tell(t, "nobody's", "wakes the reader")
			}
			if got := h.wait(t, 3); !slices.Equal(got, []string{"a", "d", "c"}) || tried != tries {
				t.Errorf("got %q after %d tries, want a, d and c after %d", got, tried, tries)
			}
			if !strings.Contains(h.out.String(), `msg="fact set aside" alarm=true reader=r`) {
				t.Errorf("no alarm in the log:\n%s", h.out)
			}
			if err := h.db.Read(t.Context(), func(tx *store.Tx) error {
				n, err := Aside(tx)
				if n != 1 {
					t.Errorf("%d set aside, want 1", n)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOfTwoDesksOneHandlesAFact(t *testing.T) {
	url := storetest.URL(t)
	a, b := open(t, url), open(t, url)
	a.run(t, reader("r", "s"))
	b.run(t, reader("r", "s"))
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprintf("r %02d", i))
		[]*house{a, b}[i%2].tell(t, "s", fmt.Sprintf("%02d", i))
	}
	if got := a.wait(t, 30); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	time.Sleep(10 * time.Millisecond) // nothing comes behind
	if n := len(a.effects(t)); n != 30 {
		t.Errorf("%d effects of 30 facts", n)
	}
}
