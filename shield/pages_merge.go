package shield

import (
	"net/http"
	"net/url"

	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

type mergeData struct {
	common
	M    Merging
	Rows []mergeRow
}

type mergeRow struct {
	Key string // what becomes of it
	C   CampaignRow
}

func (p *Pages) mergePage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showMerge(w, r, http.StatusOK, r.URL.Query().Get("from"), commonOf(r, who))
}

func (p *Pages) showMerge(w http.ResponseWriter, r *http.Request, status int, from string, c common) error {
	m, err := p.s.Merging(r.Context(), clip(from), r.PathValue("id"))
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "merge", mergeData{common: c, M: m,
		Rows: []mergeRow{{"shield.merge.from", m.From}, {"shield.merge.into", m.Into}, {"shield.merge.result", m.Result}}})
}

// undoMerge takes a campaign out of the one that it was merged into, and shows it.
func (p *Pages) undoMerge(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	out, err := p.s.UndoMerge(r.Context(), Decider(who), r.PathValue("id"), r.PostForm.Get("reason"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/campaign/"+url.PathEscape(out.Ref)+"?done=unmerged", http.StatusSeeOther)
	return nil
}

func (p *Pages) merge(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	from := clip(r.PostForm.Get("from"))
	out, err := p.s.MergeCampaigns(r.Context(), Decider(who), from, r.PathValue("id"), r.PostForm.Get("reason"))
	if err != nil {
		c := commonOf(r, who)
		status, err := c.beside("merge", err)
		if err != nil {
			return err
		}
		return p.showMerge(w, r, status, from, c)
	}
	http.Redirect(w, r, "/campaign/"+url.PathEscape(out.Ref)+"?done=merged", http.StatusSeeOther)
	return nil
}
