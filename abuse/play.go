package abuse

import (
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// books are the playbooks that are in force.
func (c Config) books() []playbook.Book {
	if len(c.Playbooks) > 0 {
		return c.Playbooks
	}
	return playbook.Defaults()
}

// Play is how far a case is in its playbook.
type Play struct {
	Book  string        `json:"book"`
	State string        `json:"state" enum:"running,stopped,ended"`
	Step  int           `json:"step" doc:"the one that is next, from 1; one more than there are: none"`
	Steps int           `json:"steps"`
	Do    playbook.Do   `json:"do,omitempty" doc:"what the next step does"`
	Due   time.Time     `json:"due,omitzero"`
	By    bolwerk.Actor `json:"by" doc:"who stopped it last; the rules where nobody did"`
}

type playRow struct {
	book, state, actor string
	step               int
	due, turn          int64
}

func playOf(tx *store.Tx, caseID string) (p playRow, err error) {
	err = tx.Row(`select book,state,actor,step,due_at,turn from abuse_play where case_id=$1`, caseID).Scan(&p.book, &p.state, &p.actor, &p.step, &p.due, &p.turn)
	return p, err
}

// playOf gives how far a case is in its playbook; nil where it follows none.
func (d *Desk) playOf(tx *store.Tx, caseID string) (*Play, error) {
	p, err := playOf(tx, caseID)
	if store.None(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &Play{Book: p.book, State: p.state, Step: p.step + 1}
	if out.By, err = bolwerk.ParseActor(p.actor); err != nil {
		return nil, err
	}
	if b, ok := playbook.Named(d.cfg.books(), p.book); ok {
		out.Steps = len(b.Steps)
		if p.step < len(b.Steps) && p.state != "ended" {
			out.Do = b.Steps[p.step].Do
		}
	}
	if p.due > 0 {
		out.Due = store.Time(p.due)
	}
	return out, nil
}

// begin has a case follow its playbook once enough was seen, and again where the case
// came back after the book had ended.
func (d *Desk) begin(tx *store.Tx, caseID string, class reading.Class) error {
	b, ok := playbook.For(d.cfg.books(), class)
	if !ok {
		return nil
	}
	var f playbook.Facts
	if err := tx.Row(`select events,named,reporters,returned from abuse_case where id=$1`, caseID).Scan(&f.Events, &f.Solid, &f.Reporters, &f.Returned); err != nil {
		return err
	}
	if !b.When.Met(f) {
		return nil
	}
	p := playbook.Begin(b, tx.Now())
	n, err := tx.Exec(`insert into abuse_play(case_id,book,state,step,due_at,turn,actor,at) values($1,$2,'running',$3,$4,$5,$6,$7)
		on conflict(case_id) do update set book=excluded.book,state='running',step=excluded.step,due_at=excluded.due_at,turn=excluded.turn,actor=excluded.actor,at=excluded.at where abuse_play.state='ended' and abuse_play.turn<excluded.turn`,
		caseID, b.Name, p.Step, store.Micros(p.Due), f.Returned, bolwerk.Rule("abuse").String(), tx.NowMicros())
	if err == nil && n > 0 {
		tx.After(func() { ring(d.plays) })
	}
	return err
}

const (
	somePlays = 20          // cases of which one transaction does what is due
	playLater = time.Minute // after a step that failed
)

// playAll does what is due, until ctx ends.
func (d *Desk) playAll(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		n, err := d.playSome(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("playbooks of the abuse desk wait", "alarm", true, "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.plays:
		case <-tick.C:
		}
	}
}

// playSome does what is due in some cases. A clock that jumped does nothing: a person
// may, and what is in force ends by itself.
func (d *Desk) playSome(ctx context.Context) (n int, err error) {
	if d.clock.Suspect() {
		return 0, nil
	}
	var ids []string
	if err := d.db.Read(ctx, func(tx *store.Tx) error {
		ids, err = store.List(tx, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, `select case_id from abuse_play where due_at>0 and due_at<=$1 order by due_at limit $2`, store.Micros(d.clock.Now()), somePlays)
		return err
	}); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return d.playOne(tx, id) }); err != nil {
			d.log.Error("a step of a playbook failed; tried again in a while", "alarm", true, "case", id, "err", err)
			if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
				_, err := tx.Exec(`update abuse_play set due_at=$1 where case_id=$2 and due_at>0`, store.Micros(tx.Now().Add(playLater)), id)
				return err
			}); err != nil {
				return 0, err
			}
		}
	}
	return len(ids), nil
}

// playOne does what is due in one case.
func (d *Desk) playOne(tx *store.Tx, caseID string) error {
	p, err := playOf(tx, caseID)
	if store.None(err) || err == nil && (p.state != "running" || p.due == 0 || p.due > tx.NowMicros()) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := findCase(tx, caseID)
	if err != nil {
		return err
	}
	b, ok := playbook.Named(d.cfg.books(), p.book)
	if !ok || !c.State.Open() { // the book is gone from the configuration, or the case is over
		_, err := tx.Exec(`update abuse_play set state='ended', due_at=0 where case_id=$1`, caseID)
		return err
	}
	if until, err := d.caseExempt(tx, caseID); err != nil || !until.IsZero() { // a person opened it all the same: rules wait
		if err == nil {
			_, err = tx.Exec(`update abuse_play set due_at=$1 where case_id=$2`, min(store.Micros(until), store.Micros(tx.Now().Add(exemptLook))), caseID)
		}
		return err
	}
	f, err := d.playFacts(tx, caseID)
	if err != nil {
		return err
	}
	a := playbook.Next(b, playbook.Place{Step: p.step, Due: store.Time(p.due)}, f, tx.Now())
	if err := d.proceed(tx, caseID, a.Place, a.End); err != nil {
		return err
	}
	if a.Left {
		return d.note(tx, caseID, "step", bolwerk.Rule("abuse"), "left:"+string(a.Step.Do), "")
	}
	return d.act(tx, c, b, a)
}

// exemptLook is how often a playbook looks whether its line is exempted still: a person may
// end an exemption before its time.
const exemptLook = time.Hour

// caseExempt is until when the line of a case is left alone; zero where it is not.
func (d *Desk) caseExempt(tx *store.Tx, caseID string) (time.Time, error) {
	who, class, err := d.whoseCase(tx, caseID)
	if err != nil {
		return time.Time{}, err
	}
	return d.exempt(tx, who, class)
}

func (d *Desk) proceed(tx *store.Tx, caseID string, p playbook.Place, end bool) error {
	state, due := "running", store.Micros(p.Due)
	if end {
		state, due = "ended", 0
	}
	_, err := tx.Exec(`update abuse_play set state=$1, step=$2, due_at=$3 where case_id=$4`, state, p.Step, due, caseID)
	return err
}

func (d *Desk) playFacts(tx *store.Tx, caseID string) (f playbook.Facts, err error) {
	var last, told int64
	if err := tx.Row(`select events,named,reporters,returned,(select coalesce(max(e.at),0) from abuse_event e join abuse_report r on r.id=e.report where e.case_id=c.id and r.named) from abuse_case c where id=$1`, caseID).Scan(&f.Events, &f.Solid, &f.Reporters, &f.Returned, &last); err != nil {
		return f, err
	}
	if err := tx.Row(`select coalesce((select max(at) from abuse_note where case_id=$1 and kind='informed'),(select max(at) from abuse_note where case_id=$1 and kind in ('opened','returned','reopened')),0)`, caseID).Scan(&told); err != nil {
		return f, err
	}
	f.Again = last > told
	all, err := quarantine.Of(tx, caseID)
	if err != nil {
		return f, err
	}
	f.Held = slices.ContainsFunc(all, func(q quarantine.Row) bool { return !q.State.Over() })
	gone, err := d.Absent(tx, caseID)
	f.Clean = gone.Counted()
	if err != nil {
		return f, err
	}
	t, err := d.Tested(tx, caseID)
	switch {
	case len(t.Tests) == 0:
	case t.Test == garden.TestAsked:
		f.Test = playbook.TestAsked
	case t.Test == "" || tx.Now().Sub(t.TestAt) >= testHolds:
		f.Test = playbook.TestDue
	case t.Test == garden.TestOpen:
		f.Test = playbook.TestOpen
	}
	return f, err
}

// testHolds is how long what a test found stands, to rules.
const testHolds = 24 * time.Hour

// act does a step.
func (d *Desk) act(tx *store.Tx, c desk.Case, b playbook.Book, a playbook.Act) error {
	by := bolwerk.Rule("abuse")
	switch a.Do {
	case playbook.Inform:
		if told, err := d.toldOfQuarantine(tx, c.ID); err != nil || told {
			if err == nil {
				err = d.note(tx, c.ID, "step", by, "left:"+string(a.Do), "")
			}
			return err
		}
		kind := inform.Warned
		for _, s := range b.Steps[:a.N] {
			if s.Do == playbook.Inform {
				kind = inform.Reminded
			}
		}
		return d.tell(tx, inform.Letter{Case: c.ID, Kind: kind, Channels: a.Step.Channels, By: by})
	case playbook.Quarantine:
		about, err := d.about(tx, c.ID)
		if err != nil {
			return err
		}
		q, _, err := d.quarantines.Ask(tx, nil, about, quarantine.Wish{Profile: a.Step.Profile, Days: a.Step.Days, Why: quarantine.Why{Threat: b.Threat, Necessity: b.Necessity, Proportion: b.Proportion}})
		if err == nil && len(q.Waits) > 0 && !slices.Contains(q.Waits, "shadow") {
			err = d.note(tx, c.ID, "step", by, "held:"+strings.Join(q.Waits, ","), "")
		}
		return err
	case playbook.Retest:
		return d.AskTest(tx, c.ID, by)
	case playbook.CloseClean:
		return d.closeClean(tx, c, by)
	}
	return nil
}

// toldOfQuarantine says that the subscriber was told within a day that the line is in
// quarantine, which says what was seen and what to do: nobody is told that twice.
func (d *Desk) toldOfQuarantine(tx *store.Tx, caseID string) (bool, error) {
	var n int64
	err := tx.Row(`select count(*) from abuse_note where case_id=$1 and kind='informed' and code like $2 and at>$3`, caseID, string(inform.Quarantined)+":%", store.Micros(tx.Now().Add(-24*time.Hour))).Scan(&n)
	return n > 0, err
}

// closeClean closes a case whose line is clean.
func (d *Desk) closeClean(tx *store.Tx, c desk.Case, by bolwerk.Actor) error {
	if err := desk.SetCase(tx, c, c.State, desk.Closed, string(Cleaned)); err != nil {
		return err
	}
	if err := d.caseEnded(tx, c.ID, quarantine.ByPlaybook, by); err != nil {
		return err
	}
	if err := d.caseChanged(tx, c.ID); err != nil {
		return err
	}
	audit.Append(tx, by, "abuse.case.close", c.Ref, string(Cleaned), nil)
	if err := d.note(tx, c.ID, "clean", by, string(Cleaned), ""); err != nil {
		return err
	}
	if err := d.note(tx, c.ID, "closed", by, string(Cleaned), ""); err != nil {
		return err
	}
	return d.tell(tx, inform.Letter{Case: c.ID, Kind: inform.Cleaned, By: by})
}

// Steer is a person's hand on a playbook: now does the next step at once, skip leaves it
// out, stop takes the case over from the rules, go_on gives it back.
func (d *Desk) Steer(ctx context.Context, who account.Person, id, do, why string) error {
	why = strings.TrimSpace(why)
	if why == "" || len(why) > 500 {
		return bolwerk.Invalid("a decision needs a reason in words, of at most 500 octets")
	}
	return d.decide(ctx, who, id, func(tx *store.Tx, c desk.Case) error {
		p, err := playOf(tx, c.ID)
		if store.None(err) || err == nil && p.state == "ended" {
			return bolwerk.Conflict("case %s follows no playbook now", c.Ref)
		}
		if err != nil {
			return err
		}
		b, ok := playbook.Named(d.cfg.books(), p.book)
		if !ok {
			return bolwerk.Conflict("the playbook %s is no longer in the configuration", p.book)
		}
		running := p.state == "running"
		switch {
		case do == "now" && running:
			_, err = tx.Exec(`update abuse_play set due_at=$1 where case_id=$2`, tx.NowMicros(), c.ID)
			tx.After(func() { ring(d.plays) })
		case do == "skip" && running:
			next := playbook.Place{Step: p.step + 1}
			if next.Step < len(b.Steps) {
				next.Due = tx.Now().Add(b.Steps[next.Step].After.D())
			}
			err = d.proceed(tx, c.ID, next, next.Step >= len(b.Steps))
		case do == "stop" && running:
			_, err = tx.Exec(`update abuse_play set state='stopped', due_at=0, actor=$1 where case_id=$2`, who.Actor().String(), c.ID)
		case do == "go_on" && !running:
			due := tx.Now()
			if p.step < len(b.Steps) {
				due = due.Add(b.Steps[p.step].After.D())
			}
			err = d.proceed(tx, c.ID, playbook.Place{Step: p.step, Due: due}, p.step >= len(b.Steps))
		case do == "now" || do == "skip" || do == "stop" || do == "go_on":
			return bolwerk.Conflict("the playbook of case %s is %s", c.Ref, p.state)
		default:
			return bolwerk.Invalid("%.20q: want now, skip, stop or go_on", do)
		}
		if err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "abuse.playbook."+do, c.Ref, "", map[string]any{"book": p.book, "step": p.step + 1})
		return d.note(tx, c.ID, "step", who.Actor(), do, why)
	})
}
