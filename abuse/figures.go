package abuse

import (
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/reading"
	"bolwerk/internal/store"
)

// Figures are what the abuse desk did in a time, and how fast lines become clean.
type Figures struct {
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Weeks   []FigureWeek  `json:"weeks" doc:"weeks that begin on Monday, UTC; the oldest first"`
	Classes []FigureClass `json:"classes" doc:"most cases first"`
	Curves  []FigureCurve `json:"curves" doc:"lines that a feed watches, by what was done about them"`
	// Told is from the first report of a case to the first message to its customer.
	Told        FigureTime     `json:"told"`
	Closed      []FigureClosed `json:"closed" doc:"cases that were closed in the time, whenever they were opened"`
	Quarantines FigureHeld     `json:"quarantines"`
	Notices     []FigureNotice `json:"notices" doc:"messages to customers and resellers that were written in the time"`
}

// FigureWeek is a week.
type FigureWeek struct {
	Begin   time.Time `json:"begin"`
	Reports int64     `json:"reports"`
	Opened  int64     `json:"cases_opened"`
	Closed  int64     `json:"cases_closed"`
	Cleaned int64     `json:"cases_cleaned"`
}

// FigureClass is a class of the taxonomy.
type FigureClass struct {
	Class    reading.Class `json:"class"`
	Opened   int64         `json:"cases_opened"`
	Open     int64         `json:"cases_open"`
	Cleaned  int64         `json:"cases_cleaned"`
	Returned int64         `json:"cases_returned" doc:"that began again after they were closed"`
	// Days is the median time until clean, in days, of the lines that a feed watches;
	// -1 where fewer than half are clean, or fewer than ten are watched.
	Days float64 `json:"median_days"`
}

// Done is what was done about a line.
type Done string

// The kinds. Nothing is the control: what becomes clean without us.
const (
	Quarantined Done = "quarantined"
	Informed    Done = "informed"
	Nothing     Done = "nothing"
)

// FigureCurve is how many lines are not clean yet.
type FigureCurve struct {
	Done   Done          `json:"done" enum:"quarantined,informed,nothing"`
	Cases  int           `json:"cases"`
	Median float64       `json:"median_days" doc:"-1 where fewer than half are clean"`
	Points []FigurePoint `json:"points" doc:"steps; the last is the end of what was observed"`
}

// FigurePoint is a step of a curve.
type FigurePoint struct {
	Day  float64 `json:"day"`
	Left float64 `json:"left" doc:"share of lines that are not clean, 0 to 1"`
	Low  float64 `json:"low" doc:"of 95 in 100 bounds"`
	High float64 `json:"high"`
}

// FigureTime is how long something took.
type FigureTime struct {
	Cases  int   `json:"cases"`
	Median int64 `json:"median_seconds"`
	Most   int64 `json:"p90_seconds"`
}

const (
	maxFigureCases = 200_000 // opened in it; the newest
	fewest         = 10      // lines of which a median is told
	// actedWithin is how soon after its opening something must be done about a case to
	// be told with its kind: later, those that became clean by themselves would be missing
	// among those about which something was done.
	actedWithin = 7 * 24 * time.Hour
)

// lived is a case as figures need it.
type lived struct {
	id, class, outcome   string
	open                 bool
	opened, closed, last time.Time
	returned             int64
}

// Figures tells what the desk did from the day of from to the day of to, both in it; from
// lies less than a year back, for a case is kept a year after it was closed: of an
// earlier day only those would be told that did not become clean.
func (d *Desk) Figures(ctx context.Context, from, to time.Time) (f Figures, err error) {
	const day = 24 * time.Hour
	from, to = from.UTC().Truncate(day), to.UTC().Truncate(day)
	now := d.clock.Now().UTC()
	if today := now.Truncate(day); to.After(today) {
		to = today
	}
	first := now.AddDate(-1, 0, 1).Truncate(day)
	switch {
	case to.Before(from):
		return f, bolwerk.Invalid("figures from %s to %s: want the first day before the last", from.Format(time.DateOnly), to.Format(time.DateOnly))
	case from.Before(first):
		return f, bolwerk.WithHint(bolwerk.Invalid("figures from %s: a case is kept a year after it was closed, so earlier ones would be missing", from.Format(time.DateOnly)), "begin on "+first.Format(time.DateOnly)+" or later")
	}
	f = Figures{From: from, To: to}
	begin, end := store.Micros(from), store.Micros(to.Add(day))
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		cases, err := store.List(tx, func(scan func(...any) error) (l lived, err error) {
			var state string
			var opened, closed, last int64
			err = scan(&l.id, &l.class, &state, &l.outcome, &opened, &closed, &last, &l.returned)
			l.open, l.opened, l.closed, l.last = state == "waiting", store.Time(opened), store.Time(closed), store.Time(last)
			return l, err
		}, `select c.id,a.class,c.state,c.outcome,c.opened_at,c.closed_at,a.last_seen,a.returned from desk_case c join abuse_case a on a.id=c.id
			where c.capability=$1 and c.opened_at>=$2 and c.opened_at<$3 order by c.opened_at desc limit $4`, Name, begin, end, maxFigureCases)
		if err != nil {
			return err
		}
		if f.Weeks, err = weeks(tx, from, to, begin, end, cases); err != nil {
			return err
		}
		acted, err := actions(tx, begin)
		if err != nil {
			return err
		}
		reported, err := reportedAt(tx, cases, acted)
		if err != nil {
			return err
		}
		f.Told = timesTold(cases, acted, reported)
		if err := f.work(tx, begin, end); err != nil {
			return err
		}
		lives, err := d.lives(tx, cases)
		if err != nil {
			return err
		}
		f.Classes = byClass(cases, lives)
		f.Curves = byDone(cases, lives, acted)
		return nil
	})
	return f, err
}

// monday is the first day of the week of a day.
func monday(t time.Time) time.Time {
	return t.AddDate(0, 0, -(int(t.Weekday())+6)%7)
}

func weeks(tx *store.Tx, from, to time.Time, begin, end int64, cases []lived) ([]FigureWeek, error) {
	first := monday(from)
	out := make([]FigureWeek, int(to.Sub(first)/(7*24*time.Hour))+1)
	for i := range out {
		out[i].Begin = first.AddDate(0, 0, 7*i)
	}
	at := func(t time.Time) *FigureWeek {
		i := int(t.Sub(first) / (7 * 24 * time.Hour))
		if t.Before(first) || i >= len(out) {
			return nil
		}
		return &out[i]
	}
	const week = 7 * 24 * int64(time.Hour/time.Microsecond)
	err := tx.Each(`select (received_at-$1)/$2, count(*) from abuse_report where received_at>=$3 and received_at<$4 group by 1`, []any{store.Micros(first), week, begin, end}, func(scan func(...any) error) error {
		var i, n int64
		if err := scan(&i, &n); err != nil {
			return err
		}
		if i >= 0 && i < int64(len(out)) {
			out[i].Reports = n
		}
		return nil
	})
	for _, c := range cases {
		if w := at(c.opened); w != nil {
			w.Opened++
		}
		if c.open {
			continue
		}
		if w := at(c.closed); w != nil {
			w.Closed++
			if c.outcome == string(Cleaned) {
				w.Cleaned++
			}
		}
	}
	return out, err
}

// acts are when something was first done about a case.
type acts map[Done]time.Time

func actions(tx *store.Tx, since int64) (map[string]acts, error) {
	out := map[string]acts{}
	err := tx.Each(`select case_id,kind,min(at) from abuse_note where kind in ('informed','quarantined') and at>=$1 group by case_id,kind`, []any{since}, func(scan func(...any) error) error {
		var id, kind string
		var at int64
		if err := scan(&id, &kind, &at); err != nil {
			return err
		}
		if out[id] == nil {
			out[id] = acts{}
		}
		out[id][Done(kind)] = store.Time(at)
		return nil
	})
	return out, err
}

// reportedAt is when the first report came in of the cases whose customers were told.
func reportedAt(tx *store.Tx, cases []lived, acted map[string]acts) (map[string]time.Time, error) {
	var ids []string
	for _, c := range cases {
		if _, ok := acted[c.id][Informed]; ok {
			ids = append(ids, c.id)
		}
	}
	out := map[string]time.Time{}
	for part := range slices.Chunk(ids, store.ListMost) {
		in, args := store.In(1, part)
		err := tx.Each(`select e.case_id,min(r.received_at) from abuse_event e join abuse_report r on r.id=e.report where e.case_id in (`+in+`) group by e.case_id`, args, func(scan func(...any) error) error {
			var id string
			var at int64
			err := scan(&id, &at)
			out[id] = store.Time(at)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func timesTold(cases []lived, acted map[string]acts, reported map[string]time.Time) FigureTime {
	var took []time.Duration
	for _, c := range cases {
		at, ok := acted[c.id][Informed]
		if from, known := reported[c.id]; ok && known && !at.Before(from) {
			took = append(took, at.Sub(from))
		}
	}
	if len(took) == 0 {
		return FigureTime{}
	}
	slices.Sort(took)
	of := func(share float64) int64 { return int64(took[int(share*float64(len(took)-1))] / time.Second) }
	return FigureTime{Cases: len(took), Median: of(0.5), Most: of(0.9)}
}

// lives are the cases that a feed watches, as curves take them.
func (d *Desk) lives(tx *store.Tx, cases []lived) (map[string]clean.Life, error) {
	days := map[string]map[clean.Day]bool{}
	err := tx.Each(`select name,day from abuse_feed_day`, nil, func(scan func(...any) error) error {
		var name string
		var day int64
		if err := scan(&name, &day); err != nil {
			return err
		}
		if days[name] == nil {
			days[name] = map[clean.Day]bool{}
		}
		days[name][clean.Day(day)] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, now := map[string]clean.Life{}, tx.Now()
	for part := range slices.Chunk(cases, store.ListMost) {
		ids := make([]string, len(part))
		for i, c := range part {
			ids[i] = c.id
		}
		in, args := store.In(1, ids)
		feeds := map[string][]string{}
		err := tx.Each(`select distinct e.case_id,r.feed from abuse_event e join abuse_report r on r.id=e.report where r.feed<>'' and e.case_id in (`+in+`)`, args, func(scan func(...any) error) error {
			var id, feed string
			if err := scan(&id, &feed); err != nil {
				return err
			}
			feeds[id] = append(feeds[id], feed)
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, c := range part {
			if len(feeds[c.id]) > 0 {
				out[c.id] = c.life(now, heardBy(feeds[c.id], days), d.cfg.CleanDays)
			}
		}
	}
	return out, nil
}

// heardBy are the days on which one of the feeds was heard.
func heardBy(feeds []string, days map[string]map[clean.Day]bool) map[clean.Day]bool {
	if len(feeds) == 1 && days[feeds[0]] != nil {
		return days[feeds[0]]
	}
	out := map[clean.Day]bool{}
	for _, f := range feeds {
		for d := range days[f] {
			out[d] = true
		}
	}
	return out
}

// life is how long a line was seen: it ended where a feed that goes on does not see it
// any more.
func (c lived) life(now time.Time, heard map[clean.Day]bool, days int) clean.Life {
	if clean.Absent(c.last, now, heard).Clean(days) {
		return clean.Life{Days: max(c.last.Sub(c.opened).Hours()/24, 0), Ended: true}
	}
	until := now
	if !c.open && c.closed.After(c.last) {
		until = c.closed // what became of it later is not known
	}
	return clean.Life{Days: max(until.Sub(c.opened).Hours()/24, 0)}
}

func median(lives []clean.Life) float64 {
	if len(lives) < fewest {
		return -1
	}
	if m, ok := clean.Median(clean.Curve(lives)); ok {
		return m
	}
	return -1
}

func byClass(cases []lived, lives map[string]clean.Life) []FigureClass {
	of := map[string]*FigureClass{}
	watched := map[string][]clean.Life{}
	for _, c := range cases {
		f := of[c.class]
		if f == nil {
			f = &FigureClass{Class: reading.Class(c.class)}
			of[c.class] = f
		}
		f.Opened++
		if c.open {
			f.Open++
		}
		if c.outcome == string(Cleaned) {
			f.Cleaned++
		}
		if c.returned > 0 {
			f.Returned++
		}
		if l, ok := lives[c.id]; ok {
			watched[c.class] = append(watched[c.class], l)
		}
	}
	out := make([]FigureClass, 0, len(of))
	for class, f := range of {
		f.Days = median(watched[class])
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b FigureClass) int {
		if a.Opened != b.Opened {
			return int(b.Opened - a.Opened)
		}
		return strings.Compare(string(a.Class), string(b.Class))
	})
	return out
}

func byDone(cases []lived, lives map[string]clean.Life, acted map[string]acts) (out []FigureCurve) {
	of := map[Done][]clean.Life{}
	for _, c := range cases {
		l, ok := lives[c.id]
		if !ok {
			continue
		}
		done := Nothing
		for _, kind := range []Done{Informed, Quarantined} { // the stronger one stands
			if at, ok := acted[c.id][kind]; ok && at.Sub(c.opened) <= actedWithin {
				done = kind
			}
		}
		of[done] = append(of[done], l)
	}
	for _, done := range []Done{Quarantined, Informed, Nothing} {
		if len(of[done]) == 0 {
			continue
		}
		f := FigureCurve{Done: done, Cases: len(of[done]), Median: median(of[done])}
		for _, p := range clean.Curve(of[done]) {
			f.Points = append(f.Points, FigurePoint{p.Day, p.Left, p.Low, p.High})
		}
		out = append(out, f)
	}
	return out
}
