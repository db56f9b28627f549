package shield

import (
	"context"
	"errors"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/shield/zones"
)

// Sweep ends what is over, every second: blocks at their end, appeals that
// nobody decided in time, passthru entries that every secondary has outgrown;
// once an hour what retention says of bodies and addresses, once a day of cases.
func (s *Shield) Sweep(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var lastHour, lastDay time.Time
	for {
		steps := []func(context.Context) error{s.recheck, s.endExpired, s.endAppealed, s.endUndone, s.giveUpNotices}
		if now := s.clock.Now(); now.Sub(lastHour) > time.Hour {
			lastHour = now
			steps = append(steps, s.retain)
			if now.Sub(lastDay) > 24*time.Hour {
				lastDay = now
				steps = append(steps, s.forget)
			}
		}
		for _, step := range steps {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("sweep", "alarm", true, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tripAll looks every second at what the roll-ups that came to this desk noted.
func (s *Shield) tripAll(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.trip(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// endExpired ends blocks whose time is over. The edges have ended them already.
func (s *Shield) endExpired(ctx context.Context) error {
	if s.clock.Suspect() {
		return nil // DNS keeps what it has while the clock is in doubt
	}
	now := store.Micros(s.clock.Now())
	var over []Block
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		over, err = store.List(tx, readBlock, `select `+blockColumns+` from shield_block where state='in_force' and valid_until>0 and valid_until<=$1 order by valid_until limit 200`, now)
		return err
	})
	if err != nil || len(over) == 0 {
		return err
	}
	return s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		for _, b := range over {
			if err := s.end(tx, b, Expired, bolwerk.Rule("validity"), "expired", ""); err != nil && !errors.Is(err, bolwerk.ErrConflict) {
				return err
			}
			if b.OrderID != "" {
				if err := s.endOrder(tx, b.OrderID, "ended", "its time is over"); err != nil {
					return err
				}
			}
			if err := s.closeCase(tx, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// closeCase ends the case of a block that is over: a new report opens a new one.
func (s *Shield) closeCase(tx *store.Tx, b Block) error {
	if b.CaseID == "" {
		return nil
	}
	c, err := desk.FindCase(tx, b.CaseID)
	if err != nil || c.State != desk.Decided {
		return err
	}
	return desk.SetCase(tx, c, desk.Decided, desk.Closed, c.Outcome)
}

// endAppealed withdraws blocks of our own whose appeal nobody decided in time.
// An order is not ours to end.
func (s *Shield) endAppealed(ctx context.Context) error {
	if s.clock.Suspect() {
		return nil
	}
	var due []desk.Appeal
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = desk.Appeals(tx, desk.AppealFilter{State: "received", Limit: 100})
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range due {
		if a.DueAt.After(s.clock.Now()) || a.Capability != Name {
			continue
		}
		err := s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
			reason := "nobody decided the appeal within 48 hours"
			b, err := findBlock(tx, a.Object)
			if a.Object == "" || errors.Is(err, bolwerk.ErrNotFound) {
				return s.decideAppeal(tx, a, "rejected", "the name is not blocked", bolwerk.Rule("appeal-deadline"))
			}
			if err != nil {
				return err
			}
			if b.OrderID != "" {
				return nil // passed on to the issuer; it stays in the queue, overdue
			}
			if kept, err := keptOnAppeal(tx, b); err != nil || kept {
				return err // a person confirmed it and it was seen today: a person decides the appeal too
			}
			if b.State == InForce {
				if err := s.end(tx, b, Withdrawn, bolwerk.Rule("appeal-deadline"), string(OnAppeal), reason); err != nil {
					return err
				}
				audit.Append(tx, bolwerk.Rule("appeal-deadline"), "shield.block.withdraw", b.Ref, reason, map[string]string{"appeal": a.Ref})
				if err := s.closeCase(tx, b); err != nil {
					return err
				}
			}
			return s.decideAppeal(tx, a, "upheld", reason, bolwerk.Rule("appeal-deadline"))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endUndone drops the passthru entries of withdrawn blocks that every secondary
// has outgrown.
func (s *Shield) endUndone(ctx context.Context) error {
	type undo struct {
		id         string
		serial, at int64
	}
	var waiting []undo
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		waiting, err = store.List(tx, func(scan func(...any) error) (u undo, err error) {
			err = scan(&u.id, &u.serial, &u.at)
			return u, err
		}, `select id,serial,at from shield_undo order by at limit 500`)
		return err
	})
	if err != nil || len(waiting) == 0 {
		return err
	}
	var held []rpz.Delivery
	if s.feed != nil {
		held = s.feed.Deliveries()
	}
	now := s.clock.Now()
	var done []string
	for _, u := range waiting {
		if zones.Outgrown(held, uint32(u.serial), now.Sub(store.Time(u.at))) {
			done = append(done, u.id)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, id := range done {
			s.dropUndo(tx, id)
		}
		return nil
	})
}

// bodyMonths is how long bodies stay: this month and the one before. With one
// key a month, thirty days need two keys.
const bodyMonths = 1

// retain forgets what is over, as the columns say.
func (s *Shield) retain(ctx context.Context) error {
	before := vault.Month(s.clock.Now().AddDate(0, -bodyMonths, 0))
	err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := s.blobs.Expire(tx, before); err != nil {
			return err
		}
		if _, err := s.publish.Expire(tx); err != nil {
			return err
		}
		if err := s.forgetNames(tx); err != nil {
			return err
		}
		if err := forgetAsked(tx); err != nil {
			return err
		}
		if err := forgetPulse(tx); err != nil {
			return err
		}
		if _, err := desk.Expire(tx); err != nil {
			return err
		}
		// Who could be answered and never was: seven days are enough.
		if _, err := tx.Exec(`update shield_report set token_sealed=null, reply_sealed=null, message_id_sealed=null where received_at<$1 and token_sealed is not null`,
			store.Micros(tx.Now().Add(-desk.NoticeTime))); err != nil {
			return err
		}
		// Bodies older than 30 days go, whatever their key.
		_, err := tx.Exec(`delete from blob where at<$1`, store.Micros(tx.Now().AddDate(0, 0, -30)))
		return err
	})
	if err != nil || s.clock.Suspect() {
		return err // a key cannot be brought back
	}
	if err := s.forgetPublic(ctx); err != nil {
		return err
	}
	return s.destroyKeys(ctx, before)
}

// destroyOurs destroys this desk's keys every hour, beside a desk that forgets the
// rows. Alone the sweep does it.
func (s *Shield) destroyOurs(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !s.db.Postgres() || s.clock.Suspect() {
			continue // a key cannot be brought back
		}
		if err := s.destroyKeys(ctx, vault.Month(s.clock.Now().AddDate(0, -bodyMonths, 0))); err != nil && ctx.Err() == nil {
			s.log.Error("keys of months that are over are still here", "alarm", true, "err", err)
		}
	}
}

// destroyKeys destroys the keys of months before one, here: each desk has its own
// files.
func (s *Shield) destroyKeys(ctx context.Context, before string) error {
	if _, err := s.vault.Destroy(before); err != nil {
		return err
	}
	var first string
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) { first, err = firstPageMonth(tx); return err })
	if err == nil {
		_, err = s.vault.Kept().Destroy(min(before, first))
	}
	return err
}
