package quarantine

import (
	"slices"
	"sync"
	"time"

	"bolwerk/internal/store"
)

// asideTime is how long a sweep leaves out a quarantine whose step failed.
const asideTime = time.Minute

// aside are quarantines whose steps fail by themselves: what is wrong with one row holds
// up no other. They are tried again after a while, and after each start.
type aside struct {
	mu   sync.Mutex
	from map[string]time.Time
}

// put leaves id out from now on.
func (a *aside) put(id string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.from == nil {
		a.from = map[string]time.Time{}
	}
	a.from[id] = now
}

// all are those that are left out now. A clock that went back leaves out none.
func (a *aside) all(now time.Time) (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range a.from {
		if age := now.Sub(at); age < 0 || age >= asideTime {
			delete(a.from, id)
			continue
		}
		out = append(out, id)
	}
	return out
}

// some are the quarantines of a query that are not set aside, at most so many. The
// query's last argument is its limit. whole says that there are no others.
func (d *Desk) some(tx *store.Tx, most int, query string, args ...any) (ids []string, whole bool, err error) {
	out := d.aside.all(d.p.Clock.Now())
	ids, err = idsOf(tx, query, append(slices.Clone(args), most+len(out))...)
	found := len(ids)
	ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(out, id) })
	ids = ids[:min(len(ids), most)]
	return ids, len(ids) == found && found < most, err
}

// try does something for a quarantine in a part of the transaction of its own: where it
// fails, somebody is alarmed and the rest goes on.
func (d *Desk) try(tx *store.Tx, quarantine, fails string, fn func(*store.Tx) error) (ok bool, err error) {
	failed, err := tx.Try(fn)
	if failed != nil {
		d.log.Error(fails, "alarm", true, "quarantine", quarantine, "err", failed)
	}
	return failed == nil && err == nil, err
}

// alone takes one quarantine a step on. Where that fails it is set aside.
func (d *Desk) alone(tx *store.Tx, id string, fn func(*store.Tx, *Row) error) (ok bool, err error) {
	ok, err = d.try(tx, id, "a quarantine fails, and is tried again in a while; the others go on", func(tx *store.Tx) error {
		q, err := load(tx, id)
		if err != nil {
			return err
		}
		return fn(tx, &q)
	})
	if !ok && err == nil {
		d.aside.put(id, d.p.Clock.Now())
	}
	return ok, err
}
