package shield

import (
	"html/template"
	"net/http"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/chart"
	"bolwerk/internal/web"
)

type pulseData struct {
	common
	Pulse
	Now     time.Time
	Chart   template.HTML // of all targets together
	Targets []targetRow
	// took tells a time of the way in the reader's language.
	took func(time.Duration) string
}

type targetRow struct {
	Target
	Spark template.HTML
}

// Quick tells a short time: milliseconds below ten seconds.
func (d pulseData) Quick(t time.Duration) string { return d.took(t) }

// inForce is the page of the pulse: how long a decision takes to be in force at
// whom, and how the DNS service does by the law's figures.
func (p *Pages) inForce(w http.ResponseWriter, r *http.Request, who account.Person) error {
	all, err := p.s.Pulse(r.Context())
	if err != nil {
		return err
	}
	texts, lang := p.frame.Texts(), web.Lang(r)
	data := pulseData{common: commonOf(r, who), Pulse: all, Now: p.frame.Clock().Now(), took: quick(texts, lang)}
	for _, t := range all.Targets {
		spark := chart.Spark{Width: 160, About: chart.About{Title: t.Name, Desc: texts.T(lang, "shield.pulse.spark", data.took(t.Half), data.took(t.Most))}}
		for _, f := range t.felt {
			if f.took > 0 {
				spark.Points = append(spark.Points, f.took.Seconds())
			}
		}
		data.Targets = append(data.Targets, targetRow{t, spark.SVG()})
	}
	data.Chart = all.chart(texts, lang, p.frame.Zone())
	return p.pages.Render(w, r, http.StatusOK, "in-force", data)
}

// quick tells times of the way.
func quick(texts *web.Texts, lang bolwerk.Lang) func(time.Duration) string {
	return func(t time.Duration) string {
		if t < 10*time.Second {
			return texts.T(lang, "shield.pulse.ms", (t + time.Millisecond/2).Milliseconds())
		}
		return web.Span(t)
	}
}

// chart draws the middle and the longest time of each turn of the hour.
func (p Pulse) chart(texts *web.Texts, lang bolwerk.Lang, zone *time.Location) template.HTML {
	if len(p.steps) < 2 {
		return ""
	}
	told := quick(texts, lang)
	took := map[time.Time][]time.Duration{}
	var most time.Duration
	for _, t := range p.Targets {
		for _, f := range t.felt {
			if f.took > 0 {
				took[f.at] = append(took[f.at], f.took)
				most = max(most, f.took)
			}
		}
	}
	half, slow := chart.Line{Name: texts.T(lang, "shield.pulse.half")}, chart.Line{Name: texts.T(lang, "shield.pulse.slowest")}
	pic := chart.Lines{About: chart.About{ID: "c-pulse", Title: texts.T(lang, "shield.pulse.chart"), Desc: texts.T(lang, "shield.pulse.chart.desc", told(most))},
		Axis: func(n float64) string { return told(time.Duration(n * float64(time.Millisecond))) }}
	value := func(d time.Duration, ok bool) chart.Value {
		return chart.Value{N: float64(d) / float64(time.Millisecond), Text: told(d), None: !ok}
	}
	for _, at := range p.steps {
		all := took[at]
		pic.Steps = append(pic.Steps, at.In(zone).Format("15:04"))
		half.Points = append(half.Points, value(quantile(all, 50), len(all) > 0))
		slow.Points = append(slow.Points, value(quantile(all, 100), len(all) > 0))
	}
	pic.Series = []chart.Line{slow, half}
	return pic.SVG()
}

// Slowest is the longest of the last times, 0 without any.
func (p Pulse) Slowest() (d time.Duration) {
	for _, t := range p.Targets {
		d = max(d, t.Took)
	}
	return d
}

// AnyLate says that a target wants a person.
func (p Pulse) AnyLate() bool { return slices.ContainsFunc(p.Targets, Target.Late) }
