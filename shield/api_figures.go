package shield

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"strconv"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/shield/figures"
)

// Chosen is the period that is asked for.
type Chosen struct {
	Year  string `query:"year" maxLength:"4" doc:"2026; this year where nothing is chosen"`
	Month string `query:"month" maxLength:"7" doc:"2026-11"`
	Day   string `query:"day" maxLength:"10" doc:"2026-11-25"`
	From  string `query:"from" maxLength:"10" doc:"first day of another period"`
	To    string `query:"to" maxLength:"10" doc:"its last day"`
	Lang  string `query:"lang" enum:"nl,fr,de,en" default:"en" doc:"language of the definitions"`
}

// rawFile is an answer that is not JSON.
type rawFile struct {
	Type string `header:"Content-Type"`
	Name string `header:"Content-Disposition"`
	Body []byte
}

func (f File) answer() *rawFile {
	return &rawFile{f.Type, `attachment; filename="` + f.Name + `"`, f.Body}
}

// figures adds what is told in numbers.
func (a *API) figures(x *api.Routes) {
	texts, err := figures.Texts()
	if err != nil {
		panic(err) // ours: a bug at start-up
	}
	tell := func(ctx context.Context, in *Chosen) (figures.Document, error) {
		p, err := ParsePeriod(a.shield.clock.Now(), in.Year, in.Month, in.Day, in.From, in.To)
		if err != nil {
			return figures.Document{}, err
		}
		d, err := a.shield.Figures(ctx, p)
		d.Define(texts, bolwerk.Lang(in.Lang))
		return d, err
	}
	api.Add(x, account.Look, "GET", "/figures", "Tell the figures of a period beside those before it", func(ctx context.Context, in *Chosen) (*api.Answer[figures.Document], error) {
		d, err := tell(ctx, in)
		return &api.Answer[figures.Document]{Body: d}, err
	})
	api.Add(x, account.Look, "GET", "/figures/csv", "Tell the figures of a period as CSV", func(ctx context.Context, in *Chosen) (*rawFile, error) {
		d, err := tell(ctx, in)
		if err != nil {
			return nil, err
		}
		return File{"figures-" + d.From + "-" + d.To + ".csv", "text/csv; charset=utf-8", figuresCSV(d)}.answer(), nil
	})
	type wanted struct {
		Year   string `query:"year" maxLength:"4" doc:"2026; this year where none is chosen"`
		Lang   string `query:"lang" enum:"nl,fr,de,en" default:"en" doc:"language of the report"`
		Format string `query:"format" enum:"html,pdf" default:"html" doc:"pdf needs a Chromium at the desk"`
	}
	api.Add(x, account.Look, "GET", "/figures/report", "Make the report of a year", func(ctx context.Context, in *wanted) (*rawFile, error) {
		f, err := a.shield.Report(ctx, in.Year, bolwerk.Lang(in.Lang), cmp.Or(in.Format, "html"))
		if err != nil {
			return nil, err
		}
		return f.answer(), nil
	})
}

// figuresCSV is a document as a table: a row for each number, beside the one
// before. What is not shown is "few" (1 to 4) or "held".
func figuresCSV(d figures.Document) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	cell := func(c figures.Cell) string {
		if c.Mark != figures.Shown {
			return string(c.Mark)
		}
		return strconv.FormatInt(c.N, 10)
	}
	put := func(cols ...string) { w.Write(cols) } // into memory: cannot fail
	put("figure", "by", "kind", "from", "to", "now", "before_from", "before_to", "before")
	row := func(figure, by, kind, now, before string) {
		put(figure, by, harmless(kind), d.From, d.To, now, d.BeforeFrom, d.BeforeTo, before)
	}
	for _, f := range d.Figures {
		row(f.Key, "", "", cell(f.Now), cell(f.Before))
		for _, by := range f.By {
			for _, r := range by.Rows {
				row(f.Key, by.By, r.Key, cell(r.Now), cell(r.Before))
			}
		}
	}
	percent := func(p figures.Percent) string {
		switch s := strconv.FormatFloat(p.Value, 'f', 2, 64); {
		case !p.Known:
			return ""
		case p.AtMost:
			return "<=" + s
		default:
			return s
		}
	}
	for _, r := range d.Rates {
		row(r.Key, "percent", "", percent(r.Now), percent(r.Before))
	}
	seconds := func(t figures.Times, n int64) string {
		if !t.Known {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	for _, t := range d.Tables {
		for _, r := range t.Rows {
			for i, month := range t.Columns {
				row(t.Figure, t.By+" month", r.Key+" "+month, cell(r.Now[i]), cell(r.Before[i]))
			}
		}
	}
	for _, c := range append(d.Clocks[:len(d.Clocks):len(d.Clocks)], d.Reached...) {
		row(c.Key, "seconds", "p50", seconds(c.Now, c.Now.P50), seconds(c.Before, c.Before.P50))
		row(c.Key, "seconds", "p95", seconds(c.Now, c.Now.P95), seconds(c.Before, c.Before.P95))
	}
	w.Flush()
	return b.Bytes()
}
