package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// engine is a transaction as an engine of ours runs it.
type engine interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
	Commit() error
	Rollback() error
}

// maxPrepared bounds the statements that a session keeps; the program has fewer.
const maxPrepared = 1000

// session is a connection to SQLite that keeps its statements prepared, and the
// transaction under way on it: SQLite takes longer to parse most of our
// statements than to run them. PostgreSQL's driver does so by itself.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn, map[string]*sql.Stmt{}}, nil
}

// drop ends the connection, whatever its state.
func (s *session) drop() {
	s.conn.Raw(func(any) error { return driver.ErrBadConn })
	s.conn.Close()
}

// prepared gives the statement of q; nil where no more of them are kept.
func (s *session) prepared(ctx context.Context, q string) (*sql.Stmt, error) {
	st := s.stmts[q]
	if st != nil || len(s.stmts) >= maxPrepared {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, q)
	if err == nil {
		s.stmts[q] = st
	}
	return st, err
}

func (s *session) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	st, err := s.prepared(ctx, q)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return s.conn.ExecContext(ctx, q, args...)
	}
	return st.ExecContext(ctx, args...)
}

func (s *session) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	st, err := s.prepared(ctx, q)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return s.conn.QueryContext(ctx, q, args...)
	}
	return st.QueryContext(ctx, args...)
}

func (s *session) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	if st, err := s.prepared(ctx, q); err == nil && st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.conn.QueryRowContext(ctx, q, args...) // and tells the error, if there is one
}

func (s *session) Commit() error {
	_, err := s.ExecContext(context.Background(), "commit")
	if err != nil {
		err = errors.Join(err, s.Rollback()) // a commit that failed leaves the transaction open
	}
	return err
}

func (s *session) Rollback() error {
	_, err := s.ExecContext(context.Background(), "rollback")
	return err
}

// read begins a read on a connection that no other read uses; end gives it back.
func (db *DB) read(ctx context.Context) (_ *session, end func(), err error) {
	var s *session
	select {
	case s = <-db.readers:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-db.closing:
		return nil, nil, ErrClosed
	}
	give := func(s *session) {
		if s != nil {
			db.readers <- s
			return
		}
		db.readers <- nil // opened again by who needs it
	}
	if s == nil {
		if s, err = newSession(ctx, db.r); err != nil {
			give(nil)
			return nil, nil, fmt.Errorf("read the store: %w", err)
		}
	}
	if _, err := s.ExecContext(ctx, "begin"); err != nil {
		s.drop()
		give(nil)
		return nil, nil, fmt.Errorf("read the store: %w", err)
	}
	return s, func() {
		// An interrupted connection is not used again.
		if err := s.Rollback(); err != nil || ctx.Err() != nil {
			s.drop()
			s = nil
		}
		give(s)
	}, nil
}
