// Package lease has one of several desks at a store do what only one may do. Its
// holder has a token, a number that each taking raises; what it writes is checked
// against the token in its own transaction, so that a desk that was paused and
// comes back can write nothing under an old one.
package lease

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/fault"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "lease", Steps: []string{schema}} }

// Lease is one desk's side of the lease. All its methods may be called from any
// goroutine.
type Lease struct {
	db    *store.DB
	name  string
	self  string
	label string
	log   *slog.Logger
	alone bool // an embedded store has no other desk at it

	mu      sync.Mutex
	watch   *Watch
	current time.Time     // the store has taken a sign of ours that is good until then
	turn    chan struct{} // closed when what is held changes
	work    sync.WaitGroup
	closing bool
	told    int64 // the token that While knows of
}

// New makes the lease of a name at a store. On an embedded store it is always ours.
func New(db *store.DB, name string, log *slog.Logger, reg prometheus.Registerer) *Lease {
	label, _ := os.Hostname()
	self := strings.ToLower(rand.Text()[:8])
	l := &Lease{db: db, name: name, self: self, label: label, log: log, alone: !db.Postgres(), watch: NewWatch(self), turn: make(chan struct{})}
	if reg != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_desk_lease_token",
			Help: "Number under which this desk publishes the policy zones; 0 where another desk does."}, func() float64 { return float64(l.Token()) }))
	}
	return l
}

// Token is ours at this moment; 0 is none.
func (l *Lease) Token() int64 {
	if l.alone {
		return 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watch.Held(time.Now())
}

// Held says that the lease is ours at this moment.
func (l *Lease) Held() bool { return l.Token() != 0 }

// Current says that this desk reaches a store that takes writes, and has done so
// within TTL: what it reads there is of now. A desk that is cut off, or sits beside
// a database that was replaced, must not tell hosts that what they have is fresh.
func (l *Lease) Current() bool {
	if l.alone {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.current)
}

// ErrLost is what a write of the holder gets when another desk holds the lease.
var ErrLost = errors.New("another desk has taken over")

// While runs fn whenever the lease is ours, until ctx ends. The context that fn
// gets ends when the lease does, and each write with it is checked against the
// token. An fn that ends with an error is run again after a second.
func (l *Lease) While(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	if l.alone {
		return fn(ctx)
	}
	for ctx.Err() == nil {
		token, turn := l.enter()
		if token == 0 {
			select {
			case <-ctx.Done():
			case <-turn:
			}
			continue
		}
		l.hold(ctx, name, token, turn, fn)
		l.work.Done()
	}
	return nil
}

// enter begins work under our token, if we have it.
func (l *Lease) enter() (token int64, turn <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return 0, l.turn
	}
	if token = l.watch.Held(time.Now()); token != 0 {
		l.work.Add(1)
	}
	return token, l.turn
}

func (l *Lease) hold(ctx context.Context, name string, token int64, turn <-chan struct{}, fn func(context.Context) error) {
	held, stop := context.WithCancel(store.Fenced(ctx, l.fence(token)))
	defer stop()
	go func() {
		select {
		case <-turn:
			stop()
		case <-held.Done():
		}
	}()
	for held.Err() == nil {
		err := fn(held)
		if held.Err() != nil {
			return
		}
		if err != nil {
			l.log.Error("work of the desk that publishes has stopped; it begins again", "work", name, "err", err)
		}
		select {
		case <-held.Done():
		case <-time.After(time.Second):
		}
	}
}

// fence refuses a transaction that is not under the token that is in force. It
// holds a taking of the lease up until this transaction has ended.
func (l *Lease) fence(token int64) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		if err := tx.LockLease(false); err != nil {
			return err
		}
		var n int64
		if err := tx.Row(`select count(*) from desk_lease where name=$1 and holder=$2 and token=$3`, l.name, l.self, token).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.WithHint(fmt.Errorf("written under token %d: %w: %w", token, ErrLost, bolwerk.ErrConflict), "nothing is to be done: the other desk does it")
		}
		return fault.Point("lease.fence")
	}
}

// Run takes and keeps the lease, and gives the desk's signs of life, until ctx
// ends; then it waits for the work under it, and gives it back.
func (l *Lease) Run(ctx context.Context) error {
	if l.alone {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var failed bool
	for {
		err := l.once(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			l.log.Error("no sign of life given to the store", "alarm", true, "err", err)
		} else if err == nil && failed {
			l.log.Info("the store takes signs of life again")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return l.giveBack()
		case <-l.expiry():
			l.turned()
		case <-tick.C:
		}
	}
}

// expiry comes when our lease ends without a sign of ours.
func (l *Lease) expiry() <-chan time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch.mine == 0 {
		return nil
	}
	return time.After(max(0, l.watch.Left(time.Now())))
}

// once gives a sign of life and does what the lease asks for.
func (l *Lease) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hold-Every)
	defer cancel()
	defer context.AfterFunc(ctx, l.expired)()
	began := time.Now()
	var row Row
	var move Move
	err := l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := tx.Exec(`insert into desk_seat(desk,label,at) values($1,$2,$3) on conflict(desk) do update set at=excluded.at`, l.self, l.label, tx.NowMicros()); err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into desk_lease(name,holder,token,beat) values($1,'',0,0) on conflict(name) do nothing`, l.name); err != nil {
			return err
		}
		if err := tx.Row(`select holder,token,beat from desk_lease where name=$1`, l.name).Scan(&row.Holder, &row.Token, &row.Beat); err != nil {
			return err
		}
		l.mu.Lock()
		move = l.watch.Look(row, time.Now())
		l.mu.Unlock()
		if move != Renew {
			return nil
		}
		n, err := tx.Exec(`update desk_lease set beat=beat+1 where name=$1 and holder=$2 and token=$3`, l.name, l.self, row.Token)
		if err == nil && n == 0 {
			move = Wait
		}
		return err
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.current = began.Add(hold)
	if move == Renew {
		l.watch.Renewed(began)
	}
	l.mu.Unlock()
	if move == Take {
		return l.take(ctx, row)
	}
	l.turned()
	return nil
}

// take takes the lease from whoever gave the sign in row, if it is still the last.
func (l *Lease) take(ctx context.Context, row Row) error {
	began := time.Now()
	var n int64
	err := l.db.Write(ctx, store.Decision, func(tx *store.Tx) (err error) {
		// Nothing of the holder before us is half written behind our back.
		if err := tx.LockLease(true); err != nil {
			return err
		}
		if n, err = tx.Exec(`update desk_lease set holder=$1, token=token+1, beat=0 where name=$2 and token=$3 and beat=$4`, l.self, l.name, row.Token, row.Beat); err != nil {
			return err
		}
		_, err = tx.Exec(`delete from desk_seat where at<$1`, store.Micros(tx.Now().Add(-time.Hour)))
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	l.mu.Lock()
	l.watch.Taken(row.Token+1, began)
	silent := time.Since(l.watch.since)
	l.mu.Unlock()
	if row.Holder == "" {
		silent = 0
	}
	l.log.Warn("this desk publishes the policy zones now", "token", row.Token+1, "silent_before", silent.Round(time.Millisecond))
	l.turned()
	return nil
}

// expired looks whether what was held has ended while a sign was on its way.
func (l *Lease) expired() { l.turned() }

// turned wakes who waits for the lease, or works under it, where it came or went.
func (l *Lease) turned() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.watch.Held(time.Now())
	if now == l.told {
		return
	}
	if l.told != 0 {
		l.log.Warn("this desk publishes no more", "token", l.told)
	}
	l.told = now
	close(l.turn)
	l.turn = make(chan struct{})
}

// giveBack lets another desk take over at once.
func (l *Lease) giveBack() error {
	l.mu.Lock()
	l.closing = true
	close(l.turn)
	l.turn = make(chan struct{})
	token := l.watch.mine
	l.mu.Unlock()
	l.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), Every)
	defer cancel()
	err := l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := tx.Exec(`delete from desk_seat where desk=$1`, l.self); err != nil {
			return err
		}
		_, err := tx.Exec(`update desk_lease set holder='', beat=beat+1 where name=$1 and holder=$2 and token=$3`, l.name, l.self, token)
		return err
	})
	if err != nil {
		l.log.Warn("the lease was not given back: another desk waits for its end", "err", err)
	}
	return nil
}

// Seat is a desk that runs at the store.
type Seat struct {
	Desk  string
	Label string
	At    time.Time // its last sign of life
	Holds bool      // it publishes the policy zones
}

// Seats lists the desks at the store that gave a sign of life within the hour.
func Seats(tx *store.Tx) ([]Seat, error) {
	return store.List(tx, func(scan func(...any) error) (s Seat, err error) {
		var at int64
		var holder string
		err = scan(&s.Desk, &s.Label, &at, &holder)
		s.At, s.Holds = store.Time(at), holder == s.Desk
		return s, err
	}, `select s.desk,s.label,s.at,coalesce((select max(holder) from desk_lease where holder=s.desk),'') from desk_seat s order by s.desk`)
}
