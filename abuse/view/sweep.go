package view

import (
	"context"
	_ "embed"
	"time"

	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// Run ends what nobody told the end of, until ctx ends.
func (s *Views) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("views of sessions that are over are not taken away; edges end them by themselves", "err", err, "alarm", true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep takes away lines and choices whose time is over, and seals anew what an old
// key seals.
func (s *Views) Sweep(ctx context.Context) error {
	for more := true; more; {
		err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if err := begin(tx); err != nil {
				return err
			}
			lines, err := s.lines(tx, `where until<$1 order by until limit $2`, tx.NowMicros(), sweepMost)
			if err != nil {
				return err
			}
			more = len(lines) == sweepMost
			for _, l := range lines {
				if err := s.tell(tx, line{prefix: l.prefix}, s.rules(tx)); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(`delete from abuse_view_hold where until<$1`, tx.NowMicros()); err != nil {
				return err
			}
			n, err := tx.Exec(`delete from abuse_view where until>0 and until<$1`, tx.NowMicros())
			if err != nil || n == 0 {
				return err
			}
			_, err = tx.Exec(`update abuse_view_turn set turn=$1`, another())
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.sealAnew(ctx)
}

// sealAnew moves what the keys of former months seal to this month's.
func (s *Views) sealAnew(ctx context.Context) error {
	month := vault.Month(s.clock.Now())
	for {
		if old, err := s.needed(ctx, month); err != nil {
			return err
		} else if !old {
			return s.DestroyKeys(ctx)
		}
		if err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if err := s.choicesAnew(tx, month); err != nil {
				return err
			}
			return s.holdsAnew(tx, month)
		}); err != nil {
			return err
		}
	}
}

// needed says whether something is sealed with the key of a month before one.
func (s *Views) needed(ctx context.Context, month string) (bool, error) {
	var old int64
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select (select count(*) from (select 1 from abuse_view where month<$1 limit 1) a)+(select count(*) from (select 1 from abuse_view_hold where month<$1 limit 1) b)`, month).Scan(&old)
	})
	return old > 0, err
}

// DestroyKeys destroys the keys here that nothing needs: each desk has its own files, and
// one of them seals anew.
func (s *Views) DestroyKeys(ctx context.Context) error {
	month := vault.Month(s.clock.Now())
	if needed, err := s.needed(ctx, month); err != nil || needed || s.clock.Suspect() {
		return err
	}
	_, err := s.vault.Destroy(month)
	return err
}

// sealed is a row with a sealed column.
type sealed struct {
	id  string
	box []byte
}

func readSealed(scan func(...any) error) (r sealed, err error) { return r, scan(&r.id, &r.box) }

func (s *Views) choicesAnew(tx *store.Tx, month string) error {
	rows, err := store.List(tx, readSealed, `select id,subscriber_sealed from abuse_view where month<$1 limit $2`, month, sweepMost)
	if err != nil {
		return err
	}
	for _, r := range rows {
		plain, err := s.vault.Open(Sealed, r.box)
		if err != nil {
			return err
		}
		if r.box, err = s.vault.Seal(Sealed, plain); err != nil {
			return err
		}
		if _, err := tx.Exec(`update abuse_view set month=$1, subscriber_sealed=$2 where id=$3`, month, r.box, r.id); err != nil {
			return err
		}
	}
	return nil
}
