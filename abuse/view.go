package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// CaseRow is a case in a list. It names nobody.
type CaseRow struct {
	ID        string         `json:"id"`
	Ref       string         `json:"ref"`
	State     desk.CaseState `json:"state" enum:"waiting,closed"`
	Outcome   string         `json:"outcome,omitempty" doc:"why it was closed"`
	Class     reading.Class  `json:"class" doc:"class of the RSIT taxonomy, as taxonomy/type"`
	Severity  string         `json:"severity" enum:"low,medium,high,critical"`
	Events    int64          `json:"events"`
	Reporters int64          `json:"reporters" doc:"different ones; who was silent for a month counts anew"`
	Solid     int64          `json:"solid" doc:"events that no forged sender's address explains"`
	Named     int64          `json:"named" doc:"those of them that a named source told since the case last began: what rules count"`
	FirstSeen time.Time      `json:"first_seen"`
	LastSeen  time.Time      `json:"last_seen"`
	Returned  int64          `json:"returned" doc:"how often it began again after it was closed"`
	OpenedAt  time.Time      `json:"opened_at"`
	ClosedAt  time.Time      `json:"closed_at,omitzero"`
	Priority  int64          `json:"-"`
}

const caseColumns = `c.id,c.ref,c.state,c.outcome,a.class,a.severity,a.events,a.reporters,a.solid,a.named,a.first_seen,a.last_seen,a.returned,c.opened_at,c.closed_at,c.priority`

const caseTables = ` from desk_case c join abuse_case a on a.id=c.id`

func readCaseRow(scan func(...any) error) (c CaseRow, err error) {
	var severity, first, last, opened, closed int64
	err = scan(&c.ID, &c.Ref, (*string)(&c.State), &c.Outcome, (*string)(&c.Class), &severity, &c.Events, &c.Reporters, &c.Solid, &c.Named, &first, &last, &c.Returned, &opened, &closed, &c.Priority)
	c.Severity = Severity(severity).String()
	c.FirstSeen, c.LastSeen, c.OpenedAt, c.ClosedAt = store.Time(first), store.Time(last), store.Time(opened), store.Time(closed)
	return c, err
}

// CaseFilter says which cases a list shows.
type CaseFilter struct {
	State      string // open, person: those of them that no rules go on with, or closed; all where empty
	Class      string // a class, or the first part of it
	Severity   string
	Subscriber string // exactly as accounting names it; see session.Named. Give it only where the look is noted
	After      string // id of the last case of the page before
	Limit      int    // 1 to 500; 50 where 0
}

func (d *Desk) where(f CaseFilter) (w desk.Where, err error) {
	w.And("c.capability=?", Name)
	switch f.State {
	case "open":
		w.And("c.state=?", string(desk.Waiting))
	case "person": // open, and no rules go on with it
		w.And("c.state=? and not exists(select 1 from abuse_play p where p.case_id=c.id and p.state='running')", string(desk.Waiting))
	case "closed":
		w.And("c.state=?", string(desk.Closed))
	case "":
	default:
		return w, bolwerk.Invalid("state %.20q: want open, person or closed", f.State)
	}
	if f.Class != "" {
		w.And("(a.class=? or a.class like ? escape '\\')", f.Class, desk.EscapeLike(f.Class)+"/%")
	}
	if f.Severity != "" {
		n := slices.Index([]string{"low", "medium", "high", "critical"}, f.Severity)
		if n < 0 {
			return w, bolwerk.Invalid("severity %.20q: want low, medium, high or critical", f.Severity)
		}
		w.And("a.severity=?", int64(n+1))
	}
	if f.Subscriber != "" {
		marks, err := d.marksNamed(f.Subscriber)
		if err != nil {
			return w, err
		}
		marks = append(marks, "") // nobody's: an empty list is no SQL
		args := make([]any, len(marks))
		for i, m := range marks {
			args[i] = m
		}
		w.And("a.mark in (?"+strings.Repeat(",?", len(marks)-1)+")", args...)
	}
	return w, nil
}

// Cases lists cases, the most urgent first.
func (d *Desk) Cases(ctx context.Context, f CaseFilter) (out []CaseRow, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		w, err := d.where(f)
		if err != nil {
			return err
		}
		if f.After != "" {
			c, err := findCase(tx, f.After)
			if err != nil {
				return err
			}
			w.And("(c.priority,c.opened_at,c.id)<(?,?,?)", c.Priority, store.Micros(c.OpenedAt), c.ID)
		}
		q, args := w.Select(caseColumns+caseTables, "c.priority desc, c.opened_at desc, c.id desc", pageSize(f.Limit))
		out, err = store.List(tx, readCaseRow, q, args...)
		return err
	})
	return out, err
}

// CasesByAge lists cases newest first, for programs that follow every page.
func (d *Desk) CasesByAge(ctx context.Context, f CaseFilter) (out []CaseRow, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		w, err := d.where(f)
		if err != nil {
			return err
		}
		if f.After != "" {
			w.And("c.id<?", f.After)
		}
		q, args := w.Select(caseColumns+caseTables, "c.id desc", pageSize(f.Limit))
		out, err = store.List(tx, readCaseRow, q, args...)
		return err
	})
	return out, err
}

// Row gives the row of a case by id or number.
func (d *Desk) Row(ctx context.Context, id string) (c CaseRow, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		found, err := findCase(tx, id)
		if err != nil {
			return err
		}
		c, err = readCaseRow(tx.Row(`select `+caseColumns+caseTables+` where c.id=$1`, found.ID).Scan)
		return err
	})
	return c, err
}

// CountCases counts what f lists on all its pages.
func (d *Desk) CountCases(ctx context.Context, f CaseFilter) (n desk.Counted, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		w, err := d.where(f)
		if err != nil {
			return err
		}
		n, err = desk.Count(tx, `desk_case c join abuse_case a on a.id=c.id`, w)
		return err
	})
	return n, err
}

func pageSize(n int) int {
	if n <= 0 {
		return 50
	}
	return min(n, 500)
}

// EventRow is an event as the pages and programs see it.
type EventRow struct {
	ID        string              `json:"id"`
	Report    string              `json:"report" doc:"number of the report"`
	Channel   string              `json:"channel"`
	State     State               `json:"state"`
	Why       string              `json:"why,omitempty"`
	Found     int64               `json:"candidates"`
	Again     int64               `json:"again,omitempty" doc:"how often its reporter told exactly the same again"`
	Class     reading.Class       `json:"class"`
	Role      reading.Role        `json:"role"`
	Basis     reading.Basis       `json:"basis"`
	Spoofable bool                `json:"spoofable"`
	At        time.Time           `json:"time,omitzero"`
	TimeKind  string              `json:"time_kind,omitempty"`
	Case      string              `json:"case,omitempty"`
	Event     *reading.Event      `json:"event,omitempty" doc:"as it was read; gone a month after the report"`
	Who       []session.Candidate `json:"-"`
}

const eventColumns = `e.id,r.ref,r.channel,e.state,e.why,e.found,e.again,e.class,e.role,e.basis,e.spoofable,e.at,e.time_kind,coalesce(c.ref,''),e.detail_sealed`

const eventTables = ` from abuse_event e join abuse_report r on r.id=e.report left join desk_case c on c.id=e.case_id`

func (d *Desk) readEvent(scan func(...any) error) (e EventRow, err error) {
	var at int64
	var sealed []byte
	if err := scan(&e.ID, &e.Report, &e.Channel, (*string)(&e.State), &e.Why, &e.Found, &e.Again, (*string)(&e.Class), (*string)(&e.Role), (*string)(&e.Basis), &e.Spoofable, &at, &e.TimeKind, &e.Case, &sealed); err != nil {
		return e, err
	}
	e.At = store.Time(at)
	if len(sealed) == 0 {
		return e, nil
	}
	plain, err := d.p.Vault.Open(SealedEvent, sealed)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	e.Event = new(reading.Event)
	return e, json.Unmarshal(plain, e.Event)
}

// NoteRow is a line of a case's history.
type NoteRow struct {
	Kind  string        `json:"kind"`
	Actor bolwerk.Actor `json:"actor"`
	Code  string        `json:"code,omitempty"`
	Text  string        `json:"text,omitempty"`
	At    time.Time     `json:"at"`
}

// Exemption leaves a subscriber alone until a day.
type Exemption struct {
	ID     string        `json:"id"`
	Class  string        `json:"class,omitempty" doc:"of which class; absent is all"`
	Reason string        `json:"reason"`
	Actor  bolwerk.Actor `json:"actor"`
	Until  time.Time     `json:"until"`
}

// CaseView is a case with all that is known of it.
type CaseView struct {
	CaseRow
	Who         session.Identity `json:"who"`
	Answers     []session.Answer `json:"answers" doc:"who had the addresses, as far as the case rests on it"`
	Evidence    []EventRow       `json:"evidence" doc:"the last events, newest first"`
	History     []NoteRow        `json:"history"`
	Exemptions  []Exemption      `json:"exemptions,omitempty"`
	Quarantines []quarantine.Row `json:"quarantines,omitempty" doc:"newest first"`
	Play        *Play            `json:"playbook,omitempty" doc:"what the rules do next"`
	Test        garden.Tested    `json:"test" doc:"whether the line still shows it, where that can be tested"`
	Hold        *desk.Hold       `json:"hold,omitempty" doc:"a law or an order keeps the case from being erased"`
	Others      []CaseRow        `json:"others,omitempty" doc:"further cases of the subscriber, newest first"`
}

// Held says that the line is in quarantine for the case, or on its way there or back.
func (v CaseView) Held() bool {
	return slices.ContainsFunc(v.Quarantines, func(q quarantine.Row) bool { return !q.State.Over() })
}

// Sure is the least sure of the answers that the case rests on.
func (v CaseView) Sure() session.Level {
	order := []session.Level{session.Possible, session.Likely, session.Certain}
	least := session.Level("")
	for _, a := range v.Answers {
		for _, c := range a.Candidates {
			if least == "" || slices.Index(order, c.Level) < slices.Index(order, least) {
				least = c.Level
			}
		}
	}
	return least
}

const maxShown = 50 // events, notes, other cases on a page

// Case gives a case by id or number. by looks at who it is about: that is noted
// first, with the case.
func (d *Desk) Case(ctx context.Context, by bolwerk.Actor, id string) (v CaseView, err error) {
	var sealed []byte
	var mark string
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		c, err := findCase(tx, id)
		if err != nil {
			return err
		}
		if v.CaseRow, err = readCaseRow(tx.Row(`select `+caseColumns+caseTables+` where c.id=$1`, c.ID).Scan); err != nil {
			return err
		}
		if err := tx.Row(`select who_sealed,mark from abuse_case where id=$1`, c.ID).Scan(&sealed, &mark); err != nil {
			return err
		}
		if v.Quarantines, err = quarantine.Of(tx, c.ID); err != nil {
			return err
		}
		if v.Play, err = d.playOf(tx, c.ID); err != nil {
			return err
		}
		if v.Test, err = d.Tested(tx, c.ID); err != nil {
			return err
		}
		if v.Hold, err = d.holdOf(tx, c.ID); err != nil {
			return err
		}
		v.Evidence, err = store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.case_id=$1 order by e.at desc, e.id desc limit $2`, c.ID, maxShown)
		if err != nil {
			return err
		}
		v.History, err = store.List(tx, d.readNote, `select kind,actor,code,text_sealed,at from abuse_note where case_id=$1 order by id desc limit $2`, c.ID, maxShown)
		return err
	})
	if err != nil {
		return v, err
	}
	plain, err := d.p.Sessions.Kept().Open(SealedWho, sealed)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(plain, &v.Who); err != nil {
		return v, err
	}
	if err := d.p.Who.Noted(ctx, by, "case "+v.Ref, v.ID, v.Who); err != nil {
		return CaseView{}, err
	}
	if v.Answers, err = d.p.Who.Pinned(ctx, v.ID); err != nil {
		return v, err
	}
	marks, err := d.marks(v.Who)
	if err != nil {
		return v, err
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		in, args := store.In(2, append(marks, mark))
		if v.Others, err = store.List(tx, readCaseRow, `select `+caseColumns+caseTables+` where c.id<>$1 and a.mark in (`+in+`) order by c.id desc limit 20`, append([]any{v.ID}, args...)...); err != nil {
			return err
		}
		v.Exemptions, err = store.List(tx, func(scan func(...any) error) (x Exemption, err error) {
			var actor string
			var until int64
			if err := scan(&x.ID, &x.Class, &x.Reason, &actor, &until); err != nil {
				return x, err
			}
			x.Until = store.Time(until)
			x.Actor, err = bolwerk.ParseActor(actor)
			return x, err
		}, `select id,class,reason,actor,until from abuse_exemption where mark in (`+in+`) and until>$1 order by until limit 20`, append([]any{tx.NowMicros()}, args...)...)
		return err
	})
	return v, err
}

func (d *Desk) readNote(scan func(...any) error) (n NoteRow, err error) {
	var actor string
	var sealed []byte
	var at int64
	if err := scan(&n.Kind, &actor, &n.Code, &sealed, &at); err != nil {
		return n, err
	}
	n.At = store.Time(at)
	plain, err := d.p.Sessions.Kept().Open(SealedNote, sealed)
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		return n, err
	}
	n.Text = string(plain)
	n.Actor, err = bolwerk.ParseActor(actor)
	return n, err
}

// ReportRow is a report in a list.
type ReportRow struct {
	ID         string    `json:"id"`
	Ref        string    `json:"ref"`
	Channel    string    `json:"channel" enum:"mail,web,api,file"`
	ReceivedAt time.Time `json:"received_at"`
	State      string    `json:"state" enum:"received,read,person,unreadable,done"`
	Format     string    `json:"format,omitempty"`
	Plain      bool      `json:"plain,omitempty" doc:"in no format: a person reads it"`
	From       string    `json:"from,omitempty" doc:"who reported, as the report says; gone after a month"`
	Why        string    `json:"why,omitempty" doc:"codes of what could not be read"`
	Code       string    `json:"code" doc:"what the reporter is told"`
	Total      int64     `json:"events"`
	Refused    int64     `json:"refused"`
	Joined     int64     `json:"joined"`
	Later      int64     `json:"later"`
	Person     int64     `json:"person"`
	NotOurs    int64     `json:"not_ours"`
	NoLine     int64     `json:"no_line"`
	Unknown    int64     `json:"unknown"`
	Exempt     int64     `json:"exempt"`
	Aside      int64     `json:"aside"`
	Repeated   int64     `json:"repeated"`
	Reply      string    `json:"reply,omitempty" doc:"yes: the outcome is mailed to who reported; else why not"`
	AnsweredAt time.Time `json:"answered_at,omitzero" doc:"when that mail was written"`
}

const reportColumns = `id,ref,channel,received_at,state,format,plain,from_sealed,why,code,total,refused,joined,later,person,not_ours,no_line,unknown,exempt,aside,repeated,reply,answered_at`

func (d *Desk) readReport(scan func(...any) error) (r ReportRow, err error) {
	var at, answered int64
	var sealed []byte
	if err := scan(&r.ID, &r.Ref, &r.Channel, &at, &r.State, &r.Format, &r.Plain, &sealed, &r.Why, &r.Code, &r.Total, &r.Refused, &r.Joined, &r.Later, &r.Person, &r.NotOurs, &r.NoLine, &r.Unknown, &r.Exempt, &r.Aside, &r.Repeated, &r.Reply, &answered); err != nil {
		return r, err
	}
	r.ReceivedAt, r.Total = store.Time(at), max(r.Total, 0)
	if answered > 0 {
		r.AnsweredAt = store.Time(answered)
	}
	if len(sealed) > 0 {
		plain, err := d.p.Vault.Open(SealedFrom, sealed)
		if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
			return r, err
		}
		r.From = string(plain)
	}
	return r, nil
}

// ReportFilter says which reports a list shows.
type ReportFilter struct {
	State string // person: that wait for one, unreadable ones too; else a state, all where empty
	After string
	Limit int
}

func (f ReportFilter) where() (w desk.Where, err error) {
	switch f.State {
	case "person":
		w.And("state in ('person','unreadable')")
	case "received", "read", "done":
		w.And("state=?", f.State)
	case "":
		w.And("id>?", "")
	default:
		return w, bolwerk.Invalid("state %.20q: want person, received, read or done", f.State)
	}
	return w, nil
}

// Reports lists reports, the newest first.
func (d *Desk) Reports(ctx context.Context, f ReportFilter) (out []ReportRow, n desk.Counted, err error) {
	w, err := f.where()
	if err != nil {
		return nil, n, err
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		if n, err = desk.Count(tx, "abuse_report", w); err != nil {
			return err
		}
		if f.After != "" {
			w.And("id<?", f.After)
		}
		q, args := w.Select(reportColumns+" from abuse_report", "id desc", pageSize(f.Limit))
		out, err = store.List(tx, d.readReport, q, args...)
		return err
	})
	return out, n, err
}

// ReportView is a report with its events.
type ReportView struct {
	ReportRow
	Evidence []EventRow `json:"evidence" doc:"what waits for a person first"`
	More     bool       `json:"more,omitempty" doc:"there are further events"`
	Text     string     `json:"text,omitempty" doc:"the beginning of the report as it came; gone after a month"`
}

const maxExcerpt = 20_000 // octets of a report that a page shows

// Report gives a report by id or number. Candidates of what waits are asked for in
// the name of by, and noted.
func (d *Desk) Report(ctx context.Context, by bolwerk.Actor, id string) (v ReportView, err error) {
	var ref string
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`select body_ref,id from abuse_report where id=$1 or ref=$1`, id).Scan(&ref, &v.ID)
		if store.None(err) {
			return bolwerk.NotFound("no report of abuse %.60q", id)
		}
		if err != nil {
			return err
		}
		if v.ReportRow, err = d.readReport(tx.Row(`select `+reportColumns+` from abuse_report where id=$1`, v.ID).Scan); err != nil {
			return err
		}
		v.Evidence, err = store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.report=$1 and e.state='person' order by e.nth limit $2`, v.ID, maxShown)
		if err != nil {
			return err
		}
		rest, err := store.List(tx, d.readEvent, `select `+eventColumns+eventTables+` where e.report=$1 and e.state<>'person' order by e.nth limit $2`, v.ID, maxShown+1)
		if len(rest) > maxShown {
			rest, v.More = rest[:maxShown], true
		}
		v.Evidence = append(v.Evidence, rest...)
		return err
	})
	if err != nil {
		return v, err
	}
	in, err := d.body(ctx, ref)
	switch {
	case errors.Is(err, errGone):
	case err != nil:
		return v, err
	case in.Form == door.Filled:
		var f door.Fields
		if json.Unmarshal(in.Body, &f) == nil {
			v.Text = f.Text
		}
	default:
		v.Text = strings.ToValidUTF8(string(in.Body[:min(len(in.Body), maxExcerpt)]), "\uFFFD")
	}
	for i := range v.Evidence {
		e := &v.Evidence[i]
		if e.State != ForOne || e.Event == nil || !e.Event.SourceIP.IsValid() || e.Event.Time.IsZero() {
			continue
		}
		a, err := d.p.Who.Ask(ctx, who.Look{Question: asked(*e.Event), By: by, Reason: "report " + v.Ref})
		if err != nil {
			return v, err
		}
		e.Who = a.Candidates
		e.Found = int64(len(a.Candidates))
	}
	return v, nil
}
