// Package publish is the desk's side of a copy: it numbers publications, keeps
// what is in force and the last changes, and wakes who waits for them.
package publish

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/copy"
	"bolwerk/internal/fault"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "publish", Steps: []string{schema}} }

// Keep is how long batches stay for hosts that were away; older hosts get a
// snapshot.
const Keep = 48 * time.Hour

// Desk publishes. It is safe for concurrent use.
type Desk struct {
	db       *store.DB
	operator string

	mu   sync.Mutex
	wake map[string]chan struct{} // closed at the next publication
}

// New publishes for operator.
func New(db *store.DB, operator string) *Desk {
	return &Desk{db: db, operator: operator, wake: map[string]chan struct{}{}}
}

type key string

type item struct {
	entry copy.Entry
	done  func(tx *store.Tx, epoch, serial int64) error
	beat  bool // no entry: only a new serial
}

// Append publishes an entry with the transaction that it is part of. All
// entries that one transaction appends to a copy make one serial. done, which
// may be nil, is told that serial as part of the transaction.
func (d *Desk) Append(tx *store.Tx, name string, e copy.Entry, done func(tx *store.Tx, epoch, serial int64) error) {
	tx.Collect(key(name), item{entry: e, done: done}, func(tx *store.Tx, items []any) error { return d.write(tx, name, items) })
}

// Beat publishes a serial that changes nothing: who has it has all before it.
func (d *Desk) Beat(tx *store.Tx, name string) {
	tx.Collect(key(name), item{beat: true}, func(tx *store.Tx, items []any) error { return d.write(tx, name, items) })
}

func (d *Desk) write(tx *store.Tx, name string, items []any) error {
	h, err := d.raise(tx, name)
	if err != nil {
		return err
	}
	b := copy.Batch{Epoch: h.Epoch, Serial: h.Serial}
	for _, it := range items {
		if it.(item).beat {
			continue
		}
		e := it.(item).entry
		var n int64
		if e.Removed {
			e.Body = nil
			n, err = tx.Exec(`delete from copy_entry where copy=$1 and id=$2`, name, e.ID)
			n = -n
		} else {
			n, err = put(tx, name, e)
		}
		if err != nil {
			return err
		}
		h.Count += n
		b.Entries = append(b.Entries, e)
	}
	body := b.Encode()
	h.Previous, h.Digest = h.Digest, copy.NextDigest(h.Digest, body)
	if err := fault.Point("publish.write"); err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into copy_batch(copy,epoch,serial,body,digest,count,at) values($1,$2,$3,$4,$5,$6,$7)`, name, h.Epoch, h.Serial, body, h.Digest, h.Count, tx.NowMicros()); err != nil {
		return err
	}
	if _, err := tx.Exec(`update copy_head set previous=$1, digest=$2, count=$3, made_at=$4 where copy=$5`, h.Previous, h.Digest, h.Count, tx.NowMicros(), name); err != nil {
		return err
	}
	for _, it := range items {
		if done := it.(item).done; done != nil {
			if err := done(tx, h.Epoch, h.Serial); err != nil {
				return err
			}
		}
	}
	tx.After(func() { d.ring(name) })
	return nil
}

// put keeps an entry that is in force and says how many more there are now. Most
// are new.
func put(tx *store.Tx, name string, e copy.Entry) (int64, error) {
	n, err := tx.Exec(`insert into copy_entry(copy,id,version,vfrom,vuntil,body) values($1,$2,$3,$4,$5,$6) on conflict(copy,id) do nothing`,
		name, e.ID, e.Version, e.From, e.Until, string(e.Body))
	if err != nil || n == 1 {
		return n, err
	}
	_, err = tx.Exec(`update copy_entry set version=$3, vfrom=$4, vuntil=$5, body=$6 where copy=$1 and id=$2`, name, e.ID, e.Version, e.From, e.Until, string(e.Body))
	return 0, err
}

// A copy begins at serial 1, empty: resolvers take a zone of serial 0 for none.
//
// raise takes the next serial; the row is ours until the transaction ends.
func (d *Desk) raise(tx *store.Tx, name string) (copy.Head, error) {
	if _, err := tx.Exec(`insert into copy_head(copy,epoch,serial,previous,digest,count,made_at) values($1,1,1,'',$2,0,0) on conflict(copy) do nothing`, name, origin(d.operator, name, 1)); err != nil {
		return copy.Head{}, err
	}
	h := copy.Head{Copy: name}
	err := tx.Row(`update copy_head set serial=serial+1 where copy=$1 returning epoch,serial,digest,count`, name).Scan(&h.Epoch, &h.Serial, &h.Digest, &h.Count)
	return h, err
}

// origin is the digest that an epoch begins with.
func origin(operator, name string, epoch int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "bolwerk copy %s %s %d", operator, name, epoch))
	return hex.EncodeToString(sum[:])
}

func (d *Desk) ring(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.wake[name]; c != nil {
		close(c)
		delete(d.wake, name)
	}
}

// Changed gives a channel that is closed at this desk's next publication of a
// copy. Another desk's publications are found by looking every second.
func (d *Desk) Changed(name string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.wake[name]
	if c == nil {
		c = make(chan struct{})
		d.wake[name] = c
	}
	return c
}

// lookEvery is how soon a publication of another desk is found.
const lookEvery = 100 * time.Millisecond

// Watch wakes who waits for publications of other desks at the same store, until
// ctx ends. An embedded store has none.
func (d *Desk) Watch(ctx context.Context) error {
	if !d.db.Postgres() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := map[string]int64{}
	for {
		// Who cannot be asked now is asked again: who waits looks by himself, too.
		_ = d.db.Read(ctx, func(tx *store.Tx) error {
			return tx.Each(`select copy,serial from copy_head`, nil, func(scan func(...any) error) error {
				var name string
				var serial int64
				if err := scan(&name, &serial); err != nil {
					return err
				}
				if seen[name] != serial {
					seen[name] = serial
					d.ring(name)
				}
				return nil
			})
		})
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Head is where a copy stands, unsigned.
func (d *Desk) Head(ctx context.Context, name string) (h copy.Head, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		h, err = d.head(tx, name)
		return err
	})
	return h, err
}

func (d *Desk) head(tx *store.Tx, name string) (copy.Head, error) {
	now := tx.Now()
	h := copy.Head{Operator: d.operator, Copy: name, Epoch: 1, Serial: 1, Digest: origin(d.operator, name, 1), MadeAt: now, Fresh: now.Add(copy.FreshFor)}
	err := tx.Row(`select epoch,serial,previous,digest,count from copy_head where copy=$1`, name).Scan(&h.Epoch, &h.Serial, &h.Previous, &h.Digest, &h.Count)
	if err != nil && !store.None(err) {
		return h, err
	}
	h.Audit, err = audit.Head(tx)
	return h, err
}

// Since gives the publications of epoch after serial, oldest first, at most
// limit. complete is false where the oldest of them are no longer kept, or the
// epoch is another: then a snapshot is needed.
func (d *Desk) Since(ctx context.Context, name string, epoch, serial int64, limit int) (steps []copy.Step, complete bool, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		h, err := d.head(tx, name)
		if err != nil {
			return err
		}
		if h.Epoch != epoch || serial > h.Serial {
			return nil
		}
		steps, err = store.List(tx, func(scan func(...any) error) (s copy.Step, err error) {
			var at int64
			err = scan(&s.Serial, &s.Body, &s.Digest, &s.Count, &at)
			s.At = store.Time(at)
			return s, err
		}, `select serial,body,digest,count,at from copy_batch where copy=$1 and epoch=$2 and serial>$3 order by serial limit $4`, name, epoch, serial, limit)
		complete = err == nil && (serial == h.Serial || len(steps) > 0 && steps[0].Serial == serial+1)
		return err
	})
	return steps, complete, err
}

// Snapshot gives the head and each entry in force, of one moment.
func (d *Desk) Snapshot(ctx context.Context, name string, begin func(copy.Head) error, each func(copy.Entry) error) error {
	return d.db.Read(ctx, func(tx *store.Tx) error {
		h, err := d.head(tx, name)
		if err != nil {
			return err
		}
		if err := begin(h); err != nil {
			return err
		}
		return tx.Each(`select id,version,vfrom,vuntil,body from copy_entry where copy=$1 order by id`, []any{name}, func(scan func(...any) error) error {
			var e copy.Entry
			var body string
			if err := scan(&e.ID, &e.Version, &e.From, &e.Until, &body); err != nil {
				return err
			}
			e.Body = json.RawMessage(body)
			return each(e)
		})
	})
}

// Expire forgets batches that no host can still need.
func (d *Desk) Expire(tx *store.Tx) (int64, error) {
	return tx.Exec(`delete from copy_batch where at<$1`, store.Micros(tx.Now().Add(-Keep)))
}

// Over are entries whose time ended before at, the first to end in front.
func Over(tx *store.Tx, name string, at time.Time, limit int) ([]copy.Entry, error) {
	return store.List(tx, func(scan func(...any) error) (e copy.Entry, err error) {
		err = scan(&e.ID, &e.Version)
		return e, err
	}, `select id,version from copy_entry where copy=$1 and vuntil>0 and vuntil<$2 order by vuntil limit $3`, name, store.Micros(at), limit)
}

// NewEpoch begins an epoch above floor for a copy, after a restore: hosts then
// take the copy anew, and nothing from before counts. The serial goes on from
// at least serialFloor, because serials of zones made from it never go back.
func (d *Desk) NewEpoch(tx *store.Tx, name string, floor, serialFloor int64) (epoch, serial int64, err error) {
	h, err := d.raise(tx, name)
	if err != nil {
		return 0, 0, err
	}
	epoch = max(h.Epoch, floor) + 1
	serial = max(h.Serial, serialFloor+1)
	if _, err = tx.Exec(`update copy_head set epoch=$1, serial=$2, previous='', digest=$3, made_at=$4 where copy=$5`,
		epoch, serial, origin(d.operator, name, epoch), tx.NowMicros(), name); err != nil {
		return 0, 0, err
	}
	tx.After(func() { d.ring(name) })
	return epoch, serial, nil
}

// Entry gives one entry that is in force.
func Entry(tx *store.Tx, name, id string) (copy.Entry, error) {
	e := copy.Entry{ID: id}
	var body string
	err := tx.Row(`select version,vfrom,vuntil,body from copy_entry where copy=$1 and id=$2`, name, id).Scan(&e.Version, &e.From, &e.Until, &body)
	if store.None(err) {
		return e, bolwerk.NotFound("no entry %s in the copy %s", id, name)
	}
	e.Body = json.RawMessage(body)
	return e, err
}
