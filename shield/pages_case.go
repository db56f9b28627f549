package shield

import (
	"context"
	"encoding/base64"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

type caseData struct {
	common
	CaseView
	Queue    inQueue
	Was      string     // number of the case that was decided before this one
	Others   []string   // who has it open too
	Decided  *decidedBy // who ended it
	Faster   bool       // while the reader was about to
	Again    bool       // it was the reader, who went back and sent it again
	Confirms reasons
	Rejects  reasons
	Where    string // resolvers that are asked, and will block
	Show     Shown
	Report   string // whose mail the frame shows; empty without one
	Families []family
	Silent   []judge.Evidence // asked, and said nothing
	Pending  bool             // registry and DNS were asked and have not answered yet
	Said     []saidRow        // for the brand, by its own people
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

// Boxes are what the site asks for: what was sent, else what the campaign is known
// to ask for.
func (d caseData) Boxes() asking { return asking{d.Form, d.AskedFor} }

// Approval is what the approve button needs.
func (d caseData) Approval() proposalData { return proposalData{common: d.common, P: *d.Wait} }

// family is evidence of one way of looking.
type family struct {
	Name string
	Rows []evidenceRow
}

type evidenceRow struct {
	judge.Evidence
	At   time.Time
	Late bool // it came after the decision
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
	Effect   *Effect
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
	if r.Method == http.MethodGet && r.PathValue("id") != data.Ref { // by its id: the address is to bear its number
		http.Redirect(w, r, (&url.URL{Path: "/case/" + data.Ref, RawQuery: r.URL.RawQuery}).String(), http.StatusSeeOther)
		return nil
	}
	data.Queue, data.Was = queueFrom(r), caseNumber(r.URL.Query().Get("was"))
	data.Others = p.open.see(data.ID, c.Me.Login, p.frame.Clock().Now())
	data.Where = strings.Join(slices.Sorted(maps.Keys(p.s.ask)), ", ")
	data.Show = p.s.show(data.Subject)
	like := ""
	for _, same := range data.CaseView.Similar {
		if same.Outcome == "blocked" {
			like = same.Ref
			break
		}
	}
	data.Confirms, data.Rejects = p.quick(r, like, "block", c), p.quick(r, "", "reject", c)
	data.Confirms.Do, data.Rejects.Do = p.frame.Texts().T(web.Lang(r), "shield.block.do"), p.frame.Texts().T(web.Lang(r), "shield.reject.do")
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
	said, err := p.s.ownerSays(ctx, data.ID, "", 20)
	if err != nil {
		return err
	}
	if data.Said, err = p.saidRows(ctx, said); err != nil {
		return err
	}
	if data.CaseView.Proposal != nil {
		rows, err := p.askedRows(ctx, []desk.Proposal{*data.CaseView.Proposal})
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
		if data.Decided, err = p.decidedBy(r, data.CaseView); err != nil {
			return err
		}
		data.Faster = status == http.StatusConflict && data.Decided != nil
		data.Again = data.Faster && data.Decided.Who == c.Me.Login
		if data.Trail, err = p.trail(ctx, data.Ref); err != nil {
			return err
		}
	}
	if data.Placed != nil {
		names, err := account.Names(ctx, p.s.db, data.Placed.Actor)
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
		if err := tx.Row(`select exists(select 1 from shield_registration r join shield_observable o on o.registrable=r.name join shield_case s on s.observable=o.id where s.id=$1 and r.state='waiting' and r.at=0)`, data.ID).Scan(&data.Pending); err != nil {
			return err
		}
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
		if e.Family == judge.FamilyUse { // counted now, of days that are over
			at[[3]string{string(e.Family), e.Source, e.Reason}] = p.s.clock.Now()
		}
		row := evidenceRow{Evidence: e, At: at[[3]string{string(e.Family), e.Source, e.Reason}]}
		row.Late = e.Family != judge.FamilyUse && data.State == desk.Decided && row.At.After(data.ClosedAt)
		data.Families[i].Rows = append(data.Families[i].Rows, row)
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
			guards, err := p.s.guardsOf(tx, pl, who, nil)
			if err != nil {
				return err
			}
			o.Refuse, o.Second = split(judge.Check(pl.Proposal, guards))
			if o.Effect, err = p.s.effectOf(tx, pl, guards); err != nil {
				return err
			}
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
	if in.Reason, err = reasonOf(f); err != nil {
		return in, err
	}
	in.Class, in.Compromised = f.Get("class"), f.Get("compromised") != ""
	if f.Has("asks") { // the form has the boxes: none ticked is an answer too
		asked, err := aid.ParseSet(f["asked_for"])
		if err != nil {
			return in, err
		}
		in.AskedFor = &asked
	}
	if in.Class != "" && !slices.Contains(classes, in.Class) {
		return in, bolwerk.Invalid("class %q: want phishing, fake_shop, malware or scam", clip(in.Class))
	}
	return in, nil
}

func (p *Pages) confirm(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	in, err := wish(r)
	if err == nil && in.Reason == "" {
		err = bolwerk.Invalid("%s", p.frame.Texts().T(web.Lang(r), "shield.reason.none"))
	}
	var out Outcome
	if err == nil {
		in.Case = r.PathValue("id")
		out, err = p.s.Confirm(r.Context(), Decider(who), in)
	}
	return p.decision(w, r, who, "confirm", out, err)
}

func (p *Pages) reject(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	reason, err := reasonOf(r.PostForm)
	if err == nil && reason == "" {
		err = bolwerk.Invalid("%s", p.frame.Texts().T(web.Lang(r), "shield.reason.none.reject"))
	}
	var out Outcome
	if err == nil {
		out, err = p.s.Reject(r.Context(), Decider(who), r.PathValue("id"), reason)
	}
	return p.decision(w, r, who, "reject", out, err)
}

// decision leads on after a decision, or shows the case with the refusal beside
// its form. Where somebody else was faster, the case says who, when and what.
func (p *Pages) decision(w http.ResponseWriter, r *http.Request, who account.Person, form string, out Outcome, err error) error {
	if err == nil {
		p.open.leave(out.Case, who.Login)
		return p.afterDecision(w, r, out)
	}
	c := commonOf(r, who)
	status, err := c.beside(form, err)
	if err != nil {
		return err
	}
	return p.showCase(w, r, status, c)
}

// backToCase is where the address of a form leads that somebody opens as a page:
// by the back button, or after a log-in.
func (p *Pages) backToCase(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	to := url.URL{Path: "/case/" + r.PathValue("id"), RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return nil
}

type liveData struct {
	eyes
	Ref     string
	State   desk.CaseState
	Others  []string
	Moved   bool // the case is no longer as the page shows it
	Decided *decidedBy
}

// live is what changes about a case while its page stands open.
func (p *Pages) live(w http.ResponseWriter, r *http.Request, who account.Person) error {
	v, err := p.s.Case(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data := liveData{Ref: v.Ref, State: v.State, Others: p.open.see(v.ID, who.Login, p.frame.Clock().Now()), Moved: string(v.State) != r.URL.Query().Get("state")}
	if data.Moved && !v.State.Open() {
		if data.Decided, err = p.decidedBy(r, v); err != nil {
			return err
		}
	}
	return p.pages.Fragment(w, r, "case", "live", data)
}

type reportData struct {
	eyes
	reading.Result
	Links []reading.URL  // that a person can follow
	Shots []template.URL // pictures in which a person read an address, drawn anew
	Noise int            // links left out
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
	shots, err := p.s.PicturesOf(r.Context(), r.PathValue("id"))
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		return err
	}
	for _, s := range shots {
		data.Shots = append(data.Shots, template.URL("data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(s.Show)))
	}
	web.Isolate(w.Header())
	status := http.StatusOK
	if data.Gone {
		status = http.StatusNotFound
	}
	return p.pages.Render(w, r, status, "report", data)
}
