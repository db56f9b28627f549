package who

import (
	"context"
	"slices"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// some is how many rows one transaction deletes or ends: a decision never waits
// for more.
const some = 500

// endRestarted ends the sessions of access servers that began anew. Until it is done
// look-ups do the same by themselves.
func (w *Who) endRestarted(ctx context.Context) error {
	type restart struct {
		nas string
		at  int64
	}
	var all []restart
	if err := w.db.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = store.List(tx, func(scan func(...any) error) (r restart, err error) { return r, scan(&r.nas, &r.at) }, `select nas,at from abuse_restart where not done order by at limit 1000`)
		return err
	}); err != nil {
		return err
	}
	for _, r := range all {
		for {
			var n int64
			if err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
				n, err = tx.Exec(`update abuse_held set ended='restart', until=$1 where ended='' and (net,port,start,skey) in
					(select net,port,start,skey from abuse_held where nas=$2 and ended='' and start<=$1 and seen<=$1 order by start limit $3)`, r.at, r.nas, some)
				return err
			}); err != nil {
				return err
			}
			w.m.ended("restart", n)
			if n < some {
				break
			}
		}

		if err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`update abuse_restart set done=$1 where nas=$2 and at=$3`, true, r.nas, r.at)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Forget deletes what is older than the configured days, and the keys that nothing
// needs any more. What a case pinned stays as long as the case.
func (w *Who) Forget(ctx context.Context) error {
	if w.clock.Suspect() {
		return nil // nothing that was deleted comes back
	}
	now := w.clock.Now()
	cut := store.Micros(w.cutoff(now))
	if err := w.endSilent(ctx, cut); err != nil {
		return err
	}
	for {
		var n int64
		if err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`delete from abuse_held where (net,port,start,skey) in (select net,port,start,skey from abuse_held where ended<>'' and until<$1 order by until limit $2)`, cut, some)
			return err
		}); err != nil {
			return err
		}
		w.m.forgot.Add(float64(n))
		if n < some {
			break
		}
	}
	err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, q := range []string{`delete from abuse_gap where to_at<$1`, `delete from abuse_restart where done and at<$1`, `delete from abuse_nas where last<$1`} {
			if _, err := tx.Exec(q, cut); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`delete from abuse_asked where at<$1`, store.Micros(now.AddDate(-1, 0, 0)))
		return err
	})
	if err != nil {
		return err
	}
	return w.forgetKeys(ctx, now)
}

// endSilent ends open sessions that have not been seen for as long as anything is
// kept, where somebody else has what they had, or where access servers give signs of
// life that these lack. What is left are lines that simply never hang up.
func (w *Who) endSilent(ctx context.Context, cut int64) error {
	after := struct {
		nas   string
		start int64
		net   []byte
		port  int64
	}{}
	for first := true; ; first = false {
		var page []row
		if err := w.db.Read(ctx, func(tx *store.Tx) (err error) {
			where := `where h.ended='' and h.start<$1 and (h.nas>$2 or h.nas=$2 and h.start>=$3) order by h.nas, h.start limit $4`
			page, err = w.rows(tx, where, cut, after.nas, after.start, 4*some)
			return err
		}); err != nil {
			return err
		}
		var over []row
		for _, r := range page {
			if store.Micros(r.Seen) < cut {
				over = append(over, r)
			}
		}
		for part := range slices.Chunk(over, some) {
			if err := w.endThese(ctx, part); err != nil {
				return err
			}
		}
		if len(page) < 4*some {
			return nil
		}
		last := page[len(page)-1]
		if !first && last.NAS == after.nas && store.Micros(last.Start) == after.start {
			after.start++ // more than a page began in one moment: the rest waits for the next hour
			continue
		}
		after.nas, after.start = last.NAS, store.Micros(last.Start)
	}
}

func (w *Who) endThese(ctx context.Context, rows []row) error {
	return w.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, r := range rows {
			first, _ := portsOf(r.Held)
			key := sessionKey(r.Source, r.NAS, r.Session)
			end, why := session.Open, ""
			var until int64
			err := tx.Row(`select start from abuse_held where net=$1 and port=$2 and start>$3 order by start limit 1`, netKey(r.Prefix), first, store.Micros(r.Start)).Scan(&until)
			switch {
			case err == nil:
				end, why = session.Replaced, "next"
			case !store.None(err):
				return err
			case w.cfg.Interim > 0:
				end, why, until = session.Replaced, "silent", store.Micros(r.Seen.Add(3*w.cfg.Interim.D()))
			}
			if end == session.Open {
				continue
			}
			if _, err := tx.Exec(`update abuse_held set ended=$1, until=$2 where net=$3 and port=$4 and start=$5 and skey=$6 and ended=''`,
				string(end), max(until, store.Micros(r.Seen)), netKey(r.Prefix), first, store.Micros(r.Start), key); err != nil {
				return err
			}
			tx.After(func() { w.m.ended(why, 1) })
		}
		return nil
	})
}

// forgetKeys destroys the keys of months whose sessions are all over. Sessions that
// go on are sealed anew first.
func (w *Who) forgetKeys(ctx context.Context, now time.Time) error {
	month := vault.Month(w.cutoff(now))
	var old int64
	if err := w.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from abuse_identity where month<$1 limit 1) x`, month).Scan(&old)
	}); err != nil {
		return err
	}
	for old > 0 {
		var n int
		if err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			type part struct {
				net         []byte
				port, start int64
				key         int64
				sealed      []byte
			}
			all, err := store.List(tx, func(scan func(...any) error) (p part, err error) {
				return p, scan(&p.net, &p.port, &p.start, &p.key, &p.sealed)
			}, `select h.net,h.port,h.start,h.skey,i.identity_sealed from abuse_held h join abuse_identity i on i.id=h.who where (h.ended='' or h.ended<>'' and h.until>=$1) and h.who<$2 limit $3`,
				store.Micros(w.cutoff(now)), month, some)
			if err != nil {
				return err
			}
			n = len(all)
			for _, p := range all {
				who, err := w.reveal(p.sealed)
				if err != nil {
					return err
				}
				id, err := w.identity(tx, who)
				if err != nil {
					return err
				}
				if _, err := tx.Exec(`update abuse_held set who=$1 where net=$2 and port=$3 and start=$4 and skey=$5`, id, p.net, p.port, p.start, p.key); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if old > 0 {
		if err := w.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if _, err := tx.Exec(`delete from abuse_asked_about where mark<$1`, month); err != nil {
				return err
			}
			_, err := tx.Exec(`delete from abuse_identity where month<$1`, month)
			return err
		}); err != nil {
			return err
		}
	}
	if _, err := w.vault.Destroy(month); err != nil {
		return err
	}
	pinned := vault.Month(now)
	if err := w.db.Read(ctx, func(tx *store.Tx) error {
		var first int64
		if err := tx.Row(`select coalesce(min(at),0) from abuse_pinned`).Scan(&first); err != nil {
			return err
		}
		if first > 0 {
			pinned = min(pinned, vault.Month(store.Time(first)))
		}
		return nil
	}); err != nil {
		return err
	}
	_, err := w.vault.Kept().Destroy(pinned)
	return err
}
