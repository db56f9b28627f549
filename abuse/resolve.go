package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// State is where an event stands; each is a counter of its report.
type State string

// The states.
const (
	Fresh   State = "fresh"    // not looked at
	Later   State = "later"    // nobody is known: asked again, accounting may come late
	ForOne  State = "person"   // a person decides
	Joined  State = "joined"   // in a case
	NotOurs State = "not_ours" // the address is somebody else's
	NoLine  State = "no_line"  // a victim's address, or what a program spoke with
	Unknown State = "unknown"  // nobody is known, and nobody will be
	Exempt  State = "exempt"
	Aside   State = "aside" // a person put it aside
)

// columns are the counters, by state.
var columns = map[State]string{Fresh: "fresh", Later: "later", ForOne: "person", Joined: "joined", NotOurs: "not_ours", NoLine: "no_line", Unknown: "unknown", Exempt: "exempt", Aside: "aside"}

// Why an event waits or came to nothing, beside the reasons of package session.
const (
	whyPlain     = "found_in_text" // a person reads the report
	whyNoAddress = "no_address"    // a name, a link or a network is named
	whyNoTime    = "no_time"
	whyExpired   = "body_forgotten" // the event's addresses are deleted
)

// backOff is when an event whose line is not known is asked about again, by how often
// it was: accounting is mostly late by minutes, and a Stop comes when a session ends.
var backOff = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour}

func (d *Desk) again(asked int64) time.Time {
	return d.clock.Now().Add(backOff[min(int(asked), len(backOff)-1)])
}

// Windows around a time of which a report does not say enough: whoever had the
// address within may have been meant, and only one who had it all along is acted on.
const (
	reportWindow = 24 * time.Hour // only the report's own time is known: it happened before
	zoneWindow   = 14 * time.Hour // no zone is written, and clocks are up to so far from UTC
)

// asked is the question about an event.
func asked(e reading.Event) session.Question {
	q := session.Question{Addr: e.SourceIP, Port: e.SourcePort, At: e.Time}
	switch {
	case e.TimeKind == reading.OfReport:
		q.At, q.Skew = e.Time.Add(-reportWindow/2), reportWindow/2
	case slices.Contains(e.Warnings, "zone-not-said"):
		q.Skew = zoneWindow
	case e.TimeKind == reading.Range && !e.From.IsZero() && !e.To.IsZero():
		half := e.To.Sub(e.From) / 2
		q.At, q.Skew = e.From.Add(half), half+time.Minute
	}
	return q
}

// pending is an event that is to be looked at.
type pending struct {
	id, report string
	class      reading.Class
	role       reading.Role
	spoofable  bool
	named      bool // a named source tells of it
	plain      bool
	at         int64
	asked      int64
	state      State
	sealed     []byte
	event      reading.Event
	reporter   string
	before     string // the reporter's mark of the month before
	received   int64
}

// outcome is what came of looking at an event.
type outcome struct {
	pending
	to     State
	why    string
	found  int
	due    int64
	who    session.Identity
	answer session.Answer
}

// resolveAll looks at events until ctx ends.
func (d *Desk) resolveAll(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := d.resolveSome(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("events of abuse not looked at; tried again in a while", "err", err, "alarm", true)
			n = 0
		}
		if n == writeSome {
			continue
		}
		select {
		case <-ctx.Done():
		case <-d.found:
		case <-tick.C:
		}
	}
	return nil
}

// resolveSome looks at the events that are due, at most writeSome. One that fails holds
// up no other: it is looked at again later.
func (d *Desk) resolveSome(ctx context.Context) (int, error) {
	var due []pending
	if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = d.pendings(tx, `e.due_at>0 and e.due_at<=$1 order by e.due_at limit $2`, store.Micros(d.clock.Now()), writeSome)
		return err
	}); err != nil || len(due) == 0 {
		return 0, err
	}
	err := d.resolve(ctx, due)
	if err == nil || ctx.Err() != nil {
		return len(due), err
	}
	for _, p := range due {
		err := d.resolve(ctx, []pending{p})
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return 0, err
		}
		d.log.Error("an event of abuse not looked at; tried again later", "alarm", true, "event", p.id, "err", err)
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`update abuse_event set due_at=$1, asked=asked+1 where id=$2 and due_at>0`, store.Micros(d.again(p.asked)), p.id)
			return err
		}); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// resolve looks at events, and writes what came of it: all of them or none.
func (d *Desk) resolve(ctx context.Context, due []pending) error {
	out := make([]outcome, len(due))
	var asks []session.Question
	var askers []*outcome
	for i, p := range due {
		ask, err := d.judge(p, &out[i])
		if err != nil {
			return err
		}
		if ask {
			asks, askers = append(asks, asked(out[i].event)), append(askers, &out[i])
		}
	}
	answers, err := d.p.Who.FindMany(ctx, asks)
	if err != nil {
		return err
	}
	for i, o := range askers {
		o.answer = answers[i]
		d.place(o)
	}
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return d.write(tx, out) })
}

func (d *Desk) pendings(tx *store.Tx, where string, args ...any) ([]pending, error) {
	return store.List(tx, func(scan func(...any) error) (p pending, err error) {
		return p, scan(&p.id, &p.report, (*string)(&p.class), (*string)(&p.role), &p.spoofable, &p.named, &p.plain, &p.at, &p.asked, (*string)(&p.state), &p.sealed, &p.reporter, &p.before, &p.received)
	}, `select e.id,e.report,e.class,e.role,e.spoofable,r.named,e.plain,e.at,e.asked,e.state,e.detail_sealed,r.reporter,r.reporter_before,r.received_at from abuse_event e join abuse_report r on r.id=e.report where `+where, args...)
}

// open gives an event as it was read. bolwerk.ErrNotFound says that its addresses are
// deleted.
func (d *Desk) open(p *pending) error {
	if len(p.sealed) == 0 {
		return bolwerk.NotFound("the addresses of the event are deleted")
	}
	plain, err := d.p.Vault.Open(SealedEvent, p.sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, &p.event)
}

// judge says where an event goes, or that its line is to be asked about first. It
// writes nothing.
func (d *Desk) judge(p pending, o *outcome) (ask bool, err error) {
	o.pending = p
	if err := d.open(&o.pending); errors.Is(err, bolwerk.ErrNotFound) {
		o.to, o.why = Unknown, whyExpired
		return false, nil
	} else if err != nil {
		return false, err
	}
	switch e := o.event; {
	case e.Role != reading.Doer && e.Role != reading.Exposed:
		o.to, o.why = NoLine, string(e.Role)
	case e.SourceNet.IsValid() && !e.SourceIP.IsValid() && !d.cfg.ours(e.SourceNet.Addr()):
		o.to = NotOurs
	case !e.SourceIP.IsValid():
		o.to, o.why = ForOne, whyNoAddress
	case !d.cfg.ours(e.SourceIP):
		o.to = NotOurs
	case e.Time.IsZero():
		o.to, o.why = ForOne, whyNoTime
	default:
		return true, nil
	}
	return false, nil
}

// place puts an event whose line was asked about. Only one candidate who may be
// acted on leads to a case by itself; what was only found in a text never does.
func (d *Desk) place(o *outcome) {
	a := o.answer
	c, one := a.Act()
	o.found = len(a.Candidates)
	has := func(r session.Reason) bool { return slices.Contains(a.Why, r) }
	if len(a.Why) > 0 {
		o.why = string(a.Why[0])
	} else if o.found == 1 && len(a.Candidates[0].Why) > 0 {
		o.why = string(a.Candidates[0].Why[0])
	}
	switch {
	case one && !o.plain:
		o.to, o.who = Joined, c.Identity
	case o.plain:
		o.to, o.why = ForOne, whyPlain
	case has(session.Forgotten):
		o.to, o.why = Unknown, string(session.Forgotten)
	case has(session.NeedsPort):
		o.to, o.why = Unknown, string(session.NeedsPort)
	case o.found == 0:
		o.to, o.due = Later, store.Micros(d.again(o.asked))
	default: // more than one, or one who is only possible: a Stop may still come
		o.to, o.due = ForOne, store.Micros(d.again(o.asked))
	}
}

// write puts events where they go, with the counters of their reports and with
// their cases. Whoever was faster, a person, stands.
func (d *Desk) write(tx *store.Tx, all []outcome) error {
	reports := map[string]bool{}
	for _, o := range all {
		if o.to == Joined {
			until, err := d.exempt(tx, o.who, o.class)
			if err != nil {
				return err
			}
			if !until.IsZero() {
				o.to, o.why = Exempt, ""
			}
		}
		if ok, err := d.move(tx, o); err != nil {
			return err
		} else if !ok {
			continue
		}
		reports[o.report] = true
		if o.to == Joined {
			if err := d.join(tx, o, bolwerk.Rule("abuse")); err != nil {
				return err
			}
		}
	}
	for id := range reports {
		if err := d.settle(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// move takes an event from the state in which it was looked at; false says that it
// is elsewhere meanwhile.
func (d *Desk) move(tx *store.Tx, o outcome) (bool, error) {
	n, err := tx.Exec(`update abuse_event set state=$1, why=$2, found=$3, due_at=$4, asked=asked+1 where id=$5 and state=$6 and case_id=''`,
		string(o.to), o.why, o.found, o.due, o.id, string(o.state))
	if err != nil || n == 0 {
		return false, err
	}
	if o.to == o.state {
		return true, nil
	}
	tx.After(func() { d.count.events.WithLabelValues(string(o.to)).Inc() })
	portless := ""
	if o.why == string(session.NeedsPort) && o.to == Unknown {
		portless = ", portless=portless+1"
	}
	_, err = tx.Exec(`update abuse_report set `+columns[o.state]+`=`+columns[o.state]+`-1, `+columns[o.to]+`=`+columns[o.to]+`+1`+portless+` where id=$1`, o.report)
	return true, err
}
