package who

import (
	"context"
	"slices"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// Take keeps what sources told. When it returns nil the records are durable. What
// was taken before changes nothing. Records that are older than what is kept, or a
// day ahead of the clock, are counted and left out.
func (w *Who) Take(ctx context.Context, records []session.Record) error {
	return w.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return w.take(tx, records) })
}

// ahead is how far the clock of a source may run before ours and still be believed.
const ahead = 24 * time.Hour

func (w *Who) take(tx *store.Tx, records []session.Record) error {
	heard := map[string]*nas{}
	for _, r := range records {
		switch {
		case r.At.Before(w.cutoff(tx.Now())):
			tx.After(func() { w.m.record(r.Kind, "too_old") })
			continue
		case r.At.After(tx.Now().Add(ahead)):
			tx.After(func() { w.m.record(r.Kind, "in_the_future") })
			continue
		}
		tx.After(func() { w.m.record(r.Kind, "taken") })
		if r.NAS != "" {
			hear(heard, r)
		}
		if r.Kind == session.On || r.Kind == session.Off {
			if _, err := tx.Exec(`insert into abuse_restart(nas,at,why,done) values($1,$2,$3,$4) on conflict(nas,at) do nothing`,
				r.NAS, store.Micros(r.At), string(r.Kind), false); err != nil {
				return err
			}
			continue
		}
		if err := w.apply(tx, r); err != nil {
			return err
		}
	}
	return w.heard(tx, heard)
}

// nas is what a batch tells of one access server.
type nas struct {
	source session.Source
	at     []time.Time
}

func hear(all map[string]*nas, r session.Record) {
	n := all[r.NAS]
	if n == nil {
		n = &nas{source: r.Source}
		all[r.NAS] = n
	}
	n.at = append(n.at, r.At)
}

// heard notes when access servers were heard, and when they were not.
func (w *Who) heard(tx *store.Tx, all map[string]*nas) error {
	for name, n := range all {
		slices.SortFunc(n.at, time.Time.Compare)
		first, last := n.at[0], n.at[len(n.at)-1]
		var before int64
		err := tx.Row(`select last from abuse_nas where nas=$1`, name).Scan(&before)
		if err != nil && !store.None(err) {
			return err
		}
		if w.cfg.Interim > 0 && before != 0 && n.source == session.Radius {
			at := store.Time(before)
			for _, next := range n.at {
				if next.Sub(at) > 3*w.cfg.Interim.D() {
					if err := gap(tx, name, at, next, "silent"); err != nil {
						return err
					}
				}
				at = later(at, next)
			}
		}
		if _, err := tx.Exec(`insert into abuse_nas(nas,source,first,last,records) values($1,$2,$3,$4,$5)
			on conflict(nas) do update set records=abuse_nas.records+excluded.records, last=case when excluded.last>abuse_nas.last then excluded.last else abuse_nas.last end`,
			name, string(n.source), store.Micros(first), store.Micros(last), len(n.at)); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// gap notes that nothing is known of an access server for a while.
func gap(tx *store.Tx, nas string, from, to time.Time, why string) error {
	_, err := tx.Exec(`insert into abuse_gap(nas,from_at,to_at,why) values($1,$2,$3,$4) on conflict(nas,from_at) do nothing`, nas, store.Micros(from), store.Micros(to), why)
	return err
}

// apply writes what one record tells of its session.
func (w *Who) apply(tx *store.Tx, r session.Record) error {
	key := sessionKey(r.Source, r.NAS, r.Session)
	before, err := w.rows(tx, `where skey=$1`, key)
	if err != nil {
		return err
	}
	var known []session.Held
	for _, b := range before {
		if b.NAS == r.NAS && b.Session == r.Session && b.Source == r.Source {
			known = append(known, b.Held)
		}
	}
	written := session.Apply(known, r)
	if len(written) == 0 {
		return nil
	}
	for _, n := range written {
		id, err := w.whose(tx, n, before)
		if err != nil {
			return err
		}
		if err := w.write(tx, key, n, id); err != nil {
			return err
		}
		if n.Was == nil {
			if err := w.again(tx, key, known, n.Now); err != nil {
				return err
			}
		}
	}
	return nil
}

// whose is the identity that a row gets. The rows of before were read without
// theirs: where the record says nothing newer, the row keeps its seal.
func (w *Who) whose(tx *store.Tx, n session.Written, before []row) (string, error) {
	if n.Now.Identity != (session.Identity{}) || len(before) == 0 {
		return w.identity(tx, n.Now.Identity)
	}
	for _, b := range before {
		if n.Was != nil && b.Held == *n.Was {
			return b.who, nil
		}
	}
	return before[0].who, nil // a record without a name about a session that has one
}

// write puts a row in the place of the one it stands for.
func (w *Who) write(tx *store.Tx, key int64, n session.Written, who string) error {
	h := n.Now
	first, last := portsOf(h)
	until := store.Micros(h.Until)
	if until == 0 {
		until = openEnd
	}
	if n.Was != nil {
		_, err := tx.Exec(`update abuse_held set start=$1, seen=$2, until=$3, ended=$4, guessed=$5, who=$6 where net=$7 and port=$8 and start=$9 and skey=$10`,
			store.Micros(h.Start), store.Micros(h.Seen), until, string(h.Ended), h.Guessed, who, netKey(h.Prefix), first, store.Micros(n.Was.Start), key)
		return err
	}
	if err := w.shape(tx, h); err != nil {
		return err
	}
	inside := ""
	if h.Inside.IsValid() {
		inside = h.Inside.String()
	}
	_, err := tx.Exec(`insert into abuse_held(net,port,start,skey,last_port,seen,until,ended,guessed,source,nas,session,who,inside) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14) on conflict do nothing`,
		netKey(h.Prefix), first, store.Micros(h.Start), key, last, store.Micros(h.Seen), until, string(h.Ended), h.Guessed, string(h.Source), h.NAS, h.Session, who, inside)
	return err
}

func portsOf(h session.Held) (first, last int) {
	if h.Ports.All() {
		return 0, allPorts - 1
	}
	return int(h.Ports.First), int(h.Ports.Last)
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

// again ends the sessions whose name an access server uses again: it began anew, or
// lost its count, and forgot to say so.
func (w *Who) again(tx *store.Tx, key int64, known []session.Held, now session.Held) error {
	for _, h := range known {
		if h.Ended != session.Open || !h.Start.Before(now.Start) || h.Seen.After(now.Start) || now.Guessed || now.Start.Sub(h.Start) < 2*time.Minute {
			continue
		}
		first, _ := portsOf(h)
		if _, err := tx.Exec(`update abuse_held set until=$1, ended=$2 where net=$3 and port=$4 and start=$5 and skey=$6`,
			store.Micros(now.Start), string(session.Replaced), netKey(h.Prefix), first, store.Micros(h.Start), key); err != nil {
			return err
		}
		if err := gap(tx, h.NAS, h.Seen, now.Start, "restart"); err != nil {
			return err
		}
		tx.After(func() { w.m.ended("name_again", 1) })
	}
	return nil
}

// row is a row with what only the store knows.
type row struct {
	session.Held
	who    string
	sealed []byte
}

const columns = `h.net,h.port,h.last_port,h.start,h.seen,h.until,h.ended,h.guessed,h.source,h.nas,h.session,h.who,h.inside`

func scanRow(scan func(...any) error, more ...any) (r row, err error) {
	var net []byte
	var first, last, start, seen, until int64
	var inside string
	if err := scan(append([]any{&net, &first, &last, &start, &seen, &until, (*string)(&r.Ended), &r.Guessed, (*string)(&r.Source), &r.NAS, &r.Session, &r.who, &inside}, more...)...); err != nil {
		return r, err
	}
	r.Prefix, r.Start, r.Seen = netOf(net), store.Time(start), store.Time(seen)
	if until != openEnd {
		r.Until = store.Time(until)
	}
	if first != 0 || last != allPorts-1 {
		r.Ports = session.Ports{First: uint16(first), Last: uint16(last)}
	}
	if inside != "" {
		r.Inside, err = parseAddr(inside)
	}
	return r, err
}

// rows reads rows without who they belong to.
func (w *Who) rows(tx *store.Tx, where string, args ...any) ([]row, error) {
	return store.List(tx, func(scan func(...any) error) (row, error) { return scanRow(scan) }, `select `+columns+` from abuse_held h `+where, args...)
}
