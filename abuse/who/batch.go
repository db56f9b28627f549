package who

import (
	"slices"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// batch is what one transaction takes: all rows of its sessions are read at once,
// changed in memory in the order of the records, and written at once. A statement a
// record costs more than the record.
type batch struct {
	w       *Who
	tx      *store.Tx
	records []session.Record
	keys    []int64 // of each record
	heard   map[string]*nas
	rows    map[int64][]*held // of each session
	ids     map[string][]any  // identities to write
	gaps    []session.Held    // ended by a name that was used again; Until is when
	ended   int64
}

// held is a row of a batch: was is where it lies in the store, nil where it does not.
type held struct {
	row
	was   *place
	dirty bool
}

// place is what names a row, with its session.
type place struct {
	net         string
	port, start int64
}

func placeOf(h session.Held) place {
	first, _ := portsOf(h)
	return place{string(netKey(h.Prefix)), int64(first), store.Micros(h.Start)}
}

func newBatch(w *Who, tx *store.Tx) *batch {
	return &batch{w: w, tx: tx, heard: map[string]*nas{}, rows: map[int64][]*held{}, ids: map[string][]any{}}
}

func (b *batch) add(r session.Record) {
	if r.NAS != "" {
		hear(b.heard, r)
	}
	b.records = append(b.records, r)
	b.keys = append(b.keys, sessionKey(r.Source, r.NAS, r.Session))
}

// write keeps the batch; told is what it changed.
func (b *batch) write(told *Told) error {
	if err := b.read(); err != nil {
		return err
	}
	var restarts [][]any
	for i, r := range b.records {
		if r.Source == session.Radius && r.At.After(told.Heard) {
			told.Heard = r.At
		}
		if r.Source == session.Radius && len(r.Filters) > 0 && r.Kind != session.Stop {
			told.Filters = append(told.Filters, Filtered{r.NAS, r.Session, r.Subscriber, r.Filters, r.At})
		}
		if r.Kind == session.On || r.Kind == session.Off {
			restarts = append(restarts, []any{r.NAS, store.Micros(r.At), string(r.Kind), false})
			told.Restarted = append(told.Restarted, Restart{r.NAS, r.At})
			continue
		}
		if err := b.apply(b.keys[i], r, told); err != nil {
			return err
		}
	}
	if err := store.Rows(b.tx, `insert into abuse_restart(nas,at,why,done)`, restarts, ` on conflict(nas,at) do nothing`); err != nil {
		return err
	}
	if err := b.store(); err != nil {
		return err
	}
	return b.w.heard(b.tx, b.heard)
}

// read reads all rows of the sessions.
func (b *batch) read() error {
	keys := slices.Compact(slices.Sorted(slices.Values(b.keys)))
	for part := range slices.Chunk(keys, store.ListMost) {
		in, args := store.In(1, part)
		var key int64
		err := b.tx.Each(`select `+columns+`,h.skey from abuse_held h where h.skey in (`+in+`)`, args, func(scan func(...any) error) error {
			r, err := scanRow(scan, &key)
			if err != nil {
				return err
			}
			at := placeOf(r.Held)
			b.rows[key] = append(b.rows[key], &held{row: r, was: &at})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// apply takes up what one record tells of its session.
func (b *batch) apply(key int64, r session.Record, told *Told) error {
	var known []*held
	var before []session.Held
	for _, h := range b.rows[key] {
		if h.NAS == r.NAS && h.Session == r.Session && h.Source == r.Source {
			known, before = append(known, h), append(before, h.Held)
		}
	}
	for _, n := range session.Apply(before, r) {
		var h *held
		who := ""
		switch {
		case n.Was == nil:
			h = &held{}
			b.rows[key] = append(b.rows[key], h)
			b.again(known, n.Now)
			if len(known) > 0 {
				who = known[0].who // a record without a name about a session that has one
			}
		default:
			at := slices.Index(before, *n.Was)
			h, who = known[at], known[at].who
		}
		if n.Now.Identity != (session.Identity{}) || who == "" {
			var err error
			if who, err = b.identity(n.Now.Identity); err != nil {
				return err
			}
		}
		h.row, h.dirty = row{Held: n.Now, who: who}, true
		h.Identity = session.Identity{} // rows are read without theirs
		if n.Now.Ports.All() && !n.Now.Inside.IsValid() {
			told.Touched = append(told.Touched, Touch{n.Now.Prefix, r.Subscriber})
		}
	}
	return nil
}

// again ends the sessions whose name an access server uses again: it began anew, or
// lost its count, and forgot to say so.
func (b *batch) again(known []*held, now session.Held) {
	for _, h := range known {
		if h.Ended != session.Open || !h.Start.Before(now.Start) || h.Seen.After(now.Start) || now.Guessed || now.Start.Sub(h.Start) < 2*time.Minute {
			continue
		}
		h.Until, h.Ended, h.dirty = now.Start, session.Replaced, true
		b.gaps = append(b.gaps, h.Held)
		b.ended++
	}
}

// identity is the id of who it is; where it is new it is written with the batch.
func (b *batch) identity(i session.Identity) (string, error) {
	id, sealed, err := b.w.sealed(i)
	if err != nil || sealed == nil {
		return id, err
	}
	if _, ok := b.ids[id]; !ok {
		b.ids[id] = sealed
	}
	return id, nil
}

// store writes what has changed.
func (b *batch) store() error {
	if err := b.w.writeIdentities(b.tx, b.ids); err != nil {
		return err
	}
	type in struct {
		place
		key int64
	}
	at := map[in]int{} // which row of rows
	var rows [][]any
	for key, all := range b.rows {
		for _, h := range all {
			if !h.dirty {
				continue
			}
			if err := b.w.shape(b.tx, h.Held); err != nil {
				return err
			}
			now := placeOf(h.Held)
			if h.was != nil && *h.was != now { // its begin is known better
				if _, err := b.tx.Exec(`delete from abuse_held where net=$1 and port=$2 and start=$3 and skey=$4`, []byte(h.was.net), h.was.port, h.was.start, key); err != nil {
					return err
				}
			}
			r := rowArgs(h.row, key)
			if i, twice := at[in{now, key}]; twice { // two that turn out to be one
				rows[i] = r
				continue
			}
			at[in{now, key}] = len(rows)
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return slices.Compare(a[0].([]byte), b[0].([]byte)) })
	if err := store.Rows(b.tx, `insert into abuse_held(net,port,start,skey,last_port,seen,until,ended,guessed,source,nas,session,who,inside)`, rows,
		` on conflict(skey,net,port,start) do update set last_port=excluded.last_port,seen=excluded.seen,until=excluded.until,ended=excluded.ended,guessed=excluded.guessed,who=excluded.who,inside=excluded.inside`); err != nil {
		return err
	}
	for _, h := range b.gaps {
		if err := gap(b.tx, h.NAS, h.Seen, h.Until, "restart"); err != nil {
			return err
		}
	}
	if n := b.ended; n > 0 {
		b.tx.After(func() { b.w.m.ended("name_again", n) })
	}
	return nil
}

func rowArgs(h row, key int64) []any {
	first, last := portsOf(h.Held)
	until := store.Micros(h.Until)
	if until == 0 {
		until = openEnd
	}
	inside := ""
	if h.Inside.IsValid() {
		inside = h.Inside.String()
	}
	return []any{netKey(h.Prefix), first, store.Micros(h.Start), key, last, store.Micros(h.Seen), until, string(h.Ended), h.Guessed, string(h.Source), h.NAS, h.Session, h.who, inside}
}

// shape notes that such prefixes and blocks occur.
func (w *Who) shape(tx *store.Tx, h session.Held) error {
	first, last := portsOf(h)
	s := shape{int(netKey(h.Prefix)[16]), last - first + 1}
	w.mu.Lock()
	known := w.shapes[s]
	w.mu.Unlock()
	if known {
		return nil
	}
	tx.After(func() { w.mu.Lock(); w.shapes[s] = true; w.mu.Unlock() })
	_, err := tx.Exec(`insert into abuse_shape(bits,ports) values($1,$2) on conflict do nothing`, s.bits, s.ports)
	return err
}
