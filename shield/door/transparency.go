package door

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/web"
	"bolwerk/shield/figures"
)

// putFigures keeps the document of figures as it was published.
func (l *listing) putFigures(e copies.Entry) bool {
	l.figures = nil
	if e.Removed {
		return true
	}
	var p figures.Public
	if json.Unmarshal(e.Body, &p) != nil {
		return false
	}
	l.figures = &p
	return true
}

// public are the published figures; nil before there are any.
func (l *listing) public() *figures.Public {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.figures
}

type figuresPage struct {
	page
	Invented bool
	Log      bool // the transparency log is on this site
	Years    []yearView
}

// yearView is a year of figures in words.
type yearView struct {
	Year    int
	Through string // the last month that is counted, in words; empty for a whole year
	Rows    []figureRow
}

type figureRow struct{ Name, Value, What string }

func (d *Door) transparency(w http.ResponseWriter, r *http.Request) error {
	p := figuresPage{page: d.page(r), Log: d.history != nil}
	if f := d.list.public(); f != nil {
		p.Invented = f.Invented
		for _, y := range f.Years {
			p.Years = append(p.Years, d.year(web.Lang(r), y))
		}
	}
	return d.pages.Render(w, r, http.StatusOK, "transparency", p)
}

// year tells the figures for which there are texts: a later desk may have more.
func (d *Door) year(lang bolwerk.Lang, y figures.PublicYear) yearView {
	texts := d.frame.Texts()
	v := yearView{Year: y.Year, Through: y.Through}
	if m, err := time.Parse("2006-01", y.Through); err == nil && m.Month() == time.December {
		v.Through = ""
	} else if err == nil {
		v.Through = texts.T(lang, "date.month."+strconv.Itoa(int(m.Month()))) + " " + strconv.Itoa(m.Year())
	}
	row := func(key, value string) {
		if name := "door.figure." + key; value != "" && texts.Has(name) {
			v.Rows = append(v.Rows, figureRow{texts.T(lang, name), value, texts.T(lang, name+".what")})
		}
	}
	for _, f := range y.Figures {
		value := f.Total.Text(func(n int64) string { return web.Number(lang, n) }, texts.T(lang, "door.figures.held"))
		if f.AtLeast {
			value = texts.T(lang, "door.figures.least", value)
		}
		row(f.Key, value)
	}
	for _, f := range y.Rates {
		if !f.Now.Known {
			continue
		}
		value := web.Decimal(lang, f.Now.Value, 1) + " %"
		if f.Now.AtMost {
			value = "≤ " + value
		}
		row(f.Key, value)
	}
	for _, c := range y.Clocks {
		if c.Now.Known {
			row(c.Key, texts.T(lang, "door.figures.clock", d.span(lang, time.Duration(c.Now.P50)*time.Second), d.span(lang, time.Duration(c.Now.P95)*time.Second)))
		}
	}
	return v
}

// apiFigures gives the figures as the desk published them.
func (d *Door) apiFigures(w http.ResponseWriter, _ *http.Request) error {
	f := d.list.public()
	if f == nil {
		return bolwerk.NotFound("no figures are published yet")
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.WriteJSON(w, http.StatusOK, f)
}
