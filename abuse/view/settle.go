package view

import (
	_ "embed"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/who"
	"bolwerk/internal/copy"
	"bolwerk/internal/lineview"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
)

// settle decides about each prefix anew, and publishes what has changed.
func (s *Views) settle(tx *store.Tx, touched map[netip.Prefix]bool, chosen map[string]Choice) error {
	r := s.rules(tx)
	for p := range touched {
		same, within, err := s.who.Holders(tx, p)
		if err != nil {
			return err
		}
		want := line{prefix: p}
		if h, until, ok := r.holder(p, same, within); ok {
			g, in, err := s.holdOf(tx, h.Subscriber)
			if err != nil {
				return err
			}
			if c, has := chosen[h.Subscriber]; in {
				want.choice, want.view, want.nas, want.until = g.ID, g.view(), h.NAS, store.Micros(earlier(until, g.Until))
				if want.page, want.guest, err = g.page(); err != nil {
					return err
				}
			} else if has && (c.Until.IsZero() || c.Until.After(r.now)) {
				want.choice, want.view, want.nas, want.until = c.ID, c.View, h.NAS, store.Micros(earlier(until, c.Until))
			}
		}
		if err := s.tell(tx, want, r); err != nil {
			return err
		}
	}
	return nil
}

// earlier is the earlier of two ends; the zero time is none.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// tell publishes that a prefix has a view, and what its page shows where it is in
// quarantine; or none, where want has none.
func (s *Views) tell(tx *store.Tx, want line, r rules) error {
	key := who.NetKey(want.prefix)
	before, err := s.lines(tx, `where net=$1`, key)
	if err != nil {
		return err
	}
	had := len(before) > 0
	switch {
	case want.view == "" && !had:
		return nil
	case want.view == "":
		if _, err := tx.Exec(`delete from abuse_view_line where net=$1`, key); err != nil {
			return err
		}
		version, err := next(tx)
		if err == nil {
			s.publish.Append(tx, Copy, copy.Entry{ID: want.prefix.String(), Version: version, Removed: true}, nil)
			if before[0].guest != "" {
				s.publish.Append(tx, garden.Copy, copy.Entry{ID: want.prefix.String(), Version: version, Removed: true}, nil)
			}
		}
		return err
	case had && before[0].choice == want.choice && before[0].view == want.view && before[0].nas == want.nas && before[0].guest == want.guest &&
		want.until >= before[0].until && want.until-before[0].until < r.life().Microseconds()/3:
		return nil // it is good for a while yet
	}
	version, err := next(tx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into abuse_view_line(net,choice,view,nas,guest,until) values($1,$2,$3,$4,$5,$6)
		on conflict(net) do update set choice=excluded.choice,view=excluded.view,nas=excluded.nas,guest=excluded.guest,until=excluded.until`,
		key, want.choice, want.view, want.nas, want.guest, want.until); err != nil {
		return err
	}
	e, err := lineview.Line{Prefix: want.prefix, View: want.view}.Entry(version, store.Time(want.until))
	if err != nil {
		return err
	}
	s.publish.Append(tx, Copy, e, nil)
	switch {
	case want.page != nil:
		s.publish.Append(tx, garden.Copy, copy.Entry{ID: e.ID, Version: version, Until: want.until, Body: want.page}, nil)
	case had && before[0].guest != "":
		s.publish.Append(tx, garden.Copy, copy.Entry{ID: e.ID, Version: version, Removed: true}, nil)
	}
	return nil
}

// alive says until when it is known that accounting comes in: heard is the newest of
// what came. It is said at most a few times within the silence.
func (s *Views) alive(tx *store.Tx, heard time.Time) error {
	if heard.IsZero() || s.clock.Suspect() {
		return nil
	}
	if heard.After(tx.Now()) {
		heard = tx.Now()
	}
	until := heard.Add(s.cfg.Silence.D())
	e, err := publish.Entry(tx, Copy, lineview.Alive)
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		return err
	}
	said := store.Time(e.Until) // by a longer silence, before the configuration changed, it says too much
	if err == nil && until.Sub(said) < s.cfg.Silence.D()/4 && !said.After(tx.Now().Add(s.cfg.Silence.D())) {
		return nil
	}
	version, err := next(tx)
	if err != nil {
		return err
	}
	s.publish.Append(tx, Copy, lineview.Sign(version, until), nil)
	return nil
}

// another is a turn that no change ever had, also none that was undone.
func another() int64 { return rand.Int64() }

// begin makes the row of turns where it is not there yet, and takes it until the
// transaction ends. Whoever changes choices, holds or lines calls it before their first
// read: on PostgreSQL a decision runs beside a batch of accounting, and each would miss
// what the other has not committed yet. A decision so waits for one batch at most.
func begin(tx *store.Tx) error {
	_, err := tx.Exec(`insert into abuse_view_turn(one,turn,version) values(1,0,0) on conflict(one) do update set version=abuse_view_turn.version`)
	return err
}

// next is a version higher than any before, once begin was called: edges keep the
// highest of an entry.
func next(tx *store.Tx) (v int64, err error) {
	err = tx.Row(`update abuse_view_turn set version=case when version>=$1 then version+1 else $1 end where one=1 returning version`, tx.NowMicros()).Scan(&v)
	return v, err
}
