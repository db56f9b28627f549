package shield

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"bolwerk/internal/store"
	"bolwerk/shield/figures"
)

// Each day that is over is counted into a table, and its counts stay when what
// they were counted from is forgotten. What comes late for a day opens it again;
// counting it again never lowers a count, so that a day whose rows are gone keeps
// what it had.

// dayGrace is how long after its end a day is counted: edges hand in every ten
// seconds, and what an intake or an edge kept while it was cut off opens it again.
const dayGrace = 2 * time.Hour

// liveDays is how many days that are not counted yet a page counts by itself:
// today, and yesterday within its grace.
const liveDays = 2

// daysAtOnce is how many days one pass counts: after a long stop the desk does
// other work between.
const daysAtOnce = 60

func dayOf(t time.Time) int64     { return t.Unix() / 86400 }
func dayTime(day int64) time.Time { return time.Unix(day*86400, 0).UTC() }
func monthOf(day int64) int64     { t := dayTime(day); return int64(t.Year())*100 + int64(t.Month()) }

// tally is how many there are of a kind of what.
type tally struct {
	what, kind string
	n          int64
}

// reopen has the day of at counted again, when it was counted already.
func reopen(tx *store.Tx, at time.Time) error {
	if day := dayOf(at); day < dayOf(tx.Now()) {
		_, err := tx.Exec(`delete from shield_day_closed where day=$1`, day)
		return err
	}
	return nil
}

// countDays counts what is over, every minute, until ctx ends.
func (s *Shield) countDays(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := s.closeDays(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("a day is not counted", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Shield) closeDays(ctx context.Context) error {
	if s.clock.Suspect() {
		return nil
	}
	var days []int64
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		days, err = openDays(tx, dayOf(tx.Now().Add(-dayGrace)))
		return err
	})
	if err != nil {
		return err
	}
	for _, day := range days[:min(len(days), daysAtOnce)] {
		if err := s.closeDay(ctx, day); err != nil {
			return err
		}
	}
	return s.publishFigures(ctx)
}

// openDays are the days before end that are not counted, oldest first, from the
// first day of which there is anything.
func openDays(tx *store.Tx, end int64) ([]int64, error) {
	var first int64
	err := tx.Row(`select coalesce(min(at),0) from (select min(received_at) as at from shield_report union all select min(made_at) as at from shield_block
		union all select min(bucket) as at from shield_hits union all select min(received_at) as at from desk_appeal) x`).Scan(&first)
	if err != nil || first == 0 {
		return nil, err
	}
	from := dayOf(store.Time(first))
	closed := map[int64]bool{}
	err = tx.Each(`select day from shield_day_closed where day>=$1 and day<$2 and at>0`, []any{from, end}, func(scan func(...any) error) error {
		var day int64
		err := scan(&day)
		closed[day] = true
		return err
	})
	var open []int64
	for day := from; day < end; day++ {
		if !closed[day] {
			open = append(open, day)
		}
	}
	return open, err
}

// closeDay counts a day and keeps the counts. The mark goes first: what comes
// late meanwhile takes it away, and the day is counted again.
func (s *Shield) closeDay(ctx context.Context, day int64) error {
	defer s.live.forget()
	err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into shield_day_closed(day,at) values($1,0) on conflict(day) do update set at=0`, day)
		return err
	})
	if err != nil {
		return err
	}
	var counts []tally
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) {
		counts, err = countDay(tx, day)
		return err
	})
	if err != nil {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, c := range counts {
			if err := keepCount(tx, day, c); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`update shield_day_closed set at=$1 where day=$2 and at=0`, tx.NowMicros(), day)
		return err
	})
}

func keepCount(tx *store.Tx, day int64, c tally) error {
	_, err := tx.Exec(`insert into shield_day(day,month,what,kind,n) values($1,$2,$3,$4,$5)
		on conflict(day,what,kind) do update set n=case when excluded.n>shield_day.n then excluded.n else shield_day.n end`, day, monthOf(day), c.what, c.kind, c.n)
	return err
}

// noKind stands for a kind that is not known, such as no brand.
const noKind = "none"

// whoDecided parts blocks by who decided: people, an authority, or rules alone.
const whoDecided = `case when order_id<>'' then 'order' when actor='rule:automatic' then 'machine' else 'own' end`

// countDay counts a day from the rows that there are.
func countDay(tx *store.Tx, day int64) (out []tally, err error) {
	from, to := day*86400e6, (day+1)*86400e6
	kinds := func(what, query string, args ...any) {
		if err != nil {
			return
		}
		err = tx.Each(query, append([]any{from, to}, args...), func(scan func(...any) error) error {
			c := tally{what: what}
			if err := scan(&c.kind, &c.n); err != nil {
				return err
			}
			if c.kind == "" {
				c.kind = noKind
			}
			out = append(out, c)
			return nil
		})
	}
	one := func(what, query string, args ...any) {
		if err != nil {
			return
		}
		c := tally{what: what}
		if err = tx.Row(query, append([]any{from, to}, args...)...).Scan(&c.n); err == nil && c.n > 0 {
			out = append(out, c)
		}
	}
	kinds(figures.Reports+".channel", `select channel,count(*) from shield_report where received_at>=$1 and received_at<$2 group by channel`)
	one(figures.Reporters, `select count(distinct mark) from shield_report where received_at>=$1 and received_at<$2 and mark<>''`)
	one(figures.Answered, `select count(*) from desk_notice where kind='shield.answer' and sent_at>=$1 and sent_at<$2`)
	kinds(figures.Campaigns+".brand", `select brand,count(*) from shield_campaign where first_seen>=$1 and first_seen<$2 group by brand`)
	made := ` from shield_block where made_at>=$1 and made_at<$2 and not pass group by `
	kinds(figures.Blocks+".class", `select class,count(*)`+made+`class`)
	kinds(figures.Blocks+".scope", `select scope,count(*)`+made+`scope`)
	kinds(figures.Blocks+".ground", `select `+whoDecided+`,count(*)`+made+whoDecided)
	kinds(figures.Withdrawals+".cause", `select ended_why,count(*) from shield_block where state='withdrawn' and ended_at>=$1 and ended_at<$2 and not pass group by ended_why`)
	one(figures.Appeals, `select count(*) from desk_appeal where received_at>=$1 and received_at<$2 and capability=$3`, Name)
	kinds(figures.AppealsDone+".outcome", `select decision,count(*) from desk_appeal where state='decided' and decided_at>=$1 and decided_at<$2 and capability=$3 group by decision`, Name)
	one(figures.ReportsFirst, `select count(*) from shield_block b join shield_case c on c.id=b.case_id join shield_link l on l.observable=c.observable and l.at<=b.made_at
		where b.made_at>=$1 and b.made_at<$2 and not b.pass`)
	if err != nil {
		return nil, err
	}
	asked, err := askedBeforeBlocks(tx, day)
	if err != nil {
		return nil, err
	}
	if asked > 0 {
		out = append(out, tally{what: figures.AskedFirst, n: asked})
	}
	if out, err = addReached(tx, out, from, to); err != nil {
		return nil, err
	}
	hits, err := countHitsOf(tx, from, to)
	if err != nil {
		return nil, err
	}
	clocks, err := clocksOf(tx, from, to)
	return append(append(out, hits...), clocks...), err
}

// countHitsOf counts the hits of a day. A visit prevented is the greater of page
// views and TLS attempts, per edge, block and five minutes: a browser that tries
// https first and http then is one visit.
func countHitsOf(tx *store.Tx, from, to int64) (out []tally, err error) {
	var n [4]int64
	err = tx.Row(`select coalesce(sum(dns),0),coalesce(sum(page),0),coalesce(sum(tls),0),coalesce(sum(case when page>tls then page else tls end),0)
		from shield_hits where bucket>=$1 and bucket<$2`, from, to).Scan(&n[0], &n[1], &n[2], &n[3])
	for i, what := range []string{figures.DNSHits, figures.PageViews, figures.TLSAttempts, figures.Visits} {
		if n[i] > 0 {
			out = append(out, tally{what: what, n: n[i]})
		}
	}
	return out, err
}

// clocksOf are the histograms of how long what ended on a day took.
func clocksOf(tx *store.Tx, from, to int64) ([]tally, error) {
	steps := map[tally]int64{}
	took := func(what string, begin, end int64) {
		if begin > 0 && end >= begin {
			steps[tally{what: what, kind: strconv.Itoa(figures.Bucket(float64(end-begin) / 1e6))}]++
		}
	}
	type query struct {
		sql  string
		args []any
		each func(a, b, c int64)
	}
	for _, q := range []query{
		{`select min(r.received_at),coalesce(min(case when r.read_at>0 then r.read_at end),0),max(b.made_at) from shield_block b join shield_case c on c.id=b.case_id
			join shield_link l on l.observable=c.observable join shield_report r on r.id=l.report where b.made_at>=$1 and b.made_at<$2 and not b.pass and r.received_at<=b.made_at group by b.id`,
			[]any{from, to}, func(received, read, made int64) {
				took(figures.ClockRead, received, read)
				took(figures.ClockDecided, received, made)
			}},
		{`select o.received_at,b.made_at,0 from shield_block b join desk_order o on o.id=b.order_id where b.made_at>=$1 and b.made_at<$2 and not b.pass`,
			[]any{from, to}, func(received, made, _ int64) { took(figures.ClockOrder, received, made) }},
		{`select b.made_at,min(h.bucket),0 from shield_hits h join shield_block b on b.ref=h.block where h.bucket>=$1 and h.bucket<$2
			and not exists (select 1 from shield_hits e where e.block=h.block and e.bucket<$1) group by b.id,b.made_at`,
			[]any{from, to}, func(made, bucket, _ int64) { took(figures.ClockHit, made, max(bucket, made)) }},
		{`select received_at,decided_at,0 from desk_appeal where state='decided' and decided_at>=$1 and decided_at<$2 and capability=$3`,
			[]any{from, to, Name}, func(received, decided, _ int64) { took(figures.ClockAppeal, received, decided) }},
	} {
		err := tx.Each(q.sql, q.args, func(scan func(...any) error) error {
			var a, b, c int64
			err := scan(&a, &b, &c)
			if err == nil {
				q.each(a, b, c)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var out []tally
	for c, n := range steps {
		c.n = n
		out = append(out, c)
	}
	return out, nil
}

// askedBeforeBlocks is about how often the own DNS was asked for names that were
// blocked on a day, from the day of their first report on, before the block. On
// the day itself the questions that the block answered are taken off.
func askedBeforeBlocks(tx *store.Tx, day int64) (sum int64, err error) {
	from, to := day*86400e6, (day+1)*86400e6
	asked := map[string]int64{} // by block
	add := func(sign int64, query string, args ...any) {
		if err == nil {
			err = tx.Each(query, append([]any{from, to}, args...), func(scan func(...any) error) error {
				var ref string
				var n int64
				err := scan(&ref, &n)
				asked[ref] += sign * n
				return err
			})
		}
	}
	const made = ` from shield_block b join shield_asked a on a.name=%sb.name and a.day>=b.reported_at/86400000000 and a.day<=$3
		where b.made_at>=$1 and b.made_at<$2 and b.reported_at>0 and not b.pass%s group by b.ref`
	add(1, `select b.ref,sum(a.n)`+fmt.Sprintf(made, ``, ``), day)
	add(1, `select b.ref,sum(a.n)`+fmt.Sprintf(made, `'www.'||`, ` and (b.www or b.scope<>'host')`), day)
	add(-1, `select b.ref,sum(h.dns) from shield_block b join shield_hits h on h.block=b.ref and h.bucket>=$1 and h.bucket<$2
		where b.made_at>=$1 and b.made_at<$2 and b.reported_at>0 and not b.pass group by b.ref`)
	for _, n := range asked {
		sum += max(n, 0)
	}
	return sum, err
}

// addReached adds how long it took from each own decision of a day until it was
// in force at each edge and resolver.
func addReached(tx *store.Tx, out []tally, from, to int64) ([]tally, error) {
	steps := map[tally]int64{}
	err := tx.Each(`select s.name,b.made_at,coalesce((select r.at from shield_reached r where r.epoch=b.epoch and r.name=s.name and r.serial>=b.serial order by r.serial limit 1),0)
		from shield_block b cross join shield_stand s where s.via='' and b.made_at>=$1 and b.made_at<$2 and b.order_id='' and b.serial>0 and not b.pass`, []any{from, to}, func(scan func(...any) error) error {
		var name string
		var made, at int64
		err := scan(&name, &made, &at)
		if err == nil && at > 0 {
			steps[tally{what: figures.ClockReached + name, kind: strconv.Itoa(figures.Bucket(float64(max(at-made, 0)) / 1e6))}]++
		}
		return err
	})
	for t, n := range steps {
		t.n = n
		out = append(out, t)
	}
	return out, err
}
