package abuse

import (
	"embed"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/idn"
	"bolwerk/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of the abuse desk's pages, for web.Site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Places are the abuse desk's entries of the console's navigation.
func Places() []web.Place {
	return []web.Place{
		{Path: "/abuse", Text: "abuse.cases", Also: []string{"/abuse/case", "/abuse/exemptions"}},
		{Path: "/abuse/quarantines", Text: "abuse.quarantines", Also: []string{"/abuse/quarantine"}},
		{Path: "/abuse/reports", Text: "abuse.reports", Also: []string{"/abuse/report"}},
		{Path: "/abuse/figures", Text: "abuse.figures.short"},
		{Path: "/abuse/looks", Text: "abuse.looks", For: func(w *web.Who) bool { return w.Role == string(account.PrivacyOfficer) }},
	}
}

var number = regexp.MustCompile(`^(?i)(a[br]|q)-\d{4}-\d{6,}$`)

// Find is the page of a case or report whose number was typed; "" for anything else.
func Find(text string) string {
	m := number.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return ""
	}
	path := "/abuse/case/"
	switch strings.ToLower(m[1]) {
	case "ar":
		path = "/abuse/report/"
	case "q":
		path = "/abuse/quarantine/"
	}
	return path + strings.ToUpper(m[0])
}

// Pages are the abuse desk's part of the console.
type Pages struct {
	d     *Desk
	frame *web.Frame
	pages *web.Pages

	kit    *garden.Kit // nil: nobody has a garden
	guests Guests
}

// NewPages reads the templates.
func NewPages(d *Desk, frame *web.Frame) (*Pages, error) {
	p, err := frame.Pages(fs.FS(pageFiles), "pages")
	return &Pages{d: d, frame: frame, pages: p}, err
}

// Routes adds the pages to mux. Looking needs account.Look, every change
// account.Decide.
func (p *Pages) Routes(mux *http.ServeMux, door *account.Door) {
	type handler func(w http.ResponseWriter, r *http.Request, who account.Person) error
	add := func(pattern string, right account.Right, fn handler) {
		mux.Handle(pattern, door.Require(right, p.frame.Do(func(w http.ResponseWriter, r *http.Request) error {
			who, _ := account.From(r.Context())
			return fn(w, r, who)
		})))
	}
	add("GET /abuse", account.Look, p.cases)
	add("POST /abuse", account.Decide, p.casesOf)
	add("GET /abuse/case/{id}", account.Look, p.casePage)
	add("GET /abuse/reports", account.Look, p.reports)
	add("GET /abuse/report/{id}", account.Look, p.report)
	add("GET /abuse/exemptions", account.Look, p.exemptions)
	add("POST /abuse/exemptions/{id}/end", account.Decide, p.endExemption)
	add("GET /abuse/figures", account.Look, p.figures)
	if p.kit != nil {
		add("GET /abuse/guest/{id}", account.Look, p.guest)
	}
	p.informRoutes(func(pattern string, right account.Right, fn func(http.ResponseWriter, *http.Request, account.Person) error) {
		add(pattern, right, fn)
	})
	add("GET /abuse/looks", account.Oversee, p.looks)
	p.quarantineRoutes(func(pattern string, right account.Right, fn func(http.ResponseWriter, *http.Request, account.Person) error) {
		add(pattern, right, fn)
	})
	for _, name := range []string{"close", "reopen", "note", "exempt", "end", "ask", "steer", "retest"} {
		add("POST /abuse/case/{id}/"+name, account.Decide, func(w http.ResponseWriter, r *http.Request, who account.Person) error {
			return p.decide(w, r, who, name)
		})
	}
	for _, name := range []string{"take", "aside"} {
		add("POST /abuse/report/{id}/"+name, account.Decide, func(w http.ResponseWriter, r *http.Request, who account.Person) error { return p.sort(w, r, who, name) })
	}
}

// common is what every page is given.
type common struct {
	Me    account.Person
	May   bool
	Done  string
	Wrong struct{ Form, What, Hint string }
	Form  url.Values
}

// Visible shows strangers' text: control and bidi characters are escaped.
func (common) Visible(s string) string { return idn.EscapeLines(s) }

// Type is the second part of a class, for which there is a word.
func (common) Type(c reading.Class) string {
	_, t, _ := strings.Cut(string(c), "/")
	return t
}

func commonOf(r *http.Request, who account.Person) common {
	c := common{Me: who, May: who.May(account.Decide), Form: r.PostForm}
	if h := account.Held(r); h.Path != "" { // a form that came when the session had ended
		c.Form = h.Form
	}
	switch d := r.URL.Query().Get("done"); d {
	case "closed", "reopened", "noted", "exempted", "ended", "taken", "aside", "told", "asked", "steered", "quarantine_approve", "quarantine_decline", "quarantine_release", "quarantine_retry", "retested":
		c.Done = "abuse.done." + d
	}
	return c
}

// beside puts an error of one of our kinds beside a form.
func (c *common) beside(form string, err error) (status int, _ error) {
	x, ok := web.Beside(err)
	if !ok || x.Status == http.StatusNotFound {
		return 0, err
	}
	c.Wrong.Form, c.Wrong.What, c.Wrong.Hint = form, x.Detail, x.Hint
	return x.Status, nil
}

func clip(s string) string { return strings.TrimSpace(s[:min(len(s), 253)]) }

// classGroups are what the filter of cases offers: the first parts of classes.
var classGroups = []string{"abusive-content", "malicious-code", "information-gathering", "intrusion-attempts", "intrusions", "availability", "information-content-security", "fraud", "vulnerable", "other"}

type casesData struct {
	common
	F      CaseFilter
	Groups []string
	Rows   []CaseRow
	Count  desk.Counted
	Next   string
}

func (p *Pages) cases(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := casesData{common: commonOf(r, who), Groups: classGroups}
	data.F = CaseFilter{State: clip(q.Get("state")), Class: clip(q.Get("class")), Severity: clip(q.Get("severity")), After: clip(q.Get("after")), Limit: 50}
	if !q.Has("state") {
		data.F.State = "open"
	}
	if data.F.State == "any" {
		data.F.State = ""
	}
	if data.Rows, err = p.d.Cases(r.Context(), data.F); err != nil {
		return err
	}
	if data.Count, err = p.d.CountCases(r.Context(), data.F); err != nil {
		return err
	}
	if len(data.Rows) == data.F.Limit {
		q.Set("after", data.Rows[len(data.Rows)-1].ID)
		data.Next = "/abuse?" + q.Encode()
	}
	if data.F.State == "" {
		data.F.State = "any"
	}
	return p.pages.Render(w, r, http.StatusOK, "cases", data)
}

type noteData struct {
	NoteRow
	Name string
}

type caseData struct {
	common
	C       CaseView
	Notes   []noteData
	Next    string // what to do now, as the key of a text
	Reasons []Reason
	Sure    string
	Guest   bool // the page of a quarantine can be looked at
	MayTest bool // its line can be tested now
}

// nextOf is what is to be done about a class, as the key of a text.
func nextOf(c reading.Class) string {
	switch c {
	case reading.Spam:
		return "spam"
	case reading.Infected, reading.C2, reading.SysCompromise, reading.AppCompromise, reading.PrivilegedAcc, reading.Account:
		return "infected"
	case reading.DDoS, reading.DoS, reading.Scanner, reading.BruteForce, reading.Exploiting, reading.NewExploit:
		return "attack"
	case reading.MalwareSite, reading.MalwareConfig, reading.Phishing, reading.Masquerade:
		return "content"
	case reading.Amplifier, reading.OpenService, reading.Disclosing, reading.WeakCrypto, reading.Vulnerable, reading.Misconfigured:
		return "open"
	}
	return "other"
}

func (p *Pages) casePage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showCase(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showCase(w http.ResponseWriter, r *http.Request, status int, c common) error {
	v, err := p.d.Case(r.Context(), c.Me.Actor(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data := caseData{common: c, C: v, Next: nextOf(v.Class), Reasons: Reasons(), Sure: string(v.Sure()), Guest: p.kit != nil, MayTest: c.May && v.Test.MayTest(p.d.clock.Now())}
	var actors []bolwerk.Actor
	for _, n := range v.History {
		actors = append(actors, n.Actor)
	}
	names, err := account.Names(r.Context(), p.d.db, actors...)
	if err != nil {
		return err
	}
	for _, n := range v.History {
		data.Notes = append(data.Notes, noteData{n, names[n.Actor]})
	}
	w.Header().Set("Cache-Control", "no-store") // it names a subscriber
	return p.pages.Render(w, r, status, "case", data)
}

func (p *Pages) decide(w http.ResponseWriter, r *http.Request, who account.Person, name string) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	ctx, id, f, done := r.Context(), r.PathValue("id"), r.PostForm, ""
	var err error
	switch name {
	case "close":
		done, err = "closed", p.d.Close(ctx, who, id, Reason(f.Get("reason")), f.Get("text"))
	case "reopen":
		done, err = "reopened", p.d.Reopen(ctx, who, id, f.Get("text"))
	case "note":
		done, err = "noted", p.d.Note(ctx, who, id, f.Get("kind") == "statement", f.Get("text"))
	case "exempt":
		days, _ := strconv.Atoi(strings.TrimSpace(f.Get("days"))) // what is no number is refused as 0 is
		done, err = "exempted", p.d.Except(ctx, who, id, f.Get("scope") == "every", days, f.Get("text"))
	case "ask":
		done = "asked"
		_, _, err = p.d.AskQuarantine(ctx, who, id, wishOf(f))
	case "steer":
		done, err = "steered", p.d.Steer(ctx, who, id, f.Get("do"), f.Get("text"))
	case "retest":
		done = "retested"
		_, err = p.d.Retest(ctx, who, id)
	case "end":
		done, err = "ended", p.d.EndExemption(ctx, who, id, f.Get("exemption"))
	}
	if err == nil {
		http.Redirect(w, r, "/abuse/case/"+url.PathEscape(id)+"?done="+done, http.StatusSeeOther)
		return nil
	}
	c := commonOf(r, who)
	status, err := c.beside(name, err)
	if err != nil {
		return err
	}
	return p.showCase(w, r, status, c)
}

type reportsData struct {
	common
	State string
	Rows  []ReportRow
	Count desk.Counted
	Next  string
}

func (p *Pages) reports(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := reportsData{common: commonOf(r, who), State: clip(q.Get("state"))}
	f := ReportFilter{State: data.State, After: clip(q.Get("after")), Limit: 50}
	if !q.Has("state") {
		f.State, data.State = "person", "person"
	}
	if f.State == "any" {
		f.State = ""
	}
	if data.Rows, data.Count, err = p.d.Reports(r.Context(), f); err != nil {
		return err
	}
	if len(data.Rows) == f.Limit {
		q.Set("after", data.Rows[len(data.Rows)-1].ID)
		data.Next = "/abuse/reports?" + q.Encode()
	}
	return p.pages.Render(w, r, http.StatusOK, "reports", data)
}

type candidateRow struct {
	Key, Who, Line, Level string
	Why                   []string
	Since                 time.Time
}

type eventData struct {
	EventRow
	Candidates []candidateRow
}

type reportData struct {
	common
	R      ReportView
	Events []eventData
	Waits  bool
	Codes  []Code
}

func (p *Pages) report(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showReport(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showReport(w http.ResponseWriter, r *http.Request, status int, c common) error {
	v, err := p.d.Report(r.Context(), c.Me.Actor(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data := reportData{common: c, R: v, Codes: []Code{NoAction, NeedMore, NotResolvable}, Waits: v.State == "unreadable" || v.State == "person"}
	for _, e := range v.Evidence {
		row := eventData{EventRow: e}
		for _, x := range e.Who {
			one := candidateRow{Key: keyOf(x.Identity), Who: x.Subscriber, Line: x.Line, Level: string(x.Level)}
			if one.Who == "" {
				one.Who = strings.TrimSpace(x.Line + " " + x.Calling)
			}
			for _, why := range x.Why {
				one.Why = append(one.Why, string(why))
			}
			if len(x.Held) > 0 {
				one.Since = x.Held[0].Start
			}
			row.Candidates = append(row.Candidates, one)
		}
		data.Events = append(data.Events, row)
	}
	w.Header().Set("Cache-Control", "no-store") // it names subscribers
	return p.pages.Render(w, r, status, "report", data)
}

func (p *Pages) sort(w http.ResponseWriter, r *http.Request, who account.Person, name string) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	id, f, done := r.PathValue("id"), r.PostForm, ""
	var err error
	if name == "take" {
		done, err = "taken", p.d.Take(r.Context(), who, f.Get("event"), f.Get("candidate"), f.Get("text"))
	} else {
		done, err = "aside", p.d.PutAside(r.Context(), who, id, f.Get("event"), Code(f.Get("code")), f.Get("text"))
	}
	if err == nil {
		http.Redirect(w, r, "/abuse/report/"+url.PathEscape(id)+"?done="+done, http.StatusSeeOther)
		return nil
	}
	c := commonOf(r, who)
	status, err := c.beside(name, err)
	if err != nil {
		return err
	}
	return p.showReport(w, r, status, c)
}
