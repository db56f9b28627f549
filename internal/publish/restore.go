package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
)

// A restore brings the desk back to an older day; the hosts are further. So it
// begins a new epoch, asks every host what it holds, goes on from exactly that
// (what a host has seen withdrawn stays withdrawn), and holds what only the
// backup knows until a person has looked at it.

// serialGap is how far serials jump at a restore: further than any publication
// that the backup does not know of. One a second for eleven days.
const serialGap = 1_000_000

// BeginRestore prepares a restored store: new epochs above floor, and the
// entries of the copy asked held back.
func (d *Desk) BeginRestore(tx *store.Tx, asked string, others []string, floor int64) (epoch int64, err error) {
	for _, name := range append([]string{asked}, others...) {
		var serial int64
		if err := tx.Row(`select serial from copy_head where copy=$1`, name).Scan(&serial); err != nil && !store.None(err) {
			return 0, err
		}
		e, _, err := d.NewEpoch(tx, name, floor, serial+serialGap)
		if err != nil {
			return 0, err
		}
		epoch = max(epoch, e)
	}
	for _, q := range []string{
		`delete from copy_held`, `delete from copy_seen`, `delete from copy_told`,
		`update copy_restore set state='released' where state<>'released'`,
	} {
		if _, err := tx.Exec(q); err != nil {
			return 0, err
		}
	}
	if _, err := tx.Exec(`insert into copy_held(copy,id,version,vfrom,vuntil,body) select copy,id,version,vfrom,vuntil,body from copy_entry where copy=$1`, asked); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`delete from copy_entry where copy=$1`, asked); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`update copy_head set count=0 where copy=$1`, asked); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`insert into copy_restore(id,state,at) values($1,'asking',$2)`, bolwerk.NewID(tx.Now()), tx.NowMicros())
	return epoch, err
}

// Restoring says where a restore stands: "" where none is open, "asking" while
// hosts are asked, "held" while a person has still to look.
func (d *Desk) Restoring(ctx context.Context) (state string, since time.Time, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		var at int64
		err := tx.Row(`select state,at from copy_restore where state<>'released' order by at desc limit 1`).Scan(&state, &at)
		since = store.Time(at)
		if store.None(err) {
			return nil
		}
		return err
	})
	return state, since, err
}

// RestoreOpen says that a restore waits: for what hosts hold, or for a person.
func RestoreOpen(tx *store.Tx) (open bool, err error) {
	var n int64
	err = tx.Row(`select count(*) from copy_restore where state<>'released'`).Scan(&n)
	return n > 0, err
}

// Told says whether a host has told what it holds.
func (d *Desk) Told(ctx context.Context, host string) (bool, error) {
	var n int64
	err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from copy_told where host=$1`, host).Scan(&n)
	})
	return n > 0, err
}

// Held keeps what a host holds of a copy, in our own signature.
func (d *Desk) Held(ctx context.Context, host string, r io.Reader, trust copy.Trust) error {
	have := map[string]copy.Entry{}
	h, err := copy.ReadHeld(r, trust, func(e copy.Entry) error {
		if old, ok := have[e.ID]; !ok || e.Version >= old.Version {
			have[e.ID] = e
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("what %s holds: %w", host, err)
	}
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		for _, e := range have {
			if _, err := tx.Exec(`insert into copy_seen(host,id,version,removed,vfrom,vuntil,body) values($1,$2,$3,$4,$5,$6,$7) on conflict(host,id) do nothing`,
				host, e.ID, e.Version, e.Removed, e.From, e.Until, string(e.Body)); err != nil {
				return err
			}
		}
		// A host that is ahead of the restored epoch lifts it: nothing of ours may look older.
		if _, err := tx.Exec(`update copy_head set epoch=case when epoch<=$1 then $1+1 else epoch end, serial=case when serial<=$2 then $2+1 else serial end where copy=$3`,
			h.Epoch, h.Serial, h.Copy); err != nil {
			return err
		}
		_, err := tx.Exec(`insert into copy_told(host,at) values($1,$2) on conflict(host) do nothing`, host, tx.NowMicros())
		return err
	})
}

// Reconciled is what came of asking the hosts.
type Reconciled struct {
	Kept      int // in force at a host and in the backup
	Recovered int // in force at a host, unknown to the backup
	Withdrawn int // in force in the backup, withdrawn at a host
	Held      int // in force in the backup, unknown to every host
}

// ErrNotTaken says that an entry of a host is not taken over.
var ErrNotTaken = errors.New("not taken over")

// Reconcile goes on from what the hosts hold. adopt takes over an entry that the
// backup does not know; withdrawn is told of one that a host has seen withdrawn.
func (d *Desk) Reconcile(ctx context.Context, name string, adopt func(*store.Tx, copy.Entry) error, withdrawn func(*store.Tx, string) error) (r Reconciled, err error) {
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		r = Reconciled{}
		type fate struct {
			entry   copy.Entry
			removed bool
		}
		seen := map[string]fate{}
		err := tx.Each(`select id,version,removed,vfrom,vuntil,body from copy_seen`, nil, func(scan func(...any) error) error {
			var e copy.Entry
			var body string
			if err := scan(&e.ID, &e.Version, &e.Removed, &e.From, &e.Until, &body); err != nil {
				return err
			}
			e.Body = json.RawMessage(body)
			f := seen[e.ID]
			f.removed = f.removed || e.Removed // a withdrawal wins
			if !e.Removed && e.Version >= f.entry.Version {
				f.entry = e
			}
			seen[e.ID] = f
			return nil
		})
		if err != nil {
			return err
		}
		held, err := heldEntries(tx, name)
		if err != nil {
			return err
		}
		now := tx.NowMicros()
		for id, f := range seen {
			_, backup := held[id]
			over := f.entry.Until != 0 && f.entry.Until <= now
			switch {
			case f.removed && backup:
				r.Withdrawn++
				err = withdrawn(tx, id)
			case f.removed || over:
			case backup:
				r.Kept++
				d.Append(tx, name, f.entry, nil)
			default:
				if err = adopt(tx, f.entry); err == nil {
					r.Recovered++
					d.Append(tx, name, f.entry, nil)
				} else if errors.Is(err, ErrNotTaken) {
					err = nil
				}
			}
			if err != nil {
				return err
			}
			delete(held, id)
			if _, err := tx.Exec(`delete from copy_held where copy=$1 and id=$2`, name, id); err != nil {
				return err
			}
		}
		r.Held = len(held)
		state := "held"
		_, err = tx.Exec(`update copy_restore set state=$1 where state='asking'`, state)
		tx.After(func() { d.ring(name) })
		return err
	})
	return r, err
}

func heldEntries(tx *store.Tx, name string) (map[string]copy.Entry, error) {
	out := map[string]copy.Entry{}
	err := tx.Each(`select id,version,vfrom,vuntil,body from copy_held where copy=$1`, []any{name}, func(scan func(...any) error) error {
		var e copy.Entry
		var body string
		if err := scan(&e.ID, &e.Version, &e.From, &e.Until, &body); err != nil {
			return err
		}
		e.Body = json.RawMessage(body)
		out[e.ID] = e
		return nil
	})
	return out, err
}

// HeldBack lists what only the backup knows.
func (d *Desk) HeldBack(ctx context.Context, name string) (out map[string]copy.Entry, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error { out, err = heldEntries(tx, name); return err })
	return out, err
}

// Forget drops a held entry that was withdrawn meanwhile.
func Forget(tx *store.Tx, name, id string) error {
	_, err := tx.Exec(`delete from copy_held where copy=$1 and id=$2`, name, id)
	return err
}

// Release publishes what was held and ends the restore.
func (d *Desk) Release(tx *store.Tx, name string) (int, error) {
	held, err := heldEntries(tx, name)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range held {
		if e.Until != 0 && e.Until <= tx.NowMicros() {
			continue
		}
		n++
		d.Append(tx, name, e, nil)
	}
	if _, err := tx.Exec(`delete from copy_held where copy=$1`, name); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`update copy_restore set state='released' where state<>'released'`)
	return n, err
}
