package abuse

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/retest"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// maxServices bounds the services of one line that are tested.
const maxServices = 5

// probe is one question to a line.
type probe struct {
	retest.Service
	at netip.Addr // of IPv6, where it was seen; the zero one: at the line's address of IPv4
}

func (p probe) String() string {
	if p.at.IsValid() {
		return p.Service.String() + " (IPv6)"
	}
	return p.Service.String()
}

// probes are those of a case: the open services that were seen. Of IPv6 the address goes
// with them: a line has more of them than anybody could ask.
func (d *Desk) probes(tx *store.Tx, caseID string) (out []probe, err error) {
	if !d.cfg.Retest {
		return nil, nil
	}
	rows, err := store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.case_id=$1 order by e.at desc, e.id desc limit $2`, caseID, lookForSeen)
	for _, r := range rows {
		if r.Event == nil || r.Role != reading.Exposed || !r.Event.SourceIP.IsValid() {
			continue
		}
		p := probe{Service: retest.Service{Protocol: r.Event.Protocol, Port: r.Event.SourcePort}}
		if a := r.Event.SourceIP.Unmap(); !a.Is4() {
			p.at = a
		}
		if p.Can() && !slices.Contains(out, p) && len(out) < maxServices {
			out = append(out, p)
		}
	}
	return out, err
}

// Tested is what a test of a case's line asks for, and what the last one found.
func (d *Desk) Tested(tx *store.Tx, caseID string) (t garden.Tested, err error) {
	all, err := d.probes(tx, caseID)
	if err != nil {
		return t, err
	}
	for _, p := range all {
		if s := p.String(); !slices.Contains(t.Tests, s) {
			t.Tests = append(t.Tests, s)
		}
	}
	var at int64
	if err := tx.Row(`select test,test_at from abuse_case where id=$1`, caseID).Scan(&t.Test, &at); err != nil {
		return t, err
	}
	if at > 0 {
		t.TestAt = store.Time(at)
	}
	return t, nil
}

// AskTest has a case's line tested: bolwerk.ErrConflict where it cannot be now. A person's
// asking is on the record.
func (d *Desk) AskTest(tx *store.Tx, caseID string, by bolwerk.Actor) error {
	c, err := findCase(tx, caseID)
	if err != nil {
		return err
	}
	t, err := d.Tested(tx, c.ID)
	switch {
	case err != nil:
		return err
	case !d.cfg.Retest:
		return bolwerk.WithHint(bolwerk.Conflict("%s: lines are not tested here", c.Ref), "abuse.retest in the configuration")
	case !c.State.Open():
		return bolwerk.Conflict("case %s is closed", c.Ref)
	case len(t.Tests) == 0:
		return bolwerk.WithHint(bolwerk.Conflict("%s: what was seen cannot be tested from outside", c.Ref), "look whether feeds still tell of the line")
	case !t.MayTest(tx.Now()):
		return bolwerk.Conflict("%s was tested less than %d minutes ago", c.Ref, garden.TestEvery/time.Minute)
	}
	if by.IsPerson() {
		audit.Append(tx, by, "abuse.case.retest", c.Ref, "", nil)
	}
	return d.setTest(tx, c.ID, garden.TestAsked)
}

func (d *Desk) setTest(tx *store.Tx, caseID, found string) error {
	if _, err := tx.Exec(`update abuse_case set test=$1, test_at=$2 where id=$3`, found, tx.NowMicros(), caseID); err != nil {
		return err
	}
	return d.quarantines.Changed(tx, caseID)
}

// Retest has a case's line tested because a person wants it.
func (d *Desk) Retest(ctx context.Context, who account.Person, id string) (t garden.Tested, err error) {
	err = d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		if err := d.AskTest(tx, c.ID, who.Actor()); err != nil {
			return err
		}
		t, err = d.Tested(tx, c.ID)
		return err
	})
	return t, err
}

// retestAll tests the lines whose test was asked for, one after the other, until ctx ends.
func (d *Desk) retestAll(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := d.retestSome(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("tests of lines wait", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// retestSome does what was asked for, at most 20. While the clock is suspect nobody knows
// who has an address now.
func (d *Desk) retestSome(ctx context.Context) error {
	if d.clock.Suspect() {
		return nil
	}
	var ids []string
	if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
		ids, err = store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, `select id from abuse_case where test='asked' order by test_at limit 20`)
		return err
	}); err != nil {
		return err
	}
	for _, id := range ids {
		found, err := d.retestOne(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // it holds up no other
			d.log.Error("a line cannot be tested", "case", id, "err", err)
			found = garden.TestFailed
		}
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if err := d.note(tx, id, "tested", bolwerk.Rule("abuse"), found, ""); err != nil {
				return err
			}
			return d.setTest(tx, id, found)
		}); err != nil {
			return err
		}
	}
	return nil
}

// retestOne asks each service of a case once, where its subscriber is at that moment.
// Where the address is another's by the time the answer is there, nothing was found.
func (d *Desk) retestOne(ctx context.Context, caseID string) (string, error) {
	var all []probe
	var who session.Identity
	if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
		if who, _, err = d.whoseCase(tx, caseID); err == nil {
			all, err = d.probes(tx, caseID)
		}
		return err
	}); err != nil {
		return "", err
	}
	if len(all) == 0 {
		return garden.TestOffline, nil
	}
	var asked, failed bool
	for _, p := range all {
		at, err := d.addressOf(ctx, who, p)
		if err != nil {
			return "", err
		}
		if !at.IsValid() {
			continue
		}
		open, err := d.answers(ctx, at, p.Service)
		if err != nil {
			d.log.Error("a line cannot be tested", "service", p.String(), "err", err)
			failed = true
			continue
		}
		if then, err := d.addressOf(ctx, who, p); err != nil {
			return "", err
		} else if then != at {
			continue
		}
		if asked = true; open {
			return garden.TestOpen, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case failed:
		return garden.TestFailed, nil
	case !asked:
		return garden.TestOffline, nil
	}
	return garden.TestQuiet, nil
}

// addressOf is the address at which a probe finds the subscriber now, and nobody else, in the
// operator's own networks; the zero one where there is none, or more than one.
func (d *Desk) addressOf(ctx context.Context, who session.Identity, p probe) (at netip.Addr, err error) {
	if who.Subscriber == "" {
		return at, nil
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		held, err := d.p.Who.Now(tx, who.Subscriber)
		if err != nil {
			return err
		}
		for _, h := range held {
			a := h.Prefix.Addr()
			if p.at.IsValid() {
				a = p.at
			} else if !a.Is4() || !h.Prefix.IsSingleIP() {
				continue
			}
			if !h.Prefix.Contains(a) || !h.Ports.All() || h.Inside.IsValid() || !d.own(a) {
				continue
			}
			if ok, err := d.alone(tx, who.Subscriber, h.Prefix, a); err != nil {
				return err
			} else if !ok {
				continue
			}
			if at.IsValid() && at != a {
				at = netip.Addr{}
				return nil
			}
			at = a
		}
		return nil
	})
	return at, err
}

// alone says that the newest to hold a prefix is the subscriber, and that nobody else
// holds a part of it with the address.
func (d *Desk) alone(tx *store.Tx, subscriber string, p netip.Prefix, a netip.Addr) (bool, error) {
	same, within, err := d.p.Who.Holders(tx, p)
	if err != nil || len(same) == 0 || same[0].Subscriber != subscriber || same[0].Ended != session.Open {
		return false, err
	}
	return !slices.ContainsFunc(within, func(h session.Held) bool { return h.Subscriber != subscriber && h.Prefix.Contains(a) }), nil
}

// own says that an address is in a network that is named as the operator's own.
func (d *Desk) own(a netip.Addr) bool {
	return slices.ContainsFunc(d.cfg.Networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func checkRetest(on bool, networks []netip.Prefix) error {
	if on && len(networks) == 0 {
		return bolwerk.Invalid("retest: lines are tested in networks of your own only: name them (networks)")
	}
	return nil
}
