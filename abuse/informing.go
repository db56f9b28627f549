package abuse

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// Informing lets the desk tell subscribers; before Run.
func (d *Desk) Informing(i *inform.Desk) { d.inform = i }

// informed hands an event that joined a case on to a reseller, and tells the public site
// what holders of the case's codes see.
func (d *Desk) informed(tx *store.Tx, caseID string, o outcome) error {
	if d.inform == nil {
		return nil
	}
	if err := d.inform.Forward(tx, caseID, o.id, inform.Letter{Who: o.who}); err != nil {
		return err
	}
	return d.inform.Changed(tx, caseID)
}

// caseChanged tells whoever was told of a case that it was closed or began again: the
// holders of its codes at once, and the reporters of its events on the next day.
func (d *Desk) caseChanged(tx *store.Tx, caseID string) error {
	if d.inform != nil {
		if err := d.inform.Changed(tx, caseID); err != nil {
			return err
		}
	}
	return outcomeTomorrow(tx, caseID)
}

const (
	maxSeen     = 10 // events that a subscriber is shown
	lookForSeen = 50
)

// About gives a case to whoever informs.
func (d *Desk) About(tx *store.Tx, id string) (out inform.Case, err error) {
	c, err := findCase(tx, id)
	if err != nil {
		return out, err
	}
	out = inform.Case{ID: c.ID, Ref: c.Ref, Open: c.State.Open(), Outcome: c.Outcome, Closed: c.ClosedAt, Opened: c.OpenedAt}
	var sealed []byte
	if err := tx.Row(`select class,who_sealed from abuse_case where id=$1`, c.ID).Scan((*string)(&out.Class), &sealed); err != nil {
		return out, err
	}
	plain, err := d.p.Sessions.Kept().Open(SealedWho, sealed)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(plain, &out.Who); err != nil {
		return out, err
	}
	var first int64
	if err := tx.Row(`select coalesce(min(r.received_at),0) from abuse_event e join abuse_report r on r.id=e.report where e.case_id=$1`, c.ID).Scan(&first); err != nil {
		return out, err
	}
	if first > 0 {
		out.First = store.Time(first)
	}
	events, err := store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.case_id=$1 order by e.at desc, e.id desc limit $2`, c.ID, lookForSeen)
	if err != nil {
		return out, err
	}
	for _, e := range events {
		if e.Event != nil && out.Family == "" && plainName.MatchString(e.Event.Malware) {
			out.Family = e.Event.Malware
		}
		if s := seenOf(e); len(out.Seen) < maxSeen && !s.At.IsZero() && !slices.Contains(out.Seen, s) {
			out.Seen = append(out.Seen, s)
		}
	}
	out.Tested, err = d.Tested(tx, c.ID)
	return out, err
}

// seenOf is what a subscriber is shown of an event. Of what a report says only numbers
// go in: its words are a stranger's.
func seenOf(e EventRow) garden.Seen {
	s := garden.Seen{At: e.At}
	if e.Event == nil {
		return s
	}
	port := e.Event.DestinationPort
	if e.Role == reading.Exposed {
		port = e.Event.SourcePort
	}
	if p := e.Event.Protocol; port > 0 && (p == "tcp" || p == "udp") {
		s.What = fmt.Sprintf("%s %d", strings.ToUpper(p), port)
	}
	return s
}

// Event gives an event as it was read.
func (d *Desk) Event(tx *store.Tx, id string) (e reading.Event, err error) {
	var sealed []byte
	if err := tx.Row(`select detail_sealed from abuse_event where id=$1`, id).Scan(&sealed); err != nil {
		if store.None(err) {
			err = bolwerk.NotFound("no event %.60q", id)
		}
		return e, err
	}
	p := pending{sealed: sealed}
	if len(sealed) == 0 {
		return e, bolwerk.NotFound("the addresses of event %.60q are forgotten", id)
	}
	if err := d.open(&p); err != nil {
		if errors.Is(err, bolwerk.ErrNotFound) {
			err = bolwerk.NotFound("the addresses of event %.60q are forgotten", id)
		}
		return e, err
	}
	return p.event, nil
}

// Say writes into a case's history.
func (d *Desk) Say(tx *store.Tx, id, kind string, by bolwerk.Actor, code, text string) error {
	c, err := desk.FindCase(tx, id)
	if err != nil {
		return err
	}
	return d.note(tx, c.ID, kind, by, code, text)
}
