package shield

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
)

// proposalRow is what waits for a second person, with exactly what would be done.
type proposalRow struct {
	eyes
	desk.Proposal
	Show        Shown
	Exempt      bool
	Domain      bool     // a brand's own domain is taken over
	Codes       []string // why it takes two, of a domain
	Lifts       []string // blocks that end with it
	Scope       bolwerk.Scope
	Taken       taken
	Until       time.Time
	Class       string
	Brand       string
	Answer      string // what the DNS answers
	Legal       string
	Compromised bool
	AskedFor    []aid.Kind
	Why         string
	Lists       []listVersion
	Who         string // proposed it
	CaseRef     string
	Own         bool // proposed by the reader
	// Needs are the guards that ask for a second person, as they would today; none
	// where they would be content, and what they said then is in Need.
	Needs []judge.Objection
}

// listVersion is a list that a decision used.
type listVersion struct{ Name, Version string }

// Short is the version as a page has room for it.
func (v listVersion) Short() string { return eyes{}.Short(v.Version) }

func versionsOf(m map[string]string) (out []listVersion) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, listVersion{name, m[name]})
	}
	return out
}

// taken is which names a measure takes.
type taken struct {
	Names []Shown
	Below bool // and all below
}

func (s *Shield) taken(d bolwerk.Domain, scope bolwerk.Scope) taken {
	names, _ := judge.NamesTaken(s.guard.rules().place(d), scope)
	t := taken{Below: scope == bolwerk.ScopeSubtree || scope == bolwerk.ScopeRegistrable}
	for _, n := range names {
		t.Names = append(t.Names, s.showName(n))
	}
	return t
}

func (p *Pages) proposalRows(ctx context.Context, all []desk.Proposal) ([]proposalRow, error) {
	var out []proposalRow
	var actors []bolwerk.Actor
	for _, x := range all {
		row := proposalRow{Proposal: x, Why: x.Reason}
		switch x.Action {
		case actionBlock:
			var pl plan
			if err := json.Unmarshal(x.Body, &pl); err != nil {
				return nil, err
			}
			row.Scope, row.Until, row.Class, row.Brand, row.Answer = pl.Scope, pl.Until, pl.Class, pl.Brand, string(pl.Action)
			row.AskedFor = pl.AskedFor.Kinds()
			row.Legal, row.Compromised, row.Why, row.Lists = pl.Legal, pl.Compromised, pl.Reason, versionsOf(pl.Versions)
			row.Show, row.Taken = p.s.showName(pl.Name), p.s.taken(pl.Name, pl.Scope)
		case actionExempt:
			var pl exemptPlan
			if err := json.Unmarshal(x.Body, &pl); err != nil {
				return nil, err
			}
			row.Exempt, row.Scope, row.Until, row.Why = true, pl.Scope, pl.Until, pl.Reason
			row.Show, row.Taken = p.s.showName(pl.Name), p.s.taken(pl.Name, pl.Scope)
		case actionDomain:
			var pl domainPlan
			if err := json.Unmarshal(x.Body, &pl); err != nil {
				return nil, err
			}
			row.Domain, row.Brand, row.Codes, row.Lifts, row.Why = true, pl.Brand, pl.Needs, pl.Lifts, pl.Reason
			row.Show, row.Taken = p.s.showName(pl.Name), taken{[]Shown{p.s.showName(pl.Name)}, true}
		default:
			continue // of another capability
		}
		actors = append(actors, x.Actor)
		out = append(out, row)
	}
	names, err := account.Names(ctx, p.s.db, actors...)
	if err != nil {
		return nil, err
	}
	refs, err := p.caseRefs(ctx, all)
	for i := range out {
		out[i].Who, out[i].CaseRef = names[out[i].Actor], refs[out[i].CaseID]
	}
	return out, err
}

// caseRefs are the references of the cases that proposals are about, by their ids.
func (p *Pages) caseRefs(ctx context.Context, all []desk.Proposal) (map[string]string, error) {
	out, ids := map[string]string{}, []string{}
	for _, x := range all {
		if x.CaseID != "" {
			ids = append(ids, x.CaseID)
		}
	}
	err := p.s.db.Read(ctx, func(tx *store.Tx) error {
		for part := range slices.Chunk(ids, rowsPerQuery) {
			places, args := idsOf(part)
			if err := tx.Each(`select id,ref from desk_case where id in (`+places+`)`, args, func(scan func(...any) error) error {
				var id, ref string
				err := scan(&id, &ref)
				out[id] = ref
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// askGuards asks the guards again why each of the rows of a page is for two
// people: they say it in the reader's language, the proposal keeps what they
// said then.
func (p *Pages) askGuards(ctx context.Context, page []proposalRow) error {
	return p.s.db.Read(ctx, func(tx *store.Tx) error {
		for i := range page {
			if err := p.needs(tx, &page[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// askedRows are proposalRows for which the guards were asked again.
func (p *Pages) askedRows(ctx context.Context, all []desk.Proposal) ([]proposalRow, error) {
	out, err := p.proposalRows(ctx, all)
	if err != nil {
		return nil, err
	}
	return out, p.askGuards(ctx, out)
}

func (p *Pages) needs(tx *store.Tx, row *proposalRow) error {
	if row.Domain {
		return nil // says it by its codes
	}
	if row.Exempt {
		var pl exemptPlan
		if err := json.Unmarshal(row.Body, &pl); err != nil {
			return err
		}
		_, row.Needs = split(judge.CheckExemption(pl.Exemption, "", p.s.context(tx, pl.First, nil)))
		return nil
	}
	var pl plan
	if err := json.Unmarshal(row.Body, &pl); err != nil {
		return err
	}
	objections, err := p.s.check(tx, pl, pl.First, nil)
	_, row.Needs = split(objections)
	return err
}

type proposalsData struct {
	common
	around
	Rows []proposalRow
}

func (p *Pages) proposalList(ctx context.Context) listOf[proposalRow] {
	return listOf[proposalRow]{
		name: "proposals",
		rows: func(after string, limit int) ([]proposalRow, error) {
			all, err := p.s.Proposals(ctx, after, limit)
			if err != nil {
				return nil, err
			}
			return p.proposalRows(ctx, all)
		},
		count: func() (n desk.Counted, err error) {
			err = p.s.db.Read(ctx, func(tx *store.Tx) error { n, err = desk.CountProposals(tx); return err })
			return n, err
		},
		id: func(x proposalRow) string { return x.ID },
		columns: []column[proposalRow]{
			{"id", func(x proposalRow) string { return x.ID }}, {"at", func(x proposalRow) string { return stamp(x.At) }}, {"name", func(x proposalRow) string { return x.Show.Name }},
			{"action", func(x proposalRow) string { return x.Action }}, {"scope", func(x proposalRow) string { return string(x.Scope) }}, {"case", func(x proposalRow) string { return x.CaseRef }},
			{"actor", func(x proposalRow) string { return x.Who }}, {"reason", func(x proposalRow) string { return x.Why }}, {"need", func(x proposalRow) string { return x.Need }},
		},
	}
}

func (p *Pages) proposals(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	l := p.proposalList(r.Context())
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	data := proposalsData{common: commonOf(r, who)}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	if err := p.askGuards(r.Context(), data.Rows); err != nil {
		return err
	}
	for i := range data.Rows {
		data.Rows[i].Own = data.Rows[i].Actor == who.Actor()
	}
	return p.pages.Render(w, r, http.StatusOK, "proposals", data)
}

type proposalData struct {
	common
	P     proposalRow
	Case  string
	Fresh bool // the reader has just shown who it is
}

func (p *Pages) proposal(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showProposal(w, r, http.StatusOK, "proposal", commonOf(r, who))
}

// approvePage is what the link of a notice leads to: one proposal, one button.
// The link only names it; who opens it logs in.
func (p *Pages) approvePage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showProposal(w, r, http.StatusOK, "approve", commonOf(r, who))
}

func (p *Pages) showProposal(w http.ResponseWriter, r *http.Request, status int, page string, c common) error {
	var x desk.Proposal
	err := p.s.db.Read(r.Context(), func(tx *store.Tx) (err error) {
		x, err = desk.FindProposal(tx, r.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	rows, err := p.askedRows(r.Context(), []desk.Proposal{x})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return bolwerk.NotFound("no proposal %q", x.ID)
	}
	rows[0].Own = x.Actor == c.Me.Actor()
	return p.pages.Render(w, r, status, page, proposalData{common: c, P: rows[0], Fresh: c.Me.Fresh(p.frame.Clock().Now())})
}

// decline ends a proposal without doing it.
func (p *Pages) decline(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	_, err := p.s.Decline(r.Context(), Decider(who), r.PathValue("id"), r.PostForm.Get("reason"))
	if err == nil {
		return goTo(w, r, "/proposals", "declined")
	}
	c := commonOf(r, who)
	status, err := c.beside("decline", err)
	if err != nil {
		return err
	}
	return p.showProposal(w, r, status, "proposal", c)
}

// approve is the second person's: exactly what stood on the page, by its digest.
func (p *Pages) approve(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if who.By == account.BySession && !who.Fresh(p.frame.Clock().Now()) {
		p.door.AskProof(w, r, "/approve/"+r.PathValue("id"))
		return nil
	}
	err := who.MayApprove(p.frame.Clock().Now())
	var out Outcome
	if err == nil {
		out, err = p.s.Approve(r.Context(), Decider(who), r.PathValue("id"), r.PostForm.Get("digest"))
	}
	if err == nil && out.Domain != nil {
		return goTo(w, r, "/brands", "approved")
	}
	if err == nil {
		return goTo(w, r, "/block/"+out.Block.Ref, "approved")
	}
	c := commonOf(r, who)
	status, err := c.beside("approve", err)
	if err != nil {
		return err
	}
	return p.showProposal(w, r, status, "approve", c)
}
