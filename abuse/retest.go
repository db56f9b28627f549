package abuse

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/retest"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// maxServices bounds the services of one line that are tested.
const maxServices = 5

// services are those of a case that a test can ask for: open ones that were seen at an
// IPv4 address, whose line has one. Behind an IPv6 prefix nobody knows which address.
func (d *Desk) services(tx *store.Tx, caseID string) (out []retest.Service, err error) {
	rows, err := store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.case_id=$1 order by e.at desc, e.id desc limit $2`, caseID, lookForSeen)
	for _, r := range rows {
		if r.Event == nil || r.Role != reading.Exposed || !r.Event.SourceIP.Is4() {
			continue
		}
		s := retest.Service{Protocol: r.Event.Protocol, Port: r.Event.SourcePort}
		if s.Can() && !slices.Contains(out, s) && len(out) < maxServices {
			out = append(out, s)
		}
	}
	return out, err
}

// tests names those services for the pages.
func (d *Desk) tests(tx *store.Tx, caseID string) (out []string, err error) {
	all, err := d.services(tx, caseID)
	for _, s := range all {
		out = append(out, s.String())
	}
	return out, err
}

// testsOf is tests where lines are tested.
func (d *Desk) testsOf() func(tx *store.Tx, caseID string) ([]string, error) {
	if !d.cfg.Retest {
		return nil
	}
	return d.tests
}

// retestAll tests the lines whose test was asked for, until ctx ends.
func (d *Desk) retestAll(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
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

func (d *Desk) retestSome(ctx context.Context) error {
	all, err := d.quarantines.ToTest(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		found, err := d.retestOne(ctx, t)
		if err != nil {
			return err
		}
		if err := d.quarantines.Tested(ctx, t.ID, found); err != nil {
			return err
		}
	}
	return nil
}

// retestOne asks the services of a line where its subscriber is now, once. Where the line
// is another's by the time the answer is there, nothing was found.
func (d *Desk) retestOne(ctx context.Context, t quarantine.Testing) (found string, err error) {
	var all []retest.Service
	var at netip.Addr
	where := func(tx *store.Tx) (err error) { at, err = d.addressOf(tx, t.Who.Subscriber); return err }
	if err = d.db.Read(ctx, func(tx *store.Tx) error {
		if all, err = d.services(tx, t.CaseID); err != nil {
			return err
		}
		return where(tx)
	}); err != nil {
		return "", err
	}
	if !at.IsValid() || len(all) == 0 {
		return quarantine.TestOffline, nil
	}
	found = quarantine.TestQuiet
	for _, s := range all {
		open, err := d.answers(ctx, at, s)
		if err != nil {
			d.log.Error("a line cannot be tested", "service", s.String(), "err", err)
			found = quarantine.TestFailed
		}
		if open {
			found = quarantine.TestOpen
			break
		}
	}
	asked := at
	if err := d.db.Read(ctx, where); err != nil {
		return "", err
	}
	if at != asked {
		return quarantine.TestOffline, nil
	}
	return found, ctx.Err()
}

// addressOf is the IPv4 address that a subscriber has now and shares with nobody, in the
// operator's own networks; the zero one where there is none, or more than one.
func (d *Desk) addressOf(tx *store.Tx, subscriber string) (at netip.Addr, err error) {
	if subscriber == "" {
		return at, nil
	}
	held, err := d.p.Who.Now(tx, subscriber)
	for _, h := range held {
		if !h.Prefix.Addr().Is4() || !h.Prefix.IsSingleIP() || h.Ports != (session.Ports{}) || h.Inside.IsValid() || !d.own(h.Prefix.Addr()) {
			continue
		}
		if at.IsValid() && at != h.Prefix.Addr() {
			return netip.Addr{}, err
		}
		at = h.Prefix.Addr()
	}
	return at, err
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
