package shield

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// OwnerHome is where somebody of a brand begins.
const OwnerHome = "/brand"

// OwnerPlaces are the entries of the navigation for somebody of a brand, who sees
// no other.
func OwnerPlaces() []web.Place {
	owner := func(w *web.Who) bool { return w.Role == string(account.BrandOwner) }
	return []web.Place{
		{Path: OwnerHome, Text: "shield.own", For: owner},
		{Path: OwnerHome + "/lookalikes", Text: "shield.own.all", Also: []string{OwnerHome + "/case", OwnerHome + "/certificate"}, For: owner},
	}
}

// OurPlaces are entries for our own people only.
func OurPlaces(all ...web.Place) []web.Place {
	for i, p := range all {
		all[i].For = func(w *web.Who) bool {
			switch w.Role {
			case string(account.BrandOwner):
				return false
			case string(account.PrivacyOfficer): // sees what names it, and nothing else
				return p.For != nil && p.For(w)
			}
			return p.For == nil || p.For(w)
		}
	}
	return all
}

// What stands on the first page of somebody of a brand: few, so that it is one
// screen. The rest is a link away.
const (
	ownWaiting   = 8
	ownBlocked   = 5
	ownCampaigns = 3
)

// ownerData is what every page for somebody of a brand is given.
type ownerData struct {
	common
	Operator string
	Brand    string   // the one that is shown; empty for all
	Brands   []string // the person's
}

func (p *Pages) ownerData(r *http.Request, who account.Person) ownerData {
	d := ownerData{common: commonOf(r, who), Operator: p.s.cfg.Operator, Brands: who.Brands}
	if b := r.URL.Query().Get("brand"); slices.Contains(who.Brands, b) {
		d.Brand = b
	}
	switch done := r.URL.Query().Get("done"); done {
	case "answered", "given", "taken_back":
		d.Done = "shield.own.done." + done
	}
	return d
}

func (d ownerData) filter() OwnFilter { return OwnFilter{Brand: d.Brand} }

type lookRow struct {
	Lookalike
	Show Shown
}

// Took is how long it took to block; empty where it is not blocked.
func (r lookRow) Took() string {
	if r.BlockedAt.IsZero() || r.BlockedAt.Before(r.FirstSeen) {
		return ""
	}
	return web.Span(r.TimeToBlock())
}

func (p *Pages) lookRows(all []Lookalike) (out []lookRow) {
	for _, l := range all {
		out = append(out, lookRow{l, p.s.show(l.Name)})
	}
	return out
}

type ownNearRow struct {
	OwnNear
	Show Shown
}

type ownPage struct {
	ownerData
	Figures   OwnFigures
	Waiting   []lookRow
	Near      []ownNearRow
	Blocked   []lookRow
	Campaigns []OwnCampaign
	Domains   []OwnDomain
	Now       time.Time
}

func (p *Pages) ownHome(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showOwn(w, r, http.StatusOK, p.ownerData(r, who))
}

func (p *Pages) showOwn(w http.ResponseWriter, r *http.Request, status int, d ownerData) (err error) {
	ctx, who, f := r.Context(), d.Me, d.filter()
	data := ownPage{ownerData: d, Now: p.frame.Clock().Now()}
	if data.Figures, err = p.s.OwnFigures(ctx, who, f); err != nil {
		return err
	}
	some := func(state LookalikeState, open bool, n int) ([]lookRow, error) {
		f.State, f.Open, f.Limit = state, open, n
		all, err := p.s.Lookalikes(ctx, who, f)
		return p.lookRows(all), err
	}
	if data.Waiting, err = some("", true, ownWaiting); err != nil {
		return err
	}
	near, _, err := p.s.OwnNears(ctx, who, OwnFilter{Brand: d.Brand, Limit: ownWaiting})
	if err != nil {
		return err
	}
	for _, n := range near {
		data.Near = append(data.Near, ownNearRow{n, p.s.showName(n.Name)})
	}
	if data.Blocked, err = some(LookBlocked, false, ownBlocked); err != nil {
		return err
	}
	if data.Campaigns, err = p.s.OwnCampaigns(ctx, who, OwnFilter{Brand: d.Brand, Limit: ownCampaigns}); err != nil {
		return err
	}
	if data.Domains, err = p.s.OwnDomains(ctx, who, OwnFilter{Brand: d.Brand}); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "own", data)
}

var lookStates = []LookalikeState{LookWaiting, LookBlocked, LookEnded, LookLeft}

type ownList struct {
	ownerData
	around
	Rows   []lookRow
	State  LookalikeState
	States []LookalikeState
}

func (p *Pages) lookList(ctx context.Context, who account.Person, f OwnFilter) listOf[lookRow] {
	return listOf[lookRow]{
		name: "lookalikes",
		rows: func(after string, limit int) ([]lookRow, error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Lookalikes(ctx, who, f)
			return p.lookRows(all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountLookalikes(ctx, who, f) },
		id:    func(l lookRow) string { return l.Case },
		columns: []column[lookRow]{
			{"case", func(l lookRow) string { return l.Case }}, {"name", func(l lookRow) string { return l.Name }}, {"brand", func(l lookRow) string { return l.Brand }},
			{"state", func(l lookRow) string { return string(l.State) }}, {"answer", func(l lookRow) string { return string(l.Says) }}, {"first_seen", func(l lookRow) string { return stamp(l.FirstSeen) }},
			{"blocked_at", func(l lookRow) string { return stampOrNone(l.BlockedAt) }}, {"ended_at", func(l lookRow) string { return stampOrNone(l.EndedAt) }},
			{"minutes_to_block", func(l lookRow) string {
				if l.Took() == "" {
					return ""
				}
				return strconv.FormatInt(int64(l.TimeToBlock()/time.Minute), 10)
			}},
			{"visits_prevented", func(l lookRow) string {
				if l.Visits == 0 {
					return ""
				}
				return number(l.Visits)
			}},
			{"campaign", func(l lookRow) string { return l.Campaign }},
		},
	}
}

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

func (p *Pages) ownLookalikes(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	data := ownList{ownerData: p.ownerData(r, who), States: lookStates}
	if s := LookalikeState(r.URL.Query().Get("state")); slices.Contains(lookStates, s) {
		data.State = s
	}
	l := p.lookList(r.Context(), who, OwnFilter{Brand: data.Brand, State: data.State})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "own-lookalikes", data)
}

// ownLook is one look-alike: of a case, or the name of a new certificate.
type ownLook struct {
	ownerData
	L       LookalikeView
	Near    bool
	At      time.Time // first certificate
	Show    Shown
	Took    string
	Action  string // where the answer goes
	Answers []judge.Says
}

func (p *Pages) ownCase(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showOwnCase(w, r, http.StatusOK, p.ownerData(r, who))
}

func (p *Pages) showOwnCase(w http.ResponseWriter, r *http.Request, status int, d ownerData) error {
	v, err := p.s.Lookalike(r.Context(), d.Me, r.PathValue("id"))
	if err != nil {
		return err
	}
	row := lookRow{v.Lookalike, p.s.show(v.Name)}
	return p.pages.Render(w, r, status, "own-lookalike", ownLook{ownerData: d, L: v, Show: row.Show, Took: row.Took(), Action: OwnerHome + "/case/" + v.Case, Answers: judge.SaysAll()})
}

func (p *Pages) ownCertificate(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showOwnCertificate(w, r, http.StatusOK, p.ownerData(r, who))
}

func (p *Pages) showOwnCertificate(w http.ResponseWriter, r *http.Request, status int, d ownerData) error {
	name, err := bolwerk.ParseDomain(r.PathValue("name"))
	if err != nil {
		return errNotYours()
	}
	n, err := p.s.OwnNear(r.Context(), d.Me, name)
	if err != nil {
		return err
	}
	data := ownLook{ownerData: d, Near: true, At: n.At, Show: p.s.showName(n.Name), Action: OwnerHome + "/certificate/" + n.Name.String(), Answers: judge.SaysAll()}
	data.L.Brand = n.Brand
	return p.pages.Render(w, r, status, "own-lookalike", data)
}

func (p *Pages) answerCase(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.answer(w, r, who, OwnerAnswer{Case: r.PathValue("id")}, p.showOwnCase)
}

func (p *Pages) answerCertificate(w http.ResponseWriter, r *http.Request, who account.Person) error {
	name, err := bolwerk.ParseDomain(r.PathValue("name"))
	if err != nil {
		return errNotYours()
	}
	return p.answer(w, r, who, OwnerAnswer{Name: name}, p.showOwnCertificate)
}

func (p *Pages) answer(w http.ResponseWriter, r *http.Request, who account.Person, in OwnerAnswer, again func(http.ResponseWriter, *http.Request, int, ownerData) error) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	in.Says, in.Reason = judge.Says(r.PostForm.Get("says")), r.PostForm.Get("reason")
	_, err := p.s.Answer(r.Context(), who, in)
	if err == nil {
		return p.ownDone(w, r, "answered")
	}
	return p.ownWrong(w, r, who, "answer", err, again)
}

// ownDone leads back to the first page, with the brand that was shown.
func (p *Pages) ownDone(w http.ResponseWriter, r *http.Request, done string) error {
	q := url.Values{"done": {done}}
	if b := r.PostForm.Get("shown"); b != "" {
		q.Set("brand", b)
	}
	http.Redirect(w, r, OwnerHome+"?"+q.Encode(), http.StatusSeeOther)
	return nil
}

// ownWrong shows a page again with the refusal beside the form.
func (p *Pages) ownWrong(w http.ResponseWriter, r *http.Request, who account.Person, form string, err error, again func(http.ResponseWriter, *http.Request, int, ownerData) error) error {
	d := p.ownerData(r, who)
	if x := web.Explain(err); x.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(x.After))
	}
	status, err := d.beside(form, err)
	if err != nil {
		return err
	}
	return again(w, r, status, d)
}

func (p *Pages) ownPicture(w http.ResponseWriter, r *http.Request, who account.Person) error {
	png, err := p.s.OwnPicture(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return err
	}
	return writePicture(w, png)
}

func (p *Pages) giveDomain(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	f := r.PostForm
	_, err := p.s.GiveDomain(r.Context(), who, f.Get("brand"), f.Get("name"), f.Get("why"))
	if err == nil {
		return p.ownDone(w, r, "given")
	}
	return p.ownWrong(w, r, who, "domain", err, p.showOwn)
}

func (p *Pages) takeBackDomain(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	err := p.s.TakeBackDomain(r.Context(), who, r.PathValue("id"), r.PostForm.Get("why"))
	if err == nil {
		return p.ownDone(w, r, "taken_back")
	}
	return p.ownWrong(w, r, who, "take_back", err, p.showOwn)
}
