package shield

import (
	"net/http"
	"strings"

	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

type searchData struct {
	common
	Query   string
	Part    string // as the lists have it
	Name    Shown
	Found   Found
	Cases   []queueRow
	Blocks  []blockRow
	Passes  []blockRow
	Orders  []orderRow
	Appeals []appealRow
	Audit   []auditRow
}

// longestQuery is what somebody may paste: a long address.
const longestQuery = 600

// search looks in everything. What names one thing leads straight to it.
func (p *Pages) search(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	data := searchData{common: commonOf(r, who), Query: text[:min(len(text), longestQuery)]}
	data.Part = asStored(data.Query)
	for _, find := range p.elsewhere {
		if to := find(data.Query); to != "" {
			http.Redirect(w, r, to, http.StatusSeeOther)
			return nil
		}
	}
	if data.Found, err = p.s.Search(r.Context(), data.Query, who.Role == account.Administrator); err != nil {
		return err
	}
	if data.Found.To != "" {
		http.Redirect(w, r, data.Found.To, http.StatusSeeOther)
		return nil
	}
	if !data.Found.Name.IsZero() {
		data.Name = p.s.showName(data.Found.Name)
	}
	data.Cases, data.Blocks, data.Passes = p.queueRows(data.Found.Cases), p.blockRows(web.Lang(r), data.Found.Blocks), p.blockRows(web.Lang(r), data.Found.Exemptions)
	if data.Audit, err = p.auditRows(r.Context(), data.Found.Audit); err != nil {
		return err
	}
	data.Appeals = p.appealRows(data.Found.Appeals)
	for _, o := range data.Found.Orders {
		data.Orders = append(data.Orders, orderRow{Order: o, Show: p.s.show(o.Subject)})
	}
	return p.pages.Render(w, r, http.StatusOK, "search", data)
}
