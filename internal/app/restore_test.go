package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/app"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/job"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/shield"
)

// A store that was brought back by its engine's own means begins again like one
// that "bolwerk restore" put in place: PostgreSQL has no other way.
func TestAStoreThatWasBroughtBackBeginsAgain(t *testing.T) {
	cfg := app.Default()
	cfg.Data = t.TempDir()
	cfg.Store.URL = storetest.URL(t)
	if err := app.Prepared(t.Context(), cfg); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("without keys: got %v, want a refusal", err)
	}
	if err := disk.MakeDir(filepath.Join(cfg.Data, "desk", "keys")); err != nil {
		t.Fatal(err)
	}
	c := clock.NewFake(time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC))
	db := storetest.OpenAt(t, cfg.Store.URL, c, app.Schemas()...)
	p := publish.New(db, cfg.Operator)
	err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		p.Append(tx, shield.CopyBlocks, copy.Entry{ID: "b1", Version: 1, Body: json.RawMessage(`{}`)}, nil)
		audit.Append(tx, bolwerk.Socket(), "test", "b1", "", nil)
		return job.Add(tx, "notice", "k", "r", tx.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err := p.Head(t.Context(), shield.CopyBlocks)
	if err != nil {
		t.Fatal(err)
	}
	last := before.Epoch
	for range 2 { // the second from the same backup is another life
		if err := app.Prepared(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		h, err := p.Head(t.Context(), shield.CopyBlocks)
		if err != nil {
			t.Fatal(err)
		}
		if h.Epoch <= last || h.Serial < before.Serial+1000 || h.Count != 0 {
			t.Errorf("epoch %d, serial %d, %d entries; want an epoch above %d, a serial far above %d, and nothing in force", h.Epoch, h.Serial, h.Count, last, before.Serial)
		}
		last = h.Epoch
	}
	if state, _, err := p.Restoring(t.Context()); state != "asking" || err != nil {
		t.Errorf("state %q, %v, want asking", state, err)
	}
	err = db.Read(context.Background(), func(tx *store.Tx) error {
		n, err := job.Counts(tx)
		if n["parked"] != 1 || n["waiting"] != 0 {
			t.Errorf("jobs %v, want the one parked", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if n, err := audit.Verify(t.Context(), db, nil); n != 3 || err != nil {
		t.Errorf("%d entries in the trail, %v, want 3", n, err)
	}
}

func TestRestoreKnowsThatPostgreSQLIsNoFile(t *testing.T) {
	cfg := app.Default()
	cfg.Data, cfg.Store.URL = t.TempDir(), "postgres://bolwerk@db.example/bolwerk"
	if err := disk.MakeDir(filepath.Join(cfg.Data, "desk", "keys")); err != nil {
		t.Fatal(err)
	}
	err := app.Restore(t.Context(), cfg, filepath.Join(t.TempDir(), "backup.db"), nil)
	var r *bolwerk.Refusal
	if !errors.As(err, &r) || r.Hint == "" {
		t.Errorf("got %v, want a refusal with a hint", err)
	}
}

func TestABackupTellsHowFarItIs(t *testing.T) {
	cfg := app.Default()
	cfg.Data = t.TempDir()
	cfg.Store.URL = filepath.Join(cfg.Data, "store.db")
	db := storetest.OpenAt(t, cfg.Store.URL, clock.New(), app.Schemas()...)
	if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, bolwerk.Socket(), "test", "b1", "", nil)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backup.db")
	var total, done int64
	ended := false
	err := app.Backup(t.Context(), cfg, to, func(step string, octets int64) (func(int64), func()) {
		total = octets
		return func(n int64) { done += n }, func() { ended = true }
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if done != st.Size() || total < done || !ended {
		t.Errorf("told %d of %d octets, ended %v; the file has %d", done, total, ended, st.Size())
	}
}
