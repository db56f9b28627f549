package abuse

import (
	"net/http"

	"bolwerk"
	"bolwerk/abuse/who"
	"bolwerk/internal/account"
)

// looksPage is who looked at subscribers, and when and why, for who watches over it: it
// names the staff, and no subscriber. Beside it are the times of which nothing is known.
type looksPage struct {
	common
	Rows []lookRow
	Gaps []who.Gap
}

type lookRow struct {
	who.Look
	Name string // log-in name; empty: over the admin socket
}

// maxLooks is how many looks and gaps the page shows, the newest.
const maxLooks = 200

func (p *Pages) looks(w http.ResponseWriter, r *http.Request, me account.Person) error {
	v := looksPage{common: commonOf(r, me)}
	all, err := p.d.p.Who.Looks(r.Context(), "", maxLooks)
	if err != nil {
		return err
	}
	var by []bolwerk.Actor
	for _, l := range all {
		by = append(by, l.By)
	}
	names, err := account.Names(r.Context(), p.d.db, by...)
	if err != nil {
		return err
	}
	for _, l := range all {
		row := lookRow{Look: l, Name: names[l.By]}
		if l.By == bolwerk.Socket() {
			row.Name = ""
		}
		v.Rows = append(v.Rows, row)
	}
	if v.Gaps, err = p.d.p.Who.Gaps(r.Context(), maxLooks); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "looks", v)
}
