package shield

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

type queueRow struct {
	CaseRow
	Show   Shown
	Target Shown // where the proposal is on another name
	Quota  bool  // its signing domain had used up its quota
	Owner  bool  // the brand's owner says that it is an imitation
}

func (p *Pages) queueRows(cases []CaseRow) []queueRow {
	out := make([]queueRow, 0, len(cases))
	for _, c := range cases {
		row := queueRow{CaseRow: c, Show: p.s.show(c.Name), Quota: strings.Contains(c.WhyFirst, overQuota), Owner: strings.Contains(c.WhyFirst, ownerSays)}
		if c.Target != "" && c.Target != c.Name && c.Scope.DNS() {
			row.Target = p.s.show(c.Target)
		}
		out = append(out, row)
	}
	return out
}

// inQueue is a filter as the pages carry it from case to case: in the parameter
// "from", so that "next" stays within what somebody works on.
type inQueue struct {
	QueueFilter
	Known bool // the page was reached from the queue
}

// queueFrom reads the filter that a request carries.
func queueFrom(r *http.Request) inQueue {
	from := r.URL.Query()
	if r.PostForm != nil && r.PostForm.Has("from") {
		from = r.PostForm
	} else if h := account.Held(r); h.Form.Has("from") {
		from = h.Form
	}
	if !from.Has("from") {
		return inQueue{}
	}
	text := from.Get("from")
	q, _ := url.ParseQuery(text[:min(len(text), 1024)]) // what cannot be read is left out
	return inQueue{queueFilter(q), true}
}

// From is the filter in one word, for a hidden field.
func (q inQueue) From() string { return q.Values().Encode() }

// Carry is the end of an address that carries the filter on.
func (q inQueue) Carry() template.URL {
	if !q.Known {
		return ""
	}
	return template.URL("?" + url.Values{"from": {q.From()}}.Encode())
}

// Back is the address of the queue with the filter.
func (q inQueue) Back() template.URL {
	if v := q.From(); v != "" {
		return template.URL("/queue?" + v)
	}
	return "/queue"
}

type queueData struct {
	common
	inQueue
	around
	Appeals []appealRow
	Rows    []queueRow
	Since   int64 // when the list was made, for what comes after
	Shown   string
	Saved   []savedRow
	Brands  []string
	Some    bool // a filter is set
	Ways    []CampaignRow
	Was     string // number of the case that was decided last
}

// savedRow is a saved filter as the queue offers it.
type savedRow struct {
	SavedFilter
	Href template.URL
	Here bool
}

// More says that one of the filters is set that a small screen folds away.
func (d queueData) More() bool {
	return d.Verdict+d.Brand+d.Campaign+d.Channel+d.Scope+d.Age != ""
}

// States and the others are what the filter's form offers.
func (queueData) States() []string   { return queueStateWords }
func (queueData) Verdicts() []string { return queueVerdicts }
func (queueData) Channels() []string { return queueChannels }
func (queueData) Scopes() []string   { return queueScopes }
func (queueData) Ages() []string     { return queueAges }

// All is the address that proposes to decide everything that matches.
func (d queueData) All() template.URL { return template.URL(url.Values{"from": {d.From()}}.Encode()) }

// caseNumber is a case's number, which pages show back.
func caseNumber(s string) string {
	if len(s) > 20 || !idOrRef.MatchString(s) {
		return ""
	}
	return s
}

func (p *Pages) queue(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showQueue(w, r, http.StatusOK, who, commonOf(r, who))
}

func (p *Pages) showQueue(w http.ResponseWriter, r *http.Request, status int, who account.Person, c common) error {
	ctx, q := r.Context(), r.URL.Query()
	if r.Method == http.MethodPost {
		q = queueFrom(r).Values()
	}
	data := queueData{common: c, inQueue: inQueue{queueFilter(q), true}, Since: store.Micros(p.frame.Clock().Now()), Was: caseNumber(q.Get("was"))}
	l := p.queueList(ctx, data.QueueFilter)
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	var err error
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	refs := make([]string, len(data.Rows))
	for i, c := range data.Rows {
		refs[i] = c.Ref
	}
	data.Shown = strings.Join(refs, ",")
	data.Some = len(data.Values()) > 0
	if q.Get("after") == "" && !data.Some {
		waiting, err := p.s.Appeals(ctx, desk.AppealFilter{State: "received", Limit: rows})
		if err != nil {
			return err
		}
		data.Appeals = p.appealRows(waiting)
	}
	saved, err := p.s.Filters(ctx, who.ID)
	if err != nil {
		return err
	}
	for _, f := range saved {
		data.Saved = append(data.Saved, savedRow{f, template.URL("/queue?" + f.Query), f.Query == data.From()})
	}
	for _, b := range p.s.cfg.Brands {
		data.Brands = append(data.Brands, b.Name)
	}
	if data.Brand != "" && !slices.Contains(data.Brands, data.Brand) {
		data.Brands = append(data.Brands, data.Brand)
	}
	slices.Sort(data.Brands)
	err = p.s.db.Read(ctx, func(tx *store.Tx) error { data.Ways, err = newestCampaigns(tx, 20); return err })
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "queue", data)
}

func (p *Pages) queueList(ctx context.Context, f QueueFilter) listOf[queueRow] {
	return listOf[queueRow]{
		name: "cases",
		rows: func(after string, limit int) ([]queueRow, error) {
			all, err := p.s.Queue(ctx, f, after, limit)
			return p.queueRows(all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountQueue(ctx, f) },
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

// newestCampaigns are what the filter offers, without their counts.
func newestCampaigns(tx *store.Tx, limit int) ([]CampaignRow, error) {
	return store.List(tx, func(scan func(...any) error) (c CampaignRow, err error) {
		err = scan(&c.Ref, &c.Brand, &c.Title)
		return c, err
	}, `select ref,brand,title from shield_campaign order by last_seen desc limit $1`, limit)
}

// saveFilter keeps the filter on which the form stood.
func (p *Pages) saveFilter(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	q := queueFrom(r)
	err := p.s.SaveFilter(r.Context(), who.ID, r.PostForm.Get("name"), q.QueueFilter)
	if err == nil {
		http.Redirect(w, r, string(q.Back()), http.StatusSeeOther)
		return nil
	}
	c := commonOf(r, who)
	status, err := c.beside("save", err)
	if err != nil {
		return err
	}
	return p.showQueue(w, r, status, who, c)
}

func (p *Pages) forgetFilter(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if err := p.s.ForgetFilter(r.Context(), who.ID, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, string(queueFrom(r).Back()), http.StatusSeeOther)
	return nil
}

type freshData struct {
	eyes
	inQueue
	New  int64
	Most bool
	Gone []goneRow // rows of the page that are no longer as they stood there
}

type goneRow struct {
	CaseRow
	By *decidedBy // nil where nobody decided it: it waits for a second person, or is over
}

// fresh is what changed since a page of the queue was made: how many cases came,
// and which of its rows are no longer as they stood there. The page puts it
// where nothing moves.
func (p *Pages) fresh(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	ctx, q := r.Context(), r.URL.Query()
	data := freshData{inQueue: inQueue{queueFilter(q), true}}
	since, err := strconv.ParseInt(q.Get("since"), 10, 64)
	if err != nil {
		return bolwerk.Invalid("since: want microseconds")
	}
	if data.New, err = p.s.CountSince(ctx, data.QueueFilter, store.Time(since)); err != nil {
		return err
	}
	data.Most = data.New == maxFresh
	states := data.states()
	err = p.s.db.Read(ctx, func(tx *store.Tx) error {
		for _, ref := range strings.SplitN(q.Get("rows"), ",", rows+1)[:min(rows, strings.Count(q.Get("rows"), ",")+1)] {
			if caseNumber(ref) == "" {
				continue
			}
			c, err := desk.FindCase(tx, ref)
			if err != nil {
				return err
			}
			if slices.Contains(states, c.State) {
				continue
			}
			data.Gone = append(data.Gone, goneRow{CaseRow: CaseRow{Case: c}})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range data.Gone {
		v, err := p.s.Case(ctx, data.Gone[i].ID)
		if err != nil {
			return err
		}
		if data.Gone[i].By, err = p.decidedBy(r, v); err != nil {
			return err
		}
	}
	return p.pages.Fragment(w, r, "queue", "fresh", data)
}

// next leads from a case to the one after it in what somebody works on.
func (p *Pages) next(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	q := queueFrom(r)
	q.Known = true
	ref, err := p.s.NextInQueue(r.Context(), q.QueueFilter, r.PathValue("id"))
	if err != nil {
		return err
	}
	to := "/case/" + ref + string(q.Carry())
	if ref == "" {
		to = string(q.Back())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// afterDecision leads on: to the next case of what somebody works on, or to what
// came of the decision.
func (p *Pages) afterDecision(w http.ResponseWriter, r *http.Request, out Outcome) error {
	was, err := p.s.Case(r.Context(), out.Case)
	if err != nil {
		return err
	}
	q := queueFrom(r)
	if !q.Known {
		out.Case = was.Ref
		return afterwards(w, r, out)
	}
	ref, err := p.s.NextInQueue(r.Context(), q.QueueFilter, out.Case)
	if err != nil {
		return err
	}
	v := url.Values{"done": {out.State}, "was": {was.Ref}}
	if ref == "" {
		for k, x := range q.Values() {
			v[k] = x
		}
		http.Redirect(w, r, "/queue?"+v.Encode(), http.StatusSeeOther)
		return nil
	}
	v.Set("from", q.From())
	http.Redirect(w, r, "/case/"+ref+"?"+v.Encode(), http.StatusSeeOther)
	return nil
}

// decidedBy says who ended a case, when and why: of the audit trail, or of the
// block that came of it.
type decidedBy struct {
	eyes
	Who    string
	At     time.Time
	Why    string
	Action string
}

func (p *Pages) decidedBy(r *http.Request, c CaseView) (*decidedBy, error) {
	object := c.Ref
	if c.Placed != nil && c.Placed.CaseID == c.ID {
		object = c.Placed.Ref
	}
	trail, err := p.trail(r.Context(), object)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(trail) { // the newest is the last
		if slices.Contains([]string{"shield.block.confirm", "shield.case.reject"}, e.Action) {
			return &decidedBy{Who: e.Who, At: e.At, Why: e.Reason, Action: e.Action}, nil
		}
	}
	return nil, nil
}

// optionOf asks the guards about one case as a bulk decision would decide it.
func (p *Pages) optionOf(tx *store.Tx, c desk.Case, who judge.Person, in Confirm) (option, error) {
	in.Case = c.ID
	pl, err := p.s.planFor(tx, c, who, in)
	if err != nil {
		return option{}, err
	}
	o := option{Value: string(in.Scope), Scope: pl.Scope, Taken: p.s.taken(pl.Name, pl.Scope), Until: pl.Until}
	objections, err := p.s.check(tx, pl, who, nil)
	o.Refuse, o.Second = split(objections)
	return o, err
}
