// Package job does what goes outside: mails, polls, webhooks. A job is a row
// with a key, so that the same work is asked for once; it is tried with
// back-off and given up loudly. Jobs that go the same way wait for each other;
// a way that hangs holds up no other.
package job

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

//go:embed way.sql
var way string

// Schema is the table of this package.
func Schema() store.Schema { return store.Schema{Name: "job", Steps: []string{schema, way}} }

// Job is one piece of outside work. Ref says what it is about; what it needs to
// know stands in the rows that Ref leads to.
type Job struct {
	ID    string
	Kind  string
	Way   string
	Ref   string
	Tries int // how often it was tried before this time
	// Last says that it is not tried again after this time, whatever comes of it.
	Last bool
}

// Add asks for work to be done at due or soon after. The same kind and key is
// kept once; asking again changes nothing.
func Add(tx *store.Tx, kind, key, ref string, due time.Time) error {
	return AddBy(tx, kind, "", key, ref, due)
}

// AddBy is Add for work that goes a way: the outside system that it needs. There are
// few ways: a runner does one job of each at a time, in the order in which they are due.
func AddBy(tx *store.Tx, kind, way, key, ref string, due time.Time) error {
	_, err := tx.Exec(`insert into job(id,kind,way,key,ref,due,tries,state,claimed_until,error,made_at) values($1,$2,$3,$4,$5,$6,0,'waiting',0,'',$7) on conflict(kind,key) do nothing`,
		bolwerk.NewID(tx.Now()), kind, way, key, ref, store.Micros(due), tx.NowMicros())
	return err
}

// Runner does jobs of the kinds it knows.
type Runner struct {
	db    *store.DB
	clock clock.Clock
	log   *slog.Logger
	kinds map[string]Handler
}

// Handler does one job; those of different kinds and ways run at the same time. nil
// is done. An error is tried again later; one of kind bolwerk.ErrInvalid or
// bolwerk.ErrForbidden is given up at once.
type Handler func(ctx context.Context, j Job) error

// New makes a runner without kinds.
func New(db *store.DB, c clock.Clock, log *slog.Logger) *Runner {
	return &Runner{db: db, clock: c, log: log, kinds: map[string]Handler{}}
}

// Handle says who does jobs of a kind; before Run.
func (r *Runner) Handle(kind string, h Handler) { r.kinds[kind] = h }

const (
	maxTries = 16              // with the back-off below: about a day and a half
	claim    = 2 * time.Minute // how long one try may take before another desk takes it over
	perLook  = 20
	look     = 250 * time.Millisecond
)

// backOff is the wait before the next try: 30 s doubling to at most 6 h.
func backOff(tries int) time.Duration {
	d := 30 * time.Second << min(tries, 10)
	return min(d, 6*time.Hour)
}

// lane is a kind and a way. One job of a lane is done at a time.
func (j Job) lane() string { return j.Kind + " " + j.Way }

// Run does due jobs until ctx ends, and returns when what is under way has ended.
func (r *Runner) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	busy, ended := map[string]bool{}, make(chan string)
	for ctx.Err() == nil {
		due, err := r.due(ctx, busy)
		if err != nil && ctx.Err() == nil {
			r.log.Error("jobs not read", "err", err)
		}
		for lane, jobs := range lanes(due) {
			busy[lane] = true
			go func() { r.each(ctx, jobs); ended <- lane }()
		}
		if len(due) > 0 { // behind them there may be more, of others
			continue
		}
		select {
		case <-ctx.Done():
		case lane := <-ended:
			delete(busy, lane)
		case <-tick.C:
		}
	}
	for range busy {
		<-ended
	}
	return nil
}

func lanes(jobs []Job) map[string][]Job {
	out := map[string][]Job{}
	for _, j := range jobs {
		out[j.lane()] = append(out[j.lane()], j)
	}
	return out
}

// each does the jobs of a lane, one after the other.
func (r *Runner) each(ctx context.Context, jobs []Job) {
	for _, j := range jobs {
		if ctx.Err() != nil {
			return
		}
		if err := r.one(ctx, j); err != nil {
			if ctx.Err() == nil {
				r.log.Error("job not read", "kind", j.Kind, "job", j.ID, "err", err)
			}
			select { // the store is away: not at once again
			case <-ctx.Done():
			case <-time.After(look):
			}
			return
		}
	}
}

// due gives the first jobs that are due, but of no lane that is busy. What this
// program does not know is another's work.
func (r *Runner) due(ctx context.Context, busy map[string]bool) (due []Job, err error) {
	if len(r.kinds) == 0 {
		return nil, nil
	}
	in, kinds := store.In(3, slices.Sorted(maps.Keys(r.kinds)))
	args := append([]any{store.Micros(r.clock.Now()), perLook}, kinds...)
	where := `state='waiting' and due<=$1 and claimed_until<$1 and kind in (` + in + `)`
	if len(busy) > 0 {
		in, lanes := store.In(len(args)+1, slices.Sorted(maps.Keys(busy)))
		where, args = where+` and kind||' '||way not in (`+in+`)`, append(args, lanes...)
	}
	err = r.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = store.List(tx, func(scan func(...any) error) (j Job, err error) {
			err = scan(&j.ID, &j.Kind, &j.Way, &j.Ref, &j.Tries)
			return j, err
		}, `select id,kind,way,ref,tries from job where `+where+` order by due limit $2`, args...)
		return err
	})
	return due, err
}

func (r *Runner) one(ctx context.Context, j Job) error {
	now := r.clock.Now()
	mine := false
	err := r.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		n, err := tx.Exec(`update job set claimed_until=$1, tries=tries+1 where id=$2 and state='waiting' and claimed_until<$3 and tries=$4`,
			store.Micros(now.Add(claim)), j.ID, store.Micros(now), j.Tries) // another desk's try raised the number
		mine = n == 1
		return err
	})
	if err != nil || !mine {
		return err
	}
	try, cancel := context.WithTimeout(ctx, claim-10*time.Second)
	failed := errTries
	j.Last = j.Tries+1 >= maxTries
	if j.Tries < maxTries { // a try that ended the whole program left no error
		failed = guard(func() error { return r.kinds[j.Kind](try, j) })
	}
	cancel()
	if failed != nil && ctx.Err() != nil {
		return nil // stopped in the middle: the claim runs out and it is tried again
	}
	giveUp := failed != nil && (j.Tries+1 >= maxTries || final(failed))
	switch {
	case giveUp:
		r.log.Error("job given up", "alarm", true, "kind", j.Kind, "job", j.ID, "ref", j.Ref, "tries", j.Tries+1, "err", failed)
	case failed != nil:
		r.log.Warn("job tried", "kind", j.Kind, "job", j.ID, "tries", j.Tries+1, "err", failed)
	}
	// The number of tries is the fence: who took the job over has raised it.
	return r.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var err error
		switch {
		case failed == nil:
			_, err = tx.Exec(`update job set state='done', error='', done_at=$1 where id=$2`, tx.NowMicros(), j.ID)
		case giveUp:
			_, err = tx.Exec(`update job set state='failed', error=$1, done_at=$2 where id=$3 and tries=$4`, failed.Error(), tx.NowMicros(), j.ID, j.Tries+1)
		default:
			_, err = tx.Exec(`update job set due=$1, claimed_until=0, error=$2 where id=$3 and tries=$4`, store.Micros(tx.Now().Add(backOff(j.Tries))), failed.Error(), j.ID, j.Tries+1)
		}
		return err
	})
}

var errTries = errors.New("each try ended the program before it answered")

// guard turns a panic of a handler into an error: one bad job must not stop
// the others.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a job: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

// Park holds all waiting jobs back, after a restore: what was done meanwhile
// is not known. Release lets them go.
func Park(tx *store.Tx) (int64, error) {
	return tx.Exec(`update job set state='parked' where state='waiting'`)
}

// Release lets parked jobs go.
func Release(tx *store.Tx) (int64, error) {
	return tx.Exec(`update job set state='waiting' where state='parked'`)
}

// Counts gives how many jobs stand in each state.
func Counts(tx *store.Tx) (map[string]int64, error) {
	out := map[string]int64{}
	err := tx.Each(`select state, count(*) from job group by state`, nil, func(scan func(...any) error) error {
		var s string
		var n int64
		err := scan(&s, &n)
		out[s] = n
		return err
	})
	return out, err
}
