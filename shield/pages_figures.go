package shield

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/figures"
)

type figuresData struct {
	common
	View             figures.View
	Body             template.HTML
	Query            template.URL // what asks the API for the same
	Years            []string     // that there is anything of, newest first
	Year, Month, Day string
	From, To         string
}

// figuresPage tells a period: this year where none is chosen.
func (p *Pages) figuresPage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	q, now, status := r.URL.Query(), p.frame.Clock().Now(), http.StatusOK
	data := figuresData{common: commonOf(r, who), Year: clip(q.Get("year")), Month: clip(q.Get("month")), Day: clip(q.Get("day")), From: clip(q.Get("from")), To: clip(q.Get("to"))}
	period, err := ParsePeriod(now, data.Year, data.Month, data.Day, data.From, data.To)
	if err != nil {
		if !errors.Is(err, bolwerk.ErrInvalid) {
			return err
		}
		if status, err = data.beside("period", err); err != nil {
			return err
		}
		if period, err = ParsePeriod(now, "", "", "", "", ""); err != nil {
			return err
		}
	}
	data.Year = ""
	if period.Kind == "year" {
		data.Year = strconv.Itoa(period.From.Year())
	}
	d, err := p.s.Figures(r.Context(), period)
	if err != nil {
		return err
	}
	if data.Years, err = p.figureYears(r); err != nil {
		return err
	}
	data.Query = template.URL(period.query().Encode())
	data.View = figures.NewView(p.frame.Texts(), web.Lang(r), d, now)
	if data.Body, err = data.View.Body(); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "figures", data)
}

// query asks the API for a period.
func (p Period) query() url.Values {
	switch p.Kind {
	case "year":
		return url.Values{"year": {strconv.Itoa(p.From.Year())}}
	case "month":
		return url.Values{"month": {p.From.Format("2006-01")}}
	case "day":
		return url.Values{"day": {p.From.Format(dateForm)}}
	}
	return url.Values{"from": {p.From.Format(dateForm)}, "to": {p.To.Format(dateForm)}}
}

// figureYears are this year and those before of which days are counted.
func (p *Pages) figureYears(r *http.Request) (out []string, err error) {
	year := p.frame.Clock().Now().UTC().Year()
	first := year
	err = p.s.db.Read(r.Context(), func(tx *store.Tx) error {
		var day int64
		err := tx.Row(`select coalesce(min(day),0) from shield_day_closed`).Scan(&day)
		if day > 0 {
			first = dayTime(day).Year()
		}
		return err
	})
	for ; year >= first && len(out) < 20; year-- {
		out = append(out, strconv.Itoa(year))
	}
	return out, err
}

// figuresReport gives the report of a year as a file.
func (p *Pages) figuresReport(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	q := r.URL.Query()
	f, err := p.s.Report(r.Context(), clip(q.Get("year")), cmp.Or(bolwerk.Lang(clip(q.Get("lang"))), web.Lang(r)), cmp.Or(clip(q.Get("format")), "html"))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Disposition", `attachment; filename="`+f.Name+`"`)
	w.Write(f.Body) // a broken connection is all that can go wrong
	return nil
}
