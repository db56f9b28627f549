package shield

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/chart"
	"bolwerk/internal/web"
)

type campaignsData struct {
	common
	around
	Rows   []CampaignRow
	State  string
	Query  string
	States []CampaignState
}

func (p *Pages) campaignList(ctx context.Context, f CampaignFilter) listOf[CampaignRow] {
	return listOf[CampaignRow]{
		name: "campaigns",
		rows: func(after string, limit int) ([]CampaignRow, error) {
			f.After, f.Limit = after, limit
			return p.s.Campaigns(ctx, f)
		},
		count: func() (desk.Counted, error) { return p.s.CountCampaigns(ctx, f) },
		id:    func(k CampaignRow) string { return k.ID },
		columns: []column[CampaignRow]{
			{"ref", func(k CampaignRow) string { return k.Ref }}, {"brand", func(k CampaignRow) string { return k.Brand }}, {"title", func(k CampaignRow) string { return k.Title }},
			{"state", func(k CampaignRow) string { return string(k.State) }}, {"cases", func(k CampaignRow) string { return number(k.Cases) }}, {"reports", func(k CampaignRow) string { return number(k.Reports) }},
			{"blocks", func(k CampaignRow) string { return number(k.Blocks) }}, {"dns_hits", func(k CampaignRow) string { return number(k.Hits.DNS) }}, {"page_views", func(k CampaignRow) string { return number(k.Hits.Page) }},
			{"first_seen", func(k CampaignRow) string { return stamp(k.FirstSeen) }}, {"last_seen", func(k CampaignRow) string { return stamp(k.LastSeen) }},
		},
	}
}

func (p *Pages) campaigns(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := campaignsData{common: commonOf(r, who), State: clip(q.Get("state")), Query: clip(q.Get("q")), States: []CampaignState{Active, Quiet, Ended}}
	l := p.campaignList(r.Context(), CampaignFilter{State: CampaignState(data.State), Query: data.Query})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "campaigns", data)
}

type campaignData struct {
	common
	around
	K       CampaignView
	Rows    []queueRow
	Charts  []series
	Wait    counting // names that wait
	PerHour bool
	// Siblings are those of K, as their names are shown.
	Siblings []siblingRow
}

type siblingRow struct {
	Sibling
	Show Shown
}

// Boxes are what its sites ask for.
func (d campaignData) Boxes() asking { return asking{d.Form, d.K.AskedFor} }

// series is what happened in steps of time, as a picture and as a table.
type series struct {
	Key   string // of its title
	SVG   template.HTML
	Steps []seriesStep
	Sum   int64
}

type seriesStep struct {
	At    time.Time
	Label string
	N     int64
}

func (p *Pages) campaign(w http.ResponseWriter, r *http.Request, who account.Person) error {
	ctx := r.Context()
	data := campaignData{common: commonOf(r, who)}
	var err error
	if data.K, err = p.s.Campaign(ctx, r.PathValue("id")); err != nil {
		return err
	}
	if into := data.K.MergedInto; into != "" { // the number on an old letter leads on
		http.Redirect(w, r, "/campaign/"+url.PathEscape(into), http.StatusSeeOther)
		return nil
	}
	l := p.queueList(ctx, QueueFilter{})
	l.name = data.K.Ref
	l.rows = func(after string, limit int) ([]queueRow, error) {
		all, err := p.s.members(ctx, data.K.ID, after, limit)
		return p.queueRows(all), err
	}
	l.count = func() (desk.Counted, error) { return desk.Counted{N: data.K.Cases}, nil }
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	for _, b := range data.K.Siblings {
		data.Siblings = append(data.Siblings, siblingRow{b, p.s.showName(b.Name)})
	}
	data.Wait = around{Count: data.K.Waiting}.Counting("shield.campaign.confirm")
	data.Charts, data.PerHour = p.timeline(web.Lang(r), data.K.Hours, campaignMeasures)
	return p.pages.Render(w, r, http.StatusOK, "campaign", data)
}

// perHour is up to which length a timeline has a step for each hour; beyond it
// has one for each day.
const perHour = 48 * time.Hour

// measure is what a series counts.
type measure struct {
	key string // text of its title
	n   func(CampaignHour) int64
}

var campaignMeasures = []measure{
	{"shield.reports", func(h CampaignHour) int64 { return h.Reports }},
	{"shield.campaign.blocked", func(h CampaignHour) int64 { return h.Blocks }},
	{"shield.campaign.dns", func(h CampaignHour) int64 { return h.Hits.DNS }},
}

// timeline draws what happened over the same steps of time, one picture for each
// measure: by hours where it is short, else by days.
func (p *Pages) timeline(lang bolwerk.Lang, all []CampaignHour, measures []measure) (out []series, hours bool) {
	if len(all) == 0 {
		return nil, false
	}
	zone := p.frame.Zone()
	from, to := all[0].At.In(zone), all[len(all)-1].At.In(zone)
	hours = to.Sub(from) <= perHour
	begin := func(at time.Time) time.Time {
		at = at.In(zone)
		if hours {
			return at.Truncate(time.Hour)
		}
		return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, zone)
	}
	after := func(at time.Time) time.Time {
		if hours {
			return at.Add(time.Hour)
		}
		return at.AddDate(0, 0, 1)
	}
	var steps []time.Time
	at := map[int64]int{}
	for t := begin(from); !t.After(to); t = after(t) {
		at[t.Unix()] = len(steps)
		steps = append(steps, t)
	}
	for _, m := range measures {
		s := series{Key: m.key}
		for _, t := range steps {
			label := t.Format("15:04")
			if !hours {
				label = t.Format("01-02")
			}
			s.Steps = append(s.Steps, seriesStep{At: t, Label: label})
		}
		for _, h := range all {
			if i, ok := at[begin(h.At).Unix()]; ok {
				s.Steps[i].N += m.n(h)
				s.Sum += m.n(h)
			}
		}
		s.SVG = p.columns(lang, m.key, s)
		out = append(out, s)
	}
	return out, hours
}

// columns draws a series as standing bars.
func (p *Pages) columns(lang bolwerk.Lang, title string, s series) template.HTML {
	texts := p.frame.Texts()
	c := chart.Columns{About: chart.About{ID: "chart-" + title, Title: texts.T(lang, title), Desc: texts.T(lang, "shield.chart.sum", s.Sum)}, Height: 140,
		Axis: func(f float64) string { return web.Number(lang, int64(f)) }}
	for _, st := range s.Steps {
		c.Steps = append(c.Steps, chart.Step{Label: st.Label, Value: chart.Value{N: float64(st.N), Text: web.Number(lang, st.N)}})
	}
	return c.SVG()
}
