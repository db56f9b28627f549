package app

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/view"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/hosts"
	"bolwerk/internal/idem"
	"bolwerk/internal/job"
	"bolwerk/internal/join"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/webhook"
	"bolwerk/shield"
)

// Backup writes a copy of the store, as it is at one moment, to path. The desk
// may run. Keys are not part of it: keep DATA/desk/keys in another place.
func Backup(ctx context.Context, cfg Config, path string, begin Begin) error {
	if _, err := os.Stat(path); err == nil {
		return bolwerk.Conflict("%s is there already", path)
	}
	db, err := store.Open(ctx, cfg.Store, clock.New())
	if err != nil {
		return err
	}
	defer db.Close()
	if db.Postgres() {
		return bolwerk.WithHint(bolwerk.Invalid("the store is PostgreSQL"), "use pg_dump; docs/do/postgres.md says how")
	}
	size, err := db.Size(ctx)
	if err != nil {
		return err
	}
	err = watchGrow(path, size, begin, func() error { return db.VacuumInto(ctx, path) })
	if err != nil {
		return fmt.Errorf("backup to %s: %w", path, err)
	}
	return os.Chmod(path, 0o600)
}

// Begin is told that a step of a long piece of work begins, and how many octets
// it will take. It gives what is told of each octet more, and called at the end.
type Begin func(step string, octets int64) (add func(int64), end func())

// watchGrow does work that writes path in one go, and tells how the file grows.
func watchGrow(path string, total int64, begin Begin, work func() error) error {
	add, end := begin("writing "+filepath.Base(path), total)
	defer end()
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	var told int64
	look := func() {
		if st, err := os.Stat(path); err == nil {
			add(st.Size() - told)
			told = st.Size()
		}
	}
	watcher.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				look()
			}
		}
	})
	err := work()
	close(stop)
	watcher.Wait()
	look()
	return err
}

// floorFile remembers, outside the store, the highest epoch that a restore gave
// out: two restores of one backup must not begin the same epoch.
type floorFile struct {
	Epoch int64 `json:"epoch"`
}

// Restore puts a backup in the place of the store and begins again from there.
// The desk must not run. What was there is kept beside it.
func Restore(ctx context.Context, cfg Config, path string, begin Begin) error {
	if err := deskStands(ctx, cfg); err != nil {
		return err
	}
	if cfg.Store.Postgres() {
		return bolwerk.WithHint(bolwerk.Invalid("the store is PostgreSQL"), "restore it by its own means, then: bolwerk restore --prepared; docs/do/postgres.md says how")
	}
	if err := checkBackup(ctx, path, begin); err != nil {
		return err
	}
	old := cfg.Store.URL
	kept := old + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(old+suffix, kept+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := copyFile(path, old, "putting it in place", begin); err != nil {
		return err
	}
	return beginAgain(ctx, cfg, filepath.Base(path))
}

// Prepared begins again from a store that was brought back to an older day by
// other means, as PostgreSQL is. The desk must not run.
func Prepared(ctx context.Context, cfg Config) error {
	if err := deskStands(ctx, cfg); err != nil {
		return err
	}
	return beginAgain(ctx, cfg, "prepared")
}

// deskStands refuses while the desk runs, and without the keys.
func deskStands(ctx context.Context, cfg Config) error {
	if err := AdminCall(ctx, cfg.Data, "GET", "/restore", nil, nil); err == nil {
		return bolwerk.WithHint(bolwerk.Conflict("the desk is running"), "stop it first; the edges go on without it")
	}
	keys := filepath.Join(cfg.Data, "desk", "keys")
	if _, err := os.Stat(keys); err != nil {
		return bolwerk.WithHint(bolwerk.NotFound("no keys in %s", keys), "put the copy of the keys there first: without them nothing sealed can be read and no host knows the desk")
	}
	return nil
}

// beginAgain begins a new epoch above all that were given out, parks what goes
// outside, and asks hosts to hand in again.
func beginAgain(ctx context.Context, cfg Config, from string) error {
	var floor floorFile
	floorPath := filepath.Join(cfg.Data, "desk", "keys", "epoch.json")
	if b, err := os.ReadFile(floorPath); err == nil {
		if err := json.Unmarshal(b, &floor); err != nil {
			return fmt.Errorf("%s: %w", floorPath, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := store.Open(ctx, cfg.Store, clock.New())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, Schemas()...); err != nil {
		return err
	}
	p := publish.New(db, cfg.Operator)
	return db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		parked, err := job.Park(tx)
		if err != nil {
			return err
		}
		last, err := audit.Last(tx)
		if err != nil {
			return err
		}
		epoch, err := shield.BeginRestore(tx, p, floor.Epoch)
		if err == nil {
			err = view.BeginRestore(tx, p, floor.Epoch)
		}
		var freed int64
		if err == nil {
			freed, err = quarantine.BeginRestore(tx)
		}
		if err == nil {
			err = hosts.BeginRestore(tx, p, floor.Epoch)
		}
		if err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Socket(), "store.restore", from, "", map[string]any{"epoch": epoch, "jobs_parked": parked, "quarantines_ended": freed, "backup_until": last.At})
		if err := hosts.AskReplay(tx, last.At.Add(-time.Hour)); err != nil {
			return err
		}
		b, err := json.Marshal(floorFile{epoch})
		if err != nil {
			return err
		}
		return disk.Write(floorPath, b, "restore.floor")
	})
}

// checkBackup refuses a file that is no store of ours.
func checkBackup(ctx context.Context, path string, begin Begin) error {
	tmp, err := os.MkdirTemp("", "bolwerk-restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	probe := filepath.Join(tmp, "store.db")
	if err := copyFile(path, probe, "reading "+filepath.Base(path), begin); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: probe}, clock.New())
	if err != nil {
		return bolwerk.Invalid("%s is no backup of ours: %v", path, err)
	}
	defer db.Close()
	if err := db.Migrate(ctx, Schemas()...); err != nil {
		return bolwerk.Invalid("%s is no backup of ours: %v", path, err)
	}
	if _, err := audit.Verify(ctx, db, nil); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func copyFile(from, to, step string, begin Begin) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	st, err := in.Stat()
	if err != nil {
		out.Close()
		return err
	}
	add, end := begin(step, st.Size())
	defer end()
	if _, err := io.Copy(counted{out, add}, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Sync(); err != nil {
		out.Close()
		return err
	}
	return errors.Join(out.Close(), disk.SyncDir(filepath.Dir(to)))
}

// counted tells how much was written.
type counted struct {
	io.Writer
	add func(int64)
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.add(int64(n))
	return n, err
}

// askFor is how long the desk waits for every edge to tell what it holds after
// a restore. One that is away longer takes the new epoch when it comes back.
const askFor = 2 * time.Minute

// restoring goes on from what the edges hold, once every one of them has told.
func (d *Desk) restoring(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := d.tryReconcile(ctx); err != nil && ctx.Err() == nil {
			d.env.Log.Error("restore not reconciled", "alarm", true, "err", err)
		}
		if err := d.settleLog(ctx, false); err != nil && ctx.Err() == nil {
			d.env.Log.Error("transparency log not settled after a restore", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *Desk) tryReconcile(ctx context.Context) error {
	state, _, err := d.publish.Restoring(ctx)
	if err != nil || state != "asking" {
		return err
	}
	all, err := d.hosts.All(ctx)
	if err != nil {
		return err
	}
	edges, missing := 0, 0
	for _, h := range all {
		if h.State != "in" || !slices.Contains([]join.Role{join.Edge, join.Agent, join.Relay}, join.Role(h.Role)) {
			continue
		}
		edges++
		if told, err := d.publish.Told(ctx, h.Name); err != nil {
			return err
		} else if !told {
			missing++
		}
	}
	// Without any edge there is nobody to ask: a person releases it.
	if edges == 0 || missing > 0 && d.env.Clock.Now().Sub(d.started) < askFor || missing == edges {
		return nil
	}
	r, err := d.publish.Reconcile(ctx, shield.CopyBlocks, d.shield.Adopt, d.shield.WithdrawnElsewhere)
	if err == nil {
		d.env.Log.Warn("restore reconciled with the edges: a person looks and releases it", "alarm", true,
			"kept", r.Kept, "recovered", r.Recovered, "withdrawn", r.Withdrawn, "held", r.Held)
	}
	return err
}

// settleLog lets the transparency log go on once every intake has told what it
// holds. Where one has not, or holds another history, released says that a person
// has looked: then the log begins anew.
func (d *Desk) settleLog(ctx context.Context, released bool) error {
	asking, err := d.ledger.Asking(ctx)
	if err != nil || !asking {
		return err
	}
	told, err := d.ledger.Told(ctx)
	if err != nil {
		return err
	}
	all, err := d.hosts.All(ctx)
	if err != nil {
		return err
	}
	known, intakes := true, 0
	for _, h := range all {
		if h.Role == string(join.Intake) && h.State == "in" {
			intakes++
			known = known && told[h.Name]
		}
	}
	// Without any intake nothing was ever published, but a person says so.
	if !released && (!known || intakes == 0) {
		return nil
	}
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := d.ledger.Settle(tx, known, d.shield.LogAgain); err != nil || !known {
			return err
		}
		return d.shield.EndAsLogged(tx)
	})
	if err == nil && !known {
		d.env.Log.Warn("the transparency log begins anew: an intake could not tell what it holds, or holds another history", "alarm", true)
	}
	return err
}

// askHeld makes the handler of copies ask edges what they hold after a restore.
func (d *Desk) askHeld(h *copy.Handler, operator string, key ed25519.PublicKey) {
	h.Want = func() func(copy.Poll) bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		state, _, err := d.publish.Restoring(ctx)
		asking := err == nil && state == "asking"
		return func(p copy.Poll) bool { return asking && p.Copy == shield.CopyBlocks && !p.Nothing }
	}
	h.Held = func(ctx context.Context, p copy.Poll, files io.Reader) error {
		if told, err := d.publish.Told(ctx, p.Host); err != nil || told {
			return err
		}
		return d.publish.Held(ctx, p.Host, files, copy.Trust{Operator: operator, Copy: p.Copy, Keys: []ed25519.PublicKey{key}})
	}
}

// retain forgets what ground packages keep for a while, once an hour.
func (d *Desk) retain(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if err := d.accounts.Expire(tx); err != nil {
				return err
			}
			if err := webhook.Expire(tx); err != nil {
				return err
			}
			return idem.Expire(tx)
		})
		if err != nil && ctx.Err() == nil {
			d.env.Log.Error("retention", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// AuditVerify checks the audit trail of a desk, and with edge, a folder of an
// edge, that the trail is the one that the edge has seen.
func AuditVerify(ctx context.Context, data, edge string, out io.Writer) error {
	var seen []string
	if edge != "" {
		host, err := join.Load(edge, clock.New(), slog.New(slog.DiscardHandler))
		if err != nil {
			return fmt.Errorf("heads that %s has seen: %w", edge, err)
		}
		heads, err := copy.Seen(disk.System{}, filepath.Join(edge, "copies", copyBlocks), copy.Trust{Operator: host.Operator(), Copy: copyBlocks, Keys: []ed25519.PublicKey{host.CopyKey()}})
		if err != nil {
			return fmt.Errorf("heads that %s has seen: %w", edge, err)
		}
		if len(heads) == 0 { // nothing compared proves nothing
			return bolwerk.WithHint(bolwerk.NotFound("%s has kept no head that its desk signed", edge), "name the folder of an edge that has followed this desk")
		}
		for _, h := range heads {
			seen = append(seen, h.Head.Audit)
		}
	}
	var got struct{ Entries, Leaves int64 }
	if err := AdminCall(ctx, data, "POST", "/audit/verify", map[string]any{"seen": seen}, &got); err != nil {
		return err
	}
	fmt.Fprintf(out, "the audit trail is whole: %d entries, %d heads compared; the transparency log has %d leaves\n", got.Entries, len(seen), got.Leaves)
	return nil
}
