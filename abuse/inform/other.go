package inform

import (
	"errors"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/notice"
	"bolwerk/internal/store"
)

// otherWay tells by the next way what a message that failed did not tell, each way once:
// mail, text message, letter, app. Where none is left the notice is unreachable, and the
// case says so. What arrived by another way, or was seen, is enough. A forwarded event has
// one way only.
func (d *Desk) otherWay(tx *store.Tx, id string) error {
	m, err := d.message(tx, id)
	if err != nil || m.Kind == forwarded {
		return err
	}
	l := Letter{Case: m.Case, Quarantine: m.Quarantine, Kind: m.Kind, Class: m.Class, By: bolwerk.Rule("abuse")}
	tried := map[notice.Channel]bool{}
	also := false // it is on another way, arrived, or was seen
	rows, err := store.List(tx, func(scan func(...any) error) (r [2]string, err error) { return r, scan(&r[0], &r[1]) },
		`select channel,case when seen_at>0 then 'seen' else state end from abuse_message where case_id=$1 and kind=$2 and quarantine=$3 and made_at>=$4`, m.Case, string(m.Kind), m.Quarantine, store.Micros(m.At.Add(-oncePer)))
	if err != nil {
		return err
	}
	for _, r := range rows {
		tried[notice.Channel(r[0])] = true
		also = also || r[1] == "waiting" || r[1] == "sent" || r[1] == "delivered" || r[1] == "seen"
	}
	if also {
		return nil
	}
	c, err := d.p.Cases.About(tx, m.Case)
	if err != nil {
		return err
	}
	e, err := d.p.Book.Find(tx, c.Who)
	known := !errors.Is(err, bolwerk.ErrNotFound)
	if err != nil && known {
		return err
	}
	if known {
		if err := d.p.Who.Note(tx, l.By, "notice of case "+c.Ref, c.ID, c.Who); err != nil {
			return err
		}
		if d.p.Gardens != nil && m.Kind == Quarantined {
			g, in, err := d.p.Gardens.GuestOf(tx, c.ID)
			if err != nil {
				return err
			}
			if in {
				l.Until = g.Until
			}
		}
		if way := d.nextWay(e, tried); way != "" {
			_, err := d.write(tx, l, c, e, []notice.Channel{way})
			return err
		}
	}
	if _, err := d.unreachable(tx, l, "no_way"); err != nil {
		return err
	}
	return d.p.Cases.Say(tx, c.ID, "step", l.By, "nobody_told:"+string(l.Kind), "")
}

// nextWay is the first way that leads to a subscriber, is set up, and was not tried; empty:
// there is none.
func (d *Desk) nextWay(e contact.Entry, tried map[notice.Channel]bool) notice.Channel {
	for _, way := range e.Reach(notice.Channels()) {
		off := way == notice.SMS && d.cfg.SMS.URL == "" || way == notice.App && d.cfg.App.URL == ""
		if !tried[way] && !off {
			return way
		}
	}
	return ""
}
