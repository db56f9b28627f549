package abuse

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/quarantine"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

func (p *Pages) quarantineRoutes(add func(pattern string, right account.Right, fn func(http.ResponseWriter, *http.Request, account.Person) error)) {
	add("GET /abuse/quarantines", account.Look, p.quarantines)
	add("GET /abuse/quarantine/{id}", account.Look, p.quarantine)
	add("POST /abuse/quarantines/release", account.Decide, p.releaseAll)
	for _, name := range []string{"approve", "decline", "release", "retry"} {
		add("POST /abuse/quarantine/{id}/"+name, account.Decide, func(w http.ResponseWriter, r *http.Request, who account.Person) error {
			return p.decideQuarantine(w, r, who, name)
		})
	}
}

type quarantinesData struct {
	common
	F        quarantine.Filter
	States   []string
	Rows     []quarantine.Row
	Open     int64
	Stuck    int64
	Releases []quarantine.Campaign
	Next     string
}

func (p *Pages) quarantines(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showQuarantines(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showQuarantines(w http.ResponseWriter, r *http.Request, status int, c common) (err error) {
	q, ctx := r.URL.Query(), r.Context()
	data := quarantinesData{common: c, States: []string{"open", "person", "second", "help", "requested", "active", "pending", "failed", "releasing", "stuck", "released", "any"}}
	data.F = quarantine.Filter{State: clip(q.Get("state")), Feed: clip(q.Get("feed")), Class: clip(q.Get("class")), After: clip(q.Get("after")), Limit: 50}
	if !q.Has("state") {
		data.F.State = "open"
	}
	if data.Rows, err = p.d.quarantines.List(ctx, data.F); err != nil {
		return err
	}
	counts, err := p.d.quarantines.Counts(ctx)
	if err != nil {
		return err
	}
	for s, n := range counts {
		if s != quarantine.Requested {
			data.Open += n
		}
	}
	data.Stuck = counts[quarantine.Stuck]
	if data.Releases, err = p.d.quarantines.Campaigns(ctx, 3); err != nil {
		return err
	}
	if len(data.Rows) == data.F.Limit {
		q.Set("after", data.Rows[len(data.Rows)-1].ID)
		data.Next = "/abuse/quarantines?" + q.Encode()
	}
	return p.pages.Render(w, r, status, "quarantines", data)
}

type quarantineData struct {
	common
	Q      quarantine.View
	Asked  string
	Second string
	Guest  bool // the page of a quarantine can be looked at
}

// MayApprove says that this one waits for a second person.
func (d quarantineData) WaitsForSecond() bool {
	for _, w := range d.Q.Waits {
		if w == "second" && d.Q.State == quarantine.Requested {
			return true
		}
	}
	return false
}

func (p *Pages) quarantine(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showQuarantine(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showQuarantine(w http.ResponseWriter, r *http.Request, status int, c common) error {
	v, err := p.d.quarantines.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	names, err := account.Names(r.Context(), p.d.db, v.AskedBy)
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "quarantine", quarantineData{common: c, Q: v, Asked: names[v.AskedBy], Guest: p.kit != nil})
}

func (p *Pages) decideQuarantine(w http.ResponseWriter, r *http.Request, who account.Person, name string) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	ctx, id, f, qs := r.Context(), r.PathValue("id"), r.PostForm, p.d.quarantines
	var err error
	switch name {
	case "approve":
		_, err = qs.Approve(ctx, who, id, f.Get("digest"))
	case "decline":
		_, err = qs.Decline(ctx, who, id, f.Get("text"))
	case "release":
		_, err = qs.Release(ctx, who, id, f.Get("mistake") != "", f.Get("text"))
	case "retry":
		_, err = qs.Retry(ctx, who, id)
	}
	if err == nil {
		http.Redirect(w, r, "/abuse/quarantine/"+url.PathEscape(id)+"?done=quarantine_"+name, http.StatusSeeOther)
		return nil
	}
	c := commonOf(r, who)
	status, err := c.beside(name, err)
	if err != nil {
		return err
	}
	return p.showQuarantine(w, r, status, c)
}

func (p *Pages) releaseAll(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	f := r.PostForm
	if _, err := p.d.quarantines.ReleaseAll(r.Context(), who, f.Get("feed"), f.Get("class"), f.Get("text")); err != nil {
		c := commonOf(r, who)
		status, err := c.beside("release", err)
		if err != nil {
			return err
		}
		return p.showQuarantines(w, r, status, c)
	}
	http.Redirect(w, r, "/abuse/quarantines?done=quarantine_release", http.StatusSeeOther)
	return nil
}

// wishOf reads a wish from the form of a case.
func wishOf(f url.Values) quarantine.Wish {
	days, _ := strconv.Atoi(strings.TrimSpace(f.Get("days"))) // what is no number is refused as 0 is
	return quarantine.Wish{Profile: enforce.Profile(f.Get("profile")), Days: days,
		Why: quarantine.Why{Threat: f.Get("threat"), Necessity: f.Get("necessity"), Proportion: f.Get("proportion"), Legal: f.Get("legal")}}
}
