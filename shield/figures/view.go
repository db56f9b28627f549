package figures

import (
	"embed"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/chart"
	"bolwerk/internal/web"
)

//go:embed texts/*.toml
var textFiles embed.FS

//go:embed body.html
var bodyFile string

// body is the part that the page and the report share.
var body = template.Must(template.New("body").Funcs(template.FuncMap{"t": func(string) string { return "" }}).Parse(bodyFile))

// Texts are the names and definitions of the figures, for web.Site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// View is a document in a reader's words: the same on the page and in the report.
type View struct {
	Headline string // the year in one line
	Notes    []string
	Invented string // says so; empty where nothing is
	Now      string // names the period: "2026"
	Before   string // and the one that it stands beside
	Sections []Section
	Clocks   ClockView

	unit  string // of the steps of time
	words func(key string) string
}

// Section is one figure.
type Section struct {
	Key, Title, What    string
	Now, Before, Change string
	Rates               []RateView
	Charts              []Chart
	Tables              []TableView
}

// TableView is a table of kinds by months. Where it has no rows, Why says why.
type TableView struct {
	Title, What, Why string
	Columns          []string
	Rows             []TableViewRow
}

// TableViewRow is a kind: its total, and its cells, each with the one before.
type TableViewRow struct {
	Label         string
	Total, Before string
	Cells         []TableViewCell
}

// TableViewCell is a month. Where both are kept back or to come, Before is empty.
type TableViewCell struct{ Now, Before string }

// RateView is a share beside a figure.
type RateView struct{ Key, Title, What, Now, Before string }

// Chart is a picture with the table behind it.
type Chart struct {
	Title string
	SVG   template.HTML
	Rows  []ChartRow
}

// ChartRow is a row of the table.
type ChartRow struct{ Label, Now, Before string }

// ClockView is how long things took.
type ClockView struct {
	Title, What string
	Rows        []ClockRow
	Chart       Chart
}

// ClockRow is one stage; half and 95 of 100, now and before.
type ClockRow struct{ Key, Title, P50, P95, P50Before, P95Before string }

// viewer makes a View.
type viewer struct {
	*web.Texts
	lang bolwerk.Lang
	d    Document
	now  time.Time
	v    View
}

// rateOf is beside which figure a rate stands.
var rateOf = map[string]string{Withdrawals: FalsePositives, PageViews: PageShare, Answered: AnswerShare}

// maxBars is how many kinds a picture shows; the table shows all.
const maxBars = 12

// NewView tells a document in a language. t holds the texts
// of Texts; now is the present, so that what is to come is not drawn.
func NewView(t *web.Texts, lang bolwerk.Lang, d Document, now time.Time) View {
	w := &viewer{t, lang, d, now, View{unit: d.Unit, words: func(key string) string { return t.T(lang, key) }, Now: span(d.From, d.To)}}
	w.v.Before = w.before()
	w.v.Headline = w.t("headline", w.cell(d.Figure(Visits).Now), w.cell(d.Figure(Campaigns).Now), w.cell(d.Figure(Campaigns).Before), w.v.Before)
	if d.Invented {
		w.v.Invented = w.t("invented")
	}
	w.v.Notes = []string{w.t("withheld"), w.t("utc")}
	if d.Open {
		w.v.Notes = append(w.v.Notes, w.t("open"))
	}
	if d.Missing > 0 {
		w.v.Notes = append(w.v.Notes, w.t("missing", d.Missing))
	}
	for _, f := range d.Figures {
		w.v.Sections = append(w.v.Sections, w.section(f))
	}
	w.clocks()
	return w.v
}

func (w *viewer) t(key string, args ...any) string { return w.T(w.lang, "figures."+key, args...) }

func (w *viewer) number(n int64) string { return web.Number(w.lang, n) }

func (w *viewer) cell(c Cell) string { return c.Text(w.number, w.t("held")) }

// span names a period: a year, a month, a day, or from when to when.
func span(from, to string) string {
	a, errA := time.Parse("2006-01-02", from)
	b, errB := time.Parse("2006-01-02", to)
	next := b.AddDate(0, 0, 1)
	switch {
	case errA != nil || errB != nil:
		return from + " – " + to
	case from == to:
		return from
	case a.YearDay() == 1 && next.YearDay() == 1 && next.Year() == a.Year()+1:
		return a.Format("2006")
	case a.Day() == 1 && next.Day() == 1 && next.Equal(a.AddDate(0, 1, 0)):
		return a.Format("2006-01")
	}
	return from + " – " + to
}

// before names the period that stands beside: the first days of a year as
// briefly as a chart has room for.
func (w *viewer) before() string {
	from, errA := time.Parse("2006-01-02", w.d.BeforeFrom)
	to, errB := time.Parse("2006-01-02", w.d.BeforeTo)
	if errA != nil || errB != nil || from.YearDay() != 1 || from.Year() != to.Year() || to.AddDate(0, 0, 1).YearDay() == 1 {
		return span(w.d.BeforeFrom, w.d.BeforeTo)
	}
	return w.t("until", to.Format("2006"), to.Format("2"), strings.Fields(w.t("months"))[to.Month()-1])
}

// by titles a picture or a table: "Reports by channel".
func (w *viewer) by(figure, by string) string { return w.t(figure) + " " + w.t("by."+by) }

func (w *viewer) section(f Figure) Section {
	s := Section{Key: f.Key, Title: w.t(f.Key), What: w.t(f.Key + ".what"), Now: w.cell(f.Now), Before: w.cell(f.Before)}
	if percent, known := f.Change(); known {
		s.Change = w.t("percent", signed(w.lang, percent))
	}
	for _, r := range w.d.Rates {
		if rateOf[f.Key] == r.Key {
			s.Rates = append(s.Rates, RateView{r.Key, w.t(r.Key), w.t(r.Key + ".what"), w.percent(r.Now), w.percent(r.Before)})
		}
	}
	for i, b := range f.By {
		if i == 0 {
			s.Charts = append(s.Charts, w.byTime(f, b))
		} else if len(b.Rows) > 0 {
			s.Charts = append(s.Charts, w.byKind(f, b))
		}
	}
	for _, t := range w.d.Tables {
		if t.Figure == f.Key {
			s.Tables = append(s.Tables, w.table(t))
		}
	}
	return s
}

// maxTable is how many kinds a table shows; CSV and JSON have all.
const maxTable = 30

func (w *viewer) table(t Table) TableView {
	v := TableView{Title: w.by(t.Figure, t.By+"_month"), What: w.t("table.what")}
	if len(t.Rows) == 0 {
		v.Why = w.t("table.none")
	}
	for _, c := range t.Columns {
		v.Columns = append(v.Columns, w.step(c))
	}
	for _, r := range t.Rows[:min(len(t.Rows), maxTable)] {
		row := TableViewRow{Label: w.kind(t.By, r.Key), Total: w.cell(r.Total), Before: w.cell(r.TotalBefore)}
		for i, c := range t.Columns {
			cell := TableViewCell{w.cell(r.Now[i]), w.cell(r.Before[i])}
			if w.toCome(c) {
				cell = TableViewCell{}
			}
			row.Cells = append(row.Cells, cell)
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

func signed(lang bolwerk.Lang, percent float64) string {
	s := web.Decimal(lang, math.Abs(percent), 0)
	switch {
	case s == "0":
		return "±0"
	case percent < 0:
		return "−" + s
	}
	return "+" + s
}

func (w *viewer) percent(p Percent) string {
	switch {
	case !p.Known:
		return w.t("unknown")
	case p.AtMost:
		return w.t("atmost", web.Decimal(w.lang, math.Ceil(p.Value*10)/10, 1))
	}
	return w.t("percent", web.Decimal(w.lang, p.Value, 1))
}

func (w *viewer) value(c Cell) chart.Value {
	return chart.Value{N: float64(c.N), Text: w.cell(c), Hidden: c.Mark != Shown}
}

// step names a step of time: "Mar", "25".
func (w *viewer) step(key string) string {
	if at, err := time.Parse("2006-01", key); err == nil {
		return strings.Fields(w.t("months"))[at.Month()-1]
	}
	return strings.TrimLeft(key[strings.LastIndexByte(key, '-')+1:], "0")
}

// toCome says that a step of time has not begun.
func (w *viewer) toCome(key string) bool {
	for _, form := range []string{"2006-01", "2006-01-02"} {
		if at, err := time.Parse(form, key); err == nil {
			return at.After(w.now)
		}
	}
	return false
}

func (w *viewer) byTime(f Figure, b Breakdown) Chart {
	title := w.by(f.Key, b.By)
	c := Chart{Title: title}
	pic := chart.Columns{About: chart.About{ID: "c-" + strings.ReplaceAll(f.Key, "_", "-"), Title: title}, Now: w.v.Now, Before: w.v.Before, Axis: func(n float64) string { return w.number(int64(n)) }}
	most := -1
	for i, r := range b.Rows {
		now, before := w.value(r.Now), w.value(r.Before)
		row := ChartRow{r.Key, now.Text, before.Text}
		if w.toCome(r.Key) {
			// Nor is the period before counted that far: no number, not 0.
			now, before = chart.Value{None: true}, chart.Value{None: true}
			row.Now, row.Before = "", ""
		} else if r.Now.N > 0 && (most < 0 || r.Now.N > b.Rows[most].Now.N) {
			most = i
		}
		c.Rows = append(c.Rows, row)
		pic.Steps = append(pic.Steps, chart.Step{Label: w.step(r.Key), Value: now, Before: &before})
	}
	if most >= 0 {
		pic.Desc = w.t("most", b.Rows[most].Key, w.cell(b.Rows[most].Now))
	}
	c.SVG = pic.SVG()
	return c
}

func (w *viewer) byKind(f Figure, b Breakdown) Chart {
	title := w.by(f.Key, b.By)
	c := Chart{Title: title}
	pic := chart.Bars{About: chart.About{ID: "c-" + strings.ReplaceAll(f.Key+"-"+b.By, "_", "-"), Title: title}, Now: w.v.Now, Before: w.v.Before}
	for i, r := range b.Rows {
		now, before := w.value(r.Now), w.value(r.Before)
		label := w.kind(b.By, r.Key)
		c.Rows = append(c.Rows, ChartRow{label, now.Text, before.Text})
		if i < maxBars {
			pic.Rows = append(pic.Rows, chart.Row{Label: label, Value: now, Before: &before})
		}
	}
	if len(b.Rows) > 0 && b.Rows[0].Now.N > 0 {
		pic.Desc = w.t("most", w.kind(b.By, b.Rows[0].Key), w.cell(b.Rows[0].Now))
	}
	c.SVG = pic.SVG()
	return c
}

// kind names a kind: a word of ours, or a name such as a brand.
func (w *viewer) kind(by, key string) string {
	if key == "none" {
		return w.t("none")
	}
	if k := TextKey(by, key); k != "" && w.Has(k) {
		return w.T(w.lang, k)
	}
	return key
}

func (w *viewer) took(seconds int64) string { return Took(w.Texts, w.lang, seconds) }

// Took is a length of time, with one decimal where that matters.
func Took(t *web.Texts, lang bolwerk.Lang, seconds int64) string {
	tell := func(key string, n float64) string {
		digits := 0
		if n < 10 && n != math.Trunc(n) {
			digits = 1
		}
		return t.T(lang, "figures."+key, web.Decimal(lang, n, digits))
	}
	switch s := float64(seconds); {
	case s < 100:
		return tell("seconds", s)
	case s < 100*60:
		return tell("minutes", s/60)
	case s < 72*3600:
		return tell("hours", s/3600)
	default:
		return tell("days", s/86400)
	}
}

func (w *viewer) clocks() {
	c := ClockView{Title: w.t("clocks"), What: w.t("clocks.what")}
	times := func(t Times) (string, string) {
		if !t.Known {
			return w.t("unknown"), w.t("unknown")
		}
		return w.took(t.P50), w.took(t.P95)
	}
	for _, k := range w.d.Clocks {
		r := ClockRow{Key: k.Key, Title: w.t(k.Key)}
		r.P50, r.P95 = times(k.Now)
		r.P50Before, r.P95Before = times(k.Before)
		c.Rows = append(c.Rows, r)
		if k.Key != ClockDecided {
			continue
		}
		half := chart.Line{Name: "p50"}
		most := chart.Line{Name: "p95"}
		pic := chart.Lines{About: chart.About{ID: "c-clock", Title: w.t(k.Key)}, Axis: func(n float64) string { return w.took(int64(n * 60)) }} // in minutes: round marks
		c.Chart.Title = w.t(k.Key)
		for i, key := range w.d.Steps() {
			if i >= len(k.Steps) || w.toCome(key) {
				continue
			}
			t := k.Steps[i]
			p50, p95 := times(t)
			pic.Steps = append(pic.Steps, w.step(key))
			half.Points = append(half.Points, chart.Value{N: float64(t.P50) / 60, Text: p50, None: !t.Known})
			most.Points = append(most.Points, chart.Value{N: float64(t.P95) / 60, Text: p95, None: !t.Known})
			c.Chart.Rows = append(c.Chart.Rows, ChartRow{key, p50, p95})
		}
		pic.Series = []chart.Line{most, half}
		if slices.ContainsFunc(half.Points, func(v chart.Value) bool { return !v.None }) {
			c.Chart.SVG = pic.SVG()
		}
	}
	for _, k := range w.d.Reached {
		r := ClockRow{Key: k.Key, Title: w.t("clock_reached", strings.TrimPrefix(k.Key, ClockReached))}
		r.P50, r.P95 = times(k.Now)
		r.P50Before, r.P95Before = times(k.Before)
		c.Rows = append(c.Rows, r)
	}
	w.v.Clocks = c
}

// Define puts the definitions into a document, in a language.
func (d *Document) Define(t *web.Texts, lang bolwerk.Lang) {
	for i := range d.Figures {
		d.Figures[i].Definition = t.T(lang, "figures."+d.Figures[i].Key+".what")
	}
	for i := range d.Reached {
		d.Reached[i].Definition = t.T(lang, "figures.clock_reached", strings.TrimPrefix(d.Reached[i].Key, ClockReached)) + ". " + t.T(lang, "figures.clocks.what")
	}
	for i := range d.Rates {
		d.Rates[i].Definition = t.T(lang, "figures."+d.Rates[i].Key+".what")
	}
	for i := range d.Clocks {
		d.Clocks[i].Definition = t.T(lang, "figures."+d.Clocks[i].Key) + ". " + t.T(lang, "figures.clocks.what")
	}
}

// Body is all of a view but its headline, as HTML for a page or a report.
func (v View) Body() (template.HTML, error) {
	t, err := body.Clone()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Funcs(template.FuncMap{"t": v.words}).Execute(&b, v)
	return template.HTML(b.String()), err
}

// headed is a picture with the heads of its table's columns.
type headed struct {
	Chart Chart
	A, B  string
}

// Annex are all pictures over time as one table: what was drawn, to be read.
type Annex struct {
	Title string
	Steps []string
	Rows  []AnnexRow
}

// Wide is how many columns the table has.
func (a Annex) Wide() int { return len(a.Steps) + 1 }

// AnnexRow is one figure: its steps, and those of the period before.
type AnnexRow struct {
	Title       string
	Now, Before []string
}

// Annex makes the table of what the view draws over time.
func (v View) Annex() Annex {
	a := Annex{Title: v.words("figures.annex." + v.unit)}
	for i, s := range v.Sections {
		row := AnnexRow{Title: s.Title}
		for _, r := range s.Charts[0].Rows {
			if i == 0 {
				a.Steps = append(a.Steps, r.Label)
			}
			row.Now, row.Before = append(row.Now, r.Now), append(row.Before, r.Before)
		}
		a.Rows = append(a.Rows, row)
	}
	for _, of := range []string{"p50", "p95"} {
		row := AnnexRow{Title: v.Clocks.Chart.Title + ", " + of}
		for _, r := range v.Clocks.Chart.Rows {
			value := r.Now
			if of == "p95" {
				value = r.Before
			}
			row.Now = append(row.Now, value)
		}
		for len(row.Now) < len(a.Steps) {
			row.Now = append(row.Now, "") // to come
		}
		a.Rows = append(a.Rows, row)
	}
	return a
}

// With is for the template.
func (v View) With(c Chart) headed { return headed{c, v.Now, v.Before} }

// WithClock is for the template.
func (v View) WithClock(c Chart) headed { return headed{c, "p50", "p95"} }
