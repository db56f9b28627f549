package abuse

import (
	"context"
	"time"

	"bolwerk/abuse/door"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
)

// outcomeJob brings what the reporters of a case's events see up to date; its Ref is the
// case.
const outcomeJob = "abuse.outcome"

// Handle gives a runner of jobs the desk's; before its Run.
func (d *Desk) Handle(r *job.Runner) {
	r.Handle(outcomeJob, d.tellReporters)
	r.Handle(answerJob, d.answerReporter)
}

// tellReporters settles the reports that have events in a case, some at a time: a
// decision never waits behind them.
func (d *Desk) tellReporters(ctx context.Context, j job.Job) error {
	const some = 10
	after := ""
	for {
		var ids []string
		if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
				`select distinct report from abuse_event where case_id=$1 and report>$2 order by report limit $3`, j.Ref, after, some)
			return err
		}); err != nil || len(ids) == 0 {
			return err
		}
		if err := d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			for _, id := range ids {
				if err := d.settle(tx, id); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// outcomes are what became of the cases that a report led to.
type outcomes struct {
	open, closed  int64 // events
	cleaned, down int64 // cases: of those cleaned, what was offered is gone
	unknown, none int64 // cases: nobody to be found; nothing was done
	at            time.Time
}

func outcomesOf(tx *store.Tx, report string) (o outcomes, err error) {
	err = tx.Each(`select c.state,c.outcome,a.class,c.closed_at,count(*) from abuse_event e join desk_case c on c.id=e.case_id join abuse_case a on a.id=c.id
		where e.report=$1 and e.case_id<>'' group by c.id,c.state,c.outcome,a.class,c.closed_at`, []any{report}, func(scan func(...any) error) error {
		var state desk.CaseState
		var outcome Reason
		var class reading.Class
		var closed, n int64
		if err := scan((*string)(&state), (*string)(&outcome), (*string)(&class), &closed, &n); err != nil {
			return err
		}
		if state.Open() {
			o.open += n
			return nil
		}
		o.closed += n
		if at := store.Time(closed); at.After(o.at) {
			o.at = at
		}
		switch outcome {
		case Cleaned, Duplicate:
			o.cleaned++
			if class == reading.MalwareSite || class == reading.MalwareConfig || class == reading.Phishing || class == reading.Masquerade || class == reading.Copyright {
				o.down++
			}
		case NotOursReason, NotResolvedBy:
			o.unknown++
		default:
			o.none++
		}
		return nil
	})
	return o, err
}

// code is what the reporter is told; while a case is open, that it is acted on.
func (o outcomes) code() Code {
	switch {
	case o.open > 0 || o.closed == 0:
		return Actioned
	case o.cleaned > 0 && o.down == o.cleaned && o.none+o.unknown == 0:
		return ContentDown
	case o.cleaned > 0:
		return Actioned
	case o.none > 0:
		return NoAction
	}
	return NotResolvable
}

// into adds what became of the cases to what a reporter sees.
func (o outcomes) into(s *door.Status) {
	s.Closed = o.closed
	if o.closed > 0 && o.open == 0 {
		s.Over, s.Changed = true, o.at.UTC().Truncate(24*time.Hour)
	}
}
