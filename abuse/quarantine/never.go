package quarantine

import (
	"net/netip"
	"slices"
	"strings"

	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// named says that a subscriber is on the list of those who are never put into quarantine.
func (d *Desk) named(subscriber string) bool {
	return slices.ContainsFunc(d.cfg.Never, func(n string) bool { return strings.EqualFold(n, subscriber) })
}

// listed says that the configuration spares a subscriber: by name, or because a network
// that is never in has a part of what they have now, or of what their case rests on. What
// they have now are sessions, leases and fixed lines.
func (d *Desk) listed(tx *store.Tx, who session.Identity, caseID string) (bool, error) {
	if d.named(who.Subscriber) || len(d.cfg.NeverNetworks) == 0 {
		return d.named(who.Subscriber), nil
	}
	held, err := d.p.Who.Now(tx, who.Subscriber)
	if err != nil {
		return false, err
	}
	more, err := d.p.Who.Lasting(tx, who.Subscriber)
	if err != nil {
		return false, err
	}
	var nets []netip.Prefix
	for _, h := range append(held, more...) {
		nets = append(nets, h.Prefix)
	}
	answers, err := d.p.Who.PinnedOf(tx, caseID)
	if err != nil {
		return false, err
	}
	for _, a := range answers {
		if at := a.Question.Addr.Unmap(); at.IsValid() {
			nets = append(nets, netip.PrefixFrom(at, at.BitLen()))
		}
	}
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool {
		return slices.ContainsFunc(d.cfg.NeverNetworks, func(p netip.Prefix) bool { return p.Overlaps(n) })
	}), nil
}

// spare lets out who should never have been in: who was put on a list since, or has an
// address now that is on one. It is asked before each order and each garden.
func (d *Desk) spare(tx *store.Tx, q *Row) error {
	if !q.State.Holds() {
		return nil
	}
	who, err := d.identity(*q)
	if err != nil {
		return err
	}
	never, err := d.listed(tx, who, q.CaseID)
	if err == nil && !never && d.p.Flags != nil {
		f, err := d.p.Flags(tx, who)
		if err != nil {
			return err
		}
		never = f.Never
	}
	if err != nil || !never {
		return err
	}
	if *q, err = load(tx, q.ID); err != nil {
		return err
	}
	tx.After(func() {
		d.log.Error("a line was in quarantine that is never to be, and is let out", "alarm", true, "quarantine", q.Ref)
	})
	return d.step(tx, q, Release{ByMistake}, rules, nil)
}
