package privacy

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/idn"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of the pages and of the document, for web.Site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Home is where a privacy officer begins.
const Home = "/privacy"

// Places are the entries of the console's navigation.
func Places() []web.Place {
	return []web.Place{{Path: Home, Text: "privacy.title", For: func(w *web.Who) bool { return w.Role == string(account.PrivacyOfficer) }}}
}

// Waits tells the first page what waits for a second person.
func (d *Desk) Waits(ctx context.Context) ([]desk.Waits, error) {
	var n desk.Counted
	err := d.db.Read(ctx, func(tx *store.Tx) (err error) {
		n, err = desk.Count(tx, "privacy_request", desk.Where{SQL: `state='waits'`})
		return err
	})
	if err != nil || n.N == 0 {
		return nil, err
	}
	return []desk.Waits{{Path: Home + "/erasures", Text: "privacy.waiting", Counted: n}}, nil
}

// Pages are the privacy officer's part of the console.
type Pages struct {
	d     *Desk
	door  *account.Door
	frame *web.Frame
	pages *web.Pages
}

// NewPages reads the templates.
func NewPages(d *Desk, frame *web.Frame) (*Pages, error) {
	p, err := frame.Pages(fs.FS(pageFiles), "pages")
	return &Pages{d: d, frame: frame, pages: p}, err
}

// Routes adds the pages to mux.
func (p *Pages) Routes(mux *http.ServeMux, door *account.Door) {
	p.door = door
	door.Begin(account.PrivacyOfficer, Home)
	add := func(pattern string, right account.Right, fn func(http.ResponseWriter, *http.Request, account.Person) error) {
		mux.Handle(pattern, door.Require(right, p.frame.Do(func(w http.ResponseWriter, r *http.Request) error {
			who, _ := account.From(r.Context())
			w.Header().Set("Cache-Control", "no-store")
			return fn(w, r, who)
		})))
	}
	add("GET /privacy", account.Oversee, p.home)
	add("POST /privacy/export", account.Oversee, p.export)
	add("POST /privacy/erase", account.Oversee, p.erase)
	add("POST /privacy/hold", account.Oversee, p.hold)
	add("POST /privacy/hold/{id}/end", account.Oversee, p.endHold)
	add("GET /privacy/erasures", account.Countersign, p.erasures)
	add("GET /privacy/erasure/{id}", account.Countersign, p.erasure)
	add("POST /privacy/erasure/{id}/approve", account.Countersign, p.approve)
	add("POST /privacy/erasure/{id}/decline", account.Countersign, p.decline)
}

// common is what every page is given.
type common struct {
	Me    account.Person
	Done  string
	Wrong struct{ Form, What, Hint string }
	Form  url.Values
}

// Visible shows text that others wrote.
func (common) Visible(s string) string { return idn.EscapeLines(s) }

func commonOf(r *http.Request, who account.Person) common {
	c := common{Me: who, Form: r.PostForm}
	if h := account.Held(r); h.Path != "" { // a form that came when the session had ended
		c.Form = h.Form
	}
	switch d := r.URL.Query().Get("done"); d {
	case "asked", "erased", "declined", "held", "ended":
		c.Done = "privacy.done." + d
	}
	return c
}

// beside puts an error of one of our kinds beside a form.
func (c *common) beside(form string, err error) (status int, _ error) {
	x, ok := web.Beside(err)
	if !ok {
		return 0, err
	}
	c.Wrong.Form, c.Wrong.What, c.Wrong.Hint = form, x.Detail, x.Hint
	return x.Status, nil
}

type requestRow struct {
	Request
	Asker, Decider string // log-in names; empty: on the desk's machine
}

type holdRow struct {
	Hold
	Name string
}

type homeData struct {
	common
	Langs    []bolwerk.Lang
	Requests []requestRow
	Held     []holdRow
	Soonest  string // the first day on which a hold may end
}

func (p *Pages) home(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showHome(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showHome(w http.ResponseWriter, r *http.Request, status int, c common) error {
	data := homeData{common: c, Langs: bolwerk.Langs(), Soonest: p.d.clock.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)}
	all, err := p.d.Requests(r.Context())
	if err != nil {
		return err
	}
	if data.Requests, err = p.named(r.Context(), all); err != nil {
		return err
	}
	holds, err := p.d.Holds(r.Context())
	if err != nil {
		return err
	}
	var by []bolwerk.Actor
	for _, h := range holds {
		by = append(by, h.By)
	}
	names, err := account.Names(r.Context(), p.d.db, by...)
	if err != nil {
		return err
	}
	for _, h := range holds {
		data.Held = append(data.Held, holdRow{h, person(names, h.By)})
	}
	return p.pages.Render(w, r, status, "privacy", data)
}

func person(names map[bolwerk.Actor]string, a bolwerk.Actor) string {
	if !a.IsPerson() {
		return ""
	}
	return names[a]
}

func (p *Pages) named(ctx context.Context, all []Request) (out []requestRow, err error) {
	var by []bolwerk.Actor
	for _, q := range all {
		by = append(by, q.AskedBy, q.DecidedBy)
	}
	names, err := account.Names(ctx, p.d.db, by...)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		out = append(out, requestRow{q, person(names, q.AskedBy), person(names, q.DecidedBy)})
	}
	return out, nil
}

// refused shows the first page again with what was refused beside its form.
func (p *Pages) refused(w http.ResponseWriter, r *http.Request, who account.Person, form string, err error) error {
	c := commonOf(r, who)
	status, err := c.beside(form, err)
	if err != nil {
		return err
	}
	return p.showHome(w, r, status, c)
}

func wishOf(r *http.Request) Wish {
	return Wish{Subscriber: r.PostForm.Get("subscriber"), Reason: r.PostForm.Get("reason")}
}

// export answers with a file. Nothing of it is kept on the way.
func (p *Pages) export(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	form := r.PostForm.Get("form")
	var body []byte
	kind, name := "application/json", "privacy-"+p.d.clock.Now().UTC().Format(time.DateOnly)
	var err error
	if form == "json" {
		var x Export
		if x, err = p.d.Export(r.Context(), who.Actor(), wishOf(r)); err == nil {
			body, err = json.MarshalIndent(x, "", "  ")
		}
		name += ".json"
	} else {
		var lang bolwerk.Lang
		if lang, err = ParseLang(form); err == nil {
			body, err = p.d.Document(r.Context(), who.Actor(), wishOf(r), lang)
		}
		kind, name = "text/html; charset=utf-8", name+".html"
	}
	if err != nil {
		return p.refused(w, r, who, "export", err)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, err = w.Write(body)
	return err
}

func (p *Pages) erase(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if _, err := p.d.AskErasure(r.Context(), who, wishOf(r)); err != nil {
		return p.refused(w, r, who, "erase", err)
	}
	http.Redirect(w, r, Home+"?done=asked", http.StatusSeeOther)
	return nil
}

func (p *Pages) hold(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	f := r.PostForm
	wish := HoldWish{Case: f.Get("case"), Subscriber: f.Get("subscriber"), Reason: f.Get("reason"), Legal: f.Get("legal")}
	if day, err := time.Parse(time.DateOnly, f.Get("until")); err == nil { // what is no day is refused as none is
		wish.Until = day.AddDate(0, 0, 1).Add(-time.Second)
	}
	if _, err := p.d.Hold(r.Context(), who.Actor(), wish); err != nil {
		return p.refused(w, r, who, "hold", err)
	}
	http.Redirect(w, r, Home+"?done=held#holds", http.StatusSeeOther)
	return nil
}

func (p *Pages) endHold(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if err := p.d.EndHold(r.Context(), who.Actor(), r.PathValue("id"), r.PostForm.Get("reason")); err != nil {
		return p.refused(w, r, who, "end", err)
	}
	http.Redirect(w, r, Home+"?done=ended#holds", http.StatusSeeOther)
	return nil
}

type erasuresData struct {
	common
	Rows []requestRow
}

func (p *Pages) erasures(w http.ResponseWriter, r *http.Request, who account.Person) error {
	all, err := p.d.Requests(r.Context())
	if err != nil {
		return err
	}
	var waits []Request
	for _, q := range all {
		if q.State == Waits {
			waits = append(waits, q)
		}
	}
	data := erasuresData{common: commonOf(r, who)}
	if data.Rows, err = p.named(r.Context(), waits); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "erasures", data)
}

type erasureData struct {
	common
	R   requestRow
	Own bool // who looks asked for it
}

func (p *Pages) erasure(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showErasure(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showErasure(w http.ResponseWriter, r *http.Request, status int, c common) error {
	q, err := p.d.Show(r.Context(), c.Me, r.PathValue("id"))
	if err != nil {
		return err
	}
	rows, err := p.named(r.Context(), []Request{q})
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "erasure", erasureData{common: c, R: rows[0], Own: q.AskedBy == c.Me.Actor()})
}

func (p *Pages) approve(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	at := "/privacy/erasure/" + url.PathEscape(r.PathValue("id"))
	if !who.Fresh(p.d.clock.Now()) {
		p.door.AskProof(w, r, at)
		return nil
	}
	if _, err := p.d.Approve(r.Context(), who, r.PathValue("id"), r.PostForm.Get("digest")); err != nil {
		return p.undecided(w, r, who, "approve", err)
	}
	http.Redirect(w, r, at+"?done=erased", http.StatusSeeOther)
	return nil
}

func (p *Pages) decline(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if _, err := p.d.Decline(r.Context(), who, r.PathValue("id"), r.PostForm.Get("reason")); err != nil {
		return p.undecided(w, r, who, "decline", err)
	}
	http.Redirect(w, r, "/privacy/erasure/"+url.PathEscape(r.PathValue("id"))+"?done=declined", http.StatusSeeOther)
	return nil
}

func (p *Pages) undecided(w http.ResponseWriter, r *http.Request, who account.Person, form string, err error) error {
	c := commonOf(r, who)
	status, err := c.beside(form, err)
	if err != nil {
		return err
	}
	return p.showErasure(w, r, status, c)
}
