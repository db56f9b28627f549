package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Severity says how much harm a case does: 1 low to 4 critical.
type Severity int64

// The severities.
const (
	Low      Severity = 1
	Medium   Severity = 2
	High     Severity = 3
	Critical Severity = 4
)

func (s Severity) String() string {
	return [...]string{"", "low", "medium", "high", "critical"}[min(max(s, 1), 4)]
}

// severityOf is how bad a class is by itself: what harms others now before what
// others could use, and what harms children before all.
func severityOf(c reading.Class) Severity {
	switch c {
	case reading.Violence:
		return Critical
	case reading.Infected, reading.C2, reading.MalwareSite, reading.Phishing, reading.DDoS, reading.DoS, reading.SysCompromise, reading.AppCompromise, reading.PrivilegedAcc:
		return High
	case reading.Amplifier, reading.OpenService, reading.Disclosing, reading.WeakCrypto, reading.Vulnerable, reading.Misconfigured, reading.Other, reading.Undetermined, reading.Test:
		return Low
	}
	return Medium
}

// join puts an event into the case of its subscriber and class: the open one, one
// that ended not long ago and begins again, or a new one.
func (d *Desk) join(tx *store.Tx, o outcome, by bolwerk.Actor) error {
	c, err := d.caseFor(tx, o, by)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`update abuse_event set case_id=$1 where id=$2`, c.ID, o.id); err != nil {
		return err
	}
	fresh, err := tx.Exec(`insert into abuse_case_reporter(case_id,reporter) values($1,$2) on conflict do nothing`, c.ID, o.reporter)
	if err != nil {
		return err
	}
	if fresh > 0 && o.before != "" { // known from the month before: no second voice
		var had bool
		if err := tx.Row(`select exists(select 1 from abuse_case_reporter where case_id=$1 and reporter=$2)`, c.ID, o.before).Scan(&had); err != nil {
			return err
		}
		if had {
			fresh = 0
		}
	}
	at := o.at
	if at == 0 {
		at = o.received
	}
	solid, named := 0, 0
	if !o.spoofable {
		solid = 1
		if o.named {
			named = 1
		}
	}
	if _, err := tx.Exec(`update abuse_case set events=events+1, reporters=reporters+$1, solid=solid+$2, first_seen=case when first_seen=0 or first_seen>$3 then $3 else first_seen end, last_seen=case when last_seen<$3 then $3 else last_seen end, named=named+$5 where id=$4`,
		fresh, solid, at, c.ID, named); err != nil {
		return err
	}
	if err := d.prioritise(tx, c.ID); err != nil {
		return err
	}
	if err := d.pin(tx, c.ID, o); err != nil {
		return err
	}
	if err := d.informed(tx, c.ID, o); err != nil {
		return err
	}
	if c, err = findCase(tx, c.ID); err != nil {
		return err
	}
	if c.State.Open() {
		if err := d.begin(tx, c.ID, o.class); err != nil {
			return err
		}
	}
	took := tx.Now().Sub(store.Time(o.received))
	tx.After(func() { d.count.took.Observe(took.Seconds()) })
	return nil
}

var selectCase = `select c.` + strings.ReplaceAll(desk.CaseColumns, ",", ",c.") + ` from abuse_case a join desk_case c on c.id=a.id where `

// openOf are the open cases of a subscriber and a class; of every class where it is empty.
func (d *Desk) openOf(tx *store.Tx, who session.Identity, class reading.Class) ([]desk.Case, error) {
	marks, err := d.marks(who)
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	in, args := store.In(2, marks)
	return store.List(tx, desk.ReadCase, selectCase+`c.state='waiting' and (a.class=$1 or $1='') and a.mark in (`+in+`) order by c.id`, append([]any{string(class)}, args...)...)
}

// caseFor is the case that an event belongs to.
func (d *Desk) caseFor(tx *store.Tx, o outcome, by bolwerk.Actor) (desk.Case, error) {
	marks, err := d.marks(o.who)
	if err != nil {
		return desk.Case{}, err
	}
	var earlier []desk.Case // newest first
	if len(marks) > 0 {
		in, args := store.In(2, marks)
		earlier, err = store.List(tx, desk.ReadCase, selectCase+`a.class=$1 and a.mark in (`+in+`) order by c.opened_at desc, c.id desc limit 20`,
			append([]any{string(o.class)}, args...)...)
		if err != nil {
			return desk.Case{}, err
		}
	}
	for _, c := range earlier {
		if c.State.Open() {
			return c, nil
		}
	}
	if len(earlier) > 0 && earlier[0].Outcome != string(Duplicate) {
		c := earlier[0]
		switch {
		case o.at > 0 && !store.Time(o.at).After(c.ClosedAt):
			return c, nil // it happened before the case was closed: nothing new
		case tx.Now().Sub(c.ClosedAt) <= time.Duration(d.cfg.ReopenDays)*24*time.Hour:
			return c, d.returns(tx, c, by)
		}
	}
	return d.openCase(tx, o, by)
}

func (d *Desk) openCase(tx *store.Tx, o outcome, by bolwerk.Actor) (desk.Case, error) {
	mark, err := d.markOf(o.who)
	if err != nil {
		return desk.Case{}, err
	}
	plain, err := json.Marshal(o.who)
	if err != nil {
		return desk.Case{}, err
	}
	sealed, err := d.p.Sessions.Kept().Seal(SealedWho, plain)
	if err != nil {
		return desk.Case{}, err
	}
	c, _, err := desk.OpenCase(tx, Name, mark+" "+string(o.class))
	if err != nil {
		return c, err
	}
	if err := desk.SetCase(tx, c, c.State, desk.Waiting, ""); err != nil {
		return c, err
	}
	if _, err := tx.Exec(`insert into abuse_case(id,mark,class,who_sealed,severity,events,reporters,solid,named,first_seen,last_seen,returned,test,test_at,changed_at) values($1,$2,$3,$4,$5,0,0,0,0,0,0,0,'',0,0)`,
		c.ID, mark, string(o.class), sealed, int64(severityOf(o.class))); err != nil {
		return c, err
	}
	tx.After(func() { d.count.cases.WithLabelValues(string(o.class), "opened").Inc() })
	audit.Append(tx, by, "abuse.case.open", c.Ref, "", map[string]string{"class": string(o.class)})
	return c, d.note(tx, c.ID, "opened", by, "", "")
}

// returns opens a case again that was closed: the same line does the same again. What
// a named source told before it was closed says nothing of now.
func (d *Desk) returns(tx *store.Tx, c desk.Case, by bolwerk.Actor) error {
	if err := desk.SetCase(tx, c, c.State, desk.Waiting, ""); err != nil {
		return err
	}
	var class string
	if err := tx.Row(`update abuse_case set returned=returned+1, named=0 where id=$1 returning class`, c.ID).Scan(&class); err != nil {
		return err
	}
	tx.After(func() { d.count.cases.WithLabelValues(class, "returned").Inc() })
	audit.Append(tx, by, "abuse.case.return", c.Ref, "", map[string]string{"was": c.Outcome})
	if err := d.caseChanged(tx, c.ID); err != nil {
		return err
	}
	return d.note(tx, c.ID, "returned", by, c.Outcome, "")
}

// prioritise sets how early a case is looked at: by harm, then by what cannot be
// forged, then by whether it came back.
func (d *Desk) prioritise(tx *store.Tx, id string) error {
	var severity, solid, reporters, returned int64
	if err := tx.Row(`select severity,solid,reporters,returned from abuse_case where id=$1`, id).Scan(&severity, &solid, &reporters, &returned); err != nil {
		return err
	}
	priority := severity*1000 + min(reporters, 9)*10 + min(returned, 9)
	if solid > 0 {
		priority += 500
	}
	return desk.Prioritise(tx, id, priority, Severity(severity).String())
}

// pin keeps who had the address for as long as the case that rests on it; each
// session once.
func (d *Desk) pin(tx *store.Tx, caseID string, o outcome) error {
	fresh := false
	for _, c := range o.answer.Candidates {
		for _, h := range c.Held {
			mark, err := d.p.Sessions.Kept().Mark(markSession, string(h.Source)+"\x00"+h.NAS+"\x00"+h.Session+"\x00"+h.Prefix.String()+"\x00"+h.Start.UTC().Format(time.RFC3339))
			if err != nil {
				return err
			}
			n, err := tx.Exec(`insert into abuse_case_session(case_id,session) values($1,$2) on conflict do nothing`, caseID, mark)
			if err != nil {
				return err
			}
			fresh = fresh || n > 0
		}
	}
	if !fresh {
		return nil
	}
	return d.p.Who.Pin(tx, caseID, o.answer)
}

// told are the entries of a history that are facts too.
var told = map[string]string{"opened": fact.CaseOpened, "returned": fact.CaseReturned, "reopened": fact.CaseReopened, "closed": fact.CaseClosed}

// note writes what happened to a case, or what somebody said.
func (d *Desk) note(tx *store.Tx, caseID, kind string, by bolwerk.Actor, code, text string) error {
	if subject := told[kind]; subject != "" {
		f := fact.Case{}
		if err := tx.Row(`select c.ref,a.class from abuse_case a join desk_case c on c.id=a.id where a.id=$1`, caseID).Scan(&f.Ref, &f.Class); err != nil {
			return err
		}
		if subject == fact.CaseClosed {
			f.Outcome = code
		}
		d.p.Facts.Append(tx, by, subject, caseID, f)
	}
	sealed, err := d.p.Sessions.Kept().Seal(SealedNote, []byte(text))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`insert into abuse_note(id,case_id,kind,actor,code,text_sealed,at) values($1,$2,$3,$4,$5,$6,$7)`,
		bolwerk.NewID(tx.Now()), caseID, kind, by.String(), code, sealed, tx.NowMicros())
	return err
}

// exempt is until when events of a class are left alone for a subscriber; zero where they
// are not.
func (d *Desk) exempt(tx *store.Tx, who session.Identity, class reading.Class) (time.Time, error) {
	marks, err := d.marks(who)
	if err != nil || len(marks) == 0 {
		return time.Time{}, err
	}
	in, args := store.In(3, marks)
	var until int64
	err = tx.Row(`select coalesce(max(until),0) from abuse_exemption where until>$1 and (class='' or class=$2) and mark in (`+in+`)`, append([]any{tx.NowMicros(), string(class)}, args...)...).Scan(&until)
	return store.Time(until), err
}

// Reason is why a case is closed.
type Reason string

// The reasons.
const (
	Cleaned       Reason = "cleaned"
	NotOursReason Reason = "not_ours"
	NotResolvedBy Reason = "not_resolvable"
	NoActionTaken Reason = "no_action"
	Duplicate     Reason = "duplicate"
)

// Reasons are all of them, in the order of a form.
func Reasons() []Reason {
	return []Reason{Cleaned, NoActionTaken, NotOursReason, NotResolvedBy, Duplicate}
}

const (
	maxText = 4000 // octets of what somebody writes into a case
	maxDays = 365  // of an exemption
)

// Close ends a case.
func (d *Desk) Close(ctx context.Context, who account.Person, id string, reason Reason, text string) error {
	text = strings.TrimSpace(text)
	switch {
	case !slices.Contains(Reasons(), reason):
		return bolwerk.Invalid("choose why the case is closed: cleaned, no_action, not_ours, not_resolvable or duplicate")
	case text == "":
		return bolwerk.Invalid("a decision needs a reason in words")
	case len(text) > maxText:
		return bolwerk.Invalid("text of %d octets: at most %d are kept", len(text), maxText)
	}
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		if !c.State.Open() {
			return bolwerk.Conflict("case %s is closed already", c.Ref)
		}
		return d.end(tx, c, reason, quarantine.ByCase, who.Actor(), text)
	})
}

// end closes an open case: its rules and its quarantine end with it.
func (d *Desk) end(tx *store.Tx, c desk.Case, reason Reason, how quarantine.Mechanism, by bolwerk.Actor, text string) error {
	if err := desk.SetCase(tx, c, c.State, desk.Closed, string(reason)); err != nil {
		return err
	}
	var class string
	if err := tx.Row(`select class from abuse_case where id=$1`, c.ID).Scan(&class); err != nil {
		return err
	}
	tx.After(func() { d.count.cases.WithLabelValues(class, "closed").Inc() })
	audit.Append(tx, by, "abuse.case.close", c.Ref, string(reason), nil)
	if err := d.caseChanged(tx, c.ID); err != nil {
		return err
	}
	if err := d.caseEnded(tx, c.ID, how, by); err != nil {
		return err
	}
	return d.note(tx, c.ID, "closed", by, string(reason), text)
}

// Reopen begins a closed case again.
func (d *Desk) Reopen(ctx context.Context, who account.Person, id, text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxText {
		return bolwerk.Invalid("a decision needs a reason in words, of at most %d octets", maxText)
	}
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		if c.State.Open() {
			return bolwerk.Conflict("case %s is open", c.Ref)
		}
		subscriber, class, err := d.whoseCase(tx, c.ID)
		if err != nil {
			return err
		}
		others, err := d.openOf(tx, subscriber, class)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return bolwerk.WithHint(bolwerk.Conflict("case %s about the same line and class is open", others[0].Ref), "go on there")
		}
		if err := desk.SetCase(tx, c, c.State, desk.Waiting, ""); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.case.reopen", c.Ref, "", nil)
		if err := d.caseChanged(tx, c.ID); err != nil {
			return err
		}
		return d.note(tx, c.ID, "reopened", who.Actor(), c.Outcome, text)
	})
}

// Note keeps what a person of the desk, or the customer, said about a case.
func (d *Desk) Note(ctx context.Context, who account.Person, id string, statement bool, text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxText {
		return bolwerk.Invalid("write something, of at most %d octets", maxText)
	}
	kind := "note"
	if statement {
		kind = "statement"
	}
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		audit.Append(tx, who.Actor(), "abuse.case."+kind, c.Ref, "", nil)
		if err := d.quarantines.Answered(tx, c.ID); err != nil { // who writes it down has answered the guest
			return err
		}
		return d.note(tx, c.ID, kind, who.Actor(), "", text)
	})
}

// Except leaves a subscriber alone for some days: for the class of the case, or for
// every class. The open cases that it covers are closed, and their quarantines end.
func (d *Desk) Except(ctx context.Context, who account.Person, id string, every bool, days int, text string) error {
	text = strings.TrimSpace(text)
	switch {
	case days < 1 || days > maxDays:
		return bolwerk.Invalid("an exemption of %d days: want 1 to %d", days, maxDays)
	case text == "" || len(text) > 500:
		return bolwerk.Invalid("a decision needs a reason in words, of at most 500 octets")
	}
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		subscriber, scope, err := d.whoseCase(tx, c.ID)
		if err != nil {
			return err
		}
		if every {
			scope = ""
		}
		mark, err := d.markOf(subscriber)
		if err != nil {
			return err
		}
		until := tx.Now().AddDate(0, 0, days)
		if _, err := tx.Exec(`insert into abuse_exemption(id,case_id,mark,class,reason,actor,at,until) values($1,$2,$3,$4,$5,$6,$7,$8)`,
			bolwerk.NewID(tx.Now()), c.ID, mark, string(scope), text, who.Actor().String(), tx.NowMicros(), store.Micros(until)); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.case.exempt", c.Ref, "", map[string]string{"class": string(scope), "until": until.UTC().Format(time.RFC3339)})
		if err := d.note(tx, c.ID, "exempted", who.Actor(), until.UTC().Format(time.DateOnly), text); err != nil {
			return err
		}
		covered, err := d.openOf(tx, subscriber, scope)
		if err != nil {
			return err
		}
		for _, o := range covered {
			if err := d.end(tx, o, NoActionTaken, quarantine.ByMistake, who.Actor(), text); err != nil {
				return err
			}
		}
		return nil
	})
}

// EndExemption ends one before its time.
func (d *Desk) EndExemption(ctx context.Context, who account.Person, id, exemption string) error {
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		n, err := tx.Exec(`update abuse_exemption set until=$1 where id=$2 and case_id=$3 and until>$1`, tx.NowMicros(), exemption, c.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.Conflict("the exemption has ended already")
		}
		audit.Append(tx, who.Actor(), "abuse.case.exempt.end", c.Ref, "", nil)
		return nil
	})
}

// decide runs a decision of a person about a case.
func (d *Desk) decide(ctx context.Context, who account.Person, id string, fn func(*store.Tx, desk.Case) error) error {
	if !who.May(account.Decide) {
		return bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", who.Role), "ask an analyst or a duty officer")
	}
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		c, err := findCase(tx, id)
		if err != nil {
			return err
		}
		return fn(tx, c)
	})
}

// findCase is a case of this desk, by id or number.
func findCase(tx *store.Tx, id string) (desk.Case, error) {
	c, err := desk.FindCase(tx, id)
	if err == nil && c.Capability != Name || errors.Is(err, bolwerk.ErrNotFound) {
		return c, bolwerk.WithHint(bolwerk.NotFound("no case of abuse %.60q", id), "bolwerk abuse case list shows them")
	}
	return c, err
}
