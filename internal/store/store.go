// Package store is the system of record: SQLite in a file, or PostgreSQL. One
// SQL text serves both. Writes go through two lanes: decisions first, then
// intake in batches.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"

	"bolwerk/internal/clock"
)

// Config says where the record is kept.
type Config struct {
	// URL is a file path (SQLite), or postgres://user@host/name without a password.
	URL string `toml:"url"`
	// PasswordFile holds the PostgreSQL password on its first line, mode 0600.
	PasswordFile string `toml:"password_file"`
}

// Postgres says that the store is a PostgreSQL.
func (c Config) Postgres() bool { return strings.HasPrefix(c.URL, "postgres://") }

// Validate checks the configuration without opening anything.
func (c Config) Validate() error {
	if c.Postgres() {
		if u, _, ok := strings.Cut(strings.TrimPrefix(c.URL, "postgres://"), "@"); ok && strings.Contains(u, ":") {
			return errors.New("store.url: a password does not belong here; put it in a file and name it in store.password_file")
		}
		return nil
	}
	if scheme, _, ok := strings.Cut(c.URL, ":"); ok && !strings.ContainsAny(scheme, "/.") {
		return fmt.Errorf("store.url: %.40q: want the path of a file, or postgres://", c.URL)
	}
	return nil
}

// DB is the open store. Write, Read and Close may be called from anywhere.
type DB struct {
	w, r  *sql.DB
	pg    bool
	clock clock.Clock
	path  string // of the SQLite file

	writer  *session      // of SQLite
	readers chan *session // of SQLite; nil is one that is not open

	decisions chan *write
	intake    chan *write
	closing   chan struct{}
	closed    sync.WaitGroup
	once      sync.Once
	tight     atomic.Bool // the disk is full: only the way back is written
}

// Open opens the store and starts its writer. Call Close to stop it.
func Open(ctx context.Context, cfg Config, c clock.Clock) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	db := &DB{clock: c, decisions: make(chan *write), intake: make(chan *write, batchRows), closing: make(chan struct{})}
	var err error
	if cfg.Postgres() {
		err = db.openPostgres(ctx, cfg)
	} else {
		err = db.openSQLite(ctx, cfg.URL)
	}
	if err != nil {
		return nil, err
	}
	db.closed.Go(db.loop)
	return db, nil
}

// readers are the reads that run at once on SQLite.
const readers = 4

func (db *DB) openSQLite(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	f.Close()
	q := fileURI(path) + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)&_pragma=cache_size(-65536)"
	w, err := sql.Open("sqlite", q)
	if err != nil {
		return err
	}
	w.SetMaxOpenConns(1)
	if err := w.PingContext(ctx); err != nil {
		w.Close()
		return fmt.Errorf("open the store %s: %w", path, err)
	}
	// Pages that a reader lacks in its own cache are in the system's: 16 MB each cost
	// lists of a million reports some percent, and bound all caches to 128 MB.
	r, err := sql.Open("sqlite", strings.NewReplacer("_txlock=immediate", "_txlock=deferred", "cache_size(-65536)", "cache_size(-16384)").Replace(q)+"&_pragma=query_only(1)")
	if err != nil {
		w.Close()
		return err
	}
	r.SetMaxOpenConns(readers)
	if db.writer, err = newSession(ctx, w); err != nil {
		w.Close()
		r.Close()
		return fmt.Errorf("open the store %s: %w", path, err)
	}
	db.readers = make(chan *session, readers)
	for range readers {
		db.readers <- nil
	}
	db.w, db.r, db.path = w, r, path
	return nil
}

// Postgres says which engine runs. Only this package and backup need to know.
func (db *DB) Postgres() bool { return db.pg }

// Path is the SQLite file; empty on PostgreSQL.
func (db *DB) Path() string { return db.path }

// Clock is the clock that stamps what is written.
func (db *DB) Clock() clock.Clock { return db.clock }

// Close finishes the writes that have begun and closes the store.
func (db *DB) Close() error {
	db.once.Do(func() { close(db.closing) })
	db.closed.Wait()
	if db.writer != nil {
		db.writer.conn.Close()
		for range readers { // waits for the reads under way
			if s := <-db.readers; s != nil {
				s.conn.Close()
			}
		}
		db.writer = nil
	}
	err := db.w.Close()
	if db.r != db.w {
		err = errors.Join(err, db.r.Close())
	}
	return err
}

// Read runs fn on one consistent view. It does not wait for writers.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if !db.pg {
		s, end, err := db.read(ctx)
		if err != nil {
			return err
		}
		defer end()
		return fn(&Tx{ctx: ctx, tx: s, db: db, now: db.clock.Now(), reading: true})
	}
	tx, err := db.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	defer tx.Rollback()
	return fn(&Tx{ctx: ctx, tx: tx, db: db, now: db.clock.Now(), reading: true})
}

// Size is how many octets a copy of a SQLite store takes, at most: what is in use, and
// a hundredth and a page more, because a copy packs its pages in another way.
func (db *DB) Size(ctx context.Context) (n int64, err error) {
	err = db.Read(ctx, func(tx *Tx) error {
		return tx.Row(`select (c.page_count-f.freelist_count)*s.page_size*101/100+s.page_size from pragma_page_count c, pragma_freelist_count f, pragma_page_size s`).Scan(&n)
	})
	return n, err
}

// VacuumInto writes a consistent copy of a SQLite store to path, which must not
// be there yet. The copy is for its owner alone and durable but for its name in
// the folder. Writers go on meanwhile.
func (db *DB) VacuumInto(ctx context.Context, path string) error {
	if db.pg {
		return errors.New("copy the store: PostgreSQL has its own ways (pg_dump, pg_basebackup)")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	defer f.Close()
	// A connection of its own: the readers' refuses anything that writes a file.
	c, err := sql.Open("sqlite", fileURI(db.path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, `vacuum into `+quote(path)); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	return f.Sync()
}

// fileURI names a file as SQLite reads names of files.
func fileURI(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Micros is a time as the store keeps it; 0 is none.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is what Micros wrote.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
