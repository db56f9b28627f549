package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Tx is one transaction. It is valid until the function it was given to returns.
type Tx struct {
	ctx     context.Context
	tx      engine
	db      *DB
	now     time.Time
	reading bool
	flushes []flush
	after   []func()
}

type flush struct {
	key   any
	items []any
	run   func(*Tx, []any) error
	ran   bool
}

// finishError is what a flush failed with: in a batch nobody knows whose item
// it was, so each part runs again in a transaction of its own.
type finishError struct{ err error }

func (e *finishError) Error() string { return "finish the transaction: " + e.err.Error() }
func (e *finishError) Unwrap() error { return e.err }

// Context is the context of the transaction.
func (t *Tx) Context() context.Context { return t.ctx }

// Now is the time at which the transaction began.
func (t *Tx) Now() time.Time { return t.now }

// NowMicros is Now as the store keeps it.
func (t *Tx) NowMicros() int64 { return t.now.UnixMicro() }

// Text is s as the store keeps it: what is not UTF-8, and NUL, which PostgreSQL
// does not keep, becomes U+FFFD. Every argument of a statement is made so; what
// is hashed before it is stored calls Text first.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func texts(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			if clean := Text(s); clean != s {
				args = slices.Clone(args) // the caller's own
				args[i] = clean
			}
		}
	}
	return args
}

// Exec runs a statement and returns how many rows it touched.
func (t *Tx) Exec(q string, args ...any) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, q, texts(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Row runs a query of one row. Scan answers sql.ErrNoRows where there is none.
func (t *Tx) Row(q string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(t.ctx, q, texts(args)...)
}

// Each runs a query and calls fn for each row. fn must not use the Tx.
func (t *Tx) Each(q string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := t.tx.QueryContext(t.ctx, q, texts(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// List runs a query and gives one value a row.
func List[T any](t *Tx, read func(scan func(...any) error) (T, error), q string, args ...any) ([]T, error) {
	var out []T
	err := t.Each(q, args, func(scan func(...any) error) error {
		v, err := read(scan)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	return out, err
}

// None says that a query of one row found nothing.
func None(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Collect keeps item for the end of the transaction, where run gets all items
// of the same key at once, as the last statements before the commit; what run
// itself collects follows behind. Facts,
// audit rows and publications are written so: on PostgreSQL they then hold
// their lock for the shortest time.
func (t *Tx) Collect(key, item any, run func(*Tx, []any) error) {
	if t.reading {
		panic("store: Collect in a read")
	}
	for i := range t.flushes {
		if t.flushes[i].key == key && !t.flushes[i].ran {
			t.flushes[i].items = append(t.flushes[i].items, item)
			return
		}
	}
	t.flushes = append(t.flushes, flush{key: key, items: []any{item}, run: run})
}

// After runs fn once the transaction is durable: to wake whoever waits.
func (t *Tx) After(fn func()) { t.after = append(t.after, fn) }

// Try runs fn, and undoes what fn wrote if it fails: failed says why, and the
// transaction goes on. err is a failure after which it cannot.
func (t *Tx) Try(fn func(*Tx) error) (failed, err error) {
	if _, err := t.Exec("savepoint try"); err != nil {
		return nil, err
	}
	part := &Tx{ctx: t.ctx, tx: t.tx, db: t.db, now: t.now}
	if failed = guard(part, fn); failed == nil {
		t.adopt(part)
	} else if retryable(failed) || t.ctx.Err() != nil {
		return nil, failed
	} else if _, err := t.Exec("rollback to savepoint try"); err != nil { // the engine undid all of it: its disk is full, say
		return nil, errors.Join(failed, err)
	}
	_, err = t.Exec("release savepoint try")
	return failed, err
}

// adopt takes over what a finished part of a batch collected.
func (t *Tx) adopt(part *Tx) {
	for _, f := range part.flushes {
		for _, item := range f.items {
			t.Collect(f.key, item, f.run)
		}
	}
	t.after = append(t.after, part.after...)
}

// advisoryLast is the one advisory lock of the store on PostgreSQL: facts,
// audit rows and publications get their numbers under it, in commit order.
const advisoryLast = 7711

func (t *Tx) finish() error {
	if len(t.flushes) == 0 {
		return nil
	}
	if t.db.pg {
		if _, err := t.tx.ExecContext(t.ctx, `select pg_advisory_xact_lock($1)`, advisoryLast); err != nil {
			return err
		}
	}
	for i := 0; i < len(t.flushes); i++ { // a flush may collect for another one
		t.flushes[i].ran = true
		err := guard(t, func(t *Tx) error { return t.flushes[i].run(t, t.flushes[i].items) })
		if err != nil {
			return &finishError{err}
		}
	}
	return nil
}
