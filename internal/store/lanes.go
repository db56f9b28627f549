package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"bolwerk"
	"bolwerk/internal/fault"
)

// Lane is the way a write takes.
type Lane int

// The lanes. A decision never waits behind more than the batch that is running.
const (
	Decision Lane = iota // decisions: one transaction each, first in line
	Intake               // everything else: batches of at most 100 rows or 20 ms
	WayBack              // decisions that only take out of force: they find room on a full disk too
)

const (
	batchRows = 100
	batchTime = 20 * time.Millisecond
)

// ErrClosed is what a write gets that came after Close.
var ErrClosed = errors.New("the store is closed")

type write struct {
	ctx  context.Context
	fn   func(*Tx) error
	done chan error
}

// Write runs fn in a transaction of the lane and returns nil once it is
// durable. An error of fn rolls back what fn did and nothing else. fn may run
// again after a conflict, so it must not keep state from a run that failed. A
// full disk is a bolwerk.ErrFull.
func (db *DB) Write(ctx context.Context, lane Lane, fn func(*Tx) error) error {
	if lane != WayBack && db.tight.Load() {
		return errTight
	}
	err := full(db.write(ctx, lane, fn))
	if lane == WayBack && errors.Is(err, bolwerk.ErrFull) && db.freeBallast() {
		err = full(db.write(ctx, lane, fn))
	}
	return err
}

func (db *DB) write(ctx context.Context, lane Lane, fn func(*Tx) error) error {
	fn = fenced(ctx, fn)
	if lane != Intake && db.pg {
		return db.alone(ctx, fn)
	}
	w := &write{ctx, fn, make(chan error, 1)}
	queue := db.intake
	if lane != Intake {
		queue = db.decisions
	}
	select {
	case queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return ErrClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-db.closing:
		db.closed.Wait()
		select {
		case err := <-w.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// loop is the one writer of a SQLite store, and the one batcher of PostgreSQL.
func (db *DB) loop() {
	for {
		select {
		case d := <-db.decisions:
			d.done <- db.alone(d.ctx, d.fn)
			continue
		default:
		}
		select {
		case d := <-db.decisions:
			d.done <- db.alone(d.ctx, d.fn)
		case w := <-db.intake:
			db.batch(w)
		case <-db.closing:
			return
		}
	}
}

func (db *DB) alone(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !db.pg {
		ctx = context.WithoutCancel(ctx) // what has begun is done, in milliseconds
	}
	return db.again(ctx, func() error {
		tx, err := db.begin(ctx)
		if err != nil {
			return err
		}
		t := &Tx{ctx: ctx, tx: tx, db: db, now: db.clock.Now()}
		if err := guard(t, fn); err != nil {
			tx.Rollback()
			return err
		}
		return db.commit(t)
	})
}

// batch runs first and what else is waiting, at most batchRows. It does not wait
// for more: while one batch is being made durable the next one gathers by itself.
func (db *DB) batch(first *write) {
	parts := []*write{first}
	for more := true; more && len(parts) < batchRows; {
		select {
		case w := <-db.intake:
			parts = append(parts, w)
		default:
			more = false
		}
	}
	for len(parts) > 0 {
		parts = parts[db.batchOnce(parts):]
		select {
		case d := <-db.decisions:
			d.done <- db.alone(d.ctx, d.fn)
		default:
		}
	}
}

// batchOnce runs parts until one transaction is full; it answers each of them
// and returns how many that were.
func (db *DB) batchOnce(parts []*write) int {
	ctx := context.Background() // one caller who leaves must not undo the others
	ran := 0
	errs := make([]error, len(parts))
	err := db.again(ctx, func() error {
		ran = 0
		clear(errs)
		tx, err := db.begin(ctx)
		if err != nil {
			ran = len(parts)
			return err
		}
		all := &Tx{ctx: ctx, tx: tx, db: db, now: db.clock.Now()}
		start := time.Now()
		for i, p := range parts {
			if i > 0 && time.Since(start) > batchTime {
				break
			}
			ran++
			if errs[i] = p.ctx.Err(); errs[i] != nil {
				continue
			}
			if _, err := tx.ExecContext(ctx, "savepoint part"); err != nil {
				tx.Rollback()
				ran = len(parts)
				return err
			}
			part := &Tx{ctx: ctx, tx: tx, db: db, now: all.now}
			if errs[i] = guard(part, p.fn); errs[i] != nil {
				if retryable(errs[i]) {
					tx.Rollback()
					return errs[i]
				}
				if _, err := tx.ExecContext(ctx, "rollback to savepoint part"); err != nil {
					tx.Rollback()
					ran = len(parts)
					return err
				}
			} else {
				all.adopt(part)
			}
			if _, err := tx.ExecContext(ctx, "release savepoint part"); err != nil {
				tx.Rollback()
				ran = len(parts)
				return err
			}
		}
		return db.commit(all)
	})
	var spoilt *finishError
	alone := ran > 1 && errors.As(err, &spoilt)
	for i, p := range parts[:ran] {
		if errs[i] == nil && alone {
			p.done <- db.alone(p.ctx, p.fn)
			continue
		}
		p.done <- errors.Join(errs[i], errIf(errs[i] == nil, err))
	}
	return ran
}

func errIf(cond bool, err error) error {
	if cond {
		return err
	}
	return nil
}

func (db *DB) begin(ctx context.Context) (engine, error) {
	if !db.pg {
		_, err := db.writer.ExecContext(ctx, "begin immediate")
		if err != nil {
			return nil, fmt.Errorf("begin a write: %w", err)
		}
		return db.writer, nil
	}
	tx, err := db.w.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin a write: %w", err)
	}
	return tx, nil
}

func (db *DB) commit(t *Tx) error {
	if err := t.finish(); err != nil {
		t.tx.Rollback()
		return err
	}
	if err := fault.Point("store.commit"); err != nil {
		t.tx.Rollback()
		return err
	}
	if err := t.tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := fault.Point("store.committed"); err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// again repeats a transaction that lost against another (PostgreSQL 40001
// serialization_failure, 40P01 deadlock_detected). Before each new try it waits a
// random time, longer each time, so that two who cross do not meet again.
func (db *DB) again(ctx context.Context, try func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := try()
		if err == nil || wait > maxWait || !retryable(err) || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(rand.N(wait))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// maxWait is the longest wait before a transaction is tried again; the last of
// eleven tries comes after a second of waiting at most.
const maxWait = 512 * time.Millisecond

func retryable(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

// guard turns a panic in fn into an error: one bad row must not stop the writer.
func guard(t *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(t)
}
