package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"bolwerk/internal/copy"
	"bolwerk/internal/store"
	"bolwerk/shield/figures"
)

// publicYears is how many years the public sees.
const publicYears = 3

// PublicFigures are what the public sees: whole years, and the months of this
// year that are over and counted.
//
// One document is made a month, and somebody may lay two of them side by side. So
// a month's number depends on nothing but the month, the total is the sum of the
// months that are shown, and what a year is made of is told only once the year is
// over and no month of it is kept back.
func (s *Shield) PublicFigures(ctx context.Context) (d figures.Public, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { d, err = s.publicFigures(tx); return err })
	return d, err
}

func (s *Shield) publicFigures(tx *store.Tx) (figures.Public, error) {
	d := figures.Public{Operator: s.cfg.Operator, Years: []figures.PublicYear{}}
	now := tx.Now().UTC()
	open, err := openDays(tx, dayOf(now))
	if err != nil {
		return d, err
	}
	over := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC) // all before is over
	if len(open) > 0 && dayTime(open[0]).Before(over) {
		at := dayTime(open[0])
		over = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	for year := over.AddDate(0, 0, -1).Year(); len(d.Years) < publicYears; year-- {
		y, invented, any, err := s.publicYear(tx, year, over)
		if err != nil {
			return d, err
		}
		if !any {
			break
		}
		d.Invented = d.Invented || invented
		d.Years = append(d.Years, y)
	}
	return d, nil
}

func (s *Shield) publicYear(tx *store.Tx, year int, over time.Time) (y figures.PublicYear, invented, any bool, err error) {
	p := Period{time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC), "month", "year"}
	if last := over.AddDate(0, 0, -1); last.Before(p.To) {
		p.To = last
	}
	c, err := countsOf(tx, p, nil)
	if err != nil || len(c.by) == 0 {
		return y, false, false, err
	}
	y = figures.PublicYear{Year: year, Through: p.To.Format("2006-01"), Figures: []figures.PublicFigure{}, Rates: []figures.Rate{}, Clocks: []figures.Clock{}}
	whole := p.To.Month() == time.December
	for _, key := range figures.Keys() {
		f := figures.PublicFigure{Key: key, Months: []figures.Cell{}}
		for _, n := range c.series(counted(key)) {
			cell := figures.Alone(n)
			f.Months = append(f.Months, cell)
			f.Total.N += cell.N
			f.AtLeast = f.AtLeast || cell.Mark != figures.Shown
		}
		if whole && !f.AtLeast {
			f.By = figureOf(key, p, c, counts{}).By[1:]
		}
		y.Figures = append(y.Figures, f)
	}
	for _, key := range figures.Clocks() {
		t := figures.Percentiles(c.histogram(key, -1))
		if !whole {
			t = figures.Times{}
		}
		y.Clocks = append(y.Clocks, figures.Clock{Key: key, Now: t, Steps: []figures.Times{}})
	}
	total := func(key string) figures.Cell {
		for _, f := range y.Figures {
			if f.Key == key && !f.AtLeast {
				return f.Total
			}
		}
		return figures.Cell{Mark: figures.Held}
	}
	for _, r := range []struct {
		key, whole string
		parts      []figures.Cell
	}{
		{figures.FalsePositives, figures.Blocks, publicWrong(y)},
		{figures.PageShare, figures.DNSHits, []figures.Cell{total(figures.PageViews)}},
		{figures.AnswerShare, figures.Reports, []figures.Cell{total(figures.Answered)}},
	} {
		y.Rates = append(y.Rates, figures.Rate{Key: r.key, Now: figures.Share(total(r.whole), r.parts...)})
	}
	return y, len(c.by[inventedDay]) > 0, true, nil
}

// publicWrong are the cells of the false-positive rate, where a year tells them.
func publicWrong(y figures.PublicYear) []figures.Cell {
	for _, f := range y.Figures {
		if f.Key == figures.Withdrawals && len(f.By) > 0 {
			return wrongBlocks(figures.Figure{Now: f.Total, By: append([]figures.Breakdown{{}}, f.By...)}, false)
		}
	}
	return []figures.Cell{{Mark: figures.Held}}
}

// publishFigures puts the public's figures into the copy of the intakes, where
// they have changed.
func (s *Shield) publishFigures(ctx context.Context) error {
	d, err := s.PublicFigures(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var had string
		err := tx.Row(`select body from copy_entry where copy=$1 and id=$2`, CopyPublic, figures.PublicEntry).Scan(&had)
		if err != nil && !store.None(err) || bytes.Equal([]byte(had), body) {
			return err
		}
		s.publish.Append(tx, CopyPublic, copy.Entry{ID: figures.PublicEntry, Version: tx.NowMicros(), Body: body}, nil)
		return nil
	})
}
