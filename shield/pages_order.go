package shield

import (
	"net/http"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
)

type orderRow struct {
	desk.Order
	Show Shown
}

type ordersData struct {
	common
	Rows    []orderRow
	Held    []HeldOrders
	Release bool // the reader may release them
	Count   int64
	Issuer  string
	State   string
	Next    string
	Issuers []string
	States  []string
}

func (p *Pages) orders(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showOrders(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showOrders(w http.ResponseWriter, r *http.Request, status int, c common) error {
	q := r.URL.Query()
	data := ordersData{common: c, Release: releases(c.Me), Issuer: clip(q.Get("issuer")), State: clip(q.Get("state")),
		States: []string{"held", "in_force", "refused", "lifted", "ended"}}
	for _, is := range p.s.cfg.Issuers {
		data.Issuers = append(data.Issuers, is.Name)
	}
	all, err := p.s.Orders(r.Context(), data.Issuer, data.State, q.Get("after"), rows+1)
	if err != nil {
		return err
	}
	if len(all) > rows {
		all = all[:rows]
		data.Next = next(r, all[rows-1].ID)
	}
	for _, o := range all {
		data.Rows = append(data.Rows, orderRow{o, p.s.show(o.Subject)})
	}
	if data.Count, err = p.s.CountOrders(r.Context(), data.Issuer, data.State); err != nil {
		return err
	}
	if data.Held, err = p.s.HeldBack(r.Context()); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "orders", data)
}

func (p *Pages) release(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := readForm(r); err != nil {
		return err
	}
	_, err := p.s.ReleaseOrders(r.Context(), Decider(who), r.PostForm.Get("issuer"))
	if err == nil {
		return goTo(w, r, "/orders", "released")
	}
	c := commonOf(r, who)
	status, err := c.beside("release", err)
	if err != nil {
		return err
	}
	return p.showOrders(w, r, status, c)
}

type appealRow struct {
	desk.Appeal
	Show Shown
	Late bool
}

func (p *Pages) appealRows(all []desk.Appeal) []appealRow {
	now := p.frame.Clock().Now()
	out := make([]appealRow, 0, len(all))
	for _, a := range all {
		out = append(out, appealRow{a, p.s.show(a.Subject), a.State == "received" && now.After(a.DueAt)})
	}
	return out
}

type appealsData struct {
	common
	Rows  []appealRow
	Count int
	State string
	Max   int
}

// maxAppeals is how many appeals the page shows.
const maxAppeals = 200

func (p *Pages) appeals(w http.ResponseWriter, r *http.Request, who account.Person) error {
	data := appealsData{common: commonOf(r, who), State: "received", Max: maxAppeals}
	if r.URL.Query().Get("state") == "decided" {
		data.State = "decided"
	}
	all, err := p.s.Appeals(r.Context(), data.State, maxAppeals)
	if err != nil {
		return err
	}
	data.Rows, data.Count = p.appealRows(all), len(all)
	return p.pages.Render(w, r, http.StatusOK, "appeals", data)
}

type appealData struct {
	common
	A       appealRow
	B       *BlockView
	Decided string // who decided the appeal
	By      string // who decided the block
	Own     bool   // the reader decided the block
}

func (p *Pages) appeal(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showAppeal(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showAppeal(w http.ResponseWriter, r *http.Request, status int, c common) error {
	a, err := p.s.Appeal(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data := appealData{common: c, A: p.appealRows([]desk.Appeal{a})[0]}
	actors := []bolwerk.Actor{a.Actor}
	if a.Object != "" {
		b, err := p.s.Block(r.Context(), a.Object)
		if err != nil {
			return err
		}
		data.B = &b
		data.Own = b.Actor == c.Me.Actor() || b.Second == c.Me.Actor()
		actors = append(actors, b.Actor)
	}
	names, err := p.named(r.Context(), actors...)
	if err != nil {
		return err
	}
	data.Decided = names[a.Actor]
	if data.B != nil {
		data.By = names[data.B.Actor]
	}
	return p.pages.Render(w, r, status, "appeal", data)
}

func (p *Pages) decideAppeal(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := readForm(r); err != nil {
		return err
	}
	decision, done := r.PostForm.Get("decision"), "upheld"
	var err error
	switch decision {
	case "upheld":
	case "rejected":
		done = "appeal_rejected"
	default:
		err = bolwerk.Invalid("choose whether the appeal is upheld or rejected")
	}
	if err == nil {
		err = p.s.DecideAppeal(r.Context(), Decider(who), r.PathValue("id"), decision == "upheld", r.PostForm.Get("reason"))
	}
	if err == nil {
		return goTo(w, r, "/appeal/"+r.PathValue("id"), done)
	}
	c := commonOf(r, who)
	status, err := c.beside("appeal", err)
	if err != nil {
		return err
	}
	return p.showAppeal(w, r, status, c)
}
