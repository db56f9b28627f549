package shield

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/figures"
)

// Period is which days are told, and by which steps. All are days of UTC.
type Period struct {
	From, To time.Time // first and last day
	Unit     string    // day or month
	Kind     string    // year, month, day or custom: what it is compared with
}

// maxPeriod is how many days a custom period may have: ten years.
const maxPeriod = 3660

// byDay is up to how many days are told day by day.
const byDay = 62

const dateForm = "2006-01-02"

// ParsePeriod reads what a reader chose: year 2026, month 2026-11, day
// 2026-11-25, or two days. Nothing is the year of now.
func ParsePeriod(now time.Time, year, month, day, from, to string) (p Period, err error) {
	parse := func(form, text, name string) time.Time {
		t, e := time.Parse(form, text)
		if e != nil || t.Year() < 2000 || t.Year() > 2199 {
			err = cmp.Or(err, bolwerk.WithHint(bolwerk.Invalid("%s %q is not a %s", name, clip(text), name), fmt.Sprintf("such as %s", time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC).Format(form))))
		}
		return t
	}
	switch {
	case from != "" || to != "":
		p = Period{parse(dateForm, from, "day"), parse(dateForm, to, "day"), "day", "custom"}
	case day != "":
		at := parse(dateForm, day, "day")
		p = Period{at, at, "day", "day"}
	case month != "":
		at := parse("2006-01", month, "month")
		p = Period{at, at.AddDate(0, 1, -1), "day", "month"}
	default:
		if year == "" {
			year = strconv.Itoa(now.UTC().Year())
		}
		at := parse("2006", year, "year")
		p = Period{at, at.AddDate(1, 0, -1), "month", "year"}
	}
	if err != nil {
		return p, err
	}
	n := dayOf(p.To) - dayOf(p.From) + 1
	if n < 1 || n > maxPeriod {
		return p, bolwerk.WithHint(bolwerk.Invalid("from %s to %s are no days to count", p.From.Format(dateForm), p.To.Format(dateForm)), fmt.Sprintf("the first day comes first; at most %d days", maxPeriod))
	}
	if n > byDay {
		p.Unit = "month"
	}
	return p, nil
}

// before is what the period is compared with: the day before a day, else the
// same days a year before, as far as the period has come.
func (p Period) before(now time.Time) Period {
	b := p
	if p.To.After(now) {
		b.To = dayTime(max(dayOf(now), dayOf(p.From)))
	}
	if p.Kind == "day" {
		b.From, b.To = b.From.AddDate(0, 0, -1), b.To.AddDate(0, 0, -1)
		return b
	}
	whole := b.To.AddDate(0, 0, 1).Day() == 1 // the end of a month stays one
	b.From, b.To = b.From.AddDate(-1, 0, 0), b.To.AddDate(-1, 0, 0)
	if whole {
		b.To = time.Date(b.To.Year(), b.To.Month()+1, 0, 0, 0, 0, 0, time.UTC)
	}
	return b
}

// steps are the keys of the period's steps of time.
func (p Period) steps() (out []string) {
	if p.Unit == "day" {
		for at := p.From; !at.After(p.To); at = at.AddDate(0, 0, 1) {
			out = append(out, at.Format(dateForm))
		}
		return out
	}
	for at := time.Date(p.From.Year(), p.From.Month(), 1, 0, 0, 0, 0, time.UTC); !at.After(p.To); at = at.AddDate(0, 1, 0) {
		out = append(out, at.Format("2006-01"))
	}
	return out
}

// counts are what was counted in a period: by what, kind and step.
type counts struct {
	steps map[string]int // to their places
	by    map[string]map[string][]int64
}

func (c counts) add(what, kind, step string, n int64) {
	i, ok := c.steps[step]
	if !ok {
		return
	}
	if c.by[what] == nil {
		c.by[what] = map[string][]int64{}
	}
	if c.by[what][kind] == nil {
		c.by[what][kind] = make([]int64, len(c.steps))
	}
	c.by[what][kind][i] += n
}

// kinds are the totals of the kinds of what.
func (c counts) kinds(what string) map[string]int64 {
	out := map[string]int64{}
	for k, steps := range c.by[what] {
		for _, n := range steps {
			out[k] += n
		}
	}
	return out
}

// series are the totals of what for each step.
func (c counts) series(what string) []int64 {
	out := make([]int64, len(c.steps))
	for _, steps := range c.by[what] {
		for i, n := range steps {
			out[i] += n
		}
	}
	return out
}

// histogram is that of what, of one step or, where step is below 0, of all.
func (c counts) histogram(what string, step int) map[int]int64 {
	out := map[int]int64{}
	for k, steps := range c.by[what] {
		b, err := strconv.Atoi(k)
		if err != nil {
			continue
		}
		for i, n := range steps {
			if step < 0 || i == step {
				out[b] += n
			}
		}
	}
	return out
}

// countsOf reads the counts of a period. live are days that are counted now.
func countsOf(tx *store.Tx, p Period, live map[int64][]tally) (counts, error) {
	c := counts{map[string]int{}, map[string]map[string][]int64{}}
	for i, s := range p.steps() {
		c.steps[s] = i
	}
	from, to := dayOf(p.From), dayOf(p.To)
	step := func(day int64) string {
		if p.Unit == "day" {
			return dayTime(day).Format(dateForm)
		}
		return dayTime(day).Format("2006-01")
	}
	early := to // days below are read by step, live ones left out
	for day, all := range live {
		early = min(early, day-1)
		if day >= from && day <= to {
			for _, t := range all {
				c.add(t.what, t.kind, step(day), t.n)
			}
		}
	}
	col, label := "month", func(n int64) string { return strconv.FormatInt(n/100, 10) + "-" + twoDigits(n%100) }
	if p.Unit == "day" {
		col, label = "day", func(n int64) string { return step(n) }
	}
	read := func(from, to int64) error {
		args, months := []any{from, to}, ""
		if col == "month" { // the index has the order of the groups
			args, months = append(args, monthOf(from), monthOf(to)), ` and month>=$3 and month<=$4`
		}
		return tx.Each(`select `+col+`,what,kind,sum(n) from shield_day where day>=$1 and day<=$2`+months+` group by `+col+`,what,kind`, args, func(scan func(...any) error) error {
			var at, n int64
			var what, kind string
			err := scan(&at, &what, &kind, &n)
			c.add(what, kind, label(at), n)
			return err
		})
	}
	err := read(from, min(early, to))
	for day := max(early+1, from); day <= to && err == nil; day++ {
		if _, ok := live[day]; !ok {
			if day > early+liveDays+1 {
				break // nothing is counted of days to come
			}
			err = read(day, day)
		}
	}
	return c, err
}

func twoDigits(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// breakdowns of each figure, beside that by time.
var breakdowns = map[string][]string{
	figures.Reports: {"channel"}, figures.Campaigns: {"brand"}, figures.Blocks: {"class", "scope", "ground"},
	figures.Withdrawals: {"cause"}, figures.AppealsDone: {"outcome"},
}

// counted is the name under which a figure's days are kept.
func counted(figure string) string {
	if by := breakdowns[figure]; len(by) > 0 {
		return figure + "." + by[0]
	}
	return figure
}

// Figures tells a period, with what must not be known kept back.
func (s *Shield) Figures(ctx context.Context, p Period) (d figures.Document, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { d, err = s.figures(tx, p); return err })
	return d, err
}

func (s *Shield) figures(tx *store.Tx, p Period) (d figures.Document, err error) {
	now := tx.Now()
	b := p.before(now)
	d = figures.Document{Operator: s.cfg.Operator, From: p.From.Format(dateForm), To: p.To.Format(dateForm), BeforeFrom: b.From.Format(dateForm), BeforeTo: b.To.Format(dateForm),
		Unit: p.Unit, Open: dayOf(p.To) >= dayOf(now)}
	live, missing, err := s.live.of(tx)
	if err != nil {
		return d, err
	}
	for _, day := range missing {
		if day >= dayOf(p.From) && day <= dayOf(p.To) {
			d.Missing++
		}
	}
	is, err := countsOf(tx, p, live)
	if err != nil {
		return d, err
	}
	was, err := countsOf(tx, b, live)
	if err != nil {
		return d, err
	}
	d.Invented = len(is.by[inventedDay]) > 0 || len(was.by[inventedDay]) > 0
	for _, key := range figures.Keys() {
		d.Figures = append(d.Figures, figureOf(key, p, is, was))
	}
	rate := func(key string, whole string, parts func(before bool) []figures.Cell) {
		w := d.Figure(whole)
		d.Rates = append(d.Rates, figures.Rate{Key: key, Now: figures.Share(w.Now, parts(false)...), Before: figures.Share(w.Before, parts(true)...)})
	}
	cell := func(key string) func(bool) []figures.Cell {
		return func(before bool) []figures.Cell {
			return []figures.Cell{side(d.Figure(key).Now, d.Figure(key).Before, before)}
		}
	}
	rate(figures.FalsePositives, figures.Blocks, func(before bool) []figures.Cell { return wrongBlocks(d.Figure(figures.Withdrawals), before) })
	for _, side := range []struct {
		rate          *figures.Percent
		blocks, ended figures.Cell
	}{{&d.Rates[0].Now, d.Figure(figures.Blocks).Now, d.Figure(figures.Withdrawals).Now}, {&d.Rates[0].Before, d.Figure(figures.Blocks).Before, d.Figure(figures.Withdrawals).Before}} {
		if !side.rate.Known { // by cause they are held back: no more than were withdrawn at all
			*side.rate = figures.Share(side.blocks, side.ended)
			side.rate.AtMost = side.rate.Known
		}
	}
	rate(figures.PageShare, figures.DNSHits, cell(figures.PageViews))
	rate(figures.AnswerShare, figures.Reports, cell(figures.Answered))
	told := d.Figure(figures.Blocks).By[0].Rows
	for _, key := range figures.Clocks() {
		c := figures.Clock{Key: key, Now: figures.Percentiles(is.histogram(key, -1)), Before: figures.Percentiles(was.histogram(key, -1)), Steps: []figures.Times{}}
		if key == figures.ClockDecided {
			for i := range told {
				t := figures.Percentiles(is.histogram(key, i))
				if told[i].Now.Mark != figures.Shown {
					t = figures.Times{} // that it is known would tell which of two is the small one
				}
				c.Steps = append(c.Steps, t)
			}
		}
		d.Clocks = append(d.Clocks, c)
	}
	if p.Unit == "month" {
		d.Tables = append(d.Tables, brandTable(d.Figure(figures.Campaigns), is, was))
	}
	for _, key := range reachedKeys(is, was) {
		d.Reached = append(d.Reached, figures.Clock{Key: key, Now: figures.Percentiles(is.histogram(key, -1)), Before: figures.Percentiles(was.histogram(key, -1)), Steps: []figures.Times{}})
	}
	return d, nil
}

// reachedKeys are the clocks of edges and resolvers, by name.
func reachedKeys(all ...counts) []string {
	keys := map[string]bool{}
	for _, c := range all {
		for what := range c.by {
			if strings.HasPrefix(what, figures.ClockReached) {
				keys[what] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// brandTable is campaigns by brand and month. A brand has a row where its total
// is shown in both periods; all others are the rest.
func brandTable(f figures.Figure, is, was counts) figures.Table {
	t := figures.Table{Figure: figures.Campaigns, By: "brand", Rows: []figures.TableRow{}}
	for _, r := range f.By[0].Rows {
		t.Columns = append(t.Columns, r.Key)
		if r.Now.Mark != figures.Shown || r.Before.Mark != figures.Shown {
			return t // a month is kept back: what is in it must not follow from the brands
		}
	}
	what := counted(figures.Campaigns)
	own := map[string]bool{}
	for _, r := range f.By[1].Rows {
		if r.Now.Mark == figures.Shown && r.Before.Mark == figures.Shown {
			own[r.Key] = true
			t.Rows = append(t.Rows, figures.TableRow{Key: r.Key, Total: r.Now, TotalBefore: r.Before})
		}
	}
	side := func(c counts) ([][]figures.Cell, bool) {
		cells := make([][]int64, len(t.Rows)+1)
		rest := make([]int64, len(t.Columns))
		most := int64(0)
		for brand, steps := range c.by[what] {
			if own[brand] {
				continue
			}
			for i, n := range steps[:min(len(steps), len(rest))] {
				rest[i] += n
				most += n
			}
		}
		for i, r := range t.Rows {
			cells[i] = pad(c.by[what][r.Key], len(t.Columns))
		}
		cells[len(t.Rows)] = rest
		return figures.Cross(cells, most)
	}
	now, ok := side(is)
	before, okBefore := side(was)
	if !ok || !okBefore {
		t.Rows = []figures.TableRow{}
		return t
	}
	for i := range t.Rows {
		t.Rows[i].Now, t.Rows[i].Before = now[i], before[i]
	}
	return t
}

func side(now, before figures.Cell, isBefore bool) figures.Cell {
	if isBefore {
		return before
	}
	return now
}

// wrongBlocks are the cells that a false-positive rate is made of: withdrawn as
// wrong, and on an appeal that was upheld or that nobody decided in time.
func wrongBlocks(f figures.Figure, before bool) []figures.Cell {
	var out []figures.Cell
	for _, by := range f.By[1:] {
		for _, r := range by.Rows {
			if r.Key == string(FalsePositive) || r.Key == string(OnAppeal) {
				out = append(out, side(r.Now, r.Before, before))
			}
		}
	}
	if total := side(f.Now, f.Before, before); len(out) == 0 {
		out = append(out, figures.Cell{Mark: total.Mark}) // there is no such row: none, or as much as the total tells
	}
	return out
}

// liveFor is how long what was counted of days that are not over is told again:
// a busy day is counted from many rows.
const liveFor = 15 * time.Second

// liveDay keeps what liveOf counted last.
type liveDay struct {
	mu      sync.Mutex
	at      time.Time
	live    map[int64][]tally
	missing []int64
}

func (l *liveDay) of(tx *store.Tx) (map[int64][]tally, []int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock() // who asks meanwhile waits for the same answer
	if age := tx.Now().Sub(l.at); !l.at.IsZero() && age >= 0 && age < liveFor && dayOf(l.at) == dayOf(tx.Now()) {
		return l.live, l.missing, nil
	}
	live, missing, err := liveOf(tx, dayOf(tx.Now()))
	if err == nil {
		l.at, l.live, l.missing = tx.Now(), live, missing
	}
	return live, missing, err
}

// forget has the next reader count again.
func (l *liveDay) forget() {
	l.mu.Lock()
	l.at = time.Time{}
	l.mu.Unlock()
}

// liveOf counts the newest days that are not counted yet, and names the others.
func liveOf(tx *store.Tx, today int64) (live map[int64][]tally, missing []int64, err error) {
	open, err := openDays(tx, today+1)
	if err != nil {
		return nil, nil, err
	}
	live = map[int64][]tally{}
	for _, day := range open {
		if day <= today-liveDays {
			missing = append(missing, day)
			continue
		}
		if live[day], err = countDay(tx, day); err != nil {
			return nil, nil, err
		}
	}
	return live, missing, nil
}

// figureOf makes one figure of what was counted.
func figureOf(key string, p Period, is, was counts) figures.Figure {
	f := figures.Figure{Key: key}
	what := counted(key)
	keys := p.steps()
	f.Now, f.Before, f.By = breakdown(f.By, p.Unit, keys, is.series(what), pad(was.series(what), len(keys)))
	for _, by := range breakdowns[key] {
		now, before := is.kinds(key+"."+by), was.kinds(key+"."+by)
		kinds := map[string]bool{}
		for _, m := range []map[string]int64{now, before} {
			for k := range m {
				kinds[k] = true
			}
		}
		rows := slices.Sorted(maps.Keys(kinds))
		values := func(m map[string]int64) []int64 {
			out := make([]int64, len(rows))
			for i, k := range rows {
				out[i] = m[k]
			}
			return out
		}
		_, _, f.By = breakdown(f.By, by, rows, values(now), values(before))
		// By what is shown alone: an order by what is not would tell of it.
		slices.SortStableFunc(f.By[len(f.By)-1].Rows, func(a, b figures.Row) int { return cmp.Compare(b.Now.N, a.Now.N) })
	}
	return f
}

func pad(n []int64, to int) []int64 {
	for len(n) < to {
		n = append(n, 0)
	}
	return n[:to]
}

func breakdown(all []figures.Breakdown, by string, keys []string, now, before []int64) (n, b figures.Cell, _ []figures.Breakdown) {
	n, is := figures.Suppress(now)
	b, was := figures.Suppress(before)
	rows := make([]figures.Row, len(keys))
	for i, k := range keys {
		rows[i] = figures.Row{Key: k, Now: is[i], Before: was[i]}
	}
	return n, b, append(all, figures.Breakdown{By: by, Rows: rows})
}

// inventedDay marks a day of which the counts are invented, in a demonstration.
const inventedDay = "invented"

// Invent keeps invented counts of days, for a demonstration. What is told of
// them says so.
func (s *Shield) Invent(ctx context.Context, days []InventedDay) error {
	defer s.live.forget()
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var rows []any
		var places strings.Builder
		flush := func() error {
			if len(rows) == 0 {
				return nil
			}
			_, err := tx.Exec(`insert into shield_day(day,month,what,kind,n) values `+places.String()+` on conflict(day,what,kind) do nothing`, rows...)
			rows = rows[:0]
			places.Reset()
			return err
		}
		put := func(day int64, t tally) error {
			if len(rows) > 0 {
				places.WriteByte(',')
			}
			places.WriteByte('(')
			for i := range 5 {
				if i > 0 {
					places.WriteByte(',')
				}
				places.WriteString("$" + strconv.Itoa(len(rows)+i+1))
			}
			places.WriteByte(')')
			rows = append(rows, day, monthOf(day), t.what, t.kind, t.n)
			if len(rows) >= 2000 {
				return flush()
			}
			return nil
		}
		for _, d := range days {
			day := dayOf(d.Day)
			if _, err := tx.Exec(`insert into shield_day_closed(day,at) values($1,$2) on conflict(day) do nothing`, day, tx.NowMicros()); err != nil {
				return err
			}
			if err := put(day, tally{inventedDay, "", 1}); err != nil {
				return err
			}
			for what, kinds := range d.Counts {
				for kind, n := range kinds {
					if n > 0 {
						if err := put(day, tally{what, kind, n}); err != nil {
							return err
						}
					}
				}
			}
		}
		return flush()
	})
}

// InventedDay is a day that never was: what was counted, by kind, under the
// names of the day table.
type InventedDay struct {
	Day    time.Time
	Counts map[string]map[string]int64
}
