package abuse

import (
	"context"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/door"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
)

// outcomeJob brings up to date what reporters see of the cases that were closed or began
// again on a day; its Ref is the day, in days since 1970.
const outcomeJob = "abuse.outcome"

// outcomeAt is when on the next day (UTC) reporters see what became of cases. Whoever asks
// about two codes again and again would else see both turn at one moment, and know that
// they are about one line.
const outcomeAt = 5 * time.Hour

// outcomeTomorrow has the reporters of a case's events see what becomes of it now.
func outcomeTomorrow(tx *store.Tx, caseID string) error {
	if _, err := tx.Exec(`update abuse_case set changed_at=$1 where id=$2`, tx.NowMicros(), caseID); err != nil {
		return err
	}
	today := tx.Now().UTC().Truncate(24 * time.Hour)
	day := strconv.FormatInt(int64(clean.DayOf(today)), 10)
	return job.Add(tx, outcomeJob, day, day, today.Add(24*time.Hour+outcomeAt))
}

// seenUntil is when a case must have been closed for reporters to see it now.
func seenUntil(now time.Time) time.Time { return now.UTC().Add(-outcomeAt).Truncate(24 * time.Hour) }

// Handle gives a runner of jobs the desk's; before its Run.
func (d *Desk) Handle(r *job.Runner) {
	r.Handle(outcomeJob, d.tellReporters)
	r.Handle(answerJob, d.answerReporter)
}

// tellReporters settles the reports that have events in cases that changed on a day, some
// at a time: a decision never waits behind them. They go in the order in which they came
// in, whichever case they belong to.
func (d *Desk) tellReporters(ctx context.Context, j job.Job) error {
	day, err := strconv.ParseInt(j.Ref, 10, 64)
	if err != nil {
		return bolwerk.Invalid("outcomes of the day %.40q: want a number", j.Ref)
	}
	from := time.Unix(day*86400, 0)
	const some = 10
	after := ""
	for {
		var ids []string
		if err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
				`select distinct e.report from abuse_case a join abuse_event e on e.case_id=a.id where a.changed_at>=$1 and a.changed_at<$2 and e.report>$3 order by e.report limit $4`,
				store.Micros(from), store.Micros(from.Add(24*time.Hour)), after, some)
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

// outcomes are what reporters see of what became of the cases that a report led to.
type outcomes struct {
	open, closed  int64 // events
	cleaned, down int64 // cases: of those cleaned, what was offered is gone
	unknown, none int64 // cases: nobody to be found; nothing was done
	at            time.Time
}

func outcomesOf(tx *store.Tx, report string) (o outcomes, err error) {
	seen := store.Micros(seenUntil(tx.Now()))
	err = tx.Each(`select c.state,c.outcome,a.class,c.closed_at,count(*) from abuse_event e join desk_case c on c.id=e.case_id join abuse_case a on a.id=c.id
		where e.report=$1 and e.case_id<>'' group by c.id,c.state,c.outcome,a.class,c.closed_at`, []any{report}, func(scan func(...any) error) error {
		var state desk.CaseState
		var outcome Reason
		var class reading.Class
		var closed, n int64
		if err := scan((*string)(&state), (*string)(&outcome), (*string)(&class), &closed, &n); err != nil {
			return err
		}
		if state.Open() || closed >= seen {
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
	if s.Closed = o.closed; o.closed > 0 && o.open == 0 {
		s.Over, s.Changed = true, o.at
	}
	if o.open+o.closed > 0 {
		s.Changed = s.Changed.UTC().Truncate(24 * time.Hour)
	}
}
