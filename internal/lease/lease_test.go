package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

func TestWatchWaitsForTheEndOfAHolderThatIsSilent(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch("b")
	row := Row{Holder: "a", Token: 3, Beat: 7}
	for _, s := range []struct {
		after time.Duration
		beat  int64
		want  Move
	}{{0, 7, Wait}, {time.Second, 8, Wait}, {TTL - time.Second, 8, Wait}, {time.Second - 1, 8, Wait}, {1, 8, Take}, {0, 9, Wait}, {TTL, 9, Take}} {
		now, row.Beat = now.Add(s.after), s.beat
		if got := w.Look(row, now); got != s.want {
			t.Errorf("%s later, beat %d: got %d, want %d", s.after, s.beat, got, s.want)
		}
	}
	if got := w.Look(Row{Token: 3}, now); got != Take {
		t.Errorf("nobody holds it: got %d, want %d", got, Take)
	}
}

func TestWatchHoldsNoLongerThanAnotherWaits(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch("a")
	w.Taken(4, now)
	if got := w.Held(now.Add(hold - 1)); got != 4 {
		t.Errorf("before its end: token %d, want 4", got)
	}
	if got := w.Held(now.Add(hold)); got != 0 {
		t.Errorf("at its end: token %d, want none", got)
	}
	if got := w.Look(Row{Holder: "a", Token: 4}, now.Add(2*TTL)); got != Renew {
		t.Errorf("late, and nobody took it: got %d, want %d", got, Renew)
	}
	if got := w.Look(Row{Holder: "b", Token: 5}, now.Add(2*TTL)); got != Wait || w.Held(now) != 0 {
		t.Errorf("another took it: got %d and token %d, want %d and none", got, w.Held(now), Wait)
	}
}

func TestAnEmbeddedStoreHasOneDesk(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("SQLite")
	}
	l := New(storetest.Open(t, clock.New(), Schema()), "x", quiet, nil)
	if !l.Held() || !l.Current() {
		t.Error("the only desk does not hold the lease")
	}
	ran := false
	if err := l.While(t.Context(), "", func(context.Context) error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("the work did not run: %v", err)
	}
}

// two desks at one PostgreSQL.
func two(t *testing.T) (a, b *Lease) {
	t.Helper()
	if !storetest.Postgres() {
		t.Skip("an embedded store has one desk: make pg runs this")
	}
	url := storetest.URL(t)
	return New(storetest.OpenAt(t, url, clock.New(), Schema()), "x", quiet, nil), New(storetest.OpenAt(t, url, clock.New(), Schema()), "x", quiet, nil)
}

func (l *Lease) mustOnce(t *testing.T) {
	t.Helper()
	if err := l.once(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// silence has l believe that the other was silent for TTL.
func (l *Lease) silence() { l.watch.since = l.watch.since.Add(-TTL) }

func TestAPausedHolderWritesNothingUnderItsToken(t *testing.T) {
	a, b := two(t)
	a.mustOnce(t)
	b.mustOnce(t)
	if a.Token() != 1 || b.Token() != 0 {
		t.Fatalf("tokens %d and %d, want 1 and none", a.Token(), b.Token())
	}
	write := func(l *Lease, token int64) error {
		return l.db.Write(store.Fenced(t.Context(), l.fence(token)), store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into desk_key(name,digest,at) values($1,'',0)`, fmt.Sprint(l.self, token))
			return err
		})
	}
	if err := write(a, 1); err != nil {
		t.Errorf("the holder's write: %v", err)
	}
	b.silence()
	b.mustOnce(t) // a is paused: it knows nothing of this
	if a.Token() != 1 || b.Token() != 2 {
		t.Fatalf("tokens %d and %d, want 1 and 2", a.Token(), b.Token())
	}
	for _, lane := range []store.Lane{store.Decision, store.Intake, store.WayBack} {
		err := a.db.Write(store.Fenced(t.Context(), a.fence(1)), lane, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into desk_key(name,digest,at) values($1,'',0)`, fmt.Sprint("late", lane))
			return err
		})
		if !errors.Is(err, ErrLost) {
			t.Errorf("lane %d: a write under an old token: got %v, want %v", lane, err, ErrLost)
		}
	}
	if err := write(b, 2); err != nil {
		t.Errorf("the new holder's write: %v", err)
	}
	a.mustOnce(t)
	if a.Token() != 0 {
		t.Errorf("the old holder has seen the new one and holds %d", a.Token())
	}
	var late int
	if err := b.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select count(*) from desk_key where name like 'late%'`).Scan(&late)
	}); err != nil || late != 0 {
		t.Errorf("%d rows under an old token: %v", late, err)
	}
}

// A taking waits for the writes under the token before, so that none of them ends
// after it.
func TestATakingWaitsForWhatIsUnderWay(t *testing.T) {
	a, b := two(t)
	a.mustOnce(t)
	b.mustOnce(t)
	b.silence()
	inside, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var done atomic.Bool
	go func() {
		ended <- a.db.Write(store.Fenced(context.Background(), func(tx *store.Tx) error {
			err := a.fence(1)(tx)
			close(inside)
			<-end
			done.Store(true)
			return err
		}), store.Decision, func(*store.Tx) error { return nil })
	}()
	<-inside
	took := make(chan error, 1)
	go func() {
		err := b.once(context.Background())
		if err == nil && !done.Load() {
			err = errors.New("taken while a write under the old token was under way")
		}
		took <- err
	}()
	for { // until it stands in the line
		var n int
		if err := a.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`select count(*) from pg_locks where locktype='advisory' and objid=7712 and not granted`).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(end)
	if err := errors.Join(<-ended, <-took); err != nil {
		t.Error(err)
	}
	if b.Token() != 2 {
		t.Errorf("token %d, want 2", b.Token())
	}
}

// A desk that says nothing in the middle of a write loses it, and the locks with it.
func TestAStuckWriteHoldsNobodyUp(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("PostgreSQL ends sessions: make pg runs this")
	}
	url := storetest.URL(t)
	stuck := storetest.OpenAt(t, url+"&idle_in_transaction_session_timeout=300", clock.New(), Schema())
	free := storetest.OpenAt(t, url, clock.New())
	inside, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		ended <- stuck.Write(context.Background(), store.Decision, func(tx *store.Tx) error {
			err := tx.LockLease(true)
			once.Do(func() { close(inside) })
			<-end
			return err
		})
	}()
	<-inside
	if err := free.Write(t.Context(), store.Decision, func(tx *store.Tx) error { return tx.LockLease(true) }); err != nil {
		t.Errorf("another's write: %v", err)
	}
	close(end)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "commit") {
		t.Errorf("the write that was stuck: got %v, want a commit that was refused", err)
	}
}

func TestTheWorkMovesWithTheLease(t *testing.T) {
	a, b := two(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var at atomic.Int64 // how many work
	worked := make(chan *Lease, 100)
	var all sync.WaitGroup
	start := func(l *Lease) (end func()) {
		ctx, stop := context.WithCancel(ctx)
		var mine sync.WaitGroup
		mine.Go(func() { l.Run(ctx) })
		mine.Go(func() {
			l.While(ctx, "work", func(ctx context.Context) error {
				if at.Add(1) > 1 {
					t.Error("two desks work at once")
				}
				worked <- l
				<-ctx.Done()
				at.Add(-1)
				return nil
			})
		})
		all.Go(mine.Wait)
		return func() { stop(); mine.Wait() }
	}
	endA := start(a)
	if got := <-worked; got != a {
		t.Fatal("the first desk does not work")
	}
	endB := start(b)
	endA() // in order: it gives the lease back
	if got := <-worked; got != b {
		t.Error("the second desk does not go on")
	}
	endB()
	stop()
	all.Wait()
}
