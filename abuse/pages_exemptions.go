package abuse

import (
	"net/http"
	"net/url"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

type exemptionsData struct {
	common
	Over bool // those that have ended, too
	Rows []exemptionRow
	Next string
}

type exemptionRow struct {
	ExemptionRow
	Name string // of who made it
}

func (p *Pages) exemptions(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showExemptions(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showExemptions(w http.ResponseWriter, r *http.Request, status int, c common) error {
	q := r.URL.Query()
	data := exemptionsData{common: c, Over: q.Get("over") == "1"}
	const page = 50
	rows, err := p.d.Exemptions(r.Context(), data.Over, clip(q.Get("after")), page)
	if err != nil {
		return err
	}
	var by []bolwerk.Actor
	for _, x := range rows {
		by = append(by, x.By)
	}
	names, err := account.Names(r.Context(), p.d.db, by...)
	if err != nil {
		return err
	}
	for _, x := range rows {
		data.Rows = append(data.Rows, exemptionRow{x, names[x.By]})
	}
	if len(rows) == page {
		next := url.Values{"after": {rows[page-1].ID}}
		if data.Over {
			next.Set("over", "1")
		}
		data.Next = "/abuse/exemptions?" + next.Encode()
	}
	return p.pages.Render(w, r, status, "exemptions", data)
}

func (p *Pages) endExemption(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	_, err := p.d.EndExemptionNow(r.Context(), who, r.PathValue("id"))
	if err == nil {
		http.Redirect(w, r, "/abuse/exemptions?done=ended", http.StatusSeeOther)
		return nil
	}
	c := commonOf(r, who)
	status, err := c.beside("end", err)
	if err != nil {
		return err
	}
	return p.showExemptions(w, r, status, c)
}
