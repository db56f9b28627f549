package shield

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

type queueRow struct {
	CaseRow
	Show   Shown
	Target Shown  // where the proposal is on another name
	Rest   string // what else there is to why it comes first, besides verdict and brand
}

func (p *Pages) queueRows(cases []CaseRow) []queueRow {
	out := make([]queueRow, 0, len(cases))
	for _, c := range cases {
		row := queueRow{CaseRow: c, Show: p.s.show(c.Name), Rest: c.WhyFirst}
		for _, known := range []string{c.Verdict, ", imitates " + c.Brand, ", "} {
			row.Rest = strings.TrimPrefix(row.Rest, known)
		}
		if c.Target != "" && c.Target != c.Name && c.Scope.DNS() {
			row.Target = p.s.show(c.Target)
		}
		out = append(out, row)
	}
	return out
}

type queueData struct {
	common
	around
	Appeals []appealRow
	Rows    []queueRow
	State   string
	Query   string
	States  []string
}

// queueStates are what the filter offers: what waits comes first.
var queueStates = map[string][]desk.CaseState{
	"open":    {desk.Waiting, desk.Second},
	"waiting": {desk.Waiting},
	"second":  {desk.Second},
	"decided": {desk.Decided},
	"closed":  {desk.Closed},
	"all":     {desk.Waiting, desk.Second, desk.Decided, desk.Closed},
}

func (p *Pages) queue(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := queueData{common: commonOf(r, who), State: q.Get("state"), Query: clip(q.Get("q")), States: []string{"open", "waiting", "second", "decided", "closed", "all"}}
	if queueStates[data.State] == nil {
		data.State = "open"
	}
	l := p.caseList(r.Context(), desk.CaseFilter{States: queueStates[data.State], Query: asStored(data.Query)})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if q.Get("after") == "" && data.Query == "" && data.State == "open" {
		waiting, err := p.s.Appeals(r.Context(), desk.AppealFilter{State: "received", Limit: rows})
		if err != nil {
			return err
		}
		data.Appeals = p.appealRows(waiting)
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "queue", data)
}

func (p *Pages) caseList(ctx context.Context, f desk.CaseFilter) listOf[queueRow] {
	return listOf[queueRow]{
		name: "cases",
		rows: func(after string, limit int) ([]queueRow, error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Cases(ctx, f)
			return p.queueRows(all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountCases(ctx, f) },
		id:    func(c queueRow) string { return c.ID },
		columns: []column[queueRow]{
			{"ref", func(c queueRow) string { return c.Ref }}, {"name", func(c queueRow) string { return c.Name }}, {"state", func(c queueRow) string { return string(c.State) }},
			{"outcome", func(c queueRow) string { return c.Outcome }}, {"verdict", func(c queueRow) string { return c.Verdict }}, {"brand", func(c queueRow) string { return c.Brand }},
			{"campaign", func(c queueRow) string { return c.Campaign }}, {"scope", func(c queueRow) string { return string(c.Scope) }}, {"target", func(c queueRow) string { return c.CaseRow.Target }},
			{"reports", func(c queueRow) string { return number(c.Reports) }}, {"reporters", func(c queueRow) string { return number(c.Reporters) }}, {"priority", func(c queueRow) string { return number(c.Priority) }},
			{"why_first", func(c queueRow) string { return c.WhyFirst }}, {"first_seen", func(c queueRow) string { return stamp(c.FirstSeen) }}, {"opened_at", func(c queueRow) string { return stamp(c.OpenedAt) }}, {"closed_at", func(c queueRow) string { return stamp(c.ClosedAt) }},
		},
	}
}

type caseData struct {
	common
	CaseView
	Show     Shown
	Report   string // whose mail the frame shows; empty without one
	Families []family
	Silent   []judge.Evidence // asked, and said nothing
	Options  []option
	Proposed *option // what the rules propose; nil for no DNS measure
	Any      bool    // one of the options can be confirmed
	Legal    string
	Wait     *proposalRow // for a second person
	Similar  []queueRow
	Who      string // placed the block
	Trail    []auditRow
	Lengths  []length
	Classes  []string
}

// Approval is what the approve button needs.
func (d caseData) Approval() proposalData { return proposalData{common: d.common, P: *d.Wait} }

// family is evidence of one way of looking.
type family struct {
	Name string
	Rows []evidenceRow
}

type evidenceRow struct {
	judge.Evidence
	At time.Time
}

// option is one way to block the name of a case, with what the guards say to it
// before anybody asks.
type option struct {
	Value    string // of the field "scope"; empty is what the rules propose
	Scope    bolwerk.Scope
	Taken    taken
	Until    time.Time
	Refuse   []judge.Objection
	Second   []judge.Objection
	Proposed bool
	Chosen   bool
}

// length is a length of time that a form offers.
type length struct {
	Value string
	Key   string
}

// lengths are for blocks: the longest that the guards allow to a person is what
// the rules propose. A hacked site gets 24 hours instead.
var lengths = []length{{"", "shield.for.weeks2"}, {"168h", "shield.for.week"}, {"72h", "shield.for.days3"}, {"24h", "shield.for.day"}}

// classes are what a blocked site can be.
var classes = []string{"phishing", "fake_shop", "malware", "scam"}

func (p *Pages) casePage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showCase(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showCase(w http.ResponseWriter, r *http.Request, status int, c common) error {
	ctx := r.Context()
	data := caseData{common: c, Legal: p.s.cfg.Ground, Lengths: lengths, Classes: classes}
	var err error
	if data.CaseView, err = p.s.Case(ctx, r.PathValue("id")); err != nil {
		return err
	}
	data.Show = p.s.show(data.Subject)
	data.Similar = p.queueRows(data.CaseView.Similar)
	if len(data.Sightings) > 0 {
		data.Report = data.Sightings[0].Report
		for _, s := range data.Sightings {
			if s.Report == r.URL.Query().Get("report") {
				data.Report = s.Report
			}
		}
	}
	if err := p.evidence(ctx, &data); err != nil {
		return err
	}
	if data.CaseView.Proposal != nil {
		rows, err := p.proposalRows(ctx, []desk.Proposal{*data.CaseView.Proposal})
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			rows[0].Own = rows[0].Actor == c.Me.Actor()
			data.Wait = &rows[0]
		}
	}
	if data.State == desk.Waiting || data.State == desk.Gathering {
		if err := p.options(ctx, &data); err != nil {
			return err
		}
	}
	if !data.State.Open() {
		if data.Trail, err = p.trail(ctx, data.Ref); err != nil {
			return err
		}
	}
	if data.Placed != nil {
		names, err := p.named(ctx, data.Placed.Actor)
		if err != nil {
			return err
		}
		data.Who = names[data.Placed.Actor]
	}
	return p.pages.Render(w, r, status, "case", data)
}

// evidence groups what the sources say by family, with the time of each; what
// said nothing stands apart.
func (p *Pages) evidence(ctx context.Context, data *caseData) error {
	at := map[[3]string]time.Time{}
	err := p.s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select e.family,e.source,e.reason,e.at from shield_evidence e join shield_case s on s.observable=e.observable where s.id=$1`, []any{data.ID},
			func(scan func(...any) error) error {
				var k [3]string
				var us int64
				err := scan(&k[0], &k[1], &k[2], &us)
				at[k] = store.Time(us)
				return err
			})
	})
	for _, e := range data.Evidence {
		if e.Verdict == judge.NoData && e.Detail == "" || e.Verdict == judge.Failed {
			data.Silent = append(data.Silent, e)
			continue
		}
		i := slices.IndexFunc(data.Families, func(f family) bool { return f.Name == string(e.Family) })
		if i < 0 {
			i = len(data.Families)
			data.Families = append(data.Families, family{Name: string(e.Family)})
		}
		data.Families[i].Rows = append(data.Families[i].Rows, evidenceRow{e, at[[3]string{string(e.Family), e.Source, e.Reason}]})
	}
	return err
}

// options asks the guards about every scope that a person may choose, as they
// would be asked when the reader confirms it.
func (p *Pages) options(ctx context.Context, data *caseData) error {
	who := Decider(data.Me)
	err := p.s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, data.ID)
		if err != nil {
			return err
		}
		for _, scope := range []bolwerk.Scope{"", bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable} {
			if scope == "" && !data.Scope.DNS() {
				continue
			}
			pl, err := p.s.planFor(tx, c, who, Confirm{Case: c.ID, Scope: scope})
			if errors.Is(err, bolwerk.ErrForbidden) || errors.Is(err, bolwerk.ErrInvalid) {
				continue // no name that DNS can block
			}
			if err != nil {
				return err
			}
			o := option{Value: string(scope), Scope: pl.Scope, Taken: p.s.taken(pl.Name, pl.Scope), Until: pl.Until, Proposed: scope == ""}
			if slices.ContainsFunc(data.Options, func(same option) bool {
				return same.Taken.Below == o.Taken.Below && same.Taken.Names[0] == o.Taken.Names[0]
			}) {
				continue // other words for what is offered already
			}
			o.Refuse, o.Second = split(p.s.check(tx, pl, who, nil))
			data.Options = append(data.Options, o)
		}
		return nil
	})
	chosen := data.Form.Get("scope")
	for i := range data.Options {
		o := &data.Options[i]
		if o.Proposed {
			data.Proposed = o
		}
		data.Any = data.Any || len(o.Refuse) == 0
		o.Chosen = len(o.Refuse) == 0 && o.Value == chosen
	}
	if !slices.ContainsFunc(data.Options, func(o option) bool { return o.Chosen }) {
		if i := slices.IndexFunc(data.Options, func(o option) bool { return len(o.Refuse) == 0 }); i >= 0 {
			data.Options[i].Chosen = true
		}
	}
	return err
}

// scopeOf and lengthOf read fields of our own forms.
func scopeOf(s string) (bolwerk.Scope, error) {
	if s == "" {
		return "", nil
	}
	return bolwerk.ParseScope(s)
}

func lengthOf(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, bolwerk.Invalid("length of time %q: want hours such as 24h", clip(s))
	}
	return d, nil
}

// wish reads the fields that a block needs.
func wish(r *http.Request) (in Confirm, err error) {
	f := r.PostForm
	if in.Scope, err = scopeOf(f.Get("scope")); err != nil {
		return in, err
	}
	if in.For, err = lengthOf(f.Get("for")); err != nil {
		return in, err
	}
	in.Reason, in.Class, in.Compromised = f.Get("reason"), f.Get("class"), f.Get("compromised") != ""
	if in.Class != "" && !slices.Contains(classes, in.Class) {
		return in, bolwerk.Invalid("class %q: want phishing, fake_shop, malware or scam", clip(in.Class))
	}
	return in, nil
}

func (p *Pages) confirm(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := readForm(r); err != nil {
		return err
	}
	in, err := wish(r)
	var out Outcome
	if err == nil {
		in.Case = r.PathValue("id")
		out, err = p.s.Confirm(r.Context(), Decider(who), in)
	}
	if err == nil {
		return afterwards(w, r, out)
	}
	c := commonOf(r, who)
	status, err := c.beside("confirm", err)
	if err != nil {
		return err
	}
	return p.showCase(w, r, status, c)
}

func (p *Pages) reject(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := readForm(r); err != nil {
		return err
	}
	out, err := p.s.Reject(r.Context(), Decider(who), r.PathValue("id"), r.PostForm.Get("reason"))
	if err == nil {
		return afterwards(w, r, out)
	}
	c := commonOf(r, who)
	status, err := c.beside("reject", err)
	if err != nil {
		return err
	}
	return p.showCase(w, r, status, c)
}

type reportData struct {
	eyes
	reading.Result
	Links []reading.URL // that a person can follow
	Noise int           // links left out
	Gone  bool
}

// reportMail shows what strangers wrote: text and addresses only, in a frame
// that can do nothing.
func (p *Pages) reportMail(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	res, err := p.s.Reading(r.Context(), r.PathValue("id"))
	data := reportData{Result: res, Links: res.Wanted()}
	if errors.Is(err, bolwerk.ErrNotFound) {
		data.Gone = true
	} else if err != nil {
		return err
	}
	data.Noise = len(res.URLs) - len(data.Links)
	web.Isolate(w.Header())
	status := http.StatusOK
	if data.Gone {
		status = http.StatusNotFound
	}
	return p.pages.Render(w, r, status, "report", data)
}
