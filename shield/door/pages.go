package door

import (
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/web"
	"bolwerk/shield/edge"
)

// page is what every page of the site is given.
type page struct {
	Config
	Faults faults
	Busy   bool // what was sent could not be kept: it may be sent again
	lang   string
	Foot   []FootLink // what others have on the site
}

func (d *Door) page(r *http.Request) page {
	p := page{Config: d.cfg, Foot: d.foot}
	p.Operator = d.frame.Brand(r).Name
	if l := bolwerk.Lang(r.URL.Query().Get("lang")); slices.Contains(bolwerk.Langs(), l) {
		p.lang = string(l)
	}
	return p
}

// To is a path of ours that keeps a language chosen by hand: the site sets no
// cookies, so that links carry it.
func (p page) To(path string) string {
	if p.lang == "" {
		return path
	}
	path, place, _ := strings.Cut(path, "#")
	if path += "?lang=" + p.lang; place != "" {
		path += "#" + place
	}
	return path
}

// Lang is the language chosen by hand, or "".
func (p page) Lang() string { return p.lang }

// Once is the mark of a form, another one each time.
func (p page) Once() string { return rand.Text() }

// HelpMail is the address for forwarded mails, or "".
func (p page) HelpMail() string { return p.ReportAddress.String() }

// Upload is the bound of an upload in MiB.
func (p page) Upload() int64 { return p.MaxUpload >> 20 }

type homePage struct {
	page
	Text     string
	Slowed   string // how long to wait, where the network has used up its rate
	Warnings []warningView
}

// homeWarnings is how many warnings stand on the first page.
const homeWarnings = 3

func (d *Door) homePage(r *http.Request) homePage {
	return homePage{page: d.page(r), Warnings: d.views(web.Lang(r), homeWarnings)}
}

func (d *Door) home(w http.ResponseWriter, r *http.Request) error {
	return d.pages.Render(w, r, http.StatusOK, "home", d.homePage(r))
}

// openForm holds a form to the bounds and reads it. The network's rate is
// charged first: reading costs.
func (d *Door) openForm(w http.ResponseWriter, r *http.Request, most int64) (f form, err error) {
	if err := d.mayReport(r); err != nil {
		return f, err
	}
	leave, err := d.openBody(w, r, most+smallBody)
	if err != nil {
		return f, err
	}
	defer leave()
	if f, err = readForm(r, most); err != nil {
		return f, err
	}
	return f, d.within(d.bytes, r, f.size, "too many bytes from your network in the last hour")
}

func (d *Door) report(w http.ResponseWriter, r *http.Request) error {
	p := d.homePage(r)
	f, err := d.openForm(w, r, d.cfg.MaxUpload)
	var wait *web.Wait
	if errors.As(err, &wait) { // people who share a network are told of another way
		p.Slowed = d.span(web.Lang(r), wait.After.Round(time.Minute)+time.Minute)
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.After/time.Second)+1))
		return d.pages.Render(w, r, http.StatusTooManyRequests, "home", p)
	}
	if err != nil {
		return err
	}
	p.Text = f.text["text"]
	rep, wrong := reportOf(f, d.cfg.MaxUpload)
	if wrong != nil {
		p.Faults = wrong
		return d.pages.Render(w, r, http.StatusUnprocessableEntity, "home", p)
	}
	rep.Lang = web.Lang(r)
	code, err := d.sentOnce(r, f, d.receive(d.frame.Source(r), rep))
	if err != nil {
		p.Busy = true
		return d.busy(w, r, err, "home", p)
	}
	d.toReceipt(w, r, p.page, code)
	return nil
}

// busy shows the form again with what was typed when there is no room for it.
func (d *Door) busy(w http.ResponseWriter, r *http.Request, err error, name string, data any) error {
	if !errors.Is(err, bolwerk.ErrFull) {
		return err
	}
	w.Header().Set("Retry-After", "60")
	return d.pages.Render(w, r, http.StatusServiceUnavailable, name, data)
}

func (d *Door) toReceipt(w http.ResponseWriter, r *http.Request, p page, code bolwerk.Token) {
	private(w.Header())
	http.Redirect(w, r, p.To("/r/"+code.Reveal()), http.StatusSeeOther)
}

type codePage struct {
	page
	Code string
}

// enterCode asks for a code, or leads to its receipt.
func (d *Door) enterCode(w http.ResponseWriter, r *http.Request) error {
	p := codePage{page: d.page(r), Code: r.URL.Query().Get("code")}
	if p.Code == "" {
		return d.pages.Render(w, r, http.StatusOK, "code", p)
	}
	private(w.Header())
	code, err := bolwerk.ParseToken(p.Code[:min(len(p.Code), 200)])
	if err != nil {
		p.Faults = faults{"code": "door.fault.code"}
		return d.pages.Render(w, r, http.StatusUnprocessableEntity, "code", p)
	}
	d.toReceipt(w, r, p.page, code)
	return nil
}

// shown is a name for people's eyes.
type shown struct{ Name, ALabels string }

// ASCII is the name as programs know it.
func (s shown) ASCII() string {
	if s.ALabels != "" {
		return s.ALabels
	}
	return s.Name
}

func show(name string) shown {
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return shown{}
	}
	s := shown{Name: idn.Show(d)}
	if s.Name != d.String() {
		s.ALabels = d.String()
	}
	return s
}

type namePage struct {
	page
	Query  string
	Asked  shown
	Found  bool // the name is blocked
	Listed Listed
	Shown  shown // of the blocked name
	Appeal appealFields
	Log    *logged // where the public log says the same; nil where it does not yet
	Aside  []asideView
	name   bolwerk.Domain
}

type appealFields struct{ Role, Text, Contact string }

// Why, Ground and Scope are the keys of texts.
func (p namePage) Why() string {
	switch p.Listed.Class {
	case "phishing", "fake_shop", "malware", "scam":
		return "door.why." + p.Listed.Class
	}
	return "door.why.other"
}

func (p namePage) Ground() string {
	switch g := edge.Ground(p.Listed.Ground); g {
	case edge.ByOrder, edge.Requested:
		return "door.ground." + string(g)
	}
	return "door.ground.policy"
}

func (p namePage) Scope() string {
	switch {
	case p.Listed.Scope != string(bolwerk.ScopeHost):
		return "door.scope.below"
	case p.Listed.WWW:
		return "door.scope.www"
	}
	return "door.scope.host"
}

// Order says that somebody else decided.
func (p namePage) Order() bool { return p.Listed.Ground == string(edge.ByOrder) }

func (d *Door) namePage(w http.ResponseWriter, r *http.Request) error {
	p := namePage{page: d.page(r), Query: r.URL.Query().Get("q")}
	if p.Query == "" {
		return d.pages.Render(w, r, http.StatusOK, "name", p)
	}
	w.Header().Set("X-Robots-Tag", "noindex, nofollow")
	if err := d.mayLook(r); err != nil {
		return err
	}
	if err := d.lookUp(&p); err != nil {
		return err
	}
	p.Aside = d.aside(web.Lang(r), p.name)
	return d.pages.Render(w, r, p.status(), "name", p)
}

// lookUp fills in what is known of the name that was asked for.
func (d *Door) lookUp(p *namePage) error {
	name, b, ok, err := d.nameOf(p.Query)
	if errors.Is(err, bolwerk.ErrInvalid) {
		p.Query, p.Faults = p.Query[:min(len(p.Query), maxName)], faults{"q": "door.fault.name"}
		return nil
	}
	if err != nil {
		return err
	}
	p.name, p.Asked, p.Found, p.Listed = name, show(name.String()), ok, b
	p.Shown = show(b.Name)
	p.Log = d.loggedAs(name, b, ok)
	return nil
}

func (p namePage) status() int {
	if p.Faults != nil {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

func (d *Door) appealForm(w http.ResponseWriter, r *http.Request) error {
	f, err := d.openForm(w, r, 0)
	if err != nil {
		return err
	}
	p := namePage{page: d.page(r), Query: f.text["name"]}
	p.Appeal = appealFields{f.text["role"], strings.TrimSpace(f.text["text"]), strings.TrimSpace(f.text["contact"])}
	if err := d.lookUp(&p); err != nil {
		return err
	}
	if !p.Found { // the block ended while the form was open, or there was none: the page says so
		return d.pages.Render(w, r, p.status(), "name", p)
	}
	if p.Faults = p.Appeal.faults(); p.Faults != nil {
		return d.pages.Render(w, r, http.StatusUnprocessableEntity, "name", p)
	}
	code, err := d.sentOnce(r, f, d.appeal(edge.Appeal{Name: p.name, Block: p.Listed.Ref, Role: p.Appeal.Role, Text: p.Appeal.Text, Contact: p.Appeal.Contact}))
	if err != nil {
		p.Busy = true
		return d.busy(w, r, err, "name", p)
	}
	d.toReceipt(w, r, p.page, code)
	return nil
}

func (a *appealFields) faults() faults {
	f := faults{}
	if a.Role != "owner" && a.Role != "visitor" {
		f["role"] = "door.fault.role"
	}
	switch {
	case a.Text == "":
		f["text"] = "door.fault.why"
	case runes(a.Text) > edge.MaxAppealText:
		f["text"] = "door.fault.whylong"
	}
	if len(a.Contact) > edge.MaxAppealContact || !oneLine(a.Contact) {
		f["contact"] = "door.fault.contact"
	}
	if len(f) == 0 {
		return nil
	}
	return f
}

// oneLine says that s has no line ends.
func oneLine(s string) bool { return !strings.ContainsAny(s, "\r\n") }
