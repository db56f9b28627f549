package shield

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

type warningsData struct {
	common
	around
	Rows  []writtenRow
	Langs []bolwerk.Lang
	Site  string // where the public reads it; empty where no address is configured
}

type writtenRow struct {
	Written
	Who, EndedWho string
	Title         string // in the reader's language
	Shown         []Shown
}

// warnDays are how long a warning may be chosen to stand.
var warnDays = []length{{"168h", "shield.for.week"}, {"24h", "shield.for.day"}, {"72h", "shield.for.days3"}, {"336h", "shield.for.weeks2"}}

// Lengths are the choices of the form.
func (warningsData) Lengths() []length { return warnDays }

// Typed is what was sent for a field of a language.
func (d warningsData) Typed(field string, lang bolwerk.Lang) string {
	return d.Form.Get(field + "_" + string(lang))
}

func (p *Pages) writtenList(r *http.Request) listOf[Written] {
	return listOf[Written]{
		name: "warnings",
		rows: func(after string, limit int) ([]Written, error) {
			return p.s.WrittenWarnings(r.Context(), after, limit)
		},
		count: func() (desk.Counted, error) { return p.s.CountWritten(r.Context()) },
		id:    func(w Written) string { return w.ID },
		columns: []column[Written]{
			{"ref", func(w Written) string { return w.Ref }}, {"brand", func(w Written) string { return w.Brand }}, {"names", func(w Written) string { return strings.Join(w.Names, " ") }},
			{"title", func(w Written) string { return w.In(web.Lang(r)).Title }}, {"by", func(w Written) string { return w.By.String() }}, {"at", func(w Written) string { return stamp(w.At) }},
			{"until", func(w Written) string { return stamp(w.Until) }}, {"ended_at", func(w Written) string { return stamp(w.EndedAt) }}, {"ended_by", func(w Written) string { return w.EndedBy.String() }},
		},
	}
}

// warnings lists what people warned the public of, and has the form for one more.
func (p *Pages) warnings(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if asFile(r) {
		return p.writtenList(r).file(w, r, p.frame.Clock())
	}
	return p.warningsWith(w, r, commonOf(r, who), http.StatusOK)
}

func (p *Pages) warningsWith(w http.ResponseWriter, r *http.Request, c common, status int) error {
	data := warningsData{common: c, Langs: bolwerk.Langs(), Site: strings.TrimSuffix(p.s.cfg.PublicURL, "/")}
	c.May = c.May && judge.May(Decider(c.Me), judge.Warn) == nil
	all, around, err := p.writtenList(r).page(r)
	if err != nil {
		return err
	}
	var actors []bolwerk.Actor
	for _, x := range all {
		actors = append(actors, x.By)
		if !x.EndedAt.IsZero() {
			actors = append(actors, x.EndedBy)
		}
	}
	names, err := account.Names(r.Context(), p.s.db, actors...)
	if err != nil {
		return err
	}
	for _, x := range all {
		row := writtenRow{Written: x, Who: names[x.By], EndedWho: names[x.EndedBy], Title: x.In(web.Lang(r)).Title}
		for _, n := range x.Names {
			if d, err := bolwerk.ParseDomain(n); err == nil {
				row.Shown = append(row.Shown, p.s.showName(d))
			}
		}
		data.Rows = append(data.Rows, row)
	}
	data.around = around
	return p.pages.Render(w, r, status, "warnings", data)
}

// warn publishes what was written.
func (p *Pages) warn(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	in, err := p.warnOf(r)
	if err == nil {
		_, err = p.s.WriteWarning(r.Context(), Decider(who), in)
	}
	if err != nil {
		c := commonOf(r, who)
		status, err := c.beside("warnings", err)
		if err != nil {
			return err
		}
		return p.warningsWith(w, r, c, status)
	}
	return goTo(w, r, "/warnings", "warned")
}

func (p *Pages) warnOf(r *http.Request) (in Warn, err error) {
	f := r.PostForm
	in.Brand = f.Get("brand")
	for _, text := range strings.Fields(f.Get("names")) {
		d, e := typed(text)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		in.Names = append(in.Names, d)
	}
	for _, lang := range bolwerk.Langs() {
		in.Words = append(in.Words, WarningWords{Lang: lang, Title: f.Get("title_" + string(lang)), Text: f.Get("text_" + string(lang))})
	}
	long, e := time.ParseDuration(f.Get("for"))
	if e != nil {
		return in, bolwerk.Invalid("how long the warning stands: choose one of the lengths")
	}
	in.Until = p.s.clock.Now().Add(long)
	return in, err
}

// endWarning takes a warning off the public site.
func (p *Pages) endWarning(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := p.s.EndWarning(r.Context(), Decider(who), r.PathValue("ref")); err != nil {
		return err
	}
	return goTo(w, r, "/warnings", "warning_ended")
}
