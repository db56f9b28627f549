package shield

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"time"

	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/chromium"
	"bolwerk/internal/mail"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
	"bolwerk/shield/judge"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of the shield's pages, for web.Site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Places are the shield's entries of the console's navigation.
func Places() []web.Place {
	return []web.Place{
		{Path: "/", Text: "shield.today", Also: []string{"/in-force"}},
		{Path: "/queue", Text: "shield.queue", Also: []string{"/case"}},
		{Path: "/by-hand", Text: "shield.hand.short"},
		{Path: "/pictures", Text: "shield.pictures"},
		{Path: "/campaigns", Text: "shield.campaigns", Also: []string{"/campaign"}},
		{Path: "/warnings", Text: "shield.warnings"},
		{Path: "/proposals", Text: "shield.proposals", Also: []string{"/proposal"}},
		{Path: "/appeals", Text: "shield.appeals", Also: []string{"/appeal"}},
		{Path: "/blocks", Text: "shield.blocks", Also: []string{"/block", "/block-a-name", "/exempt"}},
		{Path: "/orders", Text: "shield.orders"},
		{Path: "/notices", Text: "shield.notices", Also: []string{"/notice"}},
		{Path: "/name", Text: "shield.name", Also: []string{"/near"}},
		{Path: "/brands", Text: "shield.brands"},
		{Path: "/figures", Text: "figures.title", Also: []string{"/automatic"}},
		{Path: "/audit", Text: "shield.audit"},
	}
}

// OutboxPlace is the entry for the mails that went out, where they are listed.
func OutboxPlace() web.Place { return web.Place{Path: "/mail", Text: "shield.mail"} }

// HookPlace is the administrators' entry for webhooks.
func HookPlace() web.Place {
	return web.Place{Path: "/webhooks", Text: "shield.hooks", For: func(w *web.Who) bool { return w.Role == string(account.Administrator) }}
}

// Outbox lists the mails that went out, newest first. Only a demo has one:
// elsewhere an answer is forgotten once it is sent.
type Outbox func(context.Context) ([]mail.Message, error)

// Pages are the shield's part of the console.
type Pages struct {
	s      *Shield
	frame  *web.Frame
	pages  *web.Pages
	outbox Outbox
	door   *account.Door
	open   presence // who has which case open
	hooks  *webhook.Hooks

	elsewhere []func(text string) string
	waits     []func(context.Context) ([]desk.Waits, error)
}

// Elsewhere has the search ask another capability first: find gives the page of what
// was typed where it is a number of its own, or "".
func (p *Pages) Elsewhere(find func(text string) string) { p.elsewhere = append(p.elsewhere, find) }

// Beside has the first page tell what waits for a person at another desk.
func (p *Pages) Beside(waits func(context.Context) ([]desk.Waits, error)) {
	p.waits = append(p.waits, waits)
}

// NewPages reads the templates, and gives s the look that its reports have.
// outbox is nil where sent mails are not shown.
func NewPages(s *Shield, frame *web.Frame, outbox Outbox) (*Pages, error) {
	p, err := frame.Pages(fs.FS(pageFiles), "pages")
	if err != nil {
		return nil, err
	}
	s.reports, err = newReports(frame, chromium.Printer{Path: s.cfg.Chromium})
	return &Pages{s: s, frame: frame, pages: p, outbox: outbox}, err
}

// handler answers a request of somebody who may make it.
type handler func(w http.ResponseWriter, r *http.Request, who account.Person) error

// Routes adds the pages to mux. Looking needs account.Look, every change
// account.Decide; what exactly a person may decide is for the guards.
func (p *Pages) Routes(mux *http.ServeMux, door *account.Door) {
	p.door = door
	add := func(pattern string, right account.Right, fn handler) {
		mux.Handle(pattern, door.Require(right, p.frame.Do(func(w http.ResponseWriter, r *http.Request) error {
			who, _ := account.From(r.Context())
			return fn(w, r, who)
		})))
	}
	look := func(path string, fn handler) { add("GET "+path, account.Look, fn) }
	decide := func(path string, fn handler) { add("POST "+path, account.Decide, fn) }
	owner := func(pattern string, fn handler) { add(pattern, account.OwnBrand, fn) }
	door.Begin(account.BrandOwner, OwnerHome)
	owner("GET /brand", p.ownHome)
	owner("GET /brand/lookalikes", p.ownLookalikes)
	owner("GET /brand/case/{id}", p.ownCase)
	owner("POST /brand/case/{id}", p.answerCase)
	owner("GET /brand/certificate/{name}", p.ownCertificate)
	owner("POST /brand/certificate/{name}", p.answerCertificate)
	owner("GET /brand/picture/{id}", p.ownPicture)
	owner("POST /brand/domains", p.giveDomain)
	owner("POST /brand/domains/{id}/end", p.takeBackDomain)
	look("/brands", p.brands)
	decide("/brands/domains/{id}", p.decideDomain)
	look("/{$}", p.today)
	look("/in-force", p.inForce)
	look("/queue", p.queue)
	look("/queue/fresh", p.fresh)
	decide("/queue/filters", p.saveFilter)
	decide("/queue/filters/{id}/forget", p.forgetFilter)
	add("GET /queue/decide", account.Decide, p.several)
	decide("/queue/decide", p.decideSeveral)
	look("/case/{id}", p.casePage)
	look("/case/{id}/live", p.live)
	look("/case/{id}/next", p.next)
	look("/case/{id}/beside/{other}", p.beside)
	look("/case/{id}/confirm", p.backToCase)
	look("/case/{id}/reject", p.backToCase)
	decide("/case/{id}/confirm", p.confirm)
	decide("/case/{id}/reject", p.reject)
	look("/report/{id}/mail", p.reportMail)
	look("/capture/{id}/picture", p.picture)
	look("/by-hand", p.byHand)
	decide("/by-hand/{id}/seen", p.seen)
	look("/pictures", p.pictures)
	look("/picture/{report}/{n}", p.reportPicture)
	look("/picture/{report}/{n}/{guess}", p.reportPicture)
	decide("/pictures/{report}", p.typePicture)
	look("/campaigns", p.campaigns)
	look("/campaign/{id}", p.campaign)
	look("/campaign/{id}/merge", p.mergePage)
	decide("/campaign/{id}/merge", p.merge)
	decide("/campaign/{id}/undo-merge", p.undoMerge)
	look("/blocks", p.blocks)
	look("/block/{id}", p.block)
	decide("/block/{id}/withdraw", p.withdraw)
	decide("/block/{id}/asked", p.askBlock)
	decide("/campaign/{id}/asked", p.askCampaign)
	look("/block-a-name", p.blockForm)
	decide("/block-a-name", p.blockName)
	look("/exempt", p.exemptForm)
	decide("/exempt", p.exempt)
	look("/name", p.name)
	look("/near", p.near)
	decide("/near/aside", p.nearAside)
	look("/orders", p.orders)
	decide("/orders/release", p.release)
	look("/appeals", p.appeals)
	look("/appeal/{id}", p.appeal)
	decide("/appeal/{id}", p.decideAppeal)
	look("/proposals", p.proposals)
	look("/proposal/{id}", p.proposal)
	decide("/proposal/{id}/approve", p.approve)
	look("/approve/{id}", p.approvePage)
	decide("/approve/{id}", p.approve)
	decide("/proposal/{id}/decline", p.decline)
	look("/warnings", p.warnings)
	decide("/warnings", p.warn)
	decide("/warnings/{ref}/end", p.endWarning)
	p.noticeRoutes(look, decide)
	look("/search", p.search)
	look("/audit", p.audit)
	if p.hooks != nil {
		p.hookRoutes(add)
	}
	look("/figures", p.figuresPage)
	look("/automatic", p.automatic)
	decide("/block/{id}/keep", p.keep)
	look("/figures/report", p.figuresReport)
	if p.outbox != nil {
		look("/mail", p.mail)
	}
}

// eyes shows strangers' text in a template.
type eyes struct{}

// Visible is Visible for anything that prints.
func (eyes) Visible(text any) template.HTML { return Visible(fmt.Sprint(text)) }

// Short is a version or digest as a page has room for it.
func (eyes) Short(text string) string {
	if len(text) > 24 {
		return text[:15] + "…"
	}
	return text
}

// Span is a length of time in its largest unit.
func (eyes) Span(d time.Duration) string { return web.Span(d) }

// common is what every page is given.
type common struct {
	eyes
	Me   account.Person
	May  bool   // decide
	Done string // key of what has just been done
	// Wrong says beside which form what was refused; Form is what was typed.
	// Again is the form that is shown again after a session had ended over it.
	Wrong wrong
	Form  url.Values
	Again string
}

// wrong is a refusal beside a form. Where guards refused, Guards are their
// objections, which are told in the reader's language.
type wrong struct {
	Form, What, Hint string
	Guards           []judge.Objection
}

func commonOf(r *http.Request, who account.Person) common {
	c := common{Me: who, May: who.May(account.Decide), Form: r.PostForm}
	if h := account.Held(r); h.Path != "" { // a form that came when the session had ended
		c.Form, c.Wrong.Form, c.Again = h.Form, path.Base(h.Path), path.Base(h.Path)
	}
	switch d := r.URL.Query().Get("done"); d {
	case "blocked", "second", "rejected", "withdrawn", "exempted", "approved", "declined", "released", "merged", "unmerged", "upheld", "appeal_rejected", "asked", "seen", "picture", "no-picture", "kept", "warned", "warning_ended", "notice_let", "notice_dropped", "notice_receipt", "notice_again":
		c.Done = "shield.done." + d
	}
	return c
}

// beside puts an error of one of our kinds beside a form, with the status that
// it stands for; any other error, and "there is no such thing", is given back.
func (c *common) beside(form string, err error) (status int, _ error) {
	x, ok := web.Beside(err)
	if !ok || x.Status == http.StatusNotFound {
		return 0, err
	}
	c.Wrong = wrong{Form: form, What: x.Detail, Hint: x.Hint, Guards: judge.Objections(err)}
	return x.Status, nil
}

// clip keeps what somebody typed into a filter short.
func clip(s string) string { return s[:min(len(s), 253)] }

// done leads to a page that can be loaded again without doing it twice.
func goTo(w http.ResponseWriter, r *http.Request, path, done string) error {
	http.Redirect(w, r, path+"?done="+done, http.StatusSeeOther)
	return nil
}

// afterwards leads to what came of a decision.
func afterwards(w http.ResponseWriter, r *http.Request, out Outcome) error {
	switch {
	case out.State == "second" && out.Case == "":
		return goTo(w, r, "/proposal/"+out.Proposal.ID, "second")
	case out.State == "second" || out.State == "rejected":
		return goTo(w, r, "/case/"+out.Case, out.State)
	}
	return goTo(w, r, "/block/"+out.Block.Ref, out.State)
}

// releases says whether somebody may release what was held back.
func releases(who account.Person) bool {
	return who.May(account.Decide) && judge.May(Decider(who), judge.Release) == nil
}
