package abuse

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/internal/account"
	"bolwerk/internal/chart"
	"bolwerk/internal/web"
)

// curveDays is how many days of a curve are drawn.
const curveDays = 60

type figuresData struct {
	common
	From, To string
	F        Figures
	Feeds    []feedData
	Weeks    any // pictures
	Curves   any
	Why      any // of closed cases
	Held     any
	Ways     []wayRow
	At       []curveRow
	// Half and Most are the times until customers were told.
	Half, Most string
}

type feedData struct {
	FeedRow
	Spark any
}

// curveRow is a curve as a table tells it.
type curveRow struct {
	FigureCurve
	Left []string // after 1, 7, 14, 30 and 60 days; a dash where too few were observed so long
}

var curveSteps = []float64{1, 7, 14, 30, 60}

func (p *Pages) figures(w http.ResponseWriter, r *http.Request, who account.Person) error {
	q := r.URL.Query()
	data := figuresData{common: commonOf(r, who)}
	from, to, err := span(p.d.clock.Now(), clip(q.Get("from")), clip(q.Get("to")))
	if err != nil {
		return err
	}
	data.From, data.To = from.Format(time.DateOnly), to.Format(time.DateOnly)
	if data.F, err = p.d.Figures(r.Context(), from, to); err != nil {
		return err
	}
	if q.Get("form") == "csv" {
		return figuresCSV(w, data.F)
	}
	feeds, err := p.d.Feeds(r.Context())
	if err != nil {
		return err
	}
	lang, texts := web.Lang(r), p.frame.TextsFor(r)
	if data.F.Told.Cases > 0 {
		data.Half, data.Most = web.Span(time.Duration(data.F.Told.Median)*time.Second), web.Span(time.Duration(data.F.Told.Most)*time.Second)
	}
	for _, f := range feeds {
		spark := chart.Spark{About: chart.About{ID: "feed-" + strconv.Itoa(len(data.Feeds)), Title: f.Name}}
		for _, n := range f.Days {
			spark.Points = append(spark.Points, float64(max(n, 0)))
		}
		data.Feeds = append(data.Feeds, feedData{f, spark.SVG()})
	}
	columns := chart.Columns{About: chart.About{ID: "weeks", Title: texts.T(lang, "abuse.figures.weeks"), Desc: texts.T(lang, "abuse.figures.weeks.desc")}}
	for i, week := range data.F.Weeks {
		label := ""
		if i%max(len(data.F.Weeks)/6, 1) == 0 {
			label = week.Begin.Format("02-01")
		}
		columns.Steps = append(columns.Steps, chart.Step{Label: label, Value: chart.Value{N: float64(week.Opened), Text: strconv.FormatInt(week.Opened, 10)}})
	}
	data.Weeks = columns.SVG()
	lines := chart.Lines{About: chart.About{ID: "curves", Title: texts.T(lang, "abuse.figures.curves"), Desc: texts.T(lang, "abuse.figures.curves.desc")},
		Axis: func(f float64) string { return fmt.Sprintf("%.0f %%", f) }}
	for day := range curveDays + 1 {
		label := ""
		if day%15 == 0 {
			label = strconv.Itoa(day)
		}
		lines.Steps = append(lines.Steps, label)
	}
	lines.Series, data.At = curves(data.F.Curves, func(done Done) string { return texts.T(lang, "abuse.figures.done."+string(done)) })
	if len(lines.Series) > 0 {
		data.Curves = lines.SVG()
	}
	say := func(key string) string { return texts.T(lang, key) }
	data.Why, data.Held, data.Ways = closedBars(data.F.Closed, say), heldBars(data.F.Quarantines, say), ways(data.F.Notices)
	return p.pages.Render(w, r, http.StatusOK, "figures", data)
}

// curves are the lines and the rows of curves. A curve goes as far as somebody was observed,
// and is told of fewest lines or more.
func curves(all []FigureCurve, name func(Done) string) (lines []chart.Line, rows []curveRow) {
	for _, c := range all {
		var points []clean.Point
		for _, x := range c.Points {
			points = append(points, clean.Point{Day: x.Day, Left: x.Left})
		}
		at := func(day float64) (percent float64, known bool) {
			left, known := clean.At(points, day)
			return 100 * left, known && c.Cases >= fewest
		}
		line, row := chart.Line{Name: name(c.Done)}, curveRow{FigureCurve: c}
		for day := range curveDays + 1 {
			percent, known := at(float64(day))
			line.Points = append(line.Points, chart.Value{N: percent, None: !known})
		}
		for _, day := range curveSteps {
			text := "–"
			if percent, known := at(day); known {
				text = fmt.Sprintf("%.0f %%", percent)
			}
			row.Left = append(row.Left, text)
		}
		if c.Cases >= fewest {
			lines = append(lines, line)
		}
		rows = append(rows, row)
	}
	return lines, rows
}

// figuresCSV writes what is told by week and by class, a row for each number that
// a spreadsheet takes.
func figuresCSV(w http.ResponseWriter, f Figures) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="abuse-`+f.From.Format(time.DateOnly)+`-`+f.To.Format(time.DateOnly)+`.csv"`)
	out := csv.NewWriter(w)
	n := func(n int64) string { return strconv.FormatInt(n, 10) }
	out.Write([]string{"of", "what", "reports", "opened", "closed", "cleaned", "returned", "open", "median_days_until_clean"})
	for _, x := range f.Weeks {
		out.Write([]string{"week", x.Begin.Format(time.DateOnly), n(x.Reports), n(x.Opened), n(x.Closed), n(x.Cleaned), "", "", ""})
	}
	for _, x := range f.Classes {
		days := ""
		if x.Days >= 0 {
			days = strconv.FormatFloat(x.Days, 'f', 1, 64)
		}
		out.Write([]string{"class", string(x.Class), "", n(x.Opened), "", n(x.Cleaned), n(x.Returned), n(x.Open), days})
	}
	for _, x := range f.Closed {
		out.Write([]string{"closed", string(x.Class) + " " + string(x.Reason), "", "", n(x.Cases), "", "", "", ""})
	}
	for _, x := range f.Quarantines.Begun {
		out.Write([]string{"quarantine begun", string(x.Class) + " " + string(x.Profile), "", n(x.Quarantines), "", "", "", "", ""})
	}
	for _, x := range f.Quarantines.Ended {
		out.Write([]string{"quarantine ended", string(x.Why), "", "", n(x.Quarantines), "", "", "", ""})
	}
	for _, x := range f.Notices {
		out.Write([]string{"notice", string(x.Channel) + " " + x.State, n(x.Messages), "", "", "", "", "", ""})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return bolwerk.Invalid("figures not sent: %v", err)
	}
	return nil
}
