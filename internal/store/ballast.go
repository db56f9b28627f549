package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"bolwerk"
	"bolwerk/internal/disk"
)

// A full disk must not keep a withdrawal from being written. A file beside the
// embedded store takes room that only the lane WayBack may use: when such a
// write finds the disk full, the file is deleted and the write made again. From
// then on nothing else is written until there is room for a new file, or what
// comes in would take the room of the next withdrawal.

const (
	ballastName  = "ballast"
	ballastSize  = 64 << 20
	ballastEvery = 2 * time.Second
	ballastAlarm = time.Minute // how often the alarm is repeated
)

// errTight is what writes get while the last room is kept for the way back.
var errTight = bolwerk.WithHint(fmt.Errorf("the disk of the store is full; only withdrawals are written: %w", bolwerk.ErrFull), "make room on the desk's disk")

// full turns what the engines say of a full disk into a bolwerk.ErrFull.
func full(err error) error {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &lite) && (lite.Code() == 13 || lite.Code() == 4874): // SQLITE_FULL, SQLITE_IOERR_SHMSIZE
	case errors.As(err, &pg) && pg.Code == "53100": // disk_full
	default:
		return err
	}
	return fmt.Errorf("%w: %w", bolwerk.ErrFull, err)
}

// OnlyWithdrawals says that the disk is full: nothing but the way back is written.
func (db *DB) OnlyWithdrawals() bool { return db.tight.Load() }

func (db *DB) ballast() string { return filepath.Join(filepath.Dir(db.path), ballastName) }

// freeBallast gives the ballast's room to the way back. False: there was none.
func (db *DB) freeBallast() bool {
	if db.path == "" {
		return false
	}
	was := db.tight.Swap(true) // first: nobody else may take the room
	err := os.Remove(db.ballast())
	if err != nil && !was {
		db.tight.Store(false)
	}
	return err == nil || was
}

// KeepBallast keeps the file until ctx ends. It alarms while there is none.
func (db *DB) KeepBallast(ctx context.Context, log *slog.Logger) error {
	if db.path == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(ballastEvery)
	defer tick.Stop()
	var alarmed time.Time
	for {
		made, err := db.makeBallast()
		switch {
		case err != nil && time.Since(alarmed) > ballastAlarm:
			alarmed = time.Now()
			log.Error("the disk of the store is full, or nearly: make room", "alarm", true, "only_withdrawals", db.tight.Load(), "err", err)
		case made && !alarmed.IsZero():
			alarmed = time.Time{}
			log.Info("the disk of the store has room again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// makeBallast makes the file where it is missing and there is room for twice its
// size. Without it and with less than its size, only the way back is written.
func (db *DB) makeBallast() (made bool, err error) {
	if _, err := os.Stat(db.ballast()); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	free, err := disk.System{}.Free(filepath.Dir(db.path))
	if err != nil {
		return false, err
	}
	if free < 2*ballastSize {
		db.tight.Store(free < ballastSize)
		return false, fmt.Errorf("%d MiB are free, %d are needed", free>>20, 2*ballastSize>>20)
	}
	f, err := os.OpenFile(db.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	// Not a sparse file: its blocks are taken.
	if err := errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, ballastSize), f.Close()); err != nil {
		os.Remove(db.ballast())
		return false, fmt.Errorf("ballast: %w", err)
	}
	db.tight.Store(false)
	return true, nil
}
