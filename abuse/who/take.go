package who

import (
	"context"
	"maps"
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
	b := newBatch(w, tx)
	told := Told{}
	results := map[[2]string]int{}
	for _, r := range records {
		result := "taken"
		switch {
		case over(r).Before(w.cutoff(tx.Now())):
			result = "too_old"
		case r.At.After(tx.Now().Add(ahead)):
			result = "in_the_future"
		default:
			b.add(r)
		}
		results[[2]string{string(r.Kind), result}]++
	}
	tx.After(func() {
		for k, n := range results {
			w.m.record(k[0], k[1], n)
		}
	})
	if len(b.records) == 0 {
		return nil
	}
	if err := b.write(&told); err != nil {
		return err
	}
	for _, follow := range w.follow {
		if err := follow(tx, told); err != nil {
			return err
		}
	}
	return nil
}

// over is the last moment that a record is about.
func over(r session.Record) time.Time {
	switch {
	case r.Source == session.Radius, r.Source == session.NAT, r.Kind == session.Stop:
	case r.Source == session.Table, r.Until.IsZero(): // that a fixed line ended long ago may be news
		return farAhead
	default:
		return r.Until
	}
	return r.At
}

var farAhead = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

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
	names := slices.Sorted(maps.Keys(all))
	before := map[string]int64{}
	for part := range slices.Chunk(names, store.ListMost) {
		in, args := store.In(1, part)
		err := tx.Each(`select nas,last from abuse_nas where nas in (`+in+`)`, args, func(scan func(...any) error) error {
			var name string
			var last int64
			err := scan(&name, &last)
			before[name] = last
			return err
		})
		if err != nil {
			return err
		}
	}
	var rows [][]any
	for _, name := range names {
		n := all[name]
		slices.SortFunc(n.at, time.Time.Compare)
		first, last := n.at[0], n.at[len(n.at)-1]
		if heard := before[name]; w.cfg.Interim > 0 && heard != 0 && n.source == session.Radius {
			at := store.Time(heard)
			for _, next := range n.at {
				if next.Sub(at) > 3*w.cfg.Interim.D() {
					if err := gap(tx, name, at, next, "silent"); err != nil {
						return err
					}
				}
				at = later(at, next)
			}
		}
		rows = append(rows, []any{name, string(n.source), store.Micros(first), store.Micros(last), len(n.at)})
	}
	return store.Rows(tx, `insert into abuse_nas(nas,source,first,last,records)`, rows,
		` on conflict(nas) do update set records=abuse_nas.records+excluded.records, last=case when excluded.last>abuse_nas.last then excluded.last else abuse_nas.last end`)
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

func portsOf(h session.Held) (first, last int) {
	if h.Ports.All() {
		return 0, allPorts - 1
	}
	return int(h.Ports.First), int(h.Ports.Last)
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
