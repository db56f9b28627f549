package shield

import (
	"context"
	"net/http"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

type orderRow struct {
	eyes
	desk.Order
	Show Shown
}

type ordersData struct {
	common
	around
	Rows    []orderRow
	Held    []HeldOrders
	Release bool // the reader may release them
	Issuer  string
	State   string
	Query   string
	Issuers []string
	States  []string
}

func (p *Pages) orderList(ctx context.Context, f desk.OrderFilter) listOf[orderRow] {
	return listOf[orderRow]{
		name: "orders",
		rows: func(after string, limit int) (out []orderRow, err error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Orders(ctx, f)
			for _, o := range all {
				out = append(out, orderRow{Order: o, Show: p.s.show(o.Subject)})
			}
			return out, err
		},
		count: func() (desk.Counted, error) { return p.s.CountOrders(ctx, f) },
		id:    func(o orderRow) string { return o.ID },
		columns: []column[orderRow]{
			{"ref", func(o orderRow) string { return o.Ref }}, {"issuer", func(o orderRow) string { return o.Issuer }}, {"external", func(o orderRow) string { return o.External }},
			{"name", func(o orderRow) string { return o.Subject }}, {"scope", func(o orderRow) string { return o.Scope }}, {"ground", func(o orderRow) string { return o.Ground }},
			{"valid_from", func(o orderRow) string { return stamp(o.ValidFrom) }}, {"valid_until", func(o orderRow) string { return stamp(o.ValidUntil) }},
			{"state", func(o orderRow) string { return o.State }}, {"reason", func(o orderRow) string { return o.Reason }},
			{"received_at", func(o orderRow) string { return stamp(o.ReceivedAt) }}, {"changed_at", func(o orderRow) string { return stamp(o.ChangedAt) }},
		},
	}
}

func (p *Pages) orders(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showOrders(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showOrders(w http.ResponseWriter, r *http.Request, status int, c common) (err error) {
	q := r.URL.Query()
	data := ordersData{common: c, Release: releases(c.Me), Issuer: clip(q.Get("issuer")), State: clip(q.Get("state")), Query: clip(q.Get("q")),
		States: []string{"held", "in_force", "refused", "lifted", "ended"}}
	for _, is := range p.s.cfg.Issuers {
		data.Issuers = append(data.Issuers, is.Name)
	}
	l := p.orderList(r.Context(), desk.OrderFilter{Issuer: data.Issuer, State: data.State, Query: asStored(data.Query)})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	if data.Held, err = p.s.HeldBack(r.Context()); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "orders", data)
}

func (p *Pages) release(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
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
	around
	Rows  []appealRow
	State string
	Query string
}

func (p *Pages) appealList(ctx context.Context, f desk.AppealFilter) listOf[appealRow] {
	return listOf[appealRow]{
		name: "appeals",
		rows: func(after string, limit int) ([]appealRow, error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Appeals(ctx, f)
			return p.appealRows(all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountAppeals(ctx, f) },
		id:    func(a appealRow) string { return a.ID },
		columns: []column[appealRow]{
			{"ref", func(a appealRow) string { return a.Ref }}, {"name", func(a appealRow) string { return a.Subject }}, {"role", func(a appealRow) string { return a.Role }},
			{"block", func(a appealRow) string { return a.Object }}, {"state", func(a appealRow) string { return a.State }}, {"decision", func(a appealRow) string { return a.Decision }},
			{"received_at", func(a appealRow) string { return stamp(a.ReceivedAt) }}, {"due_at", func(a appealRow) string { return stamp(a.DueAt) }}, {"decided_at", func(a appealRow) string { return stamp(a.DecidedAt) }},
			{"reason", func(a appealRow) string { return a.Reason }},
		},
	}
}

func (p *Pages) appeals(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := appealsData{common: commonOf(r, who), State: "received", Query: clip(q.Get("q"))}
	if q.Get("state") == "decided" {
		data.State = "decided"
	}
	l := p.appealList(r.Context(), desk.AppealFilter{State: data.State, Query: asStored(data.Query)})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
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
	names, err := account.Names(r.Context(), p.s.db, actors...)
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
	if err := web.ReadForm(r); err != nil {
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
