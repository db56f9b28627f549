package shield

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"bolwerk/internal/store"
)

// Load reads the lists; before Run and before anything is decided.
func (s *Shield) Load(ctx context.Context) error {
	if err := s.loadVoices(); err != nil {
		return err
	}
	return s.guard.load(ctx, s.db)
}

// Follow gives the shield the feed of the policy zones; before Run.
func (s *Shield) Follow(f *Feed) { s.feed, f.onTurn = f, s.beginTurn }

// Run does the shield's work until ctx ends.
func (s *Shield) Run(ctx context.Context) error {
	if err := s.unclaim(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("reports that an earlier run had taken on wait for their claims", "err", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, work := range []func(context.Context) error{s.Work, s.workPictures, s.warm, s.listen, s.feel, s.tripAll, s.destroyOurs, s.tellAll, s.lookAtCaptures} {
		g.Go(func() error { return work(ctx) })
	}
	g.Go(func() error { return s.guard.run(ctx, s.db) })
	for name, work := range s.once() {
		g.Go(func() error { return s.holder.While(ctx, name, work) })
	}
	return g.Wait()
}

// once is the work that one desk does at a time: what counts, ends, asks and
// decides by the clock.
func (s *Shield) once() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{"sweep": s.Sweep, "settle": s.settleAll, "count days": s.countDays, "orders": s.pollOrders,
		"released orders": s.release, "reports to issuers": s.reportBack, "look-ups": s.lookAll, "certificate logs": s.followLogs,
		"rules": s.decideAlone, "visits": s.giveTasks}
}

// Holder runs work while this desk is the one that does it.
type Holder interface {
	While(ctx context.Context, name string, work func(ctx context.Context) error) error
}

type onlyDesk struct{}

func (onlyDesk) While(ctx context.Context, _ string, work func(context.Context) error) error {
	return work(ctx)
}

// unclaim gives up what an earlier run of this desk had taken on when it was
// killed: else those reports wait two minutes. Only an embedded store is sure to
// have no other desk at it.
func (s *Shield) unclaim(ctx context.Context) error {
	if s.db.Postgres() {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`update shield_capture set claimed_until=0 where state='received' and claimed_until>0`); err != nil {
			return err
		}
		if _, err := tx.Exec(`update shield_picture set claimed_until=0 where state='queued' and claimed_until>0`); err != nil {
			return err
		}
		_, err := tx.Exec(`update shield_report set claimed_until=0 where state='received' and claimed_until>0`)
		return err
	})
}

// unsettle asks for the reports of a case to be told how it was decided. They
// can be many: it is done outside the decision, and survives a crash.
func (s *Shield) unsettle(tx *store.Tx, caseID string) error {
	_, err := tx.Exec(`insert into shield_settle(case_id,at) values($1,$2) on conflict(case_id) do update set at=excluded.at`, caseID, tx.NowMicros())
	tx.After(func() {
		select {
		case s.decided <- struct{}{}:
		default:
		}
	})
	return err
}

// settleAll tells the reports of decided cases.
func (s *Shield) settleAll(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.settleSome(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("reports of a decided case not settled", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.decided:
		case <-tick.C:
		}
	}
}

func (s *Shield) settleSome(ctx context.Context) error {
	type row struct {
		id string
		at int64
	}
	var due []row
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.id, &r.at); return r, err }, `select case_id,at from shield_settle order by at limit 50`)
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range due {
		if err := s.settleCase(ctx, r.id); err != nil {
			return err
		}
		err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`delete from shield_settle where case_id=$1 and at=$2`, r.id, r.at)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ring wakes who waits, once.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
