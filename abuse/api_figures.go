package abuse

import (
	"context"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// figuresIn is which days are told.
type figuresIn struct {
	From string `query:"from" format:"date" doc:"first day of UTC; absent: 89 days before the last; less than a year ago, as long as cases are kept"`
	To   string `query:"to" format:"date" doc:"last day; absent: today"`
}

// span reads two days; the last ninety where none are given.
func span(now time.Time, from, to string) (a, b time.Time, err error) {
	parse := func(text string) (time.Time, error) {
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return t, bolwerk.Invalid("day %.20q: want one such as 2026-11-25", text)
		}
		return t, nil
	}
	b = now.UTC().Truncate(24 * time.Hour)
	if to != "" {
		if b, err = parse(to); err != nil {
			return a, b, err
		}
	}
	a = b.AddDate(0, 0, -89)
	if from != "" {
		a, err = parse(from)
	}
	return a, b, err
}

func (d *Desk) figuresAPI(x *api.Routes) {
	api.Add(x, account.Look, "GET", "/abuse/figures", "Cases by week and class, and how fast lines become clean.", func(ctx context.Context, in *figuresIn) (*api.Answer[Figures], error) {
		from, to, err := span(d.clock.Now(), in.From, in.To)
		if err != nil {
			return nil, err
		}
		f, err := d.Figures(ctx, from, to)
		return &api.Answer[Figures]{Body: f}, err
	})
	api.Add(x, account.Look, "GET", "/abuse/feeds", "The feeds of abuse, and when each was last heard.", func(ctx context.Context, _ *struct{}) (*api.Answer[api.Page[FeedRow]], error) {
		rows, err := d.Feeds(ctx)
		if rows == nil {
			rows = []FeedRow{}
		}
		return &api.Answer[api.Page[FeedRow]]{Body: api.Page[FeedRow]{Items: rows}}, err
	})
}
