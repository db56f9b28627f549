package store

import "context"

type fenceKey struct{}

// Fenced gives a context whose writes are done only while check lets them: it
// runs inside each transaction, after everything that the transaction does.
// Of two fences the outer one is asked first.
func Fenced(ctx context.Context, check func(*Tx) error) context.Context {
	if outer, ok := ctx.Value(fenceKey{}).(func(*Tx) error); ok {
		inner := check
		check = func(tx *Tx) error {
			if err := outer(tx); err != nil {
				return err
			}
			return inner(tx)
		}
	}
	return context.WithValue(ctx, fenceKey{}, check)
}

func fenced(ctx context.Context, fn func(*Tx) error) func(*Tx) error {
	check, ok := ctx.Value(fenceKey{}).(func(*Tx) error)
	if !ok {
		return fn
	}
	return func(tx *Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return check(tx)
	}
}

// advisoryLease is held together by the writes of who has a lease, and alone by
// who takes it. It is taken before advisoryLast.
const advisoryLease = 7712

// LockLease holds the lock of leases until the transaction ends: alone to take
// one, else beside others who check one. SQLite has one writer and needs none.
func (t *Tx) LockLease(alone bool) error {
	if !t.db.pg {
		return nil
	}
	q := `select pg_advisory_xact_lock_shared($1)`
	if alone {
		q = `select pg_advisory_xact_lock($1)`
	}
	_, err := t.tx.ExecContext(t.ctx, q, advisoryLease)
	return err
}
