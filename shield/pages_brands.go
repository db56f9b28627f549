package shield

import (
	"context"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// saidRow is what somebody of a brand said, as our own people see it.
type saidRow struct {
	eyes
	OwnerSaid
	Show    Shown
	Who     string
	CaseRef string
	// Against says that the desk decided otherwise.
	Against bool
	State   desk.CaseState
	Outcome string
}

// domainRow is a domain that a brand's owner gave, as our own people see it.
type domainRow struct {
	eyes
	OwnDomain
	Show             Shown
	Giver, By, Other string // log-in names
	Late             bool   // somebody should have looked again
}

type brandsData struct {
	common
	around
	Waiting []domainRow // for a person
	Late    []domainRow
	InForce []domainRow
	Rows    []saidRow
	Picked  string // id of the domain whose form was refused
}

// maxDomainRows bounds each list of domains on the page.
const maxDomainRows = 300

// domainsIn lists domains in some states, the oldest first.
func (s *Shield) domainsIn(ctx context.Context, states ...DomainState) (out []OwnDomain, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		for _, state := range states {
			all, err := store.List(tx, readDomain, `select `+domainColumns+` where state=$1 order by at, id limit $2`, string(state), maxDomainRows)
			if err != nil {
				return err
			}
			out = append(out, all...)
		}
		return nil
	})
	return out, err
}

// ownerSays lists what was said for brands, the newest first; of one case where
// that is named.
func (s *Shield) ownerSays(ctx context.Context, caseID, after string, limit int) (out []OwnerSaid, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var w desk.Where
		w.And("id<>''")
		if caseID != "" {
			w.And("case_id=?", caseID)
		}
		if after != "" {
			var at int64
			if err := tx.Row(`select at from shield_owner_answer where id=$1`, after).Scan(&at); err != nil {
				if store.None(err) {
					return bolwerk.NotFound("there is no such answer")
				}
				return err
			}
			w.And("(at,id)<(?,?)", at, after)
		}
		query, args := w.Select(saidColumns, "at desc, id desc", limit)
		out, err = store.List(tx, readSaid, query, args...)
		return err
	})
	return out, err
}

func (p *Pages) saidRows(ctx context.Context, all []OwnerSaid) (rows []saidRow, err error) {
	var actors []bolwerk.Actor
	for _, a := range all {
		actors = append(actors, a.Actor)
	}
	names, err := account.Names(ctx, p.s.db, actors...)
	if err != nil {
		return nil, err
	}
	err = p.s.db.Read(ctx, func(tx *store.Tx) error {
		for _, a := range all {
			row := saidRow{OwnerSaid: a, Show: p.s.show(a.Name), Who: names[a.Actor]}
			if a.caseID != "" {
				c, err := desk.FindCase(tx, a.caseID)
				if err != nil {
					return err
				}
				row.CaseRef, row.State, row.Outcome = c.Ref, c.State, c.Outcome
				row.Against = c.State == desk.Decided && (c.Outcome == "blocked") != (a.Says == judge.Imitates)
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

func (p *Pages) saidList(ctx context.Context) listOf[saidRow] {
	return listOf[saidRow]{
		name: "brand-answers",
		rows: func(after string, limit int) ([]saidRow, error) {
			all, err := p.s.ownerSays(ctx, "", after, limit)
			if err != nil {
				return nil, err
			}
			return p.saidRows(ctx, all)
		},
		count: func() (n desk.Counted, err error) {
			err = p.s.db.Read(ctx, func(tx *store.Tx) error {
				n, err = desk.Count(tx, "shield_owner_answer", desk.Where{SQL: "id<>''"})
				return err
			})
			return n, err
		},
		id: func(a saidRow) string { return a.id },
		columns: []column[saidRow]{
			{"at", func(a saidRow) string { return stamp(a.At) }}, {"brand", func(a saidRow) string { return a.Brand }}, {"name", func(a saidRow) string { return a.Name }},
			{"answer", func(a saidRow) string { return string(a.Says) }}, {"reason", func(a saidRow) string { return a.Reason }}, {"login", func(a saidRow) string { return a.Who }},
			{"case", func(a saidRow) string { return a.CaseRef }}, {"outcome", func(a saidRow) string { return a.Outcome }},
		},
	}
}

func (p *Pages) domainRows(ctx context.Context, now time.Time, all []OwnDomain) (rows []domainRow, err error) {
	var actors []bolwerk.Actor
	for _, d := range all {
		actors = append(actors, d.Actor, d.DecidedBy, d.Second)
	}
	names, err := account.Names(ctx, p.s.db, actors...)
	for _, d := range all {
		rows = append(rows, domainRow{OwnDomain: d, Show: p.s.showName(d.Name), Giver: names[d.Actor], By: names[d.DecidedBy], Other: names[d.Second],
			Late: d.State == DomainInForce && !d.ReviewAt.After(now)})
	}
	return rows, err
}

func (p *Pages) brands(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if asFile(r) {
		return p.saidList(r.Context()).file(w, r, p.frame.Clock())
	}
	c := commonOf(r, who)
	switch done := r.URL.Query().Get("done"); done {
	case "adopted", "refused", "ended", "looked", "approved":
		c.Done = "shield.brands.done." + done
	}
	return p.showBrands(w, r, http.StatusOK, c)
}

func (p *Pages) showBrands(w http.ResponseWriter, r *http.Request, status int, c common) (err error) {
	data := brandsData{common: c}
	if c.Wrong.Form != "" {
		data.Picked = r.PathValue("id")
	}
	if data.Rows, data.around, err = p.saidList(r.Context()).page(r); err != nil {
		return err
	}
	all, err := p.s.domainsIn(r.Context(), DomainGiven, DomainSecond, DomainInForce)
	if err != nil {
		return err
	}
	rows, err := p.domainRows(r.Context(), p.frame.Clock().Now(), all)
	if err != nil {
		return err
	}
	for _, d := range rows {
		switch {
		case d.Late:
			data.Late = append(data.Late, d)
		case d.State == DomainInForce:
			data.InForce = append(data.InForce, d)
		default:
			data.Waiting = append(data.Waiting, d)
		}
	}
	return p.pages.Render(w, r, status, "brands", data)
}

// decideDomain is what a person of ours does with a domain that a brand's owner
// gave; the button says what.
func (p *Pages) decideDomain(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	id, reason, done := r.PathValue("id"), r.PostForm.Get("reason"), ""
	var err error
	switch do := r.PostForm.Get("do"); do {
	case "adopt":
		var out Outcome
		out, err = p.s.AdoptDomain(r.Context(), Decider(who), id, reason)
		if err == nil && out.State == "second" {
			return goTo(w, r, "/proposal/"+out.Proposal.ID, "second")
		}
		done = "adopted"
	case "refuse":
		err, done = p.s.RefuseDomain(r.Context(), Decider(who), id, reason), "refused"
	case "keep":
		err, done = p.s.KeepDomain(r.Context(), Decider(who), id, reason), "looked"
	case "end":
		err, done = p.s.DropDomain(r.Context(), Decider(who), id, reason), "ended"
	default:
		err = bolwerk.Invalid("%q is nothing that can be done with a domain", clip(do))
	}
	if err == nil {
		return goTo(w, r, "/brands", done)
	}
	c := commonOf(r, who)
	status, err := c.beside("domain", err)
	if err != nil {
		return err
	}
	return p.showBrands(w, r, status, c)
}
