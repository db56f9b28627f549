package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/door"
	"bolwerk/shield/reading"
)

// The public is warned of a campaign while a name of it is blocked and it was
// reported in the last warnFor.
const (
	warnFor     = 7 * 24 * time.Hour
	warnAtOnce  = 50 // campaigns, the last seen first
	warnNames   = 3
	warnReports = 200 // the newest ones say how people get it
)

// tellWarnings brings the public warnings up to date.
func (s *Shield) tellWarnings(ctx context.Context) error {
	var now []copy.Entry
	old := map[string]copy.Entry{}
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		type campaign struct {
			door.Warning
			id string
		}
		campaigns, err := store.List(tx, func(scan func(...any) error) (c campaign, err error) {
			var first, last int64
			var asked string
			err = scan(&c.id, &c.Ref, &c.Brand, &asked, &first, &last)
			c.Asked = aid.Read(asked).Names()
			c.Since, c.Last = store.Time(first).Truncate(time.Hour), store.Time(last).Truncate(time.Hour)
			return c, err
		}, `select id,ref,brand,asked_for,first_seen,last_seen from shield_campaign where last_seen>$1 order by last_seen desc limit $2`, store.Micros(tx.Now().Add(-warnFor)), warnAtOnce)
		if err != nil {
			return err
		}
		for _, c := range campaigns {
			blocked, err := fillWarning(tx, c.id, &c.Warning)
			if err != nil {
				return err
			}
			if !blocked {
				continue
			}
			body, err := json.Marshal(c.Warning)
			if err != nil {
				return err
			}
			now = append(now, copy.Entry{ID: door.WarningEntry + c.Ref, Version: tx.NowMicros(), Body: body, Until: store.Micros(c.Last.Add(warnFor))})
		}
		had, err := store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id); return id, err },
			`select id from copy_entry where copy=$1 and id>=$2 and id<$3 order by id limit 1000`, CopyPublic, door.WarningEntry, door.WrittenEntry)
		if err != nil {
			return err
		}
		for _, id := range had {
			e, err := publish.Entry(tx, CopyPublic, id)
			if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
				return err
			}
			old[id] = e
		}
		return nil
	})
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(e copy.Entry) bool {
		was, ok := old[e.ID]
		delete(old, e.ID)
		return ok && was.Until == e.Until && bytes.Equal(was.Body, e.Body)
	})
	if len(now)+len(old) == 0 {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, e := range now {
			s.publish.Append(tx, CopyPublic, e, nil)
		}
		for id, e := range old {
			s.publish.Append(tx, CopyPublic, copy.Entry{ID: id, Version: max(e.Version+1, tx.NowMicros()), Removed: true}, nil)
		}
		return nil
	})
}

// fillWarning says what a campaign looks like; false is one of which nothing is
// blocked. A hacked site of somebody else is not named.
func fillWarning(tx *store.Tx, campaign string, w *door.Warning) (blocked bool, err error) {
	err = tx.Each(`select b.name,b.class,b.compromised from shield_case c join shield_block b on b.id=c.block
		where c.campaign=$1 and b.state='in_force' and not b.pass order by c.reports desc, b.name limit 100`, []any{campaign}, func(scan func(...any) error) error {
		var name, class string
		var compromised bool
		if err := scan(&name, &class, &compromised); err != nil {
			return err
		}
		if blocked = true; w.Class == "" {
			w.Class = class
		}
		if !compromised && len(w.Names) < warnNames && !slices.Contains(w.Names, name) {
			w.Names = append(w.Names, name)
		}
		return nil
	})
	if err != nil || !blocked {
		return false, err
	}
	if err := tx.Row(`select coalesce(sum(reports),0) from shield_case where campaign=$1`, campaign).Scan(&w.Reports); err != nil {
		return false, err
	}
	w.Reports = about(w.Reports)
	counts := map[string]int{}
	err = tx.Each(`select r.channel,r.form from (select l.report from shield_case c join shield_link l on l.observable=c.observable where c.campaign=$1 order by l.at desc limit $2) x
		join shield_report r on r.id=x.report`, []any{campaign, warnReports}, func(scan func(...any) error) error {
		var channel, form string
		if err := scan(&channel, &form); err != nil {
			return err
		}
		counts[gotBy(door.Channel(channel), reading.Kind(form))]++
		return nil
	})
	for _, c := range []string{"mail", "text", "link"} {
		if counts[c] > 0 {
			w.Channels = append(w.Channels, c)
		}
	}
	slices.SortStableFunc(w.Channels, func(a, b string) int { return counts[b] - counts[a] })
	return true, err
}

// gotBy is how people got what they reported, as far as the report shows it.
func gotBy(channel door.Channel, form reading.Kind) string {
	switch {
	case form == reading.FreeText:
		return "text"
	case form == reading.SingleURL:
		return "link"
	case form == reading.Attached || form == reading.Inline || form == reading.Plain || channel == door.ByMail:
		return "mail"
	}
	return "link"
}

// about is n with two digits, so that a campaign's entry does not change with
// each report; fewer than door.Few are 0.
func about(n int64) int64 {
	if n < door.Few {
		return 0
	}
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}
