package shield

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// What is behind a block is looked at again: after an hour, six hours, a day, then
// every day, and for 30 days after it went quiet. Each look is a row; whoever can
// look fills it (saw). What follows is decided by judge and done here: a block of
// which nothing is left ends, one that is live and visited goes on, and what comes
// back as it was is blocked again.

// lookedInVain is how long a look waits for somebody who can look. Then it says
// nothing, and the next one is due.
const lookedInVain = 24 * time.Hour

// beforeEnd is how long before its end a block is extended that is live.
const beforeEnd = time.Hour

// planRecheck adds the look number nth of a block; from is when the one before was.
func planRecheck(tx *store.Tx, block string, nth int, from time.Time) error {
	_, err := tx.Exec(`insert into shield_recheck(block,nth,due_at,asked_at,at,live,profiles,hash) values($1,$2,$3,0,0,'',0,'') on conflict(block,nth) do nothing`,
		block, nth, store.Micros(from.Add(judge.NextLook(nth))))
	return err
}

// recheckNow makes the next look at a block due at once: somebody says that it is
// a mistake.
func recheckNow(tx *store.Tx, b Block) error {
	_, err := tx.Exec(`update shield_recheck set due_at=$2, asked_at=0 where block=$1 and at=0 and due_at>$2`, b.ID, tx.NowMicros())
	return err
}

// looksAt are the looks at a block in order of time.
func looksAt(tx *store.Tx, block string) ([]judge.Sight, error) {
	return store.List(tx, func(scan func(...any) error) (l judge.Sight, err error) {
		var at int64
		err = scan(&at, &l.Live, &l.Profiles, &l.Hash)
		l.At = store.Time(at)
		return l, err
	}, `select at,live,profiles,hash from shield_recheck where block=$1 and at>0 order by at, nth`, block)
}

// hitsOfDay are the DNS answers for a name in the last 24 hours.
func hitsOfDay(tx *store.Tx, name bolwerk.Domain) (n int64, err error) {
	err = tx.Row(`select coalesce(sum(h.dns),0) from shield_hits h where h.bucket>=$1 and h.block in (select ref from shield_block where name=$2)`,
		store.Micros(tx.Now().Add(-24*time.Hour)), name.String()).Scan(&n)
	return n, err
}

// askAgain has the probes look at an observable now. Where there is none, the look
// says nothing.
func (s *Shield) askAgain(tx *store.Tx, observable string) error {
	return visitAgain(tx, observable, tx.Now())
}

// sighted fills the look that is next for every block about an observable.
func (s *Shield) sighted(tx *store.Tx, observable string, found judge.Sight) error {
	ids, err := texts(tx, `select b.id from shield_block b join shield_case c on c.id=b.case_id where c.observable=$1 and b.order_id='' and not b.pass
		and (b.state='in_force' or b.state='expired' and b.ended_at>$2) order by b.made_at desc limit 20`, observable, store.Micros(tx.Now().Add(-judge.WatchFor)))
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.fill(tx, id, found); err != nil {
			return err
		}
	}
	return nil
}

// fill keeps a look and plans the next one.
func (s *Shield) fill(tx *store.Tx, block string, found judge.Sight) error {
	var nth int64
	err := tx.Row(`update shield_recheck set at=$2, live=$3, profiles=$4, hash=$5 where block=$1 and at=0 returning nth`,
		block, store.Micros(found.At), string(found.Live), found.Profiles, found.Hash).Scan(&nth)
	if store.None(err) {
		return nil // nothing is watched any more
	}
	if err != nil {
		return err
	}
	return planRecheck(tx, block, int(nth)+1, tx.Now())
}

// recheck asks for the looks that are due, ends those that nobody answered, and
// does what follows from those that came in.
func (s *Shield) recheck(ctx context.Context) error {
	if s.clock.Suspect() {
		return nil
	}
	now := s.clock.Now()
	var due []string
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = texts(tx, `select r.block from shield_recheck r where r.at=0 and r.due_at<=$1 and (r.asked_at=0 or r.asked_at<$2) order by r.due_at limit 200`,
			store.Micros(now), store.Micros(now.Add(-lookedInVain)))
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return s.lookAgain(tx, id) }); err != nil {
			return err
		}
	}
	return s.followLooks(ctx)
}

// lookAgain asks for a look that is due, or gives up one that nobody answered.
func (s *Shield) lookAgain(tx *store.Tx, id string) error {
	b, err := findBlock(tx, id)
	if errors.Is(err, bolwerk.ErrNotFound) {
		_, err = tx.Exec(`delete from shield_recheck where block=$1`, id)
		return err
	}
	if err != nil {
		return err
	}
	watched := b.State == Expired && b.EndedWhy == string(NothingLeft) && tx.Now().Sub(b.EndedAt) < judge.WatchFor
	if b.State != InForce && !watched {
		_, err := tx.Exec(`delete from shield_recheck where block=$1 and at=0`, id)
		return err
	}
	var asked int64
	if err := tx.Row(`select asked_at from shield_recheck where block=$1 and at=0`, id).Scan(&asked); err != nil {
		if store.None(err) {
			return nil
		}
		return err
	}
	if asked > 0 {
		return s.fill(tx, id, judge.Sight{At: tx.Now(), Live: judge.LiveUnseen})
	}
	if _, err := tx.Exec(`update shield_recheck set asked_at=$2 where block=$1 and at=0`, id, tx.NowMicros()); err != nil {
		return err
	}
	var observable string
	if err := tx.Row(`select observable from shield_case where id=$1`, b.CaseID).Scan(&observable); err != nil {
		if store.None(err) {
			return nil
		}
		return err
	}
	return s.askAgain(tx, observable)
}

// followLooks does what follows from the looks of the last hour, and extends what
// is live before its end. Each step looks at the block again in its own
// transaction: what a person did meanwhile wins.
func (s *Shield) followLooks(ctx context.Context) error {
	now := s.clock.Now()
	var ids []string
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		ids, err = texts(tx, `select distinct r.block from shield_recheck r join shield_block b on b.id=r.block
			where r.at>$1 and (b.state='in_force' or b.state='expired' and b.ended_why=$2) limit 500`, store.Micros(now.Add(-time.Hour)), string(NothingLeft))
		if err != nil {
			return err
		}
		ending, err := texts(tx, `select id from shield_block where state='in_force' and valid_until>$1 and valid_until<=$2 and order_id='' and not pass limit 200`,
			store.Micros(now), store.Micros(now.Add(beforeEnd)))
		ids = append(ids, ending...)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.followLook(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// step is what follows from the looks at a block.
type afterLook int

const (
	leaveIt afterLook = iota
	endIt
	suspendIt
	extendIt
	againIt // it came back
)

// after says what follows, and until when where it is extended.
func (s *Shield) after(tx *store.Tx, b Block) (do afterLook, until time.Time, err error) {
	looks, err := looksAt(tx, b.ID)
	if err != nil || len(looks) == 0 {
		return leaveIt, until, err
	}
	if b.State == Expired {
		last := looks[len(looks)-1]
		if b.EndedWhy == string(NothingLeft) && last.Live == judge.LiveOnline && last.At.After(b.EndedAt) {
			return againIt, until, nil
		}
		return leaveIt, until, nil
	}
	if b.State != InForce || b.OrderID != "" || b.Pass {
		return leaveIt, until, nil
	}
	if b.Machine {
		appeals, err := desk.AppealsAbout(tx, b.Ref)
		if err != nil {
			return leaveIt, until, err
		}
		for _, a := range appeals {
			if a.State == "received" && judge.NoEvidence(looks, a.ReceivedAt) {
				return suspendIt, until, nil
			}
		}
	}
	hits, err := hitsOfDay(tx, b.Name)
	if err != nil {
		return leaveIt, until, err
	}
	if judge.Quiet(looks, hits, s.limits()) {
		return endIt, until, nil
	}
	if !b.Until.IsZero() && b.Until.Sub(tx.Now()) <= beforeEnd && s.cfg.Automatic.of(b.Class) == judge.On {
		until = judge.Renewal(looks, hits, termOf(b), b.From, tx.Now(), s.limits())
		if until.After(b.Until) {
			return extendIt, until, nil
		}
	}
	return leaveIt, until, nil
}

// termOf is for how long a block is placed and extended.
func termOf(b Block) time.Duration {
	switch {
	case b.Compromised:
		return judge.ForCompromised
	case b.Machine:
		return judge.ForMachine
	}
	return judge.ForPerson
}

func (s *Shield) followLook(ctx context.Context, id string) error {
	var do afterLook
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		b, err := findBlock(tx, id)
		if err == nil {
			do, _, err = s.after(tx, b)
		}
		return err
	})
	if err != nil || do == leaveIt {
		return err
	}
	lane := store.WayBack
	if do == extendIt || do == againIt {
		lane = store.Decision
	}
	return s.db.Write(ctx, lane, func(tx *store.Tx) error {
		b, err := findBlock(tx, id)
		if err != nil {
			return err
		}
		do, until, err := s.after(tx, b)
		if err != nil {
			return err
		}
		switch do {
		case endIt:
			by := bolwerk.Rule("re-check")
			if err := s.end(tx, b, Expired, by, string(NothingLeft), "three looks in a row found nothing, and hardly anybody asks for it"); err != nil {
				return err
			}
			audit.Append(tx, by, "shield.block.end", b.Ref, "nothing is left of it", nil)
			return s.closeCase(tx, b)
		case suspendIt:
			return s.suspend(tx, b, bolwerk.Rule("appeal-check"), OnAppeal, "somebody says that it is a mistake, and a new look found nothing")
		case extendIt:
			if why, err := s.mayExtend(tx, b, until); err != nil || why != nil {
				if why != nil {
					s.log.Error("a block is live and is not extended: a person looks", "alarm", true, "block", b.Ref, "why", why)
				}
				return err
			}
			return s.extend(tx, b, until, bolwerk.Rule("re-check"), "seen live and asked for")
		case againIt:
			return s.again(tx, b)
		}
		return nil
	})
}

// mayExtend has the guards look before rules extend a block: lists and exemptions
// may have changed since it was placed. why is what they object to.
func (s *Shield) mayExtend(tx *store.Tx, b Block, until time.Time) (why, err error) {
	subject := ""
	if c, err := desk.FindCase(tx, b.CaseID); err == nil {
		subject = c.Subject
	} else if !errors.Is(err, bolwerk.ErrNotFound) {
		return nil, err
	}
	p := judge.Proposal{Name: b.Name, Scope: b.Scope, Until: until, Class: b.Class, Brand: b.Brand, Compromised: b.Compromised}
	c, err := s.contextOf(tx, p, subject)
	if err != nil {
		return nil, err
	}
	c.Since = b.From
	if err := s.checkPublication(tx, p); judge.Objections(err) != nil {
		return err, nil
	} else if err != nil {
		return nil, err
	}
	return judge.Refusal(judge.CheckRenewal(p, c, b.Machine)), nil
}

// extend leaves a block in force until another time. The guards on its length
// hold for that too.
func (s *Shield) extend(tx *store.Tx, b Block, until time.Time, by bolwerk.Actor, reason string) error {
	if until.Sub(b.From) > s.limits().Cap {
		return bolwerk.Forbidden("%s would be in force for more than %s", b.Ref, s.limits().Cap)
	}
	second := b.Second
	if by.IsPerson() {
		second = by
	}
	n, err := tx.Exec(`update shield_block set valid_until=$1, second=$2, version=version+1 where id=$3 and state='in_force'`, store.Micros(until), second.String(), b.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return bolwerk.Conflict("%s is no longer in force", b.Ref)
	}
	b.Until, b.Second = until, second
	b.Version++
	if by.IsPerson() {
		if err := s.tellOutside(tx, b.ID, by); err != nil {
			return err
		}
	}
	s.list(tx, b)
	s.publish.Append(tx, CopyBlocks, b.Rule().Entry(b.ID, b.Version), func(tx *store.Tx, epoch, serial int64) error {
		if _, err := tx.Exec(`update shield_block set epoch=$1, serial=$2 where id=$3`, epoch, serial, b.ID); err != nil {
			return err
		}
		s.ledger.Append(tx, extendedOf(b, epoch, serial), "")
		return nil
	})
	audit.Append(tx, by, "shield.block.extend", b.Ref, reason, map[string]any{"name": b.Name, "until": until})
	return nil
}

// again is about what came back after it had gone quiet: as it was it is blocked
// again without asking, where rules may do that; otherwise its case comes back to
// people.
func (s *Shield) again(tx *store.Tx, b Block) error {
	looks, err := looksAt(tx, b.ID)
	if err != nil {
		return err
	}
	last, before := looks[len(looks)-1], ""
	for _, l := range looks {
		if l.Live == judge.LiveOnline && l.At.Before(b.EndedAt) && l.Hash != "" {
			before = l.Hash
		}
	}
	if _, err := tx.Exec(`delete from shield_recheck where block=$1 and at=0`, b.ID); err != nil { // it is not watched any more
		return err
	}
	if _, err := tx.Exec(`update shield_block set ended_why='expired' where id=$1 and state='expired'`, b.ID); err != nil {
		return err
	}
	c, err := desk.FindCase(tx, b.CaseID)
	if err != nil {
		return err
	}
	if c.State.Open() {
		return nil // people have it already
	}
	if err := desk.SetCase(tx, c, c.State, desk.Waiting, ""); err != nil {
		return err
	}
	c.State = desk.Waiting
	if s.cfg.Automatic.of(b.Class) == judge.On && judge.Rearm(before, last) {
		p := plan{Subject: c.Subject, Reason: "it is back as it was", Legal: b.Legal, Action: b.Action, Suspicious: b.Suspicious, AskedFor: b.AskedFor}
		p.Proposal = judge.ProposeMachine(b.Name, b.Scope, b.Class, b.Brand, b.Compromised, nil, s.guard.rules().versions, tx.Now())
		ctx, err := s.contextOf(tx, p.Proposal, p.Subject)
		if err != nil {
			return err
		}
		if ctx.Machine, err = s.machineOf(tx, c, p, ctx); err != nil {
			return err
		}
		ctx.Machine.Verdict = judge.Malicious // a person had it blocked, and it is the same
		if len(judge.Check(p.Proposal, ctx)) == 0 {
			_, err := s.block(tx, c, p, byRules, bolwerk.Actor{})
			return err
		}
	}
	return desk.Prioritise(tx, c.ID, 400, "back after it was quiet, "+fmt.Sprint(last.Live))
}

// keptOnAppeal says that an appeal nobody decided in time does not end a block: a
// person has confirmed it, and it was seen live within a day.
func keptOnAppeal(tx *store.Tx, b Block) (bool, error) {
	if b.State != InForce || !b.Actor.IsPerson() && !b.Second.IsPerson() {
		return false, nil
	}
	looks, err := looksAt(tx, b.ID)
	return judge.LiveEvidence(looks, tx.Now()), err
}
