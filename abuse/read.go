package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/reading"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// readOne reads a report page by page: what is in the store already is not read
// into it again, so that a kill in between loses and doubles nothing.
func (d *Desk) readOne(ctx context.Context, id string) error {
	var ref string
	var tries, readTo int
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select body_ref,tries,read_to from abuse_report where id=$1`, id).Scan(&ref, &tries, &readTo)
	}); err != nil {
		return err
	}
	in, err := d.body(ctx, ref)
	if errors.Is(err, errGone) || errors.Is(err, bolwerk.ErrInvalid) {
		return d.unreadable(ctx, id, "gone", err.Error())
	}
	if err != nil {
		return err
	}
	for {
		answer, err := d.p.Reader.Look(ctx, ReadTask, in.Body, question{Name: in.Name, Form: in.Form, Received: in.ReceivedAt, From: readTo, Mail: in.Channel == door.ByMail})
		switch {
		case errors.Is(err, ErrDied):
			d.count.deaths.Inc()
			d.log.Warn("a reader died over a report of abuse", "report", id, "tries", tries, "how", err)
			if tries >= maxTries {
				return d.unreadable(ctx, id, "reader-died", "three readers died over it")
			}
			return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
				_, err := tx.Exec(`update abuse_report set claimed_until=0 where id=$1 and state='received'`, id)
				return err
			})
		case errors.Is(err, bolwerk.ErrInvalid):
			return d.unreadable(ctx, id, "too-large", err.Error())
		case err != nil:
			return err
		}
		var p readPage
		if err := json.Unmarshal(answer, &p); err != nil {
			return d.unreadable(ctx, id, "no-answer", "the reader's answer cannot be read")
		}
		if err := d.keep(ctx, id, in, readTo, p); err != nil {
			return err
		}
		if readTo += len(p.Events); readTo >= p.Total || len(p.Events) == 0 {
			return d.finish(ctx, id, in, p)
		}
	}
}

// unreadable leaves a report to a person.
func (d *Desk) unreadable(ctx context.Context, id, code, why string) error {
	d.log.Error("report of abuse unreadable", "alarm", true, "report", id, "why", why)
	d.count.reports.WithLabelValues("", "unreadable").Inc()
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		n, err := tx.Exec(`update abuse_report set state='unreadable', why=$1, read_at=$2, claimed_until=0 where id=$3 and state='received'`, code, tx.NowMicros(), id)
		if err != nil || n == 0 {
			return err
		}
		d.p.Facts.Append(tx, bolwerk.Rule("reader"), fact.ReportRead, id, fact.Read{State: "unreadable"})
		return d.settle(tx, id)
	})
}

// reporterOf is who reported, so that the same event of the same reporter is counted
// once. Nothing of it is proved.
func reporterOf(in door.Report, e reading.Event) string {
	if a, err := mail.ParseAddress(in.From); err == nil {
		return a.Key()
	}
	if e.Reporter != "" {
		return strings.ToLower(e.Reporter)
	}
	return string(in.Channel)
}

// onceOf is what tells an event from others of its reporter: not where in a report it
// stands, nor what the report is called.
func onceOf(e reading.Event) string {
	e.Row, e.Evidence, e.Warnings, e.Reporter, e.ReportID = 0, nil, nil, "", ""
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // plain data
	}
	return string(b)
}

// row is an event on its way into the store.
type row struct {
	reading.Event
	nth          int
	once         string // its mark
	onceBefore   string // the same under last month's key; empty where there is none
	detail, from []byte
	reporter     string
	before       string // who reported, under last month's key
}

// keep writes a page of events, some at a time, each with how far it is.
func (d *Desk) keep(ctx context.Context, id string, in door.Report, from int, p readPage) error {
	nth, named := from, d.named(in, p.Outer)
	for part := range slices.Chunk(p.Events, writeSome) {
		rows := make([]row, 0, len(part))
		for _, e := range part {
			r := row{Event: e, nth: nth}
			nth++
			who := reporterOf(in, e)
			var err error
			if r.reporter, r.before, err = d.lately(markReporter, who); err != nil {
				return err
			}
			once := who + "\n" + onceOf(e)
			if named { // what a stranger told before does not silence it
				once = "named\n" + once
			}
			if r.once, r.onceBefore, err = d.lately(markEvent, once); err != nil {
				return err
			}
			plain, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if r.detail, err = d.p.Vault.Seal(SealedEvent, plain); err != nil {
				return err
			}
			if r.from, err = d.p.Vault.Seal(SealedFrom, []byte(cmpOr(in.From, e.Reporter))); err != nil {
				return err
			}
			rows = append(rows, r)
		}
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return d.insert(tx, id, p.Total, named, rows) }); err != nil {
			return err
		}
		ring(d.found)
	}
	return nil
}

// lately are the marks of a value under this month's key and under last month's: what was
// told on the last day of a month is known on the first of the next.
func (d *Desk) lately(purpose, value string) (now, before string, err error) {
	all, err := d.p.Vault.Lately(purpose, value, 1)
	if err != nil {
		return "", "", err
	}
	return all[0], strings.Join(all[1:], ""), nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (d *Desk) insert(tx *store.Tx, report string, total int, named bool, rows []row) error {
	// Another desk may have taken the report over: its place is asked again here.
	var at int
	if err := tx.Row(`select read_to from abuse_report where id=$1 and state='received'`, report).Scan(&at); err != nil {
		if store.None(err) {
			return bolwerk.Conflict("report of abuse %s was read by another desk", report)
		}
		return err
	}
	if at != rows[0].nth {
		return bolwerk.Conflict("report of abuse %s is read by another desk", report)
	}
	fresh, again := 0, 0
	for _, r := range rows {
		if r.onceBefore != "" {
			n, err := tx.Exec(`update abuse_event set again=again+1 where once=$1`, r.onceBefore)
			if err != nil {
				return err
			}
			if n > 0 {
				again++
				continue
			}
		}
		at := int64(0)
		if !r.Time.IsZero() {
			at = store.Micros(r.Time)
		}
		n, err := tx.Exec(`insert into abuse_event(id,report,nth,once,again,class,role,basis,spoofable,plain,at,time_kind,detail_sealed,state,why,found,case_id,due_at,asked)
			values($1,$2,$3,$4,0,$5,$6,$7,$8,$9,$10,$11,$12,'fresh','',0,'',$13,0) on conflict(once) do nothing`,
			bolwerk.NewID(tx.Now()), report, r.nth, r.once, string(r.Class), string(r.Role), string(r.Basis), r.Spoofable, r.Person, at, string(r.TimeKind), r.detail, tx.NowMicros())
		if err != nil {
			return err
		}
		if n == 1 {
			fresh++
			continue
		}
		again++
		if _, err := tx.Exec(`update abuse_event set again=again+1 where once=$1`, r.once); err != nil {
			return err
		}
	}
	tx.After(func() { d.count.events.WithLabelValues("repeated").Add(float64(again)) })
	_, err := tx.Exec(`update abuse_report set total=$1, read_to=read_to+$2, fresh=fresh+$3, repeated=repeated+$4, tries=1, claimed_until=$5, reporter=$6, reporter_before=$7, from_sealed=$8, named=$10 where id=$9`,
		total, len(rows), fresh, again, store.Micros(tx.Now().Add(claimTime)), rows[0].reporter, rows[0].before, rows[0].from, report, named)
	return err
}

// finish ends the reading of a report.
func (d *Desk) finish(ctx context.Context, id string, in door.Report, p readPage) error {
	var codes []string
	for _, r := range p.Refused {
		if !slices.Contains(codes, string(r.Code)) && len(codes) < 8 {
			codes = append(codes, string(r.Code))
		}
	}
	state := "read"
	switch {
	case p.Total > 0:
	case p.Person || p.Format == reading.PlainMail:
		state = "person"
	default:
		state = "unreadable"
	}
	from, err := d.p.Vault.Seal(SealedFrom, []byte(in.From))
	if err != nil {
		return err
	}
	d.count.reports.WithLabelValues(string(p.Format), state).Inc()
	feed := ""
	if p.Total > 0 { // a mail in which there is nothing does not prove that a feed works
		feed = d.cfg.feedOf(in)
	}
	to, why := d.replyOf(in, p.Format, feed, p.Outer)
	var sealed []byte
	if why == replyYes {
		plain, err := json.Marshal(to)
		if err != nil {
			return err
		}
		if sealed, err = d.p.Vault.Seal(SealedReply, plain); err != nil {
			return err
		}
	}
	d.count.answers.WithLabelValues(why).Inc()
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		n, err := tx.Exec(`update abuse_report set state=$1, format=$2, plain=$3, total=$4, refused=$5, why=$6, read_at=$7, claimed_until=0, from_sealed=coalesce(from_sealed,$8), feed=$9, reply=$10, reply_sealed=$11 where id=$12 and state='received'`,
			state, string(p.Format), p.Person, p.Total, p.RefusedCount, strings.Join(codes, ","), tx.NowMicros(), from, feed, why, sealed, id)
		if err != nil || n == 0 {
			return err
		}
		d.p.Facts.Append(tx, bolwerk.Rule("reader"), fact.ReportRead, id, fact.Read{State: state, Format: string(p.Format), Events: max(p.Total, 0)})
		if feed != "" {
			if err := heard(tx, feed, id, in.ReceivedAt); err != nil {
				return err
			}
		}
		return d.settle(tx, id)
	})
}

// Code is what a reporter is told.
type Code string

// The codes.
const (
	Queued        Code = "QUEUED"
	Processing    Code = "PROCESSING"
	Actioned      Code = "ACTIONED"              // at least one event led to a case
	NotResolvable Code = "NOT_RESOLVABLE"        // nobody of ours, or nobody known
	NoAction      Code = "REVIEWED_NO_ACTION"    // a person looked, and did nothing
	NeedMore      Code = "NEED_MORE_INFORMATION" // a port, a time, or what can be read
	ContentDown   Code = "CONTENT_DOWN"          // what was offered there is gone
)

// standing are a report's counters.
type standing struct {
	state, why, receipt, code                                                                 string
	received                                                                                  int64
	total, readTo, refused                                                                    int64
	fresh, joined, later, person, notOurs, noLine, unknown, portless, exempt, aside, repeated int64
}

func standingOf(tx *store.Tx, id string) (s standing, err error) {
	err = tx.Row(`select state,why,receipt,code,received_at,total,read_to,refused,fresh,joined,later,person,not_ours,no_line,unknown,portless,exempt,aside,repeated from abuse_report where id=$1`, id).
		Scan(&s.state, &s.why, &s.receipt, &s.code, &s.received, &s.total, &s.readTo, &s.refused, &s.fresh, &s.joined, &s.later, &s.person, &s.notOurs, &s.noLine, &s.unknown, &s.portless, &s.exempt, &s.aside, &s.repeated)
	return s, err
}

// next is the state that follows from the counters of a report that was read.
func (s standing) next() string {
	switch {
	case s.state == "received" || s.state == "unreadable" || s.total <= 0:
		return s.state
	case s.person > 0:
		return "person"
	case s.fresh+s.later > 0:
		return "read"
	}
	return "done"
}

// told is what the reporter learns.
func (s standing) told() Code {
	switch {
	case s.state == "received":
		return Queued
	case s.state == "unreadable":
		return NeedMore
	case s.state == "done" && s.total <= 0:
		return Code(s.code) // a person said it
	case s.state == "person" && s.total <= 0, s.fresh+s.later+s.person > 0:
		return Processing
	case s.joined > 0:
		return Actioned
	case s.aside+s.exempt > 0:
		return NoAction
	case s.portless > 0:
		return NeedMore
	case s.notOurs+s.noLine+s.unknown > 0:
		return NotResolvable
	}
	return NoAction // all of it had been told before
}

// settle brings a report's state and what its reporter sees up to its counters.
func (d *Desk) settle(tx *store.Tx, id string) error {
	s, err := standingOf(tx, id)
	if err != nil {
		return err
	}
	was := s.state
	s.state = s.next()
	code := s.told()
	var over outcomes
	if code == Actioned && s.state == "done" {
		if over, err = outcomesOf(tx, id); err != nil {
			return err
		}
		code = over.code()
	}
	if s.state != was || string(code) != s.code {
		if _, err := tx.Exec(`update abuse_report set state=$1, code=$2 where id=$3`, s.state, string(code), id); err != nil {
			return err
		}
	}
	if s.state != was || string(code) != s.code || s.state == "done" {
		st := s.status(code, tx)
		over.into(&st)
		d.tellReporter(tx, s.receipt, st)
		return d.answer(tx, id, s, code, st.Over)
	}
	return nil
}

func (s standing) status(code Code, tx *store.Tx) door.Status {
	out := door.Status{Code: string(code), At: store.Time(s.received), Changed: tx.Now(), Events: max(s.total, 0), Refused: s.refused, Repeated: s.repeated,
		Actioned: s.joined, NotOurs: s.notOurs, Waiting: s.fresh + s.later + s.person}
	if s.why != "" {
		out.Why = strings.Split(s.why, ",")
	}
	return out
}
