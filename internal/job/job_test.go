package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

// program is a runner and what it did.
type program struct {
	*Runner
	db   *store.DB
	time *clock.Fake
	out  *bytes.Buffer
	did  []string
}

func open(t *testing.T, url string, c *clock.Fake) *program {
	t.Helper()
	p := &program{time: c, out: new(bytes.Buffer)}
	p.db = storetest.OpenAt(t, url, c, Schema())
	p.Runner = New(p.db, c, slog.New(slog.NewTextHandler(p.out, nil)))
	return p
}

func (p *program) write(t *testing.T, fn func(*store.Tx) error) {
	t.Helper()
	if err := p.db.Write(t.Context(), store.Decision, fn); err != nil {
		t.Fatal(err)
	}
}

func (p *program) add(t *testing.T, kind, key string, due time.Time) {
	t.Helper()
	p.write(t, func(tx *store.Tx) error { return Add(tx, kind, key, "ref-"+key, due) })
}

// round does the first jobs that are due, one after the other.
func (p *program) round(ctx context.Context) (int, error) {
	due, err := p.due(ctx, nil)
	for _, j := range due {
		if err := p.one(ctx, j); err != nil {
			return 0, err
		}
	}
	return len(due), err
}

func (p *program) doRound(t *testing.T) int {
	t.Helper()
	n, err := p.round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *program) counts(t *testing.T) (out map[string]int64) {
	t.Helper()
	if err := p.db.Read(t.Context(), func(tx *store.Tx) (err error) { out, err = Counts(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *program) want(t *testing.T, counts map[string]int64) {
	t.Helper()
	if got := p.counts(t); !maps.Equal(got, counts) {
		t.Errorf("jobs %v, want %v", got, counts)
	}
}

func (p *program) handle(kind string, fn func(j Job) error) {
	p.Handle(kind, func(_ context.Context, j Job) error {
		p.did = append(p.did, j.Ref)
		return fn(j)
	})
}

func fine(Job) error { return nil }

func TestTheSameWorkIsDoneOnceAndNotBeforeItsTime(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", fine)
	p.handle("poll", fine)
	p.add(t, "mail", "a", start)
	p.add(t, "mail", "a", start)
	p.add(t, "poll", "a", start.Add(-time.Second)) // another kind
	p.add(t, "mail", "later", start.Add(time.Minute))
	p.doRound(t)
	p.add(t, "mail", "a", start) // asked for again when it is done
	p.doRound(t)
	if want := []string{"ref-a", "ref-a"}; !slices.Equal(p.did, want) {
		t.Errorf("did %q, want %q", p.did, want)
	}
	p.want(t, map[string]int64{"done": 2, "waiting": 1})
	p.time.Add(time.Minute)
	p.doRound(t)
	p.want(t, map[string]int64{"done": 3})
}

func TestWorkThatFailsIsTriedLessAndLessOftenAndGivenUpLoudly(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", func(Job) error { return errors.New("the relay is away") })
	p.add(t, "mail", "a", start)
	var waits []time.Duration
	last := start
	for range 20_000 {
		before := len(p.did)
		p.doRound(t)
		if len(p.did) > before {
			waits = append(waits, p.time.Now().Sub(last))
			last = p.time.Now()
		}
		if p.counts(t)["waiting"] == 0 {
			break
		}
		step := 10 * time.Second
		if len(waits) > 5 {
			step = 10 * time.Minute
		}
		p.time.Add(step)
	}
	if len(waits) != maxTries {
		t.Fatalf("tried %d times, want %d: %v", len(waits), maxTries, waits)
	}
	if want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}; !slices.Equal(waits[:5], want) {
		t.Errorf("waits %v, want %v", waits[:5], want)
	}
	if whole := last.Sub(start); whole < 24*time.Hour || whole > 48*time.Hour || slices.Max(waits) > 6*time.Hour+10*time.Minute {
		t.Errorf("given up after %v, the longest wait was %v", whole, slices.Max(waits))
	}
	p.want(t, map[string]int64{"failed": 1})
	if !strings.Contains(p.out.String(), `msg="job given up" alarm=true kind=mail`) {
		t.Errorf("no alarm:\n%s", p.out)
	}
}

func TestWorkThatCannotSucceedIsGivenUpAtOnce(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", func(j Job) error {
		if j.Ref == "ref-a" {
			return fmt.Errorf("mail: %w", bolwerk.ErrForbidden)
		}
		return bolwerk.Invalid("no such mailbox")
	})
	p.add(t, "mail", "a", start)
	p.add(t, "mail", "b", start)
	p.doRound(t)
	p.want(t, map[string]int64{"failed": 2})
}

func TestAJobWithABugStopsNoOther(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", func(j Job) error {
		if j.Ref == "ref-bad" {
			panic("a bug")
		}
		return nil
	})
	p.add(t, "mail", "bad", start.Add(-time.Second))
	p.add(t, "mail", "good", start)
	p.doRound(t)
	p.want(t, map[string]int64{"done": 1, "waiting": 1})
}

func TestWorkOfAnotherProgramIsNotInTheWay(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", fine)
	for i := range 3 * perLook {
		p.add(t, "another's", fmt.Sprint(i), start.Add(-time.Hour))
	}
	p.add(t, "mail", "a", start)
	if n := p.doRound(t); n != 1 || len(p.did) != 1 {
		t.Errorf("%d jobs in a round, %q done, want the one of ours", n, p.did)
	}
	p.want(t, map[string]int64{"done": 1, "waiting": 3 * perLook})
}

func TestOfTwoDesksOneDoesAJob(t *testing.T) {
	url, c := storetest.URL(t), clock.NewFake(start)
	a, b := open(t, url, c), open(t, url, c)
	a.handle("mail", func(Job) error { b.doRound(t); return nil }) // while a works, b looks
	b.handle("mail", fine)
	a.add(t, "mail", "a", start)
	a.doRound(t)
	if len(a.did) != 1 || len(b.did) != 0 {
		t.Errorf("a did %q, b %q, want the first alone", a.did, b.did)
	}
	a.want(t, map[string]int64{"done": 1})
}

func TestTheJobOfADeskThatDiedIsTakenOver(t *testing.T) {
	url, c := storetest.URL(t), clock.NewFake(start)
	a, b := open(t, url, c), open(t, url, c)
	a.add(t, "mail", "a", start)
	ctx, die := context.WithCancel(t.Context())
	a.handle("mail", func(Job) error { die(); return ctx.Err() })
	b.handle("mail", fine)
	if _, err := a.round(ctx); err != nil {
		t.Fatal(err)
	}
	b.doRound(t)
	if len(b.did) != 0 {
		t.Error("taken over before the claim ran out")
	}
	c.Add(claim + time.Second)
	b.doRound(t)
	b.want(t, map[string]int64{"done": 1})
}

func TestADeskThatIsTooLateDoesNotUndoAnothersTry(t *testing.T) {
	url, c := storetest.URL(t), clock.NewFake(start)
	a, b := open(t, url, c), open(t, url, c)
	a.add(t, "mail", "a", start)
	b.handle("mail", func(Job) error { a.doRound(t); return nil })
	a.handle("mail", func(Job) error {
		if len(a.did) == 1 { // the claim of the first try runs out, b takes over and works
			c.Add(claim + time.Second)
			b.doRound(t)
		}
		return errors.New("too late")
	})
	a.doRound(t)
	if len(a.did) != 1 || len(b.did) != 1 {
		t.Errorf("a tried %d times, b %d, want once each", len(a.did), len(b.did))
	}
	a.want(t, map[string]int64{"done": 1})
}

func TestAJobThatEndsTheProgramEachTimeIsGivenUp(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.add(t, "mail", "a", start)
	for range maxTries {
		ctx, die := context.WithCancel(t.Context())
		p.Handle("mail", func(context.Context, Job) error { p.did = append(p.did, "x"); die(); return ctx.Err() })
		if _, err := p.round(ctx); err != nil {
			t.Fatal(err)
		}
		p.time.Add(claim + time.Second)
	}
	p.handle("mail", fine)
	p.doRound(t)
	if len(p.did) != maxTries {
		t.Errorf("tried %d times, want %d", len(p.did), maxTries)
	}
	p.want(t, map[string]int64{"failed": 1})
}

func TestParkedJobsWaitForAPerson(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	p.handle("mail", fine)
	p.add(t, "mail", "a", start)
	p.write(t, func(tx *store.Tx) error { n, err := Park(tx); return errors.Join(err, count(n, 1)) })
	p.doRound(t)
	p.want(t, map[string]int64{"parked": 1})
	p.write(t, func(tx *store.Tx) error { n, err := Release(tx); return errors.Join(err, count(n, 1)) })
	p.doRound(t)
	p.want(t, map[string]int64{"done": 1})
}

func count(got, want int64) error {
	if got != want {
		return fmt.Errorf("got %d, want %d", got, want)
	}
	return nil
}

func TestRunEndsWithItsContext(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	ctx, stop := context.WithCancel(t.Context())
	p.Handle("mail", func(context.Context, Job) error { stop(); return nil })
	p.add(t, "mail", "a", start)
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
}
